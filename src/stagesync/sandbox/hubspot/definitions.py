"""Property definitions, pipelines and stages, and how HubSpot writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PropertyType = Literal["bool", "date", "datetime", "enumeration", "number", "string", "phone_number"]
FIELD_TYPES: Mapping[str, str] = {
    "bool": "booleancheckbox",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "number": "number",
    "string": "text",
    "phone_number": "phonenumber",
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One allowed value of an enumeration."""

    label: str
    value: str
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class PropertyDefinition:
    """A property of an object, as the properties API lists it."""

    name: str
    label: str
    type: PropertyType = "string"
    field_type: str = ""
    group: str = ""
    description: str = ""
    options: tuple[Option, ...] = ()
    unique: bool = False
    calculated: bool = False
    external_options: bool = False
    hubspot_defined: bool = True
    hidden: bool = False
    read_only: bool = False

    @property
    def multiple(self) -> bool:
        """Whether the value is a ``;``-joined set of options."""
        return self.field_type == "checkbox"

    def accepts(self, value: str) -> bool:
        """Whether an enumeration has this option; true where HubSpot keeps the options elsewhere."""
        if self.external_options or not self.options:
            return True
        return any(option.value == value for option in self.options)

    def body(self, group: str, created_at: str) -> dict[str, Any]:
        """The wire form; ``group`` is used when the definition names none, moments are ISO UTC."""
        found: dict[str, Any] = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type or FIELD_TYPES[self.type],
            "description": self.description,
            "groupName": self.group or group,
            "options": [
                {
                    "label": option.label,
                    "value": option.value,
                    "displayOrder": index,
                    "hidden": option.hidden,
                    "description": "",
                }
                for index, option in enumerate(self.options)
            ],
            "displayOrder": -1,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "hubspotDefined": self.hubspot_defined,
            "archived": False,
            "formField": not (self.read_only or self.calculated),
            "dataSensitivity": "non_sensitive",
            "modificationMetadata": {
                "archivable": not self.hubspot_defined,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyOptions": self.hubspot_defined and self.name != "lifecyclestage",
                "readOnlyValue": self.read_only or self.calculated,
            },
            "createdAt": created_at,
            "updatedAt": created_at,
        }
        if self.external_options:
            found["referencedObjectType"] = "OWNER" if self.name.endswith("owner_id") else None
        return found

    def to_row(self) -> dict[str, Any]:
        """Plain data for storage."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PropertyDefinition:
        """Undo ``to_row``."""
        return cls(**{**row, "options": tuple(Option(**option) for option in row["options"])})


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of a pipeline. ``metadata`` values are strings on the wire, booleans and numbers too."""

    id: str
    label: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    write_permissions: str = "CRM_PERMISSIONS_ENFORCEMENT"

    @property
    def locked(self) -> bool:
        """Whether no integration may move a record here."""
        return self.write_permissions in {"READ_ONLY", "INTERNAL_ONLY"}

    @property
    def closed(self) -> bool:
        """Whether a record here is finished."""
        return self.metadata.get("isClosed") == "true"

    @property
    def won(self) -> bool:
        """Whether a deal here is closed and won."""
        return self.closed and self.probability == 1.0

    @property
    def probability(self) -> float:
        """Between 0 and 1; 0 where a pipeline has none."""
        return float(self.metadata.get("probability", "0") or 0)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline with its stages in display order; ``created`` is milliseconds UTC."""

    id: str
    label: str
    stages: tuple[Stage, ...]
    created: int = 0

    def stage(self, stage_id: str) -> Stage | None:
        """The stage with this id."""
        return next((stage for stage in self.stages if stage.id == stage_id), None)

    def body(self, order: int, moment: str) -> dict[str, Any]:
        """The wire form; ``moment`` is ISO UTC."""
        return {
            "id": self.id,
            "label": self.label,
            "displayOrder": order,
            "archived": False,
            "createdAt": moment,
            "updatedAt": moment,
            "stages": [self.stage_body(stage, moment) for stage in self.stages],
        }

    def stage_body(self, stage: Stage, moment: str) -> dict[str, Any]:
        """The wire form of one stage."""
        return {
            "id": stage.id,
            "label": stage.label,
            "displayOrder": self.stages.index(stage),
            "metadata": dict(stage.metadata),
            "writePermissions": stage.write_permissions,
            "archived": False,
            "createdAt": moment,
            "updatedAt": moment,
        }

    def to_row(self) -> dict[str, Any]:
        """Plain data for storage."""
        return {
            "id": self.id,
            "label": self.label,
            "created": self.created,
            "stages": [{**asdict(stage), "metadata": dict(stage.metadata)} for stage in self.stages],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Pipeline:
        """Undo ``to_row``."""
        return cls(**{**row, "stages": tuple(Stage(**stage) for stage in row["stages"])})
