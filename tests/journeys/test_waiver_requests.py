"""A rep asks for a waiver in a field: nothing is written to the record until it is granted or the field is empty."""

from __future__ import annotations

import json

from stagesync.model.changes import ChangeKind
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import offices, stages, tasks
from .test_run import open_tasks, run

FIELDS = {"salesforce": ("Opportunity", "Description"), "hubspot": ("deals", "description")}


def with_requests(agent: Deployment) -> None:
    for name, (place, field) in FIELDS.items():
        mapping = agent.copy_of(f"mappings/{name}.yaml")
        text = mapping.read_text(encoding="utf-8")
        told = text.replace(f"\n  {place}:\n", f"\n  {place}:\n    waiver_request: {field}\n")
        assert told != text
        mapping.write_text(told, encoding="utf-8")


def requests(agent: Deployment) -> list[dict[str, str]]:
    done = agent.run("waivers", "--requests", "--format", "json")
    assert done.code == 0, done.err
    found: list[dict[str, str]] = json.loads(done.out)
    return found


def test_nothing_is_written_while_a_request_waits(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    with_requests(agent)
    planned = run(agent, write=False)
    chosen = {}
    for office in offices(sandbox):
        place, field = FIELDS[office.name]
        mine = [change for change in open_tasks(planned, office.name) if change.object == place]
        asking, ticked = [change for change in mine if change.tells_of_a_move][:2]
        office.edit(place, asking.record, **{field: "  The board signs on Monday, <b>please</b> wait "})
        office.edit(place, ticked.record, **{field: "false"})
        chosen[office.name] = (asking, ticked)
    before = stages(sandbox)

    first = agent.run("run")

    assert first.code == 0, first.said
    assert "2 records wait for a waiver" in first.out
    after, made = stages(sandbox), tasks(sandbox)
    for name, (asking, ticked) in chosen.items():
        where = f"{name} {asking.object} {asking.record}"
        assert after[where] == before[where], "it was moved while a request waits"
        assert f"{name} {asking.record}" not in made
        assert f"{name} {ticked.record}" in made, "a box that is not ticked asks for nothing"
        assert after[f"{name} {ticked.object} {ticked.record}"] != before[f"{name} {ticked.object} {ticked.record}"]
    found = requests(agent)
    assert {(row["connection"], row["record"]) for row in found} == {
        (name, asking.record) for name, (asking, _) in chosen.items()
    }
    assert {row["words"] for row in found} == {"The board signs on Monday, <b>please</b> wait"}
    assert all("premature" in row["rules"] for row in found)
    with agent.ledger() as ledger:
        summary = ledger.run("last").summary or {}
        waiting = summary["waiver_requests"]
        assert isinstance(waiting, list)
        assert len(waiting) == 2

    # One is granted, the other is taken back by the rep.
    granted, _ = chosen["salesforce"]
    for rule in next(row["rules"] for row in found if row["record"] == granted.record).split(", "):
        done = agent.run("waive", granted.record, "--rule", rule, "--until", "2099-01-01", "--reason", "it is so")
        assert done.code == 0, done.err
    empty, _ = chosen["hubspot"]
    hubspot = offices(sandbox)[1]
    hubspot.edit(empty.object, empty.record, description="")

    second = run(agent)

    assert requests(agent) == []
    assert second.requests == []
    touched = {(one.connection, one.record, one.kind) for one in second.plan.changes}
    assert ("hubspot", empty.record, ChangeKind.SET_STAGE) in touched
    assert granted.record not in {record for _, record, _ in touched}
    where = f"salesforce {granted.object} {granted.record}"
    assert stages(sandbox)[where] == before[where]
