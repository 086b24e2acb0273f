"""The readers of the documents, tried on documents that we know."""

from __future__ import annotations

from pathlib import Path

import pytest

from .blocks import blocks, commands
from .output import refreshed, same_each_time, shows


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "page.md"
    file.write_text(
        "text\n\n<!-- exit: 1 -->\n\n```console\n$ stagesync audit\n2 findings\n\nbye\n$ stagesync log\n```\n"
        "<!-- not run: needs an account -->\nbut a line between\n```sh\n# first\nstagesync run \\\n  --all\n```\n",
        encoding="utf-8",
    )
    return file


def test_blocks_carry_the_mark_right_above_them(document: Path) -> None:
    assert [(block.line, block.language, block.mark, block.value) for block in blocks(document)] == [
        (5, "console", "exit", "1"),
        (14, "sh", None, ""),
    ]


def test_commands_come_with_their_output(document: Path) -> None:
    console, shell = blocks(document)
    assert [(command.line, command.shows) for command in commands(console)] == [
        ("stagesync audit", "2 findings\n\nbye"),
        ("stagesync log", None),
    ]
    assert [command.line for command in commands(shell)] == ["stagesync run   --all"]


def test_an_open_fence_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("```sh\nstagesync audit\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not closed"):
        blocks(file)


@pytest.mark.parametrize(
    ("expected", "actual", "is_shown"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nb\nc", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("a\n...", "a\nb", True),
        ("...\nb", "a\nb", True),
        ("...\na", "a\nb", False),
        ("a\n...\na", "a", False),
        ("run 20261121T101112Z-0a1b took 1.2 s", "run 20270101T000000Z-ffff took 30 s", True),
        ("3 findings", "4 findings", False),
        ("...", "anything", True),
        ("", "anything", False),
        ("", "", True),
        ("a\n...\nb\n...\nc", "a\nx\nb\ny\nc", True),
        ("a\n...\nb\n...\nc", "a\nx\ny\nc", False),
    ],
)
def test_output_is_compared_as_a_reader_would(expected: str, actual: str, is_shown: bool) -> None:
    assert shows(expected, actual) is is_shown


def test_only_what_varies_is_taken_out() -> None:
    text = "\x1b[1m4 deals\x1b[0m on 127.0.0.1:43121 at 2026-11-21 22:13:04 UTC, due 2026-11-24   "
    assert same_each_time(text) == "4 deals on ADDRESS at TIME, due DATE"


def test_columns_behind_a_path_do_not_depend_on_where_it_lies() -> None:
    here = same_each_time("show /tmp/stagesync-demo-a1b2/stagesync.yaml    the runs")
    assert here == same_each_time("show /var/folders/tmp/stagesync-demo-zz/stagesync.yaml      the runs")


def test_an_excerpt_is_renewed_with_its_gaps() -> None:
    shown = "1. Invent\n...\nLead   3\nDeal   4\nIn all 7\n...\nDone in 5 s"
    now = "1. Invent\nsteps\nLead  13\nTask   1\nDeal   4\nIn all 18\nmore\nDone in 6 s\n"
    expected = "1. Invent\n...\nLead  13\nTask   1\nDeal   4\nIn all 18\n...\nDone in 6 s"
    assert refreshed(shown, now) == expected
    assert shows(expected, now)
    assert refreshed("", now) == now.strip()
    assert refreshed("1. Invent\nDone in 5 s", now) == now.strip()
    with pytest.raises(ValueError, match="no longer printed here: gone"):
        refreshed("...\ngone\n...", now)
