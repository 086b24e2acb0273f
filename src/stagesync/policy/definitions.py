"""Stage definitions, checked and ready to judge by: the ladder with its criteria as typed expressions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stagesync.model.findings import Kind, Severity
from stagesync.model.tables import ColumnType
from stagesync.policy.document import Document, nearest, read_document
from stagesync.policy.expressions import Expression, ExpressionError, parse
from stagesync.policy.expressions.tree import Or, Stated, leaves
from stagesync.policy.schema import Criterion as CriterionWords
from stagesync.policy.schema import DefinitionFile, EvidenceItem, Rule, StallLimits
from stagesync.policy.validation import validate

# Stands for an expression that could not be read; a document with problems raises before anything is judged.
NEVER = Or(())
ACTIVITY = "last_activity"
"""The evidence item that says when people last did something on the record."""


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A condition with its reason. ``text`` is the expression as written."""

    id: str
    text: str
    expression: Expression
    because: str
    ask: str
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A stage of the ladder; ``position`` counts from 0 at the bottom."""

    name: str
    position: int
    means: str
    requires: tuple[Criterion, ...]
    stalls_after: StallLimits
    terminal: bool


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Stage definitions. ``digest`` is the SHA-256 of the file's bytes, in hexadecimal."""

    name: str
    file: Path
    digest: str
    rungs: tuple[Rung, ...]
    parking: Mapping[str, str]
    evidence: Mapping[str, EvidenceItem]
    placeholders: frozenset[str]
    contradictions: tuple[Criterion, ...]
    rules: Mapping[Kind, Rule]

    @property
    def vocabulary(self) -> Mapping[str, ColumnType]:
        """The names that expressions may use, with their types."""
        return {name: item.type for name, item in self.evidence.items()}

    def rung(self, name: str) -> Rung | None:
        """The rung of this name, or None for a parking place."""
        return next((rung for rung in self.rungs if rung.name == name), None)

    def rule(self, kind: Kind) -> Rule:
        """The rule for a kind of finding; without one it is audited only."""
        return self.rules.get(kind, Rule())

    def with_rules(self, rules: Mapping[Kind, Rule]) -> Definition:
        """The same definitions with other rules."""
        return replace(self, rules=rules)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """All criteria of the ladder from the bottom up."""
        return tuple(criterion for rung in self.rungs for criterion in rung.requires)

    @property
    def stated(self) -> tuple[str, ...]:
        """The evidence items that some criterion or contradiction asks for with stated(), sorted."""
        conditions = (*self.criteria, *self.contradictions)
        return tuple(sorted({leaf.value.name for leaf in _leaves(conditions) if isinstance(leaf, Stated)}))


def _leaves(criteria: tuple[Criterion, ...]) -> Iterator[object]:
    for criterion in criteria:
        yield from leaves(criterion.expression)


def load_definition(file: Path) -> Definition:
    """Read and check a definition file. Raises ConfigurationError with every problem, each with its place."""
    document = read_document(file)
    words = validate(document, DefinitionFile)
    document.raise_problems()
    assert words is not None
    return _Check(document, words).definition()


class _Check:
    def __init__(self, document: Document, words: DefinitionFile) -> None:
        self.document, self.words = document, words
        self.vocabulary = {name: item.type for name, item in words.evidence.items()}
        self.seen: dict[str, str] = {}

    def definition(self) -> Definition:
        words = self.words
        self.ladder()
        rungs = tuple(self.rung(position, name) for position, name in enumerate(words.ladder) if name in words.stages)
        self.activity()
        contradictions = tuple(
            self.criterion(item, ("contradictions", index), "contradictions")
            for index, item in enumerate(words.contradictions)
        )
        self.document.raise_problems()
        return Definition(
            name=words.definition,
            file=self.document.file,
            digest=hashlib.sha256(self.document.source.encode()).hexdigest(),
            rungs=rungs,
            parking=words.parking,
            evidence=words.evidence,
            placeholders=frozenset(text.strip().lower() for text in words.placeholders),
            contradictions=contradictions,
            rules=words.rules,
        )

    def ladder(self) -> None:
        words, document = self.words, self.document
        for index, name in enumerate(words.ladder):
            if name in words.ladder[:index]:
                document.problem(("ladder", index), f"'{name}' stands twice in the ladder")
            if name not in words.stages:
                message = f"stage '{name}' is in the ladder but not under stages{nearest(name, list(words.stages))}"
                document.problem(("ladder", index), message)
            if name in words.parking:
                document.problem(("parking", name), f"'{name}' is both on the ladder and a parking place", key=True)
        for name in words.stages:
            if name not in words.ladder:
                message = f"stage '{name}' is not in the ladder{nearest(name, words.ladder)}"
                document.problem(("stages", name), message, key=True)

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

    def criterion(self, item: CriterionWords, path: tuple[str | int, ...], where: str) -> Criterion:
        if item.id in self.seen:
            self.document.problem((*path, "id"), f"id '{item.id}' is already used in {self.seen[item.id]}")
        self.seen[item.id] = where
        return Criterion(
            id=item.id,
            text=" ".join(item.check.split()),
            expression=read_expression(self.document, (*path, "check"), item.check, self.vocabulary, "evidence"),
            because=item.because,
            ask=item.ask,
            severity=item.severity,
        )


def read_expression(
    document: Document, path: tuple[str | int, ...], text: str, vocabulary: Mapping[str, ColumnType], what: str
) -> Expression:
    """The typed tree of an expression in a file; what is wrong is noted in the document at its place."""
    try:
        return parse(text, vocabulary, what=what)
    except ExpressionError as error:
        document.problem_inside(path, error.message, error.offset, error.token)
        return NEVER
