"""Stage definitions, checked and ready to judge by: ladders with their criteria as typed expressions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from stagesync.model.kinds import Kind, Mode, Severity
from stagesync.model.tables import ColumnType
from stagesync.model.waivers import Waiver
from stagesync.policy import schema
from stagesync.policy.calendars import working_days
from stagesync.policy.document import Document, KeyPath, among, nearest
from stagesync.policy.durations import Duration
from stagesync.policy.expressions import Expression, ExpressionError, parse
from stagesync.policy.expressions.tree import Or, Stated, leaves
from stagesync.policy.expressions.tree import names as names_in
from stagesync.policy.fragments import read_definition
from stagesync.policy.schema import EARNED, DefinitionFile, EvidenceItem, StallLimits
from stagesync.policy.validation import validate
from stagesync.policy.working_days import WorkingDays

# Stands for an expression that could not be read; a document with problems raises before anything is judged.
NEVER = Or(())
ACTIVITY = "last_activity"
"""The evidence item that says when people last did something on the record."""
RECORD_WORDS: Mapping[str, ColumnType] = dict.fromkeys(
    ("connection", "object", "pipeline", "owner", "owner_name", "stage", "native_stage"), ColumnType.TEXT
)
"""What a ``when`` may ask of a record beside its evidence; an evidence item of the same name goes first."""


class Criterion(Struct, frozen=True, kw_only=True, dict=True):
    """A condition with its reason. ``text`` is the expression as written."""

    id: str
    text: str
    expression: Expression
    because: str
    ask: str
    severity: Severity

    @cached_property
    def items(self) -> tuple[str, ...]:
        """The evidence items that it asks for, in order of appearance."""
        return tuple(dict.fromkeys(name.name for name in names_in(self.expression)))


class Rung(Struct, frozen=True, kw_only=True):
    """A stage of the ladder; ``position`` counts from 0 at the bottom."""

    name: str
    position: int
    means: str
    requires: tuple[Criterion, ...]
    stalls_after: StallLimits
    terminal: bool


class Override(Struct, frozen=True, kw_only=True):
    """Another mode for the records that meet a condition on RECORD_WORDS and evidence."""

    when: Expression
    mode: Mode


class Rule(Struct, frozen=True, kw_only=True):
    """What may be done about a finding. ``starts`` is the day before which a stage must not have been entered for
    anything but an audit; of ``overrides`` the first that holds decides. ``park_in`` is the parking place to which
    records are moved that are stalled."""

    mode: Mode = Mode.AUDIT
    grace: Duration | None = None
    severity: Severity = Severity.MEDIUM
    starts: date | None = None
    overrides: tuple[Override, ...] = ()
    park_in: str | None = None


class ScopedWaiver(Waiver, frozen=True, kw_only=True):
    """A waiver of the definition file; ``when`` narrows it to the records that meet a condition."""

    when: Expression | None


class Definition(Struct, frozen=True, kw_only=True, dict=True):
    """Stage definitions. ``digest`` is the SHA-256 of the file's text and of those it extends, in hexadecimal.

    ``ladders`` has the rungs of each ladder by its name; a stage stands on one ladder only. ``rules`` are by kind of
    finding (``contradiction``) or by one rule of it (``contradiction.close-date-passed``), which goes first.
    """

    name: str
    file: Path
    digest: str
    ladders: Mapping[str, tuple[Rung, ...]]
    parking: Mapping[str, str]
    evidence: Mapping[str, EvidenceItem]
    placeholders: frozenset[str]
    contradictions: tuple[Criterion, ...]
    rules: Mapping[str, Rule]
    waivers: tuple[ScopedWaiver, ...]
    working_days: WorkingDays
    pasted: schema.Pasted | None

    @cached_property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of all ladders, each ladder from the bottom up."""
        return tuple(rung for ladder in self.ladders.values() for rung in ladder)

    def on(self, ladder: str) -> Definition:
        """The same definitions with this ladder alone."""
        return replace(self, ladders={ladder: self.ladders[ladder]})

    @cached_property
    def vocabulary(self) -> Mapping[str, ColumnType]:
        """The names that expressions may use, with their types."""
        return {name: item.type for name, item in self.evidence.items()}

    def rung(self, name: str) -> Rung | None:
        """The rung of this name, or None for a parking place."""
        return next((rung for rung in self.rungs if rung.name == name), None)

    def rule(self, name: str) -> Rule:
        """The rule for a finding's ``rule``; without one of its own it is that of its kind, without any an audit."""
        kind = name.partition(".")[0]
        return self.rules.get(name) or self.rules.get(kind) or UNRULED.get(kind, Rule())

    def with_mode(self, kind: Kind, mode: Mode) -> Definition:
        """The same definitions, but all that is found of this kind has this mode."""
        names = [kind, *(name for name in self.rules if name.partition(".")[0] == kind)]
        changed = {name: replace(self.rule(name), mode=mode, starts=None, overrides=()) for name in names}
        return replace(self, rules={**self.rules, **changed})

    @cached_property
    def criteria(self) -> tuple[Criterion, ...]:
        """All criteria of the ladder from the bottom up."""
        return tuple(criterion for rung in self.rungs for criterion in rung.requires)

    @cached_property
    def stated(self) -> tuple[str, ...]:
        """The evidence items that some criterion or contradiction asks for with stated(), sorted."""
        conditions = (*self.criteria, *self.contradictions)
        return tuple(sorted({leaf.value.name for leaf in _leaves(conditions) if isinstance(leaf, Stated)}))

    @property
    def pasted_items(self) -> tuple[str, ...]:
        """The evidence items in which texts may be pasted: those that are asked for with stated()."""
        chosen = self.pasted.items if self.pasted is not None else []
        return self.stated if chosen is None else tuple(item for item in self.stated if item in chosen)


