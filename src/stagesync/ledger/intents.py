"""Intents and outcomes: what is about to be done, and what became of it, in entries of the same record and key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import msgspec
from sqlalchemy import Connection, func, select

from stagesync.errors import LedgerError
from stagesync.ledger import codec
from stagesync.ledger.appending import CHUNK, appending
from stagesync.ledger.chain import Draft
from stagesync.ledger.database import Database, read_many
from stagesync.ledger.entry import EntryKind
from stagesync.ledger.reading import in_batches
from stagesync.ledger.tables import entries
from stagesync.model.changes import Change, ChangeKind, Outcome

_KEYS = 500
"""Keys in one IN list: well below the limits of both databases."""
_ABOUT = (entries.c.connection, entries.c.object, entries.c.record, entries.c.rule, entries.c.owner, entries.c.key)
"""What an intent and its outcome have in common, in the order of a draft."""
_Values = tuple[str | None, str | None, str | None, str | None, str | None, str | None]


class _Named(msgspec.Struct):
    """Of a change what its outcome needs; to read all of it would cost as much as to write the outcome."""

    key: str
    kind: str
    crm_id: str | None = None


class _Body(msgspec.Struct):
    change: _Named


_NAMED = msgspec.json.Decoder(_Body)


class _Intended(NamedTuple):
    """The newest intent of a key: its number, its change, and the columns that its entry has."""

    seq: int
    change: _Named
    about: _Values


def intend(database: Database, run: str, *, at: str, changes: Sequence[Change]) -> None:
    """See :meth:`stagesync.ledger.Ledger.record_intents`. ``at`` is the text of the time."""
    _check_unique([change.key for change in changes], "change")
    drafts = [
        Draft(at, run, EntryKind.INTENT.value, codec.encode(codec.IntentBody(change)), *_about(change))
        for change in changes
    ]
    with appending(database) as end:
        for chunk in in_batches(drafts, CHUNK):
            end.append(chunk)


def settle(database: Database, run: str, *, at: str, connection: str, outcomes: Sequence[Outcome]) -> None:
    """See :meth:`stagesync.ledger.Ledger.record_outcomes`. ``at`` is the text of the time."""
    _check_unique([outcome.key for outcome in outcomes], "outcome")
    with appending(database) as end:
        intents = _intended(end.connection, connection, [outcome.key for outcome in outcomes])
        drafts = []
        for outcome in outcomes:
            intent = intents.get(outcome.key)
            if intent is None:
                raise LedgerError(f"outcome of {outcome.key}, but connection {connection!r} never intended it")
            drafts.append(Draft(at, run, EntryKind.OUTCOME.value, _outcome_body(intent, outcome), *intent.about))
        for chunk in in_batches(drafts, CHUNK):
            end.append(chunk)


def _check_unique(keys: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise LedgerError(f"{what} {key} comes twice in one batch; nothing was recorded")
        seen.add(key)


def _about(change: Change) -> _Values:
    text = codec.column_text
    return (
        text(change.connection),
        text(change.object),
        text(change.record),
        text(change.rule),
        text(change.owner),
        text(change.key),
    )


def _intended(connection: Connection, connection_name: str, keys: Iterable[str]) -> dict[str, _Intended]:
    """Key to the newest intent, open or not; keys that were never intended are absent."""
    found: dict[str, _Intended] = {}
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
        query: Any = select(entries.c.seq, entries.c.body, *_ABOUT).where(entries.c.seq.in_(newest))
        for row in read_many(connection, query):
            change = _NAMED.decode(row[1]).change
            found[change.key] = _Intended(row[0], change, cast(_Values, row[2:]))
    return found


def _outcome_body(intent: _Intended, outcome: Outcome) -> str:
    change = intent.change
    task = None if change.kind == ChangeKind.SET_STAGE else (outcome.crm_id or change.crm_id)
    return codec.encode(codec.OutcomeBody(intent=intent.seq, change_kind=change.kind, outcome=outcome, task=task))
