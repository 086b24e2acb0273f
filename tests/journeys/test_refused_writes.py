"""A CRM that takes some writes and not others: nothing is lost, doubled or tried in vain."""

from __future__ import annotations

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.errors import ConnectionFailed
from stagesync.model.changes import ChangeKind, Result
from stagesync.sandbox.salesforce.rules import Refused
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import SalesforceOffice, stages, tasks


def run(agent: Deployment) -> RunResult:
    with agent.agent() as opened:
        return cycle.run(opened, command="run", write=True)


def test_an_org_without_room_gets_no_more_writes_and_the_next_run_makes_good(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("salesforce")
    sandbox.org.rules.storage_full = True

    full = run(agent)

    assert isinstance(full.errors["salesforce"], ConnectionFailed)
    assert "STORAGE_LIMIT_EXCEEDED" in str(full.errors["salesforce"])
    assert full.exit_code == ConnectionFailed.exit_code
    assert SalesforceOffice(sandbox).tasks() == []

    sandbox.org.rules.storage_full = False
    again = run(agent)

    assert again.errors == {}
    wanted = {one.record for one in full.plan.changes if one.kind is ChangeKind.OPEN_TASK}
    made = [task.record for task in SalesforceOffice(sandbox).tasks()]
    assert sorted(made) == sorted(wanted)


def test_a_value_that_the_org_does_not_take_is_tried_once_and_told_once(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("salesforce")
    with agent.agent(write=False) as opened:
        plan = cycle.run(opened, command="plan", write=False).plan
    moves = [one for one in plan.changes if one.kind is ChangeKind.SET_STAGE]
    assert moves
    said = "bad value for restricted picklist field"
    for move in moves:
        refused = Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", said)
        sandbox.org.rules.refusals[move.record] = refused
    before = stages(sandbox)

    result = run(agent)

    assert stages(sandbox) == before
    by_key = {outcome.key: outcome for outcome in result.applied or ()}
    assert set(by_key) == {change.key for change in result.plan.changes}
    assert {by_key[move.key].result for move in moves} <= {Result.REFUSED, Result.FAILED}
    # A task that speaks of a move which was not made would not be true.
    spoken = {one.key for one in result.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.before}
    assert {by_key[key].result for key in spoken} <= {Result.SUPERSEDED}
    assert not spoken & {task.key for found in tasks(sandbox).values() for task in found}
