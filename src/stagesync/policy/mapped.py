"""What a mapping says, as data: which tables to read, and which source gives which evidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from stagesync.model.tables import Table
from stagesync.policy.expressions import Expression
from stagesync.policy.schema import (
    ExportFormat,
)

SAYS_NOTHING = "the mapping says nothing about it"
EVERY_OTHER = "*"
"""In place of a pipeline or record type: all that are not named."""


class FieldSource(Struct, frozen=True, kw_only=True):
    """A column of the record itself."""

    column: str


class LookupSource(Struct, frozen=True, kw_only=True):
    """A column of the one record in ``table`` whose key stands in column ``by`` of this record."""

    table: str
    by: str
    column: str


class PersonAccount(Struct, frozen=True, kw_only=True):
    """The columns of a record with the id of its account, and with that of the account's person, blank for others."""

    person: str
    account: str


class ThroughPeople(Struct, frozen=True, kw_only=True):
    """How rows belong to a record through its people: by column ``on``, or by association, they name a person, whom
    ``table`` ties to records by its columns ``person`` and ``record``. Of a ``person_account`` the person is one of
    the record's people, and a row that names the account instead of the record belongs to it too."""

    on: str | None
    via: str | None
    table: str
    person: str
    record: str
    person_account: PersonAccount | None = None


class RelatedSource(Struct, frozen=True, kw_only=True):
    """A figure over the rows of ``table`` that belong to the record: by column ``on``, by association, or through its
    people. A row counts once, however often it belongs. With ``empty_is_known`` a table without a row says that there
    is nothing, otherwise that nothing is captured."""

    figure: Literal["count", "max", "min"]
    table: str
    column: str | None
    on: str | None
    via: str | None
    people: ThroughPeople | None
    where: Expression | None
    empty_is_known: bool


class LatestSource(Struct, frozen=True, kw_only=True):
    """The largest of several."""

    sources: tuple[EvidenceSource, ...]


class Gap(Struct, frozen=True, kw_only=True):
    """Cannot be known here, and why: the item is unknown."""

    reason: str


class Blank(Struct, frozen=True, kw_only=True):
    """Never has a value here, and why: the item is blank, so that criteria on it are not met."""

    reason: str


EvidenceSource = FieldSource | LookupSource | RelatedSource | LatestSource | Gap | Blank


class StageHistory(Struct, frozen=True, kw_only=True):
    """The table of past stages."""

    table: str
    record: str
    stage: str
    at: str
    by: str | None
    where: Expression | None


class MappedObject(Struct, frozen=True, kw_only=True):
    """One object as it is read. ``stages`` maps (pipeline or record type, native stage) to a rung or parking place:
    None where the object has neither, ``"*"`` for all that are not named, ``""`` for a blank one; ``stages_in`` looks
    them up. ``stage_lines`` says at which line and column of the file each of them stands.
    ``waiver_request`` is the column in which a rep asks for a waiver."""

    name: str
    table: Table
    display_name: tuple[str, ...]
    owner: str | None
    created: str | None
    modified: str | None
    amount: str | None
    currency: str | None
    skip: Mapping[str, str]
    stage_field: str
    pipeline_field: str | None
    record_type_field: str | None
    stages: Mapping[tuple[str | None, str], str]
    stage_lines: Mapping[tuple[str | None, str], tuple[int, int]]
    history: StageHistory | None
    entered: str | None
    evidence: Mapping[str, EvidenceSource]
    waiver_request: str | None = None

    @property
    def group_field(self) -> str | None:
        """The column on which it depends what a native stage means: the pipeline, or the record type."""
        return self.pipeline_field or self.record_type_field

    def stages_in(self, group: str | None) -> Mapping[str, str]:
        """Native stage to rung or parking place for the records of one pipeline or record type, in listed order.

        What is named for it wins over ``"*"``, stage by stage.
        """
        if self.group_field is None:
            return {native: place for (_, native), place in self.stages.items()}
        groups = (EVERY_OTHER, group or "")
        return {native: place for wanted in groups for (name, native), place in self.stages.items() if name == wanted}

    def targets_in(self, group: str | None) -> Mapping[str, str]:
        """As ``stages_in``, but only stages to which a record may be moved: those of its own pipeline or record type,
        where that is named. What ``"*"`` says of a stage beside does not say that it has that stage."""
        own = {native: place for (name, native), place in self.stages.items() if name == (group or "")}
        return own if self.group_field is not None and own else self.stages_in(group)


class CrmMapping(Struct, frozen=True, kw_only=True):
    """A checked mapping. ``tables`` are all that must be pulled, objects first; ``own_tasks`` is (table, column).

    Where ``own_marked``, that column holds other texts as well, and a task is ours when our mark is in it.
    ``waiver_status`` is the status of our tasks by which a rep asks for a waiver.
    """

    name: str
    file: Path
    digest: str
    crm: Literal["salesforce", "hubspot", "export"]
    export: ExportFormat
    objects: tuple[MappedObject, ...]
    tables: tuple[Table, ...]
    own_tasks: tuple[str, str] | None
    own_marked: bool = False
    waiver_status: str | None = None

    @property
    def waiver_status_shown(self) -> str | None:
        """``waiver_status`` as people see it: HubSpot shows ``IN_PROGRESS`` as ``In progress``."""
        status = self.waiver_status
        return status.replace("_", " ").capitalize() if status is not None and self.crm == "hubspot" else status

    def table(self, name: str) -> Table:
        """The table of this name."""
        return next(table for table in self.tables if table.name == name)
