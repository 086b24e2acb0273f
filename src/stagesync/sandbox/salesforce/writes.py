"""Creating, changing and deleting records, one at a time, each all or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stagesync.sandbox.salesforce import checks, ids, triggers
from stagesync.sandbox.salesforce.errors import ApiError, RowError, not_found
from stagesync.sandbox.salesforce.fields import Field, SObject
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS, object_of
from stagesync.sandbox.salesforce.storage import insert_row, undoable, update_row

Row = dict[str, Any]
_ID_SHAPE = re.compile(r"[0-9A-Za-z]{15}([0-9A-Za-z]{3})?")
# Records that go to the recycle bin with their parent: (child, field).
CASCADES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId"), ("Task", "WhatId"), ("Event", "WhatId")),
    "Opportunity": (("OpportunityContactRole", "OpportunityId"), ("Task", "WhatId"), ("Event", "WhatId")),
    "Contact": (("OpportunityContactRole", "ContactId"), ("Task", "WhoId"), ("Event", "WhoId")),
    "Lead": (("Task", "WhoId"), ("Event", "WhoId")),
    "EmailMessage": (("EmailMessageRelation", "EmailMessageId"),),
    "Event": (("EventRelation", "EventId"),),
}


@dataclass(frozen=True)
class Upserted:
    """The record that an upsert made or changed."""

    id: str
    created: bool


class SeveralRecords(ApiError):
    """An external id that several records carry: 300 with their addresses."""

    def __init__(self, item: SObject, record_ids: list[str], name: str) -> None:
        message = f"{name}: more than one record found for external id field: {record_ids}"
        super().__init__(300, "DUPLICATE_EXTERNAL_ID", message, [name])
        self.sobject = item.name
        self.record_ids = record_ids


@dataclass(frozen=True)
class Writer:
    """A user who writes. ``auto_assign`` re-runs lead assignment, as Salesforce does unless told not to."""

    org: Org
    user_id: str
    auto_assign: bool = True

    def create(self, item: SObject, values: Mapping[str, Any]) -> str:
        """Make a record; return its id.

        Raises:
            RowError: the record is refused.
        """
        self._may_write(item, None)
        with undoable(self.org.database):
            if any(name.lower() == "id" for name in values):
                message = "The Id field should not be specified in the sobject data."
                raise RowError("INVALID_FIELD", message, ["Id"])
            stated = checks.stored_values(self.org, item, values, creating=True)
            checks.check_required(item, stated, stated, creating=True)
            self.org.rules.check_record(stated.get(name) for name in ("WhatId", "WhoId"))
            self.org.rules.check_storage()
            checks.check_references(self.org, item, stated)
            checks.check_picklists(self.org, item, stated, stated)
            checks.check_activity(item, stated)
            checks.check_unique(self.org, item, stated, None)
            row = self._new_row(item, stated)
            triggers.before_create(self.org, item, row)
            for field in item.columns:
                if field.default is not None and row.get(field.name) is None:
                    row[field.name] = field.default
            insert_row(self.org.database, item, row)
            triggers.after_write(self.org, item, None, self._read(item, row["Id"]), self.user_id)
        return str(row["Id"])

    def _new_row(self, item: SObject, stated: Row) -> Row:
        stamp = self.org.stamp()
        row = {name: value for name, value in stated.items() if value is not None}
        row["Id"] = self.org.new_id(item.name)
        row |= {name: stamp for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp") if item.field(name)}
        row |= {name: self.user_id for name in ("CreatedById", "LastModifiedById") if item.field(name)}
        if item.field("OwnerId") and not row.get("OwnerId"):
            row["OwnerId"] = self.user_id
        if item.name == "Lead" and self.auto_assign and self.org.assignment_owner_id:
            row["OwnerId"] = self.org.assignment_owner_id
        return row

    def update(
        self, item: SObject, record_id: str, values: Mapping[str, Any], *, unmodified_since: str | None = None
    ) -> str:
        """Change a record; return its 18-character id. ``unmodified_since`` is a stored datetime.

        Raises:
            ApiError: 404 for a record that is not there, 412 when it was modified later.
            RowError: the change is refused.
        """
        full = self.known_id(item, record_id)
        self._may_write(item, full)
        with undoable(self.org.database):
            old = self._existing(item, full)
            stamp = "SystemModstamp" if self.org.faults.compares_system_stamp else "LastModifiedDate"
            if unmodified_since is not None and old.get(stamp, "") > unmodified_since:
                message = "The record was modified after the date in If-Unmodified-Since"
                raise ApiError(412, "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK", message, [])
            self._check_open(item, old)
            if any(name.lower() == "id" for name in values):
                message = "The Id field should not be specified in the sobject data."
                raise RowError("INVALID_FIELD", message, ["Id"])
            stated = checks.stored_values(self.org, item, values, creating=False)
            checks.check_required(item, {**old, **stated}, stated, creating=False)
            changed = {n: v for n, v in stated.items() if v != old[n]}
            checks.check_references(self.org, item, changed)
            checks.check_picklists(self.org, item, changed, {**old, **stated})
            checks.check_activity(item, {**old, **stated})
            checks.check_unique(self.org, item, stated, full)
            self._change(item, old, stated)
        return full

    def _check_open(self, item: SObject, old: Row) -> None:
        if item.name == "Lead" and old["IsConverted"]:
            raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        self.org.rules.check_record([old["Id"]])
        rule = self.org.faults.validation_rules.get(old["Id"])
        if rule is not None:
            raise RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule)

    def _change(self, item: SObject, old: Row, stated: Row) -> None:
        changes = dict(stated)
        if item.name == "Lead" and self.auto_assign and self.org.assignment_owner_id:
            changes["OwnerId"] = self.org.assignment_owner_id
        triggers.before_update(self.org, item, old, changes)
        stamp = self.org.stamp()
        changes |= {name: stamp for name in ("LastModifiedDate", "SystemModstamp") if item.field(name)}
        if item.field("LastModifiedById"):
            changes["LastModifiedById"] = self.user_id
        update_row(self.org.database, item, old["Id"], changes)
        triggers.after_write(self.org, item, old, self._read(item, old["Id"]), self.user_id)

    def delete(self, item: SObject, record_id: str) -> str:
        """Put a record, and what hangs on it, into the recycle bin; return its 18-character id.

        Raises:
            ApiError: 404 for a record that is not there or is deleted already.
            RowError: the object cannot be deleted.
        """
        full = self.known_id(item, record_id)
        self._may_write(item, full)
        if not item.soft_delete:
            raise RowError("INSUFFICIENT_ACCESS_OR_READONLY", f"{item.name} records cannot be deleted", status=403)
        with undoable(self.org.database):
            old = self._existing(item, full)
            self._bin(item, [full])
            triggers.after_write(self.org, item, old, self._read(item, full), self.user_id)
        return full

    def _bin(self, item: SObject, record_ids: list[str]) -> None:
        stamp, database = self.org.stamp(), self.org.database
        marks = ", ".join("?" * len(record_ids))
        audit = {
            name: value
            for name, value in (
                ("LastModifiedDate", stamp),
                ("SystemModstamp", stamp),
                ("LastModifiedById", self.user_id),
            )
            if item.field(name)
        }
        sets = "".join(f', "{name}" = ?' for name in audit)
        sql = f'UPDATE "{item.name}" SET "IsDeleted" = 1{sets} WHERE "Id" IN ({marks})'
        database.execute(sql, [*audit.values(), *record_ids])
        for child, link in CASCADES.get(item.name, ()):
            sql = f'SELECT "Id" FROM "{child}" WHERE "{link}" IN ({marks}) AND "IsDeleted" = 0'
            found = [row["Id"] for row in database.rows(sql, record_ids)]
            if found:
                self._bin(SOBJECTS[child], found)

    def upsert(self, item: SObject, key: Field, value: str, values: Mapping[str, Any]) -> Upserted:
        """Change the record that carries an external id, or make it.

        Raises:
            SeveralRecords: more than one carries it.
            RowError: the record is refused.
        """
        if any(name.lower() == key.name.lower() for name in values):
            message = f"The {key.name} field should not be specified in the sobject data."
            raise RowError("INVALID_FIELD", message, [key.name])
        with undoable(self.org.database):
            found = self.by_key(item, key, value)
            if found:
                return Upserted(self.update(item, found, values), created=False)
            return Upserted(self.create(item, {**values, key.name: value}), created=True)

    def by_key(self, item: SObject, key: Field, value: str) -> str | None:
        """The id of the one record that carries an external id; None if there is none.

        Raises:
            SeveralRecords: more than one carries it.
        """
        deleted = ' AND "IsDeleted" = 0' if item.field("IsDeleted") else ""
        sql = f'SELECT "Id" FROM "{item.name}" WHERE "{key.name}" = ?{deleted} ORDER BY "Id" LIMIT 20'
        found = [row["Id"] for row in self.org.database.rows(sql, (value,))]
        if len(found) > 1:
            raise SeveralRecords(item, found, key.name)
        return found[0] if found else None

    def known_id(self, item: SObject, record_id: str) -> str:
        """The 18-character form of an id of this object.

        Raises:
            ApiError: 404 for what is no id at all; 400 MALFORMED_ID for an id of another object.
        """
        if not _ID_SHAPE.fullmatch(record_id):
            raise not_found(f"Provided external ID field does not exist or is not accessible: {record_id}")
        full = ids.to18(record_id)
        found = object_of(full) if full else None
        if full is None or (found is not None and found.name != item.name):
            raise RowError("MALFORMED_ID", f"{item.label} ID: id value of incorrect type: {record_id}", ["Id"])
        return full

    def _may_write(self, item: SObject, record_id: str | None) -> None:
        if self.org.faults.forbids(item.name) or not item.writable:
            message = "insufficient access rights on object id"
            raise RowError("INSUFFICIENT_ACCESS_OR_READONLY", message, status=403)
        if self.org.faults.locks(record_id):
            named = f": {record_id}" if record_id else ""
            raise RowError("UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record{named}")

    def _existing(self, item: SObject, record_id: str) -> Row:
        found = self._read(item, record_id)
        if not found or record_id in self.org.faults.hidden_records:
            raise not_found()
        if found.get("IsDeleted"):
            raise RowError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return found

    def _read(self, item: SObject, record_id: str) -> Row:
        return self.org.database.row(f'SELECT * FROM "{item.name}" WHERE "Id" = ?', (record_id,)) or {}
