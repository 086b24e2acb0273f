"""What a CRM says about itself: which org it is, its stages, its owners."""

from __future__ import annotations

from collections.abc import Mapping
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
    integration must not write (a converting lead status, a read-only stage). ``probability`` is in percent, where the
    CRM gives a stage one.
    """

    pipeline: str | None
    value: str
    label: str
    position: int
    closed: bool = False
    won: bool = False
    active: bool = True
    writable: bool = True
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A person or a queue that records belong to. ``id`` is what the owner field of a record holds; ``author`` is what
    a stage history calls the person, where that is another word; ``country`` is what the CRM says of it, in the field
    that the settings name. ``manager`` is the id of the person whom the CRM calls the owner's manager."""

    id: str
    name: str
    email: str | None
    active: bool
    queue: bool = False
    time_zone: str | None = None
    author: str | None = None
    country: str | None = None
    manager: str | None = None


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """One field as it is shown to the token. ``type`` is the CRM's own word."""

    name: str
    label: str
    type: str
    custom: bool = False
    creatable: bool = False
    editable: bool = False
    unique: bool = False
    external_id: bool = False


@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """One object as it is shown to the token; fields by name, those that may not be read are not there."""

    name: str
    fields: Mapping[str, FieldFacts]
    creatable: bool = False
    editable: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordType:
    """A record type and the values of the stage field that it offers; None where the CRM does not say."""

    name: str
    label: str
    stages: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Service:
    """How the org serves us: which versions of its API (none where it does not say), and the calls of its day.

    ``period`` says which day that is, ``remark`` what there is to know of the version, and ``silence`` what follows
    when the calls are not told. ``calls_budget`` is the number of used calls at which StageSync stops.
    """

    version: str
    versions: tuple[str, ...] = ()
    calls_limit: int | None = None
    calls_left: int | None = None
    period: str = "in 24 hours"
    remark: str = ""
    silence: str = "the right View Setup and Configuration would show it; nothing else needs it"
    calls_budget: int | None = None


@dataclass(frozen=True, kw_only=True)
class Organization:
    """What an org says of itself beside its identity; None where it does not say. ``user`` is as whom we work."""

    user: str | None = None
    sandbox: bool | None = None
    time_zone: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scopes:
    """What the token may be used for (``given``; None where nobody says), what of the needed is ``missing``, and what
    is given ``beyond`` it. ``remedy`` says where scopes are set."""

    given: tuple[str, ...] | None
    missing: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """The stage of a new org that a stage resembles, ``sure`` where the CRM itself says so; ``why`` is the reason."""

    value: str
    sure: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class BlindSpot:
    """What this CRM may hold without our seeing it. ``blind`` is None where nobody can tell."""

    subject: str
    blind: bool | None
    says: str


@dataclass(frozen=True, kw_only=True)
class Calls:
    """How many calls were ``made``, and how many of the ``limit`` of a day are ``used`` by everybody, if it tells."""

    made: int
    used: int | None
    limit: int | None
