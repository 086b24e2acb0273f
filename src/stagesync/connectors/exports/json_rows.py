"""JSON: an object a line, or one list of objects. Numbers and truths are written as the declared format has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path

import msgspec
import polars as pl

from stagesync.connectors.exports.cells import BROKEN
from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.nested import at, paths, text_of
from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError

ROWS = 50_000
LOOKED_AT = 10_000
LONGEST_LINE = 16 * 2**20
LARGEST_LIST = 512 * 2**20
MOST_KEYS = 100_000
MARK = b"\xef\xbb\xbf"
WHOLE = 1e15
"""Below it a float holds every whole number."""


@dataclass(frozen=True, kw_only=True)
class JsonFile:
    """A file of JSON; its columns are the keys of its first ten thousand objects, ``custom.pain`` in objects."""

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
            raise ConfigurationError(f"{path.name} is not JSON lines, nor a list of objects: {unread.shown[0].what}")
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
    listed = _is_list(path)
    for number, line in _elements(path) if listed else _lines(path):
        try:
            row = _row(line, decoder)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = f"element {number} of the list" if listed else "the line"
            problems.add(number, f"{what} is not a JSON object ({error})")
            continue
        problems.good += 1
        yield row


def _is_list(path: Path) -> bool:
    """Whether the file is one list, as an API answers, and not an object a line."""
    with path.open("rb") as raw:
        return raw.read(LOOKED_AT).removeprefix(MARK).lstrip().startswith(b"[")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(LONGEST_LINE):
            number += 1
            if len(line) >= LONGEST_LINE:
                raise ConfigurationError(f"{path.name} is not JSON lines: line {number} is longer than 16 MB")
            line = line.removeprefix(MARK) if number == 1 else line
            if line.strip():
                yield number, line


def _elements(path: Path) -> Iterator[tuple[int, bytes]]:
    """The elements of a list as they are written, with their places in it."""
    if path.stat().st_size > LARGEST_LIST:
        raise ConfigurationError(f"{path.name} is a list of more than 512 MB; write it as JSON lines, an object a line")
    raw = path.read_bytes().removeprefix(MARK)
    decoder = msgspec.json.Decoder(list[msgspec.Raw])
    try:
        elements = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (strict := _strict(raw)) is None:
            raise ConfigurationError(
                f"{path.name} is not a whole list of JSON objects ({error}); export it again, or write an object a line"
            ) from error
        elements = decoder.decode(strict)
    yield from ((number, bytes(element)) for number, element in enumerate(elements, start=1))


def _row(line: bytes, decoder: msgspec.json.Decoder[dict[str, object]]) -> dict[str, object]:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        if (strict := _strict(line)) is None:
            raise
    return decoder.decode(strict)


def _strict(raw: bytes) -> bytes | None:
    """JSON without what many programs write and it does not have (``NaN``, ``Infinity``, numbers beyond all), which
    cannot be read and costs its cell alone. None where it is no such JSON either."""
    try:
        return msgspec.json.encode(json.loads(raw, parse_constant=lambda _: BROKEN[0], parse_float=_finite))
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float | str:
    value = float(text)
    return value if isfinite(value) else BROKEN[0]
