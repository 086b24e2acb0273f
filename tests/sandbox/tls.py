"""An embedded CRM behind TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from .salesforce_keys import pair


@contextmanager
def over_tls(routes: Sequence[BaseRoute], folder: Path) -> Iterator[str]:
    """The address of these routes, with a certificate that no authority signed; ``ca.pem`` in the folder is it."""
    files = {name: folder / f"{name}.pem" for name in ("key", "ca")}
    files["key"].write_text(pair("tls").private, encoding="utf-8")
    files["ca"].write_text(pair("tls").certificate, encoding="utf-8")
    config = uvicorn.Config(
        Starlette(routes=list(routes)),
        host="127.0.0.1",
        port=0,
        log_level="critical",
        date_header=False,
        ssl_keyfile=str(files["key"]),
        ssl_certfile=str(files["ca"]),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
