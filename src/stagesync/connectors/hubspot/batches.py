"""Batch writes of which one bad row cannot take the others down, and what became of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stagesync.connectors.hubspot.answers import BatchAnswer, MadeAnswer
from stagesync.connectors.hubspot.narrowing import Input, Sending, Trouble, Troubles, same_kind, same_values
from stagesync.connectors.hubspot.transport import Request, WriteTransport
from stagesync.model.changes import Result


def update(transport: WriteTransport, object_name: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Set properties of records by id. Idempotent, so repeated after timeouts.

    Where HubSpot refuses the same values from every row, as a rule of the portal makes it do, a few rows show it, and
    the others are not sent.
    """
    inputs = [_traced({"id": record, "properties": dict(values)}) for record, values in rows.items()]
    request = Request(path=transport.paths.batch_update, names={"object": object_name})
    sending = Sending(_id, lambda piece: _written(transport, request, piece, None), same_values, halts=True)
    return sending.all(inputs)


def upsert(transport: WriteTransport, object_name: str, key: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Create or update records by the value of the unique property ``key``. Idempotent for that reason."""
    inputs = [
        _traced({"idProperty": key, "id": value, "properties": {**values, key: value}})
        for value, values in rows.items()
    ]
    request = Request(path=transport.paths.batch_upsert, names={"object": object_name})
    return Sending(_id, lambda piece: _written(transport, request, piece, key), same_kind).all(inputs)


def associate(transport: WriteTransport, source: str, target: str, pairs: Mapping[str, str]) -> Troubles:
    """Associate records by the default type, which needs no type id and leaves existing associations alone."""
    inputs = [{"from": {"id": near}, "to": {"id": far}} for near, far in pairs.items()]
    request = Request(path=transport.paths.associate, names={"source": source, "target": target})
    return Sending(_near, lambda piece: _associated(transport, request, piece), same_kind).all(inputs)


def _traced(row: Input) -> Input:
    """The row with a name of its own, by which an error may call it."""
    return {**row, "objectWriteTraceId": row["id"]}


def _written(transport: WriteTransport, request: Request, inputs: list[Input], key: str | None) -> Troubles:
    answer = transport.send(BatchAnswer, replace(request, body={"inputs": inputs}), idempotent=True)
    return rejected(answer, [_id(one) for one in inputs], key)


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
