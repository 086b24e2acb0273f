"""Records and associations as the APIs show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.associations import specs
from stagesync.sandbox.hubspot.calls import Call
from stagesync.sandbox.hubspot.catalog import ObjectType, association_name, association_types, object_type
from stagesync.sandbox.hubspot.errors import validation
from stagesync.sandbox.hubspot.records import Record

ASSOCIATIONS_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What an answer shows of each record."""

    properties: Sequence[str]
    history: Sequence[str] = ()
    associations: Sequence[ObjectType] = ()

    @property
    def names(self) -> list[str]:
        """Every property that must be read."""
        return [*self.properties, *self.history]


def asked(call: Call, kind: ObjectType) -> Shape:
    """The shape that a GET's parameters ask for."""
    linked = [_linked_kind(name) for name in call.names("associations")]
    return shape(kind, call.names("properties"), call.names("propertiesWithHistory"), linked)


def shape(
    kind: ObjectType,
    properties: Iterable[str],
    history: Iterable[str] = (),
    associations: Sequence[ObjectType] = (),
) -> Shape:
    """A shape with HubSpot's defaults: names and dates always, an object's own list when none are asked for."""
    chosen = [*properties]
    always = (*(() if chosen else kind.defaults), kind.created, kind.modified, "hs_object_id")
    return Shape(
        properties=list(dict.fromkeys([*chosen, *always])),
        history=list(dict.fromkeys(history)),
        associations=associations,
    )


def record_body(call: Call, kind: ObjectType, record: Record, wanted: Shape) -> dict[str, Any]:
    """One record; ``propertiesWithHistory`` and ``associations`` only when asked for."""
    portal = call.portal
    body: dict[str, Any] = {
        "id": str(record.id),
        "properties": portal.records.values(kind, record, wanted.properties),
        "createdAt": moments.iso(record.created),
        "updatedAt": moments.iso(record.updated),
        "archived": record.archived,
    }
    if record.archived_at is not None:
        body["archivedAt"] = moments.iso(record.archived_at)
    if wanted.history:
        known = portal.metadata.properties(kind.name)
        body["propertiesWithHistory"] = {
            name: portal.records.history(kind, record, name) for name in wanted.history if name in known
        }
        body["properties"].update(portal.records.values(kind, record, wanted.history))
    if linked := {
        target.name: found for target in wanted.associations if (found := _linked(call, kind, record, target))
    }:
        body["associations"] = linked
    return body


def _linked_kind(name: str) -> ObjectType:
    found = object_type(name)
    if found is None:
        raise validation(f"Unable to infer object type from: {name}")
    return found


def _linked(call: Call, kind: ObjectType, record: Record, target: ObjectType) -> dict[str, Any] | None:
    found, after = call.portal.associations.linked(kind, record.id, target, limit=ASSOCIATIONS_SHOWN)
    if not found:
        return None
    has_primary = any(each.primary for each in association_types(kind.name, target.name))
    results = [
        {"id": str(to_id), "type": association_name(each, has_primary=has_primary)}
        for to_id, type_ids in found
        for each in reversed(specs(kind, target, type_ids))
    ]
    body: dict[str, Any] = {"results": results}
    if after is not None:
        body["paging"] = call.next_page(after)
    return body


def scattered(records: Iterable[Record]) -> list[Record]:
    """Batch answers come in no order that means anything; the same one each time."""
    return sorted(records, key=lambda record: (record.id * 2_654_435_761) & 0xFFFF_FFFF)


def batch_body(call: Call, started: int, results: list[Any], errors: list[dict[str, Any]]) -> dict[str, Any]:
    """The envelope of a batch answer; ``started`` is milliseconds UTC."""
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": moments.iso(started),
        "completedAt": moments.iso(call.portal.now()),
    }
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return body
