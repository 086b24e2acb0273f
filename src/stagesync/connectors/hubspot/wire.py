"""One exchange over a connection: a request goes out in one piece, and llhttp reads the answer.

urllib3 makes the connection, with TLS and its checks. To write the request and to read the answer line by line in
Python, as its pool and ``http.client`` do, is a sixth of a pull's work for the processor. llhttp is the parser of
Node.js, which httptools brings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http.client import IncompleteRead, RemoteDisconnected

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from urllib3.exceptions import DecodeError, ProtocolError

from stagesync.connectors.bodies import gunzip, is_gzip

LONGEST_HEAD = 262_144  # bytes
INFORMATIONAL = 200
"""An answer with a status below it is followed by another one to the same request."""
_FRAMED = ("content-length", "transfer-encoding")
_AS_IT_IS = ("", "identity")
_BREAK = re.compile(r"[\r\n\0]")


class Answer:
    """An answer, whole, with those attributes of urllib3's that the official client and ours look at.

    ``body`` is as it came, names of ``headers`` are in lower case. ``reusable`` says whether another request may follow
    on the connection.
    """

    def __init__(self) -> None:
        self.status = 0
        self.reason = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.reusable = False

    @property
    def data(self) -> bytes:
        """The body of an error, unpacked; as it came where it cannot be: its status counts all the same."""
        try:
            return self.read(decode_content=True)
        except DecodeError:
            return self.body

    def read(self, *, decode_content: bool) -> bytes:
        """The body, as it came or unpacked; raises urllib3's ``DecodeError``."""
        if not decode_content:
            return self.body
        if is_gzip(self.headers):
            return gunzip(self.body)
        way = self.headers.get("content-encoding", "").strip().lower()
        if way not in _AS_IT_IS:
            raise DecodeError(f"a body packed by {way}, which nobody asked for", None)
        return self.body

    def getheaders(self) -> Mapping[str, str]:
        """The headers."""
        return self.headers


def request_bytes(method: str, target: str, fields: Mapping[str, str], body: str | bytes | None) -> bytes:
    """A request as it goes over the wire; ``target`` is its path and query.

    Raises ValueError for a line break or a NUL in its head, where it would begin another header or request.
    """
    content = body.encode() if isinstance(body, str) else body or b""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if content or method != "GET":
        lines.append(f"Content-Length: {len(content)}")
    for line in lines:
        if _BREAK.search(line):
            # What stands behind the name may be a token.
            raise ValueError(f"a line break or a NUL in a request, at {line.split()[0]!r}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def read_answer(receive: Callable[[], bytes]) -> Answer:
    """The answer to a request; ``receive`` gives the next bytes, and none at all where the other side has closed.

    Raises what ``receive`` raises, ``http.client.RemoteDisconnected`` where nothing came, ``IncompleteRead`` for a
    cut-off answer, and urllib3's ``ProtocolError`` for what is not HTTP/1.1.
    """
    return _Reading().to_the_end(receive)


class _Reading:
    """An answer as far as it has come. The methods named ``on_…`` are those that httptools calls."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._received = 0
        self._complete = False
        self._begin()

    def to_the_end(self, receive: Callable[[], bytes]) -> Answer:
        try:
            while not self._complete:
                if data := receive():
                    self._feed(data)
                else:
                    self._closed()
        finally:
            del self._parser  # it holds this, so that neither would go before Python looks for garbage
        self._answer.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return self._answer

    def _begin(self) -> None:
        self._answer = Answer()
        self._headed = False
        self._body: list[bytes] = []

    def _feed(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._complete:
                raise ProtocolError(f"an answer that is not HTTP/1.1: {error}") from error
            self._answer.reusable = False  # something follows that nobody asked for
        if not self._headed and self._received > LONGEST_HEAD:
            raise ProtocolError(f"the head of an answer is longer than {LONGEST_HEAD} bytes")

    def _closed(self) -> None:
        """The other side has closed the connection, which is the end of a body of unstated length."""
        if not self._received:
            raise RemoteDisconnected("the connection was closed without an answer")
        if not self._headed or any(name in self._answer.headers for name in _FRAMED):
            raise IncompleteRead(b"".join(self._body))
        self._complete = True

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("another answer")

    def on_status(self, words: bytes) -> None:
        self._answer.reason += words.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        headers, key, text = self._answer.headers, name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        self._headed, self._answer.status = True, self._parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._answer.status < INFORMATIONAL:
            self._begin()
        else:
            self._complete, self._answer.reusable = True, self._parser.should_keep_alive()
