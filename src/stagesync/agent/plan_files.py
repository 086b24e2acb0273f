"""Plans as files: made, checked against what the ledger recorded of them, approved row by row, applied once."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from stagesync.agent import brake
from stagesync.agent.connection import Agent, Connected
from stagesync.agent.running import Override, Running, RunResult, guarded, running
from stagesync.agent.settle import holds, place_of, rows_of, settle
from stagesync.errors import RefusedError, UsageError
from stagesync.ledger import EntryKind
from stagesync.model.changes import Change, ChangeKind, Plan, Result
from stagesync.model.counting import counted
from stagesync.planning import selection
from stagesync.report.plans import (
    ApprovalRow,
    DefinitionsRow,
    PlanDocument,
    content_hash,
    parse_plan,
    plan_document,
    plan_of,
    plan_text,
    scopes_of,
)

if TYPE_CHECKING:
    from stagesync.ledger import Ledger

SETTLED = (Result.APPLIED, Result.ALREADY_SO, Result.SUPERSEDED)
"""What became of a row that is not tried a second time."""
MOVED_ON = "the record moved on since the plan"


@dataclass(frozen=True, kw_only=True)
class Approved:
    """``signed`` are the rows that were approved now; ``left`` tasks that tell of a move which nobody approved."""

    signed: Sequence[Change]
    left: Sequence[Change]


def made(agent: Agent, result: RunResult) -> PlanDocument:
    """The document of a run's plan, whose hash the ledger remembers."""
    document = plan_document(
        result.plan,
        run=result.run,
        as_of=result.as_of,
        expires=result.as_of + agent.plan_valid,
        orgs={name: identity.key for name, identity in result.identities.items()},
        definitions=_definitions(agent.facts),
        scopes=result.scopes,
        refusals=[refusal.message for refusal in result.refusals],
    )
    facts = {"changes": len(document.changes), "expires": document.expires, "orgs": document.orgs}
    text = f"a plan of {counted(len(document.changes), 'change')} was made"
    key = document.sha256
    agent.ledger.note(text, at=agent.clock(), kind=EntryKind.PLAN_MADE, facts=facts, run=result.run, key=key)
    return document


def read(file: Path) -> tuple[PlanDocument, bool]:
    """The plan in a file, and whether it is as it was written. Raises UsageError for what is no plan."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: the plan cannot be read: {error.strerror}") from error
    try:
        document = parse_plan(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: this is no plan as `plan --out` writes it: {error}") from error
    return document, content_hash(text) == document.sha256


def checked(file: Path, ledger: Ledger, facts: Mapping[str, object], now: datetime) -> PlanDocument:
    """The plan in a file, once nothing speaks against it: it is as it was made, known to this ledger, not too old, and
    of these definitions; its approvals are those of the ledger.

    Raises RefusedError that says which of it is not so; UsageError for what is no plan.
    """
    document, untouched = read(file)
    again = "Make a new one with `stagesync plan --out FILE`"
    if not untouched:
        raise RefusedError(f"{file}: the plan was edited after it was made, so nobody can trust its rows. {again}")
    if not ledger.count(kind=EntryKind.PLAN_MADE, key=document.sha256):
        raise RefusedError(
            f"{file}: the ledger {ledger.place} knows no such plan; it was made with another one. {again}"
        )
    if now >= datetime.fromisoformat(document.expires):
        expired = f"{document.expires[:16].replace('T', ' ')} UTC"
        raise RefusedError(f"{file}: the plan expired at {expired}, and records have moved on since. {again}")
    if document.definitions != _definitions(facts):
        raise RefusedError(f"{file}: the plan was made with other definitions or mappings than these. {again}")
    known = [approval for _, approval in _approvals(ledger, document.sha256)]
    for approval in document.approvals:
        if approval not in known:
            raise RefusedError(
                f"{file}: the ledger knows nothing of the approval by {approval.by} at {approval.at}; "
                f"approve the rows with `stagesync approve {shlex.quote(str(file))}`"
            )
    return document


def approve(
    file: Path,
    ledger: Ledger,
    facts: Mapping[str, object],
    *,
    only: Sequence[str],
    without: Sequence[str],
    by: str,
    note: str,
    at: datetime,
) -> Approved:
    """Signs rows of a plan, in the ledger and then in its file. Errors: as :func:`checked`, and UsageError where no
    row is left to sign."""
    document = checked(file, ledger, facts, at)
    changes = plan_of(document).changes
    wanted = [one for one in selection.chosen(changes, only, without) if one.key not in document.approved]
    moves = {one.place for one in changes if one.kind is ChangeKind.SET_STAGE and one.key in document.approved}
    moves |= {one.place for one in wanted if one.kind is ChangeKind.SET_STAGE}
    left = [one for one in wanted if one.tells_of_a_move and one.place not in moves]
    signed = [one for one in wanted if not one.tells_of_a_move or one.place in moves]
    if not signed:
        why = "their text tells of a move that is not approved; approve both" if left else "they are approved already"
        raise UsageError(f"{file}: there is no row to approve: {why if changes else 'the plan has none'}")
    approval = ApprovalRow(by=by, at=at.isoformat(), note=note, keys=[one.key for one in signed])
    text = f"{len(signed):,} of {counted(len(changes), 'row')} approved by {by}" + (f": {note}" if note else "")
    key, run = document.sha256, document.run
    ledger.note(text, at=at, kind=EntryKind.PLAN_APPROVED, facts=structs.asdict(approval), run=run, key=key)
    write(file, structs.replace(document, approvals=[*document.approvals, approval]))
    return Approved(signed=signed, left=left)


def apply_file(agent: Agent, file: Path, override: Override | None = None) -> RunResult:
    """Makes the approved changes of a plan that were not made yet, each only if its record is as the plan saw it.

    Errors: as :func:`checked`; RefusedError too for another org and where nothing is approved or left to do.
    """
    document = checked(file, agent.ledger, agent.facts, agent.clock())
    approved = [change for change in plan_of(document).changes if change.key in document.approved]
    if not approved:
        sign = f"stagesync approve {shlex.quote(str(file))} --by NAME"
        raise RefusedError(f"{file}: no row is approved; sign those you want with `{sign}`")
    connections = _connections(agent, file, approved)
    with running(agent, command="apply", write=True, facts={"plan": document.sha256}) as begun:
        for connected in connections:
            _check_org(agent, begun, connected, document.orgs.get(connected.name), file)
        for connected in connections if brake.paused(agent) is None else ():
            assert connected.writer is not None
            begun.result.settled += settle(agent, begun.result.run, connected, connected.writer)
        done = _done(agent.ledger, document.sha256)
        rows = [change for change in approved if change.key not in done]
        if not rows:
            others = counted(len(document.changes) - len(approved), "other is", "others are")
            raise RefusedError(
                f"{file}: all {len(approved)} approved rows were applied already, by run {done.popitem()[1]}; "
                f"{others} not approved"
            )
        begun.result.plan = Plan(changes=tuple(rows))
        text = f"{len(rows)} approved rows of {len(document.changes)} are applied"
        key, at = document.sha256, agent.clock()
        agent.ledger.note(text, at=at, kind=EntryKind.PLAN_APPLIED, run=begun.result.run, key=key)
        guarded(agent, begun, scopes_of(document), moved_on=_moved_on(connections, rows), override=override)
    return begun.result


def write(file: Path, document: PlanDocument) -> None:
    """The document in a file, whole or not at all. Raises UsageError where it cannot be written."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as half:
                half.write(plan_text(document))
            Path(name).replace(file)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise UsageError(f"{file}: the plan cannot be written: {error.strerror}") from error


