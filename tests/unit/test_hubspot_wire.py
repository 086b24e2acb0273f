"""Requests and answers as bytes, and the connections that they go over, against a server of plain sockets."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead, RemoteDisconnected
from io import BytesIO
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import DecodeError, NewConnectionError, ProtocolError, SSLError

from stagesync.connectors.bodies import whole_body
from stagesync.connectors.hubspot.client import Client, Request
from stagesync.connectors.hubspot.connection import HubSpotConnection
from stagesync.connectors.hubspot.faults import Fault, OutcomeUnknown
from stagesync.connectors.hubspot.hosts import OneHost
from stagesync.connectors.hubspot.tokens import OAuthApp
from stagesync.connectors.hubspot.transport import WriteTransport
from stagesync.connectors.hubspot.wire import LONGEST_HEAD, Answer, read_answer, request_bytes
from stagesync.errors import ConnectionFailed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HINTS = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = {"Accept-Encoding": "gzip"}


def received(*pieces: bytes) -> Answer:
    """What is read where these bytes come and then the connection is closed."""
    coming = iter(pieces)
    return read_answer(lambda: next(coming, b""))


# ------------------------------------------------------------------------------------------------- answers


class Wire:
    """Bytes that http.client takes for a socket."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self.content)


def chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    """The body in chunks of these sizes, and the rest in one."""
    chunks = b""
    for size in [*sizes, len(body)]:
        piece, body = body[:size], body[size:]
        chunks += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    return chunks + b"0\r\n\r\n"


