"""Composite: up to 25 calls in one, in order, later ones naming results of earlier ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from stagesync.sandbox.salesforce.call import Answer, Call, failed
from stagesync.sandbox.salesforce.errors import ApiError
from stagesync.sandbox.salesforce.storage import undoable

Dispatch = Callable[[Call], Answer]
MOST, MOST_QUERIES = 25, 5
FORBIDDEN_HEADERS = frozenset({"accept", "authorization", "content-type"})
_PLACEHOLDER = re.compile(r"@\{([A-Za-z][A-Za-z0-9_]*)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")
_ADDRESS = re.compile(r"/services/data/v(\d+\.0)(/.*)")
HALTED = ApiError(
    400,
    "PROCESSING_HALTED",
    "The transaction was rolled back since another operation in the same transaction failed.",
)


class _Undo(Exception):
    """Not an error: it leaves the step and undoes it."""


@dataclass(frozen=True)
class _Part:
    method: str
    url: str
    reference: str
    body: Any
    headers: Mapping[str, str]


def composite(call: Call, dispatch: Dispatch) -> Answer:
    """``POST /composite``: 200 with a result for each part, whatever became of it."""
    body = call.json_object()
    parts = _parts(body)
    if any(word in part.url for part in parts for word in call.org.faults.composite_forbids):
        raise ApiError(400, "INVALID_INPUT", "A sub-request names a resource that composite does not support")
    results, _ = _run(call, parts, dispatch, all_or_none=bool(body.get("allOrNone")))
    return Answer(body={"compositeResponse": results})


def only_reads(content: bytes) -> bool:
    """Whether a body asks for nothing that could write."""
    try:
        parts = json.loads(content)["compositeRequest"]
        return bool(parts) and all(part["method"].upper() == "GET" for part in parts)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return False


def graph(call: Call, dispatch: Dispatch) -> Answer:
    """``POST /composite/graph``: several composites, each all or nothing."""
    graphs = call.json_object().get("graphs")
    if not isinstance(graphs, list) or not all(isinstance(one, dict) for one in graphs):
        raise ApiError(400, "INVALID_INPUT", "graphs: a list of objects is required")
    answered = []
    for one in graphs:
        parts = _parts(one, most=500)
        results, ok = _run(call, parts, dispatch, all_or_none=True)
        answered.append(
            {"graphId": one.get("graphId"), "graphResponse": {"compositeResponse": results}, "isSuccessful": ok}
        )
    return Answer(body={"graphs": answered})


def _run(call: Call, parts: list[_Part], dispatch: Dispatch, *, all_or_none: bool) -> tuple[list[dict[str, Any]], bool]:
    """Results in order, and whether all was kept; with ``all_or_none`` the first failure halts and undoes."""
    results: list[dict[str, Any]] = []
    bodies: dict[str, Any] = {}
    try:
        with undoable(call.org.database):
            for part in parts:
                answer = _answer(call, part, bodies, dispatch)
                bodies[part.reference] = answer.body
                results.append(_result(part, answer))
                if all_or_none and answer.status >= 400:
                    raise _Undo
    except _Undo:
        failing, halted = results[-1], failed(HALTED)
        results = [failing if part.reference == failing["referenceId"] else _result(part, halted) for part in parts]
        return results, False
    return results, True


def _parts(body: Mapping[str, Any], most: int = MOST) -> list[_Part]:
    """The parts of a request, checked before any of them runs."""
    stated = body.get("compositeRequest")
    if not isinstance(stated, list) or not stated:
        raise ApiError(400, "INVALID_INPUT", "compositeRequest: a list of sub-requests is required")
    if len(stated) > most:
        raise ApiError(400, "LIMIT_EXCEEDED", f"A composite request may have at most {most} sub-requests")
    parts, seen = [], set()
    for one in stated:
        part = _part(one)
        if part.reference in seen:
            raise ApiError(400, "INVALID_INPUT", f"Duplicate referenceId: {part.reference}")
        seen.add(part.reference)
        parts.append(part)
    queries = sum(1 for part in parts if re.search(r"/(query|queryAll|composite/sobjects)\b", part.url))
    if most == MOST and queries > MOST_QUERIES:
        message = f"A composite request may have at most {MOST_QUERIES} query or collections sub-requests"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    return parts


def _part(one: Any) -> _Part:
    if not isinstance(one, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "compositeRequest: objects are required")
    method, url, reference = one.get("method"), one.get("url"), one.get("referenceId")
    if not (isinstance(method, str) and isinstance(url, str) and isinstance(reference, str) and reference):
        raise ApiError(400, "INVALID_INPUT", "A sub-request needs method, url and referenceId")
    headers = one.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        raise ApiError(400, "INVALID_INPUT", "httpHeaders: an object is required")
    lower = {str(name).lower(): str(value) for name, value in headers.items()}
    if lower.keys() & FORBIDDEN_HEADERS:
        raise ApiError(400, "INVALID_INPUT", f"httpHeaders may not set {', '.join(sorted(FORBIDDEN_HEADERS))}")
    return _Part(method.upper(), url, reference, one.get("body"), lower)


def _answer(call: Call, part: _Part, bodies: Mapping[str, Any], dispatch: Dispatch) -> Answer:
    try:
        url, body = _fill(part.url, bodies), _fill(part.body, bodies)
        match = _ADDRESS.fullmatch(url)
        if match is None:
            raise ApiError(400, "INVALID_INPUT", f"The url must begin with /services/data/vXX.X/: {url}")
        if match.group(2).rstrip("/") == "/composite":
            raise ApiError(400, "INVALID_INPUT", "A composite request may not hold another")
        split = urlsplit(match.group(2))
        inner = replace(
            call,
            method=part.method,
            version=match.group(1),
            segments=tuple(unquote(segment) for segment in split.path.strip("/").split("/")),
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={**_inherited(call), **part.headers},
            captured={},
        )
        return dispatch(_WithBody.of(inner, body))
    except ApiError as error:
        return failed(error)


def _inherited(call: Call) -> dict[str, str]:
    """Headers of the outer call that reach the inner ones.

    Nothing documents that those which steer a write do, so a client that relies on it has its leads assigned anew.
    """
    names = ("sforce-call-options",)
    return {name: call.headers[name] for name in names if name in call.headers}


@dataclass(frozen=True)
class _WithBody(Call):
    """A call whose body was never text."""

    parsed: Any = None

    @classmethod
    def of(cls, call: Call, body: Any) -> _WithBody:
        return cls(**{**vars(call), "parsed": body})

    def json(self) -> Any:
        return self.parsed


def _result(part: _Part, answer: Answer) -> dict[str, Any]:
    return {
        "body": answer.body,
        "httpHeaders": dict(answer.headers),
        "httpStatusCode": answer.status,
        "referenceId": part.reference,
    }


def _fill(value: Any, bodies: Mapping[str, Any]) -> Any:
    """Replace ``@{reference.field}`` in a text, or in the texts of a body."""
    if isinstance(value, dict):
        return {key: _fill(inner, bodies) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, bodies) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole:
        return _look_up(whole, bodies)
    return _PLACEHOLDER.sub(lambda match: str(_look_up(match, bodies)), value)


def _look_up(match: re.Match[str], bodies: Mapping[str, Any]) -> Any:
    found: Any = bodies.get(match.group(1))
    try:
        for name, index in _STEP.findall(match.group(2)):
            found = found[name] if name else found[int(index)]
    except (KeyError, IndexError, TypeError):
        found = None
    if found is None:
        message = f"Invalid reference specified. No value for {match.group(0)[2:-1]} found in {match.group(1)}"
        raise ApiError(400, "PROCESSING_HALTED", message)
    return found
