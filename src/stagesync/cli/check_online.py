"""``stagesync check --online``: is every connection in order, as its CRM is now?"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import assert_never

from rich.markup import escape
from rich.table import Table

from stagesync.cli import show
from stagesync.cli.options import Format
from stagesync.errors import ConfigurationError, ConnectionFailed
from stagesync.model.counting import counted
from stagesync.onboarding.online import Line, State, Wanted, look
from stagesync.settings import Settings, load_settings
from stagesync.wiring import discovered, escalation, pinned_orgs

COLOURS = {State.OK: "green", State.NOTE: "yellow", State.UNKNOWN: "yellow", State.PROBLEM: "red"}
COLUMNS = ("connection", "state", "subject", "says", "follows")


def check_online(config: Path, output: Format) -> int:
    """Look at every connection; one that cannot be reached does not hide the others. Returns the exit code.

    Raises ConfigurationError for files that are not in order.
    """
    settings = load_settings(config)
    pinned = pinned_orgs(settings)
    seen: dict[str, Sequence[Line]] = {}
    failed: dict[str, ConnectionFailed] = {}
    for name in settings.words.connections:
        try:
            with show.err.status(f"asking {name}"):
                seen[name] = _looked(settings, name, pinned[name])
        except ConnectionFailed as error:
            failed[name] = error
            seen[name] = [Line(subject="connection", state=State.PROBLEM, says=str(error))]
    _show(seen, output)
    if failed:
        return max(error.exit_code for error in failed.values())
    problems = any(line.state is State.PROBLEM for lines in seen.values() for line in lines)
    return ConfigurationError.exit_code if problems else 0


def _looked(settings: Settings, name: str, pinned: str | None) -> list[Line]:
    mapping = settings.mappings[name]
    words = settings.words.connections[name]
    with discovered(settings.folder, name, words, mapping.own_tasks) as discovery:
        wanted = Wanted(
            name=name,
            mapping=mapping,
            definition=settings.definition,
            pinned=pinned,
            escalation=escalation(settings),
            fallback_owner=words.fallback_owner,
        )
        return look(discovery, wanted)


def _show(seen: Mapping[str, Sequence[Line]], output: Format) -> None:
    rows = [{"connection": name, **asdict(line)} for name, lines in seen.items() for line in lines]
    match output:
        case Format.TABLE:
            _tables(seen)
        case Format.JSON:
            counts = {str(state): sum(row["state"] is state for row in rows) for state in State}
            json.dump({"states": counts, "lines": rows}, sys.stdout, indent=2, ensure_ascii=False)
            sys.stdout.write("\n")
        case Format.CSV:
            writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        case Format.MARKDOWN:
            _markdown(rows)
        case _:
            assert_never(output)


def _tables(seen: Mapping[str, Sequence[Line]]) -> None:
    for name, lines in seen.items():
        table = Table(title=escape(name), title_justify="left", show_edge=False, pad_edge=False)
        for column in ("", "what", "seen"):
            table.add_column(column, overflow="fold")
        for line in lines:
            says = escape(line.says) + (f"\n[dim]→ {escape(line.follows)}[/dim]" if line.follows else "")
            table.add_row(f"[{COLOURS[line.state]}]{line.state}[/]", escape(line.subject), says)
        show.out.print(table)
        show.out.print()
    problems = sum(line.state is State.PROBLEM for lines in seen.values() for line in lines)
    words = counted(problems, "problem") if problems else "No problem"
    show.out.print(f"{words}. Nothing was written.", markup=False)


def _markdown(rows: Sequence[Mapping[str, object]]) -> None:
    cells = [COLUMNS, ["---"] * len(COLUMNS), *([str(row[column]) for column in COLUMNS] for row in rows)]
    for line in cells:
        sys.stdout.write("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n")
