"""What goes wrong at a person's desk: a clear message, the documented exit code, no traceback, nothing half done."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stagesync.agent import cycle
from stagesync.errors import LedgerError
from stagesync.ledger import EntryKind, Ledger
from stagesync.model.crm import Identity
from stagesync.sandbox.server import Sandbox

from .conftest import FEW, Deploy
from .deployment import Deployment
from .office import offices
from .terminal import PATIENCE, STAGESYNC, Finished, run_here

pytestmark = pytest.mark.records(FEW)


@pytest.fixture
def nobody_listens() -> Iterator[str]:
    """An address at which connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening, so that nobody else can come to listen
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def refused(done: Finished, code: int, *words: str) -> None:
    """The exit code, and all of these words on standard error, and no traceback."""
    assert done.code == code, done.said
    assert "Traceback" not in done.said
    assert "should not happen" not in done.err
    for word in words:
        assert word in flat(done.err), f"{word!r} is not in {done.err!r}"


def flat(text: str) -> str:
    """The text as one line."""
    return " ".join(text.split())


def recorded(agent: Deployment, kind: EntryKind) -> int:
    with agent.ledger() as ledger:
        return ledger.count(kind=kind)


# Credentials and connections


@pytest.mark.parametrize(
    ("secret", "connection", "remedy"),
    [
        ("JOURNEY_SALESFORCE_SECRET", "salesforce", "client secret"),
        ("JOURNEY_HUBSPOT_TOKEN", "hubspot", "token"),
    ],
)
def test_wrong_credentials(sandbox: Sandbox, deploy: Deploy, secret: str, connection: str, remedy: str) -> None:
    agent = deploy(sandbox)
    agent.secrets[secret] = "not-the-right-one-4711"
    done = agent.run("run")
    refused(done, 5, connection, remedy)
    assert "not-the-right-one-4711" not in done.said
    other = next(office for office in offices(sandbox) if office.name != connection)
    (failed,) = [office for office in offices(sandbox) if office.name == connection]
    assert failed.tasks() == []
    assert other.tasks() != [], "the other CRM is done all the same"


@pytest.mark.parametrize(("connection", "where"), [("salesforce", "login_url"), ("hubspot", "base_url")])
def test_a_crm_that_is_down(still: Sandbox, deploy: Deploy, nobody_listens: str, connection: str, where: str) -> None:
    agent = deploy(still)
    agent.words["connections"][connection][where] = nobody_listens
    agent.save()
    done = agent.run("audit", "--format", "json")
    refused(done, 5, connection, nobody_listens)
    judged = {scope["connection"] for scope in json.loads(done.out)["scope"]}
    assert judged == {"salesforce", "hubspot"} - {connection}
    with agent.ledger() as ledger:
        assert ledger.run("last").result == "failed"


# Definitions, mappings and settings


