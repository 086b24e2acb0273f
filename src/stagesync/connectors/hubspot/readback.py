"""Writes that are read back, because HubSpot answers 200 to a move that it ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stagesync.connectors.hubspot.faults import Refusal
from stagesync.connectors.hubspot.narrowing import Trouble, Troubles
from stagesync.connectors.hubspot.records import read_followed
from stagesync.connectors.hubspot.tasks import said_alike
from stagesync.connectors.hubspot.transport import ReadTransport
from stagesync.errors import ConnectionFailed, LimitReached
from stagesync.model.changes import Halt, Outcome, Result

Values = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Write:
    """What one change wants one record to hold; None is blank."""

    key: str
    record: str
    values: Mapping[str, str | None]

    def wire(self) -> dict[str, str]:
        """The values as HubSpot takes them: "" clears, null is not allowed."""
        return {name: value or "" for name, value in self.values.items()}


@dataclass(frozen=True, kw_only=True)
class Held:
    """What records hold, by id, blank as None; and into which other record those were merged that are there no more."""

    values: Mapping[str, Values]
    merged: Mapping[str, str]

    def why_gone(self, record: str) -> str:
        """Why a record has no values, for people."""
        survivor = self.merged.get(record)
        if survivor is None:
            return "the record is gone: deleted, or hidden from this token"
        return f"the record was merged and is {survivor} from then on, which the next run judges"


def current_values(transport: ReadTransport, object_name: str, ids: Iterable[str], names: Iterable[str]) -> Held:
    """What records hold now."""
    wanted = sorted(set(names))
    rows = read_followed(transport, object_name, ids, wanted)
    return Held(
        values={
            record: {name: _text(row.properties.get(name)) for name in wanted}
            for record, row in rows.items()
            if str(row.id) == record
        },
        merged={record: str(row.id) for record, row in rows.items() if str(row.id) != record},
    )


def read_back(
    transport: ReadTransport, object_name: str, writes: Sequence[Write], troubles: Troubles
) -> dict[str, Outcome]:
    """An outcome for each write, by key. ``troubles`` (by record) are rows known not to be written, or unknown."""
    doubtful = [write for write in writes if not _is_settled(troubles.get(write.record))]
    names = {name for write in doubtful for name in write.values}
    seen = Held(values={}, merged={})
    blind: Trouble | None = None
    try:
        if doubtful:
            seen = current_values(transport, object_name, [write.record for write in doubtful], names)
    except (ConnectionFailed, Refusal) as error:
        blind = not_seen(error)
    return {write.key: _outcome(write, seen, _known(troubles.get(write.record), blind)) for write in writes}


def not_seen(error: ConnectionFailed | Refusal) -> Trouble:
    """The trouble of rows that were sent and cannot be looked at."""
    detail = f"sent, but it could not be read back: {error}"
    if isinstance(error, LimitReached):
        return Trouble(result=Result.UNKNOWN, detail=detail, halt=Halt.WRITES, wait=error.wait)
    return Trouble(result=Result.UNKNOWN, detail=detail)


def failed(key: str, trouble: Trouble, **more: Any) -> Outcome:
    """The outcome of a row with a trouble."""
    said = {"detail": trouble.detail, "halt": trouble.halt, "wait": trouble.wait}
    return Outcome(key=key, result=trouble.result, **{**said, **more})


def holds(values: Mapping[str, str | None], wanted: Mapping[str, str | None]) -> bool:
    """Whether a record's values are the wanted ones; "" and None are both blank."""
    return all(said_alike(name, values.get(name), value) for name, value in wanted.items())


def differences(values: Mapping[str, str | None], wanted: Mapping[str, str | None]) -> str:
    """In words, what a record holds instead of what was wanted."""
    return ", ".join(
        f"{name} is {_shown(values.get(name))}, not {_shown(value)}"
        for name, value in wanted.items()
        if not said_alike(name, values.get(name), value)
    )


def _is_settled(trouble: Trouble | None) -> bool:
    return trouble is not None and trouble.settled


def _known(trouble: Trouble | None, blind: Trouble | None) -> Trouble | None:
    """What is told of a row: a trouble that only a look can settle is not settled without one."""
    return blind if blind is not None and (trouble is None or trouble.doubtful) else trouble


def _outcome(write: Write, found: Held, trouble: Trouble | None) -> Outcome:
    seen = found.values.get(write.record)
    kept = {name: seen.get(name) for name in write.values} if seen is not None else {}
    if seen is not None and holds(seen, write.values):
        return Outcome(key=write.key, result=Result.APPLIED, crm_id=write.record, seen=kept)
    if trouble is not None:
        return failed(write.key, trouble, crm_id=write.record, seen=kept)
    if seen is None:
        return Outcome(key=write.key, result=Result.FAILED, detail=found.why_gone(write.record), crm_id=write.record)
    detail = f"HubSpot answered that it was written and kept the old value: {differences(seen, write.values)}"
    return Outcome(key=write.key, result=Result.FAILED, detail=detail, crm_id=write.record, seen=kept)


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _shown(value: str | None) -> str:
    return value or "blank"
