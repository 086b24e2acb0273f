"""The audit: every record against every criterion, in columns; earned stages; findings.

Only the findings that somebody looks at become objects: a judgement keeps its records, verdicts and findings as
frames and arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial, reduce
from operator import and_

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import structs

from stagesync.audit import essences, history, scope, stalls, waivers
from stagesync.audit.evidence import EvidenceFrame, Tables, gather
from stagesync.audit.findings import Positions, Standing, conditions, find
from stagesync.audit.masks import Frame
from stagesync.audit.pasted import pasted
from stagesync.audit.reasons import evidence_for, evidence_of, shown, source_of
from stagesync.audit.verdicts import Conditions, Verdicts, conditions_of, verdicts
from stagesync.audit.words import Population
from stagesync.model.changes import Mode
from stagesync.model.crm import Owner
from stagesync.model.findings import Batch, Evidence, Finding, Kind, Scope, Severity, Verdict, code_of, essence
from stagesync.model.tables import UNREADABLE
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import ACTIVITY, Criterion, Definition
from stagesync.policy.mappings import CrmMapping, MappedObject

PART = 5_000
"""How many findings are made into objects at a time."""


@dataclass(frozen=True, kw_only=True)
class NotJudged:
    """A criterion that could not be judged for some records because something is unknown, and why."""

    criterion: str
    reason: str
    records: int


@dataclass(frozen=True, kw_only=True)
class _Cited:
    """What findings point at: a criterion, or their own rule; ``which`` are the places of those that do."""

    which: npt.NDArray[np.intp]
    id: str
    verdict: Verdict
    source: str | None
    ask: str
    because: str
    criterion: Criterion | None = None


def _by_rule(findings: pl.DataFrame) -> Iterator[tuple[Kind, str, npt.NDArray[np.uint32], pl.DataFrame]]:
    """The findings of each rule, with the places where they stand."""
    for (kind, rule), group in findings.with_row_index("place").group_by("kind", "rule", maintain_order=True):
        yield Kind(str(kind)), str(rule), group["place"].to_numpy(), group


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What an audit found about the records of one object of one connection that stand on one ladder.

    ``definition`` has that ladder alone. ``records`` has a row for each judged record; ``findings`` has columns ``row``
    (index into records), ``kind``, ``rule``, ``detail`` (words, or null), ``since``, ``severity`` and ``mode``. ``low``
    and ``high`` are the surely and possibly earned positions, -1 below the first rung. ``unread`` says why no record at
    all could be judged: the table, its ids or its stages were not read.

    ``waivers`` are those in force, ``expired`` those that were. ``let_off`` says whom each means (``waiver``, its
    number, and ``row``), and ``waived`` are the findings that would stand without them, with ``waiver``.
    """

    connection: str
    definition: Definition
    mapped: MappedObject
    records: pl.DataFrame
    evidence: EvidenceFrame
    criteria: Verdicts
    low: Positions
    high: Positions
    findings: pl.DataFrame
    waivers: Sequence[Waiver]
    expired: Sequence[Waiver]
    let_off: pl.DataFrame
    waived: pl.DataFrame
    scope: Scope
    unread: str | None
    left_out: Mapping[str, int]
    not_judged: Sequence[NotJudged]

    @property
    def complete(self) -> bool:
        """Every record that the mapping does not leave out on purpose was judged."""
        return self.unread is None and self.scope.evaluated + sum(self.left_out.values()) == self.scope.in_scope

    def each(self) -> Iterator[Finding]:
        """The findings as objects, with their evidence."""
        return self.some(self.findings)

    def some(self, findings: pl.DataFrame) -> Iterator[Finding]:
        """Some rows of ``findings`` as objects, in their order."""
        for part in findings.iter_slices(PART):
            yield from self._as_objects(part)

    def batches(self) -> Iterator[Batch]:
        """The findings by their essence, a few thousand at a time; most of them need never become objects."""
        for part in self.findings.iter_slices(PART):
            facts = essences.facts(part, self.records, f"{self.connection}:{self.mapped.name}", self._earned(part))
            codes: list[list[str]] = [[] for _ in range(part.height)]
            for kind, rule, places, group in _by_rule(part):
                for cited in self._cited(kind, rule, group["row"].to_numpy()):
                    code = code_of(cited.id, cited.verdict, cited.source, cited.ask, cited.because)
                    for place in places[cited.which].tolist():
                        codes[place].append(code)
            yield Batch(
                connection=self.connection,
                keys=facts["key"].to_list(),
                essences=[essence(text, iter(code)) for text, code in zip(facts["facts"], codes, strict=True)],
                some=partial(self._chosen, part),
            )

    def _chosen(self, findings: pl.DataFrame, places: Sequence[int]) -> Iterator[Finding]:
        return self.some(findings[list(places)])

    def verdicts(self, record: str) -> Mapping[str, Verdict]:
        """The verdict of each criterion of the ladder for one record; empty when the record was not judged."""
        row = self._rows_by_record.get(record)
        if row is None:
            return {}
        return {criterion.id: self.verdict(row, n) for n, criterion in enumerate(self.definition.criteria)}

    @property
    def modified(self) -> Mapping[str, datetime | None]:
        """When each judged record was last modified (UTC), as far as the mapping says."""
        return dict(zip(self.records["record"].to_list(), self.records["modified"].to_list(), strict=True))

    def row_of(self, record: str) -> int | None:
        """The row of a record in ``records``; None when it was not judged."""
        return self._rows_by_record.get(record)

    def name_of(self, record: str) -> str:
        """The name of a record, or its id where it was not judged."""
        row = self._rows_by_record.get(record)
        return str(self.records["name"][row]) if row is not None else record

    def is_worked_on(self, record: str) -> bool:
        """Whether a judged record is on a rung that people still work on: not parked, not terminal."""
        row = self._rows_by_record.get(record)
        rung = self.definition.rung(str(self.records["place"][row])) if row is not None else None
        return rung is not None and not rung.terminal

    @cached_property
    def _rows_by_record(self) -> Mapping[str, int]:
        return {record: row for row, record in enumerate(self.records["record"].to_list())}

    def verdict(self, row: int, criterion: int) -> Verdict:
        """The verdict of the n-th criterion of the ladder for a row of ``records``."""
        return self.criteria.at(row, criterion)

    def waivers_of(self, row: int) -> Sequence[Waiver]:
        """The waivers in force that mean a row of ``records``."""
        return [self.waivers[n] for n in self.let_off.filter(pl.col("row") == row)["waiver"]]

    def _as_objects(self, findings: pl.DataFrame) -> Iterator[Finding]:
        """Column by column: a dictionary for each row would cost more than what is made of it."""
        rows = findings["row"]
        found = (findings[name].to_list() for name in ("kind", "rule", "severity", "mode", "since"))
        records = (self.records[name].gather(rows).to_list() for name in _OF_RECORD)
        reasons, stages = self._reasons(findings), self._earned(findings).to_list()
        for n, (kind_, rule, severity, mode, since, record, name, owner, owner_name, place, native, *more) in enumerate(
            zip(*found, *records, strict=True)
        ):
            pipeline, since_source, amount = more
            kind = _KINDS[kind_]
            yield Finding(
                key=f"{self.connection}:{self.mapped.name}:{record}:{rule}",
                connection=self.connection,
                object=self.mapped.name,
                record=record,
                record_name=name,
                owner=owner,
                owner_name=owner_name,
                kind=kind,
                rule=rule,
                severity=_SEVERITIES[severity],
                mode=_MODES[mode],
                stage=place,
                native_stage=native,
                pipeline=pipeline,
                earned=stages[n],
                since=since,
                since_source=since_source,
                amount=amount,
                evidence=tuple(reasons[n]),
            )

    def _earned(self, findings: pl.DataFrame) -> pl.Series:
        """The stage that a finding's record has earned, as far as its kind is about that; null below the first."""
        rows, kinds = findings["row"].to_numpy(), findings["kind"]
        position = np.full(len(rows), -1, dtype=np.int64)
        for kind, earned in ((Kind.PREMATURE, self.high), (Kind.READY, self.low)):
            position = np.where((kinds == str(kind)).to_numpy(), earned[rows], position)
        names = pl.Series([*(rung.name for rung in self.definition.rungs), None], dtype=pl.String)
        # Position -1, below the first, reads the null at the end.
        return names.gather(pl.Series(np.where(position < 0, len(names) - 1, position)))

    def _reasons(self, findings: pl.DataFrame) -> list[list[Evidence]]:
        """The evidence of each finding, gathered criterion by criterion for all findings that it is about."""
        reasons: list[list[Evidence]] = [[] for _ in range(findings.height)]
        for kind, rule, places, group in _by_rule(findings):
            for which, said in self._told(kind, rule, group["row"].to_numpy(), group["detail"]):
                for place, evidence in zip(places[which].tolist(), said, strict=True):
                    reasons[place].append(evidence)
        return reasons

    def _told(
        self, kind: Kind, rule: str, rows: npt.NDArray[np.uint32], detail: pl.Series
    ) -> Iterator[tuple[npt.NDArray[np.intp], list[Evidence]]]:
        """Places in ``rows`` with a piece of evidence for each, in the order in which the pieces are told."""
        for cited in self._cited(kind, rule, rows):
            if cited.criterion is None:
                yield cited.which, self._worded(cited, rows, detail)
            else:
                said = self._evidence(cited.criterion, cited.verdict, rows[cited.which])
                if kind is Kind.CONTRADICTION:
                    said = [structs.replace(item, reason=f"{cited.because} ({item.reason})") for item in said]
                yield cited.which, said

    def _worded(self, cited: _Cited, rows: npt.NDArray[np.uint32], detail: pl.Series) -> list[Evidence]:
        """Evidence whose words the finding brings along."""
        item = cited.id.partition(".")[2]
        known = self.evidence.rows[item].gather(rows) if item in self.evidence.rows.columns else [None] * len(rows)
        return [
            Evidence(
                criterion=cited.id,
                verdict=cited.verdict,
                reason=str(words),
                value=shown(value) if item else None,
                source=cited.source,
                ask=cited.ask,
                because=cited.because,
            )
            for words, value in zip(detail, known, strict=True)
        ]

    def _cited(self, kind: Kind, rule: str, rows: npt.NDArray[np.uint32]) -> Iterator[_Cited]:
        """What the findings of one rule point at, in order: criteria, or the rule itself."""
        every = np.arange(len(rows))
        if kind is Kind.CONTRADICTION:
            for criterion in self.definition.contradictions:
                if f"{kind}.{criterion.id}" == rule:
                    yield self._cited_criterion(every, criterion, Verdict.MET)
        elif kind in (Kind.PREMATURE, Kind.READY):
            yield from self._cited_rungs(kind, rows)
        else:
            source = self.evidence.sources.get(rule.partition(".")[2])
            yield _Cited(which=every, id=rule, verdict=Verdict.NOT_MET, source=source, ask=_ASK[kind], because="")

    def _cited_rungs(self, kind: Kind, rows: npt.NDArray[np.uint32]) -> Iterator[_Cited]:
        """What is not met up to where premature records stand, or met above where those stand that are ready."""
        position = self.records["position"].to_numpy()[rows]
        lowest, highest = (0, position) if kind is Kind.PREMATURE else (position + 1, self.low[rows])
        for n, (criterion, rung) in enumerate(self._ladder()):
            met, possible = self.criteria.met[n], self.criteria.possible[n]
            told = (~(met | possible) if kind is Kind.PREMATURE else met).to_numpy()[rows]
            which = np.flatnonzero(told & (rung >= lowest) & (rung <= highest))
            if len(which):
                yield self._cited_criterion(
                    which, criterion, Verdict.NOT_MET if kind is Kind.PREMATURE else Verdict.MET
                )

    def _cited_criterion(self, which: npt.NDArray[np.intp], criterion: Criterion, verdict: Verdict) -> _Cited:
        return _Cited(
            which=which,
            id=criterion.id,
            verdict=verdict,
            source=source_of(criterion, self.evidence.sources),
            ask=criterion.ask,
            because=criterion.because,
            criterion=criterion,
        )

    def _evidence(self, criterion: Criterion, verdict: Verdict, rows: npt.NDArray[np.uint32]) -> list[Evidence]:
        names = [name for item in criterion.items for name in (item, item + UNREADABLE)]
        known = self.evidence.rows.select(name for name in names if name in self.evidence.rows.columns)
        return evidence_of(
            criterion,
            verdict,
            known=known[rows] if known.columns else known,
            records=len(rows),
            unknown=self.evidence.unknown,
            sources=self.evidence.sources,
        )

    def _ladder(self) -> Iterator[tuple[Criterion, int]]:
        for rung in self.definition.rungs:
            for criterion in rung.requires:
                yield criterion, rung.position


