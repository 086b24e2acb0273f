"""The files of one table: a base, and over it the rows that changed since, oldest first.

A delta file holds whole rows in their new state; what is gone has its key alone and ``GONE``. The newest entry of a
key counts. Keys are texts without nulls, unique in the base.

Tables of parts (past values of a record, its associations) have any number of rows for a key. There a file holds all
rows of a key or none, so that the newest file with a key counts, and a record without a part has ``GONE``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stagesync.model.tables import UNREADABLE

GONE = "?gone"
COMPACT_SHARE = 0.2
"""Deltas of more rows than this share of the base are merged into it: reading stays quick."""
MOST_DELTAS = 16
"""More delta files than this become one: each costs a link in every snapshot and a look in every reading."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A table's files. ``key`` is the column of the record id; ``parts`` says that a key may have many rows."""

    key: str
    base: Sequence[Path]
    deltas: Sequence[Path] = ()
    parts: bool = False

    def read(self) -> pl.DataFrame:
        """All rows; sorted by key where there are deltas, as the base is by a CRM that reads by ascending id."""
        base = _joined([_parquet(file) for file in self.base])
        if not self.deltas:
            return base
        over = self.overlay()
        rows = _joined([base.join(over, on=self.key, how="anti", maintain_order="left"), _present(over)])
        rows = rows.sort(self.key, maintain_order=True)
        healed = [name for name in rows.columns if name.endswith(UNREADABLE) and not rows[name].any()]
        return rows.drop(healed)

    def overlay(self) -> pl.DataFrame:
        """The newest entry of each key in the deltas, with ``GONE``."""
        return newest([_parquet(file) for file in self.deltas], self.key, parts=self.parts)

    def rows_of(self, keys: pl.Series) -> pl.DataFrame:
        """The rows of these keys, in any order; absent ones are left out. Holds one file at a time."""
        wanted = pl.col(self.key).is_in(keys.implode())
        base = _joined([_scan(file).filter(wanted).collect() for file in self.base])
        if not self.deltas:
            return base
        entries = [_scan(file).filter(wanted).collect() for file in self.deltas]
        over = newest(entries, self.key, parts=self.parts)
        return _joined([base.join(over, on=self.key, how="anti"), _present(over)])

    def rows_with(self, column: str, values: pl.Series) -> pl.DataFrame:
        """The rows that hold one of these values in a column, in any order."""
        wanted = pl.col(column).is_in(values.implode())
        base = _joined([_scan(file).filter(wanted).collect() for file in self.base])
        if not self.deltas:
            return base
        over = self.overlay()
        kept = base.join(over, on=self.key, how="anti")
        # Where all is gone, the overlay has no such column.
        return _joined([kept, _present(over).filter(wanted)]) if column in over.columns else kept

    def keys_between(self, after: str, upto: str | None) -> pl.Series:
        """The keys above ``after`` and up to and with ``upto``; to the end without one. A shorter key is below a
        longer one, as numbers are.
        """
        within = _above(self.key, after)
        if upto is not None:
            within &= ~_above(self.key, upto)
        keys = pl.concat(_scan(file).select(self.key).filter(within).collect() for file in self.base)
        if not self.deltas:
            return keys[self.key]
        entries = [_scan(file).select(self.key, GONE).filter(within).collect() for file in self.deltas]
        over = newest(entries, self.key, parts=self.parts)
        return pl.concat([keys.join(over, on=self.key, how="anti"), _present(over)])[self.key]

    def news(self, entries: pl.DataFrame) -> pl.DataFrame:
        """Of entries (one for each key, with ``GONE``) those that say something else than these layers hold."""
        held = self.rows_of(entries[self.key])
        gone = entries.filter(GONE).join(held, on=self.key, how="semi")
        present = entries.filter(~pl.col(GONE))
        if not self.parts or not present.height:
            return _joined([_unlike(present, held), gone])
        # One part more, less or other, and all parts of the key are written anew.
        altered = pl.concat([_unlike(present, held)[self.key], _unlike(held, present)[self.key]])
        return _joined([present.filter(pl.col(self.key).is_in(altered.implode())), gone])

    def compacted(self, rows_per_file: int) -> Iterator[pl.DataFrame]:
        """All rows, as new base files: one old file at a time is held, and the deltas. A sorted base stays sorted."""
        over = self.overlay()
        present = _present(over)
        files = [file for file in self.base if _height(file)]
        firsts = sorted(str(_scan(file).select(pl.col(self.key).min()).collect().item()) for file in files)
        for place, file in enumerate(files):
            within = pl.lit(value=True)
            if place > 0:
                within &= pl.col(self.key) >= firsts[place]
            if place + 1 < len(files):
                within &= pl.col(self.key) < firsts[place + 1]
            kept = _parquet(file).join(over, on=self.key, how="anti", maintain_order="left")
            rows = _joined([kept, present.filter(within)]).sort(self.key, maintain_order=True)
            if rows.height:
                yield from rows.iter_slices(rows_per_file)
        if not files and present.height:
            yield from present.sort(self.key, maintain_order=True).iter_slices(rows_per_file)


def newest(entries: Sequence[pl.DataFrame], key: str, *, parts: bool) -> pl.DataFrame:
    """The last entry of each key; of a table of parts, all rows of the last frame that has the key."""
    if not parts:
        return _joined(entries).unique(subset=key, keep="last", maintain_order=True)
    place = "?frame"
    every = _joined([frame.with_columns(pl.lit(number).alias(place)) for number, frame in enumerate(entries)])
    return every.filter(pl.col(place) == pl.col(place).max().over(key)).drop(place)


def _above(key: str, than: str) -> pl.Expr:
    length = pl.col(key).str.len_bytes()
    size = len(than.encode())
    return (length > size) | ((length == size) & (pl.col(key) > than))


def _present(over: pl.DataFrame) -> pl.DataFrame:
    return over.filter(~pl.col(GONE)).drop(GONE)


def _unlike(rows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The rows that are not among ``held``, value by value; a mark of unreadable that is absent is false."""
    marks = {name for name in (*rows.columns, *held.columns) if name.endswith(UNREADABLE)}
    names = sorted(marks | set(rows.columns) - {GONE})

    def comparable(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            (pl.col(mark).fill_null(value=False) if mark in frame.columns else pl.lit(value=False)).alias(mark)
            for mark in sorted(marks)
        )

    place = "?place"
    unlike = comparable(rows).with_row_index(place).join(comparable(held), on=names, how="anti", nulls_equal=True)
    return rows[unlike[place].sort()]


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames, how="diagonal")


def _parquet(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file, glob=False)


def _scan(file: Path) -> pl.LazyFrame:
    return pl.scan_parquet(file, glob=False)


def _height(file: Path) -> int:
    return int(_scan(file).select(pl.len()).collect().item())
