"""A record's JSON checked and converted to what is stored, with Salesforce's refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stagesync.sandbox.salesforce import ids, moments
from stagesync.sandbox.salesforce.describe import picklist_values
from stagesync.sandbox.salesforce.errors import RowError
from stagesync.sandbox.salesforce.fields import NUMBER_TYPES, TEXT_TYPES, Field, SObject
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS, object_of

LARGEST = 10**18
YEARS = ("1700", "4000")
_KINDS = {"currency": "currency", "double": "double", "percent": "percent", "int": "int", "boolean": "boolean"}


def stored_values(org: Org, item: SObject, values: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """The columns that a create or update sets.

    Raises:
        RowError: an unknown, read-only or mistyped field, a text too long, a bad id.
    """
    known: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in values.items():
        if name == "attributes":
            continue
        field = item.field(name)
        if field is None or org.hides(item, field):
            raise RowError("INVALID_FIELD", f"No such column '{name}' on sobject of type {item.name}")
        if not (field.createable if creating else field.updateable) or (
            (item.name, field.name) in org.faults.read_only_fields
        ):
            refused.append(field.name)
            continue
        known[field.name] = stored_value(field, value)
    if refused:
        message = (
            f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of this "
            "field and verify that it is read/write for your profile or permission set."
        )
        raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, refused)
    return known


def stored_value(field: Field, value: Any) -> Any:
    """One JSON value as its column stores it.

    Raises:
        RowError: it does not fit the field's type or length.
    """
    if value is None:
        return 0 if field.type == "boolean" else None
    if isinstance(value, dict | list):
        message = f"{field.name}: value not of required type: {json.dumps(value)[:80]}"
        raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, [field.name])
    if field.type == "boolean":
        return _boolean(field, value)
    if field.type in NUMBER_TYPES:
        return _number(field, value)
    if field.type in {"date", "datetime"}:
        return _moment(field, value)
    if field.type == "reference":
        return _reference(field, value)
    return _text(field, value)


def _undeserializable(field: Field, value: Any) -> RowError:
    kind = "VALUE_STRING" if isinstance(value, str) else "VALUE_TRUE" if value is True else "VALUE_NUMBER"
    message = (
        f"Cannot deserialize instance of {_KINDS.get(field.type, field.type)} from {kind} value {value} "
        "or request may be missing a required field at [line:1, column:1]"
    )
    return RowError("JSON_PARSER_ERROR", message, [field.name])


def _boolean(field: Field, value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value.lower() in {"true", "false", "1", "0"}:
        return int(value.lower() in {"true", "1"})
    raise _undeserializable(field, value)


def _number(field: Field, value: Any) -> float | int | None:
    if isinstance(value, bool):
        raise _undeserializable(field, value)
    if value == "":
        return None
    try:
        number = float(value)
    except OverflowError:
        number = LARGEST
    except ValueError:
        raise _undeserializable(field, value) from None
    if not abs(number) < LARGEST:
        message = f"{field.name}: value outside of valid range on numeric field: {value}"
        raise RowError("NUMBER_OUTSIDE_VALID_RANGE", message, [field.name])
    if field.type != "int":
        return number
    if number != int(number):
        raise _undeserializable(field, value)
    return int(number)


def _moment(field: Field, value: Any) -> str | None:
    if value == "":
        return None
    parse = moments.parse_date if field.type == "date" else moments.parse_datetime
    parsed = parse(value) if isinstance(value, str) else None
    if parsed is None:
        raise _undeserializable(field, value)
    if not YEARS[0] <= parsed[:4] <= YEARS[1]:
        message = f"{field.name}: invalid date: {value}"
        raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, [field.name])
    return parsed


def _reference(field: Field, value: Any) -> str | None:
    if value == "":
        return None
    full = ids.to18(value) if isinstance(value, str) else None
    target = object_of(full) if full else None
    if full is None or target is None or target.name not in field.reference_to:
        message = f"{field.label or field.name}: id value of incorrect type: {value}"
        raise RowError("MALFORMED_ID", message, [field.name])
    return full


def _text(field: Field, value: Any) -> str | None:
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    text = text.strip() if field.type in TEXT_TYPES else text
    if field.length and _length(field, text) > field.length:
        message = f"{field.label or field.name}: data value too large: {text[:80]} (max length={field.length})"
        raise RowError("STRING_TOO_LONG", message, [field.name])
    if field.type == "email" and text and ("@" not in text[1:-1] or " " in text):
        raise RowError("INVALID_EMAIL_ADDRESS", f"{field.name}: invalid email address: {text}", [field.name])
    return text or None


def _length(field: Field, text: str) -> int:
    """Characters as Java counts them, an emoji as two; in a text area each line ends with two."""
    breaks = text.replace("\r\n", "\n").count("\n") - text.count("\r\n") if field.type == "textarea" else 0
    return sum(1 + (ord(character) > 0xFFFF) for character in text) + breaks


def check_required(item: SObject, row: Mapping[str, Any], stated: Mapping[str, Any], *, creating: bool) -> None:
    """Refuse a create that leaves out what must be stated, or a change that empties it.

    Raises:
        RowError: REQUIRED_FIELD_MISSING with the names of the fields.
    """
    missing = [name for name in item.required if row.get(name) is None] if creating else []
    emptied = [
        field.name
        for field in item.fields
        if not field.nillable and field.type != "boolean" and field.name in stated and stated[field.name] is None
    ]
    names = list(dict.fromkeys([*missing, *emptied]))
    if names:
        raise RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)


def check_references(org: Org, item: SObject, stated: Mapping[str, Any]) -> None:
    """Refuse ids of records that are gone or never were, and owners who are inactive.

    Raises:
        RowError: INVALID_CROSS_REFERENCE_KEY, ENTITY_IS_DELETED or INACTIVE_OWNER_OR_USER.
    """
    for name, value in stated.items():
        field = item.field(name)
        if field is None or field.type != "reference" or value is None:
            continue
        target = object_of(value)
        found = org.database.row(f'SELECT * FROM "{target.name}" WHERE "Id" = ?', (value,)) if target else None
        if target is None or found is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", f"invalid cross reference id: {value}", [name])
        if found.get("IsDeleted"):
            raise RowError("ENTITY_IS_DELETED", "entity is deleted", [name])
        if target.name == "Lead" and name == "WhoId" and found["IsConverted"]:
            raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [name])
        if name != "OwnerId":
            continue
        if target.name == "User" and not found["IsActive"]:
            message = f"operation performed with inactive user [{value}] as owner of {item.name.lower()}"
            raise RowError("INACTIVE_OWNER_OR_USER", message, [name])
        if target.name == "Group" and (item.name != "Lead" or found["Type"] != "Queue"):
            message = "Queue not associated with this SObject type"
            raise RowError("INVALID_CROSS_REFERENCE_KEY", message, [name])


def check_picklists(org: Org, item: SObject, stated: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Refuse a value that a restricted picklist does not offer, or not for the record type of ``row``.

    Raises:
        RowError: INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST naming the field.
    """
    for name, value in stated.items():
        field = item.field(name)
        if field is None or value is None or (item.name, field.name) not in org.rules.restricted:
            continue
        if value not in offered_values(org, item, field, row.get("RecordTypeId")):
            message = f"bad value for restricted picklist field: {value}"
            raise RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [field.name])


