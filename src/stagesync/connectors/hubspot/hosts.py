"""The connections to the one host that a client talks to, kept from call to call.

They stand in for urllib3's manager of pools, which takes more of the processor for a call than to decode its answer:
it looks at each URL to find the pool that it belongs to, and reads answers line by line in Python.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError, SSLError

from stagesync.connectors.hubspot.wire import Answer, read_answer, request_bytes

AT_ONCE = 65_536  # bytes
PORTS = {"http": 80, "https": 443}


class OneHost:
    """Sends requests to one host, without a proxy. May be used by several threads."""

    def __init__(self, url: str, timeout: tuple[float, float], ca_bundle: str | None) -> None:
        """``url`` begins with scheme and host of all that will be asked for; ``timeout`` is the seconds to connect and
        to wait for bytes, ``ca_bundle`` a file of certificates, None for those of the system."""
        parts = urlsplit(url)
        # Without a port Python takes the last part of an IPv6 address for one.
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._root = f"{url.partition('://')[0]}://{parts.netloc}"
        self._always = {"Host": parts.netloc, "Accept-Encoding": "identity"}
        self._seconds = timeout[1]
        self._connection: Callable[[], HTTPConnection] = partial(HTTPConnection, host, port, timeout=timeout[0])
        if parts.scheme == "https":
            checked = partial(HTTPSConnection, cert_reqs=ssl.CERT_REQUIRED, ca_certs=ca_bundle)
            self._connection = partial(checked, host, port, timeout=timeout[0])
        self._idle: list[HTTPConnection] = []

    def urlopen(
        self, method: str, url: str, *, headers: Mapping[str, str], body: str | bytes | None = None, **_: Any
    ) -> Answer:
        """Send a request once; its whole answer, whatever its status. No redirect is followed.

        Raises urllib3's ``NewConnectionError``, ``LocationParseError`` (no host is called so), ``ConnectTimeoutError``
        and ``SSLError`` when nothing was sent, Python's ``TimeoutError`` and urllib3's ``ProtocolError`` when something
        may have been.
        """
        request = request_bytes(method, url.removeprefix(self._root), {**self._always, **headers}, body)
        connection = self._waiting() or self._connected()
        reusable = False
        try:
            answer = _exchanged(connection, request, self._seconds)
            reusable = answer.reusable
        except TimeoutError:
            raise
        except (OSError, HTTPException) as error:
            raise ProtocolError(f"the connection broke off: {error}", error) from error
        finally:
            if reusable:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connections; the next request makes one."""
        while self._idle:
            self._idle.pop().close()

    def _waiting(self) -> HTTPConnection | None:
        """One that can be used again: the other side has not closed it, and has said nothing unasked."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_connected:
                return connection
            connection.close()

    def _connected(self) -> HTTPConnection:
        connection = self._connection()
        with ExitStack() as failing:
            failing.callback(connection.close)
            try:
                connection.connect()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:  # as when a server is restarted
                raise NewConnectionError(connection, f"closed while it was made secure: {error}") from error
            except ssl.SSLError as error:
                raise SSLError(error) from error
            except TimeoutError as error:
                raise ConnectTimeoutError(connection, "no secure connection in time") from error
            except OSError as error:
                raise NewConnectionError(connection, str(error)) from error
            failing.pop_all()
        return connection


def _exchanged(connection: HTTPConnection, request: bytes, seconds: float) -> Answer:
    wire = connection.sock
    wire.settimeout(seconds)
    with suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before all is sent, as to a long body
        wire.sendall(request)
    return read_answer(partial(wire.recv, AT_ONCE))
