"""Creating, changing, archiving and merging records, one transaction each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stagesync.sandbox.hubspot import activity, reactions
from stagesync.sandbox.hubspot.catalog import ObjectType, association_types
from stagesync.sandbox.hubspot.errors import conflict, missing_required, not_found, validation
from stagesync.sandbox.hubspot.records import Record, Source, Values
from stagesync.sandbox.hubspot.validation import checked

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.portal import Portal

LIFECYCLE_SYNC = Source(type="DEALS", id="lifecycle-sync")


@dataclass(frozen=True, kw_only=True)
class Link:
    """An association asked for while creating a record: one target and the types wanted."""

    target: ObjectType
    target_id: int
    type_id: int


def create(
    portal: Portal,
    kind: ObjectType,
    raw: object,
    *,
    links: Sequence[Link] = (),
    source: Source,
    enforce: bool = False,
) -> tuple[Record, Values]:
    """Store a new record and what follows from it; returns it with the values that were set.

    Raises 400 for values HubSpot refuses, 409 for an identity that is taken. ``enforce`` holds the write
    to the admin's required properties.
    """
    with portal.database.transaction():
        values = checked(portal, kind, raw, None)
        _must_have(kind, values, links)
        _unique(portal, kind, values, None)
        now = portal.now()
        stored = {name: v for name, v in reactions.effective(portal, kind, values, None, now).items() if v}
        record = Record(id=portal.new_id(kind.name), properties=stored, created=now, updated=now)
        if enforce:
            _admin_requires(portal, kind, stored, "creating")
        portal.remember_indexed(kind, record.id)
        portal.records.insert(kind, record, source)
        for link in links:
            associate(portal, (kind, record.id), (link.target, link.target_id), link.type_id)
        if kind.name == "deals":
            _raise_lifecycle(portal, kind, record)
        return _again(portal, kind, record.id), {**values, **stored}


def update(
    portal: Portal,
    kind: ObjectType,
    record: Record,
    raw: object,
    *,
    source: Source,
    enforce: bool = False,
) -> tuple[Record, Values]:
    """Change a record; returns it with the values that were asked for or derived.

    Values that stay as they are leave no trace, the modified date included.
    """
    with portal.database.transaction():
        # Read again: another request may have written between the look-up and this transaction.
        record = portal.records.get(kind, record.id) or record
        values = checked(portal, kind, raw, record)
        _unique(portal, kind, values, record)
        now = portal.now()
        changes = reactions.effective(portal, kind, values, record, now)
        if enforce:
            _admin_requires(portal, kind, {**record.properties, **changes}, "updating")
            _moves_forward(portal, kind, record, changes)
        if changes:
            portal.remember_indexed(kind, record.id)
            portal.records.update(kind, record, changes, now, source)
            activity.rescheduled(portal, kind, record)
            # Making a deal raises its contacts, and so does winning it; a step in between does not.
            if kind.name == "deals" and changes.get("hs_is_closed_won") == "true":
                _raise_lifecycle(portal, kind, record)
        return _again(portal, kind, record.id), {**values, **changes}


def edit(portal: Portal, object_type: str, record_id: int, properties: Mapping[str, str], source: Source) -> Record:
    """A change made by somebody else: a rep (``CRM_UI``), a workflow (``AUTOMATION_PLATFORM``), an import.

    Raises 404 for a record that is not there and what ``update`` raises.
    """
    kind = portal.kind(object_type)
    record = portal.records.get(kind, record_id)
    if record is None or record.archived:
        raise not_found()
    return update(portal, kind, record, properties, source=source)[0]


def archive(portal: Portal, kind: ObjectType, record: Record) -> None:
    """Put a record away; archiving twice is nothing."""
    if record.archived:
        return
    with portal.database.transaction():
        portal.remember_indexed(kind, record.id)
        portal.records.archive(kind, record.id, portal.now())
        if kind.is_activity:
            activity.removed(portal, kind, record)


def restore(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Bring a record back from the recycle bin, with its associations; no date moves."""
    portal.database.execute(
        f'UPDATE "{kind.name}" SET archived = 0, archived_at = NULL WHERE id = ? AND merged_into IS NULL', (record_id,)
    )


