"""From findings to a plan: which stages to correct, which tasks to open and to close, in a total order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, ChangeKind, Plan
from stagesync.model.findings import Finding
from stagesync.model.kinds import Kind, Mode
from stagesync.planning.calendar import is_over
from stagesync.planning.disputes import Dispute, dispute, writer
from stagesync.planning.draft import Draft, change_key, day_of, grounds_of
from stagesync.planning.situation import Situation
from stagesync.planning.tasks import Tasks
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.mappings import MappedObject

KIND_ORDER = {kind: position for position, kind in enumerate(Kind)}
GRACE_OF_A_RETRY = Duration(1, Unit.BUSINESS_DAYS)
"""For rules that have no grace of their own: who put a record back has a working day to bring the evidence."""
WAITS = (
    "a waiver is asked for: '{words}'; nothing is written until it is granted with `stagesync waive`, or nobody asks "
    "for it any more"
)
CHANGE_ORDER = {kind: position for position, kind in enumerate(ChangeKind)}


def plan(judgements: Sequence[Judgement], situation: Situation) -> Plan:
    """The changes that the findings of one connection ask for, in the order in which they are to be made."""
    planner = _Planner(situation)
    for judgement in judgements:
        planner.take(judgement)
    planner.tasks.keep_to_the_cap()
    draft = planner.draft
    changes = sorted(draft.changes, key=lambda one: (CHANGE_ORDER[one.kind], one.object, one.record, one.key))
    left_out = sorted(draft.left_out, key=lambda one: (one.object, one.record, one.rule, one.reason))
    return Plan(changes=tuple(changes), left_out=tuple(left_out))


def joined(plans: Sequence[Plan]) -> Plan:
    """One plan of several connections."""
    return Plan(
        changes=tuple(change for part in plans for change in part.changes),
        left_out=tuple(entry for part in plans for entry in part.left_out),
    )


class _Planner:
    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.draft = Draft(situation)
        self.tasks = Tasks(self.draft)

    def take(self, judgement: Judgement) -> None:
        modified = judgement.modified
        found = sorted(judgement.each(), key=lambda one: (one.record, KIND_ORDER[one.kind], one.rule))
        by_record = {record: list(group) for record, group in groupby(found, key=lambda one: one.record)}
        for record, findings in by_record.items():
            acting = [one for one in findings if one.mode is not Mode.AUDIT]
            words = judgement.requests.get(record)
            if words is not None:
                for one in acting:
                    self.draft.skip(one, WAITS.format(words=words))
                continue
            acting = [one for one in acting if self.grace_is_over(judgement, one)]
            if acting:
                self.correct(judgement, acting, modified.get(record))
        self.tasks.look_after(judgement, {one.key for one in found})

    def grace_is_over(self, judgement: Judgement, finding: Finding) -> bool:
        grace = judgement.definition.rule(finding.rule).grace
        if grace is None:
            return True
        if finding.since is None:
            if finding.mode is not Mode.ENFORCE:
                return True
            self.draft.skip(
                finding, f"nothing says since when it is in this stage, so its grace of {grace} may not be over"
            )
            return False
        days = judgement.definition.working_days
        if is_over(finding.since, grace, self.situation.now, self.situation.time_zone, days):
            return True
        self.draft.skip(finding, f"in this stage for less than the grace of {grace}")
        return False

    def correct(self, judgement: Judgement, findings: Sequence[Finding], modified: datetime | None) -> None:
        move, asked = None, []
        for finding in findings:
            if finding.mode is not Mode.ENFORCE or not _moves(judgement, finding, moved=move is not None):
                asked.append(finding)
                continue
            corrections = self.situation.corrections.get((finding.object, finding.record), ())
            between = dispute(corrections, finding.native_stage)
            if between is not None and self.leaves_alone(judgement, finding, between):
                continue
            asked.append(finding)
            correction = self.correction(judgement, finding, modified, tries=between.tries if between else 0)
            if correction is not None and self.draft.added(correction):
                if finding.kind is Kind.STALLED:  # of a parked record nobody is asked anything
                    return
                move = correction
        if asked:
            self.tasks.ask(judgement, asked, move)

    def leaves_alone(self, judgement: Judgement, finding: Finding, between: Dispute) -> bool:
        """Whether a correction that came back is not made once more, for now or for good; the plan says why."""
        if not between.over:
            grace = judgement.definition.rule(finding.rule).grace or GRACE_OF_A_RETRY
            since = max(finding.since or between.last, between.last)
            days, zone = judgement.definition.working_days, self.situation.time_zone
            if is_over(since, grace, self.situation.now, zone, days):
                return False
            self.draft.skip(finding, f"its correction was put back; it is tried once more after {grace}")
            return True
        stage = self.draft.label(judgement.mapped, finding.pipeline, finding.native_stage)
        where = f"leaves this record alone in '{stage}'"
        if between.reverted is not None:
            reason = f"its correction was {between.reverted}; the rule {where}"
        else:
            who = writer(_moved_by(judgement, finding.record), self.draft.owners)
            when = f" on {day_of(finding.since)}" if finding.since else ""
            reason = (
                f"its correction was put back twice, last by {who}{when}; the rule {where}. Talk to them, or waive it"
            )
        self.draft.skip(
            finding, reason, stop=change_key("stop", finding.key, str(finding.native_stage), between.last.isoformat())
        )
        return True

    def correction(
        self, judgement: Judgement, finding: Finding, modified: datetime | None, *, tries: int
    ) -> Change | None:
        mapped, park_in = judgement.mapped, _park_in(judgement, finding)
        target = _target(judgement, finding) if park_in is None else _parking(judgement, finding, park_in)
        if target is None:
            none = "earlier stage" if park_in is None else f"stage for '{park_in}'"
            self.draft.skip(finding, f"there is no {none} in this pipeline to move the record to; a task asks instead")
            return None
        refusal = self.not_writable(mapped, finding.pipeline, target, parking=park_in is not None)
        if refusal is not None:
            self.draft.skip(finding, refusal)
            return None
        before = {mapped.stage_field: finding.native_stage}
        after: dict[str, str | None] = {mapped.stage_field: target}
        if mapped.pipeline_field is not None and finding.pipeline is not None:
            before[mapped.pipeline_field] = finding.pipeline
            after[mapped.pipeline_field] = finding.pipeline
        return Change(
            key=change_key(
                "stage", finding.key, str(finding.native_stage), target, finding.since, *[tries] * bool(tries)
            ),
            kind=ChangeKind.SET_STAGE,
            connection=finding.connection,
            object=finding.object,
            record=finding.record,
            record_name=finding.record_name,
            rule=finding.rule,
            mode=finding.mode,
            reason="; ".join(f"{evidence.criterion}: {evidence.reason}" for evidence in finding.evidence),
            owner=finding.owner,
            owner_name=finding.owner_name,
            grounds=grounds_of([finding]),
            findings=(finding.key,),
            before=before,
            after=after,
            modified=modified,
            amount=finding.amount,
            currency=judgement.currency_of(finding.record),
            stage_from=self.draft.label(mapped, finding.pipeline, finding.native_stage),
            stage_to=self.draft.label(mapped, finding.pipeline, target),
        )

    def not_writable(self, mapped: MappedObject, pipeline: str | None, target: str, *, parking: bool) -> str | None:
        known = self.situation.stages.get(mapped.name, ())
        if not known:
            return None
        for stage in known:
            if stage.value == target and stage.pipeline in (pipeline, None):
                if not stage.active:
                    return f"the stage '{target}' is no longer active in the CRM"
                if parking and stage.closed:
                    return f"the stage '{target}' closes the record, and only a person may do that; a task asks instead"
                return None if stage.writable else f"the stage '{target}' may not be written by an integration"
        return f"the CRM has no stage '{target}'"


def _moves(judgement: Judgement, finding: Finding, *, moved: bool) -> bool:
    """Whether a finding asks for another stage. A stalled record that is ``moved`` anyway begins there afresh."""
    return finding.kind is Kind.PREMATURE or (not moved and _park_in(judgement, finding) is not None)


def _park_in(judgement: Judgement, finding: Finding) -> str | None:
    """The parking place for a record that is stalled, where its rule names one."""
    return judgement.definition.rule(finding.rule).park_in if finding.kind is Kind.STALLED else None


def _parking(judgement: Judgement, finding: Finding, place: str) -> str | None:
    """The first listed native stage of a parking place, or None where the pipeline (or record type) has none."""
    stages = judgement.mapped.targets_in(finding.pipeline)
    return next((native for native, there in stages.items() if there == place and native), None)


def _target(judgement: Judgement, finding: Finding) -> str | None:
    """The native stage to move to, or None where the pipeline (or record type) has none below the present one.

    It is the last listed of the highest rung that is earned and that the pipeline has; when all its rungs are above
    what is earned, the first listed of the lowest. Never a parking place, and never the blank that ``""`` stands for.
    """
    mapped, definition = judgement.mapped, judgement.definition
    positions = {rung.name: rung.position for rung in definition.rungs if not rung.terminal}
    ladder = [
        (positions[place], native)
        for native, place in mapped.targets_in(finding.pipeline).items()
        if place in positions and native
    ]
    present, earned = positions.get(str(finding.stage), -1), positions.get(str(finding.earned), -1)
    below = [(position, native) for position, native in ladder if position < present]
    if not below:
        return None
    reached = [position for position, _ in below if position <= earned]
    rung = max(reached) if reached else min(position for position, _ in below)
    natives = [native for position, native in below if position == rung]
    return natives[-1] if reached else natives[0]


def _moved_by(judgement: Judgement, record: str) -> str | None:
    row = judgement.row_of(record)
    found = None if row is None else judgement.records["moved_by"][row]
    return None if found is None else str(found)


def order(plan_: Plan) -> Iterator[tuple[ChangeKind, str, list[Change]]]:
    """The changes in batches that may share a call: by kind, connection and object, in the plan's order."""
    for kind in ChangeKind:
        of_kind = [change for change in plan_.changes if change.kind is kind]
        places = dict.fromkeys((change.connection, change.object) for change in of_kind)
        for connection, object_name in places:
            batch = [change for change in of_kind if (change.connection, change.object) == (connection, object_name)]
            yield kind, connection, batch
