"""Writes to an org."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from stagesync.connectors.salesforce.hand_set import with_hand_set
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.rows import COLLECTION_ROWS
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.stage_writes import set_stages
from stagesync.connectors.salesforce.task_writes import close_tasks, look_at_tasks, open_tasks, update_tasks
from stagesync.model.changes import Change, Outcome

log = structlog.get_logger(__name__)


class SalesforceWriter:
    """The :class:`~stagesync.connectors.base.Writer` of one org.

    Errors: a failure of the looks before the first write of a call raises
    :class:`~stagesync.errors.ConnectionFailed`; nothing was written then. After it every row has its outcome.
    """

    batch_size = COLLECTION_ROWS

    def __init__(self, session: OrgSession, schema: Schema, records: Records) -> None:
        self._session = session
        self._schema = schema
        self._records = records

    def completed(self, changes: Sequence[Change]) -> Sequence[Change]:
        """With the probability and forecast category that people set by hand; one API call for each 2,000."""
        return with_hand_set(self._session, self._schema, self._records, changes)

    def set_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write where the record still is what the plan saw, and the org still offers the stage.

        One API call for each 25 changes, two to look before and after, and once in a minute a few for what the org
        offers.
        """
        return self._told("set-stage", set_stages(self._session, self._schema, self._records, changes))

    def finish_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """A move is one request here, so nothing is ever half done: what is not as the plan saw it is left alone."""
        return self.set_stage(changes)

    def open_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Create the tasks that are not there yet."""
        return self._told("open-task", open_tasks(self._session, self._schema, self._records, changes))

    def update_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write texts over those that nobody has edited, in tasks that are still open."""
        return self._told("update-task", update_tasks(self._session, self._schema, self._records, changes))

    def close_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Complete the tasks that are still open."""
        return self._told("close-task", close_tasks(self._session, self._schema, self._records, changes))

    def look_at_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Whether tasks are as updates and closings wanted them; one that is gone, or hidden, counts as closed."""
        return look_at_tasks(self._session, self._schema, self._records, changes)

    def close(self) -> None:
        """Give connections back."""
        self._session.close()

    def _told(self, kind: str, outcomes: list[Outcome]) -> list[Outcome]:
        counts: dict[str, int] = {}
        for outcome in outcomes:
            counts[outcome.result.value] = counts.get(outcome.result.value, 0) + 1
        log.info("salesforce.changes.written", connection=self._session.connection.connection, kind=kind, counts=counts)
        return outcomes
