"""StageSync moves records back; that is no finding while its ledger remembers it."""

from __future__ import annotations

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.model.changes import ChangeKind
from stagesync.model.kinds import Kind
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy


def moved_back(result: RunResult) -> set[tuple[str, str, str]]:
    """The records that were moved back, as this run finds."""
    found = (finding for judgement in result.judgements for finding in judgement.each())
    return {(one.connection, one.object, one.record) for one in found if one.kind is Kind.REGRESSED}


def test_its_own_corrections_are_no_regressions(sandbox: Sandbox, deploy: Deploy) -> None:
    with deploy(sandbox).agent(write=True) as agent:
        applied = cycle.run(agent, command="run", write=True)
        again = cycle.run(agent, command="audit", write=False)
    corrected = {
        (change.connection, change.object, change.record)
        for change in applied.plan.changes
        if change.kind is ChangeKind.SET_STAGE
    }
    assert len(corrected) > 3
    assert corrected.isdisjoint(moved_back(again))
    # Somebody who knows nothing of the ledger sees the same records go down.
    with deploy(sandbox, "stranger").agent(write=False) as stranger:
        assert corrected & moved_back(cycle.run(stranger, command="audit", write=False))


def test_its_own_corrections_are_seen_before_the_portal_finds_them(sandbox: Sandbox, deploy: Deploy) -> None:
    """HubSpot's index lags behind what was written a moment ago."""
    agent = deploy(sandbox)
    agent.only("hubspot")
    sandbox.portal.faults.search_lag_seconds = 600
    with agent.agent(write=True) as opened:
        applied = cycle.run(opened, command="run", write=True)
        again = cycle.run(opened, command="run", write=True)
    corrected = {one.record for one in applied.plan.changes if one.kind is ChangeKind.SET_STAGE}
    assert len(corrected) > 1
    assert [one.reason for one in again.plan.left_out if "put back" in one.reason] == []
    found = (finding for judgement in again.judgements for finding in judgement.each())
    assert corrected.isdisjoint(one.record for one in found if one.kind is Kind.PREMATURE)
