"""Refusals as Salesforce words them: an HTTP status and one or more coded errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ApiError(Exception):
    """A refusal of the REST API: ``status`` and a body ``[{"message", "errorCode"[, "fields"]}]``."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = None if fields is None else list(fields)

    def body(self) -> list[dict[str, Any]]:
        """The JSON body of a single call."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = self.fields
        return [error]

    def row(self) -> dict[str, Any]:
        """The same error inside a collection's result, where the code is spelt ``statusCode``."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}


class RowError(ApiError):
    """A refusal of one record; 400 unless said otherwise, always with a ``fields`` list."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = (), *, status: int = 400) -> None:
        super().__init__(status, code, message, list(fields))


class SoqlError(ApiError):
    """A query that cannot be run; always 400. ``position`` is a 0-based offset into the query, or None."""

    def __init__(self, code: str, message: str, position: int | None = None) -> None:
        super().__init__(400, code, message)
        self.position = position

    def located(self, soql: str) -> SoqlError:
        """The same error with the excerpt and ``ERROR at Row:Column`` lines that Salesforce puts before it."""
        if self.position is None:
            return self
        row = soql.count("\n", 0, self.position) + 1
        column = self.position - (soql.rfind("\n", 0, self.position) + 1) + 1
        start = max(0, self.position - 40)
        excerpt = soql[start : self.position + 40].replace("\n", " ")
        caret = " " * (self.position - start) + "^"
        text = f"\n{excerpt}\n{caret}\nERROR at Row:{row}:Column:{column}\n{self.message}"
        return SoqlError(self.code, text)


class LoginError(Exception):
    """A refusal of the token endpoint: 400 with ``{"error", "error_description"}``."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


def session_invalid(message: str = "Session expired or invalid") -> ApiError:
    """The 401 that a missing, unknown or expired token gets."""
    return ApiError(401, "INVALID_SESSION_ID", message)


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """A 404 for an address that leads nowhere."""
    return ApiError(404, "NOT_FOUND", message)
