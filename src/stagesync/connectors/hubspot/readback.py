"""Writes that are read back, because HubSpot answers 200 to a move that it ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stagesync.connectors.hubspot.batches import Trouble, Troubles
from stagesync.connectors.hubspot.faults import Refusal
from stagesync.connectors.hubspot.records import read_records
from stagesync.connectors.hubspot.transport import ReadTransport
from stagesync.errors import ConnectionFailed
from stagesync.model.changes import Outcome, Result

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


def current_values(
    transport: ReadTransport, object_name: str, ids: Iterable[str], names: Iterable[str]
) -> dict[str, Values]:
    """What records hold now, by id; blank is None, absent records are left out."""
    wanted = sorted(set(names))
    rows = read_records(transport, object_name, ids, wanted)
    return {str(row.id): {name: _text(row.properties.get(name)) for name in wanted} for row in rows}


def read_back(
    transport: ReadTransport, object_name: str, writes: Sequence[Write], troubles: Troubles
) -> dict[str, Outcome]:
    """An outcome for each write, by key. ``troubles`` (by record) are rows known not to be written, or unknown."""
    doubtful = [write for write in writes if not _is_settled(troubles.get(write.record))]
    names = {name for write in doubtful for name in write.values}
    seen: dict[str, Values] = {}
    blind: Trouble | None = None
    try:
        if doubtful:
            seen = current_values(transport, object_name, [write.record for write in doubtful], names)
    except (ConnectionFailed, Refusal) as error:
        blind = Trouble(result=Result.UNKNOWN, detail=f"sent, but it could not be read back: {error}")
    return {write.key: _outcome(write, seen.get(write.record), troubles.get(write.record) or blind) for write in writes}


def holds(values: Mapping[str, str | None], wanted: Mapping[str, str | None]) -> bool:
    """Whether a record's values are the wanted ones; "" and None are both blank."""
    return all((values.get(name) or None) == (value or None) for name, value in wanted.items())


def differences(values: Mapping[str, str | None], wanted: Mapping[str, str | None]) -> str:
    """In words, what a record holds instead of what was wanted."""
    return ", ".join(
        f"{name} is {_shown(values.get(name))}, not {_shown(value)}"
        for name, value in wanted.items()
        if (values.get(name) or None) != (value or None)
    )


def _is_settled(trouble: Trouble | None) -> bool:
    return trouble is not None and trouble.result is not Result.UNKNOWN


def _outcome(write: Write, seen: Values | None, trouble: Trouble | None) -> Outcome:
    kept = {name: (seen or {}).get(name) for name in write.values} if seen is not None else {}
    if seen is not None and holds(seen, write.values):
        return Outcome(key=write.key, result=Result.APPLIED, crm_id=write.record, seen=kept)
    if trouble is not None:
        return Outcome(key=write.key, result=trouble.result, detail=trouble.detail, crm_id=write.record, seen=kept)
    if seen is None:
        return Outcome(key=write.key, result=Result.FAILED, detail="the record is gone", crm_id=write.record)
    detail = f"HubSpot answered that it was written and kept the old value: {differences(seen, write.values)}"
    return Outcome(key=write.key, result=Result.FAILED, detail=detail, crm_id=write.record, seen=kept)


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _shown(value: str | None) -> str:
    return value or "blank"
