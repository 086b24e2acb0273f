"""What every connector offers: a Reader that cannot write, and a Writer. Connectors translate, never judge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import polars as pl

from stagesync.model.changes import Change, Outcome
from stagesync.model.crm import (
    BlindSpot,
    Calls,
    Identity,
    Likeness,
    NativeStage,
    ObjectFacts,
    Organization,
    Owner,
    RecordType,
    Scopes,
    Service,
)
from stagesync.model.frames import Page
from stagesync.model.tables import Missing, Table
from stagesync.model.tasks import TaskState

Progress = Callable[[str, int], None]
"""Called with a table's name and the rows read so far."""


@dataclass(frozen=True, kw_only=True)
class ChangedRows:
    """Rows of one table that are new or changed, and the ids of records that are deleted.

    ``of`` are the records that this tells of, where the rows do not have one for each: of a table of past values, all
    values of those records are here. ``links`` are, by the other object, all associations of these records (``from``
    and ``to``).
    """

    rows: pl.DataFrame
    gone: Sequence[str] = ()
    links: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    of: Sequence[str] | None = None

    def records(self, key: str) -> Sequence[str]:
        """The ids of the records that this tells of, in its order."""
        return self.rows[key].to_list() if self.of is None else self.of


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What changed in a table since a cursor. ``cursor`` is where the next look begins once all pages are stored.

    A row may come again, in this look or in the next one: the later one is as new or newer.
    """

    pages: Iterator[ChangedRows]
    cursor: str


class Increments(Protocol):
    """How a reader brings what changed instead of everything. Cursors are the reader's own words.

    Errors: those of :class:`Reader`.
    """

    def cursor(self, table: Table) -> str | None:
        """Where to look for changes after a whole pull that begins now; None when this table is always read whole."""

    def changes(self, table: Table, cursor: str) -> Changes | None:
        """What changed since a cursor; None when that cannot be told (any more) and the table must be read whole."""

    def portion(self, table: Table, after: str, rows: int) -> Iterator[ChangedRows]:
        """At most so many records by ascending id above ``after``, as they are now; fewer when the table ends there."""

    def present(self, table: Table, ids: Sequence[str]) -> set[str]:
        """Which of these records there are, as far as this user sees them."""


@runtime_checkable
class Associations(Increments, Protocol):
    """Increments of a CRM whose tables have links: ``from`` a record of a table ``to`` one of another object.

    Errors: those of :class:`Reader`.
    """

    def undated(self, table: Table) -> Sequence[str]:
        """The links of a table whose associations come and go without moving the date of a record at either end."""

    def links_from(self, table: Table, link: str, ids: Sequence[str]) -> pl.DataFrame:
        """All associations with another object that these records of a table have."""

    def links_to(self, table: Table, link: str, ids: Sequence[str]) -> pl.DataFrame:
        """The same associations, asked for by the records that they lead to: those of ``link`` with these ids."""


@runtime_checkable
class Lagging(Increments, Protocol):
    """Increments of a CRM that shows a write only after a while to who asks what changed.

    Errors: those of :class:`Reader`.
    """

    def include(self, records: Mapping[str, Collection[str]]) -> None:
        """Bring these records by object, as they are now, with all changes that are asked for from here on."""


class Reader(Protocol):
    """Reads one CRM (or a folder of exports).

    Errors: :class:`~stagesync.errors.CredentialsRefused` and :class:`~stagesync.errors.ConnectionFailed` with a
    message for a person; a page that cannot be decoded is retried and then is a ``ConnectionFailed``.
    """

    crm: str

    @property
    def increments(self) -> Increments | None:
        """How to read only what changed; None for a CRM that is always read whole."""

    def identity(self) -> Identity:
        """Which org this is; the first call that a run makes."""

    def stages(self, object_name: str, stage_field: str) -> Sequence[NativeStage]:
        """The stages of an object as the CRM has them today, in their order; empty when it does not say."""

    def owners(self) -> Sequence[Owner]:
        """All owners that records may name, inactive ones and queues too; empty when the source has none."""

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """Which of the wanted columns cannot be read, and why. They are then not asked for by ``pull``."""

    def labels(self, table: Table) -> Mapping[str, str]:
        """What people see in the CRM for the columns of a table, where it says so. Makes no call after ``missing``."""

    def pull(self, table: Table) -> Generator[Page, None, None]:
        """All rows of a table, page by page, with the columns that are not missing, typed as ``Table`` says.

        Pages of ``<name>~<link>`` come in between. Memory does not grow with the number of rows. A page may be empty:
        it comes while the CRM is still busy, so that a caller may stop. Close it to stop before the end.
        """

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as they are now, strongly consistent; absent rows are gone or hidden."""

    def own_tasks(self, keys: Sequence[str], records: Sequence[str] = ()) -> Mapping[str, str]:
        """Which of these change keys already have a task in the CRM: key to the CRM's task id.

        ``records`` are those that the tasks are about: a CRM without a field for the key looks through their tasks.
        """

    def close(self) -> None:
        """Give connections back."""


