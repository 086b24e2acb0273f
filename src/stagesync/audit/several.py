"""Several ids in one cell, as exports of associations have them: ``18402774677;18402774678``."""

from __future__ import annotations

import polars as pl

MARKS = (";", ",", "|")
ANY_MARK = "[;,|]"


def each(pairs: pl.DataFrame, mark: str, *columns: str) -> pl.DataFrame:
    """The pairs with a row for each id that stands in a cell of these columns; an id that stands there twice is one."""
    for column in columns:
        ids = pl.col(column).str.split(mark).list.eval(pl.element().str.strip_chars()).list.unique()
        pairs = pairs.with_columns(ids).explode(column).filter(pl.col(column) != "")
    return pairs


def undeclared(cells: pl.Series, keys: pl.Series) -> tuple[str, str] | None:
    """A cell that names several of these records, and what stands between them; None where no cell does."""
    cells = cells.filter(cells.str.contains(ANY_MARK))
    for mark in MARKS if len(cells) else ():
        some = cells.filter(cells.str.contains(mark, literal=True)).alias("cell")
        parts = each(pl.DataFrame([some, some.alias("part")]), mark, "part")
        known = keys.implode()
        found = parts.filter(pl.col("part").is_in(known) & ~pl.col("cell").is_in(known))
        if found.height:
            return found["cell"][0], mark
    return None
