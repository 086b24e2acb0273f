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
from stagesync.model.findings import Batch, Finding

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

    def record(self, batches: Iterable[Batch], judged: Judged | None) -> FindingChanges:
        """See :meth:`stagesync.ledger.Ledger.record_findings`."""
        tally = _Tally()
        for batch in batches:
            self._check(batch, tally.seen)
            for start in range(0, len(batch.keys), CHUNK):
                with appending(self.database) as end:
                    places = range(start, min(start + CHUNK, len(batch.keys)))
                    end.append(*self._differences(end.connection, batch, places, tally))
        for gone in in_batches(self._gone(tally.seen), CHUNK):
            with appending(self.database) as end:
                drafts = [self._resolved(row) for row in self._still_open(end.connection, gone, judged)]
                end.append(drafts)
                tally.resolved += len(drafts)
        return tally.result()

    def _check(self, batch: Batch, seen: set[str]) -> None:
        if batch.connection != self.connection:
            raise LedgerError(f"findings are of connection {batch.connection!r}, not {self.connection!r}")
        for key in batch.keys:
            if key in seen:
                raise LedgerError(f"finding {key} comes twice in one run; its key should name one fault")
            seen.add(key)

    def _differences(
        self, connection: Connection, batch: Batch, places: Sequence[int], tally: _Tally
    ) -> tuple[list[Draft], list[bytes]]:
        """The entries to append, and the essences of their findings. What has not changed is never made an object."""
        texts = [codec.column_text(batch.keys[place]) or "" for place in places]
        known = self._essences(connection, texts)
        kinds: dict[int, EntryKind] = {}
        for place, text in zip(places, texts, strict=True):
            before = known.get(text)
            if before is None:
                kinds[place] = EntryKind.FINDING_OPENED
            elif before != batch.essences[place]:
                kinds[place] = EntryKind.FINDING_CHANGED
        found = zip(batch.some(list(kinds)), kinds.values(), strict=True)
        drafts = [self._found(finding, kind) for finding, kind in found]
        opened = sum(kind is EntryKind.FINDING_OPENED for kind in kinds.values())
        tally.opened += opened
        tally.changed += len(kinds) - opened
        tally.still_open += len(places) - len(kinds)
        return drafts, [batch.essences[place] for place in kinds]

    def _essences(self, connection: Connection, texts: Sequence[str]) -> dict[str, bytes]:
        known: dict[str, bytes] = {}
        for keys in in_batches(texts, _KEYS):
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

    def _gone(self, seen: set[str]) -> list[int]:
        """Numbers of the open findings that did not come again."""
        query = (
            select(open_findings.c.key, open_findings.c.seq)
            .where(open_findings.c.connection == self.connection)
            .order_by(open_findings.c.seq)
        )
        keys = {codec.column_text(key) for key in seen}
        with self.database.reading() as connection:
            return [seq for key, seq in connection.execute(query).all() if key not in keys]

    def _still_open(
        self, connection: Connection, seqs: Sequence[int], judged: Judged | None
    ) -> list[Row[*tuple[Any, ...]]]:
        """Their entries where the record was judged, without those that another process closed in the meantime."""
        rows: list[Row[*tuple[Any, ...]]] = []
        for batch in in_batches(seqs, _KEYS):
            query = (
                select(entries)
                .join(open_findings, open_findings.c.seq == entries.c.seq)
                .where(open_findings.c.connection == self.connection, open_findings.c.seq.in_(batch))
                .order_by(entries.c.seq)
            )
            found = connection.execute(query)
            rows.extend(row for row in found if judged is None or judged(row.object, row.record))
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
