"""CSV row by row: slower, but each unreadable row is known by its line and costs nothing but itself."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator

from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError
from stagesync.model.counting import counted

LONGEST_LINE = 4 * 2**20
MOST_LINES = 2_000
"""Lines of one row. A quotation mark that nobody closed would otherwise swallow the rest of the file."""


class Lines:
    """Physical lines, none longer than ``longest``.

    ``seen`` are the lines of the present row, ``position`` is how many bytes (or characters, of a text stream) have
    been read, ``number`` how many lines.
    """

    def __init__(
        self,
        readline: Callable[[int], bytes] | Callable[[int], str],
        file: str,
        *,
        longest: int = LONGEST_LINE,
        position: int = 0,
        number: int = 0,
    ) -> None:
        self._readline, self._file, self._longest = readline, file, longest
        self._again: list[bytes | str] = []
        self.seen: list[bytes | str] = []
        self.position, self.number = position, number

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._read()
        if not line:
            raise StopIteration
        self.seen.append(line)
        self.position += len(line)
        self.number += 1
        if len(self.seen) > MOST_LINES:
            raise csv.Error(f"a quotation mark is not closed within {MOST_LINES:,} lines")
        return line if isinstance(line, str) else line.decode("utf-8", "surrogateescape")

    def ended(self) -> bool:
        """Whether no line is left."""
        if not self._again and (line := self._read()):
            self._again.append(line)
        return not self._again

    def _read(self) -> bytes | str:
        """The next line. A carriage return alone ends one too, as in a text stream; within quotation marks the reader
        of rows puts its parts together again."""
        line = self._readline(self._longest)
        if len(line) >= self._longest:
            said = f"{self._file} is not a table of rows: it has a line of more than {self._longest:,} characters"
            raise ConfigurationError(said)
        if isinstance(line, str) or b"\r" not in line.rstrip(b"\r\n"):
            return line
        first, *others = line.splitlines(keepends=True)
        self._again.extend(reversed(others))
        return first

    def next_row(self) -> None:
        """A row begins."""
        self.seen.clear()

    def again_but_first(self) -> None:
        """Read the lines of the present row again, except its first."""
        later = self.seen[1:]
        self._again.extend(reversed(later))
        self.position -= sum(len(line) for line in later)
        self.number -= len(later)


def rows(lines: Lines, width: int, delimiter: str, problems: Problems, stop: int | None = None) -> Iterator[list[str]]:
    """Rows of the right width, until the first row that begins at ``stop`` or later.

    A row of several lines that makes no sense costs only its first line: its quotation mark may be a slip. Lines of
    one cell after a blank line are held: the report of a CRM may end in its name and "Do Not Distribute".
    """
    csv.field_size_limit(LONGEST_LINE)
    after_blank = bool(problems.held)
    while stop is None or lines.position < stop:
        lines.next_row()
        first = lines.number + 1
        row: list[str] | None = []
        try:
            row = next(csv.reader(lines, delimiter=delimiter), None)
            fault = _fault(row, width) if row else None
        except csv.Error as error:
            fault = str(error)
        if row is None:
            problems.end()
            return
        if fault is not None and after_blank and row and _is_footer(row):
            problems.hold(first, fault)
            continue
        if fault is not None:
            problems.release()
            problems.add(first, fault)
            lines.again_but_first()
            after_blank = False
            continue
        after_blank = not any(row)
        if not after_blank:
            problems.release()
        if row and len(row) >= width:
            problems.good += 1
            yield row[:width]
    if lines.ended():
        problems.end()


def is_undecoded(text: str) -> bool:
    """Whether a text has bytes in it that are no letters in the encoding in which it was read."""
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


def _is_footer(row: list[str]) -> bool:
    """Whether a row has one cell alone."""
    return bool(row[0].strip()) and not any(cell.strip() for cell in row[1:])


def _fault(row: list[str], width: int) -> str | None:
    """What is wrong with a row. Blank cells beyond the last column do no harm."""
    cells = f"the row has {counted(len(row), 'cell')}, the header has {width}"
    if len(row) < width and any(cell.strip() for cell in row):
        return f"{cells}: it was cut off, or a line break is not quoted"
    if any(cell.strip() for cell in row[width:]):
        return f"{cells}: a cell with the delimiter in it is not quoted"
    if any(map(is_undecoded, row)):
        return "the row is not in the declared encoding (UTF-8, if none is declared); 'windows-1252' is a common other"
    return None
