"""Applying changes: intents, writes, reading back, outcomes; how fast, and with how many calls.

    make bench            (or: python benchmarks/apply_changes.py --records 10000)

The work: so many corrected stages, so many tasks, half of each, and for HubSpot lifecycle stages that go back, each in
an own pass, against CRMs in another process that answer at once (prompt_crms.py) and whose cost is left out. StageSync
goes the way of a run from the guard on: intents into a ledger in SQLite, a look at the records, conditional writes, a
look back, outcomes into the ledger, hash-chained. The rivals write and do nothing else:

- *one by one* is ``sf.Opportunity.update`` and ``sf.Task.create`` of simple-salesforce, as its readme has it, for a
  tenth of the changes;
- *collections* is ``sf.restful`` with 200 records in a call, for which there is no precondition;
- *typed batches* is ``batch_api`` of hubspot-api-client with its models, 100 in a call.

Each has a process of its own in each round. Prints changes a second, of the wall and of the process's own processor
(user and system, after imports and after the plan is made), and the most memory that the process held; then the calls
by kind beside the fewest in which the CRM would take the changes.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import requests
from prompt_crms import TOKEN, opportunity_id

HOME = Path(__file__).parents[1]
SEEN = datetime(2026, 11, 20, 9, tzinfo=UTC)
BODY = """Deal {number} is in 'Proposal/Price Quote', and what that stage needs is not there yet:

- write down the problem in the buyer's own words (field Pain__c): people buy to end a pain
- name who decides (field Champion__c): a proposal that nobody carries inside the company ends in silence

Is this wrong for this deal? Ask revenue operations for a waiver."""
Work = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done where: ``kind`` of changes, how many, at the CRMs of ``url``."""

    crm: str
    kind: str
    count: int
    url: str
    token: str