def edit(file: Path, old: str, new: str) -> int:
    """Replace some text; return the line on which it stands."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_a_definition_with_an_unknown_field(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    file = agent.copy_of("definitions/recommended.yaml")
    line = edit(file, "check: stated(pain)", "check: stated(pian)")
    column = file.read_text(encoding="utf-8").splitlines()[line - 1].index("pian") + 1
    for command in ("check", "run"):
        refused(agent.run(command), 2, f"recommended.yaml:{line}:{column}: ", "pian", "did you mean 'pain'")
    assert not agent.ledger_file.exists()


def test_all_problems_of_a_definition_are_told_at_once(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    file = agent.copy_of("definitions/recommended.yaml")
    lines = [
        edit(file, "check: stated(pain)", "check: stated(pian)"),
        edit(file, "check: amount > 0", "check: amount > 'much'"),
        edit(file, "check: employees between 20 and 5000", "check: employes between 20 and 5000"),
    ]
    done = agent.run("check")
    refused(done, 2, *(f"recommended.yaml:{line}:" for line in lines))


def test_a_mapping_that_names_a_stage_the_crm_lacks(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    file = agent.copy_of("mappings/salesforce.yaml")
    line = edit(file, "        Needs Analysis: opportunity", "        Need Analysis: opportunity")
    done = agent.run("run")
    refused(done, 2, f"salesforce.yaml:{line}:", "Need Analysis", "did you mean 'Needs Analysis'")
    salesforce, hubspot = offices(sandbox)
    assert salesforce.tasks() == []
    assert hubspot.tasks() != []


def test_an_unknown_key_in_the_settings(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    agent.words["guadr"] = agent.words.pop("guard")
    agent.save()
    text = agent.config.read_text(encoding="utf-8").splitlines()
    line = next(number for number, words in enumerate(text, 1) if words.startswith("guadr"))
    refused(agent.run("audit"), 2, f"stagesync.yaml:{line}:1: ", "guadr", "did you mean 'guard'")


def _absent(agent: Deployment) -> None:
    agent.config.unlink()


def _broken(agent: Deployment) -> None:
    agent.config.write_text("connections: {salesforce: [\n", encoding="utf-8")


def _folder(agent: Deployment) -> None:
    agent.config.unlink()
    agent.config.mkdir()


def _binary(agent: Deployment) -> None:
    agent.config.write_bytes(b"\xff\xfe\x00definitions\x00" * 50)


def _empty(agent: Deployment) -> None:
    agent.config.write_text("", encoding="utf-8")


def _list(agent: Deployment) -> None:
    agent.config.write_text("- one\n- two\n", encoding="utf-8")


def _time_zone(agent: Deployment) -> None:
    agent.words["time_zone"] = "Mars/Phobos"
    agent.save()


@pytest.mark.parametrize("spoil", [_absent, _broken, _folder, _binary, _empty, _list, _time_zone])
def test_settings_that_cannot_be_read(still: Sandbox, deploy: Deploy, spoil: Callable[[Deployment], None]) -> None:
    agent = deploy(still)
    spoil(agent)
    refused(agent.run("log" if spoil is _absent else "check"), 2, "stagesync.yaml")


def test_a_file_that_may_not_be_read(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    file = agent.copy_of("definitions/recommended.yaml")
    # A link to itself cannot be read by anybody, not even by root, who may read everything else.
    file.unlink()
    file.symlink_to(file.name)
    refused(agent.run("check"), 2, "recommended.yaml")


def test_a_secret_that_is_not_there(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    missing = agent.run("run", environment={"JOURNEY_HUBSPOT_TOKEN": None})
    refused(missing, 2, "hubspot", "token", "JOURNEY_HUBSPOT_TOKEN")
    agent.words["connections"]["hubspot"]["token"] = {"file": "no-such-file"}
    agent.save()
    refused(agent.run("run"), 2, "hubspot", "token", "no-such-file")


def test_wrong_usage() -> None:
    for arguments in (
        ["no-such-command"],
        ["audit", "--format", "yaml"],
        ["audit", "--no-such-option"],
        ["log", "show"],
    ):
        done = run_here(*arguments, folder=Path("/"), environment=os.environ)
        assert done.code == 2, done.err
        assert "Traceback" not in done.err


# Ports


@pytest.mark.parametrize("command", ["sandbox", "daemon"])
def test_a_port_in_use(still: Sandbox, deploy: Deploy, command: str) -> None:
    agent = deploy(still)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if command == "daemon":
            agent.words["health"]["port"] = port
            agent.save()
            done = agent.run_apart("daemon")
        else:
            arguments = ["sandbox", "--records", "2", "--port", str(port)]
            ran = subprocess.run(
                [*STAGESYNC, *arguments], check=False, capture_output=True, text=True, timeout=PATIENCE
            )
            done = Finished(code=ran.returncode, out=ran.stdout, err=ran.stderr)
    refused(done, 2, str(port), "choose another")


# The guard and the scope


def test_the_guard_refuses_before_the_first_write(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.words["guard"] = {"stage_changes": 1, "share": 0.001, "money": 1.0, "tasks": 2}
    agent.save()
    before = {office.name: office.rows() for office in offices(sandbox)}
    done = agent.run("run")
    refused(done, 4, "guard.stage_changes", "guard.share", "guard.money", "guard.tasks", "Nothing was written")
    assert agent.run("plan").code == 4
    assert agent.run("audit").code == 0
    assert {office.name: office.rows() for office in offices(sandbox)} == before
    assert recorded(agent, EntryKind.INTENT) == 0
    with agent.ledger() as ledger:
        assert {run.command: run.result for run in ledger.runs()}["run"] == "refused"


def test_a_stage_that_nobody_mapped_is_counted(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    file = agent.copy_of("mappings/salesforce.yaml")
    edit(file, "        Needs Analysis: opportunity\n", "")
    agent.words["guard"] = {"stage_changes": 0, "share": 0.0, "tasks": 0}
    agent.save()
    done = agent.run("audit", "--format", "json")
    assert done.code == 3, done.said
    (scope,) = [one for one in json.loads(done.out)["scope"] if one["object"] == "Opportunity"]
    there = still.org.database.value('SELECT count(*) FROM "Opportunity" WHERE "StageName" = \'Needs Analysis\'')
    assert there > 0
    (reason,) = [reason for reason in scope["skipped"] if "Needs Analysis" in reason]
    assert scope["skipped"][reason] == there
    assert scope["in_scope"] == scope["evaluated"] + sum(scope["skipped"].values())
    table = agent.run("audit")
    assert table.code == 3
    assert "Needs Analysis" in table.out


def test_an_org_in_which_nothing_can_be_seen(sandbox: Sandbox, deploy: Deploy) -> None:
    for name in ("Lead", "Opportunity"):
        sandbox.org.database.execute(f'DELETE FROM "{name}"')
    agent = deploy(sandbox)
    done = agent.run("audit")
    refused(done, 3, "salesforce", "Nothing was judged")
    assert "deals" in done.out


# The ledger


def test_a_ledger_that_somebody_holds(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    before = {office.name: office.rows() for office in offices(sandbox)}
    with agent.agent() as opened, closing(sqlite3.connect(agent.ledger_file, isolation_level=None)) as other:
        # In this process, where half a minute of waiting for the lock can be cut short.
        brief = replace(opened, ledger=Ledger.open(f"sqlite:///{agent.ledger_file}", wait=0.2))
        other.execute("BEGIN IMMEDIATE")
        with brief.ledger, pytest.raises(LedgerError, match="is locked by another process") as caught:
            cycle.run(brief, command="run", write=True)
    assert caught.value.exit_code == 3
    assert {office.name: office.rows() for office in offices(sandbox)} == before


@pytest.mark.parametrize(
    "contents", [b"this is no database, only a text" * 100, b"SQLite format 3\x00" + b"\x07" * 5_000]
)
def test_a_ledger_that_is_none(sandbox: Sandbox, deploy: Deploy, contents: bytes) -> None:
    agent = deploy(sandbox)
    agent.ledger_file.write_bytes(contents)
    before = {office.name: office.rows() for office in offices(sandbox)}
    refused(agent.run("run"), 3, "ledger.db")
    refused(agent.run("log"), 3, "ledger.db")
    assert {office.name: office.rows() for office in offices(sandbox)} == before
    assert agent.ledger_file.read_bytes() == contents


def test_the_token_of_another_org(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    with agent.agent() as opened:
        for crm in ("salesforce", "hubspot"):
            other = Identity(crm=crm, key="another", name="Another", url="https://another.example")
            opened.ledger.pin(crm, other, opened.clock())
    before = {office.name: office.rows() for office in offices(sandbox)}
    done = agent.run("run")
    refused(done, 3, "'salesforce' was org another", "'hubspot' was portal another")
    assert {office.name: office.rows() for office in offices(sandbox)} == before


# Output


def test_each_format_goes_to_standard_output_alone(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    document = agent.run("audit", "--format", "json")
    rows = agent.run("audit", "--format", "csv")
    table = agent.run("audit", "--format", "markdown", "--limit", "3")
    assert [one.code for one in (document, rows, table)] == [0, 0, 0]
    found = json.loads(document.out)
    assert document.err, "progress is told on standard error"
    assert len(list(csv.DictReader(io.StringIO(rows.out)))) == len(found["findings"]) > 3
    lines = table.out.splitlines()
    assert lines[1].startswith("| ---")
    assert len([line for line in lines if line.startswith("|")]) == 2 + 3
    assert f"{len(found['findings']) - 3} more findings are not shown" in table.out


def test_a_list_says_what_it_left_out(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    short = agent.run("audit", "--limit", "2")
    whole = agent.run("audit", "--limit", "0")
    assert "are not shown; --limit 0 shows all" in short.out
    assert "are not shown" not in whole.out
    assert len(whole.out) > len(short.out)


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_leaves_early(still: Sandbox, deploy: Deploy, form: str) -> None:
    agent = deploy(still)
    process = agent.start("audit", "--limit", "0", "--format", form)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in err
    assert "Broken" not in err


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_disk_that_is_full_where_the_output_goes(form: str) -> None:
    """The work is done all the same, and the exit code says that not all of it was told."""
    exports = Path(__file__).parents[1] / "data" / "salesforce_exports" / "developer_org"
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [*STAGESYNC, "audit", "--from", str(exports), "--format", form]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 3
    assert "could not be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "should not happen" not in done.stderr


def test_fail_on_makes_findings_an_exit_code(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    assert agent.run("audit", "--fail-on", "low").code == 1


# Secrets


def test_secrets_appear_nowhere(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    secrets = {name: value for name, value in agent.secrets.items() if not name.endswith("_ID")}
    said = [agent.run("--verbose", "run"), agent.run("log", "show", "last", "--format", "json")]
    sandbox.org.client_secret = "changed"
    sandbox.org.revoke_tokens()
    sandbox.portal.faults.token_revoked = True
    said.append(agent.run("--verbose", "run"))
    assert [one.code for one in said] == [0, 0, 5]
    sessions = [row["token"] for row in sandbox.org.database.rows("SELECT token FROM _session")]
    for value in [*secrets.values(), *sessions]:
        for one in said:
            assert value not in one.said
        assert len(agent.files()) > 10
        for file in agent.files():
            assert value.encode() not in file.read_bytes(), file


def test_a_secret_in_the_settings_is_refused_and_not_repeated(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    agent.words["connections"]["hubspot"]["token"] = "pat-eu1-very-secret"
    agent.save()
    done = agent.run("check")
    refused(done, 2, "stagesync.yaml")
    assert "very-secret" not in done.said
    agent.words["connections"]["hubspot"]["token"] = {"env": "A", "value": "pat-eu1-very-secret"}
    agent.config.write_text(yaml.safe_dump(agent.words), encoding="utf-8")
    assert "very-secret" not in agent.run("check").said
