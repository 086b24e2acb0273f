"""What a file had that was not read, though no row of it was left out: said so that nothing is missed in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.names import alike, plain
from stagesync.model.counting import counted
from stagesync.model.tables import UNREADABLE, ColumnType, Table

LONGEST_EXAMPLE = 40


@dataclass(kw_only=True)
class UnreadCells:
    """The cells of a column that could not be read as its type: how many, and the first of them."""

    kind: ColumnType
    example: str
    count: int = 0


@dataclass
class Unread:
    """The cells of one table that could not be read, by column."""

    columns: dict[str, UnreadCells] = field(default_factory=dict)

    def note(self, raw: pl.DataFrame, rows: pl.DataFrame, kinds: Mapping[str, ColumnType]) -> None:
        """Note what of ``raw`` is unreadable in the typed ``rows``."""
        for name, kind in kinds.items():
            flag = name + UNREADABLE
            if flag in rows.columns:
                cells = raw[name].filter(rows[flag])
                found = self.columns.setdefault(name, UnreadCells(kind=kind, example=_first(cells)))
                found.count += len(cells)

    def said(self, file: str, table: Table, style: ExportFormat) -> Iterator[str]:
        """``Deals.csv: 3 values of 'Close' cannot be read as date, such as '45678' (dates are read as %d.%m.%Y)``."""
        for name, cells in self.columns.items():
            short = cells.example if len(cells.example) <= LONGEST_EXAMPLE else f"{cells.example[:LONGEST_EXAMPLE]}…"
            yield (
                f"{file}: {counted(cells.count, 'value')} of '{table.headers.get(name, name)}' cannot be read as "
                f"{cells.kind}, such as {short!r} ({_read_as(cells.kind, style)})"
            )


def _first(cells: pl.Series) -> str:
    # polars knows days of which Python has none, and ends in a panic when it is asked for one of them.
    return f"a {cells.dtype}" if cells.dtype.is_temporal() else str(cells[0])


def _read_as(kind: ColumnType, style: ExportFormat) -> str:
    match kind:
        case ColumnType.DATE | ColumnType.DATETIME:
            return f"dates are read as {_listed(style.dates)}, moments as {_listed(style.datetimes)}"
        case ColumnType.NUMBER | ColumnType.INTEGER:
            return f"the decimal mark is '{style.decimal}'; a currency may stand beside it, no % and no other word"
        case ColumnType.BOOLEAN:
            return f"yes is {_listed(('true', *style.yes))}, no is {_listed(('false', *style.no))}"
        case ColumnType.TEXT:
            return "a formula failed"


def _listed(words: Sequence[str]) -> str:
    return " or ".join(words) or "nothing"


def said_of_headers(file: str, columns: Sequence[str], read: Sequence[str]) -> Iterator[str]:
    """Which of the headers that are read stand twice, so that somebody may have meant the other one."""
    times = Counter(map(alike, columns))
    for column in dict.fromkeys(read):
        if times[alike(column)] > 1:
            yield f"{file}: {times[alike(column)]} columns are called '{plain(column)}'; the first of them is read"


def said_of_footer(file: str, lines: int) -> Iterator[str]:
    """That a report ended in lines that are no rows."""
    if lines:
        yield f"{file}: {counted(lines, 'line')} below the last row, after a blank line, were taken for a footer"
