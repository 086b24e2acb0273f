"""A request and its answer, free of the web framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from stagesync.sandbox.hubspot.catalog import ObjectType, object_type
from stagesync.sandbox.hubspot.errors import not_found, validation
from stagesync.sandbox.hubspot.records import Source

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.portal import Portal


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Status, JSON body (None for an empty one) and extra headers. ``cut`` drops the connection instead."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request. ``version`` is ``v3``, ``v4``, ``2026-03`` …; ``query`` holds the last value of each key,
    ``length`` is that of the whole URL in characters.
    """

    portal: Portal
    version: str
    method: str
    url: str
    length: int
    path: Mapping[str, str]
    query: Mapping[str, str]
    content: bytes

    @property
    def enforce(self) -> bool:
        """Whether this version holds writes to the admin's rules."""
        return self.version >= "2026-09" and self.version[0].isdigit()

    @property
    def source(self) -> Source:
        """How history names the caller: the app behind the token."""
        return Source(type="INTEGRATION", id=str(self.portal.app_id))

    @property
    def archived(self) -> bool:
        """Whether archived records are asked for."""
        return self.query.get("archived", "false").lower() == "true"

    def kind(self, key: str = "object_type") -> ObjectType:
        """The object named in the path; raises 400 for one the portal does not know."""
        found = object_type(self.path[key])
        if found is None:
            raise validation(f"Unable to infer object type from: {self.path[key]}")
        return found

    def names(self, key: str) -> list[str]:
        """A comma-separated parameter."""
        return [name for name in self.query.get(key, "").split(",") if name]

    def json(self) -> dict[str, Any]:
        """The body; raises 400 when it is not a JSON object."""
        try:
            found = json.loads(self.content)
        except ValueError as error:
            where = f"line {getattr(error, 'lineno', 1)}, column {getattr(error, 'colno', 1)}"
            raise validation(f"Invalid input JSON on {where}: {error}") from None
        if not isinstance(found, dict):
            raise validation("Invalid input JSON on line 1, column 1: an object is expected")
        return found

    def json_list(self) -> list[Any]:
        """The body where it is a list; raises 400 otherwise."""
        try:
            found = json.loads(self.content)
        except ValueError as error:
            raise validation(f"Invalid input JSON on line 1, column 1: {error}") from None
        if not isinstance(found, list):
            raise validation("Invalid input JSON on line 1, column 1: a list is expected")
        return found

    def inputs(self, most: int) -> list[dict[str, Any]]:
        """The ``inputs`` of a batch; raises 400 for none or too many."""
        found = self.json().get("inputs")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise validation("Invalid input JSON on line 1, column 1: inputs must be a list of objects")
        if len(found) > most:
            raise validation(f"The maximum number of inputs in a batch is {most}; {len(found)} were given")
        return found

    def limit(self, most: int, default: int) -> int:
        """The ``limit`` parameter; raises 400 outside 1 to ``most``."""
        text = self.query.get("limit", str(default))
        if not text.isdigit() or not 0 < int(text) <= most:
            raise validation(f"limit must be a number between 1 and {most}, not {text}")
        return int(text)

    def after(self) -> int:
        """The ``after`` parameter as a number, 0 when absent; raises 400 for a made-up one."""
        text = self.query.get("after") or "0"
        if not text.isdigit():
            raise validation(f"{text} is not a valid after")
        return int(text)

    def next_page(self, after: int | str) -> dict[str, Any]:
        """The ``paging`` of an answer that has another page."""
        query = urlencode({**self.query, "after": str(after)})
        return {"next": {"after": str(after), "link": f"{self.url}?{query}"}}


def record_id(text: object) -> int:
    """A record id from a path or body; raises 404 for text that can be no id."""
    if not str(text).isdigit() or len(str(text)) > 18:
        raise not_found()
    return int(str(text))
