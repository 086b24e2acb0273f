"""From findings to a plan: which stages to correct, which tasks to open and to close, in a total order.

A record gets one task at most. Its key comes from what the task asks for, so that the same plan made twice, even
with an empty ledger, never makes a second task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import groupby

from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, ChangeKind, Ground, LeftOut, Mode, Plan, TaskText
from stagesync.model.counting import counted
from stagesync.model.findings import Finding, Kind, Verdict
from stagesync.planning.calendar import due_date, is_over
from stagesync.planning.disputes import Dispute, dispute, writer
from stagesync.planning.situation import OpenTask, Situation
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.mappings import MappedObject

KIND_ORDER = {kind: position for position, kind in enumerate(Kind)}
GRACE_OF_A_RETRY = Duration(1, Unit.BUSINESS_DAYS)
"""For rules that have no grace of their own: who put a record back has a working day to bring the evidence."""
WAITS = (
    "a waiver is asked for: '{words}'; nothing is written until it is granted with `stagesync waive`, or the field "
    "is empty"
)
CHANGE_ORDER = {kind: position for position, kind in enumerate(ChangeKind)}


def plan(judgements: Sequence[Judgement], situation: Situation) -> Plan:
    """The changes that the findings of one connection ask for, in the order in which they are to be made."""
    planner = _Planner(situation)
    for judgement in judgements:
        planner.take(judgement)
    planner.keep_to_the_cap()
    changes = sorted(planner.changes, key=lambda one: (CHANGE_ORDER[one.kind], one.object, one.record, one.key))
    left_out = sorted(planner.left_out, key=lambda one: (one.object, one.record, one.rule, one.reason))
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
        self.owners = {owner.id: owner for owner in situation.owners}
        self.with_task = {(task.object, task.record): task for task in situation.open_tasks}
        self.retold: set[tuple[str, str]] = set()
        self.changes: list[Change] = []
        self.left_out: list[LeftOut] = []

    def take(self, judgement: Judgement) -> None:
        modified = judgement.modified
        found = sorted(judgement.each(), key=lambda one: (one.record, KIND_ORDER[one.kind], one.rule))
        by_record = {record: list(group) for record, group in groupby(found, key=lambda one: one.record)}
        for record, findings in by_record.items():
            acting = [one for one in findings if one.mode is not Mode.AUDIT]
            words = judgement.requests.get(record)
            if words is not None:
                for one in acting:
                    self.skip(one, WAITS.format(words=words))
                continue
            acting = [one for one in acting if self.grace_is_over(judgement, one)]
            if acting:
                self.correct(judgement, acting, modified.get(record))
        self.look_after_tasks(judgement, {one.key for one in found})

    def grace_is_over(self, judgement: Judgement, finding: Finding) -> bool:
        grace = judgement.definition.rule(finding.rule).grace
        if grace is None:
            return True
        if finding.since is None:
            if finding.mode is not Mode.ENFORCE:
                return True
            self.skip(finding, f"nothing says since when it is in this stage, so its grace of {grace} may not be over")
            return False
        days = judgement.definition.working_days
        if is_over(finding.since, grace, self.situation.now, self.situation.time_zone, days):
            return True
        self.skip(finding, f"in this stage for less than the grace of {grace}")
        return False

    def correct(self, judgement: Judgement, findings: Sequence[Finding], modified: datetime | None) -> None:
        move, asked = None, []
        for finding in findings:
            if finding.kind is not Kind.PREMATURE or finding.mode is not Mode.ENFORCE:
                asked.append(finding)
                continue
            corrections = self.situation.corrections.get((finding.object, finding.record), ())
            between = dispute(corrections, finding.native_stage)
            if between is not None and self.leaves_alone(judgement, finding, between):
                continue
            asked.append(finding)
            correction = self.correction(judgement, finding, modified, tries=between.tries if between else 0)
            if correction is not None and self.added(correction):
                move = correction
        if asked:
            self.open_task(judgement, asked, move)

    def leaves_alone(self, judgement: Judgement, finding: Finding, between: Dispute) -> bool:
        """Whether a correction that came back is not made once more, for now or for good; the plan says why."""
        if not between.over:
            grace = judgement.definition.rule(finding.rule).grace or GRACE_OF_A_RETRY
            since = max(finding.since or between.last, between.last)
            days, zone = judgement.definition.working_days, self.situation.time_zone
            if is_over(since, grace, self.situation.now, zone, days):
                return False
            self.skip(finding, f"its correction was put back; it is tried once more after {grace}")
            return True
        where = f"leaves this record alone in '{self.label(judgement.mapped, finding.pipeline, finding.native_stage)}'"
        if between.reverted is not None:
            reason = f"its correction was {between.reverted}; the rule {where}"
        else:
            who = writer(_moved_by(judgement, finding.record), self.owners)
            when = f" on {_day(finding.since)}" if finding.since else ""
            reason = (
                f"its correction was put back twice, last by {who}{when}; the rule {where}. Talk to them, or waive it"
            )
        self.skip(
            finding, reason, stop=change_key("stop", finding.key, str(finding.native_stage), between.last.isoformat())
        )
        return True

    def correction(
        self, judgement: Judgement, finding: Finding, modified: datetime | None, *, tries: int
    ) -> Change | None:
        mapped, target = judgement.mapped, _target(judgement, finding)
        if target is None:
            self.skip(finding, "there is no earlier stage in this pipeline to move the record to; a task asks instead")
            return None
        refusal = self.not_writable(mapped, finding.pipeline, target)
        if refusal is not None:
            self.skip(finding, refusal)
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
            grounds=_grounds([finding]),
            findings=(finding.key,),
            before=before,
            after=after,
            modified=modified,
            amount=finding.amount,
            currency=judgement.currency_of(finding.record),
            stage_from=self.label(mapped, finding.pipeline, finding.native_stage),
            stage_to=self.label(mapped, finding.pipeline, target),
        )

    def label(self, mapped: MappedObject, pipeline: str | None, native: str | None) -> str | None:
        """What people see in the CRM for a stage."""
        for stage in self.situation.stages.get(mapped.name, ()):
            if stage.value == native and stage.pipeline in (pipeline, None):
                return stage.label
        return native

    def not_writable(self, mapped: MappedObject, pipeline: str | None, target: str) -> str | None:
        known = self.situation.stages.get(mapped.name, ())
        if not known:
            return None
        for stage in known:
            if stage.value == target and stage.pipeline in (pipeline, None):
                if not stage.active:
                    return f"the stage '{target}' is no longer active in the CRM"
                return None if stage.writable else f"the stage '{target}' may not be written by an integration"
        return f"the CRM has no stage '{target}'"

    def open_task(self, judgement: Judgement, findings: Sequence[Finding], move: Change | None) -> None:
        first = findings[0]
        criteria = tuple(
            evidence.criterion for one in findings if one.kind is Kind.PREMATURE for evidence in one.evidence
        )
        task = self.with_task.get((first.object, first.record))
        if task is not None:
            self.update_task(judgement, task, findings, criteria)
            return
        owner = self.assignee(first.owner)
        if owner is None:
            self.skip(
                first, "no active person owns the record, and no fallback_owner of the connection can get its task"
            )
            return
        moved = None if move is None else (str(move.stage_from), str(move.stage_to))
        self.added(
            replace(
                self.asking(judgement, findings, ChangeKind.OPEN_TASK, owner),
                key=change_key("task", *(f"{one.key}@{_day(one.since)}" for one in findings), *criteria),
                criteria=criteria,
                seen=_standing(judgement.mapped, first),
                before={} if move is None else move.after,
                stage_from=self.label(judgement.mapped, first.pipeline, first.native_stage),
                task=TaskText(
                    subject=self.situation.template.subject(findings, moved),
                    body=self.situation.template.body(findings, moved),
                    due=self.due(owner, judgement),
                    owner=owner,
                ),
            )
        )

    def asking(self, judgement: Judgement, findings: Sequence[Finding], kind: ChangeKind, owner: str | None) -> Change:
        """A change of the task that asks for what some findings of one record miss, without its text and its key."""
        first = findings[0]
        return Change(
            key="",
            kind=kind,
            connection=first.connection,
            object=first.object,
            record=first.record,
            record_name=first.record_name,
            rule=first.rule,
            mode=first.mode,
            reason="; ".join(evidence.reason for one in findings for evidence in one.evidence),
            owner=owner,
            owner_name=self.owners[owner].name if owner in self.owners else None,
            grounds=_grounds(findings),
            findings=tuple(one.key for one in findings),
            amount=first.amount,
            currency=judgement.currency_of(first.record),
        )

    def due(self, owner: str, judgement: Judgement) -> date:
        """When a task is due that an owner gets today: a day on which this person works."""
        days = self.situation.calendars.of(self.owners.get(owner), judgement.definition.working_days)
        return due_date(self.situation.today, self.situation.task_due, days)

    def update_task(
        self, judgement: Judgement, task: OpenTask, findings: Sequence[Finding], criteria: tuple[str, ...]
    ) -> None:
        """Say in an open task what is found now, where that is something else. Wording alone is no reason.

        A task that tells of a move goes on asking for the evidence of the old stage, of which nothing is found now.
        """
        keys = tuple(one.key for one in findings)
        same = set(keys) == set(task.findings) and set(criteria) == set(task.criteria)
        # One of whose findings none is left is closed once its criteria are met; the next plan opens another.
        other = not set(keys) & set(task.findings)
        if same or other or task.text is None or task.crm_id is None or task.tells_of_a_move:
            return
        first, said = findings[0], self.situation.template
        self.retold.add((task.object, task.record))
        owner = self.assignee(first.owner) or task.text.owner
        text = replace(task.text, subject=said.subject(findings), body=said.body(findings), owner=owner)
        self.added(
            replace(
                self.asking(judgement, findings, ChangeKind.UPDATE_TASK, owner),
                key=change_key("update", judgement.connection, str(task.crm_id), *sorted(keys), *sorted(criteria)),
                criteria=criteria,
                task=text,
                told=task.text,
                crm_id=task.crm_id,
            )
        )

    def keep_to_the_cap(self) -> None:
        """Of each owner's tasks only as many as a day has room for, those with most money first.

        A correction waits together with the task that tells of it: nobody is moved without a word.
        """
        cap = self.situation.tasks_a_day
        if cap is None:
            return
        tasks = [change for change in self.changes if change.kind is ChangeKind.OPEN_TASK]
        room = {change.owner: cap - self.situation.opened_today.get(str(change.owner), 0) for change in tasks}
        waiting: set[tuple[ChangeKind, str, str]] = set()
        for task in sorted(tasks, key=lambda one: (-(one.amount or 0.0), one.key)):
            room[task.owner] -= 1
            if room[task.owner] < 0:
                waiting.add((ChangeKind.OPEN_TASK, task.object, task.record))
                if task.tells_of_a_move:
                    waiting.add((ChangeKind.SET_STAGE, task.object, task.record))
                reason = (
                    f"{task.owner_name or task.owner} gets {counted(cap, 'task')} a day, those with most money first"
                )
                self.left_out.append(_left_out(task, f"{reason}; this one waits for another day"))
        self.changes = [one for one in self.changes if (one.kind, one.object, one.record) not in waiting]

    def assignee(self, owner_id: str | None) -> str | None:
        """Who gets the task of a record of this owner: a person who is active, or nobody."""
        if not self.owners:
            return owner_id or self.situation.fallback_owner
        for candidate in (owner_id, self.situation.fallback_owner):
            owner = self.owners.get(candidate or "")
            if owner is not None and owner.active and not owner.queue:
                return owner.id
        return None

    def look_after_tasks(self, judgement: Judgement, standing: set[str]) -> None:
        """Close tasks whose findings are gone and whose criteria are met, or whose record is worked on no longer; the
        others go with their record to its owner."""
        for task in self.situation.open_tasks:
            if task.object != judgement.mapped.name or task.crm_id is None:
                continue
            verdicts = judgement.verdicts(task.record)
            if not verdicts:
                # Gone or hidden: nothing says that what was asked for is there. What the mapping leaves out is clear:
                # a converted lead has become something else, which has a task of its own where it needs one.
                aside = judgement.why_aside(task.record)
                if aside is not None:
                    self.close(judgement, task, f"the record is judged no longer: {aside}", there=False)
                continue
            asked = {verdicts.get(criterion, Verdict.MET) for criterion in task.criteria}
            if standing & set(task.findings):
                self.hand_on(judgement, task)
            elif asked <= {Verdict.MET}:
                self.close(judgement, task, "what the task asked for is there", there=True)
            elif not judgement.is_worked_on(task.record):
                self.close(judgement, task, "the record is no longer worked on", there=False)
            else:
                self.hand_on(judgement, task)

    def hand_on(self, judgement: Judgement, task: OpenTask) -> None:
        """Give a task to whom its record belongs now, with the words that it has."""
        row = judgement.row_of(task.record)
        if (
            row is None
            or task.text is None
            or task.record in judgement.requests
            or (task.object, task.record) in self.retold
        ):
            return
        facts = judgement.records.row(row, named=True)
        owner = self.assignee(facts["owner"])
        if owner is None or owner == task.text.owner:
            return
        name = self.owners[owner].name if owner in self.owners else owner
        self.added(
            Change(
                key=change_key("hand", judgement.connection, str(task.crm_id), task.text.owner, owner),
                kind=ChangeKind.UPDATE_TASK,
                connection=judgement.connection,
                object=task.object,
                record=task.record,
                record_name=judgement.name_of(task.record),
                rule="task",
                mode=Mode.SUGGEST,
                reason=f"the record belongs to somebody else; its task goes to {name}",
                owner=owner,
                owner_name=name,
                findings=task.findings,
                criteria=task.criteria,
                before=task.before,
                task=replace(task.text, owner=owner),
                told=task.text,
                crm_id=task.crm_id,
            )
        )

    def close(self, judgement: Judgement, task: OpenTask, reason: str, *, there: bool) -> None:
        told = task.text
        said = None if told is None else self.situation.template.closed(told, there=there)
        self.added(_closing(judgement, task, reason, said))

    def added(self, change: Change) -> bool:
        """Whether a change went into the plan; one of what is protected is named instead."""
        reason = self.situation.protected.reason(change)
        if reason is None:
            self.changes.append(change)
            return True
        entry = _left_out(change, reason)
        if entry not in self.left_out[-1:]:
            self.left_out.append(entry)
        return False

    def skip(self, finding: Finding, reason: str, *, stop: str | None = None) -> None:
        self.left_out.append(
            LeftOut(
                connection=finding.connection,
                object=finding.object,
                record=finding.record,
                record_name=finding.record_name,
                rule=finding.rule,
                reason=reason,
                stop=stop,
            )
        )


def _left_out(change: Change, reason: str) -> LeftOut:
    return LeftOut(
        connection=change.connection,
        object=change.object,
        record=change.record,
        record_name=change.record_name,
        rule=change.rule,
        reason=reason,
    )


def _target(judgement: Judgement, finding: Finding) -> str | None:
    """The native stage to move to, or None where the pipeline (or record type) has none below the present one.

    It is the last listed of the highest rung that is earned and that the pipeline has; when all its rungs are above
    what is earned, the first listed of the lowest. Never a parking place, and never the blank that ``""`` stands for.
    """
    mapped, definition = judgement.mapped, judgement.definition
    positions = {rung.name: rung.position for rung in definition.rungs if not rung.terminal}
    ladder = [
        (positions[place], native)
        for native, place in mapped.stages_in(finding.pipeline).items()
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


def _grounds(findings: Sequence[Finding]) -> tuple[Ground, ...]:
    return tuple(
        Ground(
            criterion=evidence.criterion,
            verdict=evidence.verdict.value,
            reason=evidence.reason,
            value=evidence.value,
            source=evidence.source,
        )
        for finding in findings
        for evidence in finding.evidence
    )


def _standing(mapped: MappedObject, finding: Finding) -> dict[str, str | None]:
    """The fields that say in which stage a record is, with what they hold."""
    pipeline = {} if mapped.pipeline_field is None else {mapped.pipeline_field: finding.pipeline}
    return {mapped.stage_field: finding.native_stage, **pipeline}


def _closing(judgement: Judgement, task: OpenTask, reason: str, said: TaskText | None) -> Change:
    return Change(
        key=change_key("close", judgement.connection, task.object, task.record, str(task.crm_id)),
        kind=ChangeKind.CLOSE_TASK,
        connection=judgement.connection,
        object=task.object,
        record=task.record,
        record_name=judgement.name_of(task.record),
        rule="task",
        mode=Mode.SUGGEST,
        reason=reason,
        findings=task.findings,
        task=said,
        told=task.text,
        crm_id=task.crm_id,
    )


def change_key(*parts: object) -> str:
    """A short key from what the change is about: 20 hexadecimal digits, after a prefix that says whose it is."""
    text = "\x1f".join(_day(part) if isinstance(part, datetime) else str(part) for part in parts)
    return f"stagesync-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d") if moment else ""


def order(plan_: Plan) -> Iterator[tuple[ChangeKind, str, list[Change]]]:
    """The changes in batches that may share a call: by kind, connection and object, in the plan's order."""
    for kind in ChangeKind:
        of_kind = [change for change in plan_.changes if change.kind is kind]
        places = dict.fromkeys((change.connection, change.object) for change in of_kind)
        for connection, object_name in places:
            batch = [change for change in of_kind if (change.connection, change.object) == (connection, object_name)]
            yield kind, connection, batch
