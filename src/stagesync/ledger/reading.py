"""Questions to the ledger: entries, runs, what a run changed, what is unsettled, which tasks are ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, or_, select

from stagesync.errors import UsageError
from stagesync.ledger import codec
from stagesync.ledger.database import Database
from stagesync.ledger.entry import Entry, EntryKind, MadeChange, RunRecord, TrackedTask, Where
from stagesync.ledger.tables import entries, open_intents, open_tasks
from stagesync.ledger.unfolding import Places, owned_by, places_of, unfolded
from stagesync.model.changes import Change, ChangeKind, Outcome, Result

_PAGE = 1_000
_KEYS = 500
"""Keys in one IN list: well below the limits of both databases (32,766 and 65,535 parameters)."""
_SO = (Result.APPLIED, Result.ALREADY_SO)

T = TypeVar("T")


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of ``size``, the last one shorter. (itertools.batched comes with Python 3.12.)"""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def list_entries(database: Database, where: Where, *, limit: int | None, newest_first: bool) -> Iterator[Entry]:
    """Entries page by page; each page is its own transaction, so a slow reader never holds the ledger up."""
    found = _listed(database, where, newest_first=newest_first)
    return found if limit is None else islice(found, limit)


def _listed(database: Database, where: Where, *, newest_first: bool) -> Iterator[Entry]:
    with database.reading() as connection:
        places = _places(connection, where)
    conditions = _conditions(where, places)
    order = entries.c.seq.desc() if newest_first else entries.c.seq.asc()
    last: int | None = None
    while True:
        beyond = [] if last is None else [entries.c.seq < last if newest_first else entries.c.seq > last]
        with database.reading() as connection:
            query = select(*_WITHOUT_BODY).where(*conditions, *beyond).order_by(order).limit(_PAGE)
            rows = connection.execute(query).all()
            page = [_entry(row) if row.findings is None else row for row in rows]
        for one in page:
            yield from (
                _unfolded(database, one, where, places, backwards=newest_first) if isinstance(one, Row) else [one]
            )
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq


def _unfolded(
    database: Database, row: Row[*tuple[Any, ...]], where: Where, places: Places | None, *, backwards: bool
) -> list[Entry]:
    """The findings that an entry tells, as far as they are asked for."""
    with database.reading() as connection:
        body = _body(connection, row.seq)
        found = list(unfolded(row, body, _asked(row, body, where, places)))
    return found[::-1] if backwards else found


def _asked(row: Row[*tuple[Any, ...]], body: str, where: Where, places: Places | None) -> list[int]:
    owner = codec.column_text(where.get("owner"))
    of_owner = range(row.findings) if owner is None else owned_by(body, owner)
    return list(of_owner) if places is None else [place for place in of_owner if place in set(places[row.seq])]


def _body(connection: Connection, seq: int) -> str:
    body: str = connection.execute(select(entries.c.body).where(entries.c.seq == seq)).scalar_one()
    return body


def count_entries(database: Database, where: Where) -> int:
    """How many entries there are, each finding counted as one."""
    with database.reading() as connection:
        places = _places(connection, where)
        conditions = _conditions(where, places)
        if places is None and where.get("owner") is None:
            each = func.coalesce(entries.c.findings, 1)
            return connection.scalar(select(func.sum(each)).where(*conditions)) or 0
        alone = select(func.count()).where(*conditions, entries.c.findings.is_(None))
        count = connection.scalar(alone) or 0
        for row in connection.execute(select(entries.c.seq, entries.c.findings).where(*conditions, _MANY)):
            count += len(_asked(row, _body(connection, row.seq), where, places))
        return count


_MANY = entries.c.findings.is_not(None)
# What tells many findings is read one by one: a page of such entries would be a gigabyte.
_WITHOUT_BODY: list[ColumnElement[Any]] = [
    case((_MANY, None), else_=column).label("body") if column is entries.c.body else column for column in entries.c
]


def _places(connection: Connection, where: Where) -> Places | None:
    """Where the findings are that are asked for by their record or key; None when neither is asked for."""
    asked = where.get("record") is not None or where.get("key") is not None
    return places_of(connection, where) if asked else None


