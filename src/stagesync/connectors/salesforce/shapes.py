"""Answers of an org as the shapes that are expected, where it may spell them otherwise than expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from stagesync.connectors.absence import without_nulls

T = TypeVar("T")


class Part(Protocol):
    """A part of a Composite answer."""

    referenceId: str


P = TypeVar("P", bound=Part)


def shaped(body: bytes, shape: type[T]) -> T:
    """JSON as a shape; a field may be null where it could be absent.

    Errors: ``ValueError`` for what is cut off or has another shape.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError:
        return msgspec.convert(without_nulls(msgspec.json.decode(body)), shape)


def by_reference(parts: Sequence[P], references: Sequence[str]) -> list[P | None]:
    """The parts of a Composite answer in the order of what they answer; None where there is none.

    Each part names its reference; that they come in order, Salesforce does not say.
    """
    named = {part.referenceId: part for part in parts}
    return [named.get(reference) for reference in references]


def next_path(url: str | None) -> str | None:
    """The path of the next page, which may be told as a whole URL: no other host is ever asked for it."""
    path = urlsplit(url or "").path
    return path if path.startswith("/services/") else None
