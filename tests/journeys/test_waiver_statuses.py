"""A rep asks for a waiver by the status of a task: nothing is written until it is granted or nobody asks any more."""

from __future__ import annotations

from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest

from stagesync.model.changes import Change, ChangeKind
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import HubSpotOffice, Office, SalesforceOffice, Task, offices, stages, tasks
from .test_run import open_tasks, run, task_of
from .test_waiver_requests import requests

STATUSES = {"salesforce": "Waiting on someone else", "hubspot": "WAITING"}
SHOWN = {"salesforce": "Waiting on someone else", "hubspot": "Waiting"}
OPEN = {"salesforce": "Not Started", "hubspot": "NOT_STARTED"}
NOTE = "The board signs on Monday, <b>please</b> wait"


def with_statuses(agent: Deployment) -> None:
    for name, status in STATUSES.items():
        mapping = agent.copy_of(f"mappings/{name}.yaml")
        text = mapping.read_text(encoding="utf-8")
        told = text.replace("_key}", f"_key, waiver_status: {status}}}").replace(
            "_Key__c}", f"_Key__c, waiver_status: {status}}}"
        )
        assert told != text
        mapping.write_text(told, encoding="utf-8")


def fields_of(office: Office, task: str) -> dict[str, Any]:
    """A task as the CRM has it: its status and its text."""
    row = office.rows()["Task" if office.name == "salesforce" else "tasks"][task]
    names = ("Status", "Description") if office.name == "salesforce" else ("hs_task_status", "hs_task_body")
    return dict(zip(("status", "body"), (row[name] for name in names), strict=True))


def set_status(office: Office, task: Task, status: str, note: str = "") -> None:
    """A rep gives a task a status, and writes a note behind its text."""
    if isinstance(office, SalesforceOffice):
        text = {"Description": f"{task.body}\n\n{note}"} if note else {}
        Writer(office.org, office.rep).update(SOBJECTS["Task"], task.id, {"Status": status, **text})
    else:
        assert isinstance(office, HubSpotOffice)
        escaped = note.replace("<", "&lt;").replace(">", "&gt;")
        text = {"hs_task_body": f"<div><p>{task.body}</p><p>{escaped}</p></div>"} if note else {}
        office._call("PATCH", f"tasks/{task.id}", {"properties": {"hs_task_status": status, **text}})


def chosen(planned: list[Change], movable: set[str]) -> list[Change]:
    """Tasks about premature records alone, which enforcing would move."""
    return [one for one in planned if one.record in movable and len(one.findings) == 1]


def moved_if_enforced(agent: Deployment) -> set[str]:
    """The records whose stages a run would change, were the rule to write."""
    asked = agent.words["rules"]
    agent.words["rules"] = {"premature": {"mode": "enforce"}}
    agent.save()
    found = {one.record for one in run(agent, write=False).plan.changes if one.kind is ChangeKind.SET_STAGE}
    agent.words["rules"] = asked
    agent.save()
    return found


