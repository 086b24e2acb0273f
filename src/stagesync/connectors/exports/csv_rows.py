"""CSV as people export it, in two readers that agree: a fast one for whole blocks, a careful one for what is odd.

A file is read in blocks that end between two rows. As long as every row of a block has as many cells as the header,
polars reads it. A block where that is not so, or a file in another encoding than UTF-8, is read row by row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import polars as pl

from stagesync.connectors.exports.csv_lines import Lines, is_undecoded, rows
from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError

BLOCK = 8 * 2**20
LARGEST_ROW = 2 * BLOCK
ROWS = 50_000
LONGEST_HEADER = 2**18

DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
UTF8 = ("utf-8", "utf8", "utf-8-sig")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
MARK = b"\xef\xbb\xbf"
QUOTE = 0x22


class _Place(NamedTuple):
    """Where a row begins: bytes from the start of the file, and lines before it."""

    at: int
    line: int


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
            lines = Lines(text.readline, path.name, longest=LONGEST_HEADER)
            try:
                header = _header(lines, style)
            except csv.Error as error:
                raise ConfigurationError(f"{path.name}: the header cannot be read ({error})") from error
        names = tuple(name.strip() for name in header)
        _refuse_encoding(path, names)
        _refuse_delimiter(path, names, style)
        head = [str(line) for line in lines.seen]
        mark = len(MARK) if _starts(path, len(MARK)) == MARK else 0
        return cls(
            path=path,
            style=style,
            columns=names,
            offset=mark + len("".join(head).encode("utf-8", "surrogateescape")),
            header_lines=len(head),
            simple=_is_simple(names, head, style),
        )

    def pages(self, columns: Sequence[str], problems: Problems) -> Iterator[pl.DataFrame]:
        """The rows in text, with these columns (named as in the header); unreadable rows are left out and noted."""
        wanted = {name: self.columns.index(name) for name in columns}
        if not self.simple:
            with _text(self.path, self.style) as text:
                lines = Lines(text.readline, self.path.name)
                _header(lines, self.style)
                yield from self._careful(lines, None, wanted, problems)
            return
        with self.path.open("rb") as raw:
            place: _Place | None = _Place(self.offset, self.header_lines)
            while place is not None:
                place = yield from self._fast_pages(raw, place, wanted, problems)

    def _fast_pages(
        self, raw: BinaryIO, place: _Place, wanted: Mapping[str, int], problems: Problems
    ) -> Generator[pl.DataFrame, None, _Place | None]:
        """Pages from a place on. Returns where to go on after a block that was read carefully, None at the end."""
        at, line = place
        raw.seek(at)
        for block in _blocks(raw):
            page = self._fast(block, wanted)
            if page is None:
                raw.seek(at)
                lines = Lines(raw.readline, self.path.name, position=at, number=line)
                yield from self._careful(lines, at + (len(block) or LARGEST_ROW), wanted, problems)
                return _Place(lines.position, lines.number)
            at += len(block)
            line += block.count(b"\n")
            problems.release()
            problems.good += page.height
            yield page
        return None

    def _fast(self, block: bytes, wanted: Mapping[str, int]) -> pl.DataFrame | None:
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
        return page.select(pl.col(str(place)).alias(name) for name, place in wanted.items())

    def _careful(
        self, lines: Lines, stop: int | None, wanted: Mapping[str, int], problems: Problems
    ) -> Iterator[pl.DataFrame]:
        some = rows(lines, len(self.columns), self.style.delimiter, problems, stop)
        while page := list(islice(some, ROWS)):
            yield _page(page, wanted)


def _header(lines: Lines, style: ExportFormat) -> list[str]:
    """The cells of the first row that is not blank. ``sep=;`` above it is a word to a spreadsheet."""
    first = _not_blank(lines, style)
    return _not_blank(lines, style) if style.delimiter.join(first) == f"sep={style.delimiter}" else first


def _not_blank(lines: Lines, style: ExportFormat) -> list[str]:
    for row in csv.reader(lines, delimiter=style.delimiter):
        if any(cell.strip() for cell in row):
            return row
    return []


def _page(some: list[list[str]], wanted: Mapping[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [pl.Series(name, list(map(itemgetter(place), some)), dtype=pl.String) for name, place in wanted.items()]
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
    # Its mark says that a file is UTF-8, whatever the others of the export are in.
    plain = style.encoding.lower() in UTF8 or _starts(path, 3) == MARK
    encoding = ("utf-8" if start else "utf-8-sig") if plain else _encoding(path, style)
    return io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape" if plain else "replace", newline="")


def _encoding(path: Path, style: ExportFormat) -> str:
    """The encoding by its full name. Of UTF-16 without its mark the zero bytes beside Latin letters say which it is."""
    head = _starts(path, 1024)
    if style.encoding.lower() != "utf-16" or not head or head.startswith(UTF16):
        return style.encoding
    first, second = head[::2].count(0), head[1::2].count(0)
    if not first and not second:
        raise ConfigurationError(f"{path.name} is not in UTF-16; leave 'encoding' out under 'export', or name another")
    return "utf-16-be" if first > second else "utf-16-le"


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
    if head.startswith(UTF16):
        raise ConfigurationError(f"{path.name} is in UTF-16; set 'encoding: utf-16' under 'export' in the mapping")
    if b"\0" in head:
        raise ConfigurationError(f"{path.name} is not text: it has zero bytes. Export the table again as CSV")


def _refuse_encoding(path: Path, names: Sequence[str]) -> None:
    if any(is_undecoded(name) for name in names):
        raise ConfigurationError(
            f"{path.name} is not in UTF-8; set 'encoding: windows-1252', or what else it is in, under 'export' in the "
            "mapping"
        )


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
