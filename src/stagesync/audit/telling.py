"""What findings say: whom they are about and the evidence for them, in columns from the judged records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit import essences
from stagesync.audit.distinct import Distinct, Places, distinct
from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.findings import Positions
from stagesync.audit.reasons import BLANK, evidence_for, shown_in_columns, source_of, words_of
from stagesync.audit.verdicts import Verdicts
from stagesync.model.findings import Batch, Cited, Finding, Findings, Told, Verdict, code_of, coded
from stagesync.model.kinds import Kind, Mode, Severity
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Criterion, Definition

PART = 50_000
"""How many findings are told at a time."""

Rows = npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class _Mention:
    """What findings point at: a criterion, or their own rule; ``which`` are the places of those that do."""

    which: Places
    cited: Cited
    criterion: Criterion | None = None

    @property
    def code(self) -> str:
        cited = self.cited
        return code_of(cited.criterion, cited.verdict, cited.source, cited.ask, cited.because)


@dataclass(frozen=True)
class _Said:
    """What is said of one mention, for the findings at the places (ascending) that it is about.

    Reasons and values are apart: of pairs few are kept, and the garbage collector would look at each.
    """

    which: Places
    cited: Cited
    reasons: Sequence[str]
    values: Sequence[str | None]

    def cut(self, bounds: Sequence[int]) -> Iterator[Told]:
        """What is said of the findings of each stretch between these places, by their places in it."""
        cuts = np.searchsorted(self.which, bounds)
        of = (self.which - np.repeat(bounds[:-1], np.diff(cuts))).tolist()
        for start, stop in pairwise(cuts.tolist()):
            words = zip(self.reasons[start:stop], self.values[start:stop], strict=True)
            yield Told(cited=self.cited, of=of[start:stop], words=coded(words))


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Where the words of findings come from: judged records of one object on one ladder, with their evidence.

    A frame of findings has at least the columns ``row`` (index into ``records``), ``kind``, ``rule``, ``detail``,
    ``since``, ``severity`` and ``mode``.
    """

    connection: str
    object: str
    definition: Definition
    records: pl.DataFrame
    evidence: EvidenceFrame
    criteria: Verdicts
    low: Positions
    high: Positions

    def about(self, rows: Rows) -> Telling:
        """The same of these records alone: findings then point at places in ``rows``."""
        return replace(
            self,
            records=self.records[rows],
            evidence=replace(self.evidence, rows=self.evidence.rows[rows]),
            criteria=self.criteria.of(rows),
            low=self.low[rows],
            high=self.high[rows],
        )

    def some(self, findings: pl.DataFrame) -> Iterator[Finding]:
        """Findings as objects, in their order."""
        for part in findings.iter_slices(PART):
            made: dict[int, Finding] = {}
            for kind, rule, group in _by_rule(part.with_row_index("place")):
                (told,) = self.told(kind, rule, group, PART)
                made.update(zip(group["place"].to_list(), told.objects(), strict=True))
            yield from (made[place] for place in range(part.height))

    def batches(self, findings: pl.DataFrame) -> Iterator[Batch]:
        """Findings by their essence, rule by rule, some thousands at a time."""
        for kind, rule, group in _by_rule(findings):
            for part in group.iter_slices(PART):
                rows = part["row"].to_numpy()
                place = f"{self.connection}:{self.object}"
                earned = self._earned(kind, rows)
                stages = pl.Series(earned.values, dtype=pl.String)[earned.of]
                codes = _codes(list(self._mentions(kind, rule, rows)), part.height)
                yield Batch(
                    connection=self.connection,
                    object=self.object,
                    rule=rule,
                    records=self.records["record"][rows].to_list(),
                    essences=essences.essences(part, self.records, place, stages, codes),
                    told=partial(self._chosen, kind, rule, part),
                )

    def _chosen(
        self, kind: Kind, rule: str, part: pl.DataFrame, places: Sequence[int], at_once: int
    ) -> Iterator[Findings]:
        return self.told(kind, rule, part if len(places) == part.height else part[list(places)], at_once)

    def told(self, kind: Kind, rule: str, findings: pl.DataFrame, at_once: int) -> Iterator[Findings]:
        """Findings of one rule in columns with the evidence for them, so many at a time."""
        rows = findings["row"].to_numpy()
        bounds = [*range(0, findings.height, at_once), findings.height]
        each = {name: self.records[column][findings["row"]].to_list() for name, column in _OF_RECORD.items()}
        each["since"] = _texts(findings["since"]).to_list()
        again = {name: of_records.at(rows) for name, of_records in self._again.items()}
        again["earned"] = self._earned(kind, rows)
        again["severity"] = distinct(findings["severity"]).map(Severity)
        again["mode"] = distinct(findings["mode"]).map(Mode)
        evidence = [said.cut(bounds) for said in self._evidence(kind, rule, rows, findings["detail"])]
        for start, stop in pairwise(bounds):
            columns: dict[str, Any] = {name: column[start:stop] for name, column in each.items()}
            columns |= {name: column.part(slice(start, stop)) for name, column in again.items()}
            yield Findings(
                connection=self.connection,
                object=self.object,
                kind=kind,
                rule=rule,
                evidence=[told for told in map(next, evidence) if told.of],
                **columns,
            )

    @cached_property
    def _again(self) -> Mapping[str, Distinct[Any]]:
        """Columns of findings that their records bring along, of all judged records."""
        return {name: distinct(self.records[column]) for name, column in _AGAIN.items()}

    def _earned(self, kind: Kind, rows: Rows) -> Distinct[str | None]:
        """The stages that records have earned, as far as the kind is about that; None below the first."""
        earned = {Kind.PREMATURE: self.high, Kind.READY: self.low}.get(kind)
        position = np.full(len(rows), -1) if earned is None else earned[rows]
        # Position -1, below the first, reads the None before all.
        return Distinct([None, *(rung.name for rung in self.definition.rungs)], position.astype(np.intp) + 1)

    def _evidence(self, kind: Kind, rule: str, rows: Rows, detail: pl.Series) -> Iterator[_Said]:
        """The evidence for findings of a rule, gathered mention by mention for all of them that it is about."""
        for mention in self._mentions(kind, rule, rows):
            criterion, cited = mention.criterion, mention.cited
            if criterion is None:
                yield _Said(mention.which, cited, detail.to_list(), self._shown(cited, rows))
                continue
            reasons, values = self._words(criterion, cited.verdict, rows[mention.which])
            if kind is Kind.CONTRADICTION:
                reasons = [f"{cited.because} ({reason})" for reason in reasons]
            yield _Said(mention.which, cited, reasons, values)

    def _shown(self, cited: Cited, rows: Rows) -> list[str | None]:
        """The values of what findings with words of their own are about: an item of evidence, or nothing."""
        item = cited.criterion.partition(".")[2]
        if item not in self._known:
            return [BLANK if item else None] * len(rows)
        known = self._known[item][rows].to_frame()
        return known.select(shown_in_columns(item, known.schema[item])).to_series().to_list()

    def _words(self, criterion: Criterion, verdict: Verdict, rows: Rows) -> tuple[list[str], list[str | None]]:
        unknown = self.evidence.unknown
        names = [name for item in criterion.items for name in (item, item + UNREADABLE)]
        places = pl.Series(rows)
        known = [self._known[name][places] for name in names if name in self._known]
        if not known:
            one = evidence_for(criterion, verdict, {}, unknown, {})
            return [one.reason] * len(rows), [one.value] * len(rows)
        return words_of(criterion, verdict, pl.DataFrame(known), unknown)

    @cached_property
    def _known(self) -> Mapping[str, pl.Series]:
        """The columns of evidence by name."""
        return {column.name: column for column in self.evidence.rows.iter_columns()}

    def _mentions(self, kind: Kind, rule: str, rows: Rows) -> Iterator[_Mention]:
        """What the findings of one rule point at, in order: criteria, or the rule itself."""
        every = np.arange(len(rows))
        if kind is Kind.CONTRADICTION:
            for criterion in self.definition.contradictions:
                if f"{kind}.{criterion.id}" == rule:
                    yield self._mention(every, criterion, Verdict.MET)
        elif kind in (Kind.PREMATURE, Kind.READY):
            yield from self._mentioned_rungs(kind, rows)
        else:
            source = self.evidence.sources.get(rule.partition(".")[2])
            yield _Mention(
                which=every, cited=Cited(criterion=rule, verdict=Verdict.NOT_MET, source=source, ask=_ASK[kind])
            )

    def _mentioned_rungs(self, kind: Kind, rows: Rows) -> Iterator[_Mention]:
        """What is not met up to where premature records stand, or met above where those stand that are ready."""
        position = self.records["position"].to_numpy()[rows]
        lowest, highest = (0, position) if kind is Kind.PREMATURE else (position + 1, self.low[rows])
        verdict = Verdict.NOT_MET if kind is Kind.PREMATURE else Verdict.MET
        for n, (criterion, rung) in enumerate(self._ladder()):
            told = self._truths[kind][n][rows]
            which = np.flatnonzero(told & (rung >= lowest) & (rung <= highest))
            if len(which):
                yield self._mention(which, criterion, verdict)

    @cached_property
    def _truths(self) -> Mapping[Kind, Sequence[npt.NDArray[np.bool_]]]:
        """By kind and criterion of the ladder, which records it is told of: those that fail it, or that meet it."""
        pairs = zip(self.criteria.met, self.criteria.possible, strict=True)
        return {
            Kind.PREMATURE: [~(met | possible).to_numpy() for met, possible in pairs],
            Kind.READY: [met.to_numpy() for met in self.criteria.met],
        }

    def _mention(self, which: Places, criterion: Criterion, verdict: Verdict) -> _Mention:
        cited = Cited(
            criterion=criterion.id,
            verdict=verdict,
            source=source_of(criterion, self.evidence.sources),
            ask=criterion.ask,
            because=criterion.because,
        )
        return _Mention(which=which, cited=cited, criterion=criterion)

    def _ladder(self) -> Iterator[tuple[Criterion, int]]:
        for rung in self.definition.rungs:
            for criterion in rung.requires:
                yield criterion, rung.position


