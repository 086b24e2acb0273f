"""A portal's own definitions: properties, pipelines, owners. Small, so cached, and kept in the file."""

from __future__ import annotations

import json
from typing import Any

from stagesync.sandbox.database import Database
from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES
from stagesync.sandbox.hubspot.definitions import Pipeline, PropertyDefinition, Stage
from stagesync.sandbox.hubspot.schema import dump, index_property


class Metadata:
    """Definitions by object name. Writes go to the file at once."""

    def __init__(self, database: Database) -> None:
        """Load what the file has."""
        self._database = database
        self._properties: dict[str, dict[str, PropertyDefinition]] = {kind.name: {} for kind in OBJECT_TYPES}
        self._pipelines: dict[str, list[Pipeline]] = {}
        for row in database.rows("SELECT object_type, body FROM property_definitions ORDER BY rowid"):
            found = PropertyDefinition.from_row(json.loads(row["body"]))
            self._properties[row["object_type"]][found.name] = found
        for row in database.rows("SELECT object_type, body FROM pipelines ORDER BY rowid"):
            self._pipelines.setdefault(row["object_type"], []).append(Pipeline.from_row(json.loads(row["body"])))

    def properties(self, object_type: str) -> dict[str, PropertyDefinition]:
        """All properties of an object by name."""
        return self._properties[object_type]

    def add_property(self, object_type: str, definition: PropertyDefinition) -> None:
        """Add a property or replace its definition."""
        self._properties[object_type][definition.name] = definition
        self._database.execute(
            "INSERT INTO property_definitions (object_type, name, body) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET body = excluded.body",
            (object_type, definition.name, dump(definition.to_row())),
        )
        if definition.unique:
            index_property(self._database, object_type, definition.name)

    def remove_property(self, object_type: str, name: str) -> None:
        """Forget a property; its stored values become invisible."""
        self._properties[object_type].pop(name, None)
        self._database.execute(
            "DELETE FROM property_definitions WHERE object_type = ? AND name = ?", (object_type, name)
        )

    def pipelines(self, object_type: str) -> list[Pipeline]:
        """Pipelines in display order."""
        return self._pipelines.get(object_type, [])

    def pipeline(self, object_type: str, pipeline_id: str) -> Pipeline | None:
        """One pipeline by id."""
        return next((found for found in self.pipelines(object_type) if found.id == pipeline_id), None)

    def add_pipeline(self, object_type: str, pipeline: Pipeline) -> None:
        """Add a pipeline at the end, or replace the one with its id."""
        known = self._pipelines.setdefault(object_type, [])
        places = [index for index, found in enumerate(known) if found.id == pipeline.id]
        if places:
            known[places[0]] = pipeline
        else:
            known.append(pipeline)
        self._database.execute(
            "INSERT INTO pipelines (object_type, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET body = excluded.body",
            (object_type, pipeline.id, dump(pipeline.to_row())),
        )

    def stage(self, object_type: str, stage_id: str | None) -> Stage | None:
        """The stage with this id in whichever pipeline has it."""
        if stage_id is None:
            return None
        found = (pipeline.stage(stage_id) for pipeline in self.pipelines(object_type))
        return next((stage for stage in found if stage is not None), None)

    def owner(self, owner_id: str) -> dict[str, Any] | None:
        """The wire form of an owner, archived or not; None for an unknown or malformed id."""
        if not owner_id.isdigit():
            return None
        row = self._database.row("SELECT body FROM owners WHERE id = ?", (int(owner_id),))
        return json.loads(row["body"]) if row else None
