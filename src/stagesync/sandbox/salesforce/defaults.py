"""Values that Salesforce derives or fills in when a record leaves them out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from stagesync.sandbox.database import Database
from stagesync.sandbox.salesforce import moments

Row = dict[str, Any]


class Picklists:
    """The org's stages, statuses and priorities, each looked up once.

    Make one for each write or seeding, not for longer: an administrator may change them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str, Any], Any] = {}

    def _once(self, key: tuple[str, str, Any], find: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]

    def stage(self, name: Any) -> Row | None:
        """The OpportunityStage row of a stage: by API name first, by label second."""

        def find() -> Row | None:
            for column in ("ApiName", "MasterLabel"):
                found = self._database.row(f'SELECT * FROM "OpportunityStage" WHERE "{column}" = ?', (name,))
                if found:
                    return found
            return None

        found: Row | None = self._once(("stage", "", name), find)
        return found

    def default(self, table: str) -> str | None:
        """The API name that a picklist entity marks as its default, or its first value."""
        sql = f'SELECT "ApiName" FROM "{table}" ORDER BY "IsDefault" DESC, "SortOrder" LIMIT 1'
        found: str | None = self._once(("default", table, None), lambda: self._database.value(sql))
        return found

    def flag(self, table: str, name: str, value: Any) -> int:
        """1 if the entity's row for a value has this flag, such as IsClosed of TaskStatus."""
        sql = f'SELECT "{name}" FROM "{table}" WHERE "ApiName" = ?'
        return int(self._once((table, name, value), lambda: self._database.value(sql, (value,))) or 0)


def _fill(row: Row, **values: Any) -> None:
    for name, value in values.items():
        if row.get(name) is None:
            row[name] = value


def _person(_lists: Picklists, row: Row) -> None:
    parts = (row.get("FirstName"), row.get("LastName"))
    _fill(row, Name=" ".join(part for part in parts if part) or None)


def _lead(lists: Picklists, row: Row) -> None:
    _person(lists, row)
    if row.get("Status") is None:
        row["Status"] = lists.default("LeadStatus")


def _opportunity(lists: Picklists, row: Row) -> None:
    derived = ("Probability", "ForecastCategory", "ForecastCategoryName", "IsClosed", "IsWon")
    if all(row.get(name) is not None for name in derived):
        return
    found = lists.stage(row.get("StageName")) or {}
    _fill(
        row,
        Probability=found.get("DefaultProbability"),
        ForecastCategory=found.get("ForecastCategory", "Pipeline"),
        ForecastCategoryName=found.get("ForecastCategoryName", "Pipeline"),
        IsClosed=found.get("IsClosed", 0),
        IsWon=found.get("IsWon", 0),
    )


def _task(lists: Picklists, row: Row) -> None:
    if row.get("Status") is None:
        row["Status"] = lists.default("TaskStatus")
    if row.get("Priority") is None:
        row["Priority"] = lists.default("TaskPriority")
    if row.get("IsClosed") is None:
        row["IsClosed"] = lists.flag("TaskStatus", "IsClosed", row["Status"])
    if row.get("IsHighPriority") is None:
        row["IsHighPriority"] = lists.flag("TaskPriority", "IsHighPriority", row["Priority"])
    _fill(row, TaskSubtype="Task")


def _event(_lists: Picklists, row: Row) -> None:
    start = row.get("StartDateTime") or row.get("ActivityDateTime")
    if start is None:
        return
    begin = moments.moment(start)
    end, minutes = row.get("EndDateTime"), row.get("DurationInMinutes")
    if end is None:
        end = moments.stored(begin + timedelta(minutes=minutes or 0))
    length = int((moments.moment(end) - begin).total_seconds() // 60)
    _fill(row, EndDateTime=end, EventSubtype="Event", ShowAs="Busy")
    row["StartDateTime"] = row["ActivityDateTime"] = start
    row["ActivityDate"], row["DurationInMinutes"] = start[:10], length


def _mail(_lists: Picklists, row: Row) -> None:
    _fill(row, Status="0", MessageDate=row.get("CreatedDate"))


_COMPLETE: dict[str, Callable[[Picklists, Row], None]] = {
    "Lead": _lead,
    "Contact": _person,
    "User": _person,
    "Opportunity": _opportunity,
    "Task": _task,
    "Event": _event,
    "EmailMessage": _mail,
}


def complete(lists: Picklists, sobject: str, row: Row) -> None:
    """Fill in, in place, what a stored row of this object leaves out; what it states is kept."""
    derive = _COMPLETE.get(sobject)
    if derive:
        derive(lists, row)