def stages_of(kind: str, count: int) -> int:
    """How many of the changes are stages."""
    return {"stages": count, "back": count, "tasks": 0, "mixed": count // 2}[kind]


def changes(crm: str, kind: str, count: int) -> list[Any]:
    """So many changes of a plan, as a planner makes them."""
    from stagesync.model.changes import ChangeKind

    stages = stages_of(kind, count)
    back = ("contacts", "lifecyclestage", "opportunity", "lead")
    deals = ("deals", "dealstage", "contractsent", "qualifiedtobuy")
    opportunities = ("Opportunity", "StageName", "Proposal/Price Quote", "Prospecting")
    place = opportunities if crm == "salesforce" else back if kind == "back" else deals
    return [
        change(crm, place, number, ChangeKind.SET_STAGE if number < stages else ChangeKind.OPEN_TASK)
        for number in range(count)
    ]


def change(crm: str, place: tuple[str, str, str, str], number: int, kind: Any) -> Any:
    """One change."""
    from stagesync.model.changes import Change, ChangeKind, Ground, TaskText
    from stagesync.model.kinds import Mode

    table, field, old, new = place
    moves = kind is ChangeKind.SET_STAGE
    record = opportunity_id(number) if crm == "salesforce" else str(number + 1)
    owner = f"005{number % 40:012}AAA" if crm == "salesforce" else str(41_629_779 + number % 40)
    task = TaskText(
        subject=f"Stage check: Deal {number}",
        body=BODY.format(number=number),
        due=date(2026, 12, 1),
        owner=owner,
    )
    return Change(
        key=f"stagesync-{number:020x}",
        kind=kind,
        connection="crm",
        object=table,
        record=record,
        record_name=f"Deal {number}",
        rule="premature",
        mode=Mode.ENFORCE if moves else Mode.SUGGEST,
        reason="premature: it has earned 'prospecting', the problem and who decides are not stated",
        owner=owner,
        owner_name=f"Owner {number % 40}",
        grounds=(
            Ground(criterion="pain-stated", verdict="not met", reason="pain is blank", source="Pain__c"),
            Ground(
                criterion="champion", verdict="not met", reason="champion is 'tbd'", value="tbd", source="Champion__c"
            ),
        ),
        findings=(f"crm:{table}:{record}:premature",),
        criteria=("pain-stated", "champion"),
        before={field: old} if moves else {},
        after={field: new} if moves else {},
        modified=SEEN,
        amount=1000.0 + number,
        currency="EUR",
        stage_from=old,
        stage_to=new if moves else None,
        task=None if moves else task,
    )


# ------------------------------------------------------------------------------------------------- the engines


def stagesync(job: Job, plan: list[Any], folder: Path) -> Work:
    """A run from the guard on."""
    from stagesync.agent.connection import Agent, Connected
    from stagesync.agent.running import guarded, running
    from stagesync.connectors import hubspot, salesforce
    from stagesync.ledger import Ledger
    from stagesync.mirror import Mirror
    from stagesync.model.changes import Plan, Result
    from stagesync.planning.guard import Limits
    from stagesync.policy.definitions import load_definition
    from stagesync.policy.durations import Duration
    from stagesync.policy.mappings import load_mapping

    url, crm = job.url, job.crm
    if crm == "salesforce":
        org = salesforce.SalesforceConnection(connection="crm", login_url=url, instance_url=url, access_token=job.token)
        reader, writer = salesforce.connect(org)
    else:
        reader, writer = hubspot.connect(hubspot.HubSpotConnection(connection="crm", base_url=url, access_token=TOKEN))
    definition = load_definition(HOME / "config/definitions/recommended.yaml")
    mapping = load_mapping(HOME / f"config/mappings/{crm}.yaml", definition)
    agent = Agent(
        definition=definition,
        connections=[Connected(name="crm", mapping=mapping, reader=reader, writer=writer)],
        ledger=Ledger.open(f"sqlite:///{folder}/ledger.db"),
        mirror=Mirror(folder / "mirror"),
        limits=Limits(stage_changes=None, share=None, money=None, tasks=None),
        task_due=Duration.parse("2 business days"),
        time_zone=ZoneInfo("UTC"),
        clock=lambda: datetime.now(UTC),
    )

    def work() -> None:
        with running(agent, command="bench", write=True) as run:
            run.result.plan = Plan(changes=tuple(plan))
            guarded(agent, run, [])
        done = [outcome.result for outcome in run.result.applied or ()]
        assert done == [Result.APPLIED] * len(plan), run.result.errors

    return work


def library(job: Job) -> Any:
    """simple-salesforce says https; the org is on this machine and speaks http."""
    from requests.adapters import HTTPAdapter
    from simple_salesforce.api import Salesforce

    class PlainHTTP(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: object, **more: object) -> requests.Response:
            request.url = "http://" + str(request.url).removeprefix("https://")
            return super().send(request, *args, **more)  # type: ignore[arg-type]

    plain, https = requests.Session(), job.url.replace("http://", "https://")
    plain.mount(https, PlainHTTP())
    return Salesforce(session_id=job.token, instance_url=https, session=plain, version="67.0")


def task_fields(one: Any) -> dict[str, str]:
    """A task as a user of simple-salesforce would write it."""
    task = one.task
    said = {"Subject": task.subject, "Description": task.body, "Status": "Not Started"}
    return said | {"ActivityDate": task.due.isoformat(), "OwnerId": task.owner, "WhatId": one.record}


def one_by_one(job: Job, plan: list[Any], _folder: Path) -> Work:
    """A call for each."""
    client = library(job)

    def work() -> None:
        for one in plan:
            if one.after:
                client.Opportunity.update(one.record, dict(one.after))
            else:
                client.Task.create(task_fields(one))

    return work


def pieces(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Lists of so many."""
    return (items[start : start + size] for start in range(0, len(items), size))


def collections(job: Job, plan: list[Any], _folder: Path) -> Work:
    """200 in a call."""
    client = library(job)

    def work() -> None:
        about: dict[str, Any] = {"attributes": {"type": "Opportunity"}}
        moves = [{**about, "Id": one.record, **one.after} for one in plan if one.after]
        tasks = [{"attributes": {"type": "Task"}, **task_fields(one)} for one in plan if not one.after]
        for method, records in (("PATCH", moves), ("POST", tasks)):
            for piece in pieces(records, 200):
                told = client.restful("composite/sobjects", method=method, json={"allOrNone": False, "records": piece})
                assert all(one["success"] for one in told)

    return work


def typed_batches(job: Job, plan: list[Any], _folder: Path) -> Work:
    """100 in a call, with the official client's models."""
    from hubspot import HubSpot
    from hubspot.crm import contacts, deals
    from hubspot.crm.objects import tasks

    client = HubSpot(access_token=TOKEN, host=job.url, base_url=job.url)
    deals_api, contacts_api = client.crm.deals.batch_api, client.crm.contacts.batch_api
    tasks_api = client.crm.objects.tasks.batch_api
    assert deals_api
    assert contacts_api
    assert tasks_api

    def update(models: Any, api: Any, piece: Sequence[Any], values: Callable[[Any], dict[str, str]]) -> None:
        inputs = [models.SimplePublicObjectBatchInput(id=one.record, properties=values(one)) for one in piece]
        told = api.update(models.BatchInputSimplePublicObjectBatchInput(inputs=inputs))
        assert told.status == "COMPLETE"

    def create(piece: Sequence[Any]) -> None:
        told = tasks_api.create(
            tasks.BatchInputSimplePublicObjectBatchInputForCreate(
                inputs=[
                    tasks.SimplePublicObjectBatchInputForCreate(
                        properties={
                            "hs_task_subject": one.task.subject,
                            "hs_task_body": one.task.body,
                            "hs_timestamp": f"{one.task.due}T09:00:00.000Z",
                            "hs_task_status": "NOT_STARTED",
                            "hubspot_owner_id": one.task.owner,
                        },
                        associations=[
                            tasks.PublicAssociationsForObject(
                                to=tasks.PublicObjectId(id=one.record),
                                types=[
                                    tasks.AssociationSpec(
                                        association_category="HUBSPOT_DEFINED", association_type_id=216
                                    )
                                ],
                            )
                        ],
                    )
                    for one in piece
                ]
            )
        )
        assert told.status == "COMPLETE"

    def work() -> None:
        for piece in pieces([one for one in plan if one.object == "contacts"], 100):
            update(contacts, contacts_api, piece, lambda _: {"lifecyclestage": ""})
            update(contacts, contacts_api, piece, lambda one: one.after)
        for piece in pieces([one for one in plan if one.after and one.object == "deals"], 100):
            update(deals, deals_api, piece, lambda one: one.after)
        for piece in pieces([one for one in plan if not one.after], 100):
            create(piece)

    return work


ENGINES = {
    "stagesync": stagesync,
    "one by one": one_by_one,
    "collections": collections,
    "typed batches": typed_batches,
}
OF_CRM = {"salesforce": ("stagesync", "one by one", "collections"), "hubspot": ("stagesync", "typed batches")}
KINDS = {"salesforce": ("stages", "tasks", "mixed"), "hubspot": ("stages", "back", "tasks", "mixed")}


def fewest(crm: str, kind: str, count: int) -> int:
    """In how many calls the CRM would take the changes: 25 stages with their preconditions or 200 tasks in Salesforce,
    100 of anything in HubSpot, where a lifecycle stage that goes back takes two.
    """
    stages = stages_of(kind, count)
    sizes = (25, 200) if crm == "salesforce" else (50 if kind == "back" else 100, 100)
    return -(-stages // sizes[0]) + -(-(count - stages) // sizes[1])


# --------------------------------------------------------------------------------------------------- measuring


def one(engine: str, job: Job) -> None:
    """Run an engine in this process and print what it took."""
    with TemporaryDirectory() as name:
        work = ENGINES[engine](job, changes(job.crm, job.kind, job.count), Path(name))
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        work()
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    # Not ru_maxrss: Linux lets a process inherit that of its parent.
    said = Path("/proc/self/status").read_text(encoding="ascii")
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": user + system, "peak": int(said.partition("VmHWM:")[2].split()[0]) / 1024}))


@contextmanager
def crms() -> Iterator[tuple[str, str]]:
    """URL and token of the CRMs in another process."""
    command = [sys.executable, str(Path(__file__).with_name("prompt_crms.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, token = process.stdout.readline().split()
        yield url, token
        assert process.stdin is not None
        process.stdin.close()


def measured(engine: str, job: Job) -> dict[str, Any]:
    """An engine in a process of its own, against CRMs with fresh records: what a change took of wall and processor, the
    calls, and whether all changes are there.
    """
    job = replace(job, count=job.count // 10) if engine == "one by one" else job
    requests.get(f"{job.url}/fresh/{job.count}", timeout=60)
    command = [sys.executable, __file__, "--engine", engine, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    took = json.loads(done.stdout.splitlines()[-1])
    calls, state = (requests.get(f"{job.url}/{place}", timeout=60).json() for place in ("calls", "state"))
    speeds = {"wall": job.count / took["wall"], "cpu": job.count / took["cpu"]}
    return {**took, **speeds, "calls": calls, "agree": state["moved"] + state["tasks"] == job.count}


def compare(job: Job, rounds: int) -> bool:
    """All engines in turn on one kind of changes; whether all did all of it."""
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in OF_CRM[job.crm]}
    for _ in range(rounds):
        for engine, each in found.items():
            each.append(measured(engine, job))
    title = f"{job.crm}, {job.kind}"
    print(f"\n{title:34} {'changes/s':>10} {'per CPU s':>10} {'calls':>7} {'peak MB':>8}")
    for engine, each in found.items():
        wall, cpu, peak = (statistics.median(one[what] for one in each) for what in ("wall", "cpu", "peak"))
        calls = sum(each[0]["calls"].values())
        print(f"  {engine:32} {wall:10,.0f} {cpu:10,.0f} {calls:7,} {peak:8.0f}")
    ours, least = found["stagesync"][0]["calls"], fewest(job.crm, job.kind, job.count)
    writes = sum(calls for what, calls in ours.items() if what.startswith("write"))
    told = ", ".join(f"{calls:,} {what}" for what, calls in sorted(ours.items()))
    print(f"  calls: {told}; the fewest that write: {least:,}")
    print(f"  calls that write / fewest {writes / least:.2f} (goal: at most 1.3), all {sum(ours.values()) / least:.2f}")
    return all(one["agree"] for each in found.values() for one in each)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000, help="how many changes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crm", choices=sorted(KINDS))
    parser.add_argument("--kind", choices=sorted({kind for kinds in KINDS.values() for kind in kinds}))
    parser.add_argument("--engine", choices=sorted(ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        one(options.engine, Job(**json.loads(options.job)))
        return
    count, agree = options.records, True
    print(f"{count:,} records, a change for each; median of {options.rounds} rounds")
    with crms() as (url, token):
        for crm, kinds in KINDS.items():
            for kind in kinds:
                if options.crm in (None, crm) and options.kind in (None, kind):
                    job = Job(crm=crm, kind=kind, count=count, url=url, token=token)
                    agree &= compare(job, options.rounds)
    print(f"\nall made every change; agree: {agree}")


if __name__ == "__main__":
    main()
