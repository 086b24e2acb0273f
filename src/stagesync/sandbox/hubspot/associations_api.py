"""Associations v4 and its dated successors, and the little of v3 that clients still call."""

from __future__ import annotations

from typing import Any

from stagesync.sandbox.hubspot import writing
from stagesync.sandbox.hubspot.associations import Linked, specs
from stagesync.sandbox.hubspot.calls import Call, Reply, record_id
from stagesync.sandbox.hubspot.catalog import (
    AssociationType,
    ObjectType,
    association_name,
    association_types,
)
from stagesync.sandbox.hubspot.errors import Body, not_found, validation
from stagesync.sandbox.hubspot.rendering import batch_body

MOST_READ, MOST_WRITTEN, MOST_LISTED = 1_000, 2_000, 500


def batch_read(call: Call) -> Reply:
    """POST …/batch/read: a record with nothing associated is only in ``errors``, with a 207."""
    source, target, started = call.kind("from_type"), call.kind("to_type"), call.portal.now()
    results: list[Body] = []
    lonely: list[str] = []
    for each in call.inputs(MOST_READ):
        from_id, after = record_id(each.get("id")), int(each.get("after") or 0)
        found, following = call.portal.associations.linked(
            source, from_id, target, after=after, limit=call.portal.association_page_size
        )
        if not found:
            lonely.append(str(from_id))
            continue
        body: Body = {"from": {"id": str(from_id)}, "to": _targets(call, source, target, found)}
        if following is not None:
            body["paging"] = call.next_page(following)
        results.append(body)
    errors = [_nothing(source, target, each) for each in lonely]
    status = 207 if errors else 200
    results.sort(key=lambda body: str(body["from"]["id"])[::-1])
    return Reply(status=status, body=batch_body(call, started, results, errors))


def list_of_one(call: Call) -> Reply:
    """GET …/{object}/{id}/associations/{to}: pages of up to 500."""
    source, target = call.kind("object_type"), call.kind("to_type")
    from_id = record_id(call.path["object_id"])
    if call.portal.records.get(source, from_id) is None:
        raise not_found()
    limit = call.limit(MOST_LISTED, MOST_LISTED)
    found, after = call.portal.associations.linked(source, from_id, target, after=call.after(), limit=limit)
    body: Body = {"results": _targets(call, source, target, found)}
    if after is not None:
        body["paging"] = call.next_page(after)
    return Reply(body=body)


def labels(call: Call) -> Reply:
    """GET …/labels: the types that lead from one object to another."""
    kinds = association_types(call.kind("from_type").name, call.kind("to_type").name)
    return Reply(body={"results": [_spec(kind) for kind in reversed(kinds)]})


def batch_create(call: Call) -> Reply:
    """POST …/batch/create: 201 with the pairs and their types; all or none."""
    source, target, started = call.kind("from_type"), call.kind("to_type"), call.portal.now()
    results: list[Body] = []
    with call.portal.database.transaction():
        for each in call.inputs(MOST_WRITTEN):
            from_id, to_id = _ends(each)
            for type_id in _type_ids(each.get("types")):
                writing.associate(call.portal, (source, from_id), (target, to_id), type_id)
            results.append(_pair(source, from_id, target, to_id))
    return Reply(status=201, body=batch_body(call, started, results, []))


def batch_default(call: Call) -> Reply:
    """POST …/batch/associate/default: both directions are listed."""
    source, target, started = call.kind("from_type"), call.kind("to_type"), call.portal.now()
    results: list[Body] = []
    with call.portal.database.transaction():
        for each in call.inputs(MOST_WRITTEN):
            from_id, to_id = _ends(each)
            results.extend(_default(call, source, from_id, target, to_id))
    return Reply(body=batch_body(call, started, results, []))


def batch_archive(call: Call) -> Reply:
    """POST …/batch/archive: parts the pairs wholly; 204."""
    source, target = call.kind("from_type"), call.kind("to_type")
    for each in call.inputs(MOST_WRITTEN):
        from_id = record_id((each.get("from") or {}).get("id"))
        for to in each["to"] if isinstance(each.get("to"), list) else [each.get("to") or {}]:
            call.portal.associations.remove(source, from_id, target, record_id(to.get("id")))
    return Reply(status=204)


def batch_archive_labels(call: Call) -> Reply:
    """POST …/batch/labels/archive: takes the named types off the pairs; 204."""
    source, target = call.kind("from_type"), call.kind("to_type")
    for each in call.inputs(MOST_WRITTEN):
        from_id, to_id = _ends(each)
        for type_id in _type_ids(each.get("types")):
            call.portal.associations.remove(source, from_id, target, to_id, type_id)
    return Reply(status=204)


