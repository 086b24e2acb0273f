"""Every object of the embedded org, by name: the one list that tables, describe and SOQL are made from."""

from __future__ import annotations

from collections.abc import Mapping

from stagesync.sandbox.salesforce.activity_objects import ACTIVITY_OBJECTS
from stagesync.sandbox.salesforce.errors import ApiError
from stagesync.sandbox.salesforce.fields import Child, Field, SObject
from stagesync.sandbox.salesforce.sales_objects import SALES_OBJECTS
from stagesync.sandbox.salesforce.setup_objects import SETUP_OBJECTS

__all__ = ["CHILDREN", "SOBJECTS", "Child", "Field", "SObject", "find", "object_of", "sobject"]

SOBJECTS: Mapping[str, SObject] = {item.name: item for item in (*SALES_OBJECTS, *ACTIVITY_OBJECTS, *SETUP_OBJECTS)}
_BY_LOWER = {name.lower(): item for name, item in SOBJECTS.items()}
_BY_PREFIX = {item.key_prefix: item for item in SOBJECTS.values() if item.key_prefix not in {"01J", "017"}}


def _children() -> dict[str, dict[str, Child]]:
    found: dict[str, dict[str, Child]] = {name: {} for name in SOBJECTS}
    for item in SOBJECTS.values():
        for field in item.fields:
            if field.children:
                for target in field.reference_to:
                    found[target][field.children.lower()] = Child(field.children, item.name, field.name)
    return found


CHILDREN: Mapping[str, Mapping[str, Child]] = _children()


def find(name: str) -> SObject | None:
    """An object by name in any case, or None."""
    return _BY_LOWER.get(name.lower())


def sobject(name: str) -> SObject:
    """An object by name in any case.

    Raises:
        ApiError: 404 NOT_FOUND, as an address under ``/sobjects/`` answers.
    """
    item = find(name)
    if item is None:
        raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
    return item


def object_of(record_id: str) -> SObject | None:
    """The object that an id belongs to, by its key prefix; None for an unknown prefix."""
    return _BY_PREFIX.get(record_id[:3])
