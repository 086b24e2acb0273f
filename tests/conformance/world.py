"""What the conformance suite needs of a CRM, in words that fit any: a few deals, a person who edits, bad moods."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Mount
from starlette.types import Message, Receive, Scope, Send

from stagesync.connectors.base import Reader, Writer
from stagesync.model.changes import Change, ChangeKind, TaskText
from stagesync.model.kinds import Mode
from stagesync.model.tables import Table

from .rough import Answer

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class Clock:
    """The CRM's present, moved by the test."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        """The same as a number, for limits."""
        return self.now.timestamp()

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


Act = Callable[[], object]
Writes = Callable[[str, str, Any], bool]
"""Whether a request (method, path, decoded body) writes."""


class Door:
    """The door of a CRM, where a person can be quicker than a request that has come as far as here."""

    def __init__(self, routes: Sequence[BaseRoute], writes: Writes) -> None:
        self._inside = Starlette(routes=list(routes))
        self._writes = writes
        self.before: list[Act] = []
        self.after: list[Act] = []

    @property
    def routes(self) -> list[BaseRoute]:
        """What is served instead."""
        return [Mount("/", app=self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message.get("body", b""), message.get("more_body", False)
        messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        writes = (self.before or self.after) and self._writes(scope["method"], scope["path"], _decoded(content))
        await _all_of(self.before if writes else [])
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self._inside(scope, again, keep if writes and self.after else send)
        await _all_of(self.after if writes else [])
        for message in kept:
            await send(message)


async def _all_of(acts: list[Act]) -> None:
    while acts:
        # Not in the server's own thread: the person may come through this door too.
        await run_in_threadpool(acts.pop(0))


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return {}


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
    conditional: bool
    """Whether the CRM itself refuses to write over an edit that came after the plan."""
    spent: Answer
    """What the CRM answers when the calls of the day are used up."""
    crowded: Answer
    """What it answers when there are too many calls at once."""
    asking: str
    """A status of open tasks that no new task has."""

    def add_deals(self, count: int, stage: str) -> list[str]:
        """Deals of an active owner, named ``Deal 0`` onward, with amounts of 100 times their number."""

    def stage_of(self, record: str) -> str | None:
        """The stage that the CRM itself has."""

    def edit(self, record: str, **fields: str) -> None:
        """A person changes a deal now."""

    def edit_all(self, stage: str) -> None:
        """Something gives all deals a stage, in one moment."""

    def seen_late(self, record: str, **fields: str) -> AbstractContextManager[None]:
        """A person changes a deal where the block begins, and no query tells of it before the block ends."""

    def delete(self, record: str) -> None:
        """A person deletes a deal."""

    def tasks_of(self, record: str) -> list[SeenTask]:
        """The live tasks of a deal."""

    def complete(self, task: str) -> None:
        """A person completes a task."""

    def edit_task(self, task: str, note: str) -> None:
        """The rep writes a note instead of the text of a task."""

    def ask(self, task: str) -> None:
        """The rep gives a task the status ``asking``."""

    def delete_task(self, task: str) -> None:
        """A person deletes a task."""

    def busy(self, calls: int) -> None:
        """The next calls are answered with 503."""

    def lose_answers(self, calls: int) -> None:
        """The next task creations are carried out and their answers are lost."""

    def lose_writes(self, calls: int) -> None:
        """The next writes of records are carried out and their answers are lost."""

    def lock(self, record: str, writes: int) -> None:
        """Somebody else holds a record while the next writes of it, or of its call, come."""

    def spoil(self, change: Change) -> Change:
        """A change like this one of a stage, which the CRM refuses for itself."""

    def crowd(self) -> None:
        """So many calls came at once that the next are turned away for a moment."""

    def use_up_day(self) -> None:
        """The calls of the day are used up."""

    def renew_day(self) -> None:
        """There are calls again, and a reader and a writer that do not know that there were none."""

    def meanwhile(self, act: Callable[[], object], *, after: bool = False) -> None:
        """A person acts just before the next write of ours is carried out, or just after."""

    def read_only(self) -> None:
        """The credentials lose the right to write."""

    def refuse_credentials(self) -> None:
        """The credentials are wrong from now on."""

    def renewing(self) -> Reader:
        """A reader whose credentials can be renewed."""

    def end_token(self) -> None:
        """The token that is in use ends now."""

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
