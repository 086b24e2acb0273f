"""A portal of any size for a benchmark: the pages of some thousand deals are played again until there are enough.

The embedded HubSpot gives the pages, over HTTP; only their envelopes are written here. How many deals there are is said
with ``GET /records/N``. Everything else is answered by the embedded portal itself.
"""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import parse_qs

DEALS = "/crm/v3/objects/deals"
PAGE = 100


class Replay:
    """The embedded portal, but for lists of deals once a number of them was asked for."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.total = 0
        self.pages: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "GET" else ""
        asked = {name: values[-1] for name, values in parse_qs(scope.get("query_string", b"").decode()).items()}
        if path.startswith("/records/"):
            self.total, self.pages = int(path.rpartition("/")[2]), []
            await _answer(send, b"{}")
        elif path == DEALS and self.total and asked.get("limit") == str(PAGE):
            await _answer(send, await self._page(scope, int(asked.get("after", "0"))))
        else:
            await self.app(scope, receive, send)

    async def _page(self, scope: Any, after: int) -> bytes:
        """The page that begins after so many deals; the first one is asked of the portal, with all that follow it."""
        if not self.pages:
            await self._record(scope)
        results = self.pages[after // PAGE % len(self.pages)]
        more = after + PAGE
        paging = f',"paging":{{"next":{{"after":"{more}"}}}}' if more < self.total else ""
        return b'{"results":' + results + paging.encode() + b"}"

    async def _record(self, scope: Any) -> None:
        query = scope["query_string"].decode()
        plain = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
        after: str | None = ""
        while after is not None:
            body = await self._asked({**scope, "headers": plain, "query_string": f"{query}{after}".encode()})
            answer = json.loads(body)
            self.pages.append(json.dumps(answer["results"], ensure_ascii=False).encode())
            after = f"&after={answer['paging']['next']['after']}" if "paging" in answer else None

    async def _asked(self, scope: Any) -> bytes:
        parts: list[bytes] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def keep(message: Any) -> None:
            parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        return b"".join(parts)


async def _answer(send: Any, body: bytes) -> None:
    packed = gzip.compress(body, compresslevel=1)
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    headers.append((b"content-length", str(len(packed)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": packed})
