"""One call of the REST API, taken out of HTTP, so that composite requests can make calls of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stagesync.sandbox.salesforce import moments
from stagesync.sandbox.salesforce.errors import ApiError
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.query import Reader
from stagesync.sandbox.salesforce.writes import Writer


@dataclass(frozen=True)
class Call:
    """``segments`` are the decoded parts of the path below ``/services/data/vNN.0``; header names lower-case.

    ``version`` is like ``67.0``. ``captured`` holds what the route's placeholders matched.
    """

    org: Org
    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    base_url: str = ""
    version: str = "67.0"
    user_id: str = ""
    captured: Mapping[str, str] = field(default_factory=dict)

    @property
    def reader(self) -> Reader:
        """Queries in the name of this call's user."""
        return Reader(self.org, self.user_id, self.version)

    @property
    def writer(self) -> Writer:
        """Writes in the name of this call's user, with assignment rules unless the header forbids them."""
        auto_assign = self.headers.get("sforce-auto-assign", "TRUE").strip().upper() != "FALSE"
        return Writer(self.org, self.user_id, auto_assign=auto_assign)

    @property
    def number(self) -> int:
        """The API version as a whole number."""
        return int(self.version.split(".")[0])

    def json(self) -> Any:
        """The body.

        Raises:
            ApiError: 400 JSON_PARSER_ERROR, 415 for a body that does not claim to be JSON.
        """
        kind = self.headers.get("content-type", "application/json").lower()
        if "json" not in kind:
            message = f"Content-Type {kind} not supported: use application/json"
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            place = getattr(error, "colno", 1), getattr(error, "lineno", 1)
            message = f"The HTTP entity body is not valid JSON at [line:{place[1]}, column:{place[0]}]"
            raise ApiError(400, "JSON_PARSER_ERROR", message) from None

    def json_object(self) -> dict[str, Any]:
        """The body, which must be a JSON object.

        Raises:
            ApiError: 400 JSON_PARSER_ERROR.
        """
        body = self.json()
        if not isinstance(body, dict):
            message = "Unexpected value: a JSON object is required at [line:1, column:1]"
            raise ApiError(400, "JSON_PARSER_ERROR", message)
        return body

    def date_header(self, name: str) -> str | None:
        """A date header as stored text, None when it was not sent.

        Raises:
            ApiError: 400 for a date that cannot be read.
        """
        text = self.headers.get(name)
        if text is None:
            return None
        parsed = moments.parse_http_date(text)
        if parsed is None:
            raise ApiError(400, "INVALID_HEADER", f"{name}: invalid date: {text}")
        return parsed


@dataclass(frozen=True)
class Answer:
    """``body`` is JSON data, or text or bytes sent as they are; None means no body at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    committed: bool = False
    broken: bool = False
    """The connection is to be closed in the middle of the body."""


def failed(error: ApiError) -> Answer:
    """A refusal as an answer."""
    return Answer(error.status, error.body())
