"""The JSON of audits as types. What is written is one of these, and the JSON Schemas are made of them.

Keys may be added under one version, none taken away and none renamed. Moments are ISO 8601 with an offset, always UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from stagesync.audit.forecast import Forecast
from stagesync.audit.funnel import Funnel, funnels
from stagesync.audit.judgement import Judgement, waived
from stagesync.audit.waivers import Effect
from stagesync.model.findings import Evidence, Finding, Verdict
from stagesync.model.kinds import Kind, Mode, Severity

REPORT_VERSION = 1
"""Counts the incompatible changes of reports and of plans."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]
# Most validators do not look at a format unless they are told to.
Moment: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", extra_json_schema={"format": "date-time"})
]
Day: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$", extra_json_schema={"format": "date"})]
Version: TypeAlias = Annotated[int, Meta(ge=REPORT_VERSION, le=REPORT_VERSION)]


class Unknown(Struct, frozen=True, kw_only=True):
    """A criterion that something unknown left open for some records."""

    criterion: str
    reason: str
    records: Count


class ScopeRow(Struct, frozen=True, kw_only=True):
    """How much of one object was judged: `in_scope` is `evaluated` plus all that were skipped."""

    connection: str
    object: str
    ladder: Annotated[str | None, Meta(description="its name, where the definitions have several")]
    in_scope: Count
    evaluated: Count
    skipped: Annotated[dict[str, Count], Meta(description="by reason, how many records were not judged")]
    unknown: list[Unknown]


class EvidenceRow(Struct, frozen=True, kw_only=True):
    """One reason for a finding."""

    criterion: str
    verdict: Verdict
    reason: str
    value: str | None
    source: str | None
    ask: Annotated[str, Meta(description="what would mend it")]


