"""What became of StageSync's tasks: open, completed or deleted, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.soql import is_id, is_one_of, portions, same, select
from stagesync.model.tables import ColumnType, Table
from stagesync.model.tasks import Ending, TaskState

LIVE = {
    "Status": ColumnType.TEXT,
    "IsClosed": ColumnType.BOOLEAN,
    "CompletedDateTime": ColumnType.DATETIME,
    "Description": ColumnType.TEXT,
}
KEPT = ("Id", "Status", "IsClosed", "CompletedDateTime", "IsDeleted", "SystemModstamp")


def task_states(records: Records, schema: Schema, table: str, ids: Sequence[str]) -> dict[str, TaskState]:
    """The state of each task that the org still knows: one call for 2,000, and one for 200 that are not there."""
    asked = {same(one): one for one in ids if is_id(one)}
    if not asked:
        return {}
    there = records.current(Table(name=table, key="Id", columns=LIVE), list(asked.values()))
    found = {asked[same(row["Id"])]: _live(row) for row in there.iter_rows(named=True)}
    absent = [one for one in asked.values() if one not in found]
    return found | {asked[same(row["Id"])]: _kept(row) for row in _deleted(records, schema, table, absent)}


def _deleted(records: Records, schema: Schema, table: str, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Tasks in the recycle bin, and old ones that the org has archived."""
    sobject = schema.describe(table)
    if sobject is None:
        return
    names = [field.name for field in map(sobject.field, KEPT) if field]
    for portion in portions(ids):
        yield from records.rows(select(names, sobject.name, is_one_of("Id", portion)), deleted=True)


def _live(row: Mapping[str, Any]) -> TaskState:
    open_ = TaskState(status=row.get("Status"), body=str(row.get("Description") or "").replace("\r\n", "\n"))
    return replace(open_, ended=Ending.COMPLETED, at=row.get("CompletedDateTime")) if row.get("IsClosed") else open_


def _kept(row: Mapping[str, Any]) -> TaskState:
    if not row.get("IsDeleted"):
        return _live({**row, "CompletedDateTime": _moment(row.get("CompletedDateTime"))})
    # Nothing changes what lies in the bin: its stamp is the moment of its deletion.
    return TaskState(status=None, ended=Ending.DELETED, at=_moment(row.get("SystemModstamp")))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