def _leaves(criteria: tuple[Criterion, ...]) -> Iterator[object]:
    for criterion in criteria:
        yield from leaves(criterion.expression)


def load_definition(file: Path) -> Definition:
    """Read and check a definition file with what it extends. Raises ConfigurationError with every problem, each with
    its place."""
    return _Check(*validate(read_definition(file), DefinitionFile, {"ladder": _as_written})).definition()


def _as_written(words: Mapping[str, Any]) -> list[str]:
    """The stages in the order in which they stand in the file, in place of a ladder that cannot be read."""
    stages = words.get("stages")
    return list(stages) if isinstance(stages, dict) else []


UNRULED: Mapping[str, Rule] = dict.fromkeys((Kind.REGRESSED, Kind.SKIPPED), Rule(severity=Severity.LOW))
"""What holds for a kind without a rule, where that is not an audit of medium severity."""


class _Check:
    def __init__(self, document: Document, words: DefinitionFile) -> None:
        self.document, self.words = document, words
        self.vocabulary = {name: item.type for name, item in words.evidence.items()}
        self.seen: dict[str, str] = {}
        self.seen_waivers: set[str] = set()

    def definition(self) -> Definition:
        words = self.words
        ladders = self.ladders()
        self.activity()
        contradictions = tuple(
            self.criterion(item, ("contradictions", index), "contradictions")
            for index, item in enumerate(words.contradictions)
        )
        definition = Definition(
            name=words.definition,
            file=self.document.file,
            digest=hashlib.sha256("\0".join(self.document.sources).encode()).hexdigest(),
            ladders=ladders,
            parking=words.parking,
            evidence=words.evidence,
            placeholders=frozenset(text.strip().lower() for text in words.placeholders),
            contradictions=contradictions,
            rules={},
            waivers=(),
            working_days=working_days(self.document, words.working_days, ("working_days",)),
            pasted=words.pasted,
        )
        self.pasted()
        known = rules_of(definition)
        definition = replace(
            definition,
            rules={name: self.rule(name, rule, known) for name, rule in words.rules.items()},
            waivers=tuple(self.waiver(n, waiver, definition) for n, waiver in enumerate(words.waivers)),
        )
        self.document.raise_problems()
        return definition

    def pasted(self) -> None:
        """The items must be texts. That a condition asks for stated() of them is not needed: conditions come and go."""
        for index, item in enumerate((self.words.pasted.items if self.words.pasted else None) or ()):
            path: KeyPath = ("pasted", "items", index)
            self.known(item, list(self.vocabulary), "evidence", path)
            kind = self.vocabulary.get(item, ColumnType.TEXT)
            if kind is not ColumnType.TEXT:
                self.document.problem(path, f"'{item}' is of type {kind}; only texts are pasted")

    def ladders(self) -> dict[str, tuple[Rung, ...]]:
        """The rungs by ladder. A single ladder has the name of the definitions."""
        words, document = self.words, self.document
        written: dict[str, tuple[KeyPath, Sequence[str]]] = {
            name: (("ladders", name), names) for name, names in words.ladders.items()
        }
        if words.ladder:
            written[words.definition] = (("ladder",), words.ladder)
        on_ladder: dict[str, str] = {}
        for ladder, (path, names) in written.items():
            for index, name in enumerate(names):
                at = (*path, index)
                if name in names[:index]:
                    document.problem(at, f"'{name}' stands twice in the ladder")
                elif name in on_ladder:
                    document.problem(at, f"'{name}' is on the ladder '{on_ladder[name]}' already; a stage is on one")
                on_ladder.setdefault(name, ladder)
                if name not in words.stages:
                    hint = nearest(name, list(words.stages))
                    document.problem(at, f"stage '{name}' is in the ladder but not under stages{hint}")
                if name in words.parking:
                    document.problem(("parking", name), f"'{name}' is both on the ladder and a parking place", key=True)
        for name in words.stages:
            if name not in on_ladder:
                message = f"stage '{name}' is not in the ladder{nearest(name, list(on_ladder))}"
                document.problem(("stages", name), message, key=True)
        return {
            ladder: tuple(
                self.rung(position, name) for position, name in enumerate(dict.fromkeys(names)) if name in words.stages
            )
            for ladder, (_, names) in written.items()
        }

    def activity(self) -> None:
        """Idle time counts from the item ``last_activity``; without it no record would ever be idle."""
        known = self.vocabulary.get(ACTIVITY)
        if known is not None and known is not ColumnType.DATETIME:
            message = f"'{ACTIVITY}' is of type {known}; idle time counts from it, so that it must be a datetime"
            self.document.problem(("evidence", ACTIVITY, "type"), message)
        for name, stage in self.words.stages.items():
            if known is None and stage.stalls_after.idle is not None:
                message = f"'idle' counts from the evidence '{ACTIVITY}', which is not in the vocabulary"
                self.document.problem(("stages", name, "stalls_after", "idle"), message, key=True)

    def rung(self, position: int, name: str) -> Rung:
        stage = self.words.stages[name]
        requires = tuple(
            self.criterion(item, ("stages", name, "requires", index), f"stage '{name}'")
            for index, item in enumerate(stage.requires)
        )
        return Rung(
            name=name,
            position=position,
            means=stage.means,
            requires=requires,
            stalls_after=stage.stalls_after,
            terminal=stage.terminal,
        )

    def criterion(self, item: schema.Criterion, path: KeyPath, where: str) -> Criterion:
        if item.id in self.seen:
            self.document.problem((*path, "id"), f"id '{item.id}' is already used in {self.seen[item.id]}")
        if item.id in [*Kind]:
            message = f"'{item.id}' is a kind of finding, which a waiver may name too; call this otherwise"
            self.document.problem((*path, "id"), message)
        self.seen[item.id] = where
        return Criterion(
            id=item.id,
            text=" ".join(item.check.split()),
            expression=read_expression(self.document, (*path, "check"), item.check, self.vocabulary, "evidence"),
            because=item.because,
            ask=item.ask,
            severity=item.severity,
        )

    def rule(self, name: str, rule: schema.Rule, known: Sequence[str]) -> Rule:
        path: KeyPath = ("rules", name)
        self.known(name, known, "kind of finding or rule", path, key=True)
        park_in = None if rule.move_to == EARNED else rule.move_to
        if park_in is not None and name != Kind.STALLED:
            message = f"only stalled records are parked; for '{name}' it can only be '{EARNED}'"
            self.document.problem((*path, "move_to"), message)
        elif park_in is not None:
            self.known(park_in, list(self.words.parking), "parking place", (*path, "move_to"))
        return Rule(
            mode=rule.mode,
            grace=rule.grace,
            severity=rule.severity or UNRULED.get(name, Rule()).severity,
            starts=rule.starts,
            overrides=tuple(
                Override(when=self.when((*path, "overrides", n, "when"), override.when), mode=override.mode)
                for n, override in enumerate(rule.overrides)
            ),
            park_in=park_in,
        )

    def waiver(self, number: int, waiver: schema.Waiver, definition: Definition) -> ScopedWaiver:
        path: KeyPath = ("waivers", number)
        self.known(waiver.rule, waivable(definition), "rule or criterion", (*path, "rule"))
        if waiver.record is None and waiver.when is None:
            message = "says neither which 'record' nor 'when': to drop a rule for all, change the definitions"
            self.document.problem(path, message)
        name = waiver.id or f"{definition.name}-{number + 1}"
        if name in self.seen_waivers:
            self.document.problem((*path, "id"), f"there is already a waiver '{name}'")
        self.seen_waivers.add(name)
        return ScopedWaiver(
            id=name,
            rule=waiver.rule,
            reason=waiver.reason,
            by=waiver.by,
            until=waiver.until,
            connection=waiver.connection,
            object=waiver.object,
            record=waiver.record,
            when=self.when((*path, "when"), waiver.when) if waiver.when else None,
        )

    def when(self, path: KeyPath, text: str) -> Expression:
        return read_expression(self.document, path, text, {**RECORD_WORDS, **self.vocabulary}, "word")

    def known(self, name: str, names: Sequence[str], what: str, path: KeyPath, *, key: bool = False) -> None:
        if name not in names:
            self.document.problem(path, f"unknown {what} '{name}'{among(name, names)}", key=key)


def rules_of(definition: Definition) -> list[str]:
    """Every name that a rule may have: the kinds of findings, each contradiction, each item that must be stated."""
    contradictions = [f"{Kind.CONTRADICTION}.{item.id}" for item in definition.contradictions]
    return [*Kind, *contradictions, *(f"{Kind.PLACEHOLDER}.{item}" for item in definition.stated)]


def waivable(definition: Definition) -> list[str]:
    """Every name that a waiver's ``rule`` may have: the rules and the criteria of the ladders."""
    return [*rules_of(definition), *(criterion.id for criterion in definition.criteria)]


def read_expression(
    document: Document, path: KeyPath, text: str, vocabulary: Mapping[str, ColumnType], what: str
) -> Expression:
    """The typed tree of an expression in a file; what is wrong is noted in the document at its place."""
    try:
        return parse(text, vocabulary, what=what)
    except ExpressionError as error:
        document.problem_inside(path, error.message, error.offset, error.token)
        return NEVER
