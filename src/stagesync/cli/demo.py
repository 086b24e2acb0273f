"""``stagesync demo``: the whole job once, on embedded CRMs, with proof at the end."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from stagesync.agent import cycle
from stagesync.agent.connection import Agent
from stagesync.agent.running import RunResult
from stagesync.cli import hints, show
from stagesync.cli.options import moment_of
from stagesync.errors import IncompleteError, UsageError
from stagesync.model.changes import ChangeKind, Plan
from stagesync.report import plan_views
from stagesync.sandbox.company.answers import read_answers
from stagesync.sandbox.process import SandboxFailed, SandboxProcess
from stagesync.settings import load_settings, shipped_configuration
from stagesync.wiring import opened, utc_now

SHOWN = 6
SETTINGS = """\
# The settings of the demo: both connections lead to the embedded CRMs.
definitions: definitions/recommended.yaml
connections:
  salesforce:
    crm: salesforce
    mapping: mappings/salesforce.yaml
    login_url: {url}
    client_id: {{file: secrets/salesforce-id}}
    client_secret: {{file: secrets/salesforce-secret}}
  hubspot:
    crm: hubspot
    mapping: mappings/hubspot.yaml
    base_url: {url}
    token: {{file: secrets/hubspot-token}}
data: .
# The definitions only suggest; here the stages of premature records may be corrected.
rules:
  premature: {{mode: enforce}}
