"""The pool of connections to the one host that a client talks to.

urllib3's manager of pools parses and encodes every URL to find the pool that it belongs to, which takes a quarter of
the instructions of a call whose URL names many properties. Here all URLs belong to the same one.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager, Retry

ONCE = Retry(False, redirect=False)
"""Nothing is sent again, and no redirect followed: who asks decides what may be repeated."""


class OneHost:
    """Sends requests to one host through the pool that ``manager`` has for it, without a proxy."""

    def __init__(self, manager: PoolManager, url: str) -> None:
        """``url`` begins with scheme and host of all that will be asked for."""
        parts = urlsplit(url)
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._manager = manager
        self._pool: HTTPConnectionPool | None = None

    def urlopen(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        """What ``PoolManager.urlopen`` does, once and without redirects; raises what it raises."""
        pool = self._pool
        if pool is None:
            pool = self._pool = self._manager.connection_from_url(self._root)
        target = url.removeprefix(self._root)
        options |= {"redirect": False, "assert_same_host": False, "retries": ONCE}
        return pool.urlopen(method, target, **options)

    def close(self) -> None:
        """Close all connections; the next request opens one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        self._manager.clear()
