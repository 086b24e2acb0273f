"""Bulk API 2.0 query jobs: created, done at once, read as CSV in chunks."""

from __future__ import annotations

import base64
import binascii
import csv
import gzip
import io
from typing import Any

from stagesync.sandbox.salesforce import moments
from stagesync.sandbox.salesforce.call import Answer, Call
from stagesync.sandbox.salesforce.errors import ApiError, SoqlError, not_found
from stagesync.sandbox.salesforce.query import flat, heads, kinds
from stagesync.sandbox.salesforce.soql_plan import ChildPlan, Plan

DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
CHUNK = 50_000
Job = dict[str, Any]


def create(call: Call) -> Answer:
    """``POST /jobs/query``: the job, in state UploadComplete."""
    body = call.json_object()
    operation, soql = body.get("operation"), body.get("query")
    delimiter, ending = body.get("columnDelimiter", "COMMA"), body.get("lineEnding", "LF")
    if operation not in ("query", "queryAll") or not isinstance(soql, str):
        raise ApiError(400, "INVALIDJOB", "operation and query are required")
    if delimiter not in list(DELIMITERS) or ending not in list(LINE_ENDINGS):
        raise ApiError(400, "INVALIDJOB", "columnDelimiter or lineEnding is not supported")
    if call.org.bulk_jobs_used >= call.org.bulk_jobs_limit:
        message = f"Max bulk v2 query jobs ({call.org.bulk_jobs_limit}) per 24 hrs has been reached"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    ready = _prepare(call, soql, operation)
    if ready.sobject.name in call.org.faults.bulk_unsupported:
        raise ApiError(400, "INVALIDENTITY", f"Entity '{ready.sobject.name}' is not supported by the Bulk API.")
    call.org.bulk_jobs_used += 1
    job_id = call.org.next_id("750")
    total = call.reader.keep(job_id, ready)
    row = (job_id, operation, soql, ready.sobject.name, "JobComplete", call.org.stamp(), call.user_id, call.version)
    call.org.database.execute(
        "INSERT INTO _job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, total, delimiter, ending, None)
    )
    answer = _job_body(_job(call, job_id))
    return Answer(200, {**answer, "state": "UploadComplete"})


def _prepare(call: Call, soql: str, operation: str) -> Plan:
    try:
        ready = call.reader.prepare(soql, everything=operation == "queryAll")
    except SoqlError as error:
        raise ApiError(400, "API_ERROR", f"{error.code}: {error.message}") from None
    nested = ready.shape is not None and any(isinstance(one, ChildPlan) for one in ready.shape.entries.values())
    if ready.shape is None or ready.aggregate or ready.offset is not None or nested:
        raise ApiError(400, "API_ERROR", "Aggregates, GROUP BY, OFFSET and sub-queries are not supported by Bulk Query")
    return ready


def _job(call: Call, job_id: str) -> Job:
    found = call.org.database.row("SELECT * FROM _job WHERE id = ?", (job_id,))
    if found is None:
        raise not_found()
    return found


def _job_body(job: Job) -> Job:
    created = moments.spoken(job["created"])
    return {
        "id": job["id"],
        "operation": job["operation"],
        "object": job["object"],
        "createdById": job["user_id"],
        "createdDate": created,
        "systemModstamp": created,
        "state": job["state"],
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job["version"]),
        "lineEnding": job["line_ending"],
        "columnDelimiter": job["delimiter"],
    }


def read(call: Call) -> Answer:
    """``GET /jobs/query/{id}``."""
    job = _ended(call, _job(call, call.captured["id"]))
    if call.org.faults.strikes("bulk_looks"):
        return Answer(body={**_job_body(job), "state": "InProgress", "numberRecordsProcessed": 0, "retries": 0})
    failure = {"errorMessage": job["error"]} if job["error"] else {}
    counts = {"numberRecordsProcessed": job["total"], "retries": 0, "totalProcessingTime": 10}
    return Answer(body={**_job_body(job), **counts, **failure, "isPkChunkingSupported": True})


