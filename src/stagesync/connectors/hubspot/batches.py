"""Batch writes of which one bad row cannot take the others down, and what became of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stagesync.connectors.hubspot.answers import BatchAnswer, MadeAnswer, Rejection
from stagesync.connectors.hubspot.faults import OutcomeUnknown, Refusal
from stagesync.connectors.hubspot.records import BATCH, pieces
from stagesync.connectors.hubspot.transport import Request, WriteTransport
from stagesync.errors import ConnectionFailed, CredentialsRefused
from stagesync.model.changes import Result


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a row of a batch was not written, or may not have been."""

    result: Result
    detail: str


Troubles = dict[str, Trouble]
"""By the id that the row was sent under; rows without trouble are absent."""


def update(transport: WriteTransport, object_name: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Set properties of records by id. Idempotent, so repeated after timeouts."""
    inputs = [{"id": record, "properties": dict(values)} for record, values in rows.items()]
    return _write(transport, transport.paths.batch_update, object_name, inputs)


def upsert(transport: WriteTransport, object_name: str, key: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Create or update records by the value of the unique property ``key``. Idempotent for that reason."""
    inputs = [{"idProperty": key, "id": value, "properties": {**values, key: value}} for value, values in rows.items()]
    return _write(transport, transport.paths.batch_upsert, object_name, inputs)


def associate(transport: WriteTransport, source: str, target: str, pairs: Mapping[str, str]) -> Troubles:
    """Associate records by the default type, which needs no type id and leaves existing associations alone."""
    troubles: Troubles = {}
    for piece in pieces(pairs.items(), BATCH):
        inputs = [{"from": {"id": near}, "to": {"id": far}} for near, far in piece]
        troubles |= _associate(transport, {"source": source, "target": target}, inputs)
    return troubles


def _write(transport: WriteTransport, path: str, object_name: str, inputs: Sequence[Mapping[str, Any]]) -> Troubles:
    troubles: Troubles = {}
    for piece in pieces(inputs, BATCH):
        troubles |= _write_piece(transport, path, object_name, piece)
    return troubles


def _write_piece(transport: WriteTransport, path: str, object_name: str, inputs: list[Mapping[str, Any]]) -> Troubles:
    """One request; a refusal of the whole batch (400) is narrowed down by halves to the rows that cause it."""
    ids = [str(row["id"]) for row in inputs]
    request = Request(path=path, names={"object": object_name}, body={"inputs": inputs})
    try:
        answer = transport.send(BatchAnswer, request, idempotent=True)
    except Refusal as refusal:
        if len(inputs) == 1 or refusal.status not in {400, 404, 409, 413}:
            return dict.fromkeys(ids, Trouble(result=Result.REFUSED, detail=refusal.rejection.words()))
        half = len(inputs) // 2
        return _write_piece(transport, path, object_name, inputs[:half]) | _write_piece(
            transport, path, object_name, inputs[half:]
        )
    except ConnectionFailed as error:
        return dict.fromkeys(ids, trouble(error))
    return rejected(answer.errors, ids)


def _associate(
    transport: WriteTransport, names: Mapping[str, str], inputs: list[dict[str, dict[str, str]]]
) -> Troubles:
    near = [row["from"]["id"] for row in inputs]
    request = Request(path=transport.paths.associate, names=names, body={"inputs": inputs})
    try:
        answer = transport.send(MadeAnswer, request, idempotent=True)
    except Refusal as refusal:
        if len(inputs) == 1:
            return {near[0]: Trouble(result=Result.REFUSED, detail=refusal.rejection.words())}
        half = len(inputs) // 2
        return _associate(transport, names, inputs[:half]) | _associate(transport, names, inputs[half:])
    except ConnectionFailed as error:
        return dict.fromkeys(near, trouble(error))
    made = {str(one.source.id) for one in answer.results} | {str(one.to.id) for one in answer.results}
    detail = "; ".join(dict.fromkeys(error.words() for error in answer.errors)) or "HubSpot did not say why"
    return {one: Trouble(result=Result.REFUSED, detail=detail) for one in near if one not in made}


def trouble(error: ConnectionFailed) -> Trouble:
    """What a failed request means for its rows: nothing was written unless the error says that it is unknown."""
    if isinstance(error, OutcomeUnknown):
        return Trouble(result=Result.UNKNOWN, detail=str(error))
    if isinstance(error, CredentialsRefused):
        return Trouble(result=Result.REFUSED, detail=str(error))
    return Trouble(result=Result.FAILED, detail=str(error))


def rejected(errors: Sequence[Rejection], ids: Sequence[str]) -> Troubles:
    """The rows that a 207 names, in ``context.ids`` or, for upserts, in whichever list of the context has them."""
    found: Troubles = {}
    for error in errors:
        named = {value for values in (error.context or {}).values() for value in values}
        blamed = [one for one in ids if one in named]
        found.update(dict.fromkeys(blamed, Trouble(result=Result.REFUSED, detail=error.words())))
    return found
