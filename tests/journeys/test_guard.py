"""What keeps a run from writing: limits of a day, freeze windows, the pause switch, protected records; and who lets it
pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from stagesync.agent import brake, cycle
from stagesync.agent.connection import Agent
from stagesync.agent.daemon import Daemon
from stagesync.agent.running import Override, RunResult
from stagesync.errors import RefusedError
from stagesync.ledger import EntryKind
from stagesync.model.changes import ChangeKind, Result
from stagesync.policy.durations import Duration, Unit
from stagesync.sandbox.server import Sandbox
from stagesync.settings import Schedule

from .conftest import Deploy
from .deployment import Deployment
from .office import offices, stages, tasks


def run(agent: Deployment, *, write: bool = True, override: Override | None = None, **options: Any) -> RunResult:
    with agent.agent(**options) as opened:
        return cycle.run(opened, command="run", write=write, override=override)


def state(sandbox: Sandbox) -> dict[str, Any]:
    return {office.name: office.rows() for office in offices(sandbox)}


def test_a_freeze_stops_a_run_and_an_override_is_on_record(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.portal.lifecycle_sync = False
    agent = deploy(sandbox)
    agent.words["guard"]["freeze"] = [{"name": "audit", "start": "2000-01-01", "reason": "the books are closed"}]
    agent.words["guard"]["stage_changes"] = 1
    agent.save()
    before = state(sandbox)

    refused = run(agent)

    assert refused.exit_code == 4
    assert [one.limit for one in refused.refusals] == ["guard.stage_changes", "guard.freeze 'audit'"]
    assert "without an end in sight (UTC): the books are closed" in refused.refusals[1].message
    assert refused.applied is None
    assert state(sandbox) == before
    # A plan says the same and is no failure of the plan.
    assert [one.limit for one in run(agent, write=False).refusals] == [one.limit for one in refused.refusals]

    # A daemon that is refused is well, and says so on its page and in its log.
    daemon = Daemon(
        open_agent=agent.agent,
        schedule=Schedule(every=Duration(1, Unit.HOURS)),
        host="127.0.0.1",
        port=0,
        time_zone=ZoneInfo("UTC"),
        stop=Event(),
    )
    with capture_logs() as logged:
        daemon.tick()
    beat = daemon.heartbeat
    assert (beat.healthy, beat.exit_code, beat.refused) == (True, 4, ("guard.stage_changes", "guard.freeze 'audit'"))
    told = [event for event in logged if event["event"] == "plan_refused"]
    assert [(event["limit"], event["allowed"]) for event in told] == [
        ("guard.stage_changes", 1),
        ("guard.freeze 'audit'", 0),
    ]
    (finished,) = (event for event in logged if event["event"] == "run_finished")
    assert finished["judged"] == sum(scope.evaluated for scope in refused.scopes) > 0
    assert (finished["planned"], finished["outcomes"]) == (len(refused.plan.changes), {})

    passed = run(agent, override=Override(by="Ana", reason="the board asked for it"))

    assert passed.exit_code == 0
    assert [one.limit for one in passed.overridden] == [one.limit for one in refused.refusals]
    assert "overridden: guard.stage_changes" in agent.run("log", "show").out
    assert {outcome.result for outcome in passed.applied or ()} == {Result.APPLIED}
    with agent.ledger() as ledger:
        (entry,) = ledger.entries(kind=EntryKind.GUARD_OVERRIDDEN)
        assert (entry.run, entry.body["facts"]["by"]) == (passed.run, "Ana")
        assert entry.body["facts"]["reason"] == "the board asked for it"
        assert entry.body["text"].startswith("guard.stage_changes, guard.freeze 'audit' overridden by Ana: ")
        (too_many, frozen) = entry.body["facts"]["refusals"]
        assert "Nothing was written" not in too_many + frozen
    # Nothing is left to do, so nothing is refused.
    assert run(agent).exit_code == 0


def test_a_pause_stops_everybody_between_two_batches(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.portal.lifecycle_sync = False
    agent = deploy(sandbox)
    first: list[str] = []

    def somebody_pauses(connection: str, doing: str, _done: int) -> None:
        if doing == ChangeKind.SET_STAGE and not first:
            first.append(connection)
            with agent.ledger() as ledger:
                brake.pause(ledger, by="Ben", reason="the numbers look odd", at=opened.clock())

    opened: Agent
    with agent.agent(progress=somebody_pauses) as opened:
        with pytest.raises(
            RefusedError, match=r"paused since .*Ben: the numbers look odd\. \d+ changes were made"
        ) as no:
            cycle.run(opened, command="run", write=True)
        assert no.value.exit_code == 4
        with opened.ledger.only_writer("nobody holds it any more", opened.clock()):
            pass
    half = state(sandbox)
    assert tasks(sandbox) == {}
    with agent.ledger() as ledger:
        assert ledger.run("last").result == "refused"
    assert "refused: writing is paused since" in agent.run("log", "show").out
    paused = run(agent, override=Override(by="Ana", reason="please"))
    assert [one.limit for one in paused.refusals] == ["pause"]
    assert (paused.exit_code, state(sandbox)) == (4, half)

    done = agent.run("resume", "--by", "Ben", "--reason", "they are right")
    assert "agents write again" in done.out, done.said
    (agent.folder / "PAUSE").touch()
    assert "PAUSE" in run(agent).refusals[0].message
    assert state(sandbox) == half
    assert "agents write again" in agent.run("resume").out
    assert "Nothing was paused" in agent.run("resume").out
    assert run(agent).exit_code == 0
    assert run(agent, write=False).plan.changes == ()
    with agent.ledger() as ledger:
        assert ledger.verify().ok


def test_a_freeze_that_begins_meanwhile_stops_the_next_batch(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.portal.lifecycle_sync = False
    agent = deploy(sandbox)
    agent.words["guard"]["freeze"] = [{"name": "nights", "hours": "20:00-06:00", "reason": "nobody watches"}]
    agent.save()
    evening = datetime.now(UTC).replace(hour=19, minute=59, second=59)
    night: list[datetime] = []

    def night_falls(_connection: str, doing: str, done: int) -> None:
        if doing == ChangeKind.SET_STAGE and done:
            night.append(evening + timedelta(seconds=2))

    def clock() -> datetime:
        return night[0] if night else evening

    before = stages(sandbox)
    with (
        agent.agent(progress=night_falls, clock=clock) as opened,
        pytest.raises(
            RefusedError, match=r"'nights' holds until .*nobody watches\. \d+ changes? w\w+ made before"
        ) as no,
    ):
        cycle.run(opened, command="run", write=True)
    assert no.value.exit_code == 4
    half = state(sandbox)
    assert stages(sandbox) != before, "the batch that was on its way is finished"
    assert tasks(sandbox) == {}
    with agent.ledger() as ledger:
        assert ledger.run("last").result == "refused"
        assert ledger.verify().ok
    # What waits is refused all night; an override of a person goes through a freeze that begins meanwhile, on record.
    assert [one.limit for one in run(agent, clock=clock).refusals] == ["guard.freeze 'nights'"]
    assert set(tasks(sandbox)) <= {" ".join((one[0], one[2])) for one in _moved(before, stages(sandbox))}
    assert {place: rows for place, rows in state(sandbox).items() if rows != half[place]}.keys() <= {"salesforce"}
    night.clear()
    passed = run(agent, progress=night_falls, clock=clock, override=Override(by="Ana", reason="the board asked for it"))
    assert passed.exit_code == 0
    assert [one.limit for one in passed.overridden] == ["guard.freeze 'nights'"]
    with agent.ledger() as ledger:
        (entry,) = ledger.entries(kind=EntryKind.GUARD_OVERRIDDEN)
        assert (entry.run, entry.body["facts"]["by"]) == (passed.run, "Ana")
    assert run(agent, write=False).plan.changes == ()


def _moved(before: dict[str, str | None], after: dict[str, str | None]) -> list[list[str]]:
    return [place.split() for place in after if after[place] != before[place]]


def test_a_day_has_a_limit_whatever_the_runs(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.portal.lifecycle_sync = False
    agent = deploy(sandbox)
    whole = run(agent, write=False).plan
    protected = [one for one in whole.changes if one.kind is ChangeKind.SET_STAGE][1:]
    agent.words["guard"]["protect"] = {"records": [one.record for one in protected]}
    agent.words["guard"]["per_day"] = {"stage_changes": len(protected)}
    agent.words["time_zone"] = "Asia/Kolkata"
    agent.save()
    before = stages(sandbox)

    assert run(agent).exit_code == 0

    after = stages(sandbox)
    assert [place for place in after if after[place] != before[place]] == [" ".join(whole.changes[0].place)]
    shielded = {" ".join((one.connection, one.record)) for one in protected}
    assert not shielded & set(tasks(sandbox))
    # The others are no longer protected: with the one of before they are one too many for this day.
    del agent.words["guard"]["protect"]
    agent.save()
    refused = run(agent)
    assert [one.limit for one in refused.refusals] == ["guard.per_day.stage_changes"]
    assert "today (1 stage, " in refused.refusals[0].message
    assert stages(sandbox) == after
    with agent.agent() as opened:
        tomorrow = opened.clock() + timedelta(days=1)
    assert run(agent, clock=lambda: tomorrow).exit_code == 0
