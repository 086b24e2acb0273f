"""Up to 100 records at a time: partial answers are 207, and in no order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stagesync.sandbox.hubspot import writing
from stagesync.sandbox.hubspot.calls import Call, Reply
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.errors import ApiError, partial_failure, validation
from stagesync.sandbox.hubspot.objects_api import find, links_of, written_body
from stagesync.sandbox.hubspot.records import Record, Values
from stagesync.sandbox.hubspot.rendering import batch_body, record_body, scattered, shape
from stagesync.sandbox.hubspot.validation import checked

MOST, MOST_WITH_HISTORY = 100, 50

Written = tuple[Record, Values]
Errors = list[dict[str, Any]]


def batch_read(call: Call) -> Reply:
    """POST …/batch/read: ids that are not there make a 207, not a 404."""
    kind, started, request = call.kind(), call.portal.now(), call.json()
    history = [str(name) for name in request.get("propertiesWithHistory") or []]
    inputs = call.inputs(MOST_WITH_HISTORY if history else MOST)
    wanted = shape(kind, [str(name) for name in request.get("properties") or []], history)
    ids, missing = _known_ids(call, kind, inputs, request.get("idProperty"))
    found = call.portal.records.get_many(kind, ids, wanted.names)
    errors = [_missing(kind, missing)] if missing else []
    results = [record_body(call, kind, record, wanted) for record in scattered(found.values())]
    return _reply(call, started, results, errors)


def _known_ids(
    call: Call, kind: ObjectType, inputs: list[dict[str, Any]], id_property: str | None
) -> tuple[list[int], list[str]]:
    """The ids of the records asked for, merges followed, and what was asked for in vain."""
    asked = [str(each.get("id", "")) for each in inputs]
    direct = [] if id_property else [int(text) for text in asked if text.isdigit() and len(text) <= 18]
    at_hand = call.portal.records.get_many(kind, direct, ()) if direct else {}
    ids: list[int] = []
    missing: list[str] = []
    for text in asked:
        record = at_hand.get(int(text)) if not id_property and text.isdigit() else None
        if record is None or record.merged_into is not None:
            record = find(call, kind, text, id_property)
        if record is None or record.archived != call.archived:
            missing.append(text)
        else:
            ids.append(record.id)
    return ids, missing


def batch_create(call: Call) -> Reply:
    """POST …/batch/create: 201; item by item when every input has its own objectWriteTraceId, else all or none."""
    kind, started, inputs = call.kind(), call.portal.now(), call.inputs(MOST)
    traces = {str(each["objectWriteTraceId"]) for each in inputs if each.get("objectWriteTraceId")}

    def write(each: Mapping[str, Any]) -> Written:
        return writing.create(
            call.portal,
            kind,
            each.get("properties", {}),
            links=links_of(kind, each.get("associations")),
            source=call.source,
            enforce=call.enforce,
        )

    written, errors = _each_or_all(call, inputs, write, item_by_item=len(traces) == len(inputs))
    reply = _reply(call, started, _written(call, kind, written), errors, status=201)
    cut = kind.name == "tasks" and bool(written) and call.portal.faults.take_drop()
    return Reply(status=reply.status, body=reply.body, cut=cut)


def batch_update(call: Call) -> Reply:
    """POST …/batch/update: unknown ids make a 207, one bad value fails the whole batch."""
    kind, started, inputs = call.kind(), call.portal.now(), call.inputs(MOST)
    _no_duplicates(inputs)
    targets: list[tuple[Record, dict[str, Any]]] = []
    errors: Errors = []
    for each in inputs:
        record = find(call, kind, str(each.get("id", "")), each.get("idProperty"))
        if record is None or record.archived:
            errors.append(_missing(kind, [str(each.get("id", ""))], each))
        else:
            targets.append((record, each))
    if call.portal.faults.bad_rows != "whole":
        written: list[Written] = []
        for record, each in targets:
            try:
                written.append(_update(call, kind, record, each))
            except ApiError as refused:
                errors.append(_bad_row(call, refused, each))
        return _reply(call, started, _written(call, kind, written), errors)
    with call.portal.database.transaction():
        for record, each in targets:
            checked(call.portal, kind, each.get("properties", {}), record)
        written = [_update(call, kind, record, each) for record, each in targets]
    return _reply(call, started, _written(call, kind, written), errors)


def batch_upsert(call: Call) -> Reply:
    """POST …/batch/upsert: by a unique property; each result says whether it is ``new``."""
    kind, started, inputs = call.kind(), call.portal.now(), call.inputs(MOST)
    _no_duplicates(inputs)
    results: list[dict[str, Any]] = []
    errors: Errors = []
    with call.portal.database.transaction():
        for each in inputs:
            try:
                results.append(_upserted(call, kind, each))
            except ApiError as refused:
                if call.portal.faults.bad_rows == "whole":
                    raise
                errors.append(_bad_row(call, refused, each))
    results.sort(key=lambda body: str(body["id"])[::-1])
    reply = _reply(call, started, results, errors)
    made_task = kind.name == "tasks" and any(body["new"] for body in results)
    return Reply(status=reply.status, body=reply.body, cut=made_task and call.portal.faults.take_drop())


def _upserted(call: Call, kind: ObjectType, each: Mapping[str, Any]) -> dict[str, Any]:
    id_property = str(each.get("idProperty") or "hs_object_id")
    record = find(call, kind, str(each.get("id", "")), id_property)
    if record is not None:
        return {**written_body(call, kind, *_update(call, kind, record, each)), "new": False}
    given = {id_property: each.get("id"), **each.get("properties", {})}
    made = writing.create(call.portal, kind, given, source=call.source, enforce=call.enforce)
    return {**written_body(call, kind, *made), "new": True}


def _bad_row(call: Call, refused: ApiError, each: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a 207 for a refused row, with or without a word on which one it is."""
    context = {"ids": [str(each.get("id"))]} if call.portal.faults.bad_rows == "named" else {}
    return {**refused.body, "context": {**refused.body.get("context", {}), **context}}


