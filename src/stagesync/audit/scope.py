"""Which records of an object can be judged, and which are left out and why. Nothing disappears silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import EVERY_OTHER, MappedObject

Places = tuple[pl.Series, pl.Series]
FEW = 50
"""Up to this many values are looked up faster one after the other than as a column."""
NOBODY = pl.DataFrame(schema={"record": pl.String, "reason": pl.String})
PLACE, POSITION = ":place", ":position"
"""Columns beside those of the CRM, so that they have names which none of these has."""
PARKED = -1
"""Position of records on a parking place: only contradictions are looked for."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The records to judge, with PLACE (name of rung or parking place) and POSITION (rung, or PARKED).

    ``left_out`` are those that the mapping leaves out on purpose, ``not_judged`` those that could not be judged:
    reason to count. ``aside`` names the former: ``record`` and ``reason``. ``ladder`` is the one that positions are on.
    """

    ladder: str
    records: pl.DataFrame
    in_scope: int
    left_out: Mapping[str, int]
    not_judged: Mapping[str, int]
    aside: pl.DataFrame


def select(definition: Definition, mapped: MappedObject, known: Places, rows: pl.DataFrame) -> Judged:
    """Split the rows of an object's table into records to judge and counted reasons. ``known`` is what
    :func:`known_places` says."""
    place, position = _places(mapped, known, rows)
    reasons = {
        "broken": _broken(rows[mapped.table.key]),
        "left_out": _left_out(mapped, rows),
        "unmapped": _unmapped(mapped, rows) if place.null_count() else None,
    }
    records = rows.hstack([place, position])
    aside = NOBODY
    asked = {name: reason for name, reason in reasons.items() if reason is not None}
    counts = {name: Counter[str]() for name in reasons}
    if asked:
        verdict = _first_reason(records, asked)
        counts |= {name: _counts(verdict[name]) for name in asked}
        if "left_out" in asked:
            named = records.select(record=mapped.table.key, reason=verdict["left_out"])
            aside = named.filter(pl.col("reason").is_not_null())
        records = records.filter(verdict.select(pl.all_horizontal(pl.all().is_null())).to_series())
    return Judged(
        ladder=next(iter(definition.ladders)),
        records=records,
        in_scope=rows.height,
        left_out=counts["left_out"],
        not_judged=counts["broken"] + counts["unmapped"],
        aside=aside,
    )


def _first_reason(records: pl.DataFrame, asked: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """A column for each kind of reason, in which a row that has several counts once, for the first."""
    # with_columns, so that a constant is as long as the table.
    found = records.with_columns(reason.alias(name) for name, reason in asked.items()).select(list(asked))
    return found.select(
        pl.when(pl.all_horizontal(pl.lit(value=True), *(pl.col(other).is_null() for other in list(asked)[:n])))
        .then(pl.col(name))
        .alias(name)
        for n, name in enumerate(asked)
    )


def by_ladder(definition: Definition, mapped: MappedObject, judged: Judged) -> Iterator[Judged]:
    """The records to judge, a part for each ladder that the object has stages of; the first has what was left out.

    A parking place is on the ladder of its pipeline or record type, or of the object where that has none.
    """
    if len(definition.ladders) == 1:
        yield judged
        return
    ladders = {rung.name: ladder for ladder, rungs in definition.ladders.items() for rung in rungs}
    used = [ladders[place] for place in mapped.stages.values() if place in ladders]
    present = [ladder for ladder in definition.ladders if ladder in used] or [judged.ladder]
    of_group: dict[str | None, str] = {}
    for (group, _), place in mapped.stages.items():
        if place in ladders:
            of_group.setdefault(group, ladders[place])
    ladder = pl.col(PLACE).replace_strict(ladders, default=None, return_dtype=pl.String)
    parked = pl.lit(present[0])
    if mapped.group_field is not None:
        known = {group: name for group, name in of_group.items() if group is not None}
        groups, other = pl.col(mapped.group_field).fill_null(""), known.get(EVERY_OTHER, present[0])
        parked = groups.replace_strict(known, default=other, return_dtype=pl.String)
    on = judged.records.select(pl.coalesce(ladder, parked)).to_series()
    for number, name in enumerate(present):
        records = judged.records.filter(on == name)
        if number == 0:
            others = judged.records.height - records.height
            yield replace(judged, ladder=name, records=records, in_scope=judged.in_scope - others)
        else:
            none = judged.aside.clear()
            yield Judged(ladder=name, records=records, in_scope=records.height, left_out={}, not_judged={}, aside=none)


def _broken(keys: pl.Series) -> pl.Expr | None:
    if not keys.null_count() and _unique(keys):
        return None
    key = pl.col(keys.name)
    return (
        pl.when(key.is_null())
        .then(pl.lit("the row has no id"))
        .when(~key.is_first_distinct())
        .then(pl.lit("the id stands more than once; the first row was judged"))
    )


def _unique(keys: pl.Series) -> bool:
    """Whether no key stands twice. Keys whose hashes all differ do; sorting numbers is cheaper than a hash table."""
    if len(keys) < 2:
        return True
    hashes = np.sort(keys.hash().to_numpy())
    return bool((hashes[1:] != hashes[:-1]).all()) or keys.n_unique() == len(keys)


def _counts(reasons: pl.Series) -> Counter[str]:
    return Counter(reasons.drop_nulls().to_list())


def _left_out(mapped: MappedObject, rows: pl.DataFrame) -> pl.Expr | None:
    reasons = [
        pl.when(pl.col(column).fill_null(value=False)).then(pl.lit(words))
        for column, words in mapped.skip.items()
        if column in rows.columns and rows[column].any()
    ]
    return pl.coalesce(reasons) if reasons else None


def _unmapped(mapped: MappedObject, rows: pl.DataFrame) -> pl.Expr:
    return (
        pl.when(pl.col(PLACE).is_not_null())
        .then(None)
        .when(_unreadable(rows, mapped.stage_field))
        .then(pl.lit("the stage cannot be read"))
        .when(pl.col(mapped.stage_field).is_null())
        .then(pl.lit("the record has no stage"))
        .otherwise(pl.format("the mapping does not know the stage '{}'", _native(mapped)))
    )


def _unreadable(rows: pl.DataFrame, column: str) -> pl.Expr:
    flag = column + UNREADABLE
    return pl.col(flag).fill_null(value=False) if flag in rows.columns else pl.lit(value=False)


def _native(mapped: MappedObject) -> pl.Expr:
    stage = pl.col(mapped.stage_field)
    if mapped.group_field is None:
        return stage
    group = pl.col(mapped.group_field).fill_null("(none)")
    return pl.format("{} / {}", group, stage)


def known_places(definition: Definition, mapped: MappedObject) -> Places:
    """PLACE (rung or parking place) and POSITION of each entry of ``mapped.stages``, and a null at the end."""
    places = list(mapped.stages.values())
    positions = dict.fromkeys(places, PARKED) | {rung.name: rung.position for rung in definition.rungs}
    return (
        pl.Series(PLACE, [*places, None], dtype=pl.String),
        pl.Series(POSITION, [*(positions[place] for place in places), None], dtype=pl.Int16),
    )


def _places(mapped: MappedObject, known: Places, rows: pl.DataFrame) -> Places:
    """PLACE and POSITION of each row; null where the mapping does not know it.

    ``""`` maps a blank stage. Texts become numbers once; then a place is looked up in a table of pipelines and stages.
    """
    stages = _filled(rows[mapped.stage_field], "")
    if (flag := mapped.stage_field + UNREADABLE) in rows.columns:
        stages = stages.set(_filled(rows[flag], False), None)
    index = pl.Series(stage_numbers(mapped, stages, rows[mapped.group_field] if mapped.group_field else None))
    place, position = known
    return place[index], position[index]


def stage_numbers(mapped: MappedObject, stages: pl.Series, groups: pl.Series | None) -> npt.NDArray[np.uint32]:
    """Of each native stage (``""`` for a blank one), in the pipeline or record type beside it, the number among
    ``mapped.stages``: the entry that names both, else the one under ``"*"``; where there is none, how many there are.
    """
    natives = _numbers(native for _, native in mapped.stages)
    named = _numbers(group for group, _ in mapped.stages if group is not None and group != EVERY_OTHER)
    table = np.full((len(named) + 1, len(natives) + 1), len(mapped.stages), dtype=np.uint32)
    # First what holds everywhere, then what is named.
    for number, (group, native) in sorted(enumerate(mapped.stages), key=lambda entry: entry[1][0] in named):
        table[named[group] if group in named else slice(None), natives[native]] = number
    row = 0 if groups is None else _coded(_filled(groups, ""), named)
    found: npt.NDArray[np.uint32] = table[row, _coded(stages, natives)]
    return found


def _numbers(words: Iterable[str]) -> Mapping[str | None, int]:
    return {word: number for number, word in enumerate(dict.fromkeys(words))}


def _coded(values: pl.Series, words: Mapping[str | None, int]) -> npt.NDArray[np.uint32]:
    """The number of each value among the words, one more than the last where it is none of them."""
    if len(values) <= FEW:
        return np.array([words.get(value, len(words)) for value in values.to_list()], dtype=np.uint32)
    codes = values.cast(pl.Enum([str(word) for word in words]), strict=False).to_physical().cast(pl.UInt32)
    return _filled(codes, len(words)).to_numpy()


def _filled(values: pl.Series, value: object) -> pl.Series:
    return values.fill_null(value) if values.null_count() else values
