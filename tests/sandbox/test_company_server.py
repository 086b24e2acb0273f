"""The sandbox as a program meets it: one address, two CRMs, a key, and clean ends."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from stagesync.sandbox.company.answers import read_answers
from stagesync.sandbox.server import PortInUse, Sandbox, SandboxExists, SandboxMissing

AS_OF = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    place = tmp_path_factory.mktemp("sandbox")
    with Sandbox.create(place, seed=3, records=60, as_of=AS_OF, clock=lambda: AS_OF) as running:
        yield running


def _salesforce(sandbox: Sandbox) -> dict[str, str]:
    form = {
        "grant_type": "client_credentials",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }
    answer = requests.post(f"{sandbox.url}/services/oauth2/token", data=form, timeout=10).json()
    assert answer["instance_url"] == sandbox.url
    return {"Authorization": f"Bearer {answer['access_token']}"}


def test_salesforce_answers_with_the_seeded_leads(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/services/data/v67.0/query"
    answer = requests.get(url, params={"q": "SELECT Id FROM Lead"}, headers=_salesforce(sandbox), timeout=10)
    assert answer.json()["totalSize"] == 30


def test_salesforce_shows_a_deal_with_all_that_hangs_on_it(sandbox: Sandbox) -> None:
    soql = (
        "SELECT Id, Owner.Name, Account.NumberOfEmployees, (SELECT Role FROM OpportunityContactRoles), "
        "(SELECT StageName FROM OpportunityHistories) FROM Opportunity WHERE StageName = 'Closed Won' LIMIT 1"
    )
    url = f"{sandbox.url}/services/data/v67.0/query"
    answer = requests.get(url, params={"q": soql}, headers=_salesforce(sandbox), timeout=10)
    assert answer.status_code == 200, answer.text
    (deal,) = answer.json()["records"]
    assert deal["OpportunityHistories"]["records"][-1]["StageName"]
    assert deal["Owner"]["Name"]


def test_hubspot_answers_with_the_seeded_deals(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.hubspot_token}"}
    seen, after = [], "0"
    while after:
        query = {"limit": "10", "after": after, "properties": "dealname,dealstage"}
        page = requests.get(f"{sandbox.url}/crm/v3/objects/deals", params=query, headers=headers, timeout=10).json()
        seen += page["results"]
        after = page.get("paging", {}).get("next", {}).get("after", "")
    assert len(seen) == len({deal["id"] for deal in seen}) == 30


def test_front_page_says_how_to_connect(sandbox: Sandbox) -> None:
    page = requests.get(sandbox.url, timeout=10).text
    for secret in (sandbox.url, sandbox.client_id, sandbox.client_secret, sandbox.hubspot_token):
        assert secret in page


def test_key_is_served_compressed_when_asked(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/answers"
    with requests.get(url, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.raw.read()) == sandbox.answers_path.read_bytes()
    plain = requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert plain.content == sandbox.answers_path.read_bytes()


def test_both_crms_compress_when_asked(sandbox: Sandbox) -> None:
    calls = (
        (f"{sandbox.url}/services/data/v67.0/query?q=SELECT+Id,Name,Company+FROM+Lead", _salesforce(sandbox)),
        (f"{sandbox.url}/crm/v3/objects/deals?limit=30", {"Authorization": f"Bearer {sandbox.hubspot_token}"}),
    )
    for url, headers in calls:
        packed = requests.get(url, headers={**headers, "Accept-Encoding": "gzip"}, timeout=10)
        plain = requests.get(url, headers={**headers, "Accept-Encoding": "identity"}, timeout=10)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert packed.json() == plain.json()


def test_a_dropped_answer_is_dropped_behind_compression_too(sandbox: Sandbox) -> None:
    lead = sandbox.org.database.value("SELECT MAX(Id) FROM Lead")
    headers = {**_salesforce(sandbox), "Accept-Encoding": "gzip"}
    sandbox.org.faults.drop_after_commit = 1
    url = f"{sandbox.url}/services/data/v67.0/sobjects/Lead/{lead}"
    with pytest.raises(requests.ConnectionError):
        requests.patch(url, json={"Company": "Dropped"}, headers=headers, timeout=10)
    assert sandbox.org.database.value("SELECT Company FROM Lead WHERE Id = ?", [lead]) == "Dropped"


def test_a_port_in_use_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} .* choose another port"):
            Sandbox.create(tmp_path / "new", port=port)
    assert not (tmp_path / "new").exists()


def test_state_survives_a_restart(tmp_path: Path) -> None:
    with Sandbox.create(tmp_path, records=20, as_of=AS_OF) as first:
        lead = first.org.database.value("SELECT MIN(Id) FROM Lead")
        answer = requests.patch(
            f"{first.url}/services/data/v67.0/sobjects/Lead/{lead}",
            json={"Company": "Renamed"},
            headers=_salesforce(first),
            timeout=10,
        )
        assert answer.status_code == 204, answer.text
        key = list(read_answers(first.answers_path))
    with Sandbox.open(tmp_path) as second:
        assert second.org.database.value("SELECT Company FROM Lead WHERE Id = ?", [lead]) == "Renamed"
        assert list(read_answers(second.answers_path)) == key
        assert second.org.new_id("Lead") > second.org.database.value("SELECT MAX(Id) FROM Lead")
    with pytest.raises(SandboxExists):
        Sandbox.create(tmp_path)


def test_an_interrupted_seeding_is_cleared_away(tmp_path: Path) -> None:
    def interrupt(done: int, _total: int, what: str) -> None:
        if what == "hubspot" and done == 0:
            raise KeyboardInterrupt

    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        Sandbox.create(tmp_path, records=20, progress=interrupt)
    with pytest.raises(SandboxMissing):
        Sandbox.open(tmp_path)
    heard: list[tuple[int, int, str]] = []
    Sandbox.create(tmp_path, records=20, progress=lambda *step: heard.append(step)).close()
    assert heard[-1] == (20, 20, "hubspot")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


PROGRAM = """
import sys
from stagesync.sandbox.server import Sandbox
sandbox = Sandbox.create(sys.argv[1], records=4)
sandbox.serve_forever(lambda running: print(running.url, flush=True))
print("closed", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "world")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        watchdog = threading.Timer(30, program.kill)
        watchdog.start()
        assert program.stdout is not None
        assert program.stderr is not None
        url = program.stdout.readline().strip()
        assert requests.get(url, timeout=10).ok
        os.kill(program.pid, number)
        assert program.stdout.read() == "closed\n"
        assert program.stderr.read() == ""
        assert program.wait() == 0
        watchdog.cancel()
