"""What a CRM says about itself: which org it is, its stages, its owners."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Identity(Struct, frozen=True, kw_only=True):
    """Which org or portal this is. ``key`` never changes for it (organisation id, portal id)."""

    crm: str
    key: str
    name: str
    url: str


class NativeStage(Struct, frozen=True, kw_only=True):
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


class Owner(Struct, frozen=True, kw_only=True):
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

    @property
    def names(self) -> set[str | None]:
        """By what people may name the owner in the settings: the id, which reports of Salesforce cut to 15
        characters, the name and the email."""
        return {self.id, self.id[:15], self.name, self.email}


class FieldFacts(Struct, frozen=True, kw_only=True):
    """One field as it is shown to the token. ``type`` is the CRM's own word."""

    name: str
    label: str
    type: str
    custom: bool = False
    creatable: bool = False
    editable: bool = False
    unique: bool = False
    external_id: bool = False


class ObjectFacts(Struct, frozen=True, kw_only=True):
    """One object as it is shown to the token; fields by name, those that may not be read are not there."""

    name: str
    fields: Mapping[str, FieldFacts]
    creatable: bool = False
    editable: bool = False


class RecordType(Struct, frozen=True, kw_only=True):
    """A record type and the values of the stage field that it offers; None where the CRM does not say."""

    name: str
    label: str
    stages: tuple[str, ...] | None


class Service(Struct, frozen=True, kw_only=True):
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


class Organization(Struct, frozen=True, kw_only=True):
    """What an org says of itself beside its identity; None where it does not say. ``user`` is as whom we work."""

    user: str | None = None
    sandbox: bool | None = None
    time_zone: str | None = None


class Scopes(Struct, frozen=True, kw_only=True):
    """What the token may be used for (``given``; None where nobody says), what of the needed is ``missing``, and what
    is given ``beyond`` it. ``remedy`` says where scopes are set."""

    given: tuple[str, ...] | None
    missing: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    remedy: str = ""


class Likeness(Struct, frozen=True, kw_only=True):
    """The stage of a new org that a stage resembles, ``sure`` where the CRM itself says so; ``why`` is the reason."""

    value: str
    sure: bool
    why: str


class BlindSpot(Struct, frozen=True, kw_only=True):
    """What this CRM may hold without our seeing it. ``blind`` is None where nobody can tell."""

    subject: str
    blind: bool | None
    says: str


class Calls(Struct, frozen=True, kw_only=True):
    """How many calls were ``made``, and how many of the ``limit`` of a day are ``used`` by everybody, if it tells."""

    made: int
    used: int | None
    limit: int | None
