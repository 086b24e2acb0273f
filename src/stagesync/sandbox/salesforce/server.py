"""The org over HTTP: Starlette routes for ``/services`` and ``/id`` that may share a port with others.

Every answer carries ``Sforce-Limit-Info`` and a ``Date`` by the org's clock: run uvicorn with
``date_header=False``, or clients see two dates.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from dataclasses import replace
from email.utils import format_datetime
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from stagesync.sandbox.salesforce import composite, login, resources, rest
from stagesync.sandbox.salesforce.call import Answer, Call, failed
from stagesync.sandbox.salesforce.errors import ApiError, not_found
from stagesync.sandbox.salesforce.org import Org

LONGEST_URI = 16_384
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
WRITES = frozenset({"POST", "PATCH", "DELETE"})
OF_READS = " of GETs"
"""How a composite call that holds nothing else is counted."""
JSON = "application/json;charset=UTF-8"
DOWN = "<html><head><title>Down for maintenance</title></head><body>Salesforce is being updated.</body></html>"


class _Dropping(Exception):
    """The connection is to be closed before anything is done."""


class _Dropped(Response):
    """Closes the connection with no answer: the server refuses the header before it sends a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": [(b"dropped\n", b"on purpose")]})
        # Compression around the routes holds the head back until a body comes.
        await send({"type": "http.response.body", "body": b""})