def _definitions(facts: Mapping[str, object]) -> DefinitionsRow:
    mappings = facts["mappings_sha256"]
    assert isinstance(mappings, Mapping)
    return DefinitionsRow(
        name=str(facts["definition"]), sha256=str(facts["definition_sha256"]), mappings=dict(mappings)
    )


def _approvals(ledger: Ledger, plan: str) -> list[tuple[int, ApprovalRow]]:
    entries = ledger.entries(kind=EntryKind.PLAN_APPROVED, key=plan)
    return [(entry.seq, ApprovalRow(**entry.body["facts"])) for entry in entries]


def _connections(agent: Agent, file: Path, rows: Sequence[Change]) -> list[Connected]:
    known = {connected.name: connected for connected in agent.connections}
    missing = sorted({row.connection for row in rows} - known.keys())
    if missing:
        raise RefusedError(f"{file}: the settings have no connection {', '.join(missing)} any more")
    return [known[name] for name in dict.fromkeys(row.connection for row in rows)]


def _check_org(agent: Agent, begun: Running, connected: Connected, org: str | None, file: Path) -> None:
    identity = connected.reader.identity()
    if identity.key != org:
        raise RefusedError(
            f"{file}: the plan is for {org}, and connection '{connected.name}' leads to {identity.key} "
            f"({identity.name}); nothing was written"
        )
    agent.ledger.pin(connected.name, identity, agent.clock(), run=begun.result.run)
    begun.result.identities[connected.name] = identity


def _done(ledger: Ledger, plan: str) -> dict[str, str]:
    """The rows of a plan that need not be tried again: key to the run that dealt with it."""
    runs = dict.fromkeys(entry.run for entry in ledger.entries(kind=EntryKind.PLAN_APPLIED, key=plan) if entry.run)
    return {
        change.key: run
        for run in runs
        for change, outcome in ledger.changes(run)
        if outcome is not None and outcome.result in SETTLED
    }


def _moved_on(connections: Sequence[Connected], rows: Sequence[Change]) -> dict[str, str]:
    """Tasks whose record is no longer where the plan saw it, by key, with the reason; writers look at stages."""
    moving = {row.place for row in rows if row.kind is ChangeKind.SET_STAGE}
    tasks = [row for row in rows if row.kind is ChangeKind.OPEN_TASK and row.place not in moving]
    found: dict[str, str] = {}
    for connected in connections:
        mine = [task for task in tasks if task.connection == connected.name]
        now = rows_of(connected.reader, connected.mapping, mine)
        for task in mine:
            row, expected = now.get(place_of(task)), task.before or task.seen
            if row is None:
                found[task.key] = "the record is gone, or hidden from StageSync's user"
            elif not holds(row, expected):
                held = ", ".join(f"{name} is {row.get(name) or 'blank'}" for name in expected)
                found[task.key] = f"{MOVED_ON}: {held}"
    return found
