"""What every connector offers: a Reader that cannot write, and a Writer. Connectors translate, never judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import polars as pl

from stagesync.model.changes import Change, Outcome
from stagesync.model.crm import Identity, NativeStage, Owner
from stagesync.model.frames import Page
from stagesync.model.tables import Missing, Table

Progress = Callable[[str, int], None]
"""Called with a table's name and the rows read so far."""


class Reader(Protocol):
    """Reads one CRM (or a folder of exports).

    Errors: :class:`~stagesync.errors.CredentialsRefused` and :class:`~stagesync.errors.ConnectionFailed` with a
    message for a person; a page that cannot be decoded is retried and then is a ``ConnectionFailed``.
    """

    crm: str

    def identity(self) -> Identity:
        """Which org this is; the first call that a run makes."""

    def stages(self, object_name: str, stage_field: str) -> Sequence[NativeStage]:
        """The stages of an object as the CRM has them today, in their order; empty when it does not say."""

    def owners(self) -> Sequence[Owner]:
        """All owners that records may name, inactive ones and queues too; empty when the source has none."""

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """Which of the wanted columns cannot be read, and why. They are then not asked for by ``pull``."""

    def pull(self, table: Table) -> Iterator[Page]:
        """All rows of a table, page by page, with the columns that are not missing, typed as ``Table`` says.

        Pages of ``<name>~<link>`` come in between. Memory does not grow with the number of rows.
        """

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as they are now, strongly consistent; absent rows are gone or hidden."""

    def own_tasks(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Which of these change keys already have a task in the CRM: key to the CRM's task id."""

    def close(self) -> None:
        """Give connections back."""


class Writer(Protocol):
    """Writes to one CRM. Every method returns one outcome for each change, in order, and never raises for a row.

    Errors: :class:`~stagesync.errors.ConnectionFailed` only when the call wrote nothing at all.
    """

    batch_size: int
    """How many changes of one kind a call may hold."""

    def set_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write ``after`` where the record still holds ``before`` and was not modified since, then read back."""

    def finish_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Finish moves that a crash left half done, where a CRM takes more than one request for a move.

        Only for changes that were begun and whose record has a blank stage now; where a move is one request, a blank
        is somebody else's doing and is left alone (``superseded``).
        """

    def open_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Create the tasks that do not exist yet; an existing one with the same key is ``already-so``."""

    def close_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Complete tasks that are still open; closed or deleted ones are left alone (``already-so``)."""

    def close(self) -> None:
        """Give connections back."""
