"""JSON Schema of the files that people write, from the types that read them: an editor completes and underlines.

The loader says more: it reads the expressions, and compares names within a file and with its definitions.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Written(GenerateJsonSchema):
    """What may be written: what can be left out is left out, so nobody writes null for it; keys have their form."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = schema["schema"]
        if schema.get("default", ...) is None and inner["type"] == "nullable":
            return self.generate_inner(inner["schema"])
        written = super().default_schema(schema)
        # As an object of ours, not as it would be written: an editor must not offer it.
        if isinstance(written.get("default"), dict):
            del written["default"]
        return written

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        written = super().dict_schema(schema)
        return {**written, "additionalProperties": False} if "patternProperties" in written else written

    def get_title_from_name(self, name: str) -> str:
        return name


def schema_of(words: type[BaseModel], title: str, extending: type[BaseModel] | None = None) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one kind of file; of ``extending`` for those that extend others."""
    if extending is None:
        return {"$schema": DIALECT, **words.model_json_schema(schema_generator=_Written), "title": title}
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(extending, "validation"), (words, "validation")]
    references, definitions = models_json_schema(models, schema_generator=_Written)
    then, otherwise = (references[model] for model in models)
    alternatives = {"if": {"required": ["extends"]}, "then": then, "else": otherwise}
    return {"$schema": DIALECT, "title": title, "type": "object", **alternatives, **definitions}
