"""What an audit found."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from msgspec import Struct, structs, to_builtins

from stagesync.model.kinds import Kind, Mode, Severity


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


def key_of(connection: str, object: str, record: str, rule: str) -> str:
    """The key of a finding: what is wrong with which record, and nothing else."""
    return f"{connection}:{object}:{record}:{rule}"


class Cited(Struct, frozen=True, kw_only=True, gc=False):
    """What evidence of many findings points at: everything in an ``Evidence`` that is not of one record alone."""

    criterion: str
    verdict: Verdict
    source: str | None = None
    ask: str = ""
    because: str = ""


T = TypeVar("T")


class Coded(Struct, Generic[T], frozen=True, gc=False):
    """A column in which values come again: each value once, and for each place the number of its value."""

    values: list[T]
    of: list[int]

    def __iter__(self) -> Iterator[T]:
        return map(self.values.__getitem__, self.of)

    def chosen(self, places: Iterable[int]) -> Coded[T]:
        """What stands at some places, in their order."""
        return coded(self.values[self.of[place]] for place in places)


Words = tuple[str, str | None]
"""What is said of something evidence points at: the reason, and the value that was looked at."""


class Told(Struct, frozen=True, kw_only=True):
    """One thing that evidence points at, with what is said of it for the finding at each place of ``of``."""

    cited: Cited
    of: list[int]
    words: Coded[Words]


class Findings(Struct, frozen=True, kw_only=True):
    """Findings of one rule about one object of one connection, in columns.

    The fields are those of ``Finding``, ``since`` as text (``2026-11-21T21:38:00Z``): few are ever looked at, and a
    time costs three times its text. The evidence of one finding stands in the order of ``evidence``.
    """

    connection: str
    object: str
    kind: Kind
    rule: str
    record: list[str]
    record_name: list[str]
    owner: Coded[str | None]
    owner_name: Coded[str | None]
    severity: Coded[Severity]
    mode: Coded[Mode]
    stage: Coded[str | None]
    native_stage: Coded[str | None]
    pipeline: Coded[str | None]
    earned: Coded[str | None]
    since: list[str | None]
    since_source: Coded[str | None]
    amount: list[float | None]
    evidence: list[Told]

    def chosen(self, places: Sequence[int]) -> Findings:
        """Some of them, in the order of the places."""
        numbers = {place: number for number, place in enumerate(places)}
        columns: dict[str, Any] = {}
        for name in OF_EACH:
            column = getattr(self, name)
            columns[name] = column.chosen(places) if name in CODED else [column[place] for place in places]
        return structs.replace(self, evidence=[_only(told, numbers) for told in self.evidence], **columns)

    def objects(self) -> Iterator[Finding]:
        """Each finding with its evidence, in order."""
        reasons: list[list[Evidence]] = [[] for _ in self.record]
        for told in self.evidence:
            cited = told.cited
            for place, (reason, value) in zip(told.of, told.words, strict=True):
                reasons[place].append(
                    Evidence(
                        criterion=cited.criterion,
                        verdict=cited.verdict,
                        reason=reason,
                        value=value,
                        source=cited.source,
                        ask=cited.ask,
                        because=cited.because,
                    )
                )
        columns = zip(*(getattr(self, name) for name in OF_EACH), strict=True)
        for record, since, values, evidence in zip(self.record, self.since, columns, reasons, strict=True):
            fields = dict(zip(OF_EACH, values, strict=True))
            fields["since"] = None if since is None else datetime.fromisoformat(since)
            yield Finding(
                key=key_of(self.connection, self.object, record, self.rule),
                connection=self.connection,
                object=self.object,
                kind=self.kind,
                rule=self.rule,
                evidence=tuple(evidence),
                **fields,
            )


def _only(told: Told, numbers: Mapping[int, int]) -> Told:
    """What is told of findings at some places, by their new ones."""
    rows = [n for n, place in enumerate(told.of) if place in numbers]
    return Told(cited=told.cited, of=[numbers[told.of[n]] for n in rows], words=told.words.chosen(rows))


OF_EACH = tuple(
    name for name in Findings.__struct_fields__ if name not in {"connection", "object", "kind", "rule", "evidence"}
)
"""The fields of a finding of which ``Findings`` has a column."""
CODED = frozenset(OF_EACH) - {"record", "record_name", "since", "amount"}
"""Those of them in which values come again."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Findings of one rule about one object of one connection, of which few may be wanted: ``told`` tells the findings
    at the given places, so many at a time. ``records`` and ``essences`` (see ``essence_of``) are known of all of them.
    """

    connection: str
    object: str
    rule: str
    records: Sequence[str]
    essences: Sequence[bytes]
    told: Callable[[Sequence[int], int], Iterable[Findings]]


def batches_of(findings: Iterable[Finding]) -> Iterator[Batch]:
    """Findings that are objects already, those of one rule in one batch."""
    rules: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        rules.setdefault((finding.connection, finding.object, finding.rule), []).append(finding)
    for (connection, object_, rule), found in rules.items():
        yield Batch(
            connection=connection,
            object=object_,
            rule=rule,
            records=[finding.record for finding in found],
            essences=[essence_of(finding) for finding in found],
            told=partial(_told, found),
        )


def _told(findings: Sequence[Finding], places: Sequence[int], at_once: int) -> Iterator[Findings]:
    for start in range(0, len(places), at_once):
        yield columns_of([findings[place] for place in places[start : start + at_once]])


def coded(values: Iterable[T]) -> Coded[T]:
    """A column with each of its values once, in the order in which they come."""
    numbers: dict[T, int] = {}
    of = [numbers.setdefault(value, len(numbers)) for value in values]
    return Coded(list(numbers), of)


def columns_of(findings: Sequence[Finding]) -> Findings:
    """Findings of one rule, at least one, in columns."""
    first = findings[0]
    columns: dict[str, Any] = {name: [getattr(finding, name) for finding in findings] for name in OF_EACH}
    columns |= {name: coded(columns[name]) for name in CODED}
    columns["since"] = [None if since is None else to_builtins(since) for since in columns["since"]]
    told: list[tuple[Cited, list[int], list[Words]]] = []
    for place, finding in enumerate(findings):
        after = -1
        for evidence in finding.evidence:
            # What is told of one finding must stand in its order; so a citation comes again where orders differ.
            cited = _cited(evidence)
            found = (n for n in range(after + 1, len(told)) if told[n][0] == cited)
            after = next(found, len(told))
            if after == len(told):
                told.append((cited, [], []))
            told[after][1].append(place)
            told[after][2].append((evidence.reason, evidence.value))
    return Findings(
        connection=first.connection,
        object=first.object,
        kind=first.kind,
        rule=first.rule,
        evidence=[Told(cited=cited, of=of, words=coded(words)) for cited, of, words in told],
        **columns,
    )


def _cited(evidence: Evidence) -> Cited:
    return Cited(
        criterion=evidence.criterion,
        verdict=evidence.verdict,
        source=evidence.source,
        ask=evidence.ask,
        because=evidence.because,
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
    codes = "".join(map(evidence_code, finding.evidence))
    said = BETWEEN.join([*(BLANK if fact is None else fact for fact in facts), codes])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()


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
