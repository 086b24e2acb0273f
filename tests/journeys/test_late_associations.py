"""In HubSpot somebody ties a contact to a deal: no date moves, and still nobody loses a stage for want of a contact."""

from __future__ import annotations

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.agent.ties import TIED
from stagesync.model.changes import Change, ChangeKind, Result
from stagesync.sandbox.hubspot.associations import Associations
from stagesync.sandbox.hubspot.writing import associate
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import stages, tasks


def run(agent: Deployment, *, write: bool = True) -> RunResult:
    with agent.agent(write=write) as opened:
        return cycle.run(opened, command="run" if write else "plan", write=write)


def tie(sandbox: Sandbox, deal: str) -> None:
    """A contact who has nothing to do with the deal so far, and is not the first that a run looks at again."""
    portal = sandbox.portal
    deals, contacts = portal.kind("deals"), portal.kind("contacts")
    held: Associations = portal.associations
    mine = held.ids(deals, int(deal), contacts)
    sql = "SELECT id FROM contacts WHERE archived = 0 AND merged_into IS NULL ORDER BY id DESC"
    other = next(row["id"] for row in portal.database.rows(sql) if row["id"] not in mine)
    associate(portal, (deals, int(deal)), (contacts, other))


def moves_of_deals(result: RunResult) -> list[Change]:
    return [one for one in result.plan.changes if one.kind is ChangeKind.SET_STAGE and one.object == "deals"]


def test_a_deal_that_somebody_was_tied_to_is_not_moved_by_what_was_read_before(
    sandbox: Sandbox, deploy: Deploy
) -> None:
    agent = deploy(sandbox)
    agent.only("hubspot")
    agent.words["pull"] = {"recheck_runs": 1_000}
    agent.save()
    tied, *others = [one.record for one in moves_of_deals(run(agent, write=False))]
    assert others
    tie(sandbox, tied)
    before = stages(sandbox)

    result = run(agent)

    after = stages(sandbox)
    made = {outcome.key: outcome for outcome in result.applied or ()}
    assert set(made) == {change.key for change in result.plan.changes}
    moves = {move.record: made[move.key] for move in moves_of_deals(result)}
    assert (moves[tied].result, moves[tied].detail) == (Result.SUPERSEDED, TIED)
    assert {moves[deal].result for deal in others} == {Result.APPLIED}
    assert after[f"hubspot deals {tied}"] == before[f"hubspot deals {tied}"]
    assert all(after[f"hubspot deals {deal}"] != before[f"hubspot deals {deal}"] for deal in others)
    assert not any(tied in place for place in tasks(sandbox))

    agent.words["pull"] = {"recheck_runs": 1}
    agent.save()
    again = run(agent)
    told = {outcome.key: outcome.detail for outcome in again.applied or ()}
    assert TIED not in told.values()
