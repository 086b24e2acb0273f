"""JSON lines: one object a line. Numbers and truths are written as the declared format would write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import polars as pl

from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.nested import at, paths, text_of
from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError

ROWS = 50_000
LOOKED_AT = 10_000
LONGEST_LINE = 16 * 2**20
MOST_KEYS = 100_000
WHOLE = 1e15
"""Below it a float holds every whole number."""


@dataclass(frozen=True, kw_only=True)
class JsonFile:
    """A file of JSON lines; its columns are the keys of its first ten thousand lines, ``custom.pain`` in objects."""

    path: Path
    style: ExportFormat
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, style: ExportFormat) -> JsonFile:
        """Look at the first lines for the columns. Raises ConfigurationError when none of them is an object."""
        unread = Problems(file=path.name)
        keys: dict[str, None] = {}
        for row in islice(_objects(path, unread), LOOKED_AT):
            keys.update(dict.fromkeys(paths(row)))
            if len(keys) > MOST_KEYS:
                raise ConfigurationError(
                    f"{path.name} is no table: its rows have more than {MOST_KEYS:,} different keys"
                )
        if not keys and unread.total:
            raise ConfigurationError(f"{path.name} is not JSON lines: {unread.shown[0].what}")
        return cls(path=path, style=style, columns=tuple(keys))

    def pages(self, columns: Sequence[str], problems: Problems) -> Iterator[pl.DataFrame]:
        """The rows in text, with these columns; unreadable lines are left out and noted."""
        rows = _objects(self.path, problems)
        while some := list(islice(rows, ROWS)):
            yield pl.DataFrame(
                [pl.Series(name, [self._text(at(row, name)) for row in some], dtype=pl.String) for name in columns]
            )

    def _text(self, value: object) -> str | None:
        match value:
            case None | str():
                return value
            case bool():
                return "true" if value else "false"
            case float() if value.is_integer() and abs(value) < WHOLE:
                return str(int(value))  # 10.0 is how some write the stage 10
            case int() | float():
                return str(value).replace(".", self.style.decimal)
        return text_of(value, self.style.several)


def _objects(path: Path, problems: Problems) -> Iterator[dict[str, object]]:
    decoder = msgspec.json.Decoder(dict[str, object])
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(LONGEST_LINE):
            number += 1
            if len(line) >= LONGEST_LINE:
                raise ConfigurationError(f"{path.name} is not JSON lines: line {number} is longer than 16 MB")
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not line.strip():
                continue
            try:
                row = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                problems.add(number, f"the line is not a JSON object ({error})")
                continue
            problems.good += 1
            yield row
