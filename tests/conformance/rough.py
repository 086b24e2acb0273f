"""A bad way to a CRM: what comes back over it is late, cut off, or a page that somebody else wrote."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, repeat
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.sandbox.conftest import Serve

PAGE = b"<html><head><title>Sign in to the guest network</title></head><body>\xe9t\xe9</body></html>"
KEPT = frozenset({b"content-type", b"date", b"sforce-locator"})
MAPS = frozenset({"properties", "propertiesWithHistory", "metadata", "context"})
"""Fields whose own fields are data."""


class Spoiled(StrEnum):
    """What becomes of an answer."""

    CUT = "cut"
    """The connection breaks in the middle of it."""
    SHORT = "short"
    """Half of it comes, as if that were all."""
    EMPTY = "empty"
    """Nothing comes, with status 200."""
    PAGE = "page"
    """A page of something on the way, with status 200."""
    NONSENSE = "nonsense"
    """JSON of another shape."""
    DOWN = "down"
    """503 with a page in HTML."""
    DROPPED = "dropped"
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Answer:
    """An answer in the place of the CRM's own."""

    status: int
    body: Any


Fate = Spoiled | Answer | None


@dataclass
class Wire:
    """The way to one CRM. ``fates`` are those of the next answers; none is left as it is. ``before`` is called with
    the path of each call, before the CRM hears of it."""

    fates: Iterator[Fate] = field(default_factory=lambda: repeat(None))
    odd: bool = False
    """Whether answers say the same in another spelling, as another server might."""
    before: Callable[[str], None] = lambda _path: None
    calls: int = 0

    def next(self, *fates: Fate, then: Fate = None) -> None:
        """What becomes of the next answers, and of all after them."""
        self.fates = chain(fates, repeat(then))

    def every_second(self, fate: Fate) -> None:
        """Spoil each second answer."""
        self.fates = chain.from_iterable(repeat((None, fate)))

    def serve(self, serve: Serve) -> Serve:
        """A function that serves routes behind this wire."""

        def start(routes: Sequence[BaseRoute]) -> str:
            return serve([Mount("/", app=self._around(Starlette(routes=list(routes))))])

        return start

    def _around(self, crm: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.calls += 1
            self.before(scope["path"])
            fate = next(self.fates)
            if fate is None and not self.odd:
                await crm(scope, receive, send)
                return
            came: list[Message] = []

            async def keep(message: Message) -> None:
                came.append(message)

            await crm(scope, receive, keep)
            body = b"".join(part.get("body", b"") for part in came[1:])
            await (_respell(send, came[0], body) if fate is None else _send(send, fate, came[0], body))

        return app


async def _send(send: Send, fate: Fate, start: Message, body: bytes) -> None:
    headers = {name.lower(): value for name, value in start["headers"]}
    status = start["status"]
    if isinstance(fate, Answer):
        status, body, headers = fate.status, json.dumps(fate.body).encode(), _kind(headers, b"application/json")
    elif fate in {Spoiled.PAGE, Spoiled.DOWN}:
        status, body, headers = (503 if fate is Spoiled.DOWN else 200), PAGE, _kind(headers, b"text/html")
    elif fate is Spoiled.NONSENSE:
        body, headers = b'{"hello":[1,{"results":7,"records":"none"}]}', _kind(headers, b"application/json")
    elif fate is Spoiled.EMPTY:
        body, headers = b"", _kind(headers, b"application/json")
    elif fate is Spoiled.SHORT:
        body = body[: len(body) // 2]
    elif fate is Spoiled.DROPPED:
        headers = {b"dropped\n": b"on purpose"}  # the server refuses it before it sends a byte
    headers[b"content-length"] = str(len(body)).encode()
    await send({"type": "http.response.start", "status": status, "headers": list(headers.items())})
    half = len(body) // 2 if fate is Spoiled.CUT else len(body)
    await send({"type": "http.response.body", "body": body[:half]})


async def _respell(send: Send, start: Message, body: bytes) -> None:
    """The same in pieces, without the headers that may be absent; those that are there are in capitals."""
    headers = {name.lower(): value for name, value in start["headers"]}
    packed = headers.pop(b"content-encoding", b"") == b"gzip"
    told = gzip.decompress(body) if packed else body
    if b"json" in headers.get(b"content-type", b"") and told:
        told = json.dumps(_respelled(json.loads(told)), indent=3, ensure_ascii=False).encode()
    kept = [(name.upper(), value) for name, value in headers.items() if name in KEPT]
    await send({"type": "http.response.start", "status": start["status"], "headers": kept})
    for place in range(0, len(told), 1_000):
        await send({"type": "http.response.body", "body": told[place : place + 1_000], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _respelled(value: Any, name: str = "") -> Any:
    """JSON with its fields in another order, and with fields that nobody has heard of."""
    if isinstance(value, list):
        return [_respelled(one) for one in value]
    if not isinstance(value, dict):
        return value
    fields = [(key, _respelled(one, key)) for key, one in reversed(value.items())]
    return dict(fields if name in MAPS else [("fromNextYear", {"records": [], "after": None}), *fields])


def _kind(headers: dict[bytes, bytes], kind: bytes) -> dict[bytes, bytes]:
    kept = {name: value for name, value in headers.items() if name != b"content-encoding"}
    return kept | {b"content-type": kind}
