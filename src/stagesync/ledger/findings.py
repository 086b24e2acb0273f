"""Follows the findings of a connection: appends only what differs from what is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from stagesync.errors import LedgerError
from stagesync.ledger import codec
from stagesync.ledger.appending import CHUNK, appending
from stagesync.ledger.chain import Draft
from stagesync.ledger.database import Database
from stagesync.ledger.entry import EntryKind, FindingChanges
from stagesync.ledger.reading import in_batches
from stagesync.ledger.tables import entries, open_findings
from stagesync.model.findings import Finding

Judged = Callable[[str, str], bool]
"""Object and record to whether it was evaluated this time."""

_KEYS = 500


@dataclass
class _Tally:
    opened: int = 0
    still_open: int = 0
    changed: int = 0
    resolved: int = 0
    seen: set[str] = field(default_factory=set)

    def result(self) -> FindingChanges:
        return FindingChanges(
            opened=self.opened, still_open=self.still_open, changed=self.changed, resolved=self.resolved
        )


@dataclass(frozen=True, kw_only=True)
class FindingsDiff:
    """One recording of one connection's findings. ``at`` is the text of the time."""

    database: Database
    run: str
    at: str
    connection: str

    def record(self, findings: Iterable[Finding], judged: Judged | None) -> FindingChanges:
        """See :meth:`stagesync.ledger.Ledger.record_findings`."""
        tally = _Tally()
        for batch in in_batches(findings, CHUNK):
            self._check(batch, tally.seen)
            with appending(self.database) as end:
                end.append(*self._differences(end.connection, batch, tally))
        for gone in in_batches(self._gone(tally.seen, judged), CHUNK):
            with appending(self.database) as end:
                drafts = [self._resolved(row) for row in self._still_open(end.connection, gone)]
                end.append(drafts)
                tally.resolved += len(drafts)
        return tally.result()

    def _check(self, batch: Sequence[Finding], seen: set[str]) -> None:
        for finding in batch:
            if finding.connection != self.connection:
                raise LedgerError(
                    f"finding {finding.key} is of connection {finding.connection!r}, not {self.connection!r}"
                )
            if finding.key in seen:
                raise LedgerError(f"finding {finding.key} comes twice in one run; its key should name one fault")
            seen.add(finding.key)

    def _differences(
        self, connection: Connection, batch: Sequence[Finding], tally: _Tally
    ) -> tuple[list[Draft], list[bytes]]:
        """The entries to append, and the digests of their findings."""
        known = self._digests(connection, batch)
        drafts, digests = [], []
        for finding in batch:
            before, digest = known.get(codec.column_text(finding.key) or ""), codec.essence(finding)
            if before is None:
                tally.opened += 1
                drafts.append(self._found(finding, EntryKind.FINDING_OPENED))
                digests.append(digest)
            elif before != digest:
                tally.changed += 1
                drafts.append(self._found(finding, EntryKind.FINDING_CHANGED))
                digests.append(digest)
            else:
                tally.still_open += 1
        return drafts, digests

    def _digests(self, connection: Connection, batch: Sequence[Finding]) -> dict[str, bytes]:
        known: dict[str, bytes] = {}
        for keys in in_batches((codec.column_text(finding.key) for finding in batch), _KEYS):
            query = select(open_findings.c.key, open_findings.c.digest).where(
                open_findings.c.connection == self.connection, open_findings.c.key.in_(keys)
            )
            known.update((row.key, row.digest) for row in connection.execute(query))
        return known

    def _found(self, finding: Finding, kind: EntryKind) -> Draft:
        text = codec.column_text
        return Draft(
            at=self.at,
            run=self.run,
            kind=kind.value,
            body=codec.encode(codec.FindingBody(finding)),
            connection=self.connection,
            object=text(finding.object),
            record=text(finding.record),
            rule=text(finding.rule),
            owner=text(finding.owner),
            key=text(finding.key),
        )

    def _gone(self, seen: set[str], judged: Judged | None) -> list[int]:
        """Numbers of the open findings that were judged this time and not found again."""
        columns = (entries.c.seq, entries.c.key, entries.c.object, entries.c.record)
        query = (
            select(*columns)
            .join(open_findings, open_findings.c.seq == entries.c.seq)
            .where(open_findings.c.connection == self.connection)
            .order_by(entries.c.seq)
        )
        keys = {codec.column_text(key) for key in seen}
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [row.seq for row in rows if row.key not in keys and (judged is None or judged(row.object, row.record))]

    def _still_open(self, connection: Connection, seqs: Sequence[int]) -> list[Row[*tuple[Any, ...]]]:
        """Their entries, without those that another process changed or resolved in the meantime."""
        rows: list[Row[*tuple[Any, ...]]] = []
        for batch in in_batches(seqs, _KEYS):
            query = (
                select(entries)
                .join(open_findings, open_findings.c.seq == entries.c.seq)
                .where(open_findings.c.connection == self.connection, open_findings.c.seq.in_(batch))
                .order_by(entries.c.seq)
            )
            rows.extend(connection.execute(query))
        return rows

    def _resolved(self, row: Row[*tuple[Any, ...]]) -> Draft:
        return Draft(
            at=self.at,
            run=self.run,
            kind=EntryKind.FINDING_RESOLVED.value,
            body=codec.encode({"last": row.seq}),
            connection=row.connection,
            object=row.object,
            record=row.record,
            rule=row.rule,
            owner=row.owner,
            key=row.key,
        )
