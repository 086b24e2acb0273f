"""What an audit found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from stagesync.model.changes import Mode


class Kind(StrEnum):
    """The kinds of findings."""

    PREMATURE = "premature"
    STALLED = "stalled"
    CONTRADICTION = "contradiction"
    PLACEHOLDER = "placeholder"
    UNOWNED = "unowned"
    REGRESSED = "regressed"
    SKIPPED = "skipped"
    READY = "ready"


class Severity(StrEnum):
    """How much a finding matters, as its definition says."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Verdict(StrEnum):
    """The three values of a criterion."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "unknown"


# A million findings are made in a run: a Struct costs a tenth of a frozen dataclass, and is written as it stands.
class Evidence(Struct, frozen=True, kw_only=True, gc=False):
    """One reason: a criterion, its verdict, why, and the value that was looked at with its source.

    ``ask`` says what would mend it and ``because`` why it matters, as the definitions put it.
    """

    criterion: str
    verdict: Verdict
    reason: str
    value: str | None = None
    source: str | None = None
    ask: str = ""
    because: str = ""


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """One thing that is wrong (or ready) about one record.

    ``key`` comes from what is wrong (connection, object, record, kind, rule), never from order, wording or
    time. ``since`` is when the record entered its stage or the fault began (UTC), ``since_source`` says how
    that is known. ``amount`` is the money at stake in the record's currency. ``earned`` is the rung the record
    has earned (for *premature* the most it could have earned, for *ready* the least), None below the first.
    """

    key: str
    connection: str
    object: str
    record: str
    record_name: str
    owner: str | None
    owner_name: str | None
    kind: Kind
    rule: str
    severity: Severity
    mode: Mode
    stage: str | None
    native_stage: str | None
    pipeline: str | None
    earned: str | None
    since: datetime | None
    since_source: str | None
    amount: float | None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much of one object was judged: ``in_scope = evaluated + sum(skipped.values())``.

    Definitions with several ladders have a scope for each ladder of an object; ``ladder`` names it.
    """

    connection: str
    object: str
    in_scope: int
    evaluated: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    ladder: str | None = None
