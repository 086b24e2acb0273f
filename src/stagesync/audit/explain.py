"""Why a record is judged as it is: the whole ladder, every criterion with its verdict, value, source and age."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from msgspec import structs

from stagesync.audit.ages import Age
from stagesync.audit.judgement import Judgement
from stagesync.audit.reasons import evidence_for
from stagesync.model.findings import Evidence, Finding, Verdict
from stagesync.model.record_ids import long_id
from stagesync.model.waivers import Waiver

NO_AGES: Mapping[str, Age] = {}
NO_NAMES: Mapping[str, str] = {}


class Explained(Evidence, frozen=True, kw_only=True):
    """A criterion, with as of when its items are, as far as anything tells."""

    ages: tuple[Age, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A rung of the ladder and what the record has of it. ``surely`` and ``possibly`` include all rungs below."""

    stage: str
    means: str
    stands_here: bool
    terminal: bool
    surely: bool
    possibly: bool
    criteria: tuple[Explained, ...]


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A finding that would stand without the waiver."""

    finding: Finding
    waiver: Waiver


@dataclass(frozen=True, kw_only=True)
class PastStage:
    """A row of a record's stage history: since ``at`` (UTC) it had this native stage, which stands for ``stage``, a
    rung or parking place (None where the mapping does not know it); ``by`` is who or what brought it there."""

    at: datetime
    native_stage: str | None
    stage: str | None
    by: str | None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Everything that an audit knows about one record. ``earned`` and ``could_have_earned`` are None below the first
    stage; ``since`` and ``last_activity`` are UTC. ``history`` is in the order of time, the newest last."""

    connection: str
    object: str
    record: str
    record_name: str
    owner: str | None
    stage: str
    native_stage: str | None
    pipeline: str | None
    since: datetime | None
    since_source: str | None
    moved_by: str | None
    last_activity: datetime | None
    amount: float | None
    earned: str | None
    could_have_earned: str | None
    ladder: tuple[Step, ...]
    history: tuple[PastStage, ...]
    findings: tuple[Finding, ...]
    waived: tuple[SetAside, ...]
    waivers: tuple[Waiver, ...]


def explain(
    judgement: Judgement,
    record: str,
    ages: Mapping[str, Age] = NO_AGES,
    past: pl.DataFrame | None = None,
    names: Mapping[str, str] = NO_NAMES,
) -> Explanation | None:
    """The explanation of one record, None when it was not judged. ``ages`` is what ``ages.ages`` says of it, ``past``
    what ``history.past_stages`` gives, ``names`` what ``history.names_of`` says of who is in it."""
    row = judgement.row_of(record)
    if row is None:
        return None
    facts = judgement.records.row(row, named=True)
    values = judgement.evidence.rows.row(row, named=True)
    activity = values.get("last_activity")
    low, high = int(judgement.low[row]), int(judgement.high[row])
    rungs = judgement.definition.rungs
    return Explanation(
        connection=judgement.connection,
        object=judgement.mapped.name,
        record=record,
        record_name=facts["name"],
        owner=facts["owner_name"] or facts["owner"],
        stage=facts["place"],
        native_stage=facts["native"],
        pipeline=facts["pipeline"],
        since=facts["since"],
        since_source=facts["since_source"],
        moved_by=facts["moved_by"],
        last_activity=activity if isinstance(activity, datetime) else None,
        amount=facts["amount"],
        earned=rungs[low].name if low >= 0 else None,
        could_have_earned=rungs[high].name if high >= 0 else None,
        ladder=tuple(_steps(judgement, row, str(facts["place"]), ages)),
        findings=tuple(judgement.some(judgement.findings.filter(pl.col("row") == row))),
        waived=tuple(_set_aside(judgement, row)),
        waivers=tuple(judgement.waivers_of(row)),
        history=_history(judgement, facts, past, names) if past is not None else (),
    )


def _set_aside(judgement: Judgement, row: int) -> Iterator[SetAside]:
    waived = judgement.waived.filter(pl.col("row") == row)
    for finding, number in zip(judgement.some(waived), waived["waiver"], strict=True):
        yield SetAside(finding=finding, waiver=judgement.waivers[number])


def _steps(judgement: Judgement, row: int, place: str, ages: Mapping[str, Age]) -> Iterator[Step]:
    values = judgement.evidence.rows.row(row, named=True)
    waived = {waiver.rule: waiver for waiver in judgement.waivers_of(row)}
    number = 0
    for rung in judgement.definition.rungs:
        criteria = []
        for criterion in rung.requires:
            verdict = judgement.verdict(row, number)
            said = evidence_for(criterion, verdict, values, judgement.evidence.unknown, judgement.evidence.sources)
            if verdict is Verdict.UNKNOWN and criterion.id in waived:
                said = structs.replace(said, reason=waived[criterion.id].words)
            known = tuple(ages[item] for item in criterion.items if item in ages)
            criteria.append(Explained(**structs.asdict(said), ages=known))
            number += 1
        yield Step(
            stage=rung.name,
            means=rung.means,
            stands_here=rung.name == place,
            terminal=rung.terminal,
            surely=rung.position <= int(judgement.low[row]),
            possibly=rung.position <= int(judgement.high[row]),
            criteria=tuple(criteria),
        )


def _history(
    judgement: Judgement, facts: Mapping[str, Any], past: pl.DataFrame, names: Mapping[str, str]
) -> tuple[PastStage, ...]:
    own = judgement.mapped.stages_in(facts["pipeline"])
    places = [rung.name for rung in judgement.definition.rungs]

    def place(native: str | None) -> str | None:
        """What the record's own pipeline or record type makes of a stage; else what all of them do."""
        native = native or ""
        meant = {place for (_, other), place in judgement.mapped.stages.items() if other == native}
        return own.get(native) or (meant.pop() if len(meant) == 1 else None)

    def turn(row: Mapping[str, Any]) -> tuple[object, ...]:
        # As the audit has it: of rows of one moment the one into the present stage came last.
        where = place(row["stage"])
        on = places.index(where) if where in places else len(places)
        return row["at"], row["stage"] == facts["native"], on, row["by"] or ""

    rows = past.filter(pl.col("record") == facts["record"]).to_dicts()
    return tuple(
        PastStage(
            at=row["at"], native_stage=row["stage"], stage=place(row["stage"]), by=names.get(row["by"], row["by"])
        )
        for row in sorted(rows, key=turn)
    )


def find(judgements: list[Judgement], wanted: str) -> list[tuple[Judgement, str]]:
    """The judged records that a person means: by id, or by name if no id matches (case does not matter)."""
    record = long_id(wanted)
    by_id = [(judgement, record) for judgement in judgements if judgement.row_of(record) is not None]
    if by_id:
        return by_id
    name = wanted.strip().casefold()
    return [
        (judgement, record)
        for judgement in judgements
        for record, called in zip(judgement.records["record"], judgement.records["name"], strict=True)
        if str(called).casefold() == name
    ]
