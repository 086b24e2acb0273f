"""Follows the findings of a connection: appends only what differs from what is open.

What opens, changes or goes of one rule comes in one entry, in columns: a first run of a large org finds a million. Each
says which entry told the finding before, so that its life can be read backwards from ``finding_lives``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, select

from stagesync.errors import LedgerError
from stagesync.ledger import codec
from stagesync.ledger.appending import Appender, appending
from stagesync.ledger.chain import Draft
from stagesync.ledger.current import Moved
from stagesync.ledger.database import Database, read_many
from stagesync.ledger.entry import EntryKind, FindingChanges
from stagesync.ledger.reading import in_batches
from stagesync.ledger.tables import entries, finding_lives
from stagesync.ledger.unfolding import rules
from stagesync.model.findings import Batch, coded, key_of

Judged = Callable[[str, str], bool]
"""Object and record to whether it was evaluated this time."""

Rule = tuple[str, str]
"""Object and rule."""

Digests = dict[str, bytes | None]
"""By record the digest of the essence of its finding, None where the finding was resolved."""

ENTRY = 500
"""How many findings an entry tells: 0.3 MB, of which one is found in about a millisecond."""
TOGETHER = 16
"""How many entries are handed to the database together."""
GONE = 10_000
"""How many findings that are no more an entry tells: it has but their records and owners."""
_KEYS = 500


@dataclass
class _Tally:
    opened: int = 0
    still_open: int = 0
    changed: int = 0
    resolved: int = 0
    seen: dict[Rule, set[str]] = field(default_factory=dict)
    left: dict[Rule, set[str]] = field(default_factory=dict)
    """Findings that were open and did not come again."""

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
        for rule, of_rule in groupby(batches, key=lambda batch: (batch.object, batch.rule)):
            self._record_rule(rule, of_rule, tally)
        with self.database.reading() as connection:
            for name, *rest in rules(connection):
                of = (rest[0], rest[1])
                if name == self.connection and of not in tally.seen:
                    tally.left[of] = _open(self._digests(connection, of))
        for rule, records in tally.left.items():
            for gone in in_batches(sorted(records), GONE):
                with appending(self.database) as end:
                    tally.resolved += self._resolve(end, rule, gone, judged)
        return tally.result()

    def _record_rule(self, rule: Rule, batches: Iterable[Batch], tally: _Tally) -> None:
        """The findings of one rule, in one transaction: nobody else may move them between our look and our entry."""
        seen = tally.seen.setdefault(rule, set())
        with appending(self.database) as end:
            known = self._digests(end.connection, rule)
            left = tally.left.setdefault(rule, _open(known) - seen)
            for batch in batches:
                records = codec.column_texts([*batch.records])
                self._check(batch, records, seen)
                left.difference_update(records)
                self._differences(end, batch, records, known, tally)

    def _check(self, batch: Batch, records: Sequence[str], seen: set[str]) -> None:
        if batch.connection != self.connection:
            raise LedgerError(f"findings are of connection {batch.connection!r}, not {self.connection!r}")
        here = set(records)
        if len(here) < len(records) or not here.isdisjoint(seen):
            twice = next(record for place, record in enumerate(records) if record in seen or record in records[:place])
            key = key_of(batch.connection, batch.object, twice, batch.rule)
            raise LedgerError(f"finding {key} comes twice in one run; its key should name one fault")
        seen |= here

    def _differences(self, end: Appender, batch: Batch, records: Sequence[str], known: Digests, tally: _Tally) -> None:
        """Append what opened and what changed. What has not changed is never told."""
        opened: list[int] = []
        changed: list[int] = []
        for place, (record, essence) in enumerate(zip(records, batch.essences, strict=True)):
            before = known.get(record)
            if before is None:
                opened.append(place)
            elif before != essence:
                changed.append(place)
        tally.opened += len(opened)
        tally.changed += len(changed)
        tally.still_open += len(records) - len(opened) - len(changed)
        moving = [records[place] for place in (*opened, *changed) if records[place] in known]
        last = self._last(end.connection, (batch.object, batch.rule), moving)
        for kind, places in ((EntryKind.FINDING_OPENED, opened), (EntryKind.FINDING_CHANGED, changed)):
            for together in in_batches(self._told(kind, batch, places, records, last), TOGETHER):
                end.append(*zip(*together, strict=True))

    def _told(
        self,
        kind: EntryKind,
        batch: Batch,
        places: Sequence[int],
        records: Sequence[str],
        last: Mapping[str, codec.Before],
    ) -> Iterator[tuple[Draft, Moved]]:
        """The entries that tell the findings at some places of a batch."""
        for some, findings in zip(in_batches(places, ENTRY), batch.told(places, ENTRY), strict=True):
            of = [records[place] for place in some]
            body = codec.encode(codec.FindingsBody(findings, [*map(last.get, of)]))
            digests = [batch.essences[place] for place in some]
            moved = Moved(records=of, owners=findings.owner, digests=digests)
            yield self._draft(kind, (batch.object, batch.rule), body, len(some)), moved

    def _resolve(self, end: Appender, rule: Rule, records: Sequence[str], judged: Judged | None) -> int:
        """Append that findings are gone whose record was judged, without those that another process closed."""
        known: Digests = {}
        for some in in_batches(records, _KEYS):
            known.update(self._digests(end.connection, rule, some))
        gone = [record for record in sorted(_open(known)) if judged is None or judged(rule[0], record)]
        if gone:
            last = self._last(end.connection, rule, gone)
            before = [last[record] for record in gone]
            owners = coded(_owners(end.connection, before))
            body = codec.GoneBody(codec.Gone(gone, owners), [*before])
            moved = Moved(records=gone, owners=owners, digests=None)
            end.append([self._draft(EntryKind.FINDING_RESOLVED, rule, codec.encode(body), len(gone))], [moved])
        return len(gone)

    def _digests(self, connection: Connection, rule: Rule, records: Sequence[str] | None = None) -> Digests:
        """The digests of a rule's findings: of all, or of those of some records."""
        query = select(finding_lives.c.record, finding_lives.c.digest).where(*self._of(rule))
        if records is not None:
            query = query.where(finding_lives.c.record.in_(records))
        return dict(read_many(connection, query))

    def _last(self, connection: Connection, rule: Rule, records: Sequence[str]) -> dict[str, codec.Before]:
        """Entry and place that told the findings of some records last."""
        found: dict[str, codec.Before] = {}
        for some in in_batches(records, _KEYS):
            query = select(finding_lives.c.record, finding_lives.c.seq, finding_lives.c.place).where(
                *self._of(rule), finding_lives.c.record.in_(some)
            )
            found.update((record, (seq, place)) for record, seq, place in connection.execute(query))
        return found

    def _of(self, rule: Rule) -> list[ColumnElement[bool]]:
        return [
            finding_lives.c.connection == codec.column_text(self.connection),
            finding_lives.c.object == codec.column_text(rule[0]),
            finding_lives.c.rule == codec.column_text(rule[1]),
        ]

    def _draft(self, kind: EntryKind, rule: Rule, body: str, findings: int) -> Draft:
        text = codec.column_text
        return Draft(
            at=self.at,
            run=self.run,
            kind=kind.value,
            body=body,
            connection=text(self.connection),
            object=text(rule[0]),
            rule=text(rule[1]),
            findings=findings,
        )


def _open(known: Digests) -> set[str]:
    return {record for record, digest in known.items() if digest is not None}


def _owners(connection: Connection, before: Sequence[codec.Before]) -> list[str | None]:
    """Who owned the records when their findings were told last."""
    told: dict[int, Sequence[str | None]] = {}
    for seqs in in_batches({seq for seq, _ in before}, _KEYS):
        for row in connection.execute(select(entries).where(entries.c.seq.in_(seqs))):
            alone = row.findings is None
            told[row.seq] = [row.owner] if alone else [*codec.FINDINGS.decode(row.body).findings.owner]
    return [told[seq][place or 0] for seq, place in before]
