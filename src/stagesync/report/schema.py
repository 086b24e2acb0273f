"""JSON Schema of what StageSync writes, from the types that write it."""

from __future__ import annotations

from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(document: type[msgspec.Struct], title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one kind of document. A reader must bear keys that are not in it."""
    (_,), parts = msgspec.json.schema_components([document], ref_template="#/$defs/{name}")
    # The document itself at the top, as in the schemas of the files that people write.
    return {"$schema": DIALECT, **parts.pop(document.__name__), "$defs": parts, "title": title}
