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
