"""Changes of HubSpot's deals for tests of its connector."""

from __future__ import annotations

from typing import Any

from stagesync.model.changes import Change, ChangeKind
from stagesync.model.kinds import Mode


def deal_change(kind: ChangeKind, **other: Any) -> Change:
    """A change about a deal that stands too far; ``other`` fields are as given."""
    plain: dict[str, Any] = {
        "key": "k",
        "connection": "crm",
        "object": "deals",
        "record": "7",
        "record_name": "Deal",
        "rule": "premature",
        "mode": Mode.SUGGEST,
        "reason": "no pain is stated",
        "before": {},
        "after": {},
    }
    return Change(kind=kind, **{**plain, **other})
