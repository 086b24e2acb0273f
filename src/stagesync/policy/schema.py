"""The words of a definition file and of a mapping file: one strict type for each, from which the JSON Schema comes.

Unknown keys are errors. The types say what may be written; what it means together is checked by the loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from stagesync.model.kinds import Kind, Mode, Severity
from stagesync.model.tables import ColumnType
from stagesync.policy.durations import PATTERN, Duration

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
# Strict: `yes` is a word in YAML 1.2, and no truth value.
Flag = Annotated[bool, Field(strict=True)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


def _day(value: object) -> date:
    """A calendar day as people write it; YAML's own dates are text here."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) else _no_day(value)
    except ValueError:
        return _no_day(value)


def _no_day(value: object) -> date:
    raise ValueError(f"'{str(value)[:40]}' is not a day; write it as 2026-01-31")


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
RuleName = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(Kind)})([.][A-Za-z][A-Za-z0-9_-]*)?$"}),
]
"""A kind of finding, or one of its rules: ``contradiction``, ``contradiction.close-date-passed``."""
Length = Annotated[
    Duration,
    BeforeValidator(Duration.parse),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN.pattern}$", "examples": ["14 business days", "60 days"]}),
]


class Weekday(StrEnum):
    """The days of the week, Monday first."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Strict(BaseModel):
    """Frozen, and any key that is not named is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, str_strip_whitespace=True, defer_build=True
    )


class EvidenceItem(Strict):
    """One item of the vocabulary."""

    type: ColumnType
    means: Words = Field(default="-", description="in words, for whoever maps it to a CRM")


class Criterion(Strict):
    """A condition that a record must meet to earn a stage."""

    id: Identifier = Field(description="unique in the file; findings and tests name it")
    check: Words = Field(description="a condition on the evidence, such as: replies >= 1 or stated(phone)")
    because: Words = Field(description="why the stage needs it; the owner of a record reads this in the task")
    ask: Words = Field(description="what the owner is asked to do")
    severity: Severity = Severity.MEDIUM


class StallLimits(Strict):
    """After how long without activity (idle) or in the same native stage (age) a record is stalled."""

    idle: Length | None = None
    age: Length | None = None


EARNED = "earned"
"""What ``move_to`` says of the stage that a record has earned."""


class Stage(Strict):
    """A rung of the ladder. On a terminal one nothing but contradictions is looked for: it states a fact."""

    means: Words
    requires: list[Criterion] = Field(default=[], description="all of these, and all of the stages below")
    stalls_after: StallLimits = StallLimits()
    terminal: Flag = Field(
        default=False, description="a fact such as having bought: only contradictions are looked for"
    )


class Override(Strict):
    """Another mode for some records."""

    when: Words = Field(
        description="a condition on the evidence and on connection, object, pipeline, owner, owner_name, stage, "
        "native_stage, such as: pipeline = 'default' and amount < 50000"
    )
    mode: Mode


class Rule(Strict):
    """What may be done about a kind of finding, and how long after the stage was entered."""

    mode: Mode = Mode.AUDIT
    move_to: Identifier = Field(
        default=EARNED,
        description="where 'enforce' moves a record: 'earned', to the stage that it has earned, or for stalled records "
        "the name of a parking place",
    )
    grace: Length | None = Field(
        default=None, description="how long after its stage was entered a record is left alone"
    )
    severity: Severity | None = Field(default=None, description="for kinds without criteria of their own")
    starts: Day | None = Field(
        default=None, description="records that entered their stage before this day are audited only"
    )
    overrides: list[Override] = Field(
        default=[], description="the mode of some records; the first whose condition holds decides"
    )


class Waiver(Strict):
    """Lets some records off a rule until a day."""

    id: Identifier | None = None
    rule: Words = Field(description="a kind of finding, one rule of it, or the id of a criterion")
    connection: Words | None = None
    object: Words | None = None
    record: Words | None = Field(default=None, description="the CRM's id of the one record")
    when: Words | None = Field(default=None, description="which records, as the `when` of an override says it")
    reason: Words
    by: Words = Field(description="who granted it")
    until: Day = Field(description="the last day on which it holds")


