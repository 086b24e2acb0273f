"""People make one record of two: its task goes along, and is neither opened again nor forgotten."""

from __future__ import annotations

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.model.changes import ChangeKind
from stagesync.sandbox.hubspot.records import Source
from stagesync.sandbox.hubspot.writing import merge
from stagesync.sandbox.salesforce.merging import merge as merge_leads
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import SalesforceOffice, tasks

REP = Source(type="CRM_UI", id="userId:9586504")


def run(agent: Deployment, command: str = "run") -> RunResult:
    with agent.agent(write=command == "run") as opened:
        return cycle.run(opened, command=command, write=command == "run")


def merged(sandbox: Sandbox, name: str, first: str, second: str) -> str:
    portal, kind = sandbox.portal, sandbox.portal.kind(name)
    one, two = (portal.records.get(kind, int(record)) for record in (first, second))
    assert one is not None
    assert two is not None
    return str(merge(portal, kind, one, two, REP).id)


def test_the_task_of_a_record_that_was_merged_is_not_opened_again(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.only("hubspot")
    first = run(agent)
    assert first.errors == {}
    asked = [one for one in first.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.object == "deals"]
    record, other = asked[0].record, asked[1].record
    theirs = [task.id for place, found in tasks(sandbox).items() for task in found if place.endswith((record, other))]
    assert len(theirs) == 2
    survivor = merged(sandbox, "deals", record, other)

    again = run(agent)

    assert again.errors == {}
    found = {one.record for judgement in again.judgements for one in judgement.each() if one.object == "deals"}
    assert survivor in found, "what the task asks for is still to be done"
    opened = {one.record for one in again.plan.changes if one.kind is ChangeKind.OPEN_TASK}
    assert survivor not in opened
    assert sorted(task.id for task in tasks(sandbox)[f"hubspot {survivor}"]) == sorted(theirs)
    with agent.ledger() as ledger:
        # One of the two may ask for what the other record had: it is closed.
        assert {task.crm_id for task in ledger.tasks("hubspot")} & set(theirs)


def test_the_task_of_a_merged_record_is_closed_when_the_evidence_arrives(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.only("hubspot")
    first = run(agent)
    asked = [one for one in first.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.object == "deals"]
    done = {one.record for one in asked}
    kind = sandbox.portal.kind("deals")
    right = next(
        str(one.id) for one in sandbox.portal.records.select(kind, (), "WHERE archived = 0") if str(one.id) not in done
    )
    record = next(one for one in asked if set(one.criteria))
    # The values of the first win: the record that is in order takes the other in.
    survivor = merged(sandbox, "deals", right, record.record)

    again = run(agent)

    closed = [one for one in again.plan.changes if one.kind is ChangeKind.CLOSE_TASK and one.record == survivor]
    (task,) = tasks(sandbox)[f"hubspot {survivor}"]
    assert [one.crm_id for one in closed] == [task.id]
    assert task.closed


def test_a_lead_that_takes_another_in_keeps_one_task(sandbox: Sandbox, deploy: Deploy) -> None:
    agent, org = deploy(sandbox, enforce=False), sandbox.org
    agent.only("salesforce")
    office = SalesforceOffice(sandbox)
    first = run(agent)
    asked = [one.record for one in first.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.object == "Lead"]
    master, second, third = asked[:3]
    theirs = {task.record: task.id for task in office.tasks()}
    merge_leads(org, second, third, office.rep)
    merge_leads(org, master, second, office.rep)

    again = run(agent)

    assert again.errors == {}
    closed = {one.crm_id for one in again.plan.changes if one.kind is ChangeKind.CLOSE_TASK}
    assert {theirs[second], theirs[third]} <= closed
    assert not [one for one in again.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.record in asked]
    assert [task.id for task in office.tasks() if task.record == master and not task.closed] == [theirs[master]]
    # What was done is done: the next run opens and closes nothing for any of them.
    last = run(agent)
    assert not [one for one in last.plan.changes if one.record in asked]
