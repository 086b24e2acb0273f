"""CSV as people export it, in two readers that agree: a fast one for whole blocks, a careful one for what is odd.

A file is read in blocks that end between two rows. As long as every row of a block has as many cells as the header,
polars reads it. At the first block where that is not so, or in another encoding than UTF-8, Python's csv module reads
the rest of the file row by row, so that each unreadable row is known by its line and costs nothing but itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError

BLOCK = 8 * 2**20
LARGEST_ROW = 2 * BLOCK
ROWS = 50_000
LONGEST_LINE = 4 * 2**20
LONGEST_HEADER = 2**18
MOST_LINES = 2_000
"""Lines of one row. A quotation mark that nobody closed would otherwise swallow the rest of the file."""

DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
UTF8 = ("utf-8", "utf8", "utf-8-sig")
QUOTE = 0x22


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A CSV file with its header. ``offset`` is where the first row begins, in bytes of UTF-8."""

    path: Path
    style: ExportFormat
    columns: tuple[str, ...]
    offset: int
    header_lines: int
    simple: bool

    @classmethod
    def open(cls, path: Path, style: ExportFormat) -> CsvFile:
        """Read the header. Raises ConfigurationError for what is not CSV in this encoding and delimiter."""
        _refuse_binary(path, style)
        with _text(path, style) as text:
            lines = _Lines(text, path.name, longest=LONGEST_HEADER)
            try:
                header = next(csv.reader(lines, delimiter=style.delimiter), [])
            except csv.Error as error:
                raise ConfigurationError(f"{path.name}: the header cannot be read ({error})") from error
        names = tuple(name.strip() for name in header)
        _refuse_delimiter(path, names, style)
        mark = 3 if _starts(path, 3) == b"\xef\xbb\xbf" else 0
        return cls(
            path=path,
            style=style,
            columns=names,
            offset=mark + len("".join(lines.seen).encode("utf-8", "surrogateescape")),
            header_lines=len(lines.seen),
            simple=_is_simple(names, lines.seen, style),
        )

    def pages(self, columns: Sequence[str], problems: Problems) -> Iterator[pl.DataFrame]:
        """The rows in text, with these columns (named as in the header); unreadable rows are left out and noted."""
        places = [self.columns.index(name) for name in columns]
        start, line = self.offset, self.header_lines
        if self.simple:
            with self.path.open("rb") as raw:
                raw.seek(self.offset)
                for block in _blocks(raw):
                    page = self._fast(block, places, columns)
                    if page is None:
                        break
                    start += len(block)
                    line += block.count(b"\n")
                    problems.good += page.height
                    yield page
                else:
                    return
        yield from self._careful(start, line, places, columns, problems)

    def _fast(self, block: bytes, places: Sequence[int], columns: Sequence[str]) -> pl.DataFrame | None:
        """All rows of a block, or None when one of them needs a closer look."""
        width = len(self.columns)
        if not block or block.count(b"\r") != block.count(b"\r\n"):
            return None
        try:
            page = pl.read_csv(
                block,
                has_header=False,
                separator=self.style.delimiter,
                schema={str(n): pl.String for n in range(width)},
                infer_schema=False,
                truncate_ragged_lines=False,
            )
        except pl.exceptions.PolarsError:
            return None
        if _delimiters(block, self.style.delimiter) != page.height * (width - 1):
            return None
        return page.select(pl.col(str(place)).alias(name) for place, name in zip(places, columns, strict=True))

    def _careful(
        self, start: int, line: int, places: Sequence[int], columns: Sequence[str], problems: Problems
    ) -> Iterator[pl.DataFrame]:
        with _text(self.path, self.style, start if self.simple else None) as text:
            lines = _Lines(text, self.path.name)
            if not self.simple:
                next(csv.reader(lines, delimiter=self.style.delimiter), None)
                lines.seen.clear()
            rows: list[list[str]] = []
            for row in _rows(lines, len(self.columns), self.style.delimiter, line, problems):
                rows.append(row)
                if len(rows) == ROWS:
                    yield _page(rows, places, columns)
                    rows = []
            if rows:
                yield _page(rows, places, columns)


class _Lines:
    """Physical lines, none longer than ``longest``; ``seen`` are those since it was last cleared."""

    def __init__(self, text: io.TextIOBase, file: str, *, longest: int = LONGEST_LINE) -> None:
        self.text, self.file, self.longest = text, file, longest
        self.seen: list[str] = []
        self.again: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.again.pop() if self.again else self.text.readline(self.longest)
        if not line:
            raise StopIteration
        if len(line) >= self.longest:
            raise ConfigurationError(
                f"{self.file} is not a table of rows: it has a line of more than {self.longest:,} characters"
            )
        self.seen.append(line)
        if len(self.seen) > MOST_LINES:
            raise csv.Error(f"a quotation mark is not closed within {MOST_LINES:,} lines")
        return line

    def push_back_all_but_first(self) -> None:
        """Read the lines of the present row again, but for its first."""
        self.again.extend(reversed(self.seen[1:]))