LADDERS: list[JsonValue] = [
    {"required": ["ladder"], "properties": {"ladder": {"minItems": 1}}},
    {"required": ["ladders"], "properties": {"ladders": {"minProperties": 1}}},
]


class WorkingDays(Strict):
    """Which days count as business days: without the weekend, a country's public holidays, and days of one's own."""

    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] | None = Field(
        default=None, description="whose public holidays are free: a code of ISO 3166 such as DE"
    )
    region: Annotated[str, StringConstraints(min_length=1, max_length=60)] | None = Field(
        default=None, description="a part of the country with holidays of its own, such as BY"
    )
    weekend: list[Weekday] = [Weekday.SATURDAY, Weekday.SUNDAY]
    closed: list[Day] = Field(default=[], description="other days on which nobody works")


class Pasted(Strict):
    """When a text counts as pasted: it stands on too many records to have been written for one of them."""

    records: Annotated[int, Field(strict=True, ge=2)] = Field(description="on at least so many records of an object")
    length: Annotated[int, Field(strict=True, ge=1)] = Field(
        description="with at least so many characters; shorter ones may rightly be on many"
    )
    items: Annotated[list[Identifier], Field(min_length=1)] | None = Field(
        default=None, description="the evidence in which it is looked for; without it all that stated() asks for"
    )


# The fields of a file in the order in which people write them: pydantic takes those of the last base first.
class Named(Strict):
    """What a file of definitions begins with."""

    definition: Identifier


class Taking(Strict):
    """What definitions and fragments may both say before their evidence and stages."""

    extends: Words | list[Words] | None = Field(
        default=None, description="files, beside this one, whose parts are taken over"
    )
    without: list[Identifier] = Field(
        default=[], description="ids of criteria, contradictions and waivers that are not taken over"
    )
    means: Words = "-"
    ladder: list[Identifier] = Field(default=[], description="the stages from the bottom up")
    ladders: dict[Identifier, Annotated[list[Identifier], Field(min_length=1)]] = Field(
        default={}, description="several ladders by name, such as new business and renewals; in place of `ladder`"
    )
    parking: dict[Identifier, Words] = Field(default={}, description="places that are on no rung, and what each is for")


class Whole(Strict):
    """The evidence and the stages of definitions that are whole."""

    evidence: dict[Identifier, EvidenceItem] = Field(min_length=1, description="the names that conditions may use")
    stages: dict[Identifier, Stage] = Field(description="what each stage of the ladder means and requires")


class Asking(Strict):
    """What definitions and fragments may both say after their evidence and stages."""

    placeholders: list[Words] = Field(
        default=[], description="texts that say nothing, so that stated() is false for them"
    )
    pasted: Pasted | None = Field(
        default=None, description="from when on a repeated text says nothing either; without it none does"
    )
    contradictions: list[Criterion] = Field(
        default=[], description="what can never be right; `check` says when it is so"
    )
    rules: dict[RuleName, Rule] = Field(default={}, description="what may be done about each kind of finding")
    waivers: list[Waiver] = Field(default=[], description="which records are let off which rule, and until when")
    working_days: WorkingDays = Field(default=WorkingDays(), description="which days count as business days")


class DefinitionFile(Asking, Whole, Taking, Named):
    """Stage definitions: the ladder, its vocabulary of evidence, and what each stage requires."""

    model_config = ConfigDict(json_schema_extra={"oneOf": LADDERS})

    @model_validator(mode="after")
    def _one_kind_of_ladder(self) -> DefinitionFile:
        if bool(self.ladder) is bool(self.ladders):
            raise ValueError("write 'ladder: [...]' for one ladder, or 'ladders: {name: [...]}' for several")
        return self


