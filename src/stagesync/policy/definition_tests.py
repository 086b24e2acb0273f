"""Definition tests: records as an admin describes them, and what the definitions must say of them.

They stand beside the definitions: ``bant.yaml`` is tested by ``bant.tests.yaml``. Reading checks them against the
definitions, so that a misspelt item or rule is an error with its place and not a test that holds by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from stagesync.model.findings import Verdict
from stagesync.model.kinds import Kind
from stagesync.model.tables import ColumnType
from stagesync.policy.definitions import Definition, rules_of
from stagesync.policy.document import Document, KeyPath, nearest, read_document
from stagesync.policy.schema import Identifier, Strict, Words
from stagesync.policy.validation import validate

SUFFIX = ".tests.yaml"
NO_STAGE = "none"
"""Stands in a test for having earned not even the first stage."""

Value = Annotated[str, StringConstraints(strip_whitespace=False)] | bool | int | float | None
Fact = Value | date | datetime
OwnerState = Literal["active", "inactive", "nobody"]


class Expectation(Strict):
    """What the definitions must say of a record; what is not named may be anything."""

    earned: Identifier | None = Field(
        default=None, description="the stage it has earned, whatever the unknown may be; or none"
    )
    surely: Identifier | None = Field(
        default=None, description="the stage it has earned even if all that is unknown is not so"
    )
    could: Identifier | None = Field(default=None, description="the stage it has earned if all that is unknown is so")
    verdicts: dict[Identifier, Verdict] = Field(default={}, description="criterion: met, not met or unknown")
    findings: list[Words] | None = Field(default=None, description="exactly these rules, in any order; [] for none")
    not_findings: list[Words] = Field(default=[], description="none of these rules")

    @model_validator(mode="after")
    def _something(self) -> Expectation:
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(Expectation.model_fields)}")
        if self.earned is not None and (self.surely is not None or self.could is not None):
            raise ValueError("'earned' says both bounds at once; write either earned, or surely and could")
        return self


class CaseWords(Strict):
    """One record. Evidence that is not given is blank."""

    name: Words
    stage: Identifier = Field(description="the stage or parking place on which the record stands")
    given: dict[Identifier, Value] = Field(default={}, description="evidence item: value")
    unknown: dict[Identifier, Words] = Field(default={}, description="evidence item: why it cannot be known")
    since: Words | None = Field(default=None, description="since when it stands there; without it nothing says so")
    owner: OwnerState = "active"
    expect: Expectation


class TestFile(Strict):
    """Tests of one definition file."""

    __test__ = False  # no test class, whatever pytest makes of the name

    tests: Identifier = Field(description="the name of the definitions")
    as_of: Words = Field(description="the moment at which the records are judged: a day, or a moment with its zone")
    cases: Annotated[list[CaseWords], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A checked case; ``given`` has values of the vocabulary's types, ``since`` is UTC."""

    name: str
    line: int
    stage: str
    given: Mapping[str, Fact]
    unknown: Mapping[str, str]
    since: datetime | None
    owner: OwnerState
    expect: Expectation


@dataclass(frozen=True, kw_only=True)
class DefinitionTests:
    """The tests of one definition; ``as_of`` is UTC, and so is the day that ``today()`` names."""

    file: Path
    definition: Definition
    as_of: datetime
    cases: Sequence[Case]


def place_of_tests(definition: Path) -> Path:
    """Where the tests of a definition file stand."""
    return definition.with_name(definition.name.removesuffix(".yaml") + SUFFIX)


def load_tests(file: Path, definition: Definition) -> DefinitionTests:
    """Read a file of tests and check it against its definition. Raises ConfigurationError with every problem."""
    document, words = validate(read_document(file), TestFile)
    return _Check(document, words, definition).tests()