HEADERS = st.dictionaries(
    st.sampled_from(["Date", "X-HubSpot-RateLimit-Max", "Set-Cookie", "Retry-After", "Content-Type"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
)


@given(
    st.sampled_from([200, 207, 400, 429, 503, 599]),
    HEADERS,
    st.binary(max_size=300),
    st.lists(st.integers(1, 50), max_size=5) | st.none(),
    st.lists(st.integers(1, 40)),
)
def test_answers_are_read_as_http_client_reads_them(
    status: int, headers: dict[str, str], body: bytes, chunks: list[int] | None, cuts: list[int]
) -> None:
    """In whatever pieces they come, and whether their length is stated or they come in chunks."""
    framing = f"Content-Length: {len(body)}" if chunks is None else "Transfer-Encoding: chunked"
    lines = [f"HTTP/1.1 {status} Some words", framing, *(f"{name}: {value}" for name, value in headers.items())]
    content = "\r\n".join([*lines, "", ""]).encode() + (body if chunks is None else chunked(body, chunks))
    rival = HTTPResponse(cast("socket.socket", Wire(content)))
    rival.begin()

    pieces: list[bytes] = []
    rest = content
    for cut in cuts:
        pieces, rest = [*pieces, rest[:cut]], rest[cut:]
    answer = received(*filter(None, [*pieces, rest]))

    assert (answer.status, answer.reason, answer.read(decode_content=True)) == (rival.status, rival.reason, body)
    assert answer.headers == {name.lower(): value for name, value in rival.getheaders()}
    assert rival.read() == body
    assert answer.reusable


@pytest.mark.parametrize(
    ("content", "body", "reusable"),
    [
        pytest.param(OK, b"hi", True, id="length"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", True, id="no content"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi", True, id="no words"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\n" + OK, b"hi", True, id="hints"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi", False, id="until it is closed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", b"hi", False, id="said to be closed"),
        pytest.param(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), b"hi", False, id="closed after it"),
        pytest.param(OK + OK, b"hi", False, id="another answer follows"),
        pytest.param(OK + b"<html>", b"hi", False, id="something else follows"),
        pytest.param(CHUNKED + b"2;a=b\r\nhi\r\n0\r\nLate: yes\r\n\r\n", b"hi", True, id="trailers"),
    ],
)
def test_where_an_answer_ends(content: bytes, body: bytes, reusable: bool) -> None:
    for pieces in ([content], [content[at : at + 1] for at in range(len(content))]):
        answer = received(*pieces)
        assert answer.body == body
        if len(pieces) == 1:  # what follows comes together with the answer, or on a connection that waits
            assert answer.reusable is reusable
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", RemoteDisconnected),
        (b"HTTP/1.1 200 OK\r\nContent-", IncompleteRead),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", IncompleteRead),
        (CHUNKED + b"2\r\nhi\r\n", IncompleteRead),
        (b"<html>It works!</html>", ProtocolError),
        (CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 2\r\n") + b"2\r\nhi\r\n0\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhi", ProtocolError),
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n..", ProtocolError),
    ],
)
def test_what_is_no_whole_answer(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        received(*filter(None, [content]))


def test_a_head_without_end_is_given_up() -> None:
    asked = 0

    def more() -> bytes:
        nonlocal asked
        asked += 1
        return b"X-More: and more\r\n" * 1000 if asked > 1 else b"HTTP/1.1 200 OK\r\n"

    with pytest.raises(ProtocolError, match=f"longer than {LONGEST_HEAD} bytes"):
        read_answer(more)
    assert asked < 100


def test_headers_that_come_twice_are_one() -> None:
    answer = received(OK.replace(b"OK\r\n", b"OK\r\nVary: a\r\nVARY: b\r\n"))
    assert answer.headers["vary"] == "a, b"


def test_bodies_are_unpacked() -> None:
    packed = gzip.compress(b"first ") + gzip.compress(b"second")
    for encoding, body in (("gzip", packed), ("X-GZIP", packed), ("identity", b"first second")):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = received(head.encode() + body)
        assert whole_body(answer) == answer.data == b"first second"
        assert answer.read(decode_content=False) == body
    with pytest.raises(DecodeError, match="packed by br, which nobody asked for"):
        whole_body(received(OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: br\r\n")))
    with pytest.raises(DecodeError, match="not the gzip that was promised"):
        whole_body(received(OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n")))


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip"])
def test_an_error_keeps_its_status_where_its_body_cannot_be_unpacked(encoding: str) -> None:
    head = f"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Encoding: {encoding}\r\nContent-Length: 6\r\n\r\n"
    with served(answering(head.encode() + b"<html>")) as (url, _):
        client = Client(HubSpotConnection(connection="crm", access_token="t", base_url=url))
        with pytest.raises(Fault, match="HTTP 429") as caught:
            client.call(Request(path="/x", body={}))
        client.close()
    assert (caught.value.landed, caught.value.pause) == (False, 3)


# ------------------------------------------------------------------------------------------------ requests


def test_requests_as_they_are_sent() -> None:
    assert request_bytes("GET", "/a?b=c", {"Host": "h"}, None) == b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
    sent = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}"
    for body in ("", "{}", "Grüße"):
        assert request_bytes("POST", "/", {"Host": "h"}, body) == sent.format(len(body.encode()), body).encode()
    assert request_bytes("POST", "/", {"Host": "h"}, None) == sent.format(0, "").encode()


@pytest.mark.parametrize("part", ["x\r\nHost: evil", "x\ny", "x\0"])
def test_nothing_gets_another_line_into_a_head(part: str) -> None:
    for target, fields in ((f"/{part}", {}), ("/", {"Authorization": part}), ("/", {part: "x"})):
        with pytest.raises(ValueError, match="a line break or a NUL") as caught:
            request_bytes("GET", target, fields, None)
        assert "evil" not in str(caught.value)


# --------------------------------------------------------------------------------------------- connections

Serving = Callable[[socket.socket, int], Any]
"""What a server does with one connection, which is the so manieth."""


@contextmanager
def served(serving: Serving) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            number = 0
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                number += 1
                with caller:
                    serving(cast("socket.socket", Noted(caller, heard)), number)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


class Noted:
    """A socket whose received bytes are noted."""

    def __init__(self, caller: socket.socket, heard: list[bytes]) -> None:
        self._caller, self._heard = caller, heard
        self.sendall, self.close = caller.sendall, caller.close

    def recv(self, most: int) -> bytes:
        data = self._caller.recv(most)
        if data:
            self._heard.append(data)
        return data


def answering(*answers: bytes) -> Serving:
    """Each request on a connection gets the next of these answers, and then the connection is closed."""

    def serving(caller: socket.socket, _: int) -> None:
        for answer in answers:
            if not caller.recv(65_536):
                return
            caller.sendall(answer)

    return serving


def get(host: OneHost, url: str) -> Answer:
    return host.urlopen("GET", f"{url}/x", headers=ASKED, preload_content=False)


def host(url: str, seconds: float = 5) -> OneHost:
    return OneHost(url, (seconds, seconds), None)


def test_one_connection_is_kept_and_made_anew_after_closing() -> None:
    numbers: list[int] = []

    def serving(caller: socket.socket, number: int) -> None:
        while caller.recv(65_536):
            numbers.append(number)
            caller.sendall(OK)

    with served(serving) as (url, _):
        one = host(url)
        for _ in range(2):
            assert [get(one, url).body for _ in range(3)] == [b"hi"] * 3
            one.close()
    assert numbers == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    "last", [OK + b"HTTP/1.1 408 Request Timeout\r\n\r\n", OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), OK]
)
def test_a_connection_that_cannot_be_used_again_is_left(last: bytes) -> None:
    """It was closed while nobody looked, or it said something that nobody asked for."""
    with served(answering(OK, last)) as (url, heard):
        one = host(url)
        assert [get(one, url).body for _ in range(6)] == [b"hi"] * 6
        one.close()
    assert len(heard) == 6


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"junk"])
def test_a_broken_answer_is_told_and_asked_for_once(sent: bytes) -> None:
    with served(answering(sent)) as (url, heard):
        one = host(url)
        with pytest.raises(ProtocolError):
            get(one, url)
        one.close()
    assert len(heard) == 1


