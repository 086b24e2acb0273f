"""What findings say: whom they are about and the evidence for them, in columns from the judged records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit import essences
from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.findings import Positions
from stagesync.audit.reasons import BLANK, Words, shown_in_columns, source_of, words_of
from stagesync.audit.verdicts import Verdicts
from stagesync.model.changes import Mode
from stagesync.model.findings import Batch, Cited, Finding, Findings, Kind, Severity, Told, Verdict, code_of
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Criterion, Definition

PART = 10_000
"""How many findings are told at a time."""

Rows = npt.NDArray[np.uint32]
Places = npt.NDArray[np.intp]


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

    def some(self, findings: pl.DataFrame) -> Iterator[Finding]:
        """Findings as objects, in their order."""
        for part in findings.iter_slices(PART):
            made: dict[int, Finding] = {}
            for kind, rule, group in _by_rule(part.with_row_index("place")):
                made.update(zip(group["place"].to_list(), self.told(kind, rule, group).objects(), strict=True))
            yield from (made[place] for place in range(part.height))

    def batches(self, findings: pl.DataFrame) -> Iterator[Batch]:
        """Findings by their essence, rule by rule, a few thousand at a time."""
        for kind, rule, group in _by_rule(findings):
            for part in group.iter_slices(PART):
                rows = part["row"].to_numpy()
                place = f"{self.connection}:{self.object}"
                facts = essences.facts(part, self.records, place, self._earned(kind, rows))
                codes = _codes(list(self._mentions(kind, rule, rows)), part.height)
                yield Batch(
                    connection=self.connection,
                    object=self.object,
                    rule=rule,
                    records=self.records["record"].gather(rows).to_list(),
                    essences=essences.essences(facts, codes),
                    some=partial(self._chosen, kind, rule, part),
                )

    def _chosen(self, kind: Kind, rule: str, part: pl.DataFrame, places: Sequence[int]) -> Findings:
        return self.told(kind, rule, part if len(places) == part.height else part[list(places)])

    def told(self, kind: Kind, rule: str, findings: pl.DataFrame) -> Findings:
        """Findings of one rule in columns, with the evidence for them."""
        rows = findings["row"]
        of = {name: self.records[name].gather(rows) for name in _OF_RECORD}
        return Findings(
            connection=self.connection,
            object=self.object,
            kind=kind,
            rule=rule,
            record=of["record"].to_list(),
            record_name=of["name"].to_list(),
            owner=of["owner"].to_list(),
            owner_name=of["owner_name"].to_list(),
            severity=[_SEVERITIES[severity] for severity in findings["severity"].to_list()],
            mode=[_MODES[mode] for mode in findings["mode"].to_list()],
            stage=of["place"].to_list(),
            native_stage=of["native"].to_list(),
            pipeline=of["pipeline"].to_list(),
            earned=self._earned(kind, rows.to_numpy()).to_list(),
            since=_texts(findings["since"]),
            since_source=of["since_source"].to_list(),
            amount=of["amount"].to_list(),
            evidence=self._evidence(kind, rule, rows.to_numpy(), findings["detail"]),
        )

    def _earned(self, kind: Kind, rows: Rows) -> pl.Series:
        """The stages that records have earned, as far as the kind is about that; null below the first."""
        earned = {Kind.PREMATURE: self.high, Kind.READY: self.low}.get(kind)
        position = np.full(len(rows), -1, dtype=np.int64) if earned is None else earned[rows].astype(np.int64)
        names = pl.Series([*(rung.name for rung in self.definition.rungs), None], dtype=pl.String)
        # Position -1, below the first, reads the null at the end.
        return names.gather(pl.Series(np.where(position < 0, len(names) - 1, position)))

    def _evidence(self, kind: Kind, rule: str, rows: Rows, detail: pl.Series) -> list[Told]:
        """The evidence for findings of a rule, gathered mention by mention for all of them that it is about."""
        told = []
        for mention in self._mentions(kind, rule, rows):
            if mention.criterion is None:
                words = self._own_words(mention, rows, detail)
            else:
                words = self._words(mention.criterion, mention.cited.verdict, rows[mention.which])
                if kind is Kind.CONTRADICTION:
                    words = Words([f"{mention.cited.because} ({reason})" for reason in words.reasons], words.values)
            of = mention.which.tolist()
            told.append(Told(cited=mention.cited, of=of, reason=words.reasons, value=words.values))
        return told

    def _own_words(self, mention: _Mention, rows: Rows, detail: pl.Series) -> Words:
        """Words that the findings bring along; what they are about is an item of evidence, or nothing."""
        item = mention.cited.criterion.partition(".")[2]
        reasons: list[str] = detail.to_list()
        if not item:
            return Words(reasons, [None] * len(rows))
        known = self.evidence.rows
        if item not in known.columns:
            return Words(reasons, [BLANK] * len(rows))
        shown = known.select(item)[rows].select(shown_in_columns(item, known.schema[item]))
        return Words(reasons, shown.to_series().to_list())

    def _words(self, criterion: Criterion, verdict: Verdict, rows: Rows) -> Words:
        names = [name for item in criterion.items for name in (item, item + UNREADABLE)]
        known = self.evidence.rows.select(name for name in names if name in self.evidence.rows.columns)
        return words_of(criterion, verdict, known[rows] if known.columns else known, len(rows), self.evidence.unknown)

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


def _texts(moments: pl.Series) -> list[str | None]:
    """Moments (UTC) as text, with as much of a second as there is."""
    return moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_list()


def _by_rule(findings: pl.DataFrame) -> Iterator[tuple[Kind, str, pl.DataFrame]]:
    """The findings of each rule."""
    for (kind, rule), group in findings.group_by("kind", "rule", maintain_order=True):
        yield Kind(str(kind)), str(rule), group


def _codes(mentions: Sequence[_Mention], findings: int) -> pl.Series:
    """The codes of what each finding points at, in the order in which it is told, as one text."""
    if len(mentions) == 1 and len(mentions[0].which) == findings:
        return pl.Series([mentions[0].code]).new_from_index(0, findings)
    places = [pl.Series(mention.which, dtype=pl.UInt32) for mention in mentions]
    codes = [pl.Series([mention.code]).new_from_index(0, len(mention.which)) for mention in mentions]
    every = pl.DataFrame({"place": pl.Series(range(findings), dtype=pl.UInt32)})
    if not mentions:
        return pl.Series([""]).new_from_index(0, findings)
    found = pl.DataFrame({"place": pl.concat(places), "code": pl.concat(codes)})
    joined = found.group_by("place", maintain_order=True).agg(pl.col("code").str.join(""))
    return every.join(joined, on="place", how="left", maintain_order="left")["code"].fill_null("")


_OF_RECORD = ("record", "name", "owner", "owner_name", "place", "native", "pipeline", "since_source", "amount")
# A look-up costs a fifth of what the enumeration's own call does.
_SEVERITIES: Mapping[str, Severity] = {str(severity): severity for severity in Severity}
_MODES: Mapping[str, Mode] = {str(mode): mode for mode in Mode}
_ASK: Mapping[Kind, str] = {
    Kind.STALLED: "do the next thing with the buyer and log it, or move the record to where it belongs",
    Kind.PLACEHOLDER: "write down what is really known, or leave the field empty",
    Kind.UNOWNED: "give the record to somebody who works here",
    Kind.REGRESSED: "make sure that the stage is right, and note on the record why it went back",
    Kind.SKIPPED: "make sure that the record has what the stages that were left out require",
}
