"""What an audit found: records, verdicts and findings in columns, of which those become objects that are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
import polars as pl

from stagesync.audit import waivers
from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.findings import Positions
from stagesync.audit.telling import Telling
from stagesync.audit.verdicts import Verdicts
from stagesync.model.findings import Batch, Finding, Scope, Verdict
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import MappedObject

NO_REQUEST = ("", "false", "no", "0")
"""What stands in a field for waiver requests where nobody asks for one."""
FEW_OF = 8
"""Findings are told from columns of their own records alone, where there are so many times as many records."""


@dataclass(frozen=True, kw_only=True)
class NotJudged:
    """A criterion that could not be judged for some records because something is unknown, and why."""

    criterion: str
    reason: str
    records: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What an audit found about the records of one object of one connection that stand on one ladder.

    ``definition`` has that ladder alone. ``records`` has a row for each judged record; ``findings`` has columns ``row``
    (index into records), ``kind``, ``rule``, ``detail`` (words, or null), ``since``, ``severity`` and ``mode``. ``low``
    and ``high`` are the surely and possibly earned positions, -1 below the first rung. ``unread`` says why no record at
    all could be judged: the table, its ids or its stages were not read.

    ``waivers`` are those in force, ``expired`` those that were. ``let_off`` says whom each means (``waiver``, its
    number, and ``row``), and ``waived`` are the findings that would stand without them, with ``waiver``.
    ``aside`` are the records that the mapping leaves out on purpose: ``record`` and ``reason``. ``asked`` are those of
    which a rep asks for a waiver by a task, with the words.
    """

    connection: str
    definition: Definition
    mapped: MappedObject
    records: pl.DataFrame
    evidence: EvidenceFrame
    criteria: Verdicts
    low: Positions
    high: Positions
    findings: pl.DataFrame
    waivers: Sequence[Waiver]
    expired: Sequence[Waiver]
    let_off: pl.DataFrame
    waived: pl.DataFrame
    scope: Scope
    unread: str | None
    left_out: Mapping[str, int]
    aside: pl.DataFrame
    not_judged: Sequence[NotJudged]
    asked: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Every record that the mapping does not leave out on purpose was judged."""
        return self.unread is None and self.scope.evaluated + sum(self.left_out.values()) == self.scope.in_scope

    def each(self) -> Iterator[Finding]:
        """The findings as objects, with their evidence."""
        return self.some(self.findings)

    def some(self, findings: pl.DataFrame) -> Iterator[Finding]:
        """Some rows of ``findings`` as objects, in their order."""
        if findings.height * FEW_OF > self.records.height:
            return self._telling.some(findings)
        rows, numbers = np.unique(findings["row"].to_numpy(), return_inverse=True)
        return self._telling.about(rows).some(findings.with_columns(row=pl.Series(numbers, dtype=pl.UInt32)))

    def batches(self) -> Iterator[Batch]:
        """The findings by their essence, a few thousand at a time; most of them need never become objects."""
        return self._telling.batches(self.findings)

    @cached_property
    def _telling(self) -> Telling:
        return Telling(
            connection=self.connection,
            object=self.mapped.name,
            definition=self.definition,
            records=self.records,
            evidence=self.evidence,
            criteria=self.criteria,
            low=self.low,
            high=self.high,
        )

    @cached_property
    def requests(self) -> Mapping[str, str]:
        """The records of which a rep asks for a waiver, with the words; a box that is not ticked asks for nothing."""
        if self.mapped.waiver_request is None:
            return self.asked
        asked = self.records.select("record", pl.col("waiver_request").str.strip_chars().alias("words"))
        said = asked.filter(pl.col("words").is_not_null() & ~pl.col("words").str.to_lowercase().is_in(NO_REQUEST))
        return {**self.asked, **dict(zip(said["record"].to_list(), said["words"].to_list(), strict=True))}

    def verdicts(self, record: str) -> Mapping[str, Verdict]:
        """The verdict of each criterion of the ladder for one record; empty when the record was not judged."""
        row = self._rows_by_record.get(record)
        if row is None:
            return {}
        return {criterion.id: self.verdict(row, n) for n, criterion in enumerate(self.definition.criteria)}

    @property
    def modified(self) -> Mapping[str, datetime | None]:
        """When each judged record was last modified (UTC), as far as the mapping says."""
        return dict(zip(self.records["record"].to_list(), self.records["modified"].to_list(), strict=True))

    def currency_of(self, record: str) -> str | None:
        """In which currency a judged record's amount is; None where the mapping or the record does not say."""
        row = self._rows_by_record.get(record)
        currency: str | None = self.records["currency"][row] if row is not None else None
        return currency

    def row_of(self, record: str) -> int | None:
        """The row of a record in ``records``; None when it was not judged."""
        return self._rows_by_record.get(record)

    def name_of(self, record: str) -> str:
        """The name of a record, or its id where it was not judged."""
        row = self._rows_by_record.get(record)
        return str(self.records["name"][row]) if row is not None else record

    def why_aside(self, record: str) -> str | None:
        """Why the mapping leaves a record out, in its own words; None where it does not."""
        reasons = self.aside.filter(pl.col("record") == record)["reason"]
        return str(reasons[0]) if len(reasons) else None

    def is_worked_on(self, record: str) -> bool:
        """Whether a judged record is on a rung that people still work on: not parked, not terminal."""
        row = self._rows_by_record.get(record)
        rung = self.definition.rung(str(self.records["place"][row])) if row is not None else None
        return rung is not None and not rung.terminal

    @cached_property
    def _rows_by_record(self) -> Mapping[str, int]:
        return {record: row for row, record in enumerate(self.records["record"].to_list())}

    def verdict(self, row: int, criterion: int) -> Verdict:
        """The verdict of the n-th criterion of the ladder for a row of ``records``."""
        return self.criteria.at(row, criterion)

    def excuses(self, record: str) -> frozenset[str]:
        """The rules and criteria that a judged record is let off."""
        row = self._rows_by_record.get(record)
        return frozenset() if row is None else frozenset(waiver.rule for waiver in self.waivers_of(row))

    def waivers_of(self, row: int) -> Sequence[Waiver]:
        """The waivers in force that mean a row of ``records``."""
        return [self.waivers[n] for n in self.let_off.filter(pl.col("row") == row)["waiver"]]


def waived(judgements: Sequence[Judgement]) -> list[waivers.Effect]:
    """What each waiver did in an audit, and which have expired."""
    return waivers.effects((one.waivers, one.expired, one.let_off, one.waived) for one in judgements)