def _texts(moments: pl.Series) -> pl.Series:
    """Moments (UTC) as text, with as much of a second as there is."""
    return moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")


def _by_rule(findings: pl.DataFrame) -> Iterator[tuple[Kind, str, pl.DataFrame]]:
    """The findings of each rule."""
    for (kind, rule), group in findings.group_by("kind", "rule", maintain_order=True):
        yield Kind(str(kind)), str(rule), group


def _codes(mentions: Sequence[_Mention], findings: int) -> pl.Series:
    """The codes of what each finding points at, in the order in which it is told, as one text."""
    texts, of = [""], np.zeros(findings, dtype=np.int64)
    for some in (mentions[start : start + _BITS] for start in range(0, len(mentions), _BITS)):
        of <<= len(some)
        for bit, mention in enumerate(some):
            of[mention.which] |= 1 << bit
        different, of = np.unique(of, return_inverse=True)
        texts = [
            texts[one >> len(some)] + "".join(mention.code for bit, mention in enumerate(some) if one >> bit & 1)
            for one in different.tolist()
        ]
    return pl.Series(texts, dtype=pl.String)[of]


_BITS = 20
"""So many mentions fit into a number beside the number of a text."""
# Columns of findings by those of their records: what is of each record alone, and what many have.
_OF_RECORD = {"record": "record", "record_name": "name", "amount": "amount"}
_AGAIN = {
    "owner": "owner",
    "owner_name": "owner_name",
    "stage": "place",
    "native_stage": "native",
    "pipeline": "pipeline",
    "since_source": "since_source",
}
_ASK: Mapping[Kind, str] = {
    Kind.STALLED: "do the next thing with the buyer and log it, or move the record to where it belongs",
    Kind.PLACEHOLDER: "write down what is really known, or leave the field empty",
    Kind.UNOWNED: "give the record to somebody who works here",
    Kind.REGRESSED: "make sure that the stage is right, and note on the record why it went back",
    Kind.SKIPPED: "make sure that the record has what the stages that were left out require",
}
