"""Tasks of a plan: which to open, whose text to change, which to hand on and which to close.

A record gets one task at most, and its owner's manager one more when the owner ended it. A key comes from what the
task asks for, or from the task that was ended, so that the same plan made twice, even with an empty ledger, never makes
a second task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date

from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, ChangeKind, TaskText
from stagesync.model.counting import counted
from stagesync.model.crm import Owner
from stagesync.model.findings import Finding, Verdict
from stagesync.model.kinds import Kind, Mode
from stagesync.planning.calendar import due_date, is_over
from stagesync.planning.draft import Draft, change_key, day_of, grounds_of, without
from stagesync.planning.escalation import TaskEnd
from stagesync.planning.situation import OpenTask
from stagesync.policy.mappings import MappedObject
from stagesync.policy.task_texts import Asking, Ended


class Tasks:
    """Plans the tasks of one connection into a draft."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        tasks = draft.situation.open_tasks
        self.by_rank = sorted(tasks, key=_rank)
        self.with_task = {(task.object, task.record): task for task in self.by_rank if task.escalates is None}
        self.kept: set[tuple[str, str]] = set()
        self.of_managers = {(task.object, task.record): task for task in tasks if task.escalates is not None}
        self.retold: set[str] = set()

    def ask(self, judgement: Judgement, findings: Sequence[Finding], move: Change | None) -> None:
        first = findings[0]
        criteria = tuple(
            evidence.criterion for one in findings if one.kind is Kind.PREMATURE for evidence in one.evidence
        )
        task = self.with_task.get((first.object, first.record))
        if task is not None:
            self.update_task(judgement, task, findings, criteria)
            if move is None:
                self.escalate(judgement, task, findings, criteria)
            return
        owner = self.assignee(first.owner)
        if owner is None:
            self.draft.skip(
                first, "no active person owns the record, and no fallback_owner of the connection can get its task"
            )
            return
        key = change_key("task", *(f"{one.key}@{day_of(one.since)}" for one in findings), *criteria)
        if move is None and key in self.draft.situation.taken_back:
            self.draft.skip(first, "its task was closed by a revert, and nobody is asked for the same once more")
            return
        moved = None if move is None else (str(move.stage_from), str(move.stage_to))
        said, labels = self.draft.situation.template, self.draft.labels(judgement, first)
        due = self.due(owner, judgement)
        self.draft.added(
            replace(
                self.asking(judgement, findings, ChangeKind.OPEN_TASK, owner),
                key=key,
                criteria=criteria,
                seen=_standing(judgement.mapped, first),
                before={} if move is None else move.after,
                stage_from=self.draft.label(judgement.mapped, first.pipeline, first.native_stage),
                task=TaskText(
                    subject=said.subject(findings, moved, labels=labels),
                    body=said.body(findings, moved, asking=self.way_to_ask(judgement), labels=labels, due=due),
                    due=due,
                    owner=owner,
                ),
            )
        )

    def escalate(
        self, judgement: Judgement, task: OpenTask, findings: Sequence[Finding], criteria: tuple[str, ...]
    ) -> None:
        """Tell the manager, once, of a task that its owner ended while what it asked for stays away."""
        first, known = findings[0], self.of_managers.get((task.object, task.record))
        if task.ended is None or not {one.key for one in findings} & set(task.findings):
            return
        who = self.draft.owners.get(task.text.owner if task.text else "")
        ended = self.ended(task.ended, who.name if who else "Somebody")
        if known is not None:
            self.update_task(judgement, known, findings, criteria, ended)
            return
        if not self.is_time(judgement, task.ended, who):
            return
        owner = self.draft.owners.get(first.owner or "") or who
        manager = owner and self.draft.situation.escalation.manager(
            owner, self.draft.owners, self.draft.situation.fallback_owner
        )
        if owner is None or manager is None:
            whose = owner.name if owner else "nobody"
            self.draft.skip(first, f"its task was ended, and no active manager of {whose} is known (tasks.managers)")
            return
        said, labels = self.draft.situation.template, self.draft.labels(judgement, first)
        due = self.due(manager.id, judgement)
        change = replace(
            self.asking(judgement, findings, ChangeKind.OPEN_TASK, manager.id),
            key=change_key("escalate", task.key),
            criteria=criteria,
            seen=_standing(judgement.mapped, first),
            stage_from=self.draft.label(judgement.mapped, first.pipeline, first.native_stage),
            escalates=task.key,
            task=TaskText(
                subject=said.subject(findings, ended=ended, labels=labels),
                body=said.body(findings, ended=ended, labels=labels, due=due),
                due=due,
                owner=manager.id,
            ),
        )
        # Protected is who owns the record; its manager has the task alone.
        reason = self.draft.situation.protected.reason(replace(change, owner=owner.id, owner_name=owner.name))
        if reason is None:
            self.draft.added(change)
        else:
            self.draft.left_out.append(without(change, reason))

    def is_time(self, judgement: Judgement, end: TaskEnd, who: Owner | None) -> bool:
        """Whether enough working days of the one who ended a task have passed since."""
        situation = self.draft.situation
        days = situation.calendars.of(who, judgement.definition.working_days)
        after = situation.escalation.after
        return after is not None and is_over(end.at, after, situation.now, situation.time_zone, days)

    def ended(self, end: TaskEnd, who: str) -> Ended:
        """The end of a task in the words of its template."""
        return Ended(who=who, how=end.how.value, day=end.at.astimezone(self.draft.situation.time_zone).date())

    def way_to_ask(self, judgement: Judgement) -> Asking:
        """How a rep asks for a waiver of what a task tells of."""
        mapped = judgement.mapped
        field = mapped.waiver_request and (
            self.draft.field(f"{mapped.table.name}.{mapped.waiver_request}") or mapped.waiver_request
        )
        return Asking(status=self.draft.situation.waiver_status_shown, field=field)

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
        self,
        judgement: Judgement,
        task: OpenTask,
        findings: Sequence[Finding],
        criteria: tuple[str, ...],
        ended: Ended | None = None,
    ) -> None:
        """Say in an open task what is found now, where that is something else. Wording alone is no reason.

        ``ended`` is the end of the task that this one, for the manager, follows.

        A task that tells of a move goes on asking for the evidence of the old stage, of which nothing is found now.
        """
        keys = tuple(one.key for one in findings)
        same = set(keys) == set(task.findings) and set(criteria) == set(task.criteria)
        # One of whose findings none is left is closed once its criteria are met; the next plan opens another.
        other = not set(keys) & set(task.findings)
        if same or other or task.text is None or task.crm_id is None or task.tells_of_a_move or task.refused:
            return
        first, said, labels = findings[0], self.draft.situation.template, self.draft.labels(judgement, findings[0])
        self.retold.add(task.key or str(task.crm_id))
        owner = (None if task.ended else self.next_owner(task, first.owner)) or task.text.owner
        subject, body = (
            said.subject(findings, ended=ended, labels=labels),
            said.body(findings, ended=ended, asking=self.way_to_ask(judgement), labels=labels, due=task.text.due),
        )
        text = replace(task.text, subject=subject, body=body, owner=owner)
        self.draft.added(
            replace(
                self.asking(judgement, findings, ChangeKind.UPDATE_TASK, owner),
                key=change_key("update", judgement.connection, str(task.crm_id), *sorted(keys), *sorted(criteria)),
                criteria=criteria,
                task=text,
                told=task.text,
                crm_id=task.crm_id,
                escalates=task.escalates,
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

    def next_owner(self, task: OpenTask, owner_id: str | None) -> str | None:
        """Who is to have an open task: whoever owns its record. A manager's stays with the manager who got it, as long
        as that one is active."""
        if task.escalates is None:
            return self.assignee(owner_id)
        people, situation = self.draft.owners, self.draft.situation
        has = people.get(task.text.owner if task.text else "")
        if has is None or has.active:
            return None
        owner = people.get(owner_id or "")
        manager = owner and situation.escalation.manager(owner, people, situation.fallback_owner)
        return manager.id if manager else None

    def look_after(self, judgement: Judgement, standing: set[str]) -> None:
        """Close tasks whose findings are gone and whose criteria are met, or whose record is worked on no longer; the
        others go with their record to its owner."""
        for task in reversed(self.by_rank):
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
                self.keep(judgement, task)
            elif _is_excused(judgement, task, verdicts):
                self.close(judgement, task, "a waiver was granted of what the task asked for", waived=True)
            elif asked <= {Verdict.MET}:
                self.close(judgement, task, "what the task asked for is there", there=True)
            elif not judgement.is_worked_on(task.record):
                self.close(judgement, task, "the record is no longer worked on", there=False)
            else:
                self.keep(judgement, task)

    def keep(self, judgement: Judgement, task: OpenTask) -> None:
        """A task that stays open: its rep hears that the waiver was refused, or it goes with its record.

        Of several that records had which are one now, one stays open.
        """
        if task.escalates is None and task.ended is None:
            place = task.object, task.record
            if place in self.kept:
                self.close(judgement, task, "its record was merged with one that has a task", there=False)
                return
            self.kept.add(place)
        if task.refused is None or task.ended is not None or task.text is None:
            self.hand_on(judgement, task)
            return
        words = self.draft.situation.template.refusal(task.refused)
        self.draft.added(
            replace(
                _about(judgement, task, f"the waiver that it asks for was refused by {task.refused.by}"),
                key=change_key("refuse", judgement.connection, str(task.crm_id), *asdict(task.refused).values()),
                kind=ChangeKind.UPDATE_TASK,
                criteria=task.criteria,
                before=task.before,
                task=replace(task.text, body=f"{task.text.body}\n\n{words}"),
                told=task.text,
                escalates=task.escalates,
                asked_by=self.draft.situation.waiver_status,
                adds=words,
            )
        )

    def hand_on(self, judgement: Judgement, task: OpenTask) -> None:
        """Give a task to whom its record belongs now, with the words that it has."""
        row = judgement.row_of(task.record)
        if (
            row is None
            or task.text is None
            or task.record in judgement.requests
            or task.ended is not None
            or (task.key or str(task.crm_id)) in self.retold
        ):
            return
        facts = judgement.records.row(row, named=True)
        owner = self.next_owner(task, facts["owner"])
        if owner is None or owner == task.text.owner:
            return
        name = self.draft.owners[owner].name if owner in self.draft.owners else owner
        why = "the record belongs to somebody else" if task.escalates is None else "the manager has left"
        self.draft.added(
            replace(
                _about(judgement, task, f"{why}; its task goes to {name}"),
                key=change_key("hand", judgement.connection, str(task.crm_id), task.text.owner, owner),
                kind=ChangeKind.UPDATE_TASK,
                owner=owner,
                owner_name=name,
                criteria=task.criteria,
                before=task.before,
                task=replace(task.text, owner=owner),
                told=task.text,
                escalates=task.escalates,
            )
        )

    def close(
        self, judgement: Judgement, task: OpenTask, reason: str, *, there: bool = False, waived: bool = False
    ) -> None:
        told, template = task.text, self.draft.situation.template
        said = None if told is None else template.closed(told, there=there, waived=waived)
        words = template.closing(there=there, waived=waived) if waived else None
        self.draft.added(
            replace(
                _about(judgement, task, reason),
                key=change_key("close", judgement.connection, task.object, task.record, str(task.crm_id)),
                kind=ChangeKind.CLOSE_TASK,
                task=said,
                told=told,
                adds=words,
            )
        )


def _rank(task: OpenTask) -> tuple[bool, bool]:
    """Which of several tasks of a record goes on, where records were merged: the last. Its own, else an open one."""
    own = any(f":{task.object}:{task.record}:" in key for key in task.findings)
    return own, task.ended is None


def _is_excused(judgement: Judgement, task: OpenTask, verdicts: Mapping[str, Verdict]) -> bool:
    """Whether waivers are why nothing is found any more of what a task told of: of its rules, or of its criteria."""
    excuses = judgement.excuses(task.record)
    rules = [key.rpartition(":")[2] for key in task.findings]
    if any(rule in excuses or rule.partition(".")[0] in excuses for rule in rules):
        return True
    missing = [one for one in task.criteria if verdicts.get(one, Verdict.MET) is not Verdict.MET]
    return bool(missing) and excuses.issuperset(missing)


def _standing(mapped: MappedObject, finding: Finding) -> dict[str, str | None]:
    """The fields that say in which stage a record is, with what they hold."""
    pipeline = {} if mapped.pipeline_field is None else {mapped.pipeline_field: finding.pipeline}
    return {mapped.stage_field: finding.native_stage, **pipeline}


def _about(judgement: Judgement, task: OpenTask, reason: str) -> Change:
    """A change of an open task, without its key and its kind."""
    return Change(
        key="",
        kind=ChangeKind.CLOSE_TASK,
        connection=judgement.connection,
        object=task.object,
        record=task.record,
        record_name=judgement.name_of(task.record),
        rule="task",
        mode=Mode.SUGGEST,
        reason=reason,
        findings=task.findings,
        crm_id=task.crm_id,
    )
