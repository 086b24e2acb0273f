"""In which currencies records are: amounts in several of them have no sum, since nothing converts them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

UNNAMED = "no currency"
"""Stands for a record that has an amount and leaves its currency blank, beside others that do not."""


def currencies(records: Sequence[pl.DataFrame]) -> tuple[str, ...]:
    """The currencies of the records with an amount, sorted; none where the mapping does not say which field it is.

    Each frame has the columns ``amount`` and ``currency``.
    """
    found = pl.concat([rows.filter(pl.col("amount").is_not_null())["currency"].unique() for rows in records])
    names = found.unique().to_list()
    return tuple(sorted(str(name or UNNAMED) for name in names)) if any(names) else ()


def one_currency() -> pl.Expr:
    """Whether the rows (of a group) with an amount are all in one currency, so that they may be added."""
    return pl.col("currency").filter(pl.col("amount").is_not_null()).n_unique() <= 1
