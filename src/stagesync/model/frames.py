"""How rows travel: as polars frames. Apart from ``tables``, so that definitions are checked without loading polars.

The column types map to polars as follows:

========  =========================================  ================================
type      polars                                     notes
========  =========================================  ================================
text      String                                     "" never occurs: blank is null
integer   Int64
number    Float64                                    never NaN or infinite
boolean   Boolean
date      Date
datetime  Datetime("us", "UTC")                      always UTC
========  =========================================  ================================

A value that could not be read as its type is null, and the Boolean column ``<name>?unreadable`` is true
in that row. The companion column is present only where at least one value of the frame is unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from stagesync.model.tables import ColumnType

POLARS: Mapping[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.NUMBER: pl.Float64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.DATE: pl.Date(),
    ColumnType.DATETIME: pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows of one table as they arrived; ``table`` is the table's name or ``<name>~<link>``.

    ``anew`` says that the reading of the table begins again: what came of it before is to be forgotten.
    """

    table: str
    rows: pl.DataFrame
    anew: bool = False
