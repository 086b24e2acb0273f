"""A run changes what it planned and nothing else; people may disagree with it and are left alone."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.ledger import EntryKind
from stagesync.model.changes import Change, ChangeKind, Result
from stagesync.sandbox.server import Sandbox

from .conftest import FEW, Deploy
from .deployment import Deployment
from .office import Office, Rows, Task, offices, stages, tasks

# What the CRMs themselves do to a record that is written or gets a task: marks of time, counts of activities,
# Salesforce's Probability (follows the stage), HubSpot's dates of stages.
FOLLOWS_STAGE = {
    "salesforce": {"LastModifiedById", "LastModifiedDate", "SystemModstamp", "LastStageChangeDate", "Probability"},
    "hubspot": {"hs_deal_stage_probability", "hs_v2_date_", "hs_lifecyclestage_", "hs_is_closed"},
}
FOLLOWS_TASK = {
    "salesforce": {"SystemModstamp", "LastActivityDate"},
    "hubspot": {"num_notes", "notes_next_activity_date"},
}
# Rows that the CRMs add by themselves, and records that they touch beside the one that is written.
FOLLOWING_ROWS = {"LeadHistory", "OpportunityHistory", "OpportunityFieldHistory"}
FOLLOWING_TABLES = {"Account": {"SystemModstamp"}}


def planned(agent: Deployment) -> dict[str, Any]:
    """What ``stagesync plan`` says."""
    done = agent.run("plan", "--format", "json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_run_changes_what_the_plan_says_and_nothing_else(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.portal.lifecycle_sync = False  # or HubSpot itself raises the contacts of every deal that is written
    agent = deploy(sandbox)
    changes = planned(agent)["changes"]
    kinds = Counter((change["connection"], change["kind"]) for change in changes)
    assert set(kinds) == {(crm, kind) for crm in ("salesforce", "hubspot") for kind in ("set-stage", "open-task")}
    before = {office.name: office.rows() for office in offices(sandbox)}

    done = agent.run("run")

    assert done.code == 0, done.said
    for office in offices(sandbox):
        mine = [change for change in changes if change["connection"] == office.name]
        after = office.rows()
        check_stages(office, mine, before[office.name], after)
        check_tasks(office, [change for change in mine if change["kind"] == "open-task"])
        assert unexpected(office.name, mine, before[office.name], after) == []


def check_stages(office: Office, changes: list[dict[str, Any]], before: Rows, after: Rows) -> None:
    for change in changes:
        if change["kind"] != "set-stage":
            continue
        old, new = before[change["object"]][change["record"]], after[change["object"]][change["record"]]
        assert {name: old[name] for name in change["before"]} == change["before"]
        assert {name: new[name] for name in change["after"]} == change["after"]
        field = office.stage_fields[change["object"]]
        assert old[field] != new[field]


def check_tasks(office: Office, opened: list[dict[str, Any]]) -> None:
    made = {task.record: task for task in office.tasks()}
    assert len(made) == len(office.tasks()), "a record has two tasks"
    assert set(made) == {change["record"] for change in opened}
    for change in opened:
        task, wanted = made[change["record"]], change["task"]
        assert (task.key, task.owner, task.due, task.closed) == (change["key"], wanted["owner"], wanted["due"], False)
        assert task.subject == wanted["subject"]
        assert change["record_name"][:60] in task.subject
        assert date.fromisoformat(task.due).weekday() < 5
        assert "If you disagree" in task.body
        assert "Please" in task.body or "please" in task.body


def unexpected(crm: str, changes: list[dict[str, Any]], before: Rows, after: Rows) -> list[str]:
    """Differences between two states of a CRM that neither the plan nor the CRM's own habits explain."""
    staged = {(change["object"], change["record"]): set(change["after"]) for change in changes if change["after"]}
    with_task = {(change["object"], change["record"]) for change in changes if change["kind"] == "open-task"}
    found = []
    for table, rows in after.items():
        for record in rows.keys() | before[table].keys():
            old, new = before[table].get(record), rows.get(record)
            if old is None and new is not None:
                own = bool(new.get("StageSync_Key__c") or new.get("stagesync_key"))
                if not own and table not in FOLLOWING_ROWS:
                    found.append(f"{table} {record} is new")
                continue
            if new is None or old is None:
                found.append(f"{table} {record} is gone")
                continue
            allowed = set(staged.get((table, record), ())) | FOLLOWING_TABLES.get(table, set())
            if (table, record) in staged:
                allowed |= FOLLOWS_STAGE[crm]
            if (table, record) in with_task:
                allowed |= FOLLOWS_TASK[crm]
            for name in old.keys() | new.keys():
                explained = name in allowed or any(name.startswith(one) for one in allowed if one.endswith("_"))
                if old.get(name) != new.get(name) and not explained:
                    found.append(f"{table} {record} {name}: {old.get(name)!r} -> {new.get(name)!r}")
    return sorted(found)


