"""Which rows of a refused batch are to blame, in few calls.

HubSpot refuses a batch of updates whole for one bad row, and says which property it dislikes but not in which row. One
bad row in a hundred is found by halves, in fifteen calls. A value that HubSpot takes from no row, as a rule of a
pipeline makes it do, would cost 199 calls that way; it is found by trying a few rows alone.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from stagesync.connectors.hubspot.faults import OutcomeUnknown, Refusal, ScopeMissing
from stagesync.connectors.hubspot.records import BATCH, pieces
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
Troubles = dict[str, Trouble]
"""By the id that the row was sent under; rows without trouble are absent."""
Send = Callable[[list[Input]], Troubles]

OF_ONE_ROW = frozenset({400, 404, 409, 413})
"""Refusals of a batch that one row of it may be to blame for."""
OF_VALUES = 400
TRIED_ALONE = 5
"""So many rows, chosen by chance so that another run chooses others, stand for all that are to get the same values."""
FEW = 8
"""A refused batch with no more different values than this is taken apart by them first."""


def stopped(troubles: Troubles) -> Trouble | None:
    """The trouble that every other write would meet as well."""
    return next((one for one in troubles.values() if one.halt is Halt.WRITES), None)


def not_tried(because: Trouble) -> Trouble:
    """The trouble of a row that is not sent, because every write would meet what another row met."""
    return replace(because, result=Result.FAILED)


def trouble(error: ConnectionFailed) -> Trouble:
    """What a failed request means for its rows: nothing was written unless the error says that it is unknown."""
    if isinstance(error, LimitReached):
        return Trouble(result=Result.FAILED, detail=f"not sent: {error}", halt=Halt.WRITES, wait=error.wait)
    if isinstance(error, OutcomeUnknown):
        return Trouble(result=Result.UNKNOWN, detail=str(error))
    if isinstance(error, CredentialsRefused):
        # A scope may be missing for one object alone; a token that is no longer taken is not for any.
        halt = None if isinstance(error, ScopeMissing) else Halt.WRITES
        return Trouble(result=Result.REFUSED, detail=str(error), halt=halt)
    return Trouble(result=Result.FAILED, detail=str(error))


@dataclass
class Sending:
    """Rows on their way, 100 at a time. ``name`` is the id of a row, ``send`` raises :class:`Refusal` for a whole
    batch; what becomes of rows otherwise is in ``troubles``.

    Rows with the same ``values`` are refused for the same reason, unless one of them is taken. They are so for the rest
    of a run where ``halts``.
    """

    name: Callable[[Input], str]
    send: Send
    values: Callable[[Input], Hashable]
    halts: bool = False
    troubles: Troubles = field(default_factory=dict)
    taken: set[Hashable] = field(default_factory=set)
    """Values that HubSpot has taken from a row: where others are refused with them, it is for what those rows are."""
    not_taken: dict[Hashable, Trouble] = field(default_factory=dict)

    def all(self, inputs: Sequence[Input]) -> Troubles:
        """Send; the troubles of all rows."""
        waiting = deque(pieces(inputs, BATCH))
        while waiting:
            piece = self._worth_sending(waiting.popleft())
            refusal = self._sent(piece) if piece else None
            if refusal is None:
                continue
            if len(piece) == 1 or refusal.status not in OF_ONE_ROW:
                self._refused(piece, refusal)
            else:
                waiting.extendleft(reversed(self._narrowed(piece, refusal)))
        self._tell_values(inputs)
        return self.troubles

    def _worth_sending(self, piece: list[Input]) -> list[Input]:
        end = stopped(self.troubles)
        rest = []
        for row in piece:
            why = end or self.not_taken.get(self.values(row))
            if why is None:
                rest.append(row)
            else:
                self.troubles[self.name(row)] = not_tried(why)
        return rest

    def _sent(self, piece: list[Input]) -> Refusal | None:
        try:
            found = self.send(piece)
        except Refusal as refusal:
            return refusal
        except ConnectionFailed as error:
            found = dict.fromkeys(map(self.name, piece), trouble(error))
        self.troubles |= found
        self.taken |= {self.values(row) for row in piece if self.name(row) not in found}
        return None

    def _refused(self, piece: list[Input], refusal: Refusal) -> None:
        told = Trouble(result=Result.REFUSED, detail=refusal.rejection.words())
        self.troubles |= dict.fromkeys(map(self.name, piece), told)

    def _narrowed(self, piece: list[Input], refusal: Refusal) -> list[list[Input]]:
        """What is to be sent instead of a batch that was refused."""
        alike = self._alike(piece)
        if refusal.status == OF_VALUES and 1 < len(alike) <= FEW:
            return alike
        values = self.values(piece[0])
        if refusal.status == OF_VALUES and len(alike) == 1 and len(piece) > TRIED_ALONE and values not in self.taken:
            piece = self._without_tried(piece, values)
        half = (len(piece) + 1) // 2
        return [part for part in (piece[:half], piece[half:]) if part]

    def _without_tried(self, piece: list[Input], values: Hashable) -> list[Input]:
        """Try a few rows one by one, until HubSpot takes one; the rows that were not tried."""
        tried: list[str] = []
        for row in random.sample(piece, TRIED_ALONE):
            tried.append(self.name(row))
            refusal = self._sent([row])
            if refusal is None:
                break
            self._refused([row], refusal)
        else:
            last = self.troubles[tried[-1]]
            detail = f"not tried, since HubSpot refused {TRIED_ALONE} others like it: {last.detail}"
            self.not_taken[values] = replace(last, detail=detail)
        return [row for row in piece if self.name(row) not in tried]

    def _tell_values(self, inputs: Sequence[Input]) -> None:
        """Where values were taken from no row, and refused to a few at least, the troubles of all say so."""
        for rows in self._alike(inputs) if self.halts else ():
            found = [self.troubles.get(self.name(row)) for row in rows]
            refused = sum(one is not None and one.result is Result.REFUSED for one in found)
            if refused >= TRIED_ALONE and None not in found:
                names = [self.name(row) for row in rows if self.troubles[self.name(row)].halt is None]
                self.troubles |= {name: replace(self.troubles[name], halt=Halt.TARGET) for name in names}

    def _alike(self, rows: Sequence[Input]) -> list[list[Input]]:
        """The rows by their values."""
        found: defaultdict[Hashable, list[Input]] = defaultdict(list)
        for row in rows:
            found[self.values(row)].append(row)
        return list(found.values())


def same_values(row: Input) -> Hashable:
    """What a row sets."""
    return tuple(sorted(row["properties"].items()))


def same_kind(_row: Input) -> Hashable:
    """All rows of a call are alike: tasks differ in each text, and a portal that takes none takes none of them."""
    return ""
