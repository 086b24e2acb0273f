"""Entries that tell many findings, as entries of one finding each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from stagesync.ledger import codec
from stagesync.ledger.entry import Entry, EntryKind, Where
from stagesync.ledger.tables import entries, finding_lives
from stagesync.model.findings import key_of

Places = Mapping[int, Sequence[int]]
"""The number of an entry to places of findings in it."""


def unfolded(row: Row[*tuple[Any, ...]], body: str, places: Sequence[int]) -> Iterator[Entry]:
    """One entry for each of some findings that an entry tells."""
    if row.kind == EntryKind.FINDING_RESOLVED:
        gone = codec.GONE.decode(body)
        for place in places:
            before = gone.before[place]
            last = {"last": before[0] if before else None}
            (owner,) = gone.gone.owner.chosen([place])
            yield _entry(row, place, gone.gone.record[place], owner, last)
        return
    told = codec.CARRIED.decode(body)
    for place, finding in zip(places, told.findings.chosen(places).objects(), strict=True):
        since = {} if told.told is None else {"told": told.told[place]}
        yield _entry(row, place, finding.record, finding.owner, {"finding": msgspec.to_builtins(finding), **since})


def _entry(row: Row[*tuple[Any, ...]], place: int, record: str, owner: str | None, body: Mapping[str, object]) -> Entry:
    return Entry(
        seq=row.seq,
        place=place,
        at=codec.time_of(row.at),
        run=row.run,
        kind=row.kind,
        connection=row.connection,
        object=row.object,
        record=record,
        rule=row.rule,
        owner=owner,
        key=key_of(row.connection, row.object, record, row.rule),
        body=body,
        hash=row.hash.hex(),
    )


def owned_by(body: str, owner: str) -> list[int]:
    """The places of findings in an entry whose record was somebody's."""
    owners = codec.SAID.decode(body).told.owners
    return [place for place, one in enumerate(owners) if one is not None and codec.column_text(one) == owner]


def places_of(connection: Connection, where: Where) -> Places:
    """Where the findings of a record, or of a key, were told: each life is read backwards from its newest entry."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    lives = list(_lives(connection, where))
    while lives:
        earlier: set[tuple[int, int]] = set()
        for seq, places in _by_entry(lives):
            # A place that was read already was so by another life that has the same past; there is none, but a loop
            # in an edited ledger must not turn for ever.
            new = places - found[seq]
            found[seq] |= new
            body = connection.scalar(select(entries.c.body).where(entries.c.seq == seq))
            if body is None:  # dropped after a time, and all that was told before it
                del found[seq]
                continue
            before = codec.BEFORE.decode(body).before
            earlier.update((one[0], one[1]) for one in map(before.__getitem__, new) if one and one[1] is not None)
        lives = list(earlier)
    return {seq: sorted(places) for seq, places in found.items()}


def _by_entry(lives: Iterable[tuple[int, int]]) -> list[tuple[int, set[int]]]:
    entries_: defaultdict[int, set[int]] = defaultdict(set)
    for seq, place in lives:
        entries_[seq].add(place)
    return sorted(entries_.items())


def _lives(connection: Connection, where: Where) -> Iterator[tuple[int, int]]:
    table = finding_lives.c
    query = select(table.seq, table.place).where(table.place.is_not(None))
    for name, object_, rule in rules(connection):
        record = _record(where, name, object_, rule)
        if record is not None:
            of = query.where(
                table.connection == name, table.object == object_, table.rule == rule, table.record == record
            )
            yield from ((seq, place) for seq, place in connection.execute(of))


def _record(where: Where, connection: str, object_: str, rule: str) -> str | None:
    """The record that is asked for, by itself or by a key; None when the key is of another rule."""
    record, key = codec.column_text(where.get("record")), codec.column_text(where.get("key"))
    if key is None:
        return record
    before, after = f"{connection}:{object_}:", f":{rule}"
    of = key.removeprefix(before).removesuffix(after)
    return of if key == f"{before}{of}{after}" and record in (None, of) else None


def rules(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Connection, object and rule of all findings that there ever were, each by a few looks into the table's key."""
    for name in _next(connection):
        for object_ in _next(connection, name):
            for rule in _next(connection, name, object_):
                yield name, object_, rule


def _next(connection: Connection, *before: str) -> Iterator[str]:
    """The values of the next column of the key, after values of those before; SQLite compares no more in one look."""
    columns = [*finding_lives.primary_key]
    wanted = columns[len(before)]
    query = select(func.min(wanted)).where(*(column == value for column, value in zip(columns, before, strict=False)))
    value = connection.scalar(query)
    while value is not None:
        yield value
        value = connection.scalar(query.where(wanted > value))
