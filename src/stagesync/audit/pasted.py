"""Texts that stand on so many records that nobody wrote them for one of them."""

from __future__ import annotations

import polars as pl

from stagesync.audit.masks import Pasted, stated
from stagesync.policy.definitions import Definition


def pasted(definition: Definition, rows: pl.DataFrame) -> frozenset[Pasted]:
    """The texts, as they stand in the evidence items, that the definitions call pasted.

    ``rows`` has the evidence of the records that are judged together. Texts that differ in case or in white space
    alone are one text. What is a placeholder anyway is left to the placeholders.
    """
    rule = definition.pasted
    if rule is None:
        return frozenset()
    text, records = pl.col("text"), pl.col("records")
    said = text.str.strip_chars().str.to_lowercase().str.replace_all(r"\s+", " ")
    found = []
    for item in definition.pasted_items:
        if item in rows.columns:
            # A text is never longer without its surplus space, so that most are left aside before they are compared.
            long = rows.select(text=item).filter(text.str.len_chars() >= rule.length)
            often = (
                long.group_by("text")
                .agg(records=pl.len())
                .with_columns(said=said)
                .with_columns(records=records.sum().over("said"))
                .filter(
                    (records >= rule.records)
                    & (pl.col("said").str.len_chars() >= rule.length)
                    & stated(text, definition.placeholders)
                )
            )
            found += [Pasted(item=item, text=row[0], records=row[1]) for row in often.select("text", "records").rows()]
    return frozenset(found)
