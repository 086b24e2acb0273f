"""Ids of 15 characters, as the reports of Salesforce write them, name the same records and people as those of 18."""

from __future__ import annotations

import pytest

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.sandbox.server import Sandbox

from .conftest import FEW, Deploy
from .deployment import Deployment


def planned(agent: Deployment) -> RunResult:
    with agent.agent(write=False) as opened:
        return cycle.run(opened, command="plan", write=False)


@pytest.mark.records(FEW)
def test_short_ids_protect_explain_and_name_people(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("salesforce")
    before = planned(agent).plan.changes
    record = before[0].record
    owner = next(one.owner for one in before if one.owner and one.owner != before[0].owner)
    theirs = {one.record for one in before if one.owner == owner}
    assert len(record) == len(owner) == 18
    agent.words["guard"]["protect"] = {"records": [record[:15]], "owners": [owner[:15]]}
    agent.save()

    after = planned(agent)

    assert not {record, *theirs} & {one.record for one in after.plan.changes}
    assert {record, *theirs} <= {one.record for one in after.plan.left_out}
    assert agent.run("explain", record[:15]).out == agent.run("explain", record).out
    told, short = agent.run("log", "record", record), agent.run("log", "record", record[:15])
    assert "premature" in told.out
    assert short.out == told.out
    until = ("--rule", "premature", "--until", "2999-12-31", "--reason", "agreed", "--by", "Ana")
    assert agent.run("waive", record[:15], *until).code == 0
    with agent.ledger() as ledger:
        assert [one.record for one in ledger.waivers()] == [record]
