"""One record at a time, lists and searches."""

from __future__ import annotations

from typing import Any

from stagesync.sandbox.hubspot import search, writing
from stagesync.sandbox.hubspot.calls import Call, Reply, record_id
from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES, ObjectType, association_types
from stagesync.sandbox.hubspot.errors import not_found, validation
from stagesync.sandbox.hubspot.records import Record, Values
from stagesync.sandbox.hubspot.rendering import asked, record_body, shape

MOST_LISTED, MOST_LISTED_WITH_HISTORY = 100, 50


def list_records(call: Call) -> Reply:
    """GET …/{object}: by id; ``after`` is the id at which the next page starts."""
    kind, wanted = call.kind(), asked(call, call.kind())
    limit = call.limit(MOST_LISTED_WITH_HISTORY if wanted.history else MOST_LISTED, 10)
    found = call.portal.records.select(
        kind,
        wanted.names,
        "WHERE id >= ? AND archived = ? AND merged_into IS NULL ORDER BY id LIMIT ?",
        (call.after(), int(call.archived), limit + 1),
    )
    body: dict[str, Any] = {"results": [record_body(call, kind, each, wanted) for each in found[:limit]]}
    if len(found) > limit:
        body["paging"] = call.next_page(found[limit - 1].id + 1)
    return Reply(body=body)


def read_record(call: Call) -> Reply:
    """GET …/{object}/{id}: a merged id answers with the record that it became."""
    kind, wanted = call.kind(), asked(call, call.kind())
    record = find(call, kind, call.path["object_id"], call.query.get("idProperty"))
    if record is None or record.archived != call.archived:
        raise not_found()
    full = call.portal.records.get(kind, record.id, wanted.names)
    return Reply(body=record_body(call, kind, full or record, wanted))


def create_record(call: Call) -> Reply:
    """POST …/{object}: 201. A planned fault may cut the connection after a task is stored."""
    kind, request = call.kind(), call.json()
    record, values = writing.create(
        call.portal,
        kind,
        request.get("properties", {}),
        links=links_of(kind, request.get("associations")),
        source=call.source,
        enforce=call.enforce,
    )
    cut = kind.name == "tasks" and call.portal.faults.take_drop()
    return Reply(status=201, body=written_body(call, kind, record, values), cut=cut)


def update_record(call: Call) -> Reply:
    """PATCH …/{object}/{id}: 200 even where HubSpot ignores the value."""
    kind = call.kind()
    record = find(call, kind, call.path["object_id"], call.query.get("idProperty"))
    if record is None or record.archived:
        raise not_found()
    record, values = writing.update(
        call.portal,
        kind,
        record,
        call.json().get("properties", {}),
        source=call.source,
        enforce=call.enforce,
    )
    return Reply(body=written_body(call, kind, record, values))


def archive_record(call: Call) -> Reply:
    """DELETE …/{object}/{id}: 204, for a record that is already gone as well."""
    kind = call.kind()
    record = find(call, kind, call.path["object_id"], None)
    if record is not None:
        writing.archive(call.portal, kind, record)
    return Reply(status=204)


def search_records(call: Call) -> Reply:
    """POST …/{object}/search: through an index that may lag, without history or associations."""
    kind, request = call.kind(), call.json()
    wanted = shape(kind, [str(name) for name in request.get("properties") or []])
    found = search.run(call.portal, kind, request, wanted.properties)
    body: dict[str, Any] = {
        "total": found.total,
        "results": [record_body(call, kind, record, wanted) for record in found.records],
    }
    if found.after is not None:
        body["paging"] = {"next": {"after": str(found.after)}}
    return Reply(body=body)


def merge_records(call: Call) -> Reply:
    """POST …/{object}/merge: the survivor has a new id."""
    kind, request = call.kind(), call.json()
    pair = [find(call, kind, str(request.get(key, "")), None) for key in ("primaryObjectId", "objectIdToMerge")]
    primary, other = pair
    if primary is None or other is None or primary.archived or other.archived:
        raise not_found()
    if primary.id == other.id:
        raise validation("A record cannot be merged with itself")
    merged = writing.merge(call.portal, kind, primary, other, call.source)
    return Reply(body=record_body(call, kind, merged, shape(kind, ())))


def find(call: Call, kind: ObjectType, text: str, id_property: str | None) -> Record | None:
    """A record by id, following merges, or by an identifying property; None when there is none."""
    if id_property and id_property != "hs_object_id":
        definition = call.portal.metadata.properties(kind.name).get(id_property)
        if definition is None or not (definition.unique or id_property == "email"):
            raise validation(f"{id_property} is not a property that identifies a {kind.singular}")
        return call.portal.find_by(kind, id_property, text)
    if not text.isdigit() or len(text) > 18:
        return None
    record = call.portal.records.get(kind, int(text))
    while record is not None and record.merged_into is not None:
        record = call.portal.records.get(kind, record.merged_into)
    return record


def written_body(call: Call, kind: ObjectType, record: Record, values: Values) -> dict[str, Any]:
    """What a write answers: the properties that it touched, and the dates."""
    return record_body(call, kind, record, shape(kind, sorted(values) or ["hs_object_id"]))


def links_of(kind: ObjectType, raw: object) -> list[writing.Link]:
    """The ``associations`` of a create; raises 400 for types that do not start at this object."""
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise validation("associations must be a list of objects")
    found: list[writing.Link] = []
    for each in raw:
        target_id = record_id((each.get("to") or {}).get("id"))
        for spec in each.get("types") or []:
            type_id = spec.get("associationTypeId")
            found.append(writing.Link(target=_target_of(kind, type_id), target_id=target_id, type_id=int(type_id)))
    return found


def _target_of(kind: ObjectType, type_id: object) -> ObjectType:
    for target in OBJECT_TYPES:
        if any(str(each.type_id) == str(type_id) for each in association_types(kind.name, target.name)):
            return target
    raise validation(f"{type_id} is not an association type from {kind.singular}")
