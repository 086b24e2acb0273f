"""How long a look into a large ledger takes: one record, one owner, one rule, one run, one kind, one day.

    make bench            (or: python benchmarks/log_list.py --records 300000)

The ledger is written by the product's own recording: a first run finds a fault in most records, nineteen more tell what
came, changed and went, and each corrects stages and opens tasks. Then each question is asked as `stagesync log list`
asks it: the newest 20 entries and how many there are in all. What every run pays before it writes comes last. The
median of the rounds is printed, each with other records, in milliseconds, without the start of the program.

With --url the ledger is kept there (SQLite or PostgreSQL), and one that is there already is asked as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from tempfile import TemporaryDirectory

from stagesync.ledger import Ledger
from stagesync.model.changes import Change, ChangeKind, Outcome, Result, TaskText
from stagesync.model.findings import Batch, Cited, Findings, Told, Verdict, coded
from stagesync.model.kinds import Kind, Mode, Severity

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
RUNS, OWNERS, CHANGES = 20, 500, 1_000
RULES = (Kind.PREMATURE, Kind.STALLED, Kind.CONTRADICTION, Kind.PLACEHOLDER)
CONNECTION, OBJECT = "salesforce", "Opportunity"
Open = dict[Kind, dict[int, int]]
"""By rule, the records with a finding and how often it has changed."""


def record_of(number: int) -> str:
    """An id as Salesforce has it."""
    return f"006{number:012}AAA"


def owner_of(number: int) -> str:
    """A record's owner; the last one owns one record in 50,000."""
    return f"005{OWNERS if number % 50_000 == 0 else number * 7 % (OWNERS - 1):012}AAA"


def columns(kind: Kind, rows: Sequence[tuple[int, int]], places: Sequence[int], at_once: int) -> Iterator[Findings]:
    """Some findings of a rule, so many at once; ``rows`` are records and how often each has changed."""
    for start in range(0, len(places), at_once):
        yield told(kind, [rows[place] for place in places[start : start + at_once]])


def told(kind: Kind, some: Sequence[tuple[int, int]]) -> Findings:
    """Findings of records, with how often each has changed."""
    cited = Cited(
        criterion="pain-stated",
        verdict=Verdict.NOT_MET,
        source="Pain__c",
        ask="write down the problem in the buyer's own words",
        because="people buy to end a pain; without one there is no deal",
    )
    words = coded((f"idle for {14 + changed} business days", "tbd") for _, changed in some)
    owners = [owner_of(number) for number, _ in some]
    return Findings(
        connection=CONNECTION,
        object=OBJECT,
        kind=kind,
        rule=str(kind),
        record=[record_of(number) for number, _ in some],
        record_name=[f"Company {number // 3} – renewal" for number, _ in some],
        owner=coded(owners),
        owner_name=coded(f"Owner {owner[3:15]}" for owner in owners),
        severity=coded([Severity.MEDIUM] * len(some)),
        mode=coded([Mode.SUGGEST] * len(some)),
        stage=coded(["proposal"] * len(some)),
        native_stage=coded(["Proposal/Price Quote"] * len(some)),
        pipeline=coded([None] * len(some)),
        earned=coded(["prospect"] * len(some)),
        since=["2025-12-01T08:30:00Z"] * len(some),
        since_source=coded(["history"] * len(some)),
        amount=[1_000.0 + changed for _, changed in some],
        evidence=[Told(cited=cited, of=[*range(len(some))], words=words)],
    )


def batches(found: Open) -> Iterator[Batch]:
    """The findings of a run as the ledger takes them."""
    for kind, changed in found.items():
        rows = [*changed.items()]
        yield Batch(
            connection=CONNECTION,
            object=OBJECT,
            rule=str(kind),
            records=[record_of(number) for number, _ in rows],
            essences=[hashlib.sha256(f"{kind} {number} {times}".encode()).digest() for number, times in rows],
            told=partial(columns, kind, rows),
        )


