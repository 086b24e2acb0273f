"""Which records belong together. Both directions are stored, so either is one index look-up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from stagesync.sandbox.database import Database
from stagesync.sandbox.hubspot.catalog import AssociationType, ObjectType, association_types

_TABLE = ("from_code", "from_id", "to_code", "to_id", "type_id")
Linked = tuple[int, tuple[int, ...]]


class Associations:
    """The association table."""

    def __init__(self, database: Database) -> None:
        """Use the table that ``schema.prepare`` made."""
        self._database = database

    def add_many(
        self, source: ObjectType, target: ObjectType, kind: AssociationType, pairs: Iterable[tuple[int, int]]
    ) -> int:
        """Stream pairs of ids of one type; returns how many pairs. Pairs that exist are left alone."""
        total = 0

        def both() -> Iterator[tuple[int, int, int, int, int]]:
            nonlocal total
            for from_id, to_id in pairs:
                total += 1
                yield source.code, from_id, target.code, to_id, kind.type_id
                yield target.code, to_id, source.code, from_id, kind.inverse_id

        self._insert(both())
        return total

    def add(self, source: ObjectType, from_id: int, target: ObjectType, to_id: int, type_id: int) -> None:
        """Relate two records by a known type; a labelled relation has the plain one beside it."""
        kinds = association_types(source.name, target.name)
        chosen = next(kind for kind in kinds if kind.type_id == type_id)
        if chosen.primary:
            self._drop_primary(source, from_id, target, chosen)
        for kind in {kinds[0].type_id: kinds[0], chosen.type_id: chosen}.values():
            self.add_many(source, target, kind, [(from_id, to_id)])

    def add_default(self, source: ObjectType, from_id: int, target: ObjectType, to_id: int) -> list[int]:
        """Relate two records plainly; the first company becomes the primary one. Returns the type ids."""
        kinds = association_types(source.name, target.name)
        wanted = [kinds[0]]
        primary = next((kind for kind in kinds if kind.primary), None)
        if primary and not self._has_primary(source, from_id, target, to_id, primary):
            wanted.append(primary)
        for kind in wanted:
            self.add_many(source, target, kind, [(from_id, to_id)])
        return [kind.type_id for kind in wanted]

    def remove(
        self, source: ObjectType, from_id: int, target: ObjectType, to_id: int, type_id: int | None = None
    ) -> None:
        """Part two records, wholly or by one type."""
        inverse = {kind.type_id: kind.inverse_id for kind in association_types(source.name, target.name)}
        chosen = list(inverse) if type_id is None else [type_id]
        for each in chosen:
            self._delete(source.code, from_id, target.code, to_id, each)
            self._delete(target.code, to_id, source.code, from_id, inverse.get(each, each))

    def move_all(self, kind: ObjectType, old_id: int, new_id: int) -> None:
        """Give everything associated with one record to another of the same object."""
        for mine, theirs in (("from", "to"), ("to", "from")):
            columns = f"{theirs}_code, {theirs}_id, type_id"
            self._database.execute(
                f"INSERT OR IGNORE INTO associations ({mine}_code, {mine}_id, {columns})"
                f" SELECT {mine}_code, ?, {columns} FROM associations WHERE {mine}_code = ? AND {mine}_id = ?",
                (new_id, kind.code, old_id),
            )
        self._database.execute(
            "DELETE FROM associations WHERE (from_code = ?1 AND from_id = ?2) OR (to_code = ?1 AND to_id = ?2)",
            (kind.code, old_id),
        )

    def linked(
        self, source: ObjectType, from_id: int, target: ObjectType, *, after: int = 0, limit: int
    ) -> tuple[list[Linked], int | None]:
        """Up to ``limit`` associated ids above ``after`` with their type ids, and where the next page starts.

        Archived records are left out.
        """
        rows = self._database.rows(
            f'SELECT to_id, type_id FROM associations JOIN "{target.name}" AS t ON t.id = to_id'
            " WHERE from_code = ? AND from_id = ? AND to_code = ? AND to_id > ? AND t.archived = 0"
            " ORDER BY to_id, type_id DESC",
            (source.code, from_id, target.code, after),
        )
        found: list[Linked] = [
            (to_id, tuple(row["type_id"] for row in group))
            for to_id, group in groupby(rows, key=lambda row: int(row["to_id"]))
        ]
        page = found[:limit]
        return page, page[-1][0] if len(found) > limit else None

    def ids(self, source: ObjectType, from_id: int, target: ObjectType) -> list[int]:
        """All associated ids of one object, archived ones too, ascending."""
        rows = self._database.rows(
            "SELECT DISTINCT to_id FROM associations WHERE from_code = ? AND from_id = ? AND to_code = ?"
            " ORDER BY to_id",
            (source.code, from_id, target.code),
        )
        return [row["to_id"] for row in rows]

    def _has_primary(
        self, source: ObjectType, from_id: int, target: ObjectType, to_id: int, primary: AssociationType
    ) -> bool:
        # The one with a single main company is the record, from whichever side the relation is made.
        record, code, other, type_id = (
            (to_id, target.code, source.code, primary.inverse_id)
            if source.name == "companies"
            else (from_id, source.code, target.code, primary.type_id)
        )
        sql = "SELECT 1 FROM associations WHERE from_code = ? AND from_id = ? AND to_code = ? AND type_id = ? LIMIT 1"
        return self._database.value(sql, (code, record, other, type_id)) is not None

    def _drop_primary(self, source: ObjectType, from_id: int, target: ObjectType, primary: AssociationType) -> None:
        if source.name == "companies":
            return
        rows = self._database.rows(
            "SELECT to_id FROM associations WHERE from_code = ? AND from_id = ? AND to_code = ? AND type_id = ?",
            (source.code, from_id, target.code, primary.type_id),
        )
        for row in rows:
            self.remove(source, from_id, target, row["to_id"], primary.type_id)

    def _insert(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        # The table's key says ON CONFLICT IGNORE, so relating twice is harmless.
        self._database.insert_many("associations", _TABLE, rows)

    def _delete(self, *key: int) -> None:
        self._database.execute(
            "DELETE FROM associations WHERE from_code = ? AND from_id = ? AND to_code = ? AND to_id = ?"
            " AND type_id = ?",
            key,
        )


def specs(source: ObjectType, target: ObjectType, type_ids: Sequence[int]) -> list[AssociationType]:
    """The association types for stored ids, the plain one first."""
    kinds = association_types(source.name, target.name)
    return [kind for kind in kinds if kind.type_id in type_ids]