guard: {{stage_changes: {limit}, share: 0.25, tasks: {limit}}}
"""


def demo(*, seed: int, records: int, directory: Path | None, as_of: str | None) -> int:
    """Audit, plan, apply, prove it, run again, verify the ledger. Returns 0 when every step held."""
    clock = _clock(moment_of(as_of) if as_of is not None else None)
    place = directory or Path(tempfile.mkdtemp(prefix="stagesync-demo-"))
    if (place / "stagesync.yaml").exists():
        raise UsageError(f"{place} holds a demo already; choose another --directory")
    show.heading(f"1. Two CRMs are invented: {records} people and deals each, over two years (seed {seed})")
    try:
        _play(place, seed=seed, records=records, clock=clock)
    except SandboxFailed as error:
        raise IncompleteError(str(error)) from error
    return 0


def _play(place: Path, *, seed: int, records: int, clock: Callable[[], datetime]) -> None:
    with (
        show.progress() as progress,
        SandboxProcess(
            place / "crms",
            seed=seed,
            records=records,
            as_of=clock(),
            progress=lambda what, done: progress(what, "inventing", done),
        ) as sandbox,
    ):
        config = _settings(place, sandbox, records)
        with opened(load_settings(config), write=True, progress=progress, clock=clock) as agent:
            _tell(agent, sandbox, config)


def _clock(start: datetime | None) -> Callable[[], datetime]:
    if start is None:
        return utc_now
    began = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - began)


def _settings(place: Path, sandbox: SandboxProcess, records: int) -> Path:
    secrets = place / "secrets"
    secrets.mkdir(mode=0o700)
    for name, value in (
        ("salesforce-id", sandbox.client_id),
        ("salesforce-secret", sandbox.client_secret),
        ("hubspot-token", sandbox.hubspot_token),
    ):
        with open(os.open(secrets / name, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(value)
    for name in ("definitions", "mappings"):
        shutil.copytree(shipped_configuration() / name, place / name)
    config = place / "stagesync.yaml"
    words = SETTINGS.format(url=sandbox.url, limit=max(1_000, records))
    config.write_text(words, encoding="utf-8")
    return config


def _tell(agent: Agent, sandbox: SandboxProcess, config: Path) -> None:
    show.heading("2. Pull and audit: every record against the `recommended` stage definitions")
    audited = _run(agent, "audit", write=False)
    show.scope(audited.judgements)
    show.out.print()
    show.by_kind_and_stage(audited.judgements)
    _compare(audited, sandbox)
    show.heading("3. The plan, as a diff")
    _excerpt(audited.plan)
    show.heading("4. Apply")
    applied = _run(agent, "run", write=True)
    show.outcomes(applied.plan.changes, applied.applied or [], 0)
    if applied.incomplete or applied.refusals:
        raise IncompleteError("not every change was made; see above")
    show.heading("5. Read the CRMs again: is it so?")
    _prove(agent, applied.plan)
    show.heading("6. Run again: is anything left to do?")
    again = _run(agent, "run", write=True)
    if again.plan.changes:
        raise IncompleteError(f"a second run still plans {plan_views.counts(again.plan.changes)}")
    corrected = sum(change.kind is ChangeKind.SET_STAGE for change in applied.plan.changes)
    left = sum(judgement.findings.height for judgement in again.judgements)
    show.out.print(f"Nothing. The {corrected} corrected stages stand; {left} findings wait for their owners.")
    show.heading("7. The ledger: does its chain hold?")
    verified = agent.ledger.verify()
    if not verified.ok:
        raise IncompleteError(f"the ledger's chain is broken at entry {verified.at_seq}: {verified.problem}")
    show.out.print(f"It does: {verified.entries:,} entries.")
    _next(config)


def _run(agent: Agent, command: str, *, write: bool) -> RunResult:
    result = cycle.run(agent, command=command, write=write)
    for error in result.errors.values():
        raise error
    return result


def _compare(audited: RunResult, sandbox: SandboxProcess) -> None:
    """The company was seeded with known problems: are all of them found, and nothing else?"""
    found = Counter((f.connection, f.object, f.record, f.rule) for j in audited.judgements for f in j.each())
    answers = list(read_answers(sandbox.answers_path))
    key = Counter((a.crm, a.object, a.record, str(a.rule)) for a in answers if not a.fine)
    decoys = sum(answer.fine for answer in answers)
    missed, invented = (key - found).total(), (found - key).total()
    show.out.print(
        f"\nThe sandbox's answer key: {key.total()} planted problems and {decoys} records that look bad but are fine.\n"
        f"Found {key.total() - missed} of {key.total()}, missed {missed}, invented {invented}."
    )
    if missed or invented:
        raise IncompleteError("the findings differ from the answer key")


def _excerpt(plan: Plan) -> None:
    some = []
    for kind in ChangeKind:
        for connection in dict.fromkeys(change.connection for change in plan.changes):
            of_kind = [one for one in plan.changes if one.kind is kind and one.connection == connection]
            some += sorted(of_kind, key=lambda one: -(one.amount or 0.0))[: SHOWN // 4 + (kind is ChangeKind.SET_STAGE)]
    show.plan(Plan(changes=tuple(some), left_out=plan.left_out), 0)
    show.out.print(
        f"\n{len(plan.changes) - len(some)} more changes are not shown. In all: {plan_views.counts(plan.changes)}."
    )


def _prove(agent: Agent, plan: Plan) -> None:
    """Read every changed record again, straight from the CRM, and look for every task."""
    for connected in agent.connections:
        stages = tasks = 0
        mine = [change for change in plan.changes if change.connection == connected.name]
        for mapped in connected.mapping.objects:
            moved = {
                change.record: change.after
                for change in mine
                if change.object == mapped.name and change.kind is ChangeKind.SET_STAGE
            }
            for row in connected.reader.current(mapped.table, list(moved)).iter_rows(named=True):
                stages += all(row[field] == value for field, value in moved[row[mapped.table.key]].items())
        keys = [change.key for change in mine if change.kind is ChangeKind.OPEN_TASK]
        tasks = len(connected.reader.own_tasks(keys))
        wanted = sum(change.kind is ChangeKind.SET_STAGE for change in mine)
        show.out.print(
            f"{connected.name}: {stages} of {wanted} stages are as planned, {tasks} of {len(keys)} tasks exist."
        )
        if (stages, tasks) != (wanted, len(keys)):
            raise IncompleteError(f"{connected.name} does not hold what was written")


def _next(config: Path) -> None:
    show.heading("Where to look next")
    folder = config.parent
    served = shlex.quote(str(folder / "crms"))
    lines = {
        hints.command(config, "log"): "the runs of this demo",
        hints.command(config, "log", "show", "last"): "what the last run saw and did",
        hints.command(config, "log", "record", "RECORD"): "everything about one record, by its id",
        f"{hints.program()} sandbox --directory {served}": "these two CRMs again, at the same address",
        str(folder / "definitions" / "recommended.yaml"): "what a stage means: change it while they run, then",
        hints.command(config, "audit"): "see what that would flag",
    }
    for line, words in lines.items():
        show.out.print(f"{words}:\n  {line}", markup=False, soft_wrap=True)
