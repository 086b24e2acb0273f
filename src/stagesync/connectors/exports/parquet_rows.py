"""Parquet: columns that are typed already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from stagesync.connectors.exports.cells import BROKEN
from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.nested import text_of
from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError

ROWS = 200_000


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """A Parquet file. A damaged one cannot be read in part. A field of a struct is a column too: ``props.pain``."""

    path: Path
    style: ExportFormat
    schema: Mapping[str, pl.DataType]

    @property
    def columns(self) -> tuple[str, ...]:
        """What can be read, fields of structs after all others."""
        return tuple(self._places)

    @cached_property
    def _places(self) -> Mapping[str, pl.Expr]:
        own = {name: pl.col(name) for name in self.schema}
        inner = (place for name, kind in self.schema.items() for place in _fields(name, pl.col(name), kind))
        return {**dict(inner), **own}

    @classmethod
    def open(cls, path: Path, style: ExportFormat) -> ParquetFile:
        """Read the schema. Raises ConfigurationError for a file that is not Parquet or is damaged."""
        try:
            return cls(path=path, style=style, schema=pl.scan_parquet(path, glob=False).collect_schema())
        except pl.exceptions.PolarsError as error:
            raise ConfigurationError(f"{path.name} is not a whole Parquet file; export it again") from error

    def pages(self, columns: Sequence[str], problems: Problems) -> Iterator[pl.DataFrame]:
        """The rows with these columns, in the file's own types; what has no type of a column is text."""
        wanted = pl.scan_parquet(self.path, glob=False).select(self._places[name].alias(name) for name in columns)
        try:
            height = wanted.select(pl.len()).collect().item()
            for start in range(0, height, ROWS):
                page = wanted.slice(start, ROWS).collect()
                problems.good += page.height
                yield page.with_columns(_plain(column, self.style) for column in page.iter_columns())
        except pl.exceptions.PolarsError as error:
            raise ConfigurationError(f"{self.path.name} is damaged; export it again") from error


def _fields(name: str, place: pl.Expr, kind: object) -> Iterator[tuple[str, pl.Expr]]:
    """The fields of a struct, and those of structs in it, each with its path."""
    for one in kind.fields if isinstance(kind, pl.Struct) else ():
        path, inner = f"{name}.{one.name}", place.struct.field(one.name)
        yield path, inner
        yield from _fields(path, inner, one.dtype)


def _plain(column: pl.Series, style: ExportFormat) -> pl.Series:
    """A column as it would stand in a text file, if its type is none of a cell: categories, lengths of time, bytes,
    lists, structs."""
    if column.dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if column.dtype == pl.Duration:
        return column.dt.to_string("iso")
    if column.dtype == pl.Binary:
        return pl.Series(column.name, [_decoded(value) for value in column.to_list()], dtype=pl.String)
    if column.dtype.is_nested():
        texts = [text_of(value, style.several) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return column


def _decoded(value: bytes | None) -> str | None:
    """Text that a warehouse wrote as bytes; as a spreadsheet's error, which cannot be read, where it is no text."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return BROKEN[0]
