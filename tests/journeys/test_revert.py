"""Corrections that people disagree with: a run that is taken back, and a stage that is put back again and again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from stagesync.agent import brake, cycle
from stagesync.agent import revert as reverting
from stagesync.agent.revert import Reverted
from stagesync.agent.running import RunResult
from stagesync.errors import UsageError
from stagesync.ledger import EntryKind, Ledger
from stagesync.model.changes import Change, ChangeKind, Result
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import SalesforceOffice, offices, stages, tasks


def run(agent: Deployment, *, days: float = 0, write: bool = True) -> RunResult:
    """A run, so many days from now."""
    with agent.agent(write=write) as opened:
        moment = opened.clock() + timedelta(days=days)
    with agent.agent(write=write, clock=lambda: moment) as opened:
        return cycle.run(opened, command="run", write=write)


def take_back(agent: Deployment, name: str, *only: str) -> Reverted:
    with agent.agent() as opened:
        return reverting.revert(opened, name, only=only, by="Ana", note="wrong quarter")


def moves(result: RunResult) -> list[Change]:
    return [change for change in result.plan.changes if change.kind is ChangeKind.SET_STAGE]


@pytest.fixture
def agent(sandbox: Sandbox, deploy: Deploy) -> Deployment:
    sandbox.portal.lifecycle_sync = False
    return deploy(sandbox)


def test_a_run_is_taken_back_where_it_still_stands(sandbox: Sandbox, agent: Deployment) -> None:
    before = stages(sandbox)
    first = run(agent)
    corrected = stages(sandbox)
    elsewhere = {}
    ended = []
    for office in offices(sandbox):
        mine = [one for one in moves(first) if (one.connection, one.object) == (office.name, office.deals)]
        # A rep moves a deal on, another rep has done her task already.
        moved = next(one for one in mine if one.before.get("pipeline", "default") == "default")
        stage = {"salesforce": "Qualification", "hubspot": "qualifiedtobuy"}[office.name]
        assert stage not in {*moved.before.values(), *moved.after.values()}
        office.edit(office.deals, moved.record, **{office.stage_fields[office.deals]: stage})
        elsewhere[" ".join(moved.place)] = stage
        other = next(one for one in moves(first) if one.connection == office.name and one != moved)
        (task,) = tasks(sandbox)[f"{office.name} {other.record}"]
        office.complete(task.id)
        ended.append(task.id)

    done = take_back(agent, first.run[:-2])

    assert stages(sandbox) == {**before, **elsewhere}
    results = {outcome.key: outcome for outcome in done.result.applied or ()}
    left_alone = [one for one in done.result.plan.changes if results[one.key].result is Result.SUPERSEDED]
    assert {" ".join(one.place) for one in left_alone} == set(elsewhere)
    assert all(results[one.key].detail for one in left_alone)
    assert all(task.closed for found in tasks(sandbox).values() for task in found)
    assert corrected != before
    with agent.ledger() as ledger:
        (entry,) = ledger.entries(kind=EntryKind.RUN_REVERTED)
        assert (entry.key, entry.run) == (first.run, done.result.run)
        assert entry.body["facts"] == {"reverts": first.run, "by": "Ana", "note": "wrong quarter", "only": []}
        assert ledger.tasks("salesforce") == ledger.tasks("hubspot") == []
        assert ledger.verify().ok
    # A second time there is nothing that still stands, and nothing is written.
    after = {office.name: office.rows() for office in offices(sandbox)}
    again = take_back(agent, first.run)
    assert {outcome.result for outcome in again.result.applied or ()} <= {Result.ALREADY_SO, Result.SUPERSEDED}
    assert "its task is closed already" in {why for _, why in again.left}
    assert {office.name: office.rows() for office in offices(sandbox)} == after


@pytest.mark.parametrize("batches", [0, 6], ids=lambda number: f"{number} batches are recorded")
def test_a_run_that_was_cut_off_is_taken_back_whole(
    sandbox: Sandbox, agent: Deployment, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    before, told = stages(sandbox), []

    def die(ledger: Ledger, run_id: str, **outcomes: Any) -> None:
        told.append(run_id)
        if len(told) > batches:
            raise SystemExit
        record(ledger, run_id, **outcomes)

    record = Ledger.record_outcomes
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "record_outcomes", die)
        with pytest.raises(SystemExit):
            run(agent)
    assert stages(sandbox) != before

    done = take_back(agent, "last")

    assert done.of.id == told[0]
    assert stages(sandbox) == before
    assert all(task.closed for found in tasks(sandbox).values() for task in found)


def test_last_is_the_last_run_that_wrote(sandbox: Sandbox, agent: Deployment) -> None:
    with pytest.raises(UsageError, match=r"no run in the ledger .* wrote anything"):
        take_back(agent, "last")
    before = stages(sandbox)
    first = run(agent)
    plan = agent.folder / "plan.json"
    assert agent.run("plan", "--out", str(plan)).code == 0
    assert agent.run("apply", str(plan)).code == 4  # no row is approved
    run(agent)  # has nothing to do
    with agent.ledger() as ledger:
        brake.pause(ledger, by="Ben", reason="wait", at=first.as_of)
    assert take_back(agent, "last").result.refusals
    agent.run("resume", "--by", "Ben")

    done = agent.run("revert", "last", "--by", "Ana")

    assert done.code == 0, done.said
    made = len(first.plan.changes)
    assert f"took back {made} of {made} changes of run {first.run} (run, " in done.out
    assert f"takes back run {first.run}, by Ana" in agent.run("log", "show").out
    again = agent.run("revert", first.run, "--by", "Ana")
    assert f"took back 0 of {made} changes of run {first.run}" in again.out
    assert stages(sandbox) == before


def test_the_next_runs_do_not_fight_a_revert(sandbox: Sandbox, agent: Deployment) -> None:
    first = run(agent)
    change = moves(first)[0]
    with pytest.raises(UsageError, match="means no row"):
        take_back(agent, first.run, "record=nobody")
    take_back(agent, first.run, f"record={change.record}")
    held, made = stages(sandbox), tasks(sandbox)
    assert held[" ".join(change.place)] in change.before.values()

    for days in (0.0, 10.0):
        later = run(agent, days=days)
        assert change.place not in {one.place for one in later.plan.changes}
        (said,) = [entry for entry in later.plan.left_out if entry.record == change.record]
        if days:
            assert "its correction was reverted by Ana (wrong quarter); the rule leaves this record" in said.reason
        assert stages(sandbox)[" ".join(change.place)] == held[" ".join(change.place)]
    assert tasks(sandbox)[f"{change.connection} {change.record}"] == made[f"{change.connection} {change.record}"]


def put_back(sandbox: Sandbox, change: Change) -> None:
    office = next(one for one in offices(sandbox) if one.name == change.connection)
    field = office.stage_fields[change.object]
    office.edit(change.object, change.record, **{field: str(change.before[field])})


def test_a_correction_that_comes_back_twice_is_left(sandbox: Sandbox, agent: Deployment) -> None:
    first = run(agent)
    changes = {
        office.name: next(one for one in moves(first) if (one.connection, one.object) == (office.name, office.deals))
        for office in offices(sandbox)
    }
    places = {change.place for change in changes.values()}

    def tried(result: RunResult) -> set[Any]:
        return places & {one.place for one in moves(result)}

    for change in changes.values():
        put_back(sandbox, change)
    at_once = run(agent)
    assert tried(at_once) == set()
    waiting = [entry.reason for entry in at_once.plan.left_out if entry.record in {one[2] for one in places}]
    assert all("2 business days" in reason for reason in waiting)
    assert len(waiting) == 2
    # Once more after its grace, with a key of its own.
    second = run(agent, days=5)
    assert tried(second) == places
    assert {one.key for one in moves(first)}.isdisjoint(one.key for one in moves(second))
    for change in changes.values():
        put_back(sandbox, change)

    third = run(agent, days=20)

    assert tried(third) == set()
    assert {(one.connection, one.object, one.record) for one in third.stopped} == places
    reasons = {entry.connection: entry.reason for entry in third.stopped}
    assert "put back twice, last by a person (CRM_UI)" in reasons["hubspot"]
    rep = sandbox.org.database.value(f'SELECT "Name" FROM "User" WHERE "Id" = \'{SalesforceOffice(sandbox).rep}\'')
    assert f"last by {rep} on " in reasons["salesforce"]
    held = stages(sandbox)
    assert all(held[" ".join(one.place)] in one.before.values() for one in changes.values())
    # It is said once, and not again by each run.
    run(agent, days=21)
    with agent.ledger() as ledger:
        entries = list(ledger.entries(kind=EntryKind.RULE_STOPPED))
        assert {(entry.connection, entry.object, entry.record) for entry in entries} == places
        assert len(entries) == 2
        summary = ledger.run(third.run).summary or {}
        assert len(summary["stopped"]) == 2  # type: ignore[arg-type]
    record = changes["hubspot"].record
    told = json.loads(agent.run("explain", record, "--format", "json").out)
    assert "put back twice, last by a person" in told[0]["stopped"][0]


def test_a_pause_holds_for_a_revert_too(sandbox: Sandbox, agent: Deployment) -> None:
    first = run(agent)
    with agent.ledger() as ledger:
        brake.pause(ledger, by="Ben", reason="wait", at=first.as_of)
    before = stages(sandbox)
    refused = take_back(agent, first.run)
    assert [one.limit for one in refused.result.refusals] == ["pause"]
    assert stages(sandbox) == before
    done = agent.run("resume", "--by", "Ben")
    assert done.code == 0
    agent.words["guard"].update(stage_changes=0, share=0.0, per_day={"stage_changes": 0})
    agent.save()
    # What was written can be taken back whatever the limits are by then.
    done = agent.run("revert", first.run, "--by", "Ana")
    assert done.code == 0, done.said
    assert f"changes of run {first.run}" in done.out
    assert stages(sandbox) != before
