"""An org that allows only so many API calls: StageSync stops in time, says so, and leaves the org alone for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stagesync.agent import cycle, pauses
from stagesync.errors import LimitReached
from stagesync.model.changes import ChangeKind
from stagesync.sandbox.hubspot.limits import Limits
from stagesync.sandbox.server import Sandbox
from stagesync.wiring import Memory

from .conftest import Deploy
from .deployment import Deployment
from .office import stages, tasks


@pytest.fixture
def agent(sandbox: Sandbox, deploy: Deploy) -> Deployment:
    made = deploy(sandbox)
    made.only("salesforce")
    return made


@pytest.fixture
def hubspot(sandbox: Sandbox, deploy: Deploy) -> Deployment:
    made = deploy(sandbox)
    made.only("hubspot")
    return made


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def test_a_run_says_how_many_calls_it_made(sandbox: Sandbox, agent: Deployment) -> None:
    done = agent.run("run")
    assert done.code == 0, done.said
    data_calls = sum(count for call, count in sandbox.org.calls.items() if "oauth2" not in call)
    used = f"everybody together has used {sandbox.org.calls_used} of the 100,000 of a day"
    assert f"salesforce: {data_calls} API calls; {used}" in done.out
    with agent.ledger() as ledger:
        summary = ledger.run("last").summary or {}
    assert summary["calls"] == {"salesforce": {"made": data_calls, "used": sandbox.org.calls_used, "limit": 100_000}}
    assert f"salesforce: {data_calls} API calls" in agent.run("log", "show", "last").out


def test_the_daemon_has_an_org_described_once(sandbox: Sandbox, agent: Deployment) -> None:
    memory: Memory = {}
    described = []
    for _ in range(3):
        before = sandbox.org.descriptions.copy()
        with agent.agent(memory=memory) as opened:
            assert cycle.run(opened, command="daemon", write=False, unattended=True).errors == {}
        described.append(set(sandbox.org.descriptions - before))
    assert described[0] >= {"Lead", "Opportunity", "Account", "Task", "User"}
    assert described[1:] == [set(), set()]


def test_the_daemon_stops_at_the_budget_and_waits(sandbox: Sandbox, agent: Deployment) -> None:
    agent.words["connections"]["salesforce"]["budget"] = {"share": 0.5}
    agent.save()
    sandbox.org.calls_limit, sandbox.org.calls_used = 1_000, 495
    clock = Clock()
    with agent.agent(clock=clock) as opened:
        stopped = cycle.run(opened, command="daemon", write=True, unattended=True)
    (error,) = stopped.errors.values()
    until = clock.now + timedelta(hours=1)
    assert isinstance(error, LimitReached)
    assert stopped.exit_code == 3
    assert "500 of the 1,000 API calls" in str(error)
    assert "Nothing of connection 'salesforce' was judged" in str(error)
    assert f"goes on at {until:%Y-%m-%d %H:%M} UTC" in str(error)
    assert sandbox.org.calls_used == 500

    clock.now += timedelta(minutes=59)
    with agent.agent(clock=clock) as opened:
        waiting = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert isinstance(waiting.errors["salesforce"], pauses.Paused)
    assert waiting.exit_code == 3
    assert "500 of the 1,000 API calls" in str(waiting.errors["salesforce"])
    assert sandbox.org.calls_used == 500, "not even a login"

    clock.now += timedelta(minutes=2)
    sandbox.org.calls_used = 10
    with agent.agent(clock=clock) as opened:
        assert cycle.run(opened, command="daemon", write=True, unattended=True).exit_code == 0


def test_a_portal_is_left_alone_until_its_day_ends(sandbox: Sandbox, hubspot: Deployment) -> None:
    limiter = sandbox.portal.limiter
    hubspot.words["connections"]["hubspot"]["budget"] = {"share": 0.5}
    hubspot.save()
    limiter.limits, limiter.used_today = Limits(daily=1_000), 495
    clock = Clock()
    with hubspot.agent(clock=clock) as opened:
        stopped = cycle.run(opened, command="daemon", write=True, unattended=True)
    error = stopped.errors["hubspot"]
    assert isinstance(error, LimitReached)
    assert "500 of the 1,000 API calls" in str(error)
    assert timedelta(minutes=1) <= error.wait <= timedelta(hours=25)
    assert limiter.used_today == 500

    clock.now += error.wait - timedelta(seconds=30)
    with hubspot.agent(clock=clock) as opened:
        waiting = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert isinstance(waiting.errors["hubspot"], pauses.Paused)
    assert limiter.used_today == 500, "nothing was asked"

    clock.now += timedelta(minutes=1)
    limiter.used_today = 10
    with hubspot.agent(clock=clock) as opened:
        assert cycle.run(opened, command="daemon", write=False, unattended=True).exit_code == 0


def test_a_person_is_not_bound_by_the_pause_and_a_clock_set_back_ends_it(sandbox: Sandbox, agent: Deployment) -> None:
    sandbox.org.faults.daily_limit_reached = True
    refused = agent.run("run")
    assert refused.code == 3
    assert "The org's API calls of the last 24 hours are used up (2 of 100,000)" in refused.err
    assert sandbox.org.calls_used == 2, "the login and one call"
    sandbox.org.faults.daily_limit_reached = False
    clock = Clock()
    clock.now -= timedelta(days=1)
    with agent.agent(clock=clock) as opened:
        assert not cycle.run(opened, command="daemon", write=False, unattended=True).errors
    assert agent.run("run").code == 0


def test_what_was_not_written_is_counted(sandbox: Sandbox, agent: Deployment) -> None:
    # Without a look at the rest, a run that finds nothing changed always asks the same.
    agent.words["pull"] = {"recheck_runs": 0}
    agent.save()
    reading = 0
    for _ in range(2):
        with agent.agent() as opened:
            before = sandbox.org.calls_used
            planned = cycle.run(opened, command="plan", write=False)
        reading = sandbox.org.calls_used - before
    changes = len(planned.plan.changes)
    assert changes > 25
    # Room for all the reading and for no write: the look before the first one is where it ends.
    sandbox.org.calls_limit = 10 * (sandbox.org.calls_used + reading)
    agent.words["connections"]["salesforce"]["budget"] = {"share": 0.1}
    agent.save()
    with agent.agent() as opened:
        stopped = cycle.run(opened, command="run", write=True)
    assert f"{changes} of the {changes} planned changes of connection 'salesforce' were not made" in str(
        stopped.errors["salesforce"]
    )
    assert sandbox.org.calls_used == sandbox.org.calls_limit // 10
    assert stopped.exit_code == 3
    sandbox.org.calls_used = 0
    again = agent.run("run")
    assert again.code == 0, again.said


def test_a_portal_that_moves_in_the_middle_of_apply_is_left_alone_and_then_finished(
    sandbox: Sandbox, hubspot: Deployment
) -> None:
    """It moves after the stages of contacts were cleared and before they are set."""
    sandbox.portal.lifecycle_sync = False
    with hubspot.agent(write=False) as opened:
        plan = cycle.run(opened, command="plan", write=False).plan
    moves = {one.record: one for one in plan.changes if one.after and one.object == "contacts"}
    asked = {one.record for one in plan.changes if one.kind is ChangeKind.OPEN_TASK}
    assert moves
    clock = Clock()
    sandbox.portal.faults.fail_next(1, 477, retry_after=7_200, on="contacts/batch/update", skip=1)

    with hubspot.agent(clock=clock) as opened:
        stopped = cycle.run(opened, command="daemon", write=True, unattended=True)

    assert sandbox.portal.faults.outages == []
    error = stopped.errors["hubspot"]
    assert isinstance(error, LimitReached)
    assert (error.wait, stopped.exit_code) == (timedelta(hours=2), 3)
    assert "planned changes of connection 'hubspot' were not made" in str(error)
    assert f"goes on at {clock.now + error.wait:%Y-%m-%d %H:%M} UTC" in str(error)
    held = stages(sandbox)
    assert {held[f"hubspot contacts {record}"] for record in moves} == {None}
    assert [task for task in tasks(sandbox) if task.startswith("hubspot")] == []

    before = sandbox.portal.calls.copy()
    clock.now += timedelta(minutes=119)
    with hubspot.agent(clock=clock) as opened:
        waiting = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert isinstance(waiting.errors["hubspot"], pauses.Paused)
    assert sandbox.portal.calls == before, "nothing was asked"

    clock.now += timedelta(minutes=2)
    with hubspot.agent(clock=clock) as opened:
        finished = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert (finished.errors, finished.exit_code) == ({}, 0)
    held, made = stages(sandbox), tasks(sandbox)
    assert {record: held[f"hubspot contacts {record}"] for record in moves} == {
        record: one.after["lifecyclestage"] for record, one in moves.items()
    }
    assert {record for crm, _, record in (place.partition(" ") for place in made) if crm == "hubspot"} == asked
    assert {len(found) for found in made.values()} == {1}
    with hubspot.ledger() as ledger:
        assert ledger.unsettled("hubspot") == []


def test_an_org_whose_calls_end_in_the_middle_of_apply_is_left_alone(sandbox: Sandbox, agent: Deployment) -> None:
    agent.words["pull"] = {"recheck_runs": 0}
    agent.save()
    reading = 0
    for _ in range(2):
        with agent.agent(write=False) as opened:
            before = sandbox.org.calls_used
            planned = cycle.run(opened, command="plan", write=False)
        reading = sandbox.org.calls_used - before
    # Room for all the reading, and for some of the writing.
    sandbox.org.calls_limit = 10 * (sandbox.org.calls_used + reading + 6)
    agent.words["connections"]["salesforce"]["budget"] = {"share": 0.1}
    agent.save()
    clock = Clock()
    with agent.agent(clock=clock) as opened:
        stopped = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert isinstance(stopped.errors["salesforce"], LimitReached)
    with agent.agent(clock=clock) as opened:
        waiting = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert isinstance(waiting.errors["salesforce"], pauses.Paused)
    sandbox.org.calls_used = 0
    clock.now += timedelta(hours=2)
    with agent.agent(clock=clock) as opened:
        finished = cycle.run(opened, command="daemon", write=True, unattended=True)
    assert finished.exit_code == 0
    made = tasks(sandbox)
    wanted = {one.record for one in planned.plan.changes if one.kind is ChangeKind.OPEN_TASK}
    assert {record for crm, _, record in (place.partition(" ") for place in made) if crm == "salesforce"} == wanted
    assert {len(found) for found in made.values()} == {1}
