"""Batch writes of which one bad row cannot take the others down, and what became of each row."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from stagesync.connectors.hubspot.answers import BatchAnswer, MadeAnswer
from stagesync.connectors.hubspot.faults import OutcomeUnknown, Refusal
from stagesync.connectors.hubspot.records import BATCH, pieces
from stagesync.connectors.hubspot.transport import Request, WriteTransport
from stagesync.errors import ConnectionFailed, CredentialsRefused, LimitReached
from stagesync.model.changes import Halt, Result


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a row of a batch was not written, or may not have been. ``halt`` and ``wait`` are as in an outcome;
    what is ``doubtful`` is so unless the row is found as it was to be.
    """

    result: Result
    detail: str
    halt: Halt | None = None
    wait: timedelta | None = None
    doubtful: bool = False

    @property
    def settled(self) -> bool:
        """Whether it is certain that the row was not written."""
        return self.result is not Result.UNKNOWN and not self.doubtful


Input = Mapping[str, Any]
OF_ONE_ROW = frozenset({400, 404, 409, 413})
"""Refusals of a batch that one row of it may be to blame for."""

Troubles = dict[str, Trouble]
"""By the id that the row was sent under; rows without trouble are absent."""


def update(transport: WriteTransport, object_name: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Set properties of records by id. Idempotent, so repeated after timeouts."""
    inputs = [_traced({"id": record, "properties": dict(values)}) for record, values in rows.items()]
    return _write(transport, transport.paths.batch_update, object_name, inputs)


def upsert(transport: WriteTransport, object_name: str, key: str, rows: Mapping[str, Mapping[str, str]]) -> Troubles:
    """Create or update records by the value of the unique property ``key``. Idempotent for that reason."""
    inputs = [
        _traced({"idProperty": key, "id": value, "properties": {**values, key: value}})
        for value, values in rows.items()
    ]
    return _write(transport, transport.paths.batch_upsert, object_name, inputs, key)


def associate(transport: WriteTransport, source: str, target: str, pairs: Mapping[str, str]) -> Troubles:
    """Associate records by the default type, which needs no type id and leaves existing associations alone."""
    inputs = [{"from": {"id": near}, "to": {"id": far}} for near, far in pairs.items()]
    request = Request(path=transport.paths.associate, names={"source": source, "target": target})
    return _in_pieces(inputs, _near, lambda piece: _associated(transport, request, piece))


def stopped(troubles: Troubles) -> Trouble | None:
    """The trouble that every other write would meet as well."""
    return next((one for one in troubles.values() if one.halt is Halt.WRITES), None)


def not_tried(because: Trouble) -> Trouble:
    """The trouble of a row that is not sent, because every write would meet what another row met."""
    return replace(because, result=Result.FAILED)


def _traced(row: Input) -> Input:
    """The row with a name of its own, by which an error may call it."""
    return {**row, "objectWriteTraceId": row["id"]}


def _write(
    transport: WriteTransport, path: str, object_name: str, inputs: Sequence[Input], key: str | None = None
) -> Troubles:
    request = Request(path=path, names={"object": object_name})
    return _in_pieces(inputs, _id, lambda piece: _written(transport, request, piece, key))


def _in_pieces(
    inputs: Sequence[Input], name: Callable[[Input], str], send: Callable[[list[Input]], Troubles]
) -> Troubles:
    """Send 100 rows at a time. A refusal of a whole batch is narrowed down by halves to the rows that cause it; where
    every write would be refused, the rest is not sent.
    """
    troubles: Troubles = {}
    waiting = deque(pieces(inputs, BATCH))
    while waiting:
        piece = waiting.popleft()
        end = stopped(troubles)
        if end is not None:
            troubles |= dict.fromkeys(map(name, piece), not_tried(end))
            continue
        try:
            troubles |= send(piece)
        except Refusal as refusal:
            if len(piece) > 1 and refusal.status in OF_ONE_ROW:
                half = len(piece) // 2
                waiting.extendleft([piece[half:], piece[:half]])
            else:
                refused = Trouble(result=Result.REFUSED, detail=refusal.rejection.words())
                troubles |= dict.fromkeys(map(name, piece), refused)
        except ConnectionFailed as error:
            troubles |= dict.fromkeys(map(name, piece), trouble(error))
    return troubles


def _written(transport: WriteTransport, request: Request, inputs: list[Input], key: str | None) -> Troubles:
    answer = transport.send(BatchAnswer, replace(request, body={"inputs": inputs}), idempotent=True)
    return rejected(answer, [_id(one) for one in inputs], key)


def _associated(transport: WriteTransport, request: Request, inputs: list[Input]) -> Troubles:
    answer = transport.send(MadeAnswer, replace(request, body={"inputs": inputs}), idempotent=True)
    made = {str(one.source.id) for one in answer.results} | {str(one.to.id) for one in answer.results}
    detail = "; ".join(dict.fromkeys(error.words() for error in answer.errors)) or "HubSpot did not say why"
    refused = Trouble(result=Result.REFUSED, detail=detail)
    return {one: refused for one in map(_near, inputs) if one not in made}


def _id(row: Input) -> str:
    return str(row["id"])


def _near(row: Input) -> str:
    return str(row["from"]["id"])


def trouble(error: ConnectionFailed) -> Trouble:
    """What a failed request means for its rows: nothing was written unless the error says that it is unknown."""
    if isinstance(error, LimitReached):
        return Trouble(result=Result.FAILED, detail=f"not sent: {error}", halt=Halt.WRITES, wait=error.wait)
    if isinstance(error, OutcomeUnknown):
        return Trouble(result=Result.UNKNOWN, detail=str(error))
    if isinstance(error, CredentialsRefused):
        return Trouble(result=Result.REFUSED, detail=str(error))
    return Trouble(result=Result.FAILED, detail=str(error))


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