KINDS = ("field", "lookup", "count", "max", "min", "latest", "gap", "blank")
COMPANIONS = ("by", "take", "of", "on", "via", "on_people", "via_people", "where", "empty")
ROWS = ("on", "via", "on_people", "via_people", "where", "empty")
TAKES: Mapping[str, tuple[str, ...]] = {
    "field": (),
    "lookup": ("by", "take"),
    "count": ROWS,
    "max": ("of", *ROWS),
    "min": ("of", *ROWS),
    "latest": (),
    "gap": (),
    "blank": (),
}
"""Which words may stand beside which kind of source."""
NOTHING = {"count": "zero", "max": "blank", "min": "blank"}
"""What a figure over no row is, and so what `empty` may say beside it."""


def _stages_are(kind: str) -> JsonDict:
    return {"properties": {"stages": {"additionalProperties": {"type": kind}}}}


def _not_both(one: str, other: str) -> JsonDict:
    return {"not": {"required": [one, other]}}


def _needs(*words: str) -> JsonDict:
    return {"required": list(words)}


def _source_of(kind: str) -> JsonDict:
    """The schema of one kind of source: with all that it needs, and nothing that means nothing beside it."""
    properties: JsonDict = {word: False for word in COMPANIONS if word not in TAKES[kind]}
    needed = (kind, *(word for word in ("by", "take", "of") if word in TAKES[kind]))
    if kind not in NOTHING:
        return {**_needs(*needed), "properties": properties}
    return {
        **_needs(*needed),
        "properties": {**properties, "empty": {"const": NOTHING[kind]}},
        "allOf": [
            {"anyOf": [_needs(word) for word in ("on", "via", "on_people", "via_people")]},
            _not_both("on", "via"),
            _not_both("on_people", "via_people"),
        ],
    }


class Source(Strict):
    """Where one evidence item comes from. Exactly one of field, lookup, count, max, min, latest, gap, blank."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_source_of(kind) for kind in KINDS]})

    field: Words | None = Field(default=None, description="column of the record itself")
    lookup: Words | None = Field(
        default=None, description="table in which the record that `by` names is looked up; give `take`"
    )
    by: Words | None = Field(default=None, description="column of the record that holds the id to look up")
    take: Words | None = Field(default=None, description="column of the table that is looked up")
    count: Words | None = Field(default=None, description="table whose rows are counted; say how they belong")
    max: Words | None = Field(
        default=None, description="column whose largest value is taken; give `of` and say how rows belong"
    )
    min: Words | None = Field(
        default=None, description="column whose smallest value is taken; give `of` and say how rows belong"
    )
    of: Words | None = Field(default=None, description="table of the column that `max` or `min` names")
    on: Words | None = Field(default=None, description="column of the table that holds the record's id")
    via: Words | None = Field(default=None, description="association from the table to the object (HubSpot)")
    on_people: Words | None = Field(
        default=None, description="column of the table that holds the id of one of the record's people"
    )
    via_people: Words | None = Field(
        default=None, description="association from the table to the record's people (HubSpot)"
    )
    where: Words | None = Field(default=None, description="condition on the table's columns: which rows count")
    empty: Literal["zero", "blank"] | None = Field(
        default=None,
        description="what it means that the table is wholly empty: zero (count) or blank (max, min); "
        "without it, that nothing is captured, so that the item is unknown",
    )
    latest: list[Source] | None = Field(default=None, description="the largest of several sources")
    gap: Words | None = Field(default=None, description="why this cannot be known here: the item is unknown")
    blank: Words | None = Field(default=None, description="why this never has a value here: the item is blank")


class History(Strict):
    """The table of past stages: one row for each time, with the stage that the record then had."""

    table: Words
    record: Words
    stage: Words
    at: Words
    by: Words | None = None
    where: Words | None = None


class StageMapping(Strict):
    """The stage field and which native stage stands for which rung or parking place."""

    model_config = ConfigDict(
        json_schema_extra={
            **_not_both("pipeline", "record_type"),
            "if": {"anyOf": [_needs("pipeline"), _needs("record_type")]},
            "then": _stages_are("object"),
            "else": _stages_are("string"),
        }
    )

    field: Words = Field(description="column with the native stage")
    pipeline: Words | None = Field(
        default=None, description="column with the pipeline; it is written together with the stage"
    )
    record_type: Words | None = Field(
        default=None, description="column with the record type, such as RecordType.DeveloperName; never written"
    )
    stages: Annotated[dict[str, str | dict[str, str]], Field(min_length=1)] = Field(
        description="native stage: stage or parking place; below the pipeline or record type where there is one, "
        "with '*' for all that are not named"
    )
    history: History | None = None
    entered: Words | None = Field(default=None, description="column with the moment at which the stage was entered")


class PersonAccountColumns(Strict):
    """The columns of a record that lead to the person account it is with, if it is with one (Salesforce)."""

    person: Words = Field(description="column with the id of the account's person; blank for other accounts")
    account: Words = Field(description="column with the id of the account")


class PeopleTable(Strict):
    """The table that says which people belong to a record: one row for each pair."""

    table: Words
    person: Words = Field(description="column with the person's id")
    record: Words = Field(description="column with the record's id")
    person_account: PersonAccountColumns | None = Field(
        default=None,
        description="columns of the record itself: the person of a person account belongs to it too, and so does what "
        "names the account",
    )


class ObjectMapping(Strict):
    """How one object of a CRM, or one file of an export, is read."""

    table: Words | None = None
    key: Words | None = None
    name: Words | list[Words] = []
    owner: Words | None = None
    created: Words | None = None
    modified: Words | None = None
    amount: Words | None = None
    currency: Words | None = Field(default=None, description="the field that says in which currency the amount is")
    skip: dict[Words, Words] = Field(default={}, description="boolean column: reason for leaving such records out")
    waiver_request: Words | None = Field(
        default=None,
        description="a text column in which a rep asks for a waiver; while it says something, nothing is written",
    )
    people: Words | PeopleTable | None = Field(
        default=None,
        description="the people of a record, on whom on_people and via_people look: an associated object (HubSpot), "
        "or a table with the columns of both ids",
    )
    stage: StageMapping
    evidence: dict[str, Source]


class TaskMapping(Strict):
    """The table of tasks and the field that marks our own; those never count as activity.

    ``key`` is a field of its own that holds nothing else, ``marker`` a long text in which our key is a line.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [_needs("key"), _needs("marker")]})

    table: Words
    key: Words | None = None
    marker: Words | None = None
    waiver_status: Words | None = Field(
        default=None, description="the status of a task by which a rep asks for a waiver of what the task tells of"
    )


