"""Questions to the ledger: runs, what a run changed, what is unsettled, which tasks are ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Row, select

from stagesync.errors import UsageError
from stagesync.ledger import codec
from stagesync.ledger.database import Database, read_many
from stagesync.ledger.entry import EntryKind, RunRecord, TrackedTask
from stagesync.ledger.tables import entries, open_intents, open_tasks
from stagesync.model.changes import Change, Outcome, Result

_PAGE = 1_000
KEYS = 500
"""Keys in one IN list: well below the limits of both databases (32,766 and 65,535 parameters)."""
_SO = (Result.APPLIED, Result.ALREADY_SO)

T = TypeVar("T")


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of ``size``, the last one shorter. (itertools.batched comes with Python 3.12.)"""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def list_runs(database: Database, limit: int | None) -> list[RunRecord]:
    """The newest runs, newest first; None gives all."""
    started = select(entries).where(entries.c.kind == EntryKind.RUN_STARTED)
    with database.reading() as connection:
        rows = connection.execute(started.order_by(entries.c.seq.desc()).limit(limit)).all()
        return _with_ends(connection, rows)


def find_run(database: Database, name: str) -> RunRecord:
    """The run of this id, of an id that begins so, or the ``last`` one. UsageError when none or several do."""
    if name == "last":
        runs = list_runs(database, 1)
    else:
        started = select(entries).where(
            entries.c.kind == EntryKind.RUN_STARTED, entries.c.run.startswith(name, autoescape=True)
        )
        with database.reading() as connection:
            rows = connection.execute(started.order_by(entries.c.seq).limit(KEYS)).all()
            exact = [row for row in rows if row.run == name]
            runs = _with_ends(connection, exact or rows[:4])
    if not name or not runs:
        raise UsageError(f"the ledger {database.place} has no run {name!r}; `stagesync log list` shows the runs")
    if len(runs) > 1:
        names = ", ".join(run.id for run in runs[:3]) + (", …" if len(runs) > 3 else "")
        raise UsageError(f"several runs begin with {name!r} ({names}); write more of its id")
    return runs[0]


def _with_ends(connection: Connection, started: Sequence[Row[*tuple[Any, ...]]]) -> list[RunRecord]:
    ends: dict[str, Row[*tuple[Any, ...]]] = {}
    for rows in in_batches(started, KEYS):
        finished = select(entries).where(
            entries.c.run.in_([row.run for row in rows]), entries.c.kind == EntryKind.RUN_FINISHED
        )
        ends.update((row.run, row) for row in connection.execute(finished))
    return [_run(row, ends.get(row.run)) for row in started]


def _run(started: Row[*tuple[Any, ...]], finished: Row[*tuple[Any, ...]] | None) -> RunRecord:
    body = cast(dict[str, Any], codec.ANY.decode(started.body))
    run = RunRecord(id=started.run, command=body["command"], started=codec.time_of(started.at), facts=body["facts"])
    if finished is None:
        return run
    end = cast(dict[str, Any], codec.ANY.decode(finished.body))
    return replace(run, finished=codec.time_of(finished.at), result=end["result"], summary=end["facts"])


def unsettled_changes(database: Database, connection_name: str) -> list[Change]:
    """The changes of open intents, oldest first."""
    query = (
        select(entries.c.body)
        .join(open_intents, open_intents.c.seq == entries.c.seq)
        .where(open_intents.c.connection == connection_name)
        .order_by(entries.c.seq)
    )
    with database.reading() as connection:
        return [codec.INTENT.decode(body).change for body in connection.scalars(query)]


def tracked_tasks(database: Database, connection_name: str) -> list[TrackedTask]:
    """The open tasks, oldest first."""
    query = (
        select(entries.c.body, entries.c.at, open_tasks.c.key, open_tasks.c.crm_id)
        .join(open_tasks, open_tasks.c.seq == entries.c.seq)
        .where(open_tasks.c.connection == connection_name)
        .order_by(entries.c.seq)
    )
    with database.reading() as connection:
        return [_task(codec.INTENT.decode(body).change, *rest) for body, *rest in read_many(connection, query)]


def _task(change: Change, told: str, key: str, crm_id: str | None) -> TrackedTask:
    return TrackedTask(
        key=key,
        object=change.object,
        record=change.record,
        crm_id=crm_id,
        owner=change.task.owner if change.task else change.owner,
        findings=change.findings,
        criteria=change.criteria,
        tells_of_a_move=bool(change.before),
        before=change.before,
        text=change.task,
        told=codec.time_of(told),
        escalates=change.escalates,
    )


def changes_settled(database: Database, connection_name: str, keys: Iterable[str]) -> set[str]:
    """The keys of changes that have an outcome."""
    told = entries.c.kind == EntryKind.OUTCOME, entries.c.connection == connection_name
    found: set[str] = set()
    with database.reading() as connection:
        for batch in in_batches(keys, KEYS):
            found |= {*connection.scalars(select(entries.c.key).where(*told, entries.c.key.in_(batch)))}
    return found


def written_since(database: Database, since: str) -> list[Change]:
    """The changes whose outcome since then is that they were applied, or that nobody knows; newest first."""
    outcomes = select(entries.c.body).where(entries.c.kind == EntryKind.OUTCOME, entries.c.at >= since)
    found: dict[int, Change] = {}
    with database.reading() as connection:
        bodies = [codec.OUTCOME.decode(body) for body in connection.scalars(outcomes)]
        numbers = {body.intent for body in bodies if body.outcome.result in (Result.APPLIED, Result.UNKNOWN)}
        for batch in in_batches(numbers, KEYS):
            intents = connection.execute(select(entries.c.seq, entries.c.body).where(entries.c.seq.in_(batch)))
            found.update((row.seq, codec.INTENT.decode(row.body).change) for row in intents)
    return [found[seq] for seq in sorted(found, reverse=True)]


def changes_of_run(database: Database, run: str) -> list[tuple[Change, Outcome | None]]:
    """What a run intended, in order, each with its last outcome, also where a later run settled it."""
    intents = select(entries).where(entries.c.run == run, entries.c.kind == EntryKind.INTENT).order_by(entries.c.seq)
    with database.reading() as connection:
        rows = connection.execute(intents).all()
        found: dict[int, Outcome] = {}
        for batch in in_batches(rows, KEYS):
            found.update(_outcomes_of(connection, batch))
        return [(codec.INTENT.decode(row.body).change, found.get(row.seq)) for row in rows]


def _outcomes_of(connection: Connection, intents: Sequence[Row[*tuple[Any, ...]]]) -> dict[int, Outcome]:
    """Number of the intent to its last outcome. An outcome names its intent, so a later intent takes nothing away."""
    query = (
        select(entries.c.body)
        .where(
            entries.c.key.in_({row.key for row in intents}),
            entries.c.kind == EntryKind.OUTCOME,
            entries.c.seq > intents[0].seq,
        )
        .order_by(entries.c.seq)
    )
    bodies = (codec.OUTCOME.decode(body) for body in connection.scalars(query))
    return {body.intent: body.outcome for body in bodies}
