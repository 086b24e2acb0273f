"""Values that Salesforce derives or fills in when a record leaves them out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from stagesync.sandbox.database import Database
from stagesync.sandbox.salesforce import moments

Row = dict[str, Any]


def stage(database: Database, name: Any) -> Row | None:
    """The OpportunityStage row of a stage: by API name first, by label second."""
    for column in ("ApiName", "MasterLabel"):
        found = database.row(f'SELECT * FROM "OpportunityStage" WHERE "{column}" = ?', (name,))
        if found:
            return found
    return None


def default_value(database: Database, table: str) -> str | None:
    """The API name that a picklist entity marks as its default, or its first value."""
    name: str | None = database.value(f'SELECT "ApiName" FROM "{table}" ORDER BY "IsDefault" DESC, "SortOrder" LIMIT 1')
    return name


def _fill(row: Row, **values: Any) -> None:
    for name, value in values.items():
        if row.get(name) is None:
            row[name] = value


def _person(_database: Database, row: Row) -> None:
    parts = (row.get("FirstName"), row.get("LastName"))
    _fill(row, Name=" ".join(part for part in parts if part) or None)


def _lead(database: Database, row: Row) -> None:
    _person(database, row)
    if row.get("Status") is None:
        row["Status"] = default_value(database, "LeadStatus")


def _opportunity(database: Database, row: Row) -> None:
    derived = ("Probability", "ForecastCategory", "ForecastCategoryName", "IsClosed", "IsWon")
    if all(row.get(name) is not None for name in derived):
        return
    found = stage(database, row.get("StageName")) or {}
    _fill(
        row,
        Probability=found.get("DefaultProbability"),
        ForecastCategory=found.get("ForecastCategory", "Pipeline"),
        ForecastCategoryName=found.get("ForecastCategoryName", "Pipeline"),
        IsClosed=found.get("IsClosed", 0),
        IsWon=found.get("IsWon", 0),
    )


def _task(database: Database, row: Row) -> None:
    if row.get("Status") is None:
        row["Status"] = default_value(database, "TaskStatus")
    if row.get("Priority") is None:
        row["Priority"] = default_value(database, "TaskPriority")
    if row.get("IsClosed") is None:
        row["IsClosed"] = task_is_closed(database, row["Status"])
    if row.get("IsHighPriority") is None:
        row["IsHighPriority"] = task_is_high_priority(database, row["Priority"])
    _fill(row, TaskSubtype="Task")


def task_is_closed(database: Database, status: Any) -> int:
    """1 if TaskStatus says that a task in this status is closed."""
    return int(database.value('SELECT "IsClosed" FROM "TaskStatus" WHERE "ApiName" = ?', (status,)) or 0)


def task_is_high_priority(database: Database, priority: Any) -> int:
    """1 if TaskPriority says that this priority is high."""
    sql = 'SELECT "IsHighPriority" FROM "TaskPriority" WHERE "ApiName" = ?'
    return int(database.value(sql, (priority,)) or 0)


def _event(_database: Database, row: Row) -> None:
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


def _mail(_database: Database, row: Row) -> None:
    _fill(row, Status="0", MessageDate=row.get("CreatedDate"))


_COMPLETE: dict[str, Callable[[Database, Row], None]] = {
    "Lead": _lead,
    "Contact": _person,
    "User": _person,
    "Opportunity": _opportunity,
    "Task": _task,
    "Event": _event,
    "EmailMessage": _mail,
}


def complete(database: Database, sobject: str, row: Row) -> None:
    """Fill in, in place, what a stored row of this object leaves out; what it states is kept."""
    derive = _COMPLETE.get(sobject)
    if derive:
        derive(database, row)
