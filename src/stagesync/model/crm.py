"""What a CRM says about itself: which org it is, its stages, its owners."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which org or portal this is. ``key`` never changes for it (organisation id, portal id)."""

    crm: str
    key: str
    name: str
    url: str


@dataclass(frozen=True, kw_only=True)
class NativeStage:
    """One stage as the CRM knows it. ``value`` is what is stored in the field, ``label`` what people see.

    ``pipeline`` is None where the object has no pipelines. ``writable`` is False for stages that an
    integration must not write (a converting lead status, a read-only stage).
    """

    pipeline: str | None
    value: str
    label: str
    position: int
    closed: bool = False
    won: bool = False
    active: bool = True
    writable: bool = True


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A person or a queue that records belong to. ``id`` is what the owner field of a record holds."""

    id: str
    name: str
    email: str | None
    active: bool
    queue: bool = False
    time_zone: str | None = None
