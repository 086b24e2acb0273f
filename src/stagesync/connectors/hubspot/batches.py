"""Batch writes of which one bad row cannot take the others down, and what became of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stagesync.connectors.hubspot.answers import BatchAnswer, MadeAnswer
from stagesync.connectors.hubspot.narrowing import Input, Sending, Trouble, Troubles, same_kind, same_values
from stagesync.connectors.hubspot.readback import Held, Values, current_values, differences, holds
from stagesync.connectors.hubspot.transport import Request, WriteTransport
from stagesync.model.changes import Result


def update(
    transport: WriteTransport,
    object_name: str,
    rows: Mapping[str, Mapping[str, str]],
    held: Mapping[str, Values],
) -> Troubles:
    """Set properties of records by id. Idempotent, so repeated after timeouts.

    ``held`` are the values that the rows had a moment ago, by id. A row that has others before a repetition was changed
    by somebody while HubSpot kept us waiting, and is left alone.

    Where HubSpot refuses the same values from every row, as a rule of the portal makes it do, a few rows show it, and
    the others are not sent.
    """
    inputs = [_traced({"id": record, "properties": dict(values)}) for record, values in rows.items()]
    request = Request(path=transport.paths.batch_update, names={"object": object_name})
    compared = Compared(transport=transport, object_name=object_name, held=held)

    def send(piece: list[Input]) -> Troubles:
        body = {"inputs": piece}
        answer = transport.send(BatchAnswer, replace(request, body=body), idempotent=True, due=compared.due)
        return {**rejected(answer, [_id(one) for one in piece]), **compared.moved_on}

    return Sending(_id, send, same_values, halts=True).all(inputs)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Rows of a batch that are compared again with what they were, before they are sent again."""

    transport: WriteTransport
    object_name: str
    held: Mapping[str, Values]
    moved_on: Troubles = field(default_factory=dict)

    def due(self, request: Request) -> Request | None:
        """The request with the rows that are as they were; some may be as they are to be, and others are changed."""
        inputs = (request.body or {})["inputs"]
        names = {name for row in inputs for name in row["properties"]}
        now = current_values(self.transport, self.object_name, map(_id, inputs), names)
        left = [row for row in inputs if self._is_due(row, now)]
        return replace(request, body={"inputs": left}) if left else None

    def _is_due(self, row: Input, now: Held) -> bool:
        record, wanted = _id(row), row["properties"]
        there = now.values.get(record)
        before = {name: self.held[record].get(name) for name in wanted}
        if there is not None and holds(there, before):
            return True
        if there is None or not holds(there, wanted):
            said = now.why_gone(record) if there is None else f"changed meanwhile: {differences(there, before)}"
            self.moved_on[record] = Trouble(result=Result.SUPERSEDED, detail=said)
        return False


def upsert(transport: WriteTransport, object_name: str, key: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Create or update records by the value of the unique property ``key``. Idempotent for that reason."""
    inputs = [
        _traced({"idProperty": key, "id": value, "properties": {**values, key: value}})
        for value, values in rows.items()
    ]
    request = Request(path=transport.paths.batch_upsert, names={"object": object_name})

    def send(piece: list[Input]) -> Troubles:
        answer = transport.send(BatchAnswer, replace(request, body={"inputs": piece}), idempotent=True)
        return rejected(answer, [_id(one) for one in piece], key)

    return Sending(_id, send, same_kind).all(inputs)


def associate(transport: WriteTransport, source: str, target: str, pairs: Mapping[str, str]) -> Troubles:
    """Associate records by the default type, which needs no type id and leaves existing associations alone."""
    inputs = [{"from": {"id": near}, "to": {"id": far}} for near, far in pairs.items()]
    request = Request(path=transport.paths.associate, names={"source": source, "target": target})
    return Sending(_near, lambda piece: _associated(transport, request, piece), same_kind).all(inputs)


def _traced(row: Input) -> Input:
    """The row with a name of its own, by which an error may call it."""
    return {**row, "objectWriteTraceId": row["id"]}


def _associated(transport: WriteTransport, request: Request, inputs: list[Input]) -> Troubles:
    answer = transport.send(MadeAnswer, replace(request, body={"inputs": inputs}), idempotent=True)
    made = {(str(one.source.id), str(one.to.id)) for one in answer.results}
    detail = "; ".join(dict.fromkeys(error.words() for error in answer.errors)) or "HubSpot did not say why"
    refused = Trouble(result=Result.REFUSED, detail=detail)
    pairs = {_near(one): str(one["to"]["id"]) for one in inputs}
    # HubSpot tells of each association from either end, and ids of different objects may be the same number.
    return {near: refused for near, far in pairs.items() if not {(near, far), (far, near)} & made}


def _id(row: Input) -> str:
    return str(row["id"])


def _near(row: Input) -> str:
    return str(row["from"]["id"])


def rejected(answer: BatchAnswer, ids: Sequence[str], key: str | None = None) -> Troubles:
    """The rows that a 207 names. Where an error names none, the rows that are not among the results are in doubt: only
    a look at them tells. Results come in any order, by the value of the property ``key`` or by id.
    """
    found: Troubles = {}
    nameless: list[str] = []
    for error in answer.errors:
        blamed = error.named() & set(ids)
        found.update(dict.fromkeys(blamed, Trouble(result=Result.REFUSED, detail=error.words())))
        if not blamed:
            nameless.append(error.words())
    if nameless:
        done = {str(row.id if key is None else row.properties.get(key)) for row in answer.results}
        doubt = Trouble(result=Result.REFUSED, detail="; ".join(dict.fromkeys(nameless)), doubtful=True)
        found |= {one: doubt for one in ids if one not in done and one not in found}
    return found
