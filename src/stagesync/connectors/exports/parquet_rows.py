"""Parquet: columns that are typed already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError

ROWS = 200_000


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """A Parquet file. A damaged one cannot be read in part."""

    path: Path
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> ParquetFile:
        """Read the schema. Raises ConfigurationError for a file that is not Parquet or is damaged."""
        try:
            return cls(path=path, columns=tuple(pl.scan_parquet(path, glob=False).collect_schema()))
        except pl.exceptions.PolarsError as error:
            raise ConfigurationError(f"{path.name} is not a whole Parquet file; export it again") from error

    def pages(self, columns: Sequence[str], problems: Problems) -> Iterator[pl.DataFrame]:
        """The rows with these columns, in the file's own types."""
        wanted = pl.scan_parquet(self.path, glob=False).select(columns)
        try:
            height = wanted.select(pl.len()).collect().item()
            for start in range(0, height, ROWS):
                page = wanted.slice(start, ROWS).collect()
                problems.good += page.height
                yield page
        except pl.exceptions.PolarsError as error:
            raise ConfigurationError(f"{self.path.name} is damaged; export it again") from error
