"""What Salesforce itself does when records change: stage defaults, histories, roll-ups of activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stagesync.sandbox.salesforce import defaults
from stagesync.sandbox.salesforce.defaults import Picklists
from stagesync.sandbox.salesforce.fields import SObject
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS, object_of
from stagesync.sandbox.salesforce.storage import insert_row, update_row

Row = dict[str, Any]
TRACKED_STAGE = ("StageName", "Amount", "Probability", "CloseDate", "ForecastCategory")
_CATEGORY_OF_NAME = {
    "Omitted": "Omitted",
    "Pipeline": "Pipeline",
    "Best Case": "BestCase",
    "Commit": "Forecast",
    "Closed": "Closed",
}


def before_update(org: Org, item: SObject, old: Row, changes: Row) -> None:
    """Add, in place, the fields that follow from the changed ones."""
    if item.name == "Opportunity":
        _stage(org, old, changes)
    elif item.name == "Task":
        _task(org, old, changes)
    elif item.name in {"Lead", "Contact", "User"} and changes.keys() & {"FirstName", "LastName"}:
        row = {**old, **changes, "Name": None}
        defaults.complete(Picklists(org.database), item.name, row)
        changes["Name"] = row["Name"]
    elif item.name == "Event":
        _event(org, old, changes)


def _stage(org: Org, old: Row, changes: Row) -> None:
    """A new stage sets probability and forecast to its defaults; a probability in the same call wins."""
    if "StageName" in changes and changes["StageName"] != old["StageName"]:
        found = Picklists(org.database).stage(changes["StageName"])
        changes["LastStageChangeDate"] = org.stamp()
        # A stage that nobody defined is stored all the same: the picklist is unrestricted.
        changes["IsClosed"] = found["IsClosed"] if found else 0
        changes["IsWon"] = found["IsWon"] if found else 0
        if found:
            changes.setdefault("Probability", found["DefaultProbability"])
            if "ForecastCategoryName" not in changes:
                changes["ForecastCategoryName"] = found["ForecastCategoryName"]
                changes["ForecastCategory"] = found["ForecastCategory"]
    name = changes.get("ForecastCategoryName")
    if name is not None and "ForecastCategory" not in changes:
        changes["ForecastCategory"] = _CATEGORY_OF_NAME.get(name, old["ForecastCategory"])


def _task(org: Org, old: Row, changes: Row) -> None:
    if "Status" in changes:
        closed = Picklists(org.database).flag("TaskStatus", "IsClosed", changes["Status"])
        changes["IsClosed"] = closed
        if closed and not old.get("IsClosed"):
            changes["CompletedDateTime"] = org.stamp()
        elif not closed:
            changes["CompletedDateTime"] = None
    if "Priority" in changes:
        lists = Picklists(org.database)
        changes["IsHighPriority"] = lists.flag("TaskPriority", "IsHighPriority", changes["Priority"])


def _event(org: Org, old: Row, changes: Row) -> None:
    if not changes.keys() & {"StartDateTime", "ActivityDateTime", "EndDateTime", "DurationInMinutes"}:
        return
    row = {**old, **changes}
    if "ActivityDateTime" in changes and "StartDateTime" not in changes:
        row["StartDateTime"] = changes["ActivityDateTime"]
    if "EndDateTime" not in changes:
        # The length is kept, or set anew.
        row["EndDateTime"] = None
    defaults.complete(Picklists(org.database), "Event", row)
    for name in ("StartDateTime", "EndDateTime", "DurationInMinutes", "ActivityDate", "ActivityDateTime"):
        changes[name] = row[name]


def before_create(org: Org, item: SObject, row: Row) -> None:
    """Fill in, in place, what the new row leaves out."""
    if item.name == "Opportunity" and row.get("ForecastCategoryName"):
        row["ForecastCategory"] = _CATEGORY_OF_NAME.get(row["ForecastCategoryName"])
    if item.name in {"Task", "Event"}:
        row["AccountId"] = _account_of(org, row)
    defaults.complete(Picklists(org.database), item.name, row)
    if item.name == "Task" and row["IsClosed"]:
        row["CompletedDateTime"] = org.stamp()


def _account_of(org: Org, row: Row) -> str | None:
    """The account of an activity: of what it is about, else of the contact."""
    for pointer in (row.get("WhatId"), row.get("WhoId")):
        target = object_of(pointer) if pointer else None
        if target is not None and target.name == "Account":
            return str(pointer)
        if target is not None and target.field("AccountId"):
            found: str | None = org.database.value(
                f'SELECT "AccountId" FROM "{target.name}" WHERE "Id" = ?', (pointer,)
            )
            return found
    return None


def after_write(org: Org, item: SObject, old: Row | None, new: Row, user_id: str) -> None:
    """History rows and the roll-ups on parents; ``old`` is None for a new record."""
    if item.name == "Opportunity":
        _opportunity_history(org, old, new, user_id)
    elif item.name == "Lead":
        _lead_history(org, old, new, user_id)
    elif item.name == "EmailMessage" and old is None:
        for person in _mail_relations(org, new, user_id):
            roll_up(org, person)
    if item.name in {"Task", "Event", "EmailMessage", "EmailMessageRelation"}:
        for parent in _parents(old) | _parents(new):
            roll_up(org, parent)


def _opportunity_history(org: Org, old: Row | None, new: Row, user_id: str) -> None:
    if old is not None and all(old[name] == new[name] for name in TRACKED_STAGE):
        return
    amount, probability = new["Amount"], new["Probability"]
    row = {
        "Id": org.new_id("OpportunityHistory"),
        "OpportunityId": new["Id"],
        "CreatedById": user_id,
        "CreatedDate": org.stamp(),
        "SystemModstamp": org.stamp(),
        "ExpectedRevenue": None if amount is None or probability is None else amount * probability / 100,
        "PrevAmount": old["Amount"] if old else None,
        "PrevCloseDate": old["CloseDate"] if old else None,
        **{name: new[name] for name in TRACKED_STAGE},
    }
    insert_row(org.database, SOBJECTS["OpportunityHistory"], row)


def _lead_history(org: Org, old: Row | None, new: Row, user_id: str) -> None:
    entries: list[tuple[str, str, Any, Any]] = []
    if old is None:
        entries.append(("created", "Text", None, None))
    else:
        if old["Status"] != new["Status"]:
            entries.append(("Status", "DynamicEnum", old["Status"], new["Status"]))
        if old["OwnerId"] != new["OwnerId"]:
            entries.append(("Owner", "EntityId", old["OwnerId"], new["OwnerId"]))
    for name, kind, before, after in entries:
        row = {
            "Id": org.new_id("LeadHistory"),
            "LeadId": new["Id"],
            "Field": name,
            "DataType": kind,
            "OldValue": before,
            "NewValue": after,
            "CreatedById": user_id,
            "CreatedDate": org.stamp(),
        }
        insert_row(org.database, SOBJECTS["LeadHistory"], row)


def _mail_relations(org: Org, mail: Row, user_id: str) -> set[str]:
    """Link a new mail to the leads and contacts whose addresses it carries; return their ids."""
    people: set[str] = set()
    for kind in ("FromAddress", "ToAddress", "CcAddress", "BccAddress"):
        for address in (mail.get(kind) or "").replace(",", ";").split(";"):
            if not address.strip():
                continue
            person = _person_of(org, address.strip())
            people |= {person} if person else set()
            row = {
                "Id": org.new_id("EmailMessageRelation"),
                "EmailMessageId": mail["Id"],
                "RelationId": person,
                "RelationType": kind,
                "RelationAddress": address.strip(),
                "CreatedById": user_id,
                "LastModifiedById": user_id,
                **dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), org.stamp()),
            }
            insert_row(org.database, SOBJECTS["EmailMessageRelation"], row)
    return people


def _person_of(org: Org, address: str) -> str | None:
    for table in ("Contact", "Lead"):
        open_lead = ' AND "IsConverted" = 0' if table == "Lead" else ""
        sql = f'SELECT "Id" FROM "{table}" WHERE "Email" = ? AND "IsDeleted" = 0{open_lead} LIMIT 1'
        found: str | None = org.database.value(sql, (address,))
        if found:
            return found
    return None


def _parents(row: Mapping[str, Any] | None) -> set[str]:
    names = ("WhatId", "WhoId", "AccountId", "RelatedToId", "RelationId")
    return {row[name] for name in names if row.get(name)} if row else set()


_LAST_ACTIVITY = """
SELECT MAX(day) FROM (
    SELECT MAX("ActivityDate") AS day FROM "Task" WHERE {task} AND "IsClosed" = 1 AND "IsDeleted" = 0
    UNION ALL SELECT MAX("ActivityDate") FROM "Event" WHERE {event} AND "IsDeleted" = 0
    UNION ALL SELECT MAX(substr("MessageDate", 1, 10)) FROM "EmailMessage"
        WHERE ("RelatedToId" = :id
               OR "Id" IN (SELECT "EmailMessageId" FROM "EmailMessageRelation" WHERE "RelationId" = :id))
        AND "Status" != '5' AND "IsDeleted" = 0)
"""


def roll_up(org: Org, parent_id: str) -> None:
    """Set a parent's LastActivityDate from its activities and move its SystemModstamp, and nothing else.

    It is the latest due date of closed tasks and date of events and mails, so it may lie in the future.
    """
    parent = object_of(parent_id)
    if parent is None or not parent.field("LastActivityDate"):
        return
    links = {"Lead": '"WhoId" = :id', "Contact": '"WhoId" = :id', "Account": '"AccountId" = :id'}
    link = links.get(parent.name, '"WhatId" = :id')
    latest = org.database.value(_LAST_ACTIVITY.format(task=link, event=link), {"id": parent_id})
    update_row(org.database, parent, parent_id, {"LastActivityDate": latest, "SystemModstamp": org.stamp()})