def waived(judgements: Sequence[Judgement]) -> list[waivers.Effect]:
    """What each waiver did in an audit, and which have expired."""
    return waivers.effects((one.waivers, one.expired, one.let_off, one.waived) for one in judgements)


_OF_RECORD = ("record", "name", "owner", "owner_name", "place", "native", "pipeline", "since_source", "amount")
# A look-up costs a fifth of what the enumeration's own call does.
_KINDS: Mapping[str, Kind] = {str(kind): kind for kind in Kind}
_SEVERITIES: Mapping[str, Severity] = {str(severity): severity for severity in Severity}
_MODES: Mapping[str, Mode] = {str(mode): mode for mode in Mode}
_ASK: Mapping[Kind, str] = {
    Kind.STALLED: "do the next thing with the buyer and log it, or move the record to where it belongs",
    Kind.PLACEHOLDER: "write down what is really known, or leave the field empty",
    Kind.UNOWNED: "give the record to somebody who works here",
    Kind.REGRESSED: "make sure that the stage is right, and note on the record why it went back",
    Kind.SKIPPED: "make sure that the record has what the stages that were left out require",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Auditor:
    """Definitions and a mapping, ready to judge what is read, at once or page by page.

    ``frame`` gives the moment (UTC) and the time zone. Conditions are compiled once for all pages on which the same
    is unknown. Nothing is written, and the same arguments give the same judgements.
    """

    definition: Definition
    mapping: CrmMapping
    frame: Frame
    _compiled: dict[object, Conditions] = field(default_factory=dict, init=False, repr=False)

    def judge(
        self,
        *,
        connection: str,
        tables: Tables,
        owners: Sequence[Owner],
        granted: Sequence[Waiver] = (),
        written: Mapping[str, Mapping[str, str]] | None = None,
    ) -> list[Judgement]:
        """Judge every object of the mapping: one judgement for each ladder on which its records may stand.

        ``owners`` may be empty when the source does not know them. ``granted`` are waivers beside those of the
        definitions. ``written`` is, by object and record, the native stage that StageSync itself gave a record last.
        """
        source = _Source(
            auditor=self,
            connection=connection,
            tables=tables,
            owners=owners,
            waivers=(*self.definition.waivers, *granted),
            written=written or {},
        )
        return [judgement for mapped in self.mapping.objects for judgement in _judge_object(source, mapped)]

    @cached_property
    def about(self) -> Frame:
        """The frame with what the definitions say of words."""
        return replace(self.frame, placeholders=self.definition.placeholders)

    def conditions(self, ladder: Definition, evidence: EvidenceFrame) -> Conditions:
        """What is asked of records that stand on a ladder, where this evidence is known."""
        frame = replace(
            self.about,
            unknown=frozenset(evidence.unknown),
            unreadable=evidence.unreadable,
            pasted=pasted(ladder, evidence.rows),
        )
        key = (tuple(ladder.ladders), tuple(evidence.rows.columns), frame)
        if key not in self._compiled:
            asked = conditions(ladder, evidence)
            for number, criterion in enumerate(ladder.criteria):
                asked |= conditions_of(number, criterion.expression, frame)
            self._compiled[key] = Conditions(asked=asked, frame=frame)
        return self._compiled[key]


def judge(
    *,
    connection: str,
    definition: Definition,
    mapping: CrmMapping,
    tables: Tables,
    owners: Sequence[Owner],
    frame: Frame,
    granted: Sequence[Waiver] = (),
    written: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Judgement]:
    """Judge tables once; see ``Auditor``."""
    auditor = Auditor(definition=definition, mapping=mapping, frame=frame)
    return auditor.judge(connection=connection, tables=tables, owners=owners, granted=granted, written=written)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What is judged, and by whom."""

    auditor: Auditor
    connection: str
    tables: Tables
    owners: Sequence[Owner]
    waivers: Sequence[Waiver]
    written: Mapping[str, Mapping[str, str]]


def _judge_object(source: _Source, mapped: MappedObject) -> Iterator[Judgement]:
    rows, unread = _readable(mapped, source.tables)
    judged = scope.select(source.auditor.definition, mapped, rows)
    for part in scope.by_ladder(source.auditor.definition, mapped, judged):
        yield _judge_ladder(source, mapped, part, unread)


def _judge_ladder(source: _Source, mapped: MappedObject, judged: scope.Judged, unread: str | None) -> Judgement:
    auditor, connection, tables, owners = source.auditor, source.connection, source.tables, source.owners
    definition = auditor.definition.on(judged.ladder)
    evidence = gather(
        mapping=auditor.mapping,
        mapped=mapped,
        records=judged.records,
        tables=tables,
        types=definition.vocabulary,
        frame=auditor.about,
    )
    # The history's condition is about columns, the criteria are about evidence; only the latter can be unknown.
    past = history.with_names(history.steps(definition, mapped, judged.records, tables, auditor.about), owners)
    records = _records(mapped, judged.records, past, owners, auditor.about)
    asked = auditor.conditions(definition, evidence)
    found, frame = asked.truths(evidence.rows), asked.frame
    criteria = verdicts(found, len(definition.criteria))
    not_judged = _not_judged(definition, evidence, records["position"], criteria)
    population = Population(connection=connection, object=mapped.name, records=records, evidence=evidence, frame=frame)
    in_force, expired = waivers.of(source.waivers, population)
    let_off = waivers.let_off(in_force, population)
    criteria = waivers.waived_criteria(definition, criteria, in_force, let_off)
    low = _earned(definition, criteria.met, records.height)
    high = _earned(definition, criteria.possible, records.height) if criteria.left_open else low
    standing = Standing(
        definition=definition,
        mapped=mapped,
        past=past,
        written=source.written.get(mapped.name, {}),
        records=records,
        evidence=evidence,
        frame=frame,
        low=low,
        high=high,
        found=found,
        owners_read=mapped.owner in judged.records.columns,
        owners_known=bool(owners),
        population=population,
    )
    findings, waived = waivers.split(find(standing), in_force, let_off)
    return Judgement(
        connection=connection,
        definition=definition,
        mapped=mapped,
        records=records,
        evidence=evidence,
        criteria=criteria,
        low=low,
        high=high,
        findings=findings,
        waivers=in_force,
        expired=expired,
        let_off=let_off,
        waived=waived,
        scope=Scope(
            connection=connection,
            object=mapped.name,
            ladder=judged.ladder if len(auditor.definition.ladders) > 1 else None,
            in_scope=judged.in_scope + (_height(mapped, tables) if unread else 0),
            evaluated=records.height,
            skipped={**judged.left_out, **judged.not_judged, **({unread: _height(mapped, tables)} if unread else {})},
        ),
        unread=unread,
        left_out=judged.left_out,
        not_judged=[
            *_not_left_out(mapped, tables, records.height),
            *not_judged,
        ],
    )


def _readable(mapped: MappedObject, tables: Tables) -> tuple[pl.DataFrame, str | None]:
    """The rows of an object, or no row and the reason why none of them can be judged."""
    table = mapped.table.name
    needed = [mapped.table.key, mapped.stage_field, *([mapped.group_field] if mapped.group_field else [])]
    rows, missing = tables.rows.get(table, pl.DataFrame()), tables.missing.get(table, {})
    absent = [column for column in needed if column not in rows.columns]
    if not absent:
        return rows, None
    nothing = rows.with_columns(pl.lit(None, dtype=pl.String).alias(column) for column in absent).clear()
    return nothing, "; ".join(f"{table}.{column}: {missing.get(column, 'was not read')}" for column in absent)


def _height(mapped: MappedObject, tables: Tables) -> int:
    rows = tables.rows.get(mapped.table.name)
    return rows.height if rows is not None else 0


def _earned(definition: Definition, truths_: Sequence[pl.Series], records: int) -> Positions:
    """The last position, counting up from the first, whose criteria and those of all before it hold; else -1."""
    position = np.full(records, -1, dtype=np.int16)
    still = pl.Series([True]).new_from_index(0, records)
    first = 0
    for rung in definition.rungs:
        last = first + len(rung.requires)
        still = reduce(and_, truths_[first:last], still)
        position += still.to_numpy()
        first = last
    return position


def _records(
    mapped: MappedObject, judged: pl.DataFrame, past: pl.DataFrame, owners: Sequence[Owner], frame: Frame
) -> pl.DataFrame:
    text = pl.lit(None, dtype=pl.String)

    def column(name: str | None, kind: pl.Expr) -> pl.Expr:
        return pl.col(name) if name is not None and name in judged.columns else kind

    key = pl.col(mapped.table.key)
    parts = [pl.col(name) for name in mapped.display_name if name in judged.columns]
    named = pl.concat_str(parts, separator=" ", ignore_nulls=True)
    records = judged.select(
        key.alias("record"),
        (pl.when(named != "").then(named).otherwise(key) if parts else key).alias("name"),
        column(mapped.owner, text).alias("owner"),
        pl.col(mapped.stage_field).alias("native"),
        column(mapped.group_field, text).alias("pipeline"),
        "place",
        "position",
        column(mapped.amount, pl.lit(None, dtype=pl.Float64)).alias("amount"),
        column(mapped.currency, text).alias("currency"),
        column(mapped.modified, pl.lit(None, dtype=pl.Datetime("us", "UTC"))).alias("modified"),
    )
    return _with_owners(records, owners).hstack(history.entries(mapped, judged, past, frame))


def _with_owners(records: pl.DataFrame, owners: Sequence[Owner]) -> pl.DataFrame:
    known = {"owner": pl.String(), "owner_name": pl.String(), "owner_active": pl.Boolean()}
    if not owners:
        blank = [pl.Series(name, [None], dtype=known[name]) for name in list(known)[1:]]
        return records.hstack([column.new_from_index(0, records.height) for column in blank])
    people = pl.DataFrame([(owner.id, owner.name, owner.active) for owner in owners], schema=known, orient="row")
    return records.join(people.unique("owner", keep="first"), on="owner", how="left", maintain_order="left")


def _not_left_out(mapped: MappedObject, tables: Tables, records: int) -> Iterator[NotJudged]:
    """Reasons for leaving records out that could not be looked at, so that some were judged which should not be."""
    table = mapped.table.name
    rows, missing = tables.rows.get(table), tables.missing.get(table, {})
    for column, words in mapped.skip.items():
        if records and (rows is None or column not in rows.columns):
            reason = f"nobody was left out for it: {table}.{column}: {missing.get(column, 'was not read')}"
            yield NotJudged(criterion=words, reason=reason, records=records)


def _not_judged(
    definition: Definition, evidence: EvidenceFrame, position: pl.Series, criteria: Verdicts
) -> list[NotJudged]:
    """Criteria of the rungs that records stand on or below which an unknown left open."""
    # What is settled is not asked for its criteria, so nothing about it is left open.
    working = [rung.position for rung in definition.rungs if not rung.terminal]
    places = [(criterion, rung) for rung in definition.rungs for criterion in rung.requires]
    result = []
    for n in criteria.left_open:
        criterion, rung = places[n]
        open_ = ~criteria.met[n] & criteria.possible[n]
        if rung.position in working and open_.any():
            asked = [other for other in working if other >= rung.position]
            records = int((open_ & position.is_in(asked)).sum())
            if records:
                said = evidence_for(criterion, Verdict.UNKNOWN, {}, evidence.unknown, evidence.sources)
                result.append(NotJudged(criterion=criterion.id, reason=said.reason, records=records))
    idle = [rung.position for rung in definition.rungs if rung.stalls_after.idle and not rung.terminal]
    quiet = int((position.is_in(idle) & stalls.unknown_activity(evidence)).sum()) if idle else 0
    if quiet:
        reason = f"{ACTIVITY} is unknown: {evidence.unknown.get(ACTIVITY, 'a value cannot be read')}"
        result.append(NotJudged(criterion="stalled (idle)", reason=reason, records=quiet))
    return result
