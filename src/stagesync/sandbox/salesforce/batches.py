"""sObject Collections: up to 200 records in one call, each with a result of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stagesync.sandbox.salesforce import ids
from stagesync.sandbox.salesforce.call import Answer, Call
from stagesync.sandbox.salesforce.errors import ApiError, RowError, not_found
from stagesync.sandbox.salesforce.fields import SObject
from stagesync.sandbox.salesforce.rest import read_record
from stagesync.sandbox.salesforce.schema import find, object_of, sobject
from stagesync.sandbox.salesforce.storage import undoable

MOST, MOST_READ, MOST_TYPES = 200, 2000, 10
Result = dict[str, Any]
ROLLED_BACK = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


class _Undo(Exception):
    """Not an error: it leaves the step and undoes it."""


def _failure(error: ApiError, record_id: str | None = None) -> Result:
    result: Result = {"success": False, "errors": [error.row()]}
    return {"id": record_id, **result} if record_id else result


def _each(call: Call, items: Sequence[Any], write: Callable[[Any], Result], *, all_or_none: bool) -> Answer:
    """Write every item in order; with ``all_or_none`` one failure undoes all."""
    results: list[Result] = []
    try:
        with undoable(call.org.database):
            for item in items:
                try:
                    results.append(write(item))
                except ApiError as error:
                    results.append(_failure(error))
            if all_or_none and not all(result["success"] for result in results):
                raise _Undo
    except _Undo:
        results = [_failure(ROLLED_BACK) if result["success"] else result for result in results]
    return Answer(body=results)


def _records(call: Call) -> tuple[list[dict[str, Any]], bool]:
    body = call.json_object()
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records: a list of objects is required at [line:1, column:1]")
    if len(records) > MOST:
        message = f"The number of records in the request, {len(records)}, exceeds the limit of {MOST}"
        raise ApiError(400, "INVALID_INPUT", message)
    kinds = [_type_name(record) for record in records]
    chunks = sum(1 for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1])
    if chunks > MOST_TYPES:
        raise ApiError(400, "INVALID_INPUT", f"Records of more than {MOST_TYPES} chunks of types in one request")
    return records, bool(body.get("allOrNone", False))


def _type_name(record: dict[str, Any]) -> str | None:
    attributes = record.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    return name if isinstance(name, str) else None


def _typed(record: dict[str, Any]) -> tuple[SObject, dict[str, Any]]:
    name = _type_name(record)
    item = find(name) if name else None
    if item is None:
        raise RowError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    return item, {key: value for key, value in record.items() if key not in {"attributes", "id", "Id"}}


def create(call: Call) -> Answer:
    """``POST /composite/sobjects``."""
    records, all_or_none = _records(call)

    def write(record: dict[str, Any]) -> Result:
        item, values = _typed(record)
        return {"id": call.writer.create(item, values), "success": True, "errors": []}

    return _each(call, records, write, all_or_none=all_or_none)


def update(call: Call) -> Answer:
    """``PATCH /composite/sobjects``: each record carries its ``id``."""
    records, all_or_none = _records(call)
    seen: set[str] = set()

    def write(record: dict[str, Any]) -> Result:
        item, values = _typed(record)
        record_id = record.get("id", record.get("Id"))
        if not isinstance(record_id, str):
            raise RowError("MISSING_ARGUMENT", "Id not specified in an update call")
        full = ids.to18(record_id)
        found = object_of(full) if full else None
        if full is None or (found is not None and found.name != item.name):
            raise RowError("MALFORMED_ID", f"malformed id {record_id}", ["Id"])
        if full in seen:
            raise RowError("DUPLICATE_VALUE", f"duplicate id specified: {full}", ["Id"])
        seen.add(full)
        try:
            call.writer.update(item, full, values)
        except ApiError as error:
            if error.code == "NOT_FOUND":
                error = RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            return _failure(error, full)
        return {"id": full, "success": True, "errors": []}

    return _each(call, records, write, all_or_none=all_or_none)


def upsert(call: Call) -> Answer:
    """``PATCH /composite/sobjects/X/{field}``: each record carries the key field."""
    records, all_or_none = _records(call)
    item = sobject(call.captured["sobject"])
    key = item.field(call.captured["key"])
    if key is None or not key.external_id:
        raise not_found(f"Provided external ID field does not exist or is not accessible: {call.captured['key']}")

    def write(record: dict[str, Any]) -> Result:
        stated, values = _typed(record)
        if stated is not item:
            raise RowError("INVALID_TYPE", f"sObject type '{stated.name}' does not match '{item.name}'")
        value = next((values.pop(name) for name in list(values) if name.lower() == key.name.lower()), None)
        if not isinstance(value, str) or not value:
            raise RowError("MISSING_ARGUMENT", f"{key.name} not specified")
        done = call.writer.upsert(item, key, value, values)
        return {"id": done.id, "success": True, "errors": [], "created": done.created}

    return _each(call, records, write, all_or_none=all_or_none)


def delete(call: Call) -> Answer:
    """``DELETE /composite/sobjects?ids=a,b&allOrNone=false``."""
    wanted = [one.strip() for one in call.query.get("ids", "").split(",") if one.strip()]
    if not wanted or len(wanted) > MOST:
        raise ApiError(400, "INVALID_INPUT", f"1 to {MOST} ids are required")

    def write(record_id: str) -> Result:
        full = ids.to18(record_id)
        item = object_of(full) if full else None
        if full is None or item is None:
            raise RowError("MALFORMED_ID", f"malformed id {record_id}", ["Id"])
        try:
            call.writer.delete(item, full)
        except ApiError as error:
            if error.code == "NOT_FOUND":
                error = RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            return _failure(error, full)
        return {"id": full, "success": True, "errors": []}

    return _each(call, wanted, write, all_or_none=call.query.get("allOrNone", "false").lower() == "true")


def retrieve(call: Call) -> Answer:
    """``POST`` (body) or ``GET`` (query) ``/composite/sobjects/X``: records by id in order, null for missing."""
    item = sobject(call.captured["sobject"])
    if call.method == "GET":
        stated: Any = call.query.get("ids", "").split(",")
        names: Any = call.query.get("fields", "").split(",")
    else:
        body = call.json_object()
        stated, names = body.get("ids"), body.get("fields")
    if not isinstance(stated, list) or not isinstance(names, list) or not names or len(stated) > MOST_READ:
        raise ApiError(400, "INVALID_INPUT", f"ids (at most {MOST_READ}) and fields are required")
    fields = []
    for name in dict.fromkeys(["Id", *(str(name).strip() for name in names)]):
        field = item.field(name)
        if field is None or call.org.hides(item, field):
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {item.name}")
        if field not in fields:
            fields.append(field)
    return Answer(body=[_retrieved(call, item, str(one).strip(), fields) for one in stated])


def _retrieved(call: Call, item: SObject, record_id: str, fields: list[Any]) -> dict[str, Any] | None:
    full = ids.to18(record_id)
    if full is None:
        raise ApiError(400, "MALFORMED_ID", f"malformed id {record_id}")
    record = read_record(call, item, full, fields)
    if record is None or record.pop("_deleted"):
        return None
    record.pop("_modified")
    return record
