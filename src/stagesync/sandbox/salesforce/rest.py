"""The REST resources for one object or one record, for queries, limits and describe."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from stagesync.sandbox.salesforce import describe, ids, moments
from stagesync.sandbox.salesforce.call import Answer, Call
from stagesync.sandbox.salesforce.errors import ApiError, RowError, not_found
from stagesync.sandbox.salesforce.fields import Field, SObject
from stagesync.sandbox.salesforce.query import render
from stagesync.sandbox.salesforce.schema import sobject
from stagesync.sandbox.salesforce.writes import SeveralRecords

OLDEST, NEWEST = 31, 67
LIMITS = (
    "DailyApiRequests", "DailyBulkApiBatches", "DailyBulkV2QueryJobs", "DailyBulkV2QueryFileStorageMB",
    "DailyAsyncApexExecutions", "ConcurrentAsyncGetReportInstances", "DataStorageMB", "FileStorageMB",
    "HourlyTimeBasedWorkflow", "SingleEmail",
)  # fmt: skip


def versions() -> list[dict[str, str]]:
    """The API versions that the org speaks."""
    seasons = ("Winter", "Spring", "Summer")
    return [
        {
            "label": f"{seasons[(number - 31) % 3 - 2]} '{(number + 11) // 3:02d}",
            "url": f"/services/data/v{number}.0",
            "version": f"{number}.0",
        }
        for number in range(OLDEST, NEWEST + 1)
    ]


def resources(call: Call) -> Answer:
    """``GET /``: the addresses of the resources."""
    names = ("composite", "jobs", "limits", "query", "queryAll", "sobjects")
    identity = f"{call.org.base_url or call.base_url}/id/{call.org.org_id}/{call.user_id}"
    return Answer(body={"identity": identity} | {name: f"/services/data/v{call.version}/{name}" for name in names})


def limits(call: Call) -> Answer:
    """``GET /limits``."""
    if call.org.faults.limits_forbidden:
        raise ApiError(403, "INSUFFICIENT_ACCESS", "You do not have access to this resource")
    body = {name: {"Max": 10_000, "Remaining": 10_000} for name in LIMITS}
    left = max(call.org.calls_limit - call.org.calls_used, 0)
    org = call.org
    jobs = max(org.bulk_jobs_limit - org.bulk_jobs_used, 0)
    body["DailyBulkV2QueryJobs"] = {"Max": org.bulk_jobs_limit, "Remaining": jobs}
    body["DailyApiRequests"] = {"Max": call.org.calls_limit, "Remaining": left}
    return Answer(body=body)


def global_describe(call: Call) -> Answer:
    """``GET /sobjects``."""
    return Answer(body=describe.everything(call.org, call.version))


def _object(call: Call) -> SObject:
    item = sobject(call.captured["sobject"])
    if item.name in call.org.faults.hidden_objects:
        raise not_found()
    return item


def object_info(call: Call) -> Answer:
    """``GET /sobjects/X``: the object and no recent items."""
    return Answer(body={"objectDescribe": describe.brief(call.org, _object(call), call.version), "recentItems": []})


def object_describe(call: Call) -> Answer:
    """``GET /sobjects/X/describe``; 304 where nothing in it changed since the date in If-Modified-Since."""
    item, since = _object(call), call.date_header("if-modified-since")
    body = describe.full(call.org, item, call.version)
    text = json.dumps(body, sort_keys=True)
    changed = call.org.described_since(f"{item.name} v{call.version}", text, asks_for_changes=since is not None)
    if since is not None and (changed <= since or call.org.faults.stale_describes):
        return Answer(304)
    call.org.descriptions[item.name] += 1
    return Answer(body=body)


def create(call: Call) -> Answer:
    """``POST /sobjects/X``: 201 with the new id."""
    new_id = call.writer.create(_object(call), call.json_object())
    location = {"Location": f"/services/data/v{call.version}/sobjects/{_object(call).name}/{new_id}"}
    return Answer(201, {"id": new_id, "success": True, "errors": []}, location)


def _wanted(call: Call, item: SObject) -> list[Field]:
    stated = [name.strip() for name in call.query.get("fields", "").split(",") if name.strip()]
    if not stated:
        return [field for field in item.fields if not call.org.hides(item, field)]
    found = []
    for name in stated:
        field = item.field(name)
        if field is None or call.org.hides(item, field):
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {item.name}")
        found.append(field)
    return found


def read_record(call: Call, item: SObject, record_id: str, fields: list[Field]) -> dict[str, Any] | None:
    """One record as JSON, deleted or not (then ``IsDeleted`` in it says so); None if there is none."""
    world = call.reader.world
    names = ", ".join(f'{world.expression(field, "t")} AS "{field.name}"' for field in fields)
    extra = ', t."IsDeleted" AS _deleted' if item.field("IsDeleted") else ", 0 AS _deleted"
    stamp = ', t."LastModifiedDate" AS _modified' if item.field("LastModifiedDate") else ", NULL AS _modified"
    sql = f'SELECT t."Id" AS _id, {names}{extra}{stamp} FROM "{item.name}" AS t WHERE t."Id" = ?'
    row = call.org.database.row(sql, (record_id,))
    if row is None or row["_id"] in call.org.faults.hidden_records:
        return None
    url = f"/services/data/v{call.version}/sobjects/{item.name}/{row['_id']}"
    record: dict[str, Any] = {"attributes": {"type": item.name, "url": url}}
    record |= {field.name: render(row[field.name], field.type) for field in fields}
    record["_deleted"], record["_modified"] = row["_deleted"], row["_modified"]
    return record


def read(call: Call) -> Answer:
    """``GET /sobjects/X/{id}``, with ``fields=`` and the conditional headers."""
    item = _object(call)
    full = call.writer.known_id(item, call.captured["id"])
    wanted = _wanted(call, item)
    fields = (
        wanted if call.query.get("fields") is None or item.by_name["id"] in wanted else [item.by_name["id"], *wanted]
    )
    return _read(call, item, full, fields)


def _read(call: Call, item: SObject, full: str, fields: list[Field]) -> Answer:
    record = read_record(call, item, full, fields)
    if record is None:
        raise not_found()
    if record.pop("_deleted"):
        raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", [])
    modified = record.pop("_modified") or ""
    unmodified_since, modified_since = call.date_header("if-unmodified-since"), call.date_header("if-modified-since")
    if unmodified_since and modified > unmodified_since:
        message = "The record was modified after the date in If-Unmodified-Since"
        raise ApiError(412, "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK", message, [])
    if modified_since and modified <= modified_since:
        return Answer(304)
    return Answer(body=record)


def update(call: Call) -> Answer:
    """``PATCH /sobjects/X/{id}``: 204, or 412 when If-Unmodified-Since is not met."""
    since = call.date_header("if-unmodified-since")
    call.writer.update(_object(call), call.captured["id"], call.json_object(), unmodified_since=since)
    return Answer(204)


def delete(call: Call) -> Answer:
    """``DELETE /sobjects/X/{id}``: 204."""
    call.writer.delete(_object(call), call.captured["id"])
    return Answer(204)


def _key(call: Call, item: SObject) -> Field:
    field = item.field(call.captured["key"])
    hidden = field is not None and call.org.hides(item, field)
    if field is None or hidden or not (field.external_id or field.name == "Id"):
        message = f"Provided external ID field does not exist or is not accessible: {call.captured['key']}"
        raise not_found(message)
    return field


def _several(call: Call, error: SeveralRecords) -> Answer:
    path = f"/services/data/v{call.version}/sobjects/{error.sobject}"
    return Answer(300, [f"{path}/{record_id}" for record_id in error.record_ids])


def read_by_key(call: Call) -> Answer:
    """``GET /sobjects/X/{field}/{value}``."""
    item = _object(call)
    key = _key(call, item)
    try:
        found = call.writer.by_key(item, key, call.captured["value"])
    except SeveralRecords as error:
        return _several(call, error)
    if found is None:
        raise not_found()
    return _read(call, item, found, _wanted(call, item))


def upsert(call: Call) -> Answer:
    """``PATCH /sobjects/X/{field}/{value}``: 201 when made, 200 when changed (204 below v46), 300 when several."""
    item = _object(call)
    key = _key(call, item)
    values = call.json_object()
    if key.name == "Id":
        call.writer.update(item, call.captured["value"], values)
        return Answer(204)
    try:
        done = call.writer.upsert(item, key, call.captured["value"], values)
    except SeveralRecords as error:
        return _several(call, error)
    body = {"id": done.id, "success": True, "errors": [], "created": done.created}
    if not done.created and call.number < 46:
        return Answer(204)
    return Answer(201 if done.created else 200, body)


def delete_by_key(call: Call) -> Answer:
    """``DELETE /sobjects/X/{field}/{value}``: 204."""
    item = _object(call)
    found = call.writer.by_key(item, _key(call, item), call.captured["value"])
    if found is None:
        raise not_found()
    call.writer.delete(item, found)
    return Answer(204)


def _window(call: Call, days: int) -> tuple[str, str]:
    bounds = []
    for name in ("start", "end"):
        text = call.query.get(name)
        if text is None:
            raise ApiError(400, "MISSING_ARGUMENT", name)
        # A plus that was not percent-encoded arrives as a space.
        parsed = moments.parse_datetime(text.strip().replace(" ", "+"))
        if parsed is None:
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"{name}: invalid date: {text}")
        bounds.append(parsed[:17] + "00Z")
    start, end = bounds
    if start >= end:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "startDate must precede endDate")
    if start < moments.stored(call.org.now() - timedelta(days=days)):
        raise ApiError(
            400, "INVALID_REPLICATION_DATE", f"startDate before org replication enabled date or {days} days ago"
        )
    return start, end


def updated(call: Call) -> Answer:
    """``GET /sobjects/X/updated?start&end``: ids changed in the window, by SystemModstamp, seconds ignored."""
    item = _object(call)
    start, end = _window(call, 30)
    deleted = ' AND "IsDeleted" = 0' if item.field("IsDeleted") else ""
    sql = f'SELECT "Id" FROM "{item.name}" WHERE "SystemModstamp" >= ? AND "SystemModstamp" < ?{deleted} LIMIT 600001'
    found = [row["Id"] for row in call.org.database.rows(sql, (start, end))]
    if len(found) > 600_000:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", "exceeded the limit of 600,000 ids")
    return Answer(body={"ids": found, "latestDateCovered": moments.spoken(end)})


def deleted(call: Call) -> Answer:
    """``GET /sobjects/X/deleted?start&end``: records binned in the window."""
    item = _object(call)
    start, end = _window(call, 15)
    rows = []
    if item.field("IsDeleted"):
        sql = (
            f'SELECT "Id", "SystemModstamp" FROM "{item.name}" WHERE "IsDeleted" = 1 '
            'AND "SystemModstamp" >= ? AND "SystemModstamp" < ? ORDER BY "SystemModstamp", "Id"'
        )
        rows = call.org.database.rows(sql, (start, end))
    records = [{"id": row["Id"], "deletedDate": moments.spoken(row["SystemModstamp"])} for row in rows]
    earliest = moments.stored(call.org.now() - timedelta(days=15))
    body = {
        "deletedRecords": records,
        "earliestDateAvailable": moments.spoken(earliest),
        "latestDateCovered": moments.spoken(end),
    }
    return Answer(body=body)


def _batch(call: Call) -> int | None:
    for part in call.headers.get("sforce-query-options", "").replace(",", ";").split(";"):
        name, _, number = part.partition("=")
        if name.strip().lower() == "batchsize" and number.strip().isdigit():
            return int(number)
    return None


def query(call: Call) -> Answer:
    """``GET /query?q=``."""
    return _query(call, everything=False)


def query_all(call: Call) -> Answer:
    """``GET /queryAll?q=``: also the recycle bin."""
    return _query(call, everything=True)


def _query(call: Call, *, everything: bool) -> Answer:
    soql = call.query.get("q")
    if soql is None or not soql.strip():
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    return Answer(body=call.reader.first_page(soql, everything=everything, batch=_batch(call)))


def query_more(call: Call) -> Answer:
    """``GET /query/{locator}``."""
    return Answer(body=call.reader.page(call.captured["locator"]))


def ui_picklist(call: Call) -> Answer:
    """``GET /ui-api/object-info/X/picklist-values/{recordTypeId}/{field}``."""
    item = _object(call)
    if call.org.faults.ui_api_forbidden:
        raise ApiError(403, "INSUFFICIENT_ACCESS", "You do not have access to this resource")
    field = item.field(call.captured["field"])
    if field is None or field.type != "picklist":
        raise RowError("INVALID_FIELD", f"No such picklist: {call.captured['field']}")
    record_type = ids.to18(call.captured["recordType"]) or ""
    sql = 'SELECT 1 FROM "RecordType" WHERE "Id" = ? AND "SobjectType" = ?'
    if record_type != describe.MASTER and not call.org.database.value(sql, (record_type, item.name)):
        raise not_found()
    url = f"/services/data/v{call.version}/{'/'.join(call.segments)}"
    return Answer(body=describe.ui_picklist(call.org, item, field, record_type, url))
