"""The way to a portal: certificates of one's own, and a proxy."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagesync.connectors.hubspot import HubSpotConnection, HubSpotReader, connect
from stagesync.connectors.hubspot.faults import OutcomeUnknown
from stagesync.connectors.hubspot.transport import Client, Request, WriteTransport
from stagesync.errors import ConfigurationError, ConnectionFailed
from stagesync.sandbox.hubspot.server import routes

from .hubspot_office import CREDENTIAL, Office, office
from .salesforce_keys import pair
from .tls import over_tls

__all__ = ["office"]


def reader(url: str, **said: Any) -> HubSpotReader:
    connection = HubSpotConnection(connection="acme", base_url=url, access_token=CREDENTIAL, **said)
    return connect(connection, sleep=lambda _: None)[0]


def test_tls_is_checked_against_the_bundle(office: Office, tmp_path: Path) -> None:
    with over_tls(routes(office.portal), tmp_path) as url:
        assert reader(url, ca_bundle=tmp_path / "ca.pem").identity().key == str(office.portal.portal_id)
        with pytest.raises(ConnectionFailed, match="secure connection failed; check the address and ca_bundle"):
            reader(url).identity()


def test_a_bundle_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate", encoding="utf-8")
    for bundle in (tmp_path / "none.pem", empty):
        with pytest.raises(ConfigurationError, match=f"connection acme: ca_bundle: {bundle} cannot be read"):
            reader("https://api.example", ca_bundle=bundle)


def test_a_proxy_is_used_but_for_this_machine(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    dead = "http://me:hush@127.0.0.1:9"
    assert reader(office.connection.base_url, proxy=dead).identity().key == str(office.portal.portal_id)
    with pytest.raises(ConnectionFailed, match="the proxy lets no connection through; check the setting") as caught:
        reader("https://api.example", proxy=dead).identity()
    assert "hush" not in str(caught.value)


def test_a_proxy_hears_the_password_and_nothing_of_the_token() -> None:
    """It is asked for a tunnel; what goes through is TLS."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            for _ in range(6):
                with server.accept()[0] as caller:
                    heard.append(caller.recv(65_536))
                    caller.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        proxy = f"http://me:h%40sh@127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConnectionFailed, match="the proxy lets no connection through") as caught:
            reader("https://api.example", proxy=proxy).identity()
        thread.join(10)
    assert "h@sh" not in str(caught.value)
    assert len(heard) == 6
    for request in heard:
        assert request.startswith(b"CONNECT api.example:443")
        assert base64.b64encode(b"me:h@sh") in request
        assert CREDENTIAL.encode() not in request


def put_off(context: ssl.SSLContext, caller: socket.socket) -> None:
    context.wrap_socket(caller, server_side=True).recv(65_536)


def garble(context: ssl.SSLContext, caller: socket.socket) -> None:
    """An answer that no key opens."""
    wire = caller.dup()
    context.wrap_socket(caller, server_side=True).recv(65_536)
    wire.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)


@pytest.mark.parametrize("end", [put_off, garble])
def test_a_task_that_a_proxy_let_through_and_no_answer_came_to_is_not_made_again(
    end: Callable[[ssl.SSLContext, socket.socket], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagesync.connectors.hubspot.connection._is_loopback", lambda _host: False)
    files = {name: tmp_path / f"{name}.pem" for name in ("key", "ca")}
    files["key"].write_text(pair("tls").private, encoding="utf-8")
    files["ca"].write_text(pair("tls").certificate, encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["ca"], files["key"])
    tunnels = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            nonlocal tunnels
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    tunnels += 1
                    caller.recv(65_536)
                    caller.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    end(context, caller)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        connection = HubSpotConnection(
            connection="acme", base_url="https://127.0.0.1", access_token="t", ca_bundle=files["ca"], proxy=proxy
        )
        transport = WriteTransport(Client(connection, sleep=lambda _: None))
        with pytest.raises(OutcomeUnknown):
            transport.send(dict, Request(path="/crm/v3/objects/tasks", body={}), idempotent=False)
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert tunnels == 1


@pytest.mark.parametrize("url", ["proxy.example:3128", "socks5://proxy.example", "http://", "http://a:hush@b:port"])
def test_what_is_no_proxy_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy: write a URL") as caught:
        reader("https://api.example", proxy=url)
    assert "hush" not in str(caught.value)
