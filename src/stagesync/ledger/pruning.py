"""Drops entries that are older than a moment, so that the chain still proves the rest.

In one transaction: findings that are open and were told last by an entry that goes are told once more, a checkpoint
says what is dropped, and of each entry that goes its hash stays in ``dropped``. With it the chain leads over the gap,
and a head that somebody kept before still has its match. The database's triggers let nothing else delete an entry.

Later runs plan the same as without it. What they look at stays: findings while they are open; intents without an
outcome; tasks that are followed, and that they were ended; every correction of a stage, of which disputes are counted;
orgs, waivers, pauses, and rules that stopped; and whatever is not older than a plan that may still be applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, literal, or_, select, union
from sqlalchemy.sql.selectable import CompoundSelect

from stagesync.errors import UsageError
from stagesync.ledger import codec
from stagesync.ledger.appending import Appender, appending
from stagesync.ledger.chain import Draft, DroppedDigest
from stagesync.ledger.database import Database
from stagesync.ledger.entry import FINDING_KINDS, EntryKind, PruneOrder, Pruning
from stagesync.ledger.reading import KEYS, in_batches
from stagesync.ledger.tables import (
    dropped,
    entries,
    finding_lives,
    finding_owners,
    open_intents,
    open_tasks,
    stage_moves,
)
from stagesync.model.counting import counted
from stagesync.model.findings import Findings, columns_of

YOUNGEST = timedelta(days=30)
"""No entry that is younger is dropped: limits of a day, pauses and whoever looks into last week need them."""

# All other kinds hold until something else is said, whenever that is: orgs, waivers, pauses, rules that stopped.
_PASSING = (
    *FINDING_KINDS,
    EntryKind.RUN_STARTED,
    EntryKind.RUN_FINISHED,
    EntryKind.INTENT,
    EntryKind.OUTCOME,
    EntryKind.PLAN_MADE,
    EntryKind.PLAN_APPROVED,
    EntryKind.PLAN_APPLIED,
    EntryKind.RUN_REVERTED,
    EntryKind.GUARD_OVERRIDDEN,
    EntryKind.NOTE,
)
_OF_CHANGES = (EntryKind.INTENT, EntryKind.OUTCOME)


def looked_at(database: Database, order: PruneOrder, now: datetime) -> Pruning:
    """See :meth:`stagesync.ledger.Ledger.prunable`."""
    _check(order, now)
    with database.reading() as connection:
        return _pruning(connection, order, now)


def prune(database: Database, order: PruneOrder, now: datetime) -> Pruning:
    """See :meth:`stagesync.ledger.Ledger.prune`."""
    _check(order, now)
    with appending(database) as end:
        pruning = _pruning(end.connection, order, now)
        if not pruning.entries:
            return pruning
        at = codec.time_text(now)
        _carry(end, pruning.upto, at)
        going = _going(end.connection, pruning.upto)
        end.append([_checkpoint(order, pruning, at, going)])
        _drop(end.connection, going, pruning.upto, end.seq)
    return pruning


def _check(order: PruneOrder, now: datetime) -> None:
    if order.before > now - YOUNGEST:
        raise UsageError(
            f"the ledger keeps everything for {YOUNGEST.days} days; drop what is older than "
            f"{now - YOUNGEST:%Y-%m-%d}, or older still"
        )


def _pruning(connection: Connection, order: PruneOrder, now: datetime) -> Pruning:
    before = codec.time_text(order.before)
    # The first that is too young: numbers grow with time, but for a clock that was set.
    first = connection.scalar(select(func.min(entries.c.seq)).where(entries.c.at >= before))
    if first is None:
        first = (connection.scalar(select(func.max(entries.c.seq))) or 0) + 1
    first = min([first, *_plans(connection, first, now)])
    upto = first - 1
    goes = select(func.count(), func.sum(func.coalesce(entries.c.findings, 0))).where(*_goes(upto))
    count, findings = connection.execute(goes).one()
    alone = select(func.count()).where(*_goes(upto), entries.c.kind.in_(FINDING_KINDS), entries.c.findings.is_(None))
    older = connection.scalar(select(func.count()).where(entries.c.seq <= upto)) or 0
    return Pruning(
        before=order.before,
        upto=upto,
        entries=count,
        findings=int(findings or 0) + (connection.scalar(alone) or 0),
        carried=connection.scalar(select(func.count()).where(*_carried(upto))) or 0,
        kept=older - count,
    )


def _plans(connection: Connection, first: int, now: datetime) -> Iterator[int]:
    """The numbers of plans that may still be applied: which of its rows were, must be known."""
    made = select(entries.c.seq, entries.c.body).where(entries.c.kind == EntryKind.PLAN_MADE, entries.c.seq < first)
    for seq, body in connection.execute(made):
        facts: Any = codec.ANY.decode(body)["facts"]
        if datetime.fromisoformat(facts["expires"]) > now:
            yield seq


def _goes(upto: int) -> list[ColumnElement[bool]]:
    needed = _needed().subquery()
    of_needed = and_(needed.c.connection == entries.c.connection, needed.c.key == entries.c.key)
    return [
        entries.c.seq <= upto,
        entries.c.kind.in_(_PASSING),
        or_(entries.c.kind.not_in(_OF_CHANGES), ~exists(select(literal(1)).select_from(needed).where(of_needed))),
    ]


def _needed() -> CompoundSelect[Any]:
    """Connection and key of the changes that later runs look at: all their intents and outcomes stay, so that the
    derived tables come out the same when they are made again."""
    told = entries.alias("told")
    columns = (told.c.connection, told.c.key)
    return union(
        select(open_intents.c.connection, open_intents.c.key),
        select(open_tasks.c.connection, open_tasks.c.key),
        select(*columns).join(open_tasks, open_tasks.c.seq == told.c.seq),
        select(*columns).join(stage_moves, stage_moves.c.intent == told.c.seq),
    )


def _going(connection: Connection, upto: int) -> list[tuple[int, bytes]]:
    query = select(entries.c.seq, entries.c.hash).where(*_goes(upto)).order_by(entries.c.seq)
    return [(seq, digest) for seq, digest in connection.execute(query)]


def _checkpoint(order: PruneOrder, pruning: Pruning, at: str, going: list[tuple[int, bytes]]) -> Draft:
    found = DroppedDigest()
    for seq, digest in going:
        found.take(seq, digest)
    facts: Mapping[str, object] = {
        **{name: value for name, value in asdict(pruning).items() if not isinstance(value, datetime)},
        "before": order.before.isoformat(),
        "by": order.by,
        "setting": order.setting,
        "last": f"{going[-1][0]}:{going[-1][1].hex()}",
        "sha256": found.hexdigest(),
    }
    text = f"{counted(pruning.entries, 'entry', 'entries')} of before {pruning.before:%Y-%m-%d} dropped by {order.by}"
    return Draft(at, None, EntryKind.LEDGER_PRUNED.value, codec.facts_body(text=text, facts=facts))


def _drop(connection: Connection, going: list[tuple[int, bytes]], upto: int, checkpoint: int) -> None:
    for some in in_batches(going, 10_000):
        rows = [{"seq": seq, "hash": digest, "checkpoint": checkpoint} for seq, digest in some]
        connection.execute(insert(dropped), rows)
    gone = select(dropped.c.seq).where(dropped.c.checkpoint == checkpoint)
    connection.execute(delete(entries).where(entries.c.seq.in_(gone)))
    # What is left there was resolved; open findings have moved on to the entries that carry them.
    connection.execute(delete(finding_lives).where(finding_lives.c.seq <= upto))
    connection.execute(delete(finding_owners).where(finding_owners.c.seq <= upto))


# Findings that are open still


def _carried(upto: int) -> list[ColumnElement[bool]]:
    return [finding_lives.c.seq <= upto, finding_lives.c.digest.is_not(None)]


def _carry(end: Appender, upto: int, at: str) -> None:
    """Tell once more what is open and was told last by an entry that goes."""
    seqs = end.connection.scalars(select(finding_lives.c.seq).where(*_carried(upto)).distinct()).all()
    for some in in_batches(sorted(seqs), KEYS):
        lives = select(finding_lives.c.seq, finding_lives.c.place).where(
            finding_lives.c.seq.in_(some), finding_lives.c.digest.is_not(None)
        )
        places: dict[int, list[int]] = {}
        for seq, place in end.connection.execute(lives.order_by(finding_lives.c.seq, finding_lives.c.place)):
            places.setdefault(seq, []).append(place or 0)
        for seq in some:
            row = end.connection.execute(select(entries).where(entries.c.seq == seq)).one()
            _tell_again(end, row.findings is None, row, places[seq], at)


def _tell_again(end: Appender, alone: bool, row: Any, places: list[int], at: str) -> None:
    if alone:
        told = columns_of([codec.FINDING.decode(row.body).finding])
        since = [row.at]
    else:
        body = codec.CARRIED.decode(row.body)
        told = body.findings.chosen(places)
        since = [row.at if body.told is None else body.told[place] for place in places]
    carried = codec.CarriedBody(told, [None] * len(places), since)
    end.append([_draft(row, told, codec.encode(carried), at)])


def _draft(row: Any, findings: Findings, body: str, at: str) -> Draft:
    return Draft(
        at=at,
        run=None,
        kind=EntryKind.FINDING_CARRIED.value,
        body=body,
        connection=row.connection,
        object=row.object,
        rule=row.rule,
        findings=len(findings.record),
    )
