"""Records in the file: reading with computed properties, writing with history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stagesync.sandbox.database import Database, Row
from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.metadata import Metadata
from stagesync.sandbox.hubspot.schema import dump, stored

Values = dict[str, str | None]
COLUMNS = "id, properties, created, updated, archived, archived_at, merged_into"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Who writes, as history tells it."""

    type: str
    id: str | None = None
    user_id: int | None = None


SEEDED = Source(type="IMPORT", id="seed")


@dataclass(slots=True, kw_only=True)
class Record:
    """One record; moments are milliseconds UTC, ``properties`` holds set values only."""

    id: int
    properties: dict[str, str]
    created: int
    updated: int
    archived: bool = False
    archived_at: int | None = None
    merged_into: int | None = None
    computed: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Row) -> Record:
        """Read a row selected with ``COLUMNS`` and computed columns named ``=property``."""
        computed = {key[1:]: _text(value) for key, value in row.items() if key.startswith("=")}
        return cls(
            id=row["id"],
            properties=msgspec.json.decode(row["properties"]),
            created=row["created"],
            updated=row["updated"],
            archived=bool(row["archived"]),
            archived_at=row["archived_at"],
            merged_into=row["merged_into"],
            computed=computed,
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _count(source: int, target: int) -> str:
    return (
        "(SELECT COUNT(DISTINCT to_id) FROM associations"
        f" WHERE from_code = {source} AND from_id = id AND to_code = {target})"
    )


def _associated(source: int, target: int, type_id: int) -> str:
    return (
        "(SELECT MIN(to_id) FROM associations"
        f" WHERE from_code = {source} AND from_id = id AND to_code = {target} AND type_id = {type_id})"
    )


_AMOUNT, _ENTERED = f"CAST({stored('amount')} AS REAL)", stored("hs_v2_date_entered_current_stage")
_IN_STAGE = f"(hs_now() - hs_millis({_ENTERED}))"

# Properties that HubSpot calculates when it is asked, in SQL over one record's row.
COMPUTED: Mapping[str, Mapping[str, str]] = {
    "contacts": {"num_associated_deals": _count(1, 3), "associatedcompanyid": _associated(1, 2, 1)},
    "companies": {"num_associated_contacts": _count(2, 1), "num_associated_deals": _count(2, 3)},
    "deals": {
        "num_associated_contacts": _count(3, 1),
        "hs_primary_associated_company": _associated(3, 2, 5),
        "hs_v2_time_in_current_stage": _IN_STAGE,
        "hs_closed_amount": f"(CASE WHEN {stored('hs_is_closed_won')} = 'true' THEN {_AMOUNT} ELSE 0 END)",
        "hs_projected_amount": f"({_AMOUNT} * CAST({stored('hs_deal_stage_probability')} AS REAL))",
        "days_to_close": f"((hs_millis({stored('closedate')}) - created) / {moments.DAY_MS})",
    },
    "leads": {
        "hs_primary_contact_id": _associated(136, 1, 578),
        "hs_v2_time_in_current_stage": _IN_STAGE,
    },
}


def expression(kind: ObjectType, name: str) -> str:
    """The SQL expression of a known property, over a row with ``COLUMNS``; moments in columns are integers."""
    if name == "hs_object_id":
        return "id"
    if name == kind.modified:
        return "updated"
    if name in {kind.created, "hs_createdate"}:
        return "created"
    return COMPUTED.get(kind.name, {}).get(name) or stored(name)


class Records:
    """The record tables. Callers hold a transaction around anything that reads and then writes."""

    def __init__(self, database: Database, metadata: Metadata) -> None:
        """Use the tables that ``schema.prepare`` made."""
        self._database = database
        self._metadata = metadata

    def select(
        self,
        kind: ObjectType,
        names: Iterable[str],
        clause: str,
        parameters: Sequence[Any] = (),
        *,
        source: str | None = None,
    ) -> list[Record]:
        """Records for ``WHERE … ORDER BY … LIMIT …``, with the computed ones of ``names`` worked out."""
        computed = COMPUTED.get(kind.name, {})
        extra = "".join(f', {computed[name]} AS "={name}"' for name in names if name in computed)
        table = source or f'"{kind.name}"'
        rows = self._database.rows(f"SELECT {COLUMNS}{extra} FROM {table} {clause}", parameters)
        return [Record.from_row(row) for row in rows]

    def get(self, kind: ObjectType, record_id: int, names: Iterable[str] = ()) -> Record | None:
        """One record by its own id, archived and merged ones too."""
        found = self.select(kind, names, "WHERE id = ?", (record_id,))
        return found[0] if found else None

    def get_many(self, kind: ObjectType, ids: Sequence[int], names: Iterable[str]) -> dict[int, Record]:
        """Records by their own ids, in one query."""
        found = self.select(kind, names, "WHERE id IN (SELECT value FROM json_each(?))", (dump(ids),))
        return {record.id: record for record in found}

    def value(self, kind: ObjectType, record: Record, name: str) -> str | None:
        """One property as text; None when unset."""
        if name == "hs_object_id":
            return str(record.id)
        if name == kind.modified:
            return moments.iso(record.updated)
        if name in {kind.created, "hs_createdate"}:
            return moments.iso(record.created)
        if name in record.computed:
            return record.computed[name]
        return record.properties.get(name)

    def values(self, kind: ObjectType, record: Record, names: Iterable[str]) -> Values:
        """The asked properties: null when unset, left out when the portal has no such property."""
        known = self._metadata.properties(kind.name)
        return {name: self.value(kind, record, name) for name in names if name in known}

    def insert(self, kind: ObjectType, record: Record, source: Source) -> None:
        """Store a new record with a history entry for each value."""
        self.store(kind, record)
        self.note_history(kind, record.id, record.properties, record.created, source)

    def store(self, kind: ObjectType, record: Record) -> None:
        """Store a new record without history."""
        self._database.execute(
            f'INSERT INTO "{kind.name}" (id, properties, created, updated) VALUES (?, ?, ?, ?)',
            (record.id, dump(record.properties), record.created, record.updated),
        )

    def update(self, kind: ObjectType, record: Record, changes: Values, now: int, source: Source) -> None:
        """Set (or with None or "" clear) values on a record, move its modified date, remember both."""
        self._keep_first_values(kind, record, changes)
        for name, value in changes.items():
            if value is None or value == "":
                record.properties.pop(name, None)
            else:
                record.properties[name] = value
        record.updated = max(now, record.updated)
        self._database.execute(
            f'UPDATE "{kind.name}" SET properties = ?, updated = ? WHERE id = ?',
            (dump(record.properties), record.updated, record.id),
        )
        self.note_history(kind, record.id, changes, now, source)

    def archive(self, kind: ObjectType, record_id: int, now: int, *, merged_into: int | None = None) -> None:
        """Put a record away; a merged one answers under its successor's id."""
        self._database.execute(
            f'UPDATE "{kind.name}" SET archived = 1, archived_at = ?, merged_into = ? WHERE id = ?',
            (now, merged_into, record_id),
        )

    def note_history(
        self, kind: ObjectType, record_id: int, values: Mapping[str, str | None], moment: int, source: Source
    ) -> None:
        """Append one entry per value."""
        self._database.insert_many(
            "history",
            ("object_code", "object_id", "property", "value", "moment", "source_type", "source_id", "user_id"),
            (
                (kind.code, record_id, name, value or "", moment, source.type, source.id, source.user_id)
                for name, value in values.items()
            ),
        )

    def adopt_history(self, kind: ObjectType, old_id: int, new_id: int) -> None:
        """Let a record that another became go on with its history."""
        self._database.execute(
            "UPDATE history SET object_id = ? WHERE object_code = ? AND object_id = ?",
            (new_id, kind.code, old_id),
        )

    def history(self, kind: ObjectType, record: Record, name: str) -> list[dict[str, Any]]:
        """Entries of one property, newest first, as many as HubSpot keeps; times are ISO UTC."""
        rows = self._database.rows(
            "SELECT value, moment, source_type, source_id, user_id FROM history"
            " WHERE object_code = ? AND object_id = ? AND property = ?"
            " ORDER BY moment DESC, rowid DESC LIMIT ?",
            (kind.code, record.id, name, kind.history_depth),
        )
        value = self.value(kind, record, name)
        if not rows and value is not None:
            rows = [_seeded(value, record.created)]
        return [_entry(row) for row in rows]

    def _keep_first_values(self, kind: ObjectType, record: Record, changes: Values) -> None:
        """A seeded value has no history entry; give it one before it is overwritten."""
        for name in changes:
            old = record.properties.get(name)
            if old is not None and not self._has_history(kind, record.id, name):
                self.note_history(kind, record.id, {name: old}, record.created, SEEDED)

    def _has_history(self, kind: ObjectType, record_id: int, name: str) -> bool:
        sql = "SELECT 1 FROM history WHERE object_code = ? AND object_id = ? AND property = ? LIMIT 1"
        return self._database.value(sql, (kind.code, record_id, name)) is not None

    def remember_indexed(self, kind: ObjectType, record_id: int, now: int, lag: int) -> None:
        """Keep what the search index shows of a record until ``lag`` milliseconds from now."""
        self._database.execute("DELETE FROM unindexed WHERE indexed_at <= ?", (now,))
        copied = self._database.execute(
            f"INSERT INTO unindexed (object_code, {COLUMNS}, indexed_at)"
            f' SELECT ?, {COLUMNS}, ? FROM "{kind.name}" WHERE id = ?',
            (kind.code, now + lag, record_id),
        )
        if not copied:
            self._database.execute(
                "INSERT INTO unindexed (object_code, id, indexed_at) VALUES (?, ?, ?)",
                (kind.code, record_id, now + lag),
            )

    def indexed(self, kind: ObjectType, now: int) -> str:
        """A subquery with the records as the lagging search index has them at ``now``."""
        pending = f"FROM unindexed WHERE object_code = {kind.code} AND indexed_at > {now}"
        return (
            f'(SELECT {COLUMNS} FROM "{kind.name}" WHERE id NOT IN (SELECT id {pending})'
            f" UNION ALL SELECT {COLUMNS} FROM (SELECT *, MIN(rowid) {pending} GROUP BY id)"
            " WHERE properties IS NOT NULL)"
        )


def _seeded(value: str, moment: int) -> Row:
    return {
        "value": value,
        "moment": moment,
        "source_type": SEEDED.type,
        "source_id": SEEDED.id,
        "user_id": None,
    }


def _entry(row: Row) -> dict[str, Any]:
    entry = {
        "value": row["value"],
        "timestamp": moments.iso(row["moment"]),
        "sourceType": row["source_type"],
        "sourceId": row["source_id"],
        "updatedByUserId": row["user_id"],
    }
    return {key: value for key, value in entry.items() if value is not None}
