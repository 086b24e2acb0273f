"""The findings of an audit in the order in which people read them. They stay columns; only those shown are objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import overload

import polars as pl

from stagesync.audit.findings import SEVERITIES
from stagesync.audit.judgement import Judgement
from stagesync.model.findings import Finding
from stagesync.model.kinds import Severity

WORST_FIRST = ("severity", "amount")


@dataclass(frozen=True)
class Ranked(Sequence[Finding]):
    """The findings of some judgements, the worst first: by severity, then by money at stake, then by their key."""

    judgements: Sequence[Judgement]

    def __len__(self) -> int:
        return sum(judgement.findings.height for judgement in self.judgements)

    def __iter__(self) -> Iterator[Finding]:
        return self._objects(_sorted(self._columns, self.judgements))

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        if isinstance(index, int):
            return self[index : index + 1 or None][0]
        start, stop, step = index.indices(len(self))
        near = _sorted(_worst(self._columns, max(start, stop)), self.judgements)
        return list(self._objects(near[start:stop:step]))

    def by_record(self, limit: int) -> Sequence[Sequence[Finding]]:
        """The findings of the worst records, each record with all of its own; 0 takes all records."""
        chosen = _sorted(self._of_worst(limit) if limit else self._columns, self.judgements)
        chosen = chosen.with_row_index("at").with_columns(pl.col("at").min().over("judgement", "row"))
        order = chosen.sort("at", maintain_order=True)
        shown = order.filter(pl.col("at").rank("dense") <= limit) if limit else order
        found = zip(shown["at"].to_list(), self._objects(shown), strict=True)
        return [[finding for _, finding in group] for _, group in groupby(found, key=lambda pair: pair[0])]

    def _of_worst(self, count: int) -> pl.DataFrame:
        """The findings of the worst ``count`` records, and of equals of the last one.

        A record is as bad as its worst finding: the worst findings are looked at until they are of enough records.
        """
        record = ["judgement", "row"]
        wanted = count
        while (near := _worst(self._columns, wanted)).height < len(self) and near.select(record).n_unique() < count:
            wanted *= 4
        return self._columns.join(near, on=record, how="semi")

    @property
    def records(self) -> int:
        """How many records have findings."""
        return sum(judgement.findings["row"].n_unique() for judgement in self.judgements)

    def reaches(self, severity: Severity) -> bool:
        """Whether there is a finding of this severity or worse."""
        return bool((self._columns["severity"] >= pl.Series([str(severity)], dtype=SEVERITIES)).any())

    @cached_property
    def _columns(self) -> pl.DataFrame:
        columns = [
            judgement.findings.select(
                pl.lit(n, dtype=pl.UInt32).alias("judgement"),
                pl.int_range(pl.len(), dtype=pl.UInt32).alias("finding"),
                "row",
                "severity",
                "rule",
                judgement.records["amount"].gather(judgement.findings["row"]).fill_null(0.0).alias("amount"),
            )
            for n, judgement in enumerate(self.judgements)
        ]
        return pl.concat(columns) if columns else pl.DataFrame(schema=_SCHEMA)

    def _objects(self, order: pl.DataFrame) -> Iterator[Finding]:
        """The findings of these rows, in their order, a few thousand at a time."""
        for part in order.iter_slices(PART):
            places = part.with_row_index("place")
            made: list[Finding | None] = [None] * part.height
            for (number,), group in places.group_by("judgement"):
                judgement = self.judgements[int(str(number))]
                found = judgement.some(judgement.findings[group["finding"]])
                for at, finding in zip(group["place"].to_list(), found, strict=True):
                    made[at] = finding
            yield from (finding for finding in made if finding is not None)


PART = 5_000
_SCHEMA: dict[str, pl.DataType] = {
    "judgement": pl.UInt32(),
    "finding": pl.UInt32(),
    "row": pl.UInt32(),
    "severity": SEVERITIES,
    "rule": pl.String(),
    "amount": pl.Float64(),
}


def _worst(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """The rows among which the worst ``count`` are: equals of the last one stay, since only keys tell them apart."""
    if count >= rows.height or count <= 0:
        return rows.head(max(count, 0))
    last = rows.select(WORST_FIRST).top_k(count, by=WORST_FIRST).sort(WORST_FIRST).row(0)
    severity, amount = pl.lit(last[0], dtype=SEVERITIES), last[1]
    worse = pl.col("severity") > severity
    return rows.filter(worse | ((pl.col("severity") == severity) & (pl.col("amount") >= amount)))


def _sorted(rows: pl.DataFrame, judgements: Sequence[Judgement]) -> pl.DataFrame:
    keyed = [
        part.with_columns(
            key=pl.format(
                "{}:{}:{}:{}",
                pl.lit(judgement.connection),
                pl.lit(judgement.mapped.name),
                judgement.records["record"].gather(part["row"]),
                "rule",
            )
        )
        for n, judgement in enumerate(judgements)
        if (part := rows.filter(pl.col("judgement") == n)).height
    ]
    if not keyed:
        return rows
    return pl.concat(keyed).sort(*WORST_FIRST, "key", descending=[True, True, False]).drop("key")
