"""The essences of findings, in columns: what ``model.findings.essence_of`` says of one finding as an object."""

from __future__ import annotations

import hashlib

import polars as pl

from stagesync.model.findings import BETWEEN, BLANK


def essences(
    findings: pl.DataFrame, records: pl.DataFrame, place: str, earned: pl.Series, codes: pl.Series
) -> list[bytes]:
    """The essence of each finding.

    ``place`` is connection and object, ``earned`` the stages that their records have earned, ``codes`` those of the
    evidence of each.
    """
    of = records.select(
        "record", "name", "owner", "owner_name", "place", "native", "pipeline", "since_source", "amount"
    )[findings["row"]]
    said = [earned.alias("earned"), codes.alias("codes")]
    table = of.hstack([*findings.select("rule", "severity", "mode", "since"), *said])
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
        pl.col("codes"),
    ]
    filled = [part.fill_null(BLANK) for part in parts]
    texts = table.select(pl.concat_str(filled, separator=BETWEEN).cast(pl.Binary)).to_series().to_list()
    hashed = hashlib.sha256
    return [hashed(text).digest() for text in texts]


def _bits(amounts: pl.Series) -> pl.Series:
    """Amounts as the number that their 64 bits are, which every version of every library writes alike."""
    bits = pl.Series(amounts.fill_null(0.0).to_numpy().view("uint64")).cast(pl.String)
    return pl.select(pl.when(pl.lit(amounts).is_not_null()).then(pl.lit(bits))).to_series()