def erase(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Delete for ever, as for a privacy request: the record, its history and associations leave no trace."""
    with portal.database.transaction():
        portal.remember_indexed(kind, record_id)
        for where in ("from", "to"):
            sql = f"DELETE FROM associations WHERE {where}_code = ? AND {where}_id = ?"
            portal.database.execute(sql, (kind.code, record_id))
        portal.database.execute("DELETE FROM history WHERE object_code = ? AND object_id = ?", (kind.code, record_id))
        portal.database.execute(f'DELETE FROM "{kind.name}" WHERE id = ?', (record_id,))


HIDDEN = 2
"""In the column ``archived``: neither live nor archived, so that no reading shows the record."""


def hide(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Take a live record out of what the token sees; no date moves."""
    sql = f'UPDATE "{kind.name}" SET archived = ? WHERE id = ? AND archived = 0'
    portal.database.execute(sql, (HIDDEN, record_id))


def show(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Let the token see a hidden record again."""
    sql = f'UPDATE "{kind.name}" SET archived = 0 WHERE id = ? AND archived = ?'
    portal.database.execute(sql, (record_id, HIDDEN))


def merge(portal: Portal, kind: ObjectType, primary: Record, other: Record, source: Source) -> Record:
    """Make one new record of two: the primary's values win, both old ids answer with the new one."""
    with portal.database.transaction():
        now = portal.now()
        lost = [*_merged_ids(primary), str(primary.id), *_merged_ids(other), str(other.id)]
        properties = {**other.properties, **primary.properties, "hs_merged_object_ids": ";".join(lost)}
        if kind.name == "contacts":
            properties["hs_calculated_merged_vids"] = ";".join(lost)
        created = min(primary.created, other.created)
        merged = Record(id=portal.new_id(kind.name), properties=properties, created=created, updated=now)
        portal.remember_indexed(kind, merged.id)
        portal.records.store(kind, merged)
        portal.records.adopt_history(kind, primary.id, merged.id)
        merged_ids = {"hs_merged_object_ids": properties["hs_merged_object_ids"]}
        portal.records.note_history(kind, merged.id, merged_ids, now, source)
        for old in (primary, other):
            portal.remember_indexed(kind, old.id)
            portal.associations.move_all(kind, old.id, merged.id)
            portal.records.archive(kind, old.id, now, merged_into=merged.id)
        return _again(portal, kind, merged.id)


def associate(
    portal: Portal, one: tuple[ObjectType, int], two: tuple[ObjectType, int], type_id: int | None = None
) -> list[int]:
    """Relate two live records, plainly when no type is given; returns the type ids set.

    Raises 400 for a type that does not lead this way, 404 for a record that is not there.
    """
    (kind, record_id), (target, target_id) = one, two
    known = [each.type_id for each in association_types(kind.name, target.name)]
    if not known or (type_id is not None and type_id not in known):
        asked = "the default type" if type_id is None else f"type {type_id}"
        raise validation(f"{asked} is not an association from {kind.singular} to {target.singular}")
    with portal.database.transaction():
        ends = [portal.records.get(kind, record_id), portal.records.get(target, target_id)]
        if any(end is None or end.archived for end in ends):
            raise not_found(f"No {kind.singular} {record_id} or {target.singular} {target_id} to associate")
        new = target_id not in portal.associations.ids(kind, record_id, target)
        if type_id is None:
            known = portal.associations.add_default(kind, record_id, target, target_id)
        else:
            portal.associations.add(kind, record_id, target, target_id, type_id)
            known = [type_id]
        if new:
            _tell_parent(portal, (kind, ends[0]), (target, ends[1]))
        return known


def _tell_parent(portal: Portal, one: tuple[ObjectType, Record | None], two: tuple[ObjectType, Record | None]) -> None:
    for (kind, record), (other_kind, other) in ((one, two), (two, one)):
        if kind.is_activity and record is not None and other is not None:
            activity.logged(portal, kind, record, other_kind, other.id)


def _again(portal: Portal, kind: ObjectType, record_id: int) -> Record:
    found = portal.records.get(kind, record_id, portal.metadata.properties(kind.name))
    if found is None:
        raise not_found()
    return found


def _merged_ids(record: Record) -> list[str]:
    return [part for part in record.properties.get("hs_merged_object_ids", "").split(";") if part]


def _must_have(kind: ObjectType, values: Values, links: Sequence[Link]) -> None:
    """What HubSpot cannot make a record without."""
    missing = [name for name in _NEEDED.get(kind.name, ()) if not values.get(name)]
    if kind.is_activity and not values.get("hs_timestamp"):
        missing.append("hs_timestamp")
    if missing:
        raise missing_required("creating", kind.singular, missing)
    if kind.name == "leads" and not any(link.target.name == "contacts" for link in links):
        raise validation("A lead must be associated with a contact (association type 578) when it is created.")
    if kind.name == "contacts" and not any(values.get(name) for name in ("email", "firstname", "lastname")):
        raise validation("At least one of email, firstname or lastname must be set.")


_NEEDED: Mapping[str, tuple[str, ...]] = {"leads": ("hs_lead_name",)}


def _admin_requires(portal: Portal, kind: ObjectType, after: Mapping[str, str | None], action: str) -> None:
    stage = after.get(str(kind.stage)) if kind.stage else None
    names = (*portal.required.get((kind.name, None), ()), *portal.required.get((kind.name, stage), ()))
    missing = sorted({name for name in names if not after.get(name)})
    if missing:
        raise missing_required(action, kind.singular, missing)


def _moves_forward(portal: Portal, kind: ObjectType, record: Record, changes: Mapping[str, str | None]) -> None:
    """An admin may forbid moves to an earlier stage of a pipeline."""
    after = {**record.properties, **changes}
    place = after.get(str(kind.pipeline))
    pipeline = portal.metadata.pipeline(kind.name, place) if place in portal.forward_only else None
    if pipeline is None or record.properties.get(str(kind.pipeline)) != place:
        return
    order = [stage.id for stage in pipeline.stages]
    old, new = record.properties.get(str(kind.stage)), after.get(str(kind.stage))
    if old in order and new in order and order.index(str(new)) < order.index(str(old)):
        raise validation(f"The rules of pipeline {place} do not allow a move back from {old} to {new}.")


def _unique(portal: Portal, kind: ObjectType, values: Values, current: Record | None) -> None:
    """Refuse a value that must be unique and is another record's."""
    for name, value in values.items():
        definition = portal.metadata.properties(kind.name)[name]
        if not value or not (definition.unique or (kind.name, name) == ("contacts", "email")):
            continue
        holder = portal.find_by(kind, name, value)
        if holder is not None and (current is None or holder.id != current.id):
            if name == "email":
                raise conflict(f"Contact already exists. Existing ID: {holder.id}")
            message = f"Cannot set {name}={value}: {holder.id} already has that value."
            raise conflict(message)


def _raise_lifecycle(portal: Portal, kind: ObjectType, deal: Record) -> None:
    """A deal makes its contacts and companies opportunities, a won one customers."""
    if not portal.lifecycle_sync:
        return
    won = deal.properties.get("hs_is_closed_won") == "true"
    if deal.properties.get("hs_is_closed") == "true" and not won:
        return
    stage = "customer" if won else "opportunity"
    for name in ("contacts", "companies"):
        target = portal.kind(name)
        if stage not in reactions.lifecycle_order(portal, target):
            continue
        for record_id in portal.associations.ids(kind, deal.id, target):
            record = portal.records.get(target, record_id)
            if record is not None and not record.archived:
                update(portal, target, record, {"lifecyclestage": stage}, source=LIFECYCLE_SYNC)
