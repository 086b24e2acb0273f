"""What an audit found."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

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
class Batch:
    """Findings of one connection of which few are wanted as objects: ``some`` makes those at the given places.

    ``keys`` and ``essences`` (see ``essence_of``) are known of all of them.
    """

    connection: str
    keys: Sequence[str]
    essences: Sequence[bytes]
    some: Callable[[Sequence[int]], Iterator[Finding]]


def batch_of(connection: str, findings: Sequence[Finding]) -> Batch:
    """Findings that are objects already."""
    return Batch(
        connection=connection,
        keys=[finding.key for finding in findings],
        essences=[essence_of(finding) for finding in findings],
        some=lambda places: (findings[place] for place in places),
    )


BETWEEN, BLANK = "\x1f", "\x00"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def essence_of(finding: Finding) -> bytes:
    """SHA-256 of a finding without the wording and the values of its evidence.

    "Idle for 15 days" is "idle for 16 days" tomorrow: with the wording in, every stalled record would be a change
    each day. A verdict, criterion or source that differs is a change, as is every other field.
    """
    since = None if finding.since is None else str((finding.since - _EPOCH) // timedelta(microseconds=1))
    amount = None if finding.amount is None else str(struct.unpack("<Q", struct.pack("<d", finding.amount))[0])
    facts = (
        finding.key,
        finding.record_name,
        finding.owner,
        finding.owner_name,
        finding.severity,
        finding.mode,
        finding.stage,
        finding.native_stage,
        finding.pipeline,
        finding.earned,
        since,
        finding.since_source,
        amount,
    )
    return essence(
        BETWEEN.join(BLANK if fact is None else fact for fact in facts), map(evidence_code, finding.evidence)
    )


def essence(facts: str, codes: Iterator[str]) -> bytes:
    """SHA-256 of the facts of a finding, as one text, and the codes of its evidence."""
    return hashlib.sha256((facts + BETWEEN + "".join(codes)).encode("utf-8", "surrogatepass")).digest()


def evidence_code(evidence: Evidence) -> str:
    """What evidence says but for its wording and its value, as 16 hexadecimal digits."""
    return code_of(evidence.criterion, evidence.verdict, evidence.source, evidence.ask, evidence.because)


@lru_cache(maxsize=4_096)
def code_of(criterion: str, verdict: Verdict, source: str | None, ask: str, because: str) -> str:
    """The code of evidence out of what it is made of."""
    parts = (criterion, verdict, BLANK if source is None else source, ask, because)
    return hashlib.sha256(BETWEEN.join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


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