def _rows(lines: _Lines, width: int, delimiter: str, line: int, problems: Problems) -> Iterator[list[str]]:
    """Rows of the right width. A row of several lines that makes no sense costs only its first line."""
    csv.field_size_limit(LONGEST_LINE)
    while True:
        lines.seen.clear()
        fault = None
        try:
            row = next(csv.reader(lines, delimiter=delimiter), None)
        except csv.Error as error:
            row, fault = [], str(error)
        if row is None:
            return
        first = line + 1
        fault = fault or _fault(row, width)
        if fault is None and row:
            line += len(lines.seen)
            problems.good += 1
            yield row[:width]
        elif fault is not None:
            problems.add(first, fault)
            lines.push_back_all_but_first()
            line += 1
        else:
            line += len(lines.seen)


def _fault(row: list[str], width: int) -> str | None:
    """What is wrong with a row; an empty line is not a row. Blank cells beyond the last column do no harm."""
    if not row or (len(row) == 1 and not row[0].strip()):
        row.clear()
        return None
    if len(row) < width:
        return f"the row has {len(row)} cells, the header has {width}: it was cut off, or a line break is not quoted"
    if any(cell.strip() for cell in row[width:]):
        return f"the row has {len(row)} cells, the header has {width}: a cell with the delimiter in it is not quoted"
    if any(not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell) for cell in row):
        return "the row is not in the declared encoding (UTF-8, if none is declared); 'windows-1252' is a common other"
    return None


def _page(rows: list[list[str]], places: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series(name, list(map(itemgetter(place), rows)), dtype=pl.String)
            for place, name in zip(places, columns, strict=True)
        ]
    )


def _blocks(raw: BinaryIO) -> Iterator[bytes]:
    """Blocks that end between two rows, as far as counting quotation marks tells; an empty one where it does not."""
    rest = b""
    while chunk := raw.read(BLOCK):
        rest += chunk
        end = _row_end(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) >= LARGEST_ROW:
            yield b""
            return
    if rest:
        yield rest


def _row_end(block: bytes) -> int:
    """The place after the last line break that is outside of quotation marks; 0 when there is none."""
    end = block.rfind(b"\n") + 1
    odd = block.count(b'"', 0, end) % 2
    while end and odd:
        before = block.rfind(b"\n", 0, end - 1) + 1
        odd ^= block.count(b'"', before, end) % 2
        end = before
    return end


def _delimiters(block: bytes, delimiter: str) -> int:
    """Delimiters outside of quotation marks."""
    data = np.frombuffer(block, dtype=np.uint8)
    marks = data == ord(delimiter)
    if b'"' not in block:
        return int(np.count_nonzero(marks))
    inside = np.bitwise_and(np.cumsum(data == QUOTE, dtype=np.uint8), 1).astype(np.bool_)
    return int(np.count_nonzero(marks & ~inside))


def _text(path: Path, style: ExportFormat, start: int | None = None) -> io.TextIOWrapper:
    raw = path.open("rb")
    if start is not None:
        raw.seek(start)
    plain = style.encoding.lower() in UTF8
    encoding = ("utf-8" if start else "utf-8-sig") if plain else style.encoding
    return io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape" if plain else "replace", newline="")


def _starts(path: Path, count: int) -> bytes:
    with path.open("rb") as raw:
        return raw.read(count)


def _is_simple(names: Sequence[str], header: Sequence[str], style: ExportFormat) -> bool:
    """Whether the fast reader may try: UTF-8, lines that end in a line feed, and cells to count."""
    unix = bool(header) and header[-1].endswith("\n")
    return unix and len(names) > 1 and style.encoding.lower() in UTF8 and style.delimiter.isascii()


def _refuse_binary(path: Path, style: ExportFormat) -> None:
    head = _starts(path, 64 * 1024)
    if head.startswith(b"PK\x03\x04"):
        raise ConfigurationError(f"{path.name} is a workbook or a ZIP archive; save its table as CSV")
    if style.encoding.lower() == "utf-16":
        return
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigurationError(f"{path.name} is in UTF-16; set 'encoding: utf-16' under 'export' in the mapping")
    if b"\0" in head:
        raise ConfigurationError(f"{path.name} is not text: it has zero bytes. Export the table again as CSV")


def _refuse_delimiter(path: Path, names: Sequence[str], style: ExportFormat) -> None:
    if len(names) != 1:
        return
    others = {mark: names[0].count(mark) for mark in DELIMITERS if mark != style.delimiter and mark in names[0]}
    if others:
        best = max(others, key=lambda mark: others[mark])
        raise ConfigurationError(
            f"{path.name} has a single column when it is split at {DELIMITERS.get(style.delimiter, style.delimiter)}; "
            f"set 'delimiter: {DELIMITERS[best]}' under 'export' in the mapping"
        )
