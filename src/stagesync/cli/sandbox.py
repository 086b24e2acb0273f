"""``stagesync sandbox``: two CRMs on one local port."""

from __future__ import annotations

import tempfile
from pathlib import Path

from stagesync.cli import show
from stagesync.errors import UsageError
from stagesync.sandbox.server import MANIFEST, PortInUse, Sandbox

DEFAULT_PORT = 8770


def sandbox(*, seed: int, records: int, port: int | None, directory: Path | None) -> int:
    """Serve until Ctrl-C. A directory that holds a sandbox already is opened as it was left."""
    new_port = DEFAULT_PORT if port is None else port
    try:
        if directory is None:
            with tempfile.TemporaryDirectory(prefix="stagesync-sandbox-") as scratch:
                _serve(_created(Path(scratch), seed=seed, records=records, port=new_port))
        elif (directory / MANIFEST).exists():
            _serve(Sandbox.open(directory, port=port))
        else:
            _serve(_created(directory, seed=seed, records=records, port=new_port))
    except PortInUse as error:
        raise UsageError(error.strerror) from None
    except OSError as error:
        raise UsageError(f"{directory or 'the temporary folder'}: {error.strerror}") from error
    return 0


def _created(directory: Path, *, seed: int, records: int, port: int) -> Sandbox:
    with show.err.status("inventing a company") as status:

        def told(done: int, total: int, what: str) -> None:
            status.update(f"inventing a company: {done:,} of {total:,} {what}")

        return Sandbox.create(directory, seed=seed, records=records, port=port, progress=told)


def _serve(sandbox: Sandbox) -> None:
    def ready(running: Sandbox) -> None:
        lines = [
            f"Salesforce and HubSpot answer at {running.url}",
            f"  Salesforce: login_url {running.url}, client id {running.client_id}, secret {running.client_secret}",
            f"  HubSpot:    base_url {running.url}, token {running.hubspot_token}",
            f"  What an audit must find: {running.answers_path}",
            "Ctrl-C ends it.",
        ]
        for line in lines:
            show.out.print(line, markup=False, soft_wrap=True)

    sandbox.serve_forever(ready)