def batch_archive(call: Call) -> Reply:
    """POST …/batch/archive: 204; unknown ids are passed over."""
    kind = call.kind()
    for each in call.inputs(MOST):
        record = find(call, kind, str(each.get("id", "")), None)
        if record is not None:
            writing.archive(call.portal, kind, record)
    return Reply(status=204)


def _update(call: Call, kind: ObjectType, record: Record, each: Mapping[str, Any]) -> Written:
    raw = each.get("properties", {})
    return writing.update(call.portal, kind, record, raw, source=call.source, enforce=call.enforce)


def _each_or_all(
    call: Call,
    inputs: list[dict[str, Any]],
    write: Callable[[Mapping[str, Any]], Written],
    *,
    item_by_item: bool,
) -> tuple[list[Written], Errors]:
    written: list[Written] = []
    errors: Errors = []
    if not item_by_item:
        with call.portal.database.transaction():
            return [write(each) for each in inputs], errors
    for each in inputs:
        try:
            written.append(write(each))
        except ApiError as refused:
            trace = {"objectWriteTraceId": [str(each["objectWriteTraceId"])]}
            errors.append({**refused.body, "context": {**refused.body.get("context", {}), **trace}})
    return written, errors


def _no_duplicates(inputs: list[dict[str, Any]]) -> None:
    ids = [str(each.get("id")) for each in inputs]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise validation(f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique")


def _missing(kind: ObjectType, ids: list[str], source: Mapping[str, Any] | None = None) -> dict[str, Any]:
    context: dict[str, list[str]] = {"ids": ids}
    if source and source.get("objectWriteTraceId"):
        context["objectWriteTraceId"] = [str(source["objectWriteTraceId"])]
    message = (
        f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist."
        " Check that ids are valid."
    )
    return partial_failure("OBJECT_NOT_FOUND", message, context)


def _written(call: Call, kind: ObjectType, written: list[Written]) -> list[dict[str, Any]]:
    values = {record.id: each for record, each in written}
    return [written_body(call, kind, record, values[record.id]) for record in scattered(one for one, _ in written)]


def _reply(call: Call, started: int, results: list[Any], errors: Errors, *, status: int = 200) -> Reply:
    return Reply(status=207 if errors else status, body=batch_body(call, started, results, errors))