def test_nothing_is_written_while_a_task_asks(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    with_statuses(agent)
    movable = moved_if_enforced(agent)
    first = run(agent)
    asking: dict[str, tuple[Change, Change, Change]] = {}
    for office in offices(sandbox):
        told, silent, back, *_ = chosen(open_tasks(first, office.name), movable)
        assert told.task is not None
        assert f"give this task the status '{SHOWN[office.name]}' and write the reason into it" in told.task.body
        set_status(office, task_of(sandbox, told), STATUSES[office.name], NOTE)
        set_status(office, task_of(sandbox, silent), STATUSES[office.name])
        set_status(office, task_of(sandbox, back), STATUSES[office.name])
        asking[office.name] = (told, silent, back)
    agent.words["rules"] = {"premature": {"mode": "enforce"}}
    agent.save()
    before, made = stages(sandbox), tasks(sandbox)

    done = agent.run("run")

    assert done.code == 0, done.said
    assert "6 records wait for a waiver" in done.out
    after = stages(sandbox)
    waiting = {f"{name} {one.object} {one.record}" for name, three in asking.items() for one in three}
    assert {place for place in waiting if after[place] != before[place]} == set()
    assert after != before, "the others are moved"
    now = tasks(sandbox)
    for name, three in asking.items():
        for one in three:
            assert now[f"{name} {one.record}"] == made[f"{name} {one.record}"]
    found = {(row["connection"], row["record"]): row for row in requests(agent)}
    assert found.keys() == {(name, one.record) for name, three in asking.items() for one in three}
    for name, (told, silent, _) in asking.items():
        assert found[name, told.record]["words"] == NOTE
        assert found[name, silent.record]["words"] == f"the task has the status '{SHOWN[name]}'"
        assert found[name, told.record]["rules"] == "premature"

    # One is granted, one is taken back by the rep, the third goes on waiting.
    for name, (told, _, back) in asking.items():
        granted = agent.run(
            "waive", told.record, "--rule", "premature", "--until", "2099-01-01", "--reason", "so it is"
        )
        assert granted.code == 0, granted.err
        office = next(one for one in offices(sandbox) if one.name == name)
        set_status(office, task_of(sandbox, back), OPEN[name])

    second = run(agent)

    assert sorted(second.requests) == sorted(
        f"{name} {silent.object} {silent.record}" for name, (_, silent, _) in asking.items()
    )
    kinds = {(one.connection, one.record): one.kind for one in second.plan.changes}
    for name, (told, silent, back) in asking.items():
        assert kinds[name, told.record] is ChangeKind.CLOSE_TASK
        assert task_of(sandbox, told).closed
        assert "A waiver was granted" in task_of(sandbox, told).body, "also where the rep wrote a reason"
        assert kinds[name, back.record] is ChangeKind.SET_STAGE
        assert (name, silent.record) not in kinds
        for one, moved in ((told, False), (silent, False), (back, True)):
            place = f"{name} {one.object} {one.record}"
            assert (stages(sandbox)[place] != before[place]) is moved
    assert {row["record"] for row in requests(agent)} == {silent.record for _, silent, _ in asking.values()}
    with agent.ledger() as ledger:
        for name, (told, _, _) in asking.items():
            assert told.key not in {task.key for task in ledger.tasks(name)}


def test_a_refusal_puts_the_task_back_and_says_why(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    with_statuses(agent)
    movable = moved_if_enforced(agent)
    first = run(agent)
    asking: dict[str, tuple[Change, Change]] = {}
    for office in offices(sandbox):
        noted, bare, *_ = chosen(open_tasks(first, office.name), movable)
        set_status(office, task_of(sandbox, noted), STATUSES[office.name], NOTE)
        set_status(office, task_of(sandbox, bare), STATUSES[office.name])
        asking[office.name] = (noted, bare)
    assert len(run(agent).requests) == 4
    before = tasks(sandbox)
    for pair in asking.values():
        for one in pair:
            words = ("waivers", "--refuse", one.record, "--reason", "The <board> has signed", "--by", "Ben & Co")
            refused = agent.run(*words)
            assert refused.code == 0, refused.err
            assert "The next run puts its task back" in refused.out

    done = agent.run("run")

    assert done.code == 0, done.said
    assert "4 update task: applied" in done.out
    assert requests(agent) == []
    today = datetime.now(UTC).date()
    for office in offices(sandbox):
        for one, has_note in zip(asking[office.name], (True, False), strict=True):
            (old,) = before[f"{office.name} {one.record}"]
            held = fields_of(office, task_of(sandbox, one).id)
            assert held["status"] == OPEN[office.name]
            assert held["body"].startswith(old.body)
            text = unescape(held["body"]).replace("<br>", "\n")
            assert f"\n\nThe waiver was refused by Ben & Co on {today}: The <board> has signed\n" in text
            assert (NOTE in text) is has_note
            assert len(tasks(sandbox)[f"{office.name} {one.record}"]) == 1
    # The rep was told: nothing more is to be done, and the record is no longer left alone.
    second = run(agent)
    assert (second.plan.changes, second.requests) == ((), [])
    agent.words["rules"] = {"premature": {"mode": "enforce"}}
    agent.save()
    moved = {one.record for one in run(agent, write=False).plan.changes if one.kind is ChangeKind.SET_STAGE}
    assert moved == movable

    # She may ask again, and the old refusal is no answer to that.
    for office in offices(sandbox):
        set_status(office, task_of(sandbox, asking[office.name][1]), STATUSES[office.name])
    again = run(agent, write=False)
    assert len(again.requests) == 2
    assert not {one.record for one in again.plan.changes} & {bare.record for _, bare in asking.values()}
    assert {row["words"] for row in requests(agent)} == {f"the task has the status '{one}'" for one in SHOWN.values()}


def test_a_refusal_of_what_nobody_asks_is_told(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    with_statuses(agent)
    agent.only("salesforce")
    (one, *_) = open_tasks(run(agent), "salesforce")
    for reason, said in (("", "a refusal needs a reason"), ("so", f"no task of {one.record} asks for a waiver")):
        done = agent.run("waivers", "--refuse", one.record, "--reason", reason)
        assert done.code == 2
        assert said in done.err


@pytest.mark.parametrize(
    ("status", "said"),
    [("COMPLETED", "a task that is completed asks for nothing"), ("Completed", "a task that is completed")],
)
def test_a_status_that_cannot_ask_is_told_with_its_place(
    still: Sandbox, deploy: Deploy, status: str, said: str
) -> None:
    agent = deploy(still)
    with_statuses(agent)
    mapping = agent.folder / "hubspot.yaml"
    mapping.write_text(
        mapping.read_text(encoding="utf-8").replace("waiver_status: WAITING", f"waiver_status: {status}")
    )
    done = agent.run("check")
    assert done.code == 2
    assert said in done.err
    assert f"{mapping}:" in done.err


def test_a_status_that_is_not_there_is_told(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    with_statuses(agent)
    assert agent.run("check", "--online").code == 0
    for name, status in STATUSES.items():
        mapping = agent.folder / f"{name}.yaml"
        text = mapping.read_text(encoding="utf-8")
        mapping.write_text(text.replace(f"waiver_status: {status}", "waiver_status: Waved"), encoding="utf-8")
    done = agent.run("check", "--online")
    assert done.code == 2
    for place, name in (("Task", "salesforce"), ("tasks", "hubspot")):
        assert f"{place} has no status 'Waved'; there are {OPEN[name]}, " in " ".join(
            done.out.replace("│", " ").split()
        )