class _Broken(Response):
    """Announces its whole body and sends half of it: the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2]})


def routes(org: Org) -> list[BaseRoute]:
    """The routes of one org: all paths below ``/services`` and ``/id``."""

    async def endpoint(request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(_respond, org, request, content)

    return [
        Route("/services/{rest:path}", endpoint, methods=METHODS),
        Route("/id/{rest:path}", endpoint, methods=METHODS),
    ]


def _call(org: Org, request: Request, content: bytes) -> Call:
    # The raw path keeps an escaped slash inside an external id apart from the slashes between segments.
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    path = raw.decode("latin-1").partition("?")[0]
    query = dict(parse_qsl(request.url.query, keep_blank_values=True))
    method = query.pop("_HttpMethod", request.method) if request.method == "POST" else request.method
    return Call(
        org=org,
        method=method.upper(),
        segments=tuple(unquote(part) for part in path.strip("/").split("/")),
        query=query,
        headers={name.lower(): value for name, value in request.headers.items()},
        content=content,
        base_url=f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
    )


def _respond(org: Org, request: Request, content: bytes) -> Response:
    if org.faults.latency_seconds > 0:
        time.sleep(org.faults.latency_seconds)
    try:
        _check_size(request)
        answer = _answer(org, _unpacked(_call(org, request, content)))
    except _Dropping:
        return _Dropped()
    except ApiError as error:
        answer = failed(error)
    except UnicodeEncodeError:
        # Half a surrogate pair is valid JSON and no text that can be stored.
        answer = failed(ApiError(400, "JSON_PARSER_ERROR", "Invalid UTF-16 surrogate in the request"))
    if answer.committed and org.faults.strikes("drop_after_commit"):
        return _Dropped()
    return _response(org, answer)


def _check_size(request: Request) -> None:
    uri = len(request.scope.get("raw_path") or b"") + len(request.scope["query_string"]) + 1
    if uri > LONGEST_URI:
        raise ApiError(414, "URI_TOO_LONG", "URI Too Long")
    if uri + sum(len(name) + len(value) + 4 for name, value in request.headers.raw) > LONGEST_URI:
        raise ApiError(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", "Request Header Fields Too Large")


def _unpacked(call: Call) -> Call:
    if call.headers.get("content-encoding", "").lower() != "gzip":
        return call
    try:
        return replace(call, content=gzip.decompress(call.content))
    except (OSError, EOFError, zlib.error):
        raise ApiError(400, "JSON_PARSER_ERROR", "The request body is not valid gzip") from None


def _answer(org: Org, call: Call) -> Answer:
    parts = call.segments
    if parts and parts[-1] == "":
        parts = parts[:-1]
    if parts[:1] == ("id",):
        return login.user_info(replace(call, user_id=login.bearer(call)))
    if parts[1:2] == ("oauth2",):
        return _oauth(org, call, parts[2:])
    if parts[1:3] == ("Soap", "u") and len(parts) > 3:
        org.count_call("POST /services/Soap/u")
        return login.soap_login(replace(call, captured={"version": parts[3]}))
    if parts[1:2] != ("data",):
        raise not_found()
    if len(parts) == 2:
        return Answer(body=rest.versions())
    return _data(org, call, parts)


def _oauth(org: Org, call: Call, parts: tuple[str, ...]) -> Answer:
    org.count_call(f"{call.method} /services/oauth2/{'/'.join(parts)}")
    if parts == ("token",) and call.method == "POST":
        return _outage(org) or login.token(call)
    if parts == ("revoke",):
        return login.revoke(call)
    if parts == ("userinfo",):
        return login.user_info(replace(call, user_id=login.bearer(call)))
    raise not_found()


def _data(org: Org, call: Call, parts: tuple[str, ...]) -> Answer:
    version = parts[2].removeprefix("v")
    number = version.removesuffix(".0")
    if not parts[2].startswith("v") or not version.endswith(".0") or not number.isdigit():
        raise not_found()
    if int(number) < rest.OLDEST:
        raise ApiError(410, "UNSUPPORTED_API_VERSION", "The requested API version is retired")
    if int(number) > rest.NEWEST:
        raise not_found()
    reads = parts[3:] == ("composite",) and composite.only_reads(call.content)
    org.count_call(f"{call.method} {_template(parts[3:])}{OF_READS if reads else ''}")
    writes = call.method in WRITES and not reads
    if writes and org.faults.strikes("drop_before_commit"):
        raise _Dropping
    outage = _outage(org)
    if outage is not None:
        return outage
    inner = replace(call, segments=parts[3:], version=version, user_id=login.bearer(call))
    login.check_scopes(org)
    limited = _limited(org)
    if limited is not None:
        return limited
    answer = resources.dispatch(inner)
    return replace(answer, committed=writes)


def _template(parts: tuple[str, ...]) -> str:
    """How a call is counted: as its template, with the name of the object filled in."""
    try:
        template, captured = resources.find(parts)
    except ApiError:
        return "/?"
    return "/" + template.replace("{sobject}", captured.get("sobject", ""))


def _outage(org: Org) -> Answer | None:
    """The answer of a server that is down or broken, if the faults say so."""
    if org.faults.strikes("unavailable"):
        headers = _retry_after(org)
        if org.faults.unavailable_html:
            return Answer(503, DOWN, {"Content-Type": "text/html", **headers})
        error = ApiError(503, "SERVER_UNAVAILABLE", "The server is temporarily unable to service your request")
        return replace(failed(error), headers=headers)
    if org.faults.strikes("server_errors"):
        message = "An unexpected error occurred. Please include this ErrorId if you contact support: 1-1 (1)"
        return failed(ApiError(500, "UNKNOWN_EXCEPTION", message))
    return None


def _retry_after(org: Org) -> dict[str, str]:
    return {} if org.faults.retry_after is None else {"Retry-After": str(org.faults.retry_after)}


def _limited(org: Org) -> Answer | None:
    """The 403 of an org that allows no more calls today, or no more at once."""
    if org.faults.daily_limit_reached or org.calls_used > org.calls_limit:
        return failed(ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    if org.faults.strikes("concurrent_limit"):
        message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
        return replace(failed(ApiError(403, "REQUEST_LIMIT_EXCEEDED", message)), headers=_retry_after(org))
    return None


def _usage(org: Org) -> str:
    """``Sforce-Limit-Info``: the org's calls, and the app's where it has a quota."""
    usage = f"api-usage={org.calls_used}/{org.calls_limit}"
    if org.app_calls_limit is None:
        return usage
    return f"{usage}; per-app-api-usage={org.calls_used}/{org.app_calls_limit}(appName={org.client_id})"


def _response(org: Org, answer: Answer) -> Response:
    headers = {
        "Date": format_datetime(org.now(), usegmt=True),
        "Sforce-Limit-Info": _usage(org),
        **answer.headers,
    }
    if answer.body is None:
        return Response(status_code=answer.status, headers=headers)
    if isinstance(answer.body, str | bytes):
        headers.setdefault("Content-Type", "text/plain")
        kind = _Broken if answer.broken else Response
        return kind(answer.body, answer.status, headers)
    headers["Content-Type"] = JSON
    text = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), answer.status, headers)