def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    def silent(caller: socket.socket, _: int) -> None:
        while caller.recv(65_536):
            pass

    with served(silent) as (url, _), pytest.raises(TimeoutError):
        get(host(url, 0.05), url)


def test_an_answer_may_come_before_the_whole_request_was_taken() -> None:
    refusal = b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def serving(caller: socket.socket, _: int) -> None:
        caller.recv(10)
        caller.sendall(refusal)
        while caller.recv(1 << 20):  # taken away, so that the answer is not lost to a reset
            pass

    with served(serving) as (url, _):
        assert host(url).urlopen("POST", f"{url}/x", headers=ASKED, body=b"x" * 5_000_000).status == 413


def test_where_nothing_was_sent_the_error_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(NewConnectionError):
        get(host(url), url)
    with pytest.raises(NewConnectionError):
        get(host("http://no-such-host.invalid"), "http://no-such-host.invalid")

    unspeakable = Client(HubSpotConnection(connection="crm", access_token="t", base_url="https://a..b"))
    with pytest.raises(Fault, match="cannot connect") as caught:
        unspeakable.call(Request(path="/x", body={}))
    assert not caught.value.landed

    def restarting(caller: socket.socket, _: int) -> None:
        caller.recv(65_536)

    with served(restarting) as (url, _), pytest.raises(NewConnectionError):
        get(host(url.replace("http", "https")), url.replace("http", "https"))
    with served(answering(b"no TLS here")) as (url, _), pytest.raises(SSLError):
        get(host(url.replace("http", "https")), url.replace("http", "https"))


def test_the_host_is_named_with_its_port() -> None:
    with served(answering(OK)) as (url, heard):
        get(host(url), url)
    assert f"\r\nHost: {url.removeprefix('http://')}\r\n".encode() in heard[0]
    assert heard[0].count(b"Accept-Encoding") == 1


@pytest.mark.parametrize("url", ["https://[2001:db8::beef]", "https://[::1]", "https://api.hubapi.com"])
def test_an_address_without_a_port_has_the_one_of_its_scheme(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int]] = []

    def refusing(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        made.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("urllib3.util.connection.create_connection", refusing)
    with pytest.raises(NewConnectionError):
        get(host(url), url)
    assert made == [(url.removeprefix("https://").strip("[]"), 443)]


def test_a_scheme_may_be_written_in_capitals() -> None:
    with served(answering(OK)) as (url, heard):
        shouted = url.replace("http", "HTTP")
        get(host(shouted), shouted)
    assert heard[0].startswith(b"GET /x HTTP/1.1\r\n")


def test_a_write_without_a_token_was_not_sent() -> None:
    app = OAuthApp(client_id="i", client_secret="s", refresh_token="r")
    failing = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    with served(answering(*[failing] * 9)) as (url, heard):
        client = Client(HubSpotConnection(connection="crm", oauth=app, base_url=url), sleep=lambda _: None)
        with pytest.raises(ConnectionFailed) as caught:
            WriteTransport(client).send(dict, Request(path="/x", body={}), idempotent=False)
        client.close()
    assert not isinstance(caught.value, OutcomeUnknown)
    assert all(b"/oauth/" in request for request in heard)
