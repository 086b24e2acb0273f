"""The audit: every record against every criterion, in columns; earned stages; findings.

Only the findings that somebody looks at become objects: a judgement keeps its records, verdicts and findings as
frames and arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, reduce
from operator import and_
from typing import Any

import numpy as np
import polars as pl

from stagesync.audit import history, scope, stalls, waivers
from stagesync.audit.evidence import EvidenceFrame, Tables, gather
from stagesync.audit.findings import Positions, Standing, conditions, find
from stagesync.audit.masks import Frame
from stagesync.audit.reasons import evidence_for, shown
from stagesync.audit.verdicts import Conditions, Verdicts, conditions_of, verdicts
from stagesync.audit.words import Population
from stagesync.model.changes import Mode
from stagesync.model.crm import Owner
from stagesync.model.findings import Evidence, Finding, Kind, Scope, Severity, Verdict
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
            records, values = self.records[part["row"]], self.evidence.rows[part["row"]]
            parts = (frame.iter_rows(named=True) for frame in (part, records, values))
            for found, record, known in zip(*parts, strict=True):
                yield self._finding(found, record, known)

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

    def _finding(self, found: Mapping[str, Any], record: Mapping[str, Any], values: Mapping[str, Any]) -> Finding:
        row, kind = int(str(found["row"])), Kind(str(found["kind"]))
        earned = {Kind.PREMATURE: self.high, Kind.READY: self.low}.get(kind)
        position = int(earned[row]) if earned is not None else -1
        rule = str(found["rule"])
        return Finding(
            key=f"{self.connection}:{self.mapped.name}:{record['record']}:{rule}",
            connection=self.connection,
            object=self.mapped.name,
            record=record["record"],
            record_name=record["name"],
            owner=record["owner"],
            owner_name=record["owner_name"],
            kind=kind,
            rule=rule,
            severity=Severity(str(found["severity"])),
            mode=Mode(str(found["mode"])),
            stage=record["place"],
            native_stage=record["native"],
            pipeline=record["pipeline"],
            earned=self.definition.rungs[position].name if position >= 0 else None,
            since=found["since"] if isinstance(found["since"], datetime) else None,
            since_source=record["since_source"],
            amount=record["amount"],
            evidence=self._reasons(row, kind, rule, found["detail"], values),
        )

    def _reasons(
        self, row: int, kind: Kind, rule: str, detail: object, values: Mapping[str, Any]
    ) -> tuple[Evidence, ...]:
        if kind is Kind.CONTRADICTION:
            chosen = [c for c in self.definition.contradictions if f"{kind}.{c.id}" == rule]
            sources = self.evidence.sources
            met = [(c, evidence_for(c, Verdict.MET, values, self.evidence.unknown, sources)) for c in chosen]
            return tuple(replace(item, reason=f"{c.because} ({item.reason})") for c, item in met)
        if kind in (Kind.PREMATURE, Kind.READY):
            position = int(self.records["position"][row])
            wanted = {Kind.PREMATURE: Verdict.NOT_MET, Kind.READY: Verdict.MET}[kind]
            reach = position if kind is Kind.PREMATURE else int(self.low[row])
            return tuple(
                evidence_for(criterion, wanted, values, self.evidence.unknown, self.evidence.sources)
                for n, (criterion, rung) in enumerate(self._ladder())
                if rung <= reach and self.verdict(row, n) is wanted and (kind is Kind.PREMATURE or rung > position)
            )
        item = rule.partition(".")[2]
        value = shown(values.get(item)) if item else None
        return (
            Evidence(
                criterion=rule,
                verdict=Verdict.NOT_MET,
                reason=str(detail),
                value=value,
                ask=_ASK[kind],
                source=self.evidence.sources.get(item),
            ),
        )

    def _ladder(self) -> Iterator[tuple[Criterion, int]]:
        for rung in self.definition.rungs:
            for criterion in rung.requires:
                yield criterion, rung.position


def waived(judgements: Sequence[Judgement]) -> list[waivers.Effect]:
    """What each waiver did in an audit, and which have expired."""
    return waivers.effects((one.waivers, one.expired, one.let_off, one.waived) for one in judgements)


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
        frame = replace(self.about, unknown=frozenset(evidence.unknown), unreadable=evidence.unreadable)
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
    past = history.steps(definition, mapped, judged.records, tables, auditor.about)
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
    needed = [mapped.table.key, mapped.stage_field, *([mapped.pipeline_field] if mapped.pipeline_field else [])]
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
        column(mapped.pipeline_field, text).alias("pipeline"),
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
