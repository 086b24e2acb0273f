"""The ledger's face: open it, record what happens, ask what happened, verify it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Self, Unpack

from sqlalchemy import Connection, select

from stagesync.errors import LedgerError
from stagesync.ledger import codec, intents, locking, made, pruning, reading, searching, verification, waivers
from stagesync.ledger.appending import appending
from stagesync.ledger.chain import Draft
from stagesync.ledger.database import Database, compact, open_database
from stagesync.ledger.entry import (
    Entry,
    EntryKind,
    FindingChanges,
    LastMove,
    PruneOrder,
    Pruning,
    RunRecord,
    StageMove,
    TrackedTask,
    Verification,
    Where,
)
from stagesync.ledger.findings import FindingsDiff, Judged
from stagesync.ledger.locking import Hold
from stagesync.ledger.tables import entries
from stagesync.model.changes import Change, Outcome
from stagesync.model.crm import Identity
from stagesync.model.findings import Batch
from stagesync.model.waivers import Waiver


class Ledger:
    """What StageSync saw, intended and did. Safe to use from several threads and processes at once.

    Every ``at`` is a time with a zone and is kept as UTC. Every method that records has committed when it returns.
    Errors: :class:`~stagesync.errors.LedgerError` for all that is wrong with the ledger or with what it is given.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str, *, wait: float = 30.0) -> Ledger:
        """The ledger at ``sqlite:///path`` or ``postgresql+psycopg://…``, migrated to this version.

        A missing file and its folder are created. ``wait`` is how many seconds a lock may take. LedgerError when
        it is locked, read-only, no database, of something else, of a newer StageSync, or the driver is missing.
        """
        return cls(open_database(url, wait=wait))

    @property
    def place(self) -> str:
        """The URL without its password."""
        return self._database.place

    def close(self) -> None:
        """Gives the connections back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def only_writer(self, who: str, at: datetime) -> Iterator[Hold]:
        """Lets one agent of all that share this ledger write to CRMs while the block lasts.

        Raises Busy, which says who holds it and since when, at once. The database gives it back when the process
        dies.
        """
        with locking.held(self._database, who, codec.time_text(at)) as hold:
            yield hold

    # Runs and connections

    def start_run(self, *, command: str, at: datetime, facts: Mapping[str, object]) -> str:
        """Begins a run and gives its id, ``20261121T213800Z-3f2a``: ids sort by time. ``facts`` are plain data."""
        body = codec.facts_body(command=command, facts=facts)
        with appending(self._database) as end:
            run = _free_run_id(end.connection, at)
            end.append([Draft(codec.time_text(at), run, EntryKind.RUN_STARTED.value, body)])
        return run

    def finish_run(self, run: str, *, at: datetime, result: str, facts: Mapping[str, object]) -> None:
        """Ends a run, once."""
        body = codec.facts_body(result=result, facts=facts)
        with appending(self._database) as end:
            kinds = set(end.connection.scalars(select(entries.c.kind).where(entries.c.run == run, _FRAME)))
            if EntryKind.RUN_STARTED not in kinds:
                raise LedgerError(f"the ledger {self.place} has no run {run!r} to finish")
            if EntryKind.RUN_FINISHED in kinds:
                raise LedgerError(f"run {run} is finished already")
            end.append([Draft(codec.time_text(at), run, EntryKind.RUN_FINISHED.value, body)])

    def pin(self, connection: str, identity: Identity, at: datetime, *, run: str | None = None) -> None:
        """Holds a connection name to the org it was first seen with. LedgerError when it is another one now."""
        with self._database.reading() as reader:
            if self._pinned(reader, connection, identity):
                return
        body = codec.encode({"identity": identity})
        kind = EntryKind.CONNECTION_PINNED.value
        with appending(self._database) as end:
            if not self._pinned(end.connection, connection, identity):
                end.append([Draft(codec.time_text(at), run, kind, body, connection=connection, key=identity.key)])

    def pinned(self, connection: str) -> str | None:
        """The key of the org that a connection name is held to; None before its first run."""
        with self._database.reading() as reader:
            return self._pinned_key(reader, connection)

    def _pinned_key(self, reader: Connection, connection: str) -> str | None:
        query = select(entries.c.key).where(
            entries.c.kind == EntryKind.CONNECTION_PINNED, entries.c.connection == connection
        )
        return reader.scalar(query.order_by(entries.c.seq.desc()).limit(1))

    def _pinned(self, reader: Connection, connection: str, identity: Identity) -> bool:
        known = self._pinned_key(reader, connection)
        if known is None or known == identity.key:
            return known is not None
        what = "portal" if identity.crm == "hubspot" else "org"
        raise LedgerError(
            f"connection {connection!r} was {what} {known}, the token is for {identity.key} ({identity.name}); "
            f"use the token of {known}, or give the other {what} a connection name or a ledger of its own"
        )

    # What happens

    def record_findings(
        self,
        run: str,
        *,
        at: datetime,
        connection: str,
        findings: Iterable[Batch],
        judged: Judged | None = None,
    ) -> FindingChanges:
        """Appends how the findings of a connection differ from those that are open.

        An open finding that does not come again is resolved where ``judged(object, record)`` says that its record
        was evaluated (None: all were), else it stays as it is. A finding whose evidence only reads otherwise
        (wording, values) has not changed. Committed in chunks; after a crash the next run goes on from there.
        """
        diff = FindingsDiff(database=self._database, run=run, at=codec.time_text(at), connection=connection)
        return diff.record(findings, judged)

    def record_intents(self, run: str, *, at: datetime, changes: Sequence[Change]) -> None:
        """Appends changes that are about to be made, all or none. Call it before the CRM is called."""
        intents.intend(self._database, run, at=codec.time_text(at), changes=changes)

    def record_outcomes(self, run: str, *, at: datetime, connection: str, outcomes: Sequence[Outcome]) -> None:
        """Appends what became of changes, all or none. LedgerError for an outcome that nothing intended.

        ``unknown`` leaves a change unsettled. A task that was opened is tracked until its closing is recorded.
        """
        intents.settle(self._database, run, at=codec.time_text(at), connection=connection, outcomes=outcomes)

    def note(
        self,
        text: str,
        *,
        at: datetime,
        kind: EntryKind = EntryKind.NOTE,
        facts: Mapping[str, object] | None = None,
        run: str | None = None,
        connection: str | None = None,
        object: str | None = None,
        record: str | None = None,
        rule: str | None = None,
        owner: str | None = None,
        key: str | None = None,
    ) -> None:
        """Appends something else that a person should find later: an override, a pause, an approval."""
        if kind in _WITH_OTHER_BODIES:
            raise LedgerError(f"an entry {kind} is not written as a note")
        body = codec.facts_body(text=text, facts=facts or {})
        of = codec.column_text
        draft = Draft(
            at=codec.time_text(at),
            run=run,
            kind=kind.value,
            body=body,
            connection=of(connection),
            object=of(object),
            record=of(record),
            rule=of(rule),
            owner=of(owner),
            key=of(key),
        )
        with appending(self._database) as end:
            end.append([draft])

    # Waivers

    def waive(self, waiver: Waiver, at: datetime, *, run: str | None = None) -> None:
        """Appends that a waiver was granted. LedgerError when its id was used before, also if it was withdrawn."""
        waivers.grant(self._database, waiver, at=codec.time_text(at), run=run)

    def withdraw_waiver(
        self, waiver_id: str, *, at: datetime, by: str, reason: str = "", run: str | None = None
    ) -> Waiver:
        """Appends that a waiver counts no longer, and gives it. UsageError when none has the id or it was withdrawn."""
        return waivers.withdraw(
            self._database, waiver_id, {"by": by, "reason": reason}, at=codec.time_text(at), run=run
        )

    def waivers(self, connection: str | None = None) -> list[Waiver]:
        """Waivers that were granted and not withdrawn, the expired ones too, in the order of their granting.

        With ``connection`` those that concern it, so also those that were granted for all connections.
        """
        return waivers.standing(self._database, connection)

    # Questions

    def unsettled(self, connection: str) -> list[Change]:
        """Changes that were intended and have no outcome, or ``unknown`` as the last; oldest first."""
        return reading.unsettled_changes(self._database, connection)

    def settled(self, connection: str, keys: Iterable[str]) -> set[str]:
        """Which of these changes, by key, were ever made or tried: they have an outcome."""
        return reading.changes_settled(self._database, connection, keys)

    def tasks(self, connection: str) -> list[TrackedTask]:
        """Tasks that were opened and not closed by StageSync, oldest first."""
        return reading.tracked_tasks(self._database, connection)

    def last_moves(self, connection: str) -> list[LastMove]:
        """Of each record the newest correction of its stage that was applied, or found so; in no order."""
        return made.last_moves(self._database, connection)

    def moves(self, connection: str, records: Collection[tuple[str, str]] | None = None) -> list[StageMove]:
        """The corrections of stages that were applied, or found so, reverts too; those of a record oldest first.

        ``records`` are objects and ids; None means all.
        """
        return made.moves_of(self._database, connection, records)

    def written_since(self, moment: datetime) -> list[Change]:
        """The changes that were applied since then, or may have been, newest first."""
        return reading.written_since(self._database, codec.time_text(moment))

    def runs(self, *, limit: int | None = 20) -> list[RunRecord]:
        """The newest runs, newest first; None gives all."""
        return reading.list_runs(self._database, limit)

    def run(self, name: str) -> RunRecord:
        """The run with this id, with an id that begins so, or ``last``. UsageError when there is none, or several."""
        return reading.find_run(self._database, name)

    def last_that_wrote(self) -> RunRecord:
        """The newest run that changed something in a CRM, or may have. UsageError when there is none."""
        return made.last_that_wrote(self._database)

    def entries(
        self, *, limit: int | None = None, newest_first: bool = True, **where: Unpack[Where]
    ) -> Iterator[Entry]:
        """Entries by any of :class:`Where`, read page by page while they are taken."""
        return searching.list_entries(self._database, where, limit=limit, newest_first=newest_first)

    def count(self, **where: Unpack[Where]) -> int:
        """How many entries there are, so that a list can say how many it left out."""
        return searching.count_entries(self._database, where)

    def page(self, *, limit: int | None, **where: Unpack[Where]) -> tuple[list[Entry], int]:
        """The newest entries, as ``entries`` gives them, and how many there are in all."""
        return searching.page_of(self._database, where, limit=limit)

    def changes(self, run: str) -> list[tuple[Change, Outcome | None]]:
        """What a run (full id) intended, in order, and what became of each, also where a later run settled it."""
        return reading.changes_of_run(self._database, run)

    # Trust

    def verify(self, *, known_head: str | None = None) -> Verification:
        """Recomputes the chain: finds the first entry that was edited, removed, added or moved, and a cut-off end.

        ``known_head`` is the ``head`` of an earlier verification that was kept elsewhere; with it, a ledger that
        was rewritten as a whole, or restored from an older backup, is found as well.
        """
        return verification.verify(self._database, known_head)

    def prunable(self, order: PruneOrder, *, at: datetime) -> Pruning:
        """What :meth:`prune` would drop. Errors: as there."""
        return pruning.looked_at(self._database, order, at)

    def prune(self, order: PruneOrder, *, at: datetime) -> Pruning:
        """Drops what is older than a moment and needed by no later run, and appends a checkpoint that says so, in one
        transaction. UsageError for a moment less than 30 days before ``at``."""
        return pruning.prune(self._database, order, at)

    def compact(self) -> bool:
        """Gives the room of what was dropped back to the disk; whether that was to be done by us. In PostgreSQL the
        server does it. LedgerError when there is no room for the copy that SQLite makes of the file."""
        return compact(self._database)

    def rebuild(self) -> None:
        """Makes the derived tables (what is open) again from the entries."""
        verification.rebuild(self._database)


_WITH_OTHER_BODIES = frozenset(
    {
        EntryKind.RUN_STARTED,
        EntryKind.RUN_FINISHED,
        EntryKind.CONNECTION_PINNED,
        EntryKind.FINDING_OPENED,
        EntryKind.FINDING_CHANGED,
        EntryKind.FINDING_RESOLVED,
        EntryKind.INTENT,
        EntryKind.OUTCOME,
        EntryKind.WAIVER_GRANTED,
        EntryKind.WAIVER_WITHDRAWN,
    }
)
_FRAME = entries.c.kind.in_([EntryKind.RUN_STARTED, EntryKind.RUN_FINISHED])


def _free_run_id(connection: Connection, at: datetime) -> str:
    codec.time_text(at)  # refuses a time without a zone
    while True:
        run = f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        if connection.scalar(select(entries.c.seq).where(entries.c.run == run).limit(1)) is None:
            return run
