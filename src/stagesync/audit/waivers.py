"""Waivers at work: which criteria are not insisted on, and which findings are waived. The only place that decides it.

A waived criterion counts as unknown: it demotes nobody, and nobody has earned anything by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from stagesync.audit.verdicts import Verdicts
from stagesync.audit.words import Population
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import Definition, ScopedWaiver

NO_WAIVER = pl.Series("waiver", [], dtype=pl.UInt32)

NOBODY = pl.DataFrame(schema={"waiver": pl.UInt32, "row": pl.UInt32})


def of(waivers: Sequence[Waiver], population: Population) -> tuple[tuple[Waiver, ...], tuple[Waiver, ...]]:
    """The waivers that may concern this object: those in force, and those that have expired."""
    concerned = [
        waiver
        for waiver in waivers
        if waiver.connection in (None, population.connection) and waiver.object in (None, population.object)
    ]
    today = population.frame.today
    in_force = tuple(waiver for waiver in concerned if waiver.holds_on(today))
    return in_force, tuple(waiver for waiver in concerned if not waiver.holds_on(today))


def let_off(waivers: Sequence[Waiver], population: Population) -> pl.DataFrame:
    """Whom each waiver means: ``waiver`` (its number) and ``row`` of the judged records, in that order.

    Where an unknown leaves open whether its condition holds, the record is let off.
    """
    if not waivers:
        return NOBODY
    records = population.records.select("record").with_row_index("row")
    numbered = list(enumerate(waivers))
    named = [(n, waiver.record) for n, waiver in numbered if waiver.record is not None]
    schema = {"waiver": pl.UInt32, "record": pl.String}
    meant = pl.DataFrame(named, schema=schema, orient="row").join(records, on="record").select("waiver", "row")
    parts = [meant]
    for n, waiver in numbered:
        condition = waiver.when if isinstance(waiver, ScopedWaiver) else None
        if waiver.record is not None and condition is None:
            continue
        rows = records["row"] if waiver.record is None else meant.filter(pl.col("waiver") == n)["row"]
        if condition is not None:
            rows = rows.filter(population.holding(condition, rows)[1])
        parts[0] = parts[0].filter(pl.col("waiver") != n)
        parts.append(
            pl.DataFrame({"waiver": pl.Series([n], dtype=pl.UInt32).new_from_index(0, len(rows)), "row": rows})
        )
    return pl.concat(parts).sort("waiver", "row")


def waived_criteria(
    definition: Definition, criteria: Verdicts, waivers: Sequence[Waiver], meant: pl.DataFrame
) -> Verdicts:
    """The verdicts, with those that a waiver names left open. ``meant`` is what ``let_off`` says."""
    numbers = {criterion.id: number for number, criterion in enumerate(definition.criteria)}
    possible = list(criteria.possible)
    for n, waiver in enumerate(waivers):
        number = numbers.get(waiver.rule)
        if number is not None:
            # A copy also where nothing is unknown: the very column of `met` says that nothing is left open.
            open_ = possible[number].to_numpy().copy()
            open_[meant.filter(pl.col("waiver") == n)["row"].to_numpy()] = True
            possible[number] = pl.Series(open_)
    return replace(criteria, possible=possible)


def split(findings: pl.DataFrame, waivers: Sequence[Waiver], meant: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The findings that stand, and those that are waived, with ``waiver``: the number of the first that does it.

    ``meant`` is what ``let_off`` says.
    """
    if not meant.height:
        return findings, findings.clear().hstack([NO_WAIVER])
    rules = pl.DataFrame(
        {"waiver": pl.arange(len(waivers), dtype=pl.UInt32, eager=True), "waives": [w.rule for w in waivers]}
    )
    numbered = findings.with_row_index("finding")
    hits = (
        numbered.select("finding", "row", "rule")
        .join(meant.join(rules, on="waiver"), on="row")
        .filter((pl.col("rule") == pl.col("waives")) | pl.col("rule").str.starts_with(pl.col("waives") + "."))
        .group_by("finding")
        .agg(pl.col("waiver").min())
    )
    found = numbered.join(hits, on="finding", how="left", maintain_order="left").drop("finding")
    standing = found["waiver"].is_null()
    return found.filter(standing).drop("waiver"), found.filter(~standing)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a waiver did in an audit: how many records it let off, and how many findings it set aside.

    An expired one did nothing.
    """

    waiver: Waiver
    expired: bool
    records: int = 0
    findings: int = 0


def effects(parts: Iterable[tuple[Sequence[Waiver], Sequence[Waiver], pl.DataFrame, pl.DataFrame]]) -> list[Effect]:
    """The effect of each waiver over all parts of an audit: its waivers in force, the expired, whom they let off and
    the findings that they set aside."""
    found: dict[Waiver, Effect] = {}
    for in_force, expired, meant, waived in parts:
        for waiver in expired:
            found.setdefault(waiver, Effect(waiver=waiver, expired=True))
        records, findings = (dict(frame["waiver"].value_counts().iter_rows()) for frame in (meant, waived))
        for n, waiver in enumerate(in_force):
            known = found.setdefault(waiver, Effect(waiver=waiver, expired=False))
            found[waiver] = replace(
                known, records=known.records + records.get(n, 0), findings=known.findings + findings.get(n, 0)
            )
    return list(found.values())
