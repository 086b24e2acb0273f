"""A ledger of which the old part was dropped: the next runs do as they would have done, and the command says what it
does."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.ledger import EntryKind, PruneOrder
from stagesync.model.changes import Change, ChangeKind
from stagesync.sandbox.server import Sandbox

from .conftest import FEW, Deploy
from .deployment import Deployment
from .office import offices, stages, tasks

pytestmark = pytest.mark.records(FEW)

YEAR = timedelta(days=400)


def run(agent: Deployment, moment: datetime, *, write: bool = True) -> RunResult:
    with agent.agent(write=write, clock=lambda: moment) as opened:
        return cycle.run(opened, command="run", write=write)


def put_back(sandbox: Sandbox, changes: list[Change]) -> None:
    """Reps put stages back, by the records' own CRM."""
    for office in offices(sandbox):
        for change in changes:
            if change.connection == office.name:
                field = office.stage_fields[change.object]
                office.edit(change.object, change.record, **{field: str(change.before[field])})


def test_the_next_runs_plan_the_same_as_without_it(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.portal.lifecycle_sync = False
    agent, twin = deploy(sandbox), deploy(sandbox, "twin")
    now = datetime.now(UTC)
    first = run(agent, now)
    moves = [one for one in first.plan.changes if one.kind is ChangeKind.SET_STAGE]
    put_back(sandbox, [one for one in moves if one.object in {"Opportunity", "deals"}])
    ended = [task for office in offices(sandbox) for task in office.tasks()[:2]]
    for office in offices(sandbox):
        for task in office.tasks()[:2]:
            office.complete(task.id)
    later = now + YEAR
    shutil.copy(agent.ledger_file, twin.ledger_file)
    with agent.ledger() as ledger:
        before = ledger.count()
        done = ledger.prune(PruneOrder(before=later - timedelta(days=40), by="Ana", setting=""), at=later)
        assert (done.entries > 10, done.kept > 10) == (True, True)
        assert ledger.count() < before
        assert ledger.verify().problem is None

    plans = [run(one, later, write=False).plan for one in (agent, twin)]

    assert plans[0] == plans[1]
    assert plans[0].changes, "the corrections that were put back are tried once more"
    assert {one.record for one in plans[0].changes if one.kind is ChangeKind.OPEN_TASK}.isdisjoint(
        task.record for task in ended
    )
    done_again = run(agent, later)
    assert {one.key for one in done_again.plan.changes} == {one.key for one in plans[1].changes}
    held, made = stages(sandbox), tasks(sandbox)
    assert {len(found) for found in made.values()} == {1}
    put_back(sandbox, [one for one in done_again.plan.changes if one.kind is ChangeKind.SET_STAGE])
    # A correction that came back twice is counted over what was dropped, too.
    third = run(agent, later + timedelta(days=20), write=False)
    again = {one.place for one in third.plan.changes if one.kind is ChangeKind.SET_STAGE}
    assert again.isdisjoint(one.place for one in moves if one.object in {"Opportunity", "deals"})
    assert stages(sandbox) != held


def test_the_settings_say_how_long_it_is_kept(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.only("salesforce")
    agent.words["retention"] = {"ledger": "29 days"}
    agent.save()
    assert "keeps 30 days at least" in agent.run("check").err
    agent.words["retention"] = {"ledger": "300 days"}
    agent.save()
    now = datetime.now(UTC)
    first = run(agent, now - YEAR)
    assert run(agent, now, write=False).exit_code == 0
    with agent.ledger() as ledger:
        assert ledger.count(kind=EntryKind.LEDGER_PRUNED) == 0, "a plan drops nothing"
    run(agent, now)
    run(agent, now + timedelta(hours=23))
    with agent.ledger() as ledger:
        (entry,) = ledger.entries(kind=EntryKind.LEDGER_PRUNED)
        assert entry.body["facts"]["by"] == "the settings"
        assert entry.body["facts"]["setting"] == "retention.ledger: 300 days"
        assert first.run not in {one.id for one in ledger.runs()}
        assert ledger.verify().ok
    # The clock that was set back a day and more is told of, in the run and in the ledger.
    back = run(agent, now - timedelta(days=2), write=False)
    assert "set it right" in back.remarks[0]
    assert f"note: {back.remarks[0]}" in agent.run("log", "show", back.run).out


def test_the_command_says_what_goes_and_does_it_when_told(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    with agent.agent() as opened:
        long_ago = opened.clock() - YEAR
    run(agent, long_ago)
    head = agent.run("log", "verify").out.partition("head ")[2].split()[0]
    assert agent.run("log", "prune").code == 2
    assert agent.run("log", "prune", "--before", "2026-01-01", "--keep", "9 days").code == 2
    young = agent.run("log", "prune", "--keep", "29 days")
    assert (young.code, "keeps everything for 30 days" in young.err) == (2, True)
    assert "is not a length of time" in agent.run("log", "prune", "--keep", "long").err
    with agent.ledger() as ledger:
        before = ledger.count()

    looked = agent.run("log", "prune", "--keep", "300 days", "--by", "Ana")

    assert looked.code == 0, looked.said
    assert "would be dropped" in looked.out
    assert "Nothing was dropped; --yes does it. `stagesync log export --until " in looked.out
    with agent.ledger() as ledger:
        assert ledger.count() == before
        with ledger.only_writer("somebody", ledger.run("last").started):
            busy = agent.run("log", "prune", "--keep", "300 days", "--yes")
        assert (busy.code, "in use by somebody" in busy.err) == (3, True)

    done = agent.run("log", "prune", "--keep", "300 days", "--yes", "--by", "Ana")

    assert done.code == 0, done.said
    assert "open still, were told once more" in done.out
    with closing(sqlite3.connect(agent.ledger_file)) as file:
        assert file.execute("PRAGMA freelist_count").fetchone() == (0,), "what was dropped is not left in the file"
    assert "dropped after a time, on record" in agent.run("log", "verify", "--head", head).out
    forged = agent.run("log", "verify", "--head", head[:-8] + "00000000")
    assert (forged.code, "is not the one that was known" in forged.err) == (3, True)
    with agent.ledger() as ledger:
        (entry,) = ledger.entries(kind=EntryKind.LEDGER_PRUNED)
        assert entry.body["facts"]["setting"] == "--keep '300 days'"
        (carried, *_) = ledger.entries(kind=EntryKind.FINDING_CARRIED)
    told = agent.run("log", "record", str(carried.record)).out
    assert f"still so, told first on {long_ago:%Y-%m-%d}" in told
    none = agent.run("log", "prune", "--keep", "300 days").out
    assert ("No entry of before" in none, "--yes" in none) == (True, False)
    assert agent.run("run").code == 0
    assert agent.run("log", "verify").code == 0