def fill(ledger: Ledger, records: int) -> None:
    """Twenty runs that tell more than three findings of each record, together."""
    chance = random.Random(7)  # noqa: S311  (made-up records)
    first, each = records * 2, records * 4 // 3 // (RUNS - 1)
    changes = min(CHANGES, records)
    found: Open = {kind: {} for kind in RULES}
    for number in range(first):
        found[RULES[number % 2 + 2 * (number // 2 % 2)]][number // 2] = 0
    for day in range(RUNS):
        at = START + timedelta(days=day)
        run = ledger.start_run(command="run", at=at, facts={})
        for _ in range(each if day else 0):
            kind, number = chance.choice(RULES), min(int(chance.expovariate(8) * records), records - 1)
            if number in found[kind] and chance.random() < 0.3:
                del found[kind][number]
            else:
                found[kind][number] = found[kind].get(number, 0) + 1
        ledger.record_findings(run, at=at, connection=CONNECTION, findings=batches(found))
        corrections = [change(ChangeKind.SET_STAGE, number, day) for number in chance.sample(range(records), changes)]
        tasks = [change(ChangeKind.OPEN_TASK, number, day) for number in chance.sample(range(records), changes)]
        for some in (corrections, tasks):
            ledger.record_intents(run, at=at, changes=some)
            outcomes = [Outcome(key=one.key, result=Result.APPLIED, crm_id=f"00T{one.key}") for one in some]
            ledger.record_outcomes(run, at=at, connection=CONNECTION, outcomes=outcomes)
        ledger.finish_run(run, at=at, result="done", facts={"planned": len(corrections) + len(tasks)})


def change(kind: ChangeKind, number: int, day: int) -> Change:
    """A correction, or a task to open."""
    text = TaskText(subject="Say the pain", body="Write it down. " * 20, due=date(2026, 2, 1), owner=owner_of(number))
    moves = kind is ChangeKind.SET_STAGE
    return Change(
        key=f"stagesync-{kind}-{number}-{day}",
        kind=kind,
        connection=CONNECTION,
        object=OBJECT,
        record=record_of(number),
        record_name=f"Company {number // 3} – renewal",
        rule="premature",
        mode=Mode.ENFORCE,
        reason="pain-stated: Pain__c is blank",
        owner=owner_of(number),
        findings=(f"{CONNECTION}:{OBJECT}:{record_of(number)}:premature",),
        before={"StageName": "Proposal/Price Quote"} if moves else {},
        after={"StageName": "Prospecting"} if moves else {},
        task=None if moves else text,
    )


def questions(ledger: Ledger, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What people and runs ask; each time of other records and owners."""
    told = sum(1 for _ in ledger.entries(record=record_of(0)))
    assert told, "record 0 has findings"
    runs = [run.id for run in ledger.runs(limit=100)]
    # Low numbers have changed most often; the highest ones have a life of one entry.
    premature = {(OBJECT, record_of(number)) for number in range(1_000)}
    busy, day = chance.randrange(50), START + timedelta(days=chance.randrange(RUNS))

    def listed(**where: object) -> Callable[[], object]:
        return lambda: ledger.page(limit=20, **where)  # type: ignore[arg-type]

    return {
        "one record": listed(record=record_of(busy)),
        "one owner": listed(owner=owner_of(chance.randrange(1, 50_000))),
        "an owner of few records": listed(owner=owner_of(0)),
        "an owner of nothing": listed(owner="nobody"),
        "one rule": listed(rule="stalled"),
        "one run": listed(run=chance.choice(runs)),
        "one kind": listed(kind="finding.changed"),
        "one day": listed(since=day, until=day + timedelta(days=1)),
        "one connection": listed(connection=CONNECTION),
        "owner, rule and day": listed(owner=owner_of(7), rule="stalled", since=day, until=day + timedelta(days=1)),
        "the runs": lambda: ledger.runs(limit=20),
        "for a run: stages written": lambda: ledger.last_moves(CONNECTION),
        "for a run: moves of 1,000 records": lambda: ledger.moves(CONNECTION, premature),
        "for a run: open tasks": lambda: ledger.tasks(CONNECTION),
        "for a run: written today": lambda: ledger.written_since(START + timedelta(days=RUNS - 1)),
        "for a run: waivers, intents": lambda: (ledger.waivers(CONNECTION), ledger.unsettled(CONNECTION)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, Ledger.open(options.url or f"sqlite:///{folder}/ledger.db") as ledger:
        begun = time.perf_counter()
        if not ledger.count():
            fill(ledger, options.records)
        told = sum(ledger.count(kind=f"finding.{what}") for what in ("opened", "changed", "resolved"))
        seconds = time.perf_counter() - begun
        print(f"{options.records:,} records, {told:,} findings told, {ledger.count():,} entries; {seconds:.0f} s")
        taken: dict[str, list[tuple[float, float]]] = {}
        chance = random.Random(11)  # noqa: S311  (which to ask for)
        for _ in range(options.rounds):
            for name, ask in questions(ledger, chance).items():
                wall, processor = time.perf_counter(), time.process_time()
                ask()
                spent = time.perf_counter() - wall, time.process_time() - processor
                taken.setdefault(name, []).append(spent)
        print(f"{'milliseconds':32} {'wall':>8} {'CPU':>8} {'most CPU':>9}")
        for name, times in taken.items():
            walls, processors = ([1_000 * one for one in column] for column in zip(*times, strict=True))
            wall, processor = statistics.median(walls), statistics.median(processors)
            print(f"{name:32} {wall:8.1f} {processor:8.1f} {max(processors):9.1f}")


if __name__ == "__main__":
    main()
