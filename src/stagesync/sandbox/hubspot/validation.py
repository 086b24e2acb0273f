"""What HubSpot accepts as a property value, and the form in which it stores it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.definitions import PropertyDefinition
from stagesync.sandbox.hubspot.errors import PropertyFault, invalid_properties, validation
from stagesync.sandbox.hubspot.records import Record, Values

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.portal import Portal

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_LONGEST = 65_536


class _Refused(Exception):
    """A value that cannot be stored: code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def checked(portal: Portal, kind: ObjectType, raw: object, current: Record | None) -> Values:
    """The values to store for a request's ``properties``; "" clears.

    Raises the 400 that lists every value HubSpot would refuse. ``current`` is the record before the write.
    """
    if not isinstance(raw, Mapping):
        raise validation("Invalid input JSON on line 1, column 1: properties must be an object")
    found: Values = {}
    faults: list[PropertyFault] = []
    for name, value in raw.items():
        try:
            found[name] = _value(portal, kind, str(name), value)
        except _Refused as refused:
            faults.append(PropertyFault(name=str(name), code=refused.code, message=refused.message))
    if not faults:
        faults = _stage_faults(portal, kind, found, current)
    if faults:
        raise invalid_properties(faults, portal.portal_id)
    return found


def _value(portal: Portal, kind: ObjectType, name: str, value: Any) -> str:
    definition = portal.metadata.properties(kind.name).get(name)
    if definition is None:
        raise _Refused("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if definition.read_only or definition.calculated:
        raise _Refused("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    if value is None or isinstance(value, (list, dict)):
        raise _Refused("INVALID_STRING", f'Property "{name}" must be a string; use "" to clear it.')
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text == "":
        return ""
    if name == "hubspot_owner_id":
        return _owner(portal, text)
    return _typed(definition, text, kind)


def _owner(portal: Portal, text: str) -> str:
    owner = portal.metadata.owner(text)
    if owner is None:
        raise _Refused("INVALID_OWNER_ID", f"{text} is not a valid owner id: there is no such owner.")
    if owner["archived"]:
        raise _Refused("INVALID_OWNER_ID", f"{text} is not a valid owner id: the owner is deactivated.")
    return text


def _typed(definition: PropertyDefinition, text: str, kind: ObjectType) -> str:
    match definition.type:
        case "number":
            return _number(text)
        case "bool":
            return _bool(definition, text)
        case "date":
            return _date(text)
        case "datetime":
            return _datetime(definition, text)
        case "enumeration":
            return _enumeration(definition, text)
        case _:
            return _string(definition, text, kind)


def _number(text: str) -> str:
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text.strip()):
        raise _Refused("INVALID_FLOAT", f"{text} was not a valid number.")
    return text.strip()


def _bool(definition: PropertyDefinition, text: str) -> str:
    if text.lower() not in {"true", "false"}:
        raise _Refused(
            "INVALID_OPTION",
            f"{text} was not one of the allowed options: [true, false] for {definition.name}",
        )
    return text.lower()


def _date(text: str) -> str:
    moment = moments.parse(text)
    if moment is None or (text.lstrip("-").isdigit() and moment % moments.DAY_MS):
        raise _Refused("INVALID_DATE", f"{text} was not a valid date: use YYYY-MM-DD or midnight UTC.")
    return moments.day(moment)


def _datetime(definition: PropertyDefinition, text: str) -> str:
    moment = moments.parse(text)
    if moment is None or (definition.name == "hs_task_reminders" and not text.isdigit()):
        raise _Refused("INVALID_LONG", f"{text} was not a valid long.")
    return text if definition.name == "hs_task_reminders" else moments.iso(moment)


def _enumeration(definition: PropertyDefinition, text: str) -> str:
    chosen = [part for part in text.split(";") if part] if definition.multiple else [text]
    for part in chosen:
        if not definition.accepts(part):
            allowed = ", ".join(option.value for option in definition.options)
            raise _Refused(
                "INVALID_OPTION", f"{part} was not one of the allowed options: [{allowed}] for {definition.name}"
            )
    return ";".join(chosen)


def _string(definition: PropertyDefinition, text: str, kind: ObjectType) -> str:
    if len(text) > _LONGEST:
        raise _Refused("INVALID_LENGTH", f"{definition.name} is longer than {_LONGEST} characters.")
    if definition.name == "email" and kind.name == "contacts":
        if not _EMAIL.fullmatch(text):
            raise _Refused("INVALID_EMAIL", f"Email address {text} is invalid")
        return text.lower()
    return text


def _stage_faults(portal: Portal, kind: ObjectType, found: Values, current: Record | None) -> list[PropertyFault]:
    """A stage must belong to the pipeline that the record will be in after the write."""
    if kind.pipeline is None or kind.stage is None or not ({kind.pipeline, kind.stage} & found.keys()):
        return []
    now = current.properties if current else {}
    pipelines = portal.metadata.pipelines(kind.name)
    chosen = found.get(kind.pipeline) or now.get(kind.pipeline) or pipelines[0].id
    pipeline = portal.metadata.pipeline(kind.name, chosen)
    if pipeline is None:
        return [_option_fault(kind.pipeline, chosen, [known.id for known in pipelines])]
    stage = found.get(kind.stage, now.get(kind.stage))
    if not stage:
        return []
    target = pipeline.stage(stage)
    if target is None:
        return [_option_fault(kind.stage, stage, [known.id for known in pipeline.stages])]
    if target.locked and stage != now.get(kind.stage):
        message = f"Stage {stage} is {target.write_permissions}: records cannot be moved into it through the API."
        return [PropertyFault(name=kind.stage, code="READ_ONLY_VALUE", message=message)]
    return []


def _option_fault(name: str, value: str, allowed: list[str]) -> PropertyFault:
    message = f"{value} was not one of the allowed options: [{', '.join(allowed)}]"
    return PropertyFault(name=name, code="INVALID_OPTION", message=message)
