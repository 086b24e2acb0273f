"""A CRM that takes some writes and not others: nothing is lost, doubled or tried in vain."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

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


def test_a_move_that_a_pipeline_forbids_is_given_up_for_its_rule_after_a_few(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("hubspot")
    agent.words["connections"]["hubspot"]["api_version"] = "2026-09"
    agent.save()
    portal = sandbox.portal
    made = datetime(2026, 3, 1, tzinfo=UTC)
    stage = {"pipeline": "default", "dealstage": "contractsent", "dealname": "A deal that nobody has spoken to"}
    deals = [portal.new_id("deals") for _ in range(250)]
    rows = [{"id": deal, "properties": stage, "createdAt": made, "updatedAt": made} for deal in deals]
    portal.insert_many("deals", rows)
    portal.forward_only.update({"default", "139663272"})
    before = stages(sandbox)

    result = run(agent)

    moves = [one for one in result.plan.changes if one.kind is ChangeKind.SET_STAGE and one.object == "deals"]
    assert {str(deal) for deal in deals} <= {move.record for move in moves}
    by_key = {outcome.key: outcome for outcome in result.applied or ()}
    assert set(by_key) == {change.key for change in result.plan.changes}
    assert {by_key[move.key].result for move in moves} == {Result.REFUSED, Result.FAILED}
    assert {place: stage for place, stage in stages(sandbox).items() if place[0] == "deals"} == {
        place: stage for place, stage in before.items() if place[0] == "deals"
    }
    details = [by_key[move.key].detail for move in moves]
    told = Counter("left out" in detail or "not tried" in detail for detail in details)
    assert told[False] < 20
    assert all("do not allow a move back" in detail for detail in details if "left out" not in detail)
    updates = {path: count for path, count in portal.calls.items() if path.endswith("/batch/update")}
    assert sum(updates.values()) < 30
    assert result.exit_code == 3