class FindingRow(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or ready, about one record."""

    key: Annotated[str, Meta(description="connection:object:record:rule; the same in the ledger and in every run")]
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
    stage: Annotated[str | None, Meta(description="the rung or parking place on which the record stands")]
    native_stage: Annotated[str | None, Meta(description="the stage as the CRM stores it")]
    pipeline: str | None
    earned: Annotated[str | None, Meta(description="null below the first stage, and for rules that earn nothing")]
    since: Moment | None
    since_source: str | None
    amount: Annotated[float | None, Meta(description="money at stake, in the record's own currency")]
    evidence: list[EvidenceRow]


class WinRateRow(Struct, frozen=True, kw_only=True):
    """Of `closed` records that once stood on the stage, `won` were won. Without a rate there is a reason."""

    stage: str
    rate: Annotated[float, Meta(ge=0, le=1)] | None
    won: Count
    closed: Count
    reason: str | None


class Worth(Struct, frozen=True, kw_only=True):
    """Some open records and their worth; a sum is null where it needs a win rate that is not known."""

    records: Count
    without_amount: Count
    face: float | None
    weighted: float | None
    earned_low: float | None
    earned_high: float | None


class StageWorth(Worth, frozen=True, kw_only=True):
    """The open records on one stage."""

    stage: str


class OwnerWorth(Worth, frozen=True, kw_only=True):
    """The open records of one owner."""

    owner: str | None
    owner_name: str | None


class ForecastRow(Struct, frozen=True, kw_only=True):
    """Face value and earned value of the open pipeline of one object."""

    connection: str
    object: str
    ladder: Annotated[str | None, Meta(description="its name, where the definitions have several")]
    win_rates: list[WinRateRow]
    total: Worth
    unearned: Annotated[Worth, Meta(description="the records that surely have earned no stage of this pipeline")]
    by_stage: list[StageWorth]
    by_owner: list[OwnerWorth]
    currencies: Annotated[
        list[str], Meta(description="of the amounts, where the mapping names the field; several have no sum")
    ]


class FunnelRungRow(Struct, frozen=True, kw_only=True):
    """The records of one rung: how many stand on it, and how many surely have and may have earned it, and no more."""

    stage: str
    terminal: bool
    standing: Count
    surely: Count
    could: Count
    inverted: Annotated[str | None, Meta(description="the rung below it that holds fewer records, by the field")]
    inverted_earned: Annotated[str | None, Meta(description="the same by evidence, whatever the unknowns are")]


class FunnelRow(Struct, frozen=True, kw_only=True):
    """A ladder of one connection from the bottom up, all its objects together."""

    connection: str
    definition: str
    ladder: Annotated[str | None, Meta(description="its name, where the definitions have several")]
    rungs: list[FunnelRungRow]
    surely_none: Annotated[Count, Meta(description="records on a rung that surely have earned none")]
    could_none: Annotated[Count, Meta(description="records on a rung that may have earned none")]
    parked: Annotated[Count, Meta(description="records that stand on no rung; they are counted nowhere else")]


class WaiverRow(Struct, frozen=True, kw_only=True):
    """A waiver that concerns what was audited, and what it did. A criterion that is waived sets no finding aside."""

    id: str
    rule: Annotated[str, Meta(description="a kind of finding, one rule of it, or a criterion")]
    connection: str | None
    object: str | None
    record: str | None
    by: str
    reason: str
    until: Day
    expired: bool
    records: Annotated[Count, Meta(description="how many records it lets off")]
    findings: Annotated[Count, Meta(description="how many findings it set aside")]


class Summary(Struct, frozen=True, kw_only=True):
    """A report but for its findings: what has one size however many findings there are."""

    version: Version
    run: Annotated[str | None, Meta(description="the run in the ledger; null where nothing is recorded")]
    as_of: Annotated[Moment, Meta(description="the moment by which the audit judges")]
    scope: list[ScopeRow]
    funnel: list[FunnelRow]
    forecast: list[ForecastRow]
    waivers: list[WaiverRow]


class Report(Summary, frozen=True, kw_only=True):
    """What an audit found: `stagesync audit --format json` and `stagesync run --format json`."""

    findings: Annotated[list[FindingRow], Meta(description="the worst first: by severity, then by amount")]


def summary(
    run: str | None, as_of: datetime, judgements: Sequence[Judgement], forecasts: Sequence[Forecast]
) -> Summary:
    """What a report says besides its findings."""
    return Summary(
        version=REPORT_VERSION,
        run=run,
        as_of=as_of.isoformat(),
        scope=[_scope(judgement) for judgement in judgements],
        funnel=[_funnel(funnel) for funnel in funnels(judgements)],
        forecast=[_forecast(forecast) for forecast in forecasts],
        waivers=[_waiver(effect) for effect in waived(judgements)],
    )


def _waiver(effect: Effect) -> WaiverRow:
    waiver = effect.waiver
    return WaiverRow(
        id=waiver.id,
        rule=waiver.rule,
        connection=waiver.connection,
        object=waiver.object,
        record=waiver.record,
        by=waiver.by,
        reason=waiver.reason,
        until=waiver.until.isoformat(),
        expired=effect.expired,
        records=effect.records,
        findings=effect.findings,
    )


def _funnel(funnel: Funnel) -> FunnelRow:
    return FunnelRow(
        connection=funnel.connection,
        definition=funnel.definition,
        ladder=funnel.ladder,
        rungs=[FunnelRungRow(**asdict(rung)) for rung in funnel.rungs],
        surely_none=funnel.surely_none,
        could_none=funnel.could_none,
        parked=funnel.parked,
    )


def _scope(judgement: Judgement) -> ScopeRow:
    return ScopeRow(
        connection=judgement.scope.connection,
        object=judgement.scope.object,
        ladder=judgement.scope.ladder,
        in_scope=judgement.scope.in_scope,
        evaluated=judgement.scope.evaluated,
        skipped=dict(judgement.scope.skipped),
        unknown=[
            Unknown(criterion=entry.criterion, reason=entry.reason, records=entry.records)
            for entry in judgement.not_judged
        ],
    )


def _forecast(forecast: Forecast) -> ForecastRow:
    return ForecastRow(
        connection=forecast.connection,
        object=forecast.object,
        ladder=forecast.ladder,
        win_rates=[
            WinRateRow(stage=rate.stage, rate=rate.rate, won=rate.won, closed=rate.closed, reason=rate.reason)
            for rate in forecast.rates
        ],
        total=Worth(**asdict(forecast.total)),
        unearned=Worth(**asdict(forecast.unearned)),
        by_stage=[StageWorth(stage=stage, **asdict(value)) for stage, value in forecast.by_stage.items()],
        by_owner=[
            OwnerWorth(owner=owned.owner, owner_name=owned.name, **asdict(owned.value)) for owned in forecast.by_owner
        ],
        currencies=list(forecast.currencies),
    )


def finding_row(finding: Finding) -> FindingRow:
    """A finding as it is written."""
    return FindingRow(
        key=finding.key,
        connection=finding.connection,
        object=finding.object,
        record=finding.record,
        record_name=finding.record_name,
        owner=finding.owner,
        owner_name=finding.owner_name,
        kind=finding.kind,
        rule=finding.rule,
        severity=finding.severity,
        mode=finding.mode,
        stage=finding.stage,
        native_stage=finding.native_stage,
        pipeline=finding.pipeline,
        earned=finding.earned,
        since=finding.since.isoformat() if finding.since else None,
        since_source=finding.since_source,
        amount=finding.amount,
        evidence=[_evidence(evidence) for evidence in finding.evidence],
    )


def _evidence(evidence: Evidence) -> EvidenceRow:
    return EvidenceRow(
        criterion=evidence.criterion,
        verdict=evidence.verdict,
        reason=evidence.reason,
        value=evidence.value,
        source=evidence.source,
        ask=evidence.ask,
    )