def put_default(call: Call) -> Reply:
    """PUT …/associations/default/…: relates two records plainly; repeating it changes nothing."""
    source, target, started = call.kind("object_type"), call.kind("to_type"), call.portal.now()
    from_id, to_id = record_id(call.path["object_id"]), record_id(call.path["to_id"])
    return Reply(body=batch_body(call, started, _default(call, source, from_id, target, to_id), []))


def put_labelled(call: Call) -> Reply:
    """PUT …/associations/{to}/{id}: the body is a list of types; 201."""
    source, target = call.kind("object_type"), call.kind("to_type")
    from_id, to_id = record_id(call.path["object_id"]), record_id(call.path["to_id"])
    for type_id in _type_ids(call.json_list()):
        writing.associate(call.portal, (source, from_id), (target, to_id), type_id)
    return Reply(status=201, body=_pair(source, from_id, target, to_id))


def delete_pair(call: Call) -> Reply:
    """DELETE …/associations/{to}/{id}: 204, for records that were never related as well."""
    source, target = call.kind("object_type"), call.kind("to_type")
    call.portal.associations.remove(source, record_id(call.path["object_id"]), target, record_id(call.path["to_id"]))
    return Reply(status=204)


def batch_read_v3(call: Call) -> Reply:
    """POST /crm/v3/associations/…/batch/read: ids with type names."""
    source, target, started = call.kind("from_type"), call.kind("to_type"), call.portal.now()
    has_primary = any(kind.primary for kind in association_types(source.name, target.name))
    results: list[Body] = []
    errors: list[Body] = []
    for each in call.inputs(MOST_READ):
        from_id = record_id(each.get("id"))
        found, _ = call.portal.associations.linked(source, from_id, target, limit=MOST_LISTED)
        to = [
            {"id": str(to_id), "type": association_name(kind, has_primary=has_primary)}
            for to_id, type_ids in found
            for kind in specs(source, target, type_ids)
        ]
        if to:
            results.append({"from": {"id": str(from_id)}, "to": to})
        else:
            errors.append(_nothing(source, target, str(from_id)))
    return Reply(status=207 if errors else 200, body=batch_body(call, started, results, errors))


def _default(call: Call, source: ObjectType, from_id: int, target: ObjectType, to_id: int) -> list[Body]:
    type_ids = writing.associate(call.portal, (source, from_id), (target, to_id))
    return [
        _default_body(*ends, type_id)
        for kind in specs(source, target, type_ids)
        for ends, type_id in (((from_id, to_id), kind.type_id), ((to_id, from_id), kind.inverse_id))
    ]


def _default_body(from_id: int, to_id: int, type_id: int) -> Body:
    return {
        "from": {"id": str(from_id)},
        "to": {"id": str(to_id)},
        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id},
    }


def _targets(call: Call, source: ObjectType, target: ObjectType, found: list[Linked]) -> list[Body]:
    # Both are seen live: a number from the legacy paths, text where the published schema is followed.
    as_text = call.version[0].isdigit()
    return [
        {
            "toObjectId": str(to_id) if as_text else to_id,
            "associationTypes": [_spec(kind) for kind in reversed(specs(source, target, type_ids))],
        }
        for to_id, type_ids in found
    ]


def _spec(kind: AssociationType) -> Body:
    return {"category": kind.category, "typeId": kind.type_id, "label": kind.label}


def _pair(source: ObjectType, from_id: int, target: ObjectType, to_id: int) -> Body:
    return {
        "fromObjectTypeId": source.type_id,
        "fromObjectId": str(from_id),
        "toObjectTypeId": target.type_id,
        "toObjectId": str(to_id),
        "labels": [],
    }


def _ends(each: dict[str, Any]) -> tuple[int, int]:
    return record_id((each.get("from") or {}).get("id")), record_id((each.get("to") or {}).get("id"))


def _type_ids(raw: object) -> list[int]:
    if not isinstance(raw, list) or not raw:
        raise validation("types must be a list with at least one association type")
    found = [each.get("associationTypeId") if isinstance(each, dict) else None for each in raw]
    if not all(str(type_id).isdigit() for type_id in found):
        raise validation("each of types needs an associationCategory and an associationTypeId")
    return [int(str(type_id)) for type_id in found]


def _nothing(source: ObjectType, target: ObjectType, from_id: str) -> Body:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {target.singular} is associated with {source.singular} {from_id}.",
        "context": {
            "fromObjectId": [from_id],
            "fromObjectType": [source.singular],
            "toObjectType": [target.singular],
        },
    }
