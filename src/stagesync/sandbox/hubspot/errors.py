"""HubSpot's refusals, as the bodies that it sends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]


class ApiError(Exception):
    """A refusal: HTTP status, JSON body (the server adds ``correlationId``) and headers."""

    def __init__(self, status: int, body: Body, headers: Mapping[str, str] | None = None) -> None:
        """Keep the parts; the message is the body's."""
        super().__init__(str(body.get("message", status)))
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class PropertyFault:
    """One property value that HubSpot will not store."""

    name: str
    code: str
    message: str
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


def validation(message: str, *, errors: Sequence[Body] = (), context: Body | None = None) -> ApiError:
    """400 VALIDATION_ERROR with optional details."""
    body: Body = {"status": "error", "message": message, "category": "VALIDATION_ERROR"}
    if errors:
        body["errors"] = list(errors)
    if context:
        body["context"] = context
    return ApiError(400, body)


def invalid_properties(faults: Sequence[PropertyFault], portal_id: int) -> ApiError:
    """400 for property values, with the list as JSON inside the message."""
    inner = [
        {
            "isValid": False,
            "message": fault.message,
            "error": fault.code,
            "name": fault.name,
            "localizedErrorMessage": fault.message,
            "portalId": portal_id,
        }
        for fault in faults
    ]
    errors = [
        {
            "message": fault.message,
            "code": fault.code,
            "context": {"propertyName": [fault.name], **{k: list(v) for k, v in fault.context.items()}},
        }
        for fault in faults
    ]
    return validation(f"Property values were not valid: {json.dumps(inner, separators=(',', ':'))}", errors=errors)


def missing_required(action: str, singular: str, names: Sequence[str]) -> ApiError:
    """400 when required properties are blank; ``action`` is ``creating`` or ``updating``."""
    return validation(
        f"Error {action} {singular.upper()}. Some required properties were not set.",
        errors=[
            {
                "message": f'Required property "{name}" was not set.',
                "code": "REQUIRED_PROPERTY",
                "context": {"propertyName": [name]},
            }
            for name in names
        ],
        context={"properties": list(names)},
    )


def not_found(message: str = "resource not found") -> ApiError:
    """404 OBJECT_NOT_FOUND."""
    return ApiError(404, {"status": "error", "message": message, "category": "OBJECT_NOT_FOUND"})


def conflict(message: str) -> ApiError:
    """409 CONFLICT."""
    return ApiError(409, {"status": "error", "message": message, "category": "CONFLICT"})


def unauthenticated() -> ApiError:
    """401 for an absent, unknown or revoked token."""
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can "
        "find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    return ApiError(401, {"status": "error", "message": message, "category": "INVALID_AUTHENTICATION"})


def expired(seconds: int, expire_time: str) -> ApiError:
    """401 for an OAuth token past its time."""
    message = f"The OAuth token used to make this call expired {seconds} second(s) ago."
    body: Body = {"status": "error", "message": message, "category": "EXPIRED_AUTHENTICATION"}
    return ApiError(401, {**body, "context": {"expire time": [expire_time]}})


def too_long(length: int) -> ApiError:
    """414 for an address with too many properties in it."""
    return ApiError(414, {"status": "error", "message": f"The URL is too long: {length} characters."})


def missing_scopes(scopes: Sequence[str]) -> ApiError:
    """403 naming the granular scopes that the token lacks."""
    return ApiError(
        403,
        {
            "status": "error",
            "message": "This app hasn't been granted all required scopes to make this call. Read more about "
            "required scopes here: https://developers.hubspot.com/scopes.",
            "errors": [
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": list(scopes)},
                }
            ],
            "links": {"scopes": "https://developers.hubspot.com/scopes"},
            "category": "MISSING_SCOPES",
        },
    )


def partial_failure(category: str, message: str, context: Mapping[str, Sequence[str]]) -> Body:
    """One entry of a 207's ``errors``."""
    return {
        "status": "error",
        "category": category,
        "message": message,
        "context": {key: list(values) for key, values in context.items()},
    }