def offered_values(org: Org, item: SObject, field: Field, record_type: str | None) -> set[str]:
    """The active values of a picklist that a record type offers."""
    active = {value["value"] for value in picklist_values(org, item, field) if value["active"]}
    offered = org.record_type_values.get((record_type or "", field.name))
    return active if offered is None else active & offered


def check_unique(org: Org, item: SObject, stated: Mapping[str, Any], record_id: str | None) -> None:
    """Refuse a second record with the same unique key.

    Raises:
        RowError: DUPLICATE_VALUE naming the other record.
    """
    for field in item.fields:
        unique = field.unique and (item.name, field.name) not in org.rules.loose_keys
        value = stated.get(field.name) if unique else None
        if value is None:
            continue
        sql = f'SELECT "Id" FROM "{item.name}" WHERE "{field.name}" = ? AND "IsDeleted" = 0'
        other = org.database.value(sql, (value,))
        if other is not None and other != record_id:
            message = f"duplicate value found: {field.name} duplicates value on record with id: {other[:15]}"
            raise RowError("DUPLICATE_VALUE", message, [])


def check_activity(item: SObject, row: Mapping[str, Any]) -> None:
    """Refuse an activity of a lead that also names an account, opportunity or campaign, and a shapeless event.

    Raises:
        RowError: FIELD_INTEGRITY_EXCEPTION or REQUIRED_FIELD_MISSING.
    """
    if item.name not in {"Task", "Event"}:
        return
    who = row.get("WhoId")
    if who and row.get("WhatId") and who.startswith(SOBJECTS["Lead"].key_prefix):
        message = "Can't relate a lead to another record: if WhoId refers to a lead, WhatId must be empty"
        raise RowError("FIELD_INTEGRITY_EXCEPTION", message, ["WhatId"])
    if item.name == "Event":
        start = row.get("StartDateTime") or row.get("ActivityDateTime")
        if start is None or (row.get("EndDateTime") is None and row.get("DurationInMinutes") is None):
            names = ["ActivityDateTime", "DurationInMinutes"]
            raise RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)
        if row.get("EndDateTime") is not None and row["EndDateTime"] < start:
            message = "Event duration can't be negative"
            raise RowError("FIELD_INTEGRITY_EXCEPTION", message, ["DurationInMinutes"])
