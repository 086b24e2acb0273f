"""A plan in a file: shown, approved row by row, applied once, and refused when it is not what it was."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stagesync.agent import cycle, plan_files
from stagesync.agent.connection import Agent
from stagesync.agent.daemon import Daemon
from stagesync.agent.running import RunResult
from stagesync.cli import plans as command
from stagesync.cli.options import Grouping, PlanFormat
from stagesync.errors import Busy, RefusedError, UsageError
from stagesync.ledger import EntryKind
from stagesync.model.changes import Change, ChangeKind, Result
from stagesync.policy.durations import Duration, Unit
from stagesync.report.plans import PlanDocument, content_hash, plan_of
from stagesync.sandbox.server import Sandbox
from stagesync.settings import Schedule

from .conftest import Deploy
from .deployment import Deployment
from .office import offices, stages, tasks


@dataclass(frozen=True)
class Planned:
    """A plan in a file, and the agent that made it."""

    agent: Deployment
    file: Path
    document: PlanDocument

    @property
    def changes(self) -> tuple[Change, ...]:
        return plan_of(self.document).changes

    def of(self, kind: ChangeKind) -> list[Change]:
        return [change for change in self.changes if change.kind is kind]

    @contextmanager
    def opened(self, **options: Any) -> Iterator[Agent]:
        with self.agent.agent(**options) as agent:
            yield agent

    def approve(self, *only: str, without: tuple[str, ...] = (), by: str = "ana") -> plan_files.Approved:
        with self.opened(write=False) as agent:
            return plan_files.approve(
                self.file,
                agent.ledger,
                agent.facts,
                only=only,
                without=without,
                by=by,
                note="seen with the team",
                at=agent.clock(),
            )

    def apply(self, **options: Any) -> RunResult:
        with self.opened(**options) as agent:
            return plan_files.apply_file(agent, self.file)


def planned(agent: Deployment, file: Path) -> Planned:
    with agent.agent(write=False) as opened:
        document = plan_files.made(opened, cycle.run(opened, command="plan", write=False))
    plan_files.write(file, document)
    return Planned(agent, file, document)


@pytest.fixture
def made(sandbox: Sandbox, deploy: Deploy, tmp_path: Path) -> Planned:
    sandbox.portal.lifecycle_sync = False
    return planned(deploy(sandbox), tmp_path / "plan.json")


def state(sandbox: Sandbox) -> dict[str, Any]:
    return {office.name: office.rows() for office in offices(sandbox)}


def test_exactly_the_approved_rows_are_made_and_made_once(made: Planned, sandbox: Sandbox) -> None:
    moves, opened = made.of(ChangeKind.SET_STAGE), made.of(ChangeKind.OPEN_TASK)
    wanted = [moves[0], moves[-1], next(task for task in opened if not task.before)]
    before = stages(sandbox)
    with pytest.raises(RefusedError, match=r"no row is approved; sign those you want with `stagesync approve"):
        made.apply()

    for change in wanted:
        made.approve(change.key)
    result = made.apply()

    assert [outcome.result for outcome in result.applied or ()] == [Result.APPLIED] * 3
    held = stages(sandbox)
    changed = {place for place in held if held[place] != before[place]}
    assert changed == {" ".join(change.place) for change in (moves[0], moves[-1])}
    assert [task.key for found in tasks(sandbox).values() for task in found] == [wanted[2].key]
    after = state(sandbox)
    with pytest.raises(RefusedError, match=rf"all 3 approved rows were applied already, by run {result.run}"):
        made.apply()
    assert state(sandbox) == after
    with made.agent.ledger() as ledger:
        approvals = list(ledger.entries(kind=EntryKind.PLAN_APPROVED))
        assert [entry.body["facts"]["keys"] for entry in approvals] == [[one.key] for one in reversed(wanted)]
        assert {entry.body["facts"]["by"] for entry in approvals} == {"ana"}
        assert ledger.run(result.run).result == "done"
        assert ledger.verify().ok
    # What is approved later is made later, and what was made is not touched again.
    more = made.approve(f"key={moves[1].key}")
    assert [change.key for change in more.signed] == [moves[1].key]
    assert [outcome.key for outcome in made.apply().applied or ()] == [moves[1].key]


def test_rows_are_selected_by_what_a_person_sees(made: Planned) -> None:
    first = made.changes[0]
    done = made.approve(f"record={first.record_name}", f"owner={first.owner_name}", without=("kind=open-task",))
    assert first.key in {one.key for one in done.signed}
    assert {one.kind for one in done.signed} == {ChangeKind.SET_STAGE}
    names = {one.owner_name for one in done.signed if one.record_name != first.record_name}
    assert names <= {first.owner_name}
    with pytest.raises(UsageError, match=r"'rule=prematur' means no row.*key=\.\.\., rule="):
        made.approve("rule=prematur")
    with pytest.raises(UsageError, match="approved already"):
        made.approve(first.key)
    document, untouched = plan_files.read(made.file)
    assert untouched
    assert document.approved == {one.key for one in done.signed}


def test_a_task_that_tells_of_a_move_waits_for_the_move(made: Planned) -> None:
    told = next(task for task in made.of(ChangeKind.OPEN_TASK) if task.before)
    with pytest.raises(UsageError, match="tells of a move that is not approved; approve both"):
        made.approve(told.key)
    done = made.approve(without=(next(one.key for one in made.changes if one.place == told.place),))
    assert [task.key for task in done.left] == [told.key]


ELSEWHERE = {
    "salesforce": ("Qualification", "Needs Analysis", "Perception Analysis"),
    "hubspot": ("qualifiedtobuy", "appointmentscheduled", "presentationscheduled"),
}


def test_rows_whose_record_moved_on_are_skipped_and_named(made: Planned, sandbox: Sandbox) -> None:
    for office in offices(sandbox):
        # A stage of another pipeline would be refused to the rep.
        mine = [
            one
            for one in made.changes
            if (one.connection, one.object) == (office.name, office.deals)
            and {**one.seen, **one.before}.get("pipeline", "default") == "default"
        ]
        move = next(one for one in mine if one.kind is ChangeKind.SET_STAGE)
        other = next(
            one for one in made.of(ChangeKind.SET_STAGE) if one.connection == office.name and one.place != move.place
        )
        task = next(one for one in mine if one.kind is ChangeKind.OPEN_TASK and not one.before)
        for change in (move, task):
            held = {*change.before.values(), *change.after.values(), *change.seen.values()}
            stage = next(stage for stage in ELSEWHERE[office.name] if stage not in held)
            office.edit(office.deals, change.record, **{office.stage_fields[office.deals]: stage})
        made.approve(move.key, task.key, other.key)
    result = made.apply()
    found = {outcome.key: outcome for outcome in result.applied or ()}
    results = [found[one.key].result for one in result.plan.changes]
    assert sorted(results) == [Result.APPLIED] * 2 + [Result.SUPERSEDED] * 4
    assert all(one.detail for one in found.values() if one.result is Result.SUPERSEDED)
    assert tasks(sandbox) == {}
    with made.agent.ledger() as ledger:
        assert all(outcome is not None for _, outcome in ledger.changes(result.run))


def edited(file: Path, **values: Any) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**document, **values}), encoding="utf-8")


def test_a_file_that_is_not_what_it_was_is_refused(
    made: Planned, sandbox: Sandbox, deploy: Deploy, tmp_path: Path
) -> None:
    before = state(sandbox)
    made.approve()
    good = made.file.read_text(encoding="utf-8")
    document = json.loads(good)

    def refused(words: str, agent: Deployment = made.agent, **options: Any) -> None:
        with pytest.raises(RefusedError, match=words) as error, agent.agent(**options) as opened:
            plan_files.apply_file(opened, made.file)
        assert error.value.exit_code == 4
        made.file.write_text(good, encoding="utf-8")

    document["changes"][0]["after"] = dict.fromkeys(document["changes"][0]["after"], "Closed Won")
    edited(made.file, changes=document["changes"])
    refused("was edited")
    edited(made.file, later="a key that nobody knows")
    refused("was edited")
    edited(made.file, sha256=content_hash(json.dumps({**document}).encode()), changes=document["changes"])
    refused("knows no such plan")
    edited(made.file, approvals=[{**document["approvals"][0], "by": "mallory"}])
    refused("knows nothing of the approval by mallory")
    refused("knows no such plan", deploy(sandbox, "stranger"))
    with made.opened(write=False) as opened:
        late = opened.clock() + timedelta(hours=24)
    refused("expired at", clock=lambda: late)
    definition = made.agent.copy_of("definitions/recommended.yaml")
    definition.write_text(definition.read_text(encoding="utf-8") + "\n# another word\n", encoding="utf-8")
    refused("other definitions or mappings")
    made.agent.words["definitions"] = str(tmp_path / "none.yaml")
    for text in ("", "[]", "{}", '{"version": 2}', "\x00", good[:200]):
        made.file.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="this is no plan"):
            plan_files.read(made.file)
    assert state(sandbox) == before


def test_a_plan_for_another_org_is_refused(made: Planned, sandbox: Sandbox) -> None:
    made.approve()
    before = state(sandbox)
    sandbox.portal.portal_id = 999
    with pytest.raises(RefusedError, match=r"the plan is for .*, and connection 'hubspot' leads to 999"):
        made.apply()
    assert state(sandbox) == before


def test_while_another_agent_writes_none_does(made: Planned, sandbox: Sandbox) -> None:
    made.approve()
    before = state(sandbox)
    with made.opened() as first, first.ledger.only_writer("the daemon", first.clock()), made.opened() as second:
        with pytest.raises(Busy, match="in use by the daemon, since"):
            plan_files.apply_file(second, made.file)
        with pytest.raises(Busy, match="in use by the daemon, since"):
            cycle.run(second, command="run", write=True)
        daemon = Daemon(
            open_agent=made.agent.agent,
            schedule=Schedule(every=Duration(1, Unit.HOURS)),
            host="127.0.0.1",
            port=0,
            time_zone=ZoneInfo("UTC"),
            stop=Event(),
        )
        daemon.tick()
        assert (daemon.heartbeat.healthy, daemon.heartbeat.exit_code) == (True, 0)
        # Who only looks is not in the way.
        assert cycle.run(second, command="plan", write=False).exit_code == 0
    assert state(sandbox) == before


def test_each_form_shows_every_row(made: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    first = made.changes[0]
    made.approve(first.key)

    def shown(output: PlanFormat, group: Grouping | None = None) -> str:
        assert command.show_file(made.file, output=output, group=group, limit=0) == 0
        return capsys.readouterr().out

    assert json.loads(shown(PlanFormat.JSON))["sha256"] == made.document.sha256
    rows = list(csv.DictReader(io.StringIO(shown(PlanFormat.CSV))))
    assert [row["key"] for row in rows] == [change.key for change in made.changes]
    assert [row["approved"] for row in rows].count("yes") == 1
    for group in Grouping:
        for output in (PlanFormat.MARKDOWN, PlanFormat.HTML, PlanFormat.TABLE):
            text = shown(output, group)
            assert all(change.key in text for change in made.changes)
            assert "seen with the team" in text
            assert all(entry.reason in unescape(text) for entry in made.document.left_out)


def test_what_would_be_signed_can_be_shown_before(made: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    task = made.of(ChangeKind.OPEN_TASK)[0]
    assert task.task is not None
    for output in (PlanFormat.TABLE, PlanFormat.HTML, PlanFormat.CSV):
        only = ["kind=open-task"]
        command.show_file(made.file, output=output, group=None, limit=0, only=only, without=[task.key], texts=True)
        text = unescape(capsys.readouterr().out)
        assert {one.key for one in made.changes if one.key in text} == {
            one.key for one in made.of(ChangeKind.OPEN_TASK) if one.key != task.key
        }
    # What a rep would read, before anybody signs it.
    for output in (PlanFormat.TABLE, PlanFormat.HTML):
        command.show_file(made.file, output=output, group=None, limit=0, only=[task.key], texts=True)
        text = unescape(capsys.readouterr().out)
        assert all(line in text for line in task.task.body.splitlines())
    with pytest.raises(UsageError, match="always whole"):
        command.show_file(made.file, output=PlanFormat.JSON, group=None, limit=0, only=[task.key])


HOSTILE = '<script>alert("x")</script> & [a](b) | `c`'


def test_what_comes_from_a_crm_stays_text(
    sandbox: Sandbox, deploy: Deploy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = deploy(sandbox)
    (salesforce, _) = offices(sandbox)
    record = planned(agent, tmp_path / "first.json").of(ChangeKind.SET_STAGE)
    target = next(one for one in record if (one.connection, one.object) == ("salesforce", "Opportunity"))
    salesforce.edit("Opportunity", target.record, Name=HOSTILE)
    plan = planned(agent, tmp_path / "second.json")
    command.show_file(plan.file, output=PlanFormat.HTML, group=None, limit=0)
    html = capsys.readouterr().out
    assert "<script" not in html
    assert "&lt;script&gt;alert(&quot;x&quot;)" in html
    command.show_file(plan.file, output=PlanFormat.MARKDOWN, group=None, limit=0)
    assert "&lt;script>" in capsys.readouterr().out


def test_the_commands_one_after_another(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    assert agent.run("plan", "--out", "plan.json").code == 0
    done = agent.run("approve", "plan.json", "--only", "rule=premature", "--except", "object=Lead", "--by", "Ana")
    assert "rows approved by Ana" in done.out, done.said
    done = agent.run("apply", "plan.json")
    assert done.code == 0, done.said
    assert "takes it back" in done.out
    done = agent.run("apply", "plan.json")
    assert (done.code, done.out) == (4, "")
    assert "applied already" in done.err
    assert "are not approved" in done.err
    with agent.ledger() as ledger:
        (refused, applied, made) = ledger.runs()
    shown = agent.run("log", "show", applied.id).out
    assert f"the plan of run {made.id}: " in shown
    assert "rows approved by Ana" in shown
    assert "refused: plan.json: all " in agent.run("log", "show", refused.id).out
    lines = agent.run("log", "list").out.splitlines()
    assert [line for line in lines if "finding" in line] == [line for line in lines if made.id in line]
    (line,) = agent.run("log", "list", "--kind", "plan.approved").out.splitlines()[1:]
    assert line.split("Z  ")[1].endswith("rows approved by Ana")
