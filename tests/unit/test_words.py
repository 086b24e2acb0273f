"""Words on a terminal: numbers of things, and commands to run next."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stagesync.cli import hints
from stagesync.cli.options import DEFAULT_CONFIG
from stagesync.model.counting import counted


def test_one_thing_is_no_plural() -> None:
    assert [counted(number, "record") for number in (0, 1, 2, 1_000)] == [
        "0 records",
        "1 record",
        "2 records",
        "1,000 records",
    ]
    assert [counted(number, "entry is", "entries are") for number in (1, 3)] == ["1 entry is", "3 entries are"]


@pytest.fixture
def _in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``stagesync`` is found by its plain name."""
    (tmp_path / "stagesync").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "stagesync").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("_in_path")
def test_a_command_names_the_settings_that_were_used() -> None:
    assert hints.command(DEFAULT_CONFIG, "log", "show", "last") == "stagesync log show last"
    config = Path("/srv/our crm/it's.yaml")
    assert shlex.split(hints.command(config, "explain", "Acme & Sons")) == [
        "stagesync",
        "explain",
        "Acme & Sons",
        "-c",
        str(config),
    ]


@pytest.mark.usefixtures("_in_path")
def test_a_message_that_knows_no_settings_is_completed() -> None:
    said = "its head row is lost; run `stagesync log verify` and restore a `backup`"
    assert hints.completed(said, DEFAULT_CONFIG) == said
    assert hints.completed(said, Path("a.yaml")) == said.replace("verify`", "verify -c a.yaml`")
    called = f"`stagesync explain {shlex.quote(chr(39))}` says more"
    assert hints.completed(called, Path("b c.yaml")) == called.replace("` says", " -c 'b c.yaml'` says")


def test_a_program_that_is_not_in_the_path_is_named_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "venv" / "stagesync"
    place.parent.mkdir()
    place.write_text("#!/bin/sh\n", encoding="utf-8")
    place.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(place), "audit"])
    assert hints.program() == "venv/stagesync"
    monkeypatch.setattr("sys.argv", ["-c"])
    assert hints.program() == "stagesync"
