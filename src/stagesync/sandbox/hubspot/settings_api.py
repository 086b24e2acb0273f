"""Owners, pipelines and properties."""

from __future__ import annotations

import json
from typing import Any, cast

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.calls import Call, Reply
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.definitions import (
    FIELD_TYPES,
    Option,
    Pipeline,
    PropertyDefinition,
    PropertyType,
)
from stagesync.sandbox.hubspot.errors import ApiError, conflict, not_found, validation

# Standard properties are as old as the account, whose age nobody asks for.
_ACCOUNT_MADE = moments.iso(1_546_300_800_000)


def list_owners(call: Call) -> Reply:
    """GET owners: active ones, or with ``archived=true`` the deactivated ones alone."""
    limit, email = call.limit(500, 100), call.query.get("email")
    clause = "WHERE archived = ? AND id >= ? AND (? IS NULL OR email = ? COLLATE NOCASE)"
    rows = call.portal.database.rows(
        f"SELECT id, body FROM owners {clause} ORDER BY id LIMIT ?",
        (int(call.archived), call.after(), email, email, limit + 1),
    )
    body: dict[str, Any] = {"results": [json.loads(row["body"]) for row in rows[:limit]]}
    if len(rows) > limit:
        body["paging"] = call.next_page(rows[limit]["id"])
    return Reply(body=body)


def read_owner(call: Call) -> Reply:
    """GET owners/{id}: by owner id, or by user id with ``idProperty=userId``."""
    text = call.path["owner_id"]
    column = "user_id" if call.query.get("idProperty") == "userId" else "id"
    if not text.isdigit():
        raise not_found()
    row = call.portal.database.row(
        f"SELECT body FROM owners WHERE {column} = ? AND archived = ?", (int(text), int(call.archived))
    )
    if row is None:
        raise not_found(f"Owner {text} not found")
    return Reply(body=json.loads(row["body"]))


def list_pipelines(call: Call) -> Reply:
    """GET pipelines/{object}: all of them, unpaged."""
    found = call.portal.metadata.pipelines(call.kind().name)
    return Reply(body={"results": [_pipeline(each, order) for order, each in enumerate(found)]})


def read_pipeline(call: Call) -> Reply:
    """GET pipelines/{object}/{id}."""
    pipeline, order = _chosen_pipeline(call)
    return Reply(body=_pipeline(pipeline, order))


def list_stages(call: Call) -> Reply:
    """GET pipelines/{object}/{id}/stages."""
    pipeline, order = _chosen_pipeline(call)
    return Reply(body={"results": _pipeline(pipeline, order)["stages"]})


def read_stage(call: Call) -> Reply:
    """GET pipelines/{object}/{id}/stages/{id}."""
    pipeline, _ = _chosen_pipeline(call)
    stage = pipeline.stage(call.path["stage_id"])
    if stage is None:
        raise not_found()
    return Reply(body=pipeline.stage_body(stage, moments.iso(pipeline.created)))


def _chosen_pipeline(call: Call) -> tuple[Pipeline, int]:
    for order, pipeline in enumerate(call.portal.metadata.pipelines(call.kind().name)):
        if pipeline.id == call.path["pipeline_id"]:
            return pipeline, order
    raise not_found()


def _pipeline(pipeline: Pipeline, order: int) -> dict[str, Any]:
    return pipeline.body(order, moments.iso(pipeline.created))


def list_properties(call: Call) -> Reply:
    """GET properties/{object}: all of them, unpaged."""
    kind = call.kind()
    if call.archived:
        return Reply(body={"results": []})
    found = call.portal.metadata.properties(kind.name).values()
    return Reply(body={"results": [_property(kind, each) for each in found]})


def read_property(call: Call) -> Reply:
    """GET properties/{object}/{name}."""
    kind = call.kind()
    return Reply(body=_property(kind, _chosen_property(call, kind)))


def create_property(call: Call) -> Reply:
    """POST properties/{object}: 201, or 409 for a name that is taken."""
    kind = call.kind()
    definition = _requested(call.json())
    if definition.name in call.portal.metadata.properties(kind.name):
        raise ApiError(
            409,
            {
                **conflict(f"A property named '{definition.name}' already exists.").body,
                "category": "OBJECT_ALREADY_EXISTS",
                "subCategory": "Properties.PROPERTY_EXISTS",
            },
        )
    call.portal.metadata.add_property(kind.name, definition)
    return Reply(status=201, body=_property(kind, definition))


def archive_property(call: Call) -> Reply:
    """DELETE properties/{object}/{name}: custom ones only; 204."""
    kind = call.kind()
    definition = _chosen_property(call, kind)
    if definition.hubspot_defined:
        raise validation(f"{definition.name} is a HubSpot property and cannot be archived")
    call.portal.metadata.remove_property(kind.name, definition.name)
    return Reply(status=204)


def _chosen_property(call: Call, kind: ObjectType) -> PropertyDefinition:
    found = call.portal.metadata.properties(kind.name).get(call.path["property_name"])
    if found is None:
        raise not_found(f"The property {call.path['property_name']} does not exist")
    return found


def _property(kind: ObjectType, definition: PropertyDefinition) -> dict[str, Any]:
    return definition.body(f"{kind.singular}information", _ACCOUNT_MADE)


def _requested(raw: dict[str, Any]) -> PropertyDefinition:
    missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not raw.get(key)]
    if missing:
        raise validation(f"Invalid input JSON on line 1, column 1: Some required fields were not set: {missing}")
    name, kind = str(raw["name"]), str(raw["type"])
    if not name.replace("_", "").isalnum() or name != name.lower() or not name[0].isalpha():
        raise validation(f"{name} is not a valid property name: lower-case letters, digits and underscores")
    if kind not in FIELD_TYPES:
        raise validation(f"{kind} is not a valid property type")
    options = [
        Option(label=str(each.get("label", "")), value=str(each.get("value", ""))) for each in raw.get("options") or []
    ]
    return PropertyDefinition(
        name=name,
        label=str(raw["label"]),
        type=cast(PropertyType, kind),
        field_type=str(raw["fieldType"]),
        group=str(raw["groupName"]),
        description=str(raw.get("description", "")),
        options=tuple(options),
        unique=bool(raw.get("hasUniqueValue", False)),
        hubspot_defined=False,
    )
