"""A rep ends a task and the evidence stays away: the manager gets one task, once, and it closes like any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.ledger import EntryKind
from stagesync.model.changes import Change, ChangeKind, mark
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment, mark_in_texts
from .office import HubSpotOffice, Office, SalesforceOffice, Task
from .test_owner_calendars import working_day
from .test_run import bring_evidence, mendable, open_tasks

OFFICES: dict[str, Callable[[Sandbox], Office]] = {"salesforce": SalesforceOffice, "hubspot": HubSpotOffice}
LATER = timedelta(days=7)
BOTH = pytest.mark.parametrize("crm", ["salesforce", "hubspot"])


def run(agent: Deployment, after: timedelta = timedelta(0)) -> RunResult:
    """A run as if so much time had passed."""
    with agent.agent(clock=lambda: datetime.now(UTC) + after) as opened:
        return cycle.run(opened, command="run", write=True)


def people(office: Office) -> dict[str, str]:
    """The ids of active and former salespeople by email."""
    if office.name == "salesforce":
        return {user["Email"]: key for key, user in office.rows()["User"].items()}
    return {body["email"]: key for key, body in office.rows()["owners"].items() if body.get("email")}


def email(number: int) -> str:
    return f"user{number:02d}@northwind-robotics.example"


BOSS, DEPUTY, LEAVER, SUBSTITUTE = email(1), email(2), email(13), email(3)


def with_managers(agent: Deployment, sandbox: Sandbox, office: Office, of_leaver: str) -> None:
    """Everybody reports to the boss, the boss to a deputy, and the owner ``of_leaver`` to one who has left."""
    ids = people(office)
    connection = agent.words["connections"][office.name]
    connection["fallback_owner"] = ids[SUBSTITUTE]
    agent.words["rules"] = {"premature": {"mode": "suggest"}, "stalled": {"mode": "audit"},
                            "contradiction": {"mode": "audit"}, "placeholder": {"mode": "audit"}}  # fmt: skip
    agent.words["tasks"] = {"due": "3 business days", "escalate_after": "2 business days"}
    if office.name == "salesforce":
        for who, user in ids.items():
            manager = DEPUTY if who == BOSS else LEAVER if user == of_leaver else BOSS
            Writer(sandbox.org, sandbox.org.integration_user_id).update(
                SOBJECTS["User"], user, {"ManagerId": ids[manager]}
            )
    else:
        agent.words["tasks"]["managers"] = [
            {"manager": LEAVER, "owners": [of_leaver]},
            {"manager": DEPUTY, "owners": [BOSS]},
            {"manager": ids[BOSS]},
        ]
    agent.save()


def by_record(office: Office) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for task in sorted(office.tasks(), key=lambda one: one.id):
        found.setdefault(one_place(task), []).append(task)
    return found


def one_place(task: Task) -> str:
    return task.record


def chosen(planned: list[Change], office: Office, ids: dict[str, str]) -> tuple[Change, Change]:
    """Tasks of two owners, neither of whom manages, whose evidence a rep can bring."""
    aside = {ids[one] for one in (BOSS, DEPUTY, SUBSTITUTE)}
    fit = [one for one in planned if mendable(office, one) and one.owner not in aside]
    first = fit[0]
    second = next(one for one in fit if one.owner != first.owner)
    return first, second


@BOTH
def test_a_manager_hears_once_of_what_a_rep_ended(sandbox: Sandbox, deploy: Deploy, crm: str) -> None:
    office = OFFICES[crm](sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only(crm)
    ids = people(office)
    with_managers(agent, sandbox, office, of_leaver="nobody")
    with agent.agent(write=False) as opened:
        dry = cycle.run(opened, command="plan", write=False)
    done, gone = chosen(open_tasks(dry, crm), office, ids)
    with_managers(agent, sandbox, office, of_leaver=str(gone.owner))
    assert run(agent).exit_code == 0
    first = by_record(office)
    office.complete(first[done.record][0].id)
    office.delete(first[gone.record][0].id)

    # Not before the time is over.
    assert run(agent).plan.changes == ()
    assert by_record(office).keys() == first.keys() - {gone.record}

    told = run(agent, LATER)

    assert told.exit_code == 0, told.errors
    made = [one for one in told.plan.changes if one.escalates]
    assert {one.record for one in made} == {done.record, gone.record}
    assert len(told.plan.changes) == len(made)
    after = by_record(office)
    rep_task, manager_task = after[done.record]
    (substitute_task,) = after[gone.record]
    assert rep_task == office_task(first[done.record][0], closed=True)
    assert (manager_task.owner, substitute_task.owner) == (ids[BOSS], ids[SUBSTITUTE])
    today = datetime.now(UTC).date()
    for task, change, deed in ((manager_task, done, "completed"), (substitute_task, gone, "deleted")):
        assert not task.closed
        assert task.key != change.key
        assert f"{change.owner_name} had a task about it, which was {deed} on {today}" in task.body
        assert f"This record belongs to {change.owner_name}." in task.body
        assert str(change.owner_name) in task.subject
        assert change.task is not None
        for line in change.task.body.splitlines():
            assert not line.startswith("- ") or line in unescape(task.body)
        assert date.fromisoformat(task.due) == working_day(today + LATER, 3, set())
    assert {record: one for record, one in after.items() if record not in (done.record, gone.record)} == {
        record: one for record, one in first.items() if record not in (done.record, gone.record)
    }

    # Nor a second time, nor another when the manager ends his.
    assert run(agent, LATER).plan.changes == ()
    office.complete(substitute_task.id)
    much_later = run(agent, LATER + timedelta(days=60))
    assert not [one for one in much_later.plan.changes if one.record in (done.record, gone.record)]

    # What was asked for arrives: the manager's task closes with thanks.
    bring_evidence(office, done)
    assert run(agent, LATER).exit_code == 0
    closed = by_record(office)[done.record][1]
    assert closed.closed
    assert "Thank you" in closed.body
    with agent.ledger() as ledger:
        tracked = {task.key for task in ledger.tasks(crm)}
    assert not tracked & {done.key, manager_task.key}


def office_task(task: Task, *, closed: bool) -> Task:
    return Task(**{**vars(task), "closed": closed})


@BOTH
def test_no_second_task_of_a_manager_with_an_empty_ledger(sandbox: Sandbox, deploy: Deploy, crm: str) -> None:
    office = OFFICES[crm](sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only(crm)
    with_managers(agent, sandbox, office, of_leaver="nobody")
    assert run(agent).exit_code == 0
    for task in office.tasks()[:3]:
        office.complete(task.id)
    assert run(agent, LATER).exit_code == 0
    made = office.tasks()
    assert sum(len(tasks) > 1 for tasks in by_record(office).values()) == 3

    agent.ledger_file.unlink()
    for _ in range(3):
        assert run(agent, LATER).exit_code == 0
        assert office.tasks() == made
    with agent.ledger() as ledger:
        assert sum(task.escalates is not None for task in ledger.tasks(crm)) == 3
    assert run(agent, LATER).plan.changes == ()


def test_the_mark_of_a_managers_task_is_its_own(sandbox: Sandbox, deploy: Deploy) -> None:
    office = SalesforceOffice(sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only("salesforce")
    mark_in_texts(agent)
    sandbox.org.faults.hidden_fields.add(("Task", "StageSync_Key__c"))
    with_managers(agent, sandbox, office, of_leaver="nobody")
    planned = run(agent)
    ours = marked(sandbox)
    ended = ours[mark(planned.plan.changes[0].key)]
    person = Writer(sandbox.org, office.rep)
    person.update(SOBJECTS["Task"], str(ended["Id"]), {"Status": "Completed"})

    (made,) = run(agent, LATER).plan.changes

    after = marked(sandbox)
    assert after.keys() == ours.keys() | {mark(made.key)}
    assert made.escalates == planned.plan.changes[0].key
    agent.ledger_file.unlink()
    for _ in range(3):
        assert run(agent, LATER).exit_code == 0
        assert marked(sandbox) == after


def marked(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    rows = sandbox.org.database.rows('SELECT * FROM "Task" WHERE "IsDeleted" = 0')
    lines = ((str(row["Description"] or "").rpartition("\n")[2], row) for row in rows)
    return {line: dict(row) for line, row in lines if line.startswith("[stagesync-")}


@BOTH
def test_a_task_that_is_gone_for_good_is_counted_from_its_first_sight(
    sandbox: Sandbox, deploy: Deploy, crm: str
) -> None:
    office = OFFICES[crm](sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only(crm)
    with_managers(agent, sandbox, office, of_leaver="nobody")
    assert run(agent).exit_code == 0
    task = office.tasks()[0]
    if crm == "salesforce":
        sandbox.org.database.execute('DELETE FROM "Task" WHERE "Id" = ?', (task.id,))
    else:
        sandbox.portal.database.execute('DELETE FROM "tasks" WHERE id = ?', (int(task.id),))

    # It is seen to be gone a week later, so that the time begins then.
    assert run(agent, LATER).plan.changes == ()
    assert run(agent, LATER).plan.changes == ()
    with agent.ledger() as ledger:
        (seen,) = ledger.entries(kind=EntryKind.TASK_ENDED)
    assert (seen.record, seen.key) == (task.record, task.key)
    (made,) = [one for one in run(agent, LATER * 2).plan.changes if one.record == task.record]
    assert (made.kind, made.record) == (ChangeKind.OPEN_TASK, task.record)
    assert made.task is not None
    assert f"deleted on {seen.at.date()}" in made.task.body


def test_nobody_hears_where_nothing_is_set(sandbox: Sandbox, deploy: Deploy) -> None:
    office = SalesforceOffice(sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only("salesforce")
    with_managers(agent, sandbox, office, of_leaver="nobody")
    del agent.words["tasks"]["escalate_after"]
    agent.save()
    assert run(agent).exit_code == 0
    for task in office.tasks():
        office.complete(task.id)
    before = office.tasks()
    assert run(agent, LATER).plan.changes == ()
    assert office.tasks() == before
