"""What a request passes before it is answered: planned outages, the token, the limits, the scopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import object_type
from stagesync.sandbox.hubspot.errors import ApiError, expired, missing_scopes, unauthenticated
from stagesync.sandbox.hubspot.faults import Outage

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.paths import Operation
    from stagesync.sandbox.hubspot.portal import Portal

_OUTAGES = {
    423: ("LOCKED", "This resource is locked by too many writes. Wait at least 2 seconds."),
    477: ("MIGRATION_IN_PROGRESS", "This account is being moved to another data hosting location."),
    503: ("SERVICE_UNAVAILABLE", "The service is temporarily unavailable."),
}


def outage(portal: Portal, path: str) -> Outage | None:
    """The planned outage that a request to this path runs into."""
    return portal.faults.next_outage(path)


def outage_error(planned: Outage) -> ApiError:
    """The JSON refusal of an outage that comes from HubSpot itself."""
    if planned.status == 429:
        message = "You have reached your daily limit."
        body = {"status": "error", "message": message, "errorType": "RATE_LIMIT", "policyName": "DAILY"}
        return ApiError(429, body)
    category, message = _OUTAGES.get(planned.status, ("SERVER_ERROR", "Something went wrong."))
    headers = {"Retry-After": str(planned.retry_after)} if planned.retry_after is not None else {}
    return ApiError(planned.status, {"status": "error", "message": message, "category": category}, headers)


def admit(portal: Portal, operation: Operation, path: Mapping[str, str], bearer: str | None) -> dict[str, str]:
    """Let a request in and return its rate headers; raises 401, 429 or 403."""
    if operation.open:
        return {}
    _authenticate(portal, bearer)
    headers = portal.limiter.admit(search=operation.search, day=portal.today())
    needed = scope_of(operation, path)
    if needed is not None and needed not in portal.scopes():
        raise missing_scopes([needed])
    if portal.faults.leads_absent and any(_is_lead(value) for value in path.values()):
        raise missing_scopes(["crm.objects.leads.read"])
    return headers


def _authenticate(portal: Portal, bearer: str | None) -> None:
    if bearer is None or portal.faults.token_revoked:
        raise unauthenticated()
    if portal.faults.token_expired:
        raise expired(7, moments.iso(portal.now() - 7_000))
    ends = portal.issued_tokens.get(bearer)
    if ends is not None and moments.millis(ends) <= portal.now():
        ended = moments.millis(ends)
        raise expired((portal.now() - ended) // 1000, moments.iso(ended))
    if not portal.accepts(bearer):
        raise unauthenticated()


def scope_of(operation: Operation, path: Mapping[str, str]) -> str | None:
    """The granular scope for an operation on the object in its path; None where none is needed."""
    if operation.scope is None:
        return None
    kind = object_type(path.get("object_type") or path.get("from_type") or "")
    family = kind.scope if kind is not None else "crm.objects.contacts"
    return operation.scope.format(object=family, schema=family.replace("objects", "schemas"))


def _is_lead(text: str) -> bool:
    kind = object_type(text)
    return kind is not None and kind.name == "leads"