@runtime_checkable
class Merging(Protocol):
    """A reader of a CRM that makes one record of several, which has an id of its own.

    Errors: those of :class:`Reader`.
    """

    def merged_into(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        """Of these records those that are part of another one now: their ids to its id."""


@runtime_checkable
class Following(Protocol):
    """A reader of a CRM in which people work on our tasks.

    Errors: those of :class:`Reader`.
    """

    def task_states(self, ids: Sequence[str]) -> Mapping[str, TaskState]:
        """These tasks as they are now, by id; an absent one is gone for good, or hidden."""


@runtime_checkable
class Metered(Protocol):
    """A reader of a CRM that says how many calls it allows."""

    def calls(self) -> Calls:
        """The calls so far, those of the writer too."""


class Writer(Protocol):
    """Writes to one CRM. Every method returns one outcome for each change, in order, and never raises for a row.

    Errors: :class:`~stagesync.errors.ConnectionFailed` only when the call wrote nothing at all.
    """

    batch_size: int
    """How many changes of one kind a call may hold."""

    def completed(self, changes: Sequence[Change]) -> Sequence[Change]:
        """These changes of stages, in order, with what must be sent ``beside`` the stage. It only reads."""

    def set_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write ``after`` where the record still holds ``before`` and was not modified since, then read back."""

    def finish_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Finish moves that a crash left half done, where a CRM takes more than one request for a move.

        Only for changes that were begun and whose record has a blank stage now; where a move is one request, a blank
        is somebody else's doing and is left alone (``superseded``).
        """

    def open_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Create the tasks that do not exist yet; an existing one with the same key is ``already-so``."""

    def update_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write the text of ``task`` over that of ``told`` in tasks that are open and still say it; others are left
        alone (``superseded``). One whose owner is to be another is left alone too where that of ``told`` has it no
        more. One that says it already, and is with whom it is to be, is ``already-so``. One with
        ``asked_by`` gets an open status, if it still has that one, and ``adds`` behind a text that was edited."""

    def close_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Complete tasks that are still open; closed or deleted ones are left alone (``already-so``). Where they still
        say ``told``, they say ``task`` from then on; else ``adds`` goes behind what they say, if there is any."""

    def look_at_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """What became of updates and closings that nobody saw the outcome of: ``already-so`` where the task is as they
        wanted it, else ``failed``. It only reads; a failure to do so is raised."""

    def close(self) -> None:
        """Give connections back."""


class Discovery(Protocol):
    """What an org is made of, for setting up and for checking a configuration. It holds a Reader and nothing that
    can write; every call is answered by the CRM as it is now.

    Errors: as :class:`Reader`.
    """

    reader: Reader
    currency_field: str
    """What the field with a record's currency is called, in an org that has it."""

    def service(self) -> Service:
        """Which versions of the API there are, and how many calls of the day are left. The first call to make: with a
        version that is no longer served no other call works."""

    def scopes(self) -> Scopes | None:
        """What the token may be used for, and what of that is too little or too much; None where the lines on objects
        say it. To be asked before anything else: without the right scopes no other call works."""

    def organization(self) -> Organization:
        """Whether this is a sandbox, and its time zone."""

    def facts(self, object_name: str) -> ObjectFacts | None:
        """An object and its fields; None when it is not there or not shown to the token."""

    def record_types(self, object_name: str, stage_field: str) -> Sequence[RecordType]:
        """The active record types of an object; none where the CRM or the org has none."""

    def person_account(self, object_name: str) -> Mapping[str, str] | None:
        """The columns by which records of an object lead to a ``person`` who is an ``account``; None where the org
        keeps nobody so."""

    def likeness(self, object_name: str, stage_field: str, stage: NativeStage) -> Likeness | None:
        """The stage of a new org that a stage resembles, by what the CRM says of it, its name, its probability."""

    def counts(self, object_name: str, field: str, *, open_only: bool) -> Mapping[str, int] | None:
        """How many records hold each value of a field (``""`` for a blank one), or only those in work; None where the
        CRM does not count cheaply."""

    def blind_spots(self) -> Sequence[BlindSpot]:
        """What the CRM may hold that cannot be read."""

    def close(self) -> None:
        """Give connections back."""
