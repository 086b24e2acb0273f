"""Rows of a list in each format; every list says how many it left out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from rich.text import Text

from stagesync import report
from stagesync.cli import show
from stagesync.cli.options import Format
from stagesync.model.counting import counted
from stagesync.report.writing import cell


def write(
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    output: Format,
    line: Callable[[dict[str, Any]], str],
    *,
    title: str,
    left: int,
    one: str,
    many: str,
) -> None:
    """The rows in a format; people get one line a row, which a narrow terminal does not break into columns.

    ``one`` and ``many`` are what to call a row and several; ``left`` is how many more there are.
    """
    if output is not Format.TABLE:
        for_programs(rows, columns, output)
    else:
        show.out.print(f"{title}:" if rows else f"No {many}.", markup=False)
        for row in rows:
            show.out.print(Text(f"  {line(row)}"), soft_wrap=True)
    if left > 0:
        show.err.print(
            f"{counted(left, f'more {one} is', f'more {many} are')} not shown; --limit 0 shows all.", markup=False
        )


def for_programs(rows: Sequence[dict[str, Any]], columns: Sequence[str], output: Format) -> None:
    """The rows as JSON, CSV or a table of Markdown, on standard output; in the latter two nothing stands for None."""
    texts = ({name: "" if row[name] is None else str(row[name]) for name in columns} for row in rows)
    match output:
        case Format.CSV:
            sys.stdout.writelines(report.lines_of_csv(columns, texts))
        case Format.MARKDOWN:
            sys.stdout.write(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n")
            sys.stdout.writelines(f"| {' | '.join(map(cell, text.values()))} |\n" for text in texts)
        case _:
            as_json(list(rows))


def as_json(document: object) -> None:
    """A document for a program; days and moments are text as ISO 8601 has them."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=_as_text) + "\n")


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
