"""Tasks of a plan: which to open, whose text to change, which to hand on and which to close.

A record gets one task at most. Its key comes from what the task asks for, so that the same plan made twice, even
with an empty ledger, never makes a second task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, ChangeKind, Mode, TaskText
from stagesync.model.counting import counted
from stagesync.model.findings import Finding, Kind, Verdict
from stagesync.planning.calendar import due_date
from stagesync.planning.draft import Draft, change_key, day_of, grounds_of, without
from stagesync.planning.situation import OpenTask
from stagesync.policy.mappings import MappedObject


class Tasks:
    """Plans the tasks of one connection into a draft."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.with_task = {(task.object, task.record): task for task in draft.situation.open_tasks}
        self.retold: set[tuple[str, str]] = set()

    def ask(self, judgement: Judgement, findings: Sequence[Finding], move: Change | None) -> None:
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
            self.draft.skip(
                first, "no active person owns the record, and no fallback_owner of the connection can get its task"
            )
            return
        moved = None if move is None else (str(move.stage_from), str(move.stage_to))
        self.draft.added(
            replace(
                self.asking(judgement, findings, ChangeKind.OPEN_TASK, owner),
                key=change_key("task", *(f"{one.key}@{day_of(one.since)}" for one in findings), *criteria),
                criteria=criteria,
                seen=_standing(judgement.mapped, first),
                before={} if move is None else move.after,
                stage_from=self.draft.label(judgement.mapped, first.pipeline, first.native_stage),
                task=TaskText(
                    subject=self.draft.situation.template.subject(findings, moved),
                    body=self.draft.situation.template.body(findings, moved),
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
            owner_name=self.draft.owners[owner].name if owner in self.draft.owners else None,
            grounds=grounds_of(findings),
            findings=tuple(one.key for one in findings),
            amount=first.amount,
            currency=judgement.currency_of(first.record),
        )

    def due(self, owner: str, judgement: Judgement) -> date:
        """When a task is due that an owner gets today: a day on which this person works."""
        days = self.draft.situation.calendars.of(self.draft.owners.get(owner), judgement.definition.working_days)
        return due_date(self.draft.situation.today, self.draft.situation.task_due, days)

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
        first, said = findings[0], self.draft.situation.template
        self.retold.add((task.object, task.record))
        owner = self.assignee(first.owner) or task.text.owner
        text = replace(task.text, subject=said.subject(findings), body=said.body(findings), owner=owner)
        self.draft.added(
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
        cap = self.draft.situation.tasks_a_day
        if cap is None:
            return
        tasks = [change for change in self.draft.changes if change.kind is ChangeKind.OPEN_TASK]
        room = {change.owner: cap - self.draft.situation.opened_today.get(str(change.owner), 0) for change in tasks}
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
                self.draft.left_out.append(without(task, f"{reason}; this one waits for another day"))
        self.draft.changes = [one for one in self.draft.changes if (one.kind, one.object, one.record) not in waiting]

    def assignee(self, owner_id: str | None) -> str | None:
        """Who gets the task of a record of this owner: a person who is active, or nobody."""
        if not self.draft.owners:
            return owner_id or self.draft.situation.fallback_owner
        for candidate in (owner_id, self.draft.situation.fallback_owner):
            owner = self.draft.owners.get(candidate or "")
            if owner is not None and owner.active and not owner.queue:
                return owner.id
        return None

    def look_after(self, judgement: Judgement, standing: set[str]) -> None:
        """Close tasks whose findings are gone and whose criteria are met, or whose record is worked on no longer; the
        others go with their record to its owner."""
        for task in self.draft.situation.open_tasks:
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
        name = self.draft.owners[owner].name if owner in self.draft.owners else owner
        self.draft.added(
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
        said = None if told is None else self.draft.situation.template.closed(told, there=there)
        self.draft.added(_closing(judgement, task, reason, said))


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
