"""The facts of findings as text, in columns: what ``model.findings.essence_of`` says of one finding as an object."""

from __future__ import annotations

import hashlib

import polars as pl

from stagesync.model.findings import BETWEEN, BLANK


def facts(findings: pl.DataFrame, records: pl.DataFrame, place: str, earned: pl.Series) -> pl.Series:
    """The facts of each finding, as one text.

    ``place`` is connection and object, ``earned`` the stages that their records have earned.
    """
    of = records.select(
        "record", "name", "owner", "owner_name", "place", "native", "pipeline", "since_source", "amount"
    )[findings["row"]]
    table = of.hstack([*findings.select("rule", "severity", "mode", "since"), earned.alias("earned")])
    key = pl.format("{}:{}:{}", pl.lit(place), "record", "rule")
    parts = [
        key,
        pl.col("name"),
        pl.col("owner"),
        pl.col("owner_name"),
        pl.col("severity").cast(pl.String),
        pl.col("mode").cast(pl.String),
        pl.col("place"),
        pl.col("native"),
        pl.col("pipeline"),
        pl.col("earned"),
        pl.col("since").dt.timestamp("us").cast(pl.String),
        pl.col("since_source"),
        pl.lit(_bits(of["amount"])),
    ]
    filled = [part.fill_null(BLANK) for part in parts]
    return table.select(pl.concat_str(filled, separator=BETWEEN).alias("facts")).to_series()


def essences(facts: pl.Series, codes: pl.Series) -> list[bytes]:
    """The essence of each finding out of its facts and the codes of its evidence."""
    texts = pl.select(pl.concat_str([facts, codes], separator=BETWEEN).cast(pl.Binary)).to_series().to_list()
    hashed = hashlib.sha256
    return [hashed(text).digest() for text in texts]


def _bits(amounts: pl.Series) -> pl.Series:
    """Amounts as the number that their 64 bits are, which every version of every library writes alike."""
    bits = pl.Series(amounts.fill_null(0.0).to_numpy().view("uint64")).cast(pl.String)
    return pl.select(pl.when(pl.lit(amounts).is_not_null()).then(pl.lit(bits))).to_series()
