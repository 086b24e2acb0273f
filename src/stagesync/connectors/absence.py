"""Null where a field could be absent: both say nothing, and servers do not keep them apart."""

from __future__ import annotations

from typing import Any


def without_nulls(value: Any) -> Any:
    """JSON without fields that are null. Raises RecursionError for what is nested too deeply."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
