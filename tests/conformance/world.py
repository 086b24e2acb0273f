"""What the conformance suite needs of a CRM, in words that fit any: a few deals, a person who edits, bad moods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from stagesync.connectors.base import Reader, Writer
from stagesync.model.changes import Change, ChangeKind, Mode, TaskText
from stagesync.model.tables import Table

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class Clock:
    """The CRM's present, moved by the test."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass(frozen=True, kw_only=True)
class SeenTask:
    """A task as the CRM itself has it."""

    id: str
    subject: str
    body: str
    owner: str
    closed: bool


class World(Protocol):
    """One CRM with its connector. ``deals`` has an amount, a stage, a name and a moment of modification."""

    clock: Clock
    reader: Reader
    writer: Writer
    deals: Table
    stage: str
    """The name of the stage field."""
    amount: str
    modified: str
    stages: tuple[str, str, str]
    """Three open stages in their order, native spelling."""
    owner: str
    inactive_owner: str

    def add_deals(self, count: int, stage: str) -> list[str]:
        """Deals of an active owner, named ``Deal 0`` onward, with amounts of 100 times their number."""

    def stage_of(self, record: str) -> str | None:
        """The stage that the CRM itself has."""

    def edit(self, record: str, **fields: str) -> None:
        """A person changes a deal now."""

    def delete(self, record: str) -> None:
        """A person deletes a deal."""

    def tasks_of(self, record: str) -> list[SeenTask]:
        """The live tasks of a deal."""

    def complete(self, task: str) -> None:
        """A person completes a task."""

    def edit_task(self, task: str, note: str) -> None:
        """The rep writes a note instead of the text of a task."""

    def delete_task(self, task: str) -> None:
        """A person deletes a task."""

    def busy(self, calls: int) -> None:
        """The next calls are answered with 503."""

    def lose_answers(self, calls: int) -> None:
        """The next task creations are carried out and their answers are lost."""

    def read_only(self) -> None:
        """The credentials lose the right to write."""

    def refuse_credentials(self) -> None:
        """The credentials are wrong from now on."""

    def hide(self, column: str) -> None:
        """A column of the deals is taken from the CRM or from this user's eyes."""

    def remove_stage(self, value: str) -> None:
        """An admin takes a stage out of the CRM's settings."""

    def unconnected(self) -> Reader:
        """A reader of the same CRM at an address where nothing answers."""


def stage_change(world: World, record: str, before: str, after: str, key: str = "") -> Change:
    """Move a deal, as a plan made now would have it."""
    return Change(
        key=key or f"stage:{record}:{after}",
        kind=ChangeKind.SET_STAGE,
        connection="crm",
        object=world.deals.name,
        record=record,
        record_name="Deal",
        rule="premature",
        mode=Mode.ENFORCE,
        reason="no pain is stated",
        before={world.stage: before},
        after={world.stage: after},
        modified=world.clock(),
    )


def task_change(
    world: World, record: str, *, key: str = "", owner: str = "", body: str = "", subject: str = ""
) -> Change:
    """Ask the owner of a deal for something."""
    task = TaskText(
        subject=subject or "Stage check: pain is not stated",
        body=body or "Write down the problem in the buyer's own words.\nOr ask for a waiver.",
        due=date(2026, 12, 1),
        owner=owner or world.owner,
    )
    return Change(
        key=key or f"task:{record}",
        kind=ChangeKind.OPEN_TASK,
        connection="crm",
        object=world.deals.name,
        record=record,
        record_name="Deal",
        rule="premature",
        mode=Mode.SUGGEST,
        reason="no pain is stated",
        task=task,
    )


def closing(world: World, record: str, task: str | None) -> Change:
    """Complete a task."""
    return Change(
        key=f"close:{task}",
        kind=ChangeKind.CLOSE_TASK,
        connection="crm",
        object=world.deals.name,
        record=record,
        record_name="Deal",
        rule="premature",
        mode=Mode.SUGGEST,
        reason="the evidence arrived",
        crm_id=task,
    )