@pytest.mark.records(FEW)
def test_a_second_run_finds_nothing_to_change(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    first = agent.run("run")
    assert first.code == 0, first.said
    before = {office.name: office.rows() for office in offices(sandbox)}

    assert planned(agent)["changes"] == []
    second = agent.run("run")

    assert second.code == 0
    assert "nothing to change" in second.out
    assert {office.name: office.rows() for office in offices(sandbox)} == before


@pytest.mark.records(FEW)
def test_an_empty_ledger_makes_no_second_task(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.run("run")
    made = tasks(sandbox)
    agent.ledger_file.unlink()
    done = agent.run("run")
    assert done.code == 0, done.said
    assert "already so" in done.out
    assert tasks(sandbox) == made


def run(agent: Deployment, *, write: bool = True) -> RunResult:
    with agent.agent() as opened:
        return cycle.run(opened, command="run", write=write)


def open_tasks(result: RunResult, crm: str) -> list[Change]:
    return [one for one in result.plan.changes if one.kind is ChangeKind.OPEN_TASK and one.connection == crm]


def task_of(sandbox: Sandbox, change: Change) -> Task:
    (task,) = tasks(sandbox)[f"{change.connection} {change.record}"]
    return task


EVIDENCE: dict[str, dict[str, dict[str, str]]] = {
    "salesforce": {
        "pain-stated": {"Pain__c": "Orders are typed in twice and every tenth is wrong"},
        "value-defined": {"Amount": "42000"},
        "budget": {"Budget_Confirmed__c": "true"},
        "next-step": {"NextStep": "Legal sends the contract on Friday"},
        "engaged": {},
        "meeting": {},
    },
    "hubspot": {
        "pain-stated": {"pain": "Orders are typed in twice and every tenth is wrong"},
        "value-defined": {"amount": "42000"},
        "budget": {"budget_confirmed": "true"},
        "next-step": {"hs_next_step": "Legal sends the contract on Friday"},
        "engaged": {},
        "meeting": {},
    },
}


def mendable(office: Office, change: Change) -> bool:
    """Whether a rep can bring all that a task asks for within the deal itself."""
    return (
        change.object == office.deals
        and bool(change.criteria)
        and len(change.findings) == 1
        and set(change.criteria) <= set(EVIDENCE[office.name])
    )


def bring_evidence(office: Office, change: Change) -> None:
    for criterion in change.criteria:
        fields = EVIDENCE[office.name][criterion]
        if fields:
            office.edit(change.object, change.record, **fields)
    for hours in (3, 2):
        office.meet(change.object, change.record, datetime.now(UTC) - timedelta(hours=hours))


@pytest.mark.parametrize("mode", ["suggest", "enforce"])
def test_a_task_closes_once_its_evidence_is_there(sandbox: Sandbox, deploy: Deploy, mode: str) -> None:
    agent = deploy(sandbox, enforce=mode == "enforce")
    first = run(agent)
    mended = []
    for office in offices(sandbox):
        change = next(change for change in open_tasks(first, office.name) if mendable(office, change))
        bring_evidence(office, change)
        mended.append(change)

    done = agent.run("run")

    assert done.code == 0, done.said
    assert "2 close task: applied" in done.out
    for change in mended:
        task = task_of(sandbox, change)
        assert task.closed
        assert "Thank you" in task.body
        with agent.ledger() as ledger:
            kinds = [
                entry.kind for entry in ledger.entries(record=change.record, key=change.findings[0], newest_first=False)
            ]
            assert kinds[0] == EntryKind.FINDING_OPENED
            assert kinds[-1] == EntryKind.FINDING_RESOLVED
            assert change.key not in {task.key for task in ledger.tasks(change.connection)}
    others = [task for made in tasks(sandbox).values() for task in made if not task.closed]
    assert len(others) == len(first.plan.changes) - first_moves(first) - len(mended)
    assert planned(agent)["changes"] == []


def first_moves(result: RunResult) -> int:
    return sum(change.kind is ChangeKind.SET_STAGE for change in result.plan.changes)


@pytest.mark.parametrize("deed", ["complete", "delete"])
def test_a_task_that_a_rep_ends_is_not_made_again(sandbox: Sandbox, deploy: Deploy, deed: str) -> None:
    agent = deploy(sandbox, enforce=False)
    first = run(agent)
    for office in offices(sandbox):
        for task in office.tasks():
            getattr(office, deed)(task.id)
    before = tasks(sandbox)

    second = run(agent)

    assert second.exit_code == 0
    # Nor does a finished task of StageSync's own make a stalled record look alive.
    assert findings(second) == findings(first)
    assert second.plan.changes == ()
    assert tasks(sandbox) == before


OWNER_FIELDS = {"salesforce": "OwnerId", "hubspot": "hubspot_owner_id"}
TASKS = {"salesforce": ("Task", "Description"), "hubspot": ("tasks", "hs_task_body")}


@pytest.mark.parametrize("mode", ["suggest", "enforce"])
def test_an_open_task_goes_with_its_record_to_the_new_owner(sandbox: Sandbox, deploy: Deploy, mode: str) -> None:
    agent = deploy(sandbox, enforce=mode == "enforce")
    first = run(agent)
    with agent.agent() as opened:
        people = {one.name: [owner.id for owner in one.reader.owners() if owner.active and not owner.queue]
                  for one in opened.connections}  # fmt: skip
    given: dict[str, tuple[Change, str, Task]] = {}
    kept: dict[str, tuple[Change, str, Task]] = {}
    for office in offices(sandbox):
        mine = [change for change in open_tasks(first, office.name) if change.object == office.deals]
        mine.sort(key=lambda change: not change.tells_of_a_move)
        assert mine[0].tells_of_a_move is (mode == "enforce")
        for number, change in enumerate(mine[:4]):
            to = next(owner for owner in people[office.name] if owner != change.owner)
            office.edit(change.object, change.record, **{OWNER_FIELDS[office.name]: to})
            task = task_of(sandbox, change)
            place, body = TASKS[office.name]
            if number == 1:
                office.edit(place, task.id, **{body: "I asked them on Monday"})
            elif number == 2:
                office.edit(place, task.id, **{OWNER_FIELDS[office.name]: people[office.name][-1]})
            (kept if number in (1, 2) else given)[change.key] = (change, to, task_of(sandbox, change))
    others = {key: made for key, made in tasks(sandbox).items() if len(made) != 1}
    assert others == {}

    second = run(agent)

    assert second.exit_code == 0
    for change, to, task in given.values():
        assert task_of(sandbox, change) == replace(task, owner=to)
    for change, _, task in kept.values():
        assert task_of(sandbox, change) == task, "somebody made it theirs"
    assert {len(made) for made in tasks(sandbox).values()} == {1}
    before = tasks(sandbox)
    assert run(agent).plan.changes == ()
    assert tasks(sandbox) == before


def findings(result: RunResult) -> set[str]:
    return {finding.key for judgement in result.judgements for finding in judgement.each()}


def test_a_rep_who_is_faster_is_not_overwritten(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    moves = [one for one in run(agent, write=False).plan.changes if one.kind is ChangeKind.SET_STAGE]
    elsewhere = {"salesforce": "Qualification", "hubspot": "qualifiedtobuy"}
    rivals = {
        office.name: next(
            one
            for one in moves
            if (one.connection, one.object) == (office.name, office.deals)
            # A stage of another pipeline would be refused to the rep.
            and one.before.get("pipeline", "default") == "default"
            and elsewhere[office.name] not in {*one.before.values(), *one.after.values()}
        )
        for office in offices(sandbox)
    }

    def reps_move_them(connection: str, doing: str, _done: int) -> None:
        # Both CRMs are pulled by now, and nothing is planned yet.
        if (connection, doing) == ("hubspot", "audit"):
            for office in offices(sandbox):
                change = rivals[office.name]
                field = office.stage_fields[office.deals]
                office.edit(change.object, change.record, **{field: elsewhere[office.name]})

    with agent.agent(progress=reps_move_them) as opened:
        result = cycle.run(opened, command="run", write=True)

    outcomes = {outcome.key: outcome for outcome in result.applied or ()}
    held = stages(sandbox)
    for change in rivals.values():
        assert outcomes[change.key].result is Result.SUPERSEDED
        assert held[f"{change.connection} {change.object} {change.record}"] == elsewhere[change.connection]
        # A task would say that the record was moved, which is not so; the next run looks again.
        assert f"{change.connection} {change.record}" not in tasks(sandbox)
    others = [change for change in moves if change not in rivals.values()]
    assert others
    assert {outcomes[change.key].result for change in others} == {Result.APPLIED}
    with agent.ledger() as ledger:
        assert all(outcome is not None for _, outcome in ledger.changes(result.run))
        assert ledger.unsettled("salesforce") == ledger.unsettled("hubspot") == []
    again = run(agent)
    assert again.exit_code == 0
    assert run(agent).plan.changes == ()


def test_a_crm_that_fails_while_it_is_written_does_not_stop_the_other(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)

    def breaks(connection: str, doing: str, _done: int) -> None:
        if (connection, doing) == ("hubspot", "audit"):
            sandbox.org.client_secret = "another"
            sandbox.org.revoke_tokens()

    with agent.agent(progress=breaks) as opened:
        result = cycle.run(opened, command="run", write=True)
    assert result.exit_code == 5
    assert set(result.errors) == {"salesforce"}
    made = {
        change.connection
        for change in result.plan.changes
        for one in result.applied or ()
        if one.key == change.key and one.result is Result.APPLIED
    }
    assert made == {"hubspot"}
    salesforce, hubspot = offices(sandbox)
    assert salesforce.tasks() == []
    assert len(hubspot.tasks()) == len(open_tasks(result, "hubspot"))

    sandbox.org.client_secret = agent.secrets["JOURNEY_SALESFORCE_SECRET"]
    again = agent.run("run")
    assert again.code == 0, again.said
    assert len(salesforce.tasks()) == len(open_tasks(result, "salesforce"))
    assert planned(agent)["changes"] == []


@pytest.mark.records(FEW)
def test_a_dry_run_writes_nothing(sandbox: Sandbox, deploy: Deploy, tmp_path: Path) -> None:
    agent = deploy(sandbox)
    before = {office.name: office.rows() for office in offices(sandbox)}
    for arguments in (["audit"], ["plan", "-o", str(tmp_path / "plan.json")]):
        assert agent.run(*arguments).code == 0
    assert {office.name: office.rows() for office in offices(sandbox)} == before
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert plan["changes"] == planned(agent)["changes"]
    with agent.ledger() as ledger:
        assert ledger.count(kind=EntryKind.INTENT) == 0
