"""A person converts a lead that has a task of ours: Salesforce moves the task, and it neither stays nor comes twice."""

from __future__ import annotations

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.model.changes import ChangeKind, Result
from stagesync.sandbox.salesforce.conversion import convert
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import SalesforceOffice


def run(agent: Deployment) -> RunResult:
    with agent.agent() as opened:
        return cycle.run(opened, command="run", write=True)


def test_the_task_of_a_converted_lead_is_closed_and_the_opportunity_has_one_of_its_own(
    sandbox: Sandbox, deploy: Deploy
) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.only("salesforce")
    office, org = SalesforceOffice(sandbox), sandbox.org
    first = run(agent)
    asked = [one for one in first.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.object == "Lead"]
    record, other = asked[0].record, asked[1].record
    (old,) = [task for task in office.tasks() if task.record == record]
    before = {task.id: task for task in office.tasks()}

    became = convert(org, record, office.rep)
    pointers = 'SELECT "WhoId", "WhatId", "IsClosed" FROM "Task" WHERE "Id" = ?'
    (moved,) = org.database.rows(pointers, (old.id,))
    assert (moved["WhoId"], moved["WhatId"], moved["IsClosed"]) == (became.contact, became.opportunity, 0)

    again = run(agent)

    assert again.errors == {}
    closed = [one for one in again.plan.changes if one.kind is ChangeKind.CLOSE_TASK and one.record == record]
    assert [(one.crm_id, one.reason) for one in closed] == [(old.id, "the record is judged no longer: converted")]
    assert {outcome.result for outcome in again.applied or ()} <= {Result.APPLIED, Result.ALREADY_SO}
    tasks = {task.id: task for task in office.tasks()}
    assert tasks[old.id].closed
    assert not [task for task in tasks.values() if not task.closed and task.record in {record, became.contact}]
    assert len([task for task in tasks.values() if not task.closed and task.record == became.opportunity]) <= 1
    (untouched,) = [task for task in tasks.values() if task.record == other]
    assert untouched == before[untouched.id]

    # What was done is done: the next run opens and closes nothing for any of them.
    last = run(agent)
    about = {record, became.contact, became.opportunity}
    assert not [one for one in last.plan.changes if one.record in about]
    assert {task.id: task for task in office.tasks()} == tasks