class _Check:
    def __init__(self, document: Document, words: TestFile, definition: Definition) -> None:
        self.document, self.words, self.definition = document, words, definition
        self.rungs = [rung.name for rung in definition.rungs]
        self.criteria = [criterion.id for criterion in definition.criteria]
        self.rules = [rule for rule in rules_of(definition) if rule not in (Kind.CONTRADICTION, Kind.PLACEHOLDER)]

    def tests(self) -> DefinitionTests:
        words = self.words
        if words.tests != self.definition.name:
            message = f"these are tests of '{words.tests}', but the definitions are '{self.definition.name}'"
            self.document.problem(("tests",), message)
        as_of = self.moment(words.as_of, ("as_of",))
        seen: set[str] = set()
        for index, case in enumerate(words.cases):
            if case.name in seen:
                self.document.problem(("cases", index, "name"), f"there is already a case '{case.name}'")
            seen.add(case.name)
        cases = [self.case(case, ("cases", index)) for index, case in enumerate(words.cases)]
        self.document.raise_problems()
        return DefinitionTests(file=self.document.file, definition=self.definition, as_of=as_of, cases=cases)

    def case(self, case: CaseWords, path: KeyPath) -> Case:
        self.known(case.stage, [*self.rungs, *self.definition.parking], "stage or parking place", (*path, "stage"))
        vocabulary = self.definition.vocabulary
        given: dict[str, Fact] = {}
        for item, value in case.given.items():
            at = (*path, "given", item)
            if self.known(item, list(vocabulary), "evidence", at, key=True):
                given[item] = self.fact(item, value, vocabulary[item], at)
        for item in case.unknown:
            at = (*path, "unknown", item)
            self.known(item, list(vocabulary), "evidence", at, key=True)
            if item in case.given:
                self.document.problem(at, f"'{item}' is both given and unknown", key=True)
        self.expectation(case.expect, (*path, "expect"))
        return Case(
            name=case.name,
            line=self.document.at(path)[0],
            stage=case.stage,
            given=given,
            unknown=case.unknown,
            since=self.moment(case.since, (*path, "since")) if case.since else None,
            owner=case.owner,
            expect=case.expect,
        )

    def expectation(self, expect: Expectation, path: KeyPath) -> None:
        for bound in ("earned", "surely", "could"):
            stage = getattr(expect, bound)
            if stage is not None:
                self.known(stage, [*self.rungs, NO_STAGE], "stage of the ladder", (*path, bound))
        for criterion in expect.verdicts:
            self.known(criterion, self.criteria, "criterion", (*path, "verdicts", criterion), key=True)
        for key, rules in (("findings", expect.findings or []), ("not_findings", expect.not_findings)):
            for index, rule in enumerate(rules):
                self.known(rule, self.rules, "rule", (*path, key, index))

    def known(self, name: str, names: Sequence[str], what: str, path: KeyPath, *, key: bool = False) -> bool:
        if name in names:
            return True
        hint = nearest(name, list(names)) or f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
        self.document.problem(path, f"unknown {what} '{name}'{hint}", key=key)
        return False

    def fact(self, item: str, value: Value, kind: ColumnType, path: KeyPath) -> Fact:
        match kind, value:
            case _, None:
                return None
            case ColumnType.TEXT, str():
                # "" never comes from a CRM: blank is blank.
                return value or None
            case ColumnType.BOOLEAN, bool():
                return value
            case (ColumnType.INTEGER, int()) | (ColumnType.NUMBER, int() | float()) if not isinstance(value, bool):
                return value
            case ColumnType.DATETIME, str():
                return self.moment(value, path)
            case ColumnType.DATE, str():
                try:
                    return date.fromisoformat(value)
                except ValueError:
                    self.document.problem(path, f"'{value}' is not a date; write it as 2026-01-31")
                    return None
        shown = str(value).lower() if isinstance(value, bool) else value
        self.document.problem(path, f"'{item}' is of type {kind}, and '{shown}' is not")
        return None

    def moment(self, text: str, path: KeyPath) -> datetime:
        """A day is its first moment in UTC."""
        try:
            if len(text) == len("2026-01-31"):
                return datetime.combine(date.fromisoformat(text), time.min, tzinfo=UTC)
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        message = f"'{text}' is not a moment; write 2026-01-31 or 2026-01-31T12:00:00Z"
        self.document.problem(path, message)
        return datetime.min.replace(tzinfo=UTC)
