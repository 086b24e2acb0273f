"""Records that went cold are parked, where the rule says so, and come back when they are taken back."""

from __future__ import annotations

import pytest

from stagesync.agent import cycle
from stagesync.agent import revert as reverting
from stagesync.model.changes import ChangeKind
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import stages, tasks


def parking(agent: Deployment, place: str) -> None:
    """Only the stalled are acted on, and moved to a parking place."""
    file = agent.copy_of("definitions/recommended.yaml")
    words = file.read_text(encoding="utf-8")
    rules, others = (
        "  stalled: {mode: suggest}",
        "  premature: {mode: suggest, move_to: earned, grace: 2 business days}",
    )
    assert rules in words
    assert others in words
    said = words.replace(rules, f"  stalled: {{mode: enforce, move_to: {place}}}")
    file.write_text(said.replace(others, "  premature: {mode: audit}"), encoding="utf-8")
    agent.words.pop("rules", None)
    agent.save()


@pytest.mark.parametrize(
    ("crm", "place", "native"), [("salesforce", "nurture", "Nurturing"), ("hubspot", "outside", "subscriber")]
)
def test_cold_leads_are_parked_and_can_be_taken_back(
    sandbox: Sandbox, deploy: Deploy, crm: str, place: str, native: str
) -> None:
    agent = deploy(sandbox)
    agent.only(crm)
    parking(agent, place)
    before = stages(sandbox)
    with agent.agent() as opened:
        first = cycle.run(opened, command="run", write=True)
    moves = [change for change in first.plan.changes if change.kind is ChangeKind.SET_STAGE]
    assert moves
    assert {change.rule for change in moves} == {"stalled"}
    parked = {" ".join(change.place): native for change in moves}
    assert stages(sandbox) == {**before, **parked}
    assert not any(f"{crm} {change.record}" in tasks(sandbox) for change in moves)
    # Where a pipeline has no such place, or it would close the record, a task asks instead.
    assert all(change.object not in ("Opportunity", "deals") for change in moves)
    with agent.agent() as opened:
        second = cycle.run(opened, command="run", write=True)
    assert [change for change in second.plan.changes if change.kind is ChangeKind.SET_STAGE] == []
    with agent.agent() as opened:
        reverting.revert(opened, first.run, only=(), by="Ana", note="too early")
    assert stages(sandbox) == before
