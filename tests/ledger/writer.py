"""A process of its own that appends to a ledger: ``python -m … URL MODE NAME``.

``append``  records 40 batches of findings and changes, then ends.
``forever`` goes on until it is killed; says "begun" after the first batch.
``hang``    stops in the middle of a transaction, between the entries and their head, and says "hanging".
``hold``    holds the lock until its input ends, and says "holding".
"""

from __future__ import annotations

import sys
import threading
from itertools import count
from typing import Any

from sqlalchemy import event

from stagesync.ledger import Ledger
from stagesync.ledger.appending import appending

from .samples import NOON, finding, outcome, stage_change, told


def append(ledger: Ledger, name: str, batch: int) -> None:
    run = ledger.start_run(command=name, at=NOON, facts={})
    findings = [finding(number, connection=name, amount=float(batch)) for number in range(5)]
    ledger.record_findings(run, at=NOON, connection=name, findings=told(*findings))
    changes = [stage_change(number, connection=name, key=f"{name}-{batch}-{number}") for number in range(5)]
    ledger.record_intents(run, at=NOON, changes=changes)
    ledger.record_outcomes(run, at=NOON, connection=name, outcomes=[outcome(change) for change in changes])


def say(word: str) -> None:
    print(word, flush=True)


def hang_before_the_head(ledger: Ledger) -> None:
    @event.listens_for(ledger._database.engine, "before_cursor_execute")
    def _hang(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE head"):
            say("hanging")
            threading.Event().wait()


def main(url: str, mode: str, name: str) -> None:
    with Ledger.open(url, wait=60) as ledger:
        if mode == "append":
            for batch in range(40):
                append(ledger, name, batch)
        elif mode == "forever":
            for batch in count():
                append(ledger, name, batch)
                say("begun")
        elif mode == "hang":
            hang_before_the_head(ledger)
            ledger.note("never", at=NOON)
        elif mode == "hold":
            with appending(ledger._database):
                say("holding")
                sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