def _ended(call: Call, job: Job) -> Job:
    end = call.org.faults.bulk_end
    if end is None:
        return job
    call.org.database.execute("UPDATE _job SET state = ?, error = ? WHERE id = ?", (*end, job["id"]))
    return _job(call, job["id"])


def every(call: Call) -> Answer:
    """``GET /jobs/query``."""
    rows = call.org.database.rows("SELECT * FROM _job ORDER BY id")
    return Answer(body={"done": True, "records": [_job_body(row) for row in rows], "nextRecordsUrl": None})


def results(call: Call) -> Answer:
    """``GET /jobs/query/{id}/results?maxRecords&locator``: CSV with a header line in every chunk, by gzip."""
    job = _job(call, call.captured["id"])
    if job["version"] != call.version:
        raise ApiError(409, "API_ERROR", "Results must be read with the API version that created the job")
    if job["state"] != "JobComplete":
        raise ApiError(400, "INVALIDJOBSTATE", f"the job is {job['state']}")
    faults = call.org.faults
    start = _start(call.query.get("locator"))
    if start and faults.strikes("lost_result_locators"):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    if start and faults.strikes("lost_results"):
        raise not_found()
    if faults.strikes("page_for_results"):
        return Answer(200, "<html><body>Salesforce is being updated.</body></html>", {"Content-Type": "text/html"})
    most = call.query.get("maxRecords", "")
    end = min(start + max(int(most) if most.isdigit() else CHUNK, 1), job["total"])
    ready = _prepare(call, job["soql"], job["operation"])
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=DELIMITERS[job["delimiter"]],
        lineterminator=LINE_ENDINGS[job["line_ending"]],
        quoting=csv.QUOTE_ALL,
    )
    if start == 0 or not faults.one_header:
        writer.writerow(heads(ready))
    rows = call.reader.kept(job["id"], ready, start, end)
    moments_at = {place for place, kind in enumerate(kinds(ready)) if kind == "datetime" and faults.bulk_zulu}
    writer.writerows(
        [_zulu(value) if place in moments_at else _cell(value) for place, value in enumerate(row)]
        for row in flat(ready, rows)
    )
    headers = {
        "Content-Type": "text/csv; charset=UTF-8",
        "Sforce-NumberOfRecords": str(len(rows)),
        "Sforce-Locator": base64.urlsafe_b64encode(str(end).encode()).decode() if end < job["total"] else "null",
    }
    content = out.getvalue().encode()
    if faults.strikes("short_results"):
        content = content[: len(content) // 2]
    if "gzip" in call.headers.get("accept-encoding", ""):
        content = gzip.compress(content, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Answer(200, content, headers, broken=faults.strikes("broken_results"))


def _start(locator: str | None) -> int:
    if locator in {None, "", "null"}:
        return 0
    try:
        return int(base64.urlsafe_b64decode(str(locator)))
    except (ValueError, binascii.Error):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from None


def _zulu(value: str | None) -> str:
    return (value or "").replace("+0000", "Z")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def abort(call: Call) -> Answer:
    """``PATCH /jobs/query/{id}`` with ``{"state": "Aborted"}``."""
    job = _job(call, call.captured["id"])
    if call.json_object().get("state") != "Aborted":
        raise ApiError(400, "INVALIDJOBSTATE", "the only state that can be set is Aborted")
    call.org.database.execute("UPDATE _job SET state = 'Aborted' WHERE id = ?", (job["id"],))
    return Answer(body=_job_body({**job, "state": "Aborted"}))


def delete(call: Call) -> Answer:
    """``DELETE /jobs/query/{id}``: 204."""
    job = _job(call, call.captured["id"])
    with call.org.database.transaction():
        call.org.database.execute("DELETE FROM _job WHERE id = ?", (job["id"],))
        call.org.database.execute("DELETE FROM _cursor_row WHERE cursor = ?", (job["id"],))
    return Answer(204)
