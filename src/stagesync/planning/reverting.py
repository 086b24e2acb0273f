"""What takes back a change of a run: the change that writes back, and the one that closes a task."""

from __future__ import annotations

from dataclasses import replace

from stagesync.model.changes import Change, ChangeKind
from stagesync.planning.draft import change_key
from stagesync.planning.guard import REVERT


def taking_back(change: Change, run: str, why: str) -> Change:
    """The change that writes back what a correction of a run found."""
    return replace(
        _about(change, ChangeKind.SET_STAGE, run, why),
        before=change.after,
        after={name: change.before.get(name) for name in change.after},
        amount=change.amount,
        currency=change.currency,
        stage_from=change.stage_to,
        stage_to=change.stage_from,
    )


def closing(change: Change, task: str, run: str, why: str) -> Change:
    """The change that closes a task which a change of a run opened."""
    return replace(_about(change, ChangeKind.CLOSE_TASK, run, why), crm_id=task)


def _about(change: Change, kind: ChangeKind, run: str, why: str) -> Change:
    """A change of the same record, in the name of the revert."""
    return Change(
        key=change_key("revert", change.key, run),
        kind=kind,
        connection=change.connection,
        object=change.object,
        record=change.record,
        record_name=change.record_name,
        rule=REVERT,
        mode=change.mode,
        reason=why,
        owner=change.owner,
        owner_name=change.owner_name,
        findings=change.findings,
    )
