"""The audit: every record against every criterion, in columns; earned stages; findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import and_

import numpy as np
import polars as pl
from msgspec import structs

from stagesync.audit import history, scope, stalls, waivers
from stagesync.audit.evidence import EvidenceFrame, Tables, gather
from stagesync.audit.findings import Positions, Standing, conditions, find
from stagesync.audit.judgement import Judgement, NotJudged
from stagesync.audit.masks import Frame, Pasted
from stagesync.audit.pasted import pasted
from stagesync.audit.reasons import CONTROL, evidence_for
from stagesync.audit.verdicts import Conditions, Verdicts, conditions_of, verdicts
from stagesync.audit.words import Population
from stagesync.model.crm import Owner
from stagesync.model.findings import Scope, Verdict
from stagesync.model.tables import UNREADABLE
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import ACTIVITY, Definition
from stagesync.policy.mappings import CrmMapping, MappedObject

PART = 5_000
"""How many findings are made into objects at a time."""
NO_TEXT, NO_NUMBER = pl.Series([None], dtype=pl.String), pl.Series([None], dtype=pl.Float64)
NO_MOMENT, NO_TRUTH = pl.Series([None], dtype=pl.Datetime("us", "UTC")), pl.Series([None], dtype=pl.Boolean)
TRUTH = pl.Series([True])


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
    _ladders: dict[str, Definition] = field(default_factory=dict, init=False, repr=False)
    _places: dict[str, scope.Places] = field(default_factory=dict, init=False, repr=False)

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

    def on(self, ladder: str) -> Definition:
        """The definitions with this ladder alone."""
        if ladder not in self._ladders:
            self._ladders[ladder] = self.definition.on(ladder)
        return self._ladders[ladder]

    def places(self, mapped: MappedObject) -> scope.Places:
        """What :func:`scope.known_places` says of an object."""
        if mapped.name not in self._places:
            self._places[mapped.name] = scope.known_places(self.definition, mapped)
        return self._places[mapped.name]

    @cached_property
    def about(self) -> Frame:
        """The frame with what the definitions say of words."""
        return replace(self.frame, placeholders=self.definition.placeholders)

    def conditions(self, ladder: Definition, evidence: EvidenceFrame, texts: frozenset[Pasted]) -> Conditions:
        """What is asked of records that stand on a ladder, where this evidence is known and these texts are pasted."""
        frame = replace(
            self.about,
            unknown=frozenset(evidence.unknown),
            unreadable=evidence.unreadable,
            pasted=texts,
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
    judged = scope.select(source.auditor.definition, mapped, source.auditor.places(mapped), rows)
    for part in scope.by_ladder(source.auditor.definition, mapped, judged):
        yield _judge_ladder(source, mapped, part, judged.records, unread)


def _judge_ladder(
    source: _Source, mapped: MappedObject, judged: scope.Judged, all_records: pl.DataFrame, unread: str | None
) -> Judgement:
    auditor, connection, tables, owners = source.auditor, source.connection, source.tables, source.owners
    definition = auditor.on(judged.ladder)
    evidence = _evidence(source, definition, mapped, judged.records)
    texts = evidence
    if definition.pasted is not None and judged.records.height < all_records.height:
        # A text is pasted on records of an object, on whatever ladder these stand.
        items = {item: mapped.evidence[item] for item in definition.pasted_items if item in mapped.evidence}
        texts = _evidence(source, definition, structs.replace(mapped, evidence=items), all_records)
    # The history's condition is about columns, the criteria are about evidence; only the latter can be unknown.
    past = history.with_names(history.steps(definition, mapped, judged.records, tables, auditor.about), owners)
    records = _records(mapped, judged.records, past, owners, auditor.about)
    asked = auditor.conditions(definition, evidence, pasted(definition, texts.rows))
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
        aside=judged.aside,
        not_judged=[
            *_not_left_out(mapped, tables, records.height),
            *not_judged,
        ],
    )


def _evidence(source: _Source, definition: Definition, mapped: MappedObject, records: pl.DataFrame) -> EvidenceFrame:
    return gather(
        mapping=source.auditor.mapping,
        mapped=mapped,
        records=records,
        tables=source.tables,
        types=definition.vocabulary,
        frame=source.auditor.about,
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
    still = TRUTH.new_from_index(0, records)
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
    columns = {*judged.columns}
    key = judged[mapped.table.key]

    def column(name: str | None, called: str, blank: pl.Series = NO_TEXT) -> pl.Series:
        return (judged[name] if name in columns else blank.new_from_index(0, judged.height)).alias(called)

    records = pl.DataFrame(
        [
            key.alias("record"),
            _names(judged, key, [name for name in mapped.display_name if name in columns]).alias("name"),
            column(mapped.owner, "owner"),
            column(mapped.stage_field, "native"),
            column(mapped.group_field, "pipeline"),
            judged[scope.PLACE].alias("place"),
            judged[scope.POSITION].alias("position"),
            column(mapped.amount, "amount", NO_NUMBER),
            column(mapped.currency, "currency"),
            column(mapped.waiver_request, "waiver_request"),
            column(mapped.modified, "modified", NO_MOMENT),
        ]
    )
    return _with_owners(records, owners).hstack(history.entries(mapped, judged, past, frame))


def _names(judged: pl.DataFrame, key: pl.Series, parts: Sequence[str]) -> pl.Series:
    """What people call the records; the key of those that have no name."""
    if not parts:
        return key
    named = pl.concat_str(parts, separator=" ", ignore_nulls=True)
    found = judged.select(name=pl.when(named != "").then(named).otherwise(key.name)).to_series()
    # To look for these alone costs half of what it costs to look for the whole class of signs.
    marred = any(found.str.contains(sign, literal=True).any() for sign in ("\n", "\x1b"))
    return found.str.replace_all(CONTROL, " ") if marred else found


def _with_owners(records: pl.DataFrame, owners: Sequence[Owner]) -> pl.DataFrame:
    if not owners:
        blank = (NO_TEXT.alias("owner_name"), NO_TRUTH.alias("owner_active"))
        return records.hstack([column.new_from_index(0, records.height) for column in blank])
    known = {"owner": pl.String(), "owner_name": pl.String(), "owner_active": pl.Boolean()}
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
                marred = {item + UNREADABLE: True for item in evidence.unreadable}
                said = evidence_for(criterion, Verdict.UNKNOWN, marred, evidence.unknown, evidence.sources)
                result.append(NotJudged(criterion=criterion.id, reason=said.reason, records=records))
    idle = [rung.position for rung in definition.rungs if rung.stalls_after.idle and not rung.terminal]
    quiet = int((position.is_in(idle) & stalls.unknown_activity(evidence)).sum()) if idle else 0
    if quiet:
        reason = f"{ACTIVITY} is unknown: {evidence.unknown.get(ACTIVITY, 'it cannot be read')}"
        result.append(NotJudged(criterion="stalled (idle)", reason=reason, records=quiet))
    return result