class ExportFormat(Strict):
    """How the files of an export are written. Dates and times use the codes of C's strptime."""

    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1, strip_whitespace=False)] = ","
    encoding: Literal["utf-8", "windows-1252", "latin-1", "utf-16"] = "utf-8"
    dates: list[Words] = ["%Y-%m-%d"]
    datetimes: list[Words] = ["%Y-%m-%dT%H:%M:%S%.f%z"]
    time_zone: Words = "UTC"
    decimal: Literal[".", ","] = "."
    empty: list[str] = []
    yes: list[str] = Field(default=[], description="words for true, beside true, yes, y, t and 1")
    no: list[str] = Field(default=[], description="words for false, beside false, no, n, f and 0")
    blank_is_false: Flag = False
    several: Annotated[str, StringConstraints(min_length=1, max_length=1, strip_whitespace=False)] | None = Field(
        default=None, description="what stands between several ids in one cell, such as ;"
    )
    as_of: Day | None = Field(
        default=None, description="the day of the export; without it, its newest date. --as-of goes first"
    )


class MappingFile(Strict):
    """Binds a definition's vocabulary to one CRM or to an export."""

    mapping: Identifier
    definition: Identifier
    crm: Literal["salesforce", "hubspot", "export"]
    export: ExportFormat = ExportFormat()
    tasks: TaskMapping | None = None
    tables: dict[str, dict[str, ColumnType]] = {}
    keys: dict[str, Words] = Field(default={}, description="export: the column of ids of a table, if it is not Id")
    objects: Annotated[dict[str, ObjectMapping], Field(min_length=1)]
