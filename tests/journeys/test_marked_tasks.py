"""An org without a field for the key: whole runs, with a line in each task's text that stands for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.model.changes import ChangeKind, mark
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment, mark_in_texts

LOOKS = 2
"""For the tasks of at most 200 records: one query for leads and one for opportunities, beside what each table asks."""


def run(agent: Deployment) -> RunResult:
    with agent.agent() as opened:
        return cycle.run(opened, command="run", write=True)


def ours(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """StageSync's tasks that are not deleted, by the line in their text."""
    found: dict[str, dict[str, Any]] = {}
    for row in sandbox.org.database.rows('SELECT * FROM "Task" WHERE "IsDeleted" = 0'):
        line = (row["Description"] or "").rpartition("\n")[2]
        if line.startswith("[stagesync-"):
            assert line not in found, "a task twice"
            found[line] = row
    return found


def test_two_runs_and_a_lost_ledger_make_each_task_once(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.only("salesforce")
    mark_in_texts(agent)
    sandbox.org.faults.hidden_fields.add(("Task", "StageSync_Key__c"))

    first = run(agent)
    assert first.errors == {}
    planned = {mark(one.key): one for one in first.plan.changes if one.kind is ChangeKind.OPEN_TASK}
    made = ours(sandbox)
    assert made.keys() == planned.keys()
    assert len(made) > 5
    assert {line: row["WhatId"] or row["WhoId"] for line, row in made.items()} == {
        line: change.record for line, change in planned.items()
    }

    # A rep ends one, deletes one and rewrites the subject of one; then the ledger is lost.
    person = Writer(sandbox.org, next(iter(made.values()))["OwnerId"])
    ended, deleted, rewritten = (row["Id"] for row in list(made.values())[:3])
    person.update(SOBJECTS["Task"], ended, {"Status": "Completed"})
    person.delete(SOBJECTS["Task"], deleted)
    person.update(SOBJECTS["Task"], rewritten, {"Subject": "ask Ada"})
    kept = ours(sandbox)
    again = run(agent)
    assert again.errors == {}
    assert ours(sandbox) == kept
    agent.ledger_file.unlink()
    before = Counter(sandbox.org.calls)
    lost = run(agent)
    assert lost.errors == {}
    assert ours(sandbox) == kept

    # The tasks of the records are looked through once for each object, and nothing is written.
    spent = Counter(sandbox.org.calls) - before
    writes = {call: count for call, count in spent.items() if not call.startswith("GET") and "sobjects/" not in call}
    assert writes.keys() <= {"POST /services/oauth2/token", "POST /composite of GETs"}
    with agent.agent(write=False) as opened:
        tables = len(opened.connections[0].mapping.tables)
    assert spent["GET /queryAll"] == tables + LOOKS
    assert lost.calls["salesforce"].made == sum(count for call, count in spent.items() if "oauth2" not in call)
