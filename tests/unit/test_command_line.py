"""The commands as they are typed: what each takes, what its help says, and what wrong usage gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from stagesync.cli.main import app
from stagesync.errors import ConfigurationError

IN_ORDER = [
    "demo", "sandbox", "init", "check", "test", "schema", "audit", "explain", "waive", "waivers", "impact", "list",
    "plan", "show", "approve", "apply", "run", "revert", "pause", "resume", "daemon", "log",
]  # fmt: skip
OF_THE_LOG = ["list", "export", "show", "record", "verify", "prune"]


def typed(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, words)


def commands(group: click.Group = app, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


def listed(page: str) -> list[str]:
    """The commands that a help page names, in its order."""
    lines = page.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines if line[2] != " "]


def test_the_help_page_lists_the_commands_in_the_order_in_which_people_meet_them_and_cuts_no_sentence() -> None:
    page = typed("--help").output

    assert listed(page) == IN_ORDER
    assert listed(typed("log", "--help").output) == OF_THE_LOG
    assert "..." not in page.partition("Commands:")[2]
    assert "closed; and say what was left, and why." in page
    assert typed("-h").output == page
    assert max(map(len, page.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "command"), [*commands()], ids=lambda one: " ".join(one) if type(one) is tuple else ""
)
def test_every_command_says_of_all_that_it_takes_what_it_is(words: tuple[str, ...], command: click.Command) -> None:
    page = typed(*words, "--help").output

    assert page.startswith(f"Usage: stagesync {' '.join(words)}")
    for parameter in command.params:
        assert parameter.help, f"{parameter.opts} says nothing"
        assert parameter.help.split()[0] in page
    for option in (name for one in command.params if isinstance(one, click.Option) for name in one.opts):
        assert option in page
    assert isinstance(command, click.Group) or "..." not in page.replace("]...", "")


def test_a_word_that_help_offers_is_taken_as_what_it_says() -> None:
    offered = {
        id(one.type): one.type
        for _, command in commands()
        for one in command.params
        if isinstance(one.type, click.Choice)
    }

    assert len(offered) >= 5
    for words in offered.values():
        for word in words.choices:
            assert words.convert(str(word), None, None) is word
            assert words.convert(str(word).upper(), None, None) is word


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chek", "No such command 'chek'. (Did you mean one of: 'check', 'schema'?)"),
        ("log lst", "No such command 'lst'. Did you mean 'list'?"),
        ("check --onlin", "'--online'"),
        ("check extra", "unexpected extra argument (extra)"),
        ("check --config", "Option '--config' requires an argument."),
        ("init", "Missing option '--crm'. Choose from:\n\tsalesforce,\n\thubspot"),
        ("init --crm sap", "'sap' is not one of 'salesforce', 'hubspot'"),
        ("explain", "Missing argument 'RECORD'."),
        ("waive 006", "Missing option '--rule'."),
        ("audit --limit -1", "-1 is not in the range x>=0"),
        ("audit --limit many", "'many' is not a valid number"),
        ("sandbox --port 70000", "70000 is not in the range 0<=x<=65535"),
        ("demo --records 5", "5 is not in the range x>=300"),
        ("run --full=yes", "Option '--full' does not take a value."),
        ("--verbose", "Missing command."),
        ("", "Commands:\n  demo "),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(line: str, said: str) -> None:
    done = typed(*line.split())

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_what_is_said_before_a_sub_command_is_meant_for_it(tmp_path: Path) -> None:
    settings = str(tmp_path / "others.yaml")

    for line in (["log", "-c", settings, "verify"], ["log", "verify", "-c", settings]):
        error = typed(*line).exception
        assert isinstance(error, ConfigurationError)
        assert str(error).startswith(f"{settings}: no such file")