def _conditions(where: Where, places: Places | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    alone: list[ColumnElement[bool]] = []
    for name, value in cast(Mapping[str, Any], where).items():
        if value is None:
            continue
        if name == "since":
            conditions.append(entries.c.at >= codec.time_text(value))
        elif name == "until":
            conditions.append(entries.c.at < codec.time_text(value))
        else:
            part = alone if name in _OF_ONE else conditions
            part.append(entries.c[name] == codec.column_text(value))
    if alone:
        many = _MANY if places is None else entries.c.seq.in_(places)
        conditions.append(or_(and_(entries.c.findings.is_(None), *alone), many))
    return conditions


_OF_ONE = frozenset({"record", "owner", "key"})
"""What an entry that tells many findings says of each of them, and not of itself."""


def _entry(row: Row[*tuple[Any, ...]]) -> Entry:
    plain = {name: value for name, value in row._asdict().items() if name != "findings"}
    return Entry(**{**plain, "at": codec.time_of(row.at), "body": codec.ANY.decode(row.body), "hash": row.hash.hex()})


def list_runs(database: Database, limit: int) -> list[RunRecord]:
    """The newest runs, newest first."""
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
            rows = connection.execute(started.order_by(entries.c.seq).limit(_KEYS)).all()
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
    for rows in in_batches(started, _KEYS):
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
        rows = connection.execute(query).all()
        return [_task(codec.INTENT.decode(row.body).change, row) for row in rows]


def _task(change: Change, row: Row[*tuple[Any, ...]]) -> TrackedTask:
    return TrackedTask(
        key=row.key,
        object=change.object,
        record=change.record,
        crm_id=row.crm_id,
        owner=change.task.owner if change.task else change.owner,
        findings=change.findings,
        criteria=change.criteria,
        tells_of_a_move=bool(change.before),
        before=change.before,
        text=change.task,
        text_hash=codec.text_hash(change.task) if change.task else None,
        told=codec.time_of(row.at),
        escalates=change.escalates,
    )


def stages_written(database: Database, connection_name: str) -> dict[tuple[str, str], Mapping[str, str | None]]:
    """By object and record, the fields of the newest correction of its stage that is so in the CRM."""
    newest = (
        select(func.max(entries.c.seq))
        .where(*_outcomes_of_stages(connection_name, _SO))
        .group_by(entries.c.object, entries.c.record)
    )
    with database.reading() as connection:
        rows = connection.execute(select(entries).where(entries.c.seq.in_(newest))).all()
        made = _with_intents(connection, rows)
    return {(one.change.object, one.change.record): one.change.after for one in made}


def corrections(database: Database, connection_name: str) -> list[MadeChange]:
    """The changes of stages that were applied, oldest first."""
    query = select(entries).where(*_outcomes_of_stages(connection_name, (Result.APPLIED,))).order_by(entries.c.seq)
    with database.reading() as connection:
        return _with_intents(connection, connection.execute(query).all())


def _outcomes_of_stages(connection_name: str, results: Sequence[Result]) -> list[ColumnElement[bool]]:
    # Bodies are canonical JSON: a quote within a text is escaped, so that the patterns find members alone.
    return [
        entries.c.kind == EntryKind.OUTCOME,
        entries.c.connection == connection_name,
        entries.c.body.contains(f'"change_kind":"{ChangeKind.SET_STAGE}"', autoescape=True),
        or_(*(entries.c.body.contains(f'"result":"{result}"', autoescape=True) for result in results)),
    ]


def _with_intents(connection: Connection, outcomes: Sequence[Row[*tuple[Any, ...]]]) -> list[MadeChange]:
    """The changes of outcomes, in their order."""
    numbers = [codec.OUTCOME.decode(row.body).intent for row in outcomes]
    found: dict[int, Change] = {}
    for batch in in_batches(numbers, _KEYS):
        intents = connection.execute(select(entries.c.seq, entries.c.body).where(entries.c.seq.in_(batch)))
        found.update((row.seq, codec.INTENT.decode(row.body).change) for row in intents)
    return [
        MadeChange(change=found[number], run=row.run, at=codec.time_of(row.at))
        for number, row in zip(numbers, outcomes, strict=True)
    ]


def written_since(database: Database, since: str) -> list[Change]:
    """The changes whose outcome since then is that they were applied, or that nobody knows; newest first."""
    outcomes = select(entries.c.seq, entries.c.at, entries.c.body).where(entries.c.kind == EntryKind.OUTCOME)
    found: dict[int, Change] = {}
    with database.reading() as connection:
        rows: Sequence[Row[*tuple[Any, ...]]] = ()
        while True:
            page = outcomes if not rows else outcomes.where(entries.c.seq < rows[-1].seq)
            rows = connection.execute(page.order_by(entries.c.seq.desc()).limit(_PAGE)).all()
            bodies = [codec.OUTCOME.decode(row.body) for row in rows if row.at >= since]
            numbers = [body.intent for body in bodies if body.outcome.result in (Result.APPLIED, Result.UNKNOWN)]
            for batch in in_batches(numbers, _KEYS):
                intents = connection.execute(select(entries.c.seq, entries.c.body).where(entries.c.seq.in_(batch)))
                found.update((row.seq, codec.INTENT.decode(row.body).change) for row in intents)
            # Entries come in the order of time, but for a clock that was set: a page that is all older is enough.
            if len(rows) < _PAGE or not bodies:
                return [found[seq] for seq in sorted(found, reverse=True)]


def changes_of_run(database: Database, run: str) -> list[tuple[Change, Outcome | None]]:
    """What a run intended, in order, each with its last outcome, also where a later run settled it."""
    intents = select(entries).where(entries.c.run == run, entries.c.kind == EntryKind.INTENT).order_by(entries.c.seq)
    with database.reading() as connection:
        rows = connection.execute(intents).all()
        found: dict[int, Outcome] = {}
        for batch in in_batches(rows, _KEYS):
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


def intents_of(connection: Connection, connection_name: str, keys: Iterable[str]) -> dict[str, tuple[int, Change]]:
    """Key to number and change of its newest intent, open or not; keys that were never intended are absent."""
    found: dict[str, tuple[int, Change]] = {}
    for batch in in_batches(keys, _KEYS):
        newest = (
            select(func.max(entries.c.seq))
            .where(
                entries.c.key.in_([codec.column_text(key) for key in batch]),
                entries.c.kind == EntryKind.INTENT,
                entries.c.connection == connection_name,
            )
            .group_by(entries.c.key)
        )
        query = select(entries.c.seq, entries.c.body).where(entries.c.seq.in_(newest))
        for row in connection.execute(query):
            change = codec.INTENT.decode(row.body).change
            found[change.key] = (row.seq, change)
    return found
