"""What the ledger holds, for people who look for something in it and for programs that take all of it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagesync.agent import cycle
from stagesync.cli import log as command
from stagesync.cli.options import Exported, Format
from stagesync.errors import UsageError
from stagesync.ledger import Entry, Where
from stagesync.sandbox.server import Sandbox
from tests.ledger.rawsql import execute
from tests.ledger.samples import NOON, outcome, stage_change, task_change

from .conftest import Deploy
from .deployment import Deployment


@pytest.fixture
def agent(still: Sandbox, deploy: Deploy) -> Deployment:
    """A deployment whose ledger was written by hand: two days, two records."""
    made = deploy(still)
    with made.ledger() as ledger:
        for day, number in ((0, 1), (1, 2)):
            at = NOON + timedelta(days=day)
            run = ledger.start_run(command="run", at=at, facts={})
            change, task = stage_change(number), task_change(number, owner="0059")
            ledger.record_intents(run, at=at, changes=[change, task])
            outcomes = [outcome(change), outcome(task, crm_id=f"00T{number}")]
            ledger.record_outcomes(run, at=at, connection="salesforce", outcomes=outcomes)
            ledger.finish_run(run, at=at, result="done", facts={})
    return made


def entries(agent: Deployment) -> list[Entry]:
    with agent.ledger() as ledger:
        return list(ledger.entries(newest_first=False))


FILTERS: dict[str, tuple[Where, Callable[[Entry], bool]]] = {
    "all": ({}, lambda _: True),
    "kind": ({"kind": "intent"}, lambda one: one.kind == "intent"),
    "record": ({"record": "006000000000001"}, lambda one: one.record == "006000000000001"),
    "rule and owner": (
        {"rule": "premature", "owner": "0059"},
        lambda one: (one.rule, one.owner) == ("premature", "0059"),
    ),
    "since": ({"since": NOON + timedelta(hours=3)}, lambda one: one.at > NOON + timedelta(hours=3)),
    "until": ({"until": NOON + timedelta(hours=3)}, lambda one: one.at < NOON + timedelta(hours=3)),
    "nothing": ({"record": "nobody"}, lambda _: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_asked_for_is_listed_and_exported(
    agent: Deployment, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where, holds = FILTERS[name]
    wanted = [one for one in entries(agent) if holds(one)]
    assert name in ("all", "nothing") or 0 < len(wanted) < len(entries(agent))

    command.list_entries(agent.config, where, output=Format.JSON, limit=100)
    assert [row["seq"] for row in json.loads(capsys.readouterr().out)] == [one.number for one in reversed(wanted)]
    out = {form: tmp_path / f"ledger.{form}" for form in Exported}
    for form, file in out.items():
        command.export(agent.config, where, out=file, form=form)
        assert f"{len(wanted)} entries are in" in capsys.readouterr().out
    lines = [json.loads(line) for line in out[Exported.JSONL].read_text(encoding="utf-8").splitlines()]
    assert [(line["seq"], line["body"], line["hash"]) for line in lines] == [(o.seq, o.body, o.hash) for o in wanted]
    table = pl.read_parquet(out[Exported.PARQUET])
    assert table["seq"].to_list() == [one.seq for one in wanted]
    assert table["at"].to_list() == [one.at for one in wanted]
    assert [json.loads(text) for text in table["body"]] == [one.body for one in wanted]
    with out[Exported.CSV].open(encoding="utf-8", newline="") as file_:
        rows = list(csv.DictReader(file_))
    assert [row["hash"] for row in rows] == [one.hash for one in wanted]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), pl.exceptions.ComputeError("parquet: No space left")]
)
def test_no_half_of_an_export_stays(
    agent: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def half(_entries: Iterator[Entry], file: Path) -> None:
        file.write_text("half", encoding="utf-8")
        raise error

    out = tmp_path / "export"
    monkeypatch.setitem(command._WRITERS, Exported.PARQUET, half)
    with pytest.raises(UsageError, match=r"cannot be written: .*No space left"):
        command.export(agent.config, {}, out=out, form=Exported.PARQUET)
    assert not list(tmp_path.glob("export*"))
    out.write_text("of last year", encoding="utf-8")
    with pytest.raises(UsageError):
        command.export(agent.config, {}, out=out, form=Exported.PARQUET)
    assert [file.read_text(encoding="utf-8") for file in tmp_path.glob("export*")] == ["of last year"]
    with pytest.raises(UsageError, match="No space left on device"):
        command.export(agent.config, {}, out=Path("/dev/full"), form=Exported.CSV)


def test_a_table_that_does_not_agree_with_the_entries_is_told_and_made_again(agent: Deployment) -> None:
    with agent.ledger() as ledger:
        before = ledger.tasks("salesforce")
    assert before
    execute(f"sqlite:///{agent.ledger_file}", "DELETE FROM open_tasks")
    told = agent.run("log", "verify")
    assert told.code == 3
    assert "the chain holds, but the table open_tasks does not agree with it" in told.err
    assert "broken" not in told.err
    assert "log verify --rebuild" in told.err
    mended = agent.run("log", "verify", "--rebuild")
    assert mended.code == 0, mended.said
    assert agent.run("log", "verify").code == 0
    with agent.ledger() as ledger:
        assert ledger.tasks("salesforce") == before


def test_no_entry_says_nothing_and_those_of_a_record_name_their_run(agent: Deployment) -> None:
    with agent.agent() as opened:
        cycle.run(opened, command="plan", write=False)
    rows = json.loads(agent.run("log", "list", "--since", "2020-01-01", "--limit", "0", "--format", "json").out)
    assert {row["kind"] for row in rows} >= {"run.started", "run.finished", "connection.pinned", "outcome"}
    assert [row for row in rows if not row["says"]] == []
    for line in agent.run("log", "record", "006000000000001").out.splitlines()[1:]:
        assert re.search(r"Z  \d{8}T\d{6}Z-\w{4}  (intent|outcome) ", line), line


def test_what_cannot_be_asked_or_written(agent: Deployment, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no kind of entry 'outcom' \(did you mean 'outcome'\?\)"):
        command.list_entries(agent.config, {"kind": "outcom"}, output=Format.JSON, limit=1)
    with pytest.raises(UsageError, match="cannot be written"):
        command.export(agent.config, {}, out=tmp_path / "none" / "x.csv", form=Exported.CSV)


def test_the_command_takes_days(agent: Deployment) -> None:
    done = agent.run("log", "list", "--since", "2026-11-22", "--until", "2026-11-23", "--format", "json")
    assert done.code == 0, done.said
    assert {row["at"][:10] for row in json.loads(done.out)} == {"2026-11-22"}
    assert agent.run("log", "list", "--since", "yesterday").code == 2
    done = agent.run("log", "export", "--out", "all.parquet", "--format", "parquet", "--kind", "outcome")
    assert "4 entries are in all.parquet" in done.out, done.said


def test_a_list_says_what_it_left_out_and_shows_it_when_asked(agent: Deployment) -> None:
    done = agent.run("log", "list", "--limit", "1")
    assert (len(done.out.splitlines()), "1 more run is not shown; --limit 0 shows all" in done.err) == (2, True)
    for words, rows in ((("log", "list"), 2), (("log",), 2), (("log", "list", "--kind", "outcome"), 4)):
        done = agent.run(*words, "--limit", "0")
        assert (len(done.out.splitlines()), done.err) == (rows + 1, ""), done.said


def test_a_run_says_what_it_was_made_with(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still, "repository")
    definition = agent.copy_of("definitions/recommended.yaml")
    commit = "a" * 40
    (agent.folder / ".git" / "refs" / "heads").mkdir(parents=True)
    (agent.folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")

    def facts() -> Any:
        with agent.agent(write=False) as opened:
            run = opened.ledger.start_run(command="audit", at=opened.clock(), facts=opened.facts)
            return opened.ledger.run(run).facts

    assert facts()["definition_commit"] is None
    (agent.folder / ".git" / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n", encoding="utf-8")
    assert facts()["definition_commit"] == commit
    (agent.folder / ".git" / "refs" / "heads" / "main").write_text("b" * 40 + "\n", encoding="utf-8")
    told = facts()
    assert told["definition_commit"] == "b" * 40
    assert told["settings_sha256"] == hashlib.sha256(agent.config.read_bytes()).hexdigest()
    agent.words["guard"]["tasks"] = 7
    agent.save()
    definition.write_text(definition.read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")
    changed = facts()
    assert {name for name in told if told[name] != changed[name]} == {"settings_sha256", "definition_sha256"}
