"""The embedded HubSpot on the wire: Starlette routes around the handlers.

``routes`` needs nothing beside it: compression, error bodies, limits and faults are in here.
"""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import format_datetime

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from stagesync.sandbox.hubspot import gate
from stagesync.sandbox.hubspot.calls import Call, Reply
from stagesync.sandbox.hubspot.errors import ApiError, not_found, too_long
from stagesync.sandbox.hubspot.faults import LOST, Outage
from stagesync.sandbox.hubspot.paths import OPERATIONS, Operation
from stagesync.sandbox.hubspot.portal import Portal

_WORTH_COMPRESSING = 1_000
_LONGEST_URL = 16_000
_OF_THE_EDGE = frozenset({502, 504, *range(520, 527)})
_HTML = "<html><head><title>{0} Bad Gateway</title></head><body><h1>{0} Bad Gateway</h1></body></html>"
_LISTS = frozenset({"properties", "propertiesWithHistory", "associations"})
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def routes(portal: Portal) -> list[BaseRoute]:
    """All of HubSpot: ``/crm/…``, ``/oauth/…``, ``/account-info/…``, ``/calling/…``, 404 bodies included."""
    found: list[BaseRoute] = [
        Route(path, _endpoint(portal, operation, version, path), methods=[operation.method])
        for operation in OPERATIONS
        for version, path in operation.templates()
    ]
    roots = ("crm", "oauth", "account-info", "calling")
    return [*found, *(Route(f"/{root}/{{rest:path}}", _unknown, methods=_METHODS) for root in roots)]


def _endpoint(
    portal: Portal, operation: Operation, version: str, template: str
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        call = Call(
            portal=portal,
            version=version,
            method=request.method,
            url=str(request.url.replace(query="")),
            length=len(str(request.url)),
            path=request.path_params,
            query=_query(request),
            content=await request.body(),
        )
        portal.calls[f"{operation.method} {template}"] += 1
        planned = gate.outage(portal, request.url.path)
        if planned is not None and planned.status in _OF_THE_EDGE:
            return _html(planned)
        lost = planned is not None and planned.status == LOST
        reply = await run_in_threadpool(_answer, call, operation, None if lost else planned, _bearer(request))
        if reply.cut or lost:
            return _cut(request)
        response = _response(reply, request.headers)
        # Clients measure clock skew by this header, so it follows the portal's clock.
        response.headers["Date"] = format_datetime(portal.clock().astimezone(UTC), usegmt=True)
        return response

    return endpoint


def _answer(call: Call, operation: Operation, planned: Outage | None, bearer: str | None) -> Reply:
    headers: Mapping[str, str] = {}
    try:
        if planned is not None:
            raise gate.outage_error(planned)
        if call.length > _LONGEST_URL:
            raise too_long(call.length)
        headers = gate.admit(call.portal, operation, call.path, bearer)
        reply = operation.handler(call)
    except ApiError as refusal:
        return Reply(status=refusal.status, body=refusal.body, headers={**headers, **refusal.headers})
    return Reply(status=reply.status, body=reply.body, headers={**headers, **reply.headers}, cut=reply.cut)


def _query(request: Request) -> dict[str, str]:
    """The last value of each parameter; lists come as ``a,b`` or, from the official client, as a parameter each."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        found[name] = f"{found[name]},{value}" if name in _LISTS and name in found else value
    return found


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _response(reply: Reply, asked: Mapping[str, str]) -> Response:
    correlation = str(uuid.uuid4())
    headers = {**reply.headers, "X-HubSpot-Correlation-Id": correlation}
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    body = reply.body
    if reply.status >= 400:
        body = {**body, "correlationId": correlation}
    content = msgspec.json.encode(body)
    if len(content) > _WORTH_COMPRESSING and "gzip" in asked.get("Accept-Encoding", ""):
        content = gzip.compress(content, compresslevel=1)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    headers["Content-Type"] = "application/json;charset=utf-8"
    return Response(content, status_code=reply.status, headers=headers)


def _html(planned: Outage) -> Response:
    headers = {"Retry-After": str(planned.retry_after)} if planned.retry_after is not None else {}
    return Response(_HTML.format(planned.status), status_code=planned.status, headers=headers, media_type="text/html")


def _cut(request: Request) -> Response:
    """Close the connection without a word, though the work is done.

    uvicorn gives no official way; its receive callable belongs to the object that holds the transport.
    """
    transport = getattr(getattr(request.receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
    return Response(status_code=204)


async def _unknown(request: Request) -> Response:
    refusal = not_found()
    return _response(Reply(status=refusal.status, body=refusal.body), request.headers)
