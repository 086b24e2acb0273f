"""From the bytes of Salesforce pages to findings in the ledger: decoding, judging, evidence, hash chain, SQLite.

    make bench            (or: python benchmarks/audit_pages.py --records 100000)

The work: pages of 2,000 opportunities as the org sends them (29 fields, a record's attributes, its account), 40
criteria in 8 stages, three contradictions, placeholders, owners who left, idle records. StageSync goes the way of a
run, but for the network and the mirror: its connector decodes the pages, its audit judges them, and the ledger takes
the findings with their evidence, hash-chained, indexed and append-only, beside what is open now. Then the same
findings come again, as in every later run: nothing changed, and nothing is to be written.

The rival (pages_by_hand.py) does the same with dictionaries in plain Python, row by row, once.

One thread. Prints the seconds of each step and the processor's seconds beside the wall's, because machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is loaded

import polars as pl
from pages_by_hand import SOURCES, STAGES, by_hand

import stagesync.cli  # noqa: F401  (sets when Python looks for garbage, as at the start of the program)
from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.connectors.salesforce.decode import decode_page
from stagesync.connectors.salesforce.schema import Column
from stagesync.ledger import Ledger
from stagesync.model.crm import Owner
from stagesync.model.tables import ColumnType
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAGE = 2_000
OWNERS = {f"005{number:015}": (f"Owner {number}", number % 40 != 0) for number in range(200)}
CRITERIA = [
    ["replies >= 1", "source is not null", "employees >= 5", "score >= 10", "stated(interest)"],
    [
        "meetings >= 1",
        "employees between 20 and 90000",
        "stated(pain)",
        "score >= 15 or replies > 3",
        f"source in {SOURCES}",
    ],
    ["budget is not null", "seats > 0", "champion is not null", "replies + meetings >= 3", "trial or score > 20"],
    [
        "stated(next_step)",
        "budget >= 1000",
        "decision_date is not null",
        "meetings >= 2 or trial",
        "not source like 'Cold%'",
    ],
    [
        "amount > 0",
        "discount between 0 and 40",
        "seats >= 5",
        "decision_date >= today() - interval '400' day",
        "budget >= amount / 20",
    ],
    [
        "reviewed or seats < 4500",
        "replies >= 2",
        "score >= 25",
        "discount <= 35 or champion is not null",
        "close_date is not null",
    ],
    [
        "meetings >= 3 or replies >= 4",
        "amount >= 500",
        "competitor is null or stated(competitor)",
        "trial or reviewed",
        "employees > 30",
    ],
    ["won", "closed", "amount is not null", "close_date <= today()", "seats >= 1"],
]
CONTRADICTIONS = {
    "won-without-amount": "won and amount is null",
    "close-date-passed": "not closed and close_date < today()",
    "open-with-loss-reason": "not closed and lost_reason is not null",
}
EVIDENCE: Mapping[str, tuple[str, str]] = {
    "replies": ("integer", "Replies__c"),
    "meetings": ("integer", "Meetings__c"),
    "seats": ("integer", "Seats__c"),
    "score": ("number", "Score__c"),
    "budget": ("number", "Budget__c"),
    "discount": ("number", "Discount__c"),
    "amount": ("number", "Amount"),
    "employees": ("integer", "Account.NumberOfEmployees"),
    "interest": ("text", "Interest__c"),
    "pain": ("text", "Pain__c"),
    "champion": ("text", "Champion__c"),
    "competitor": ("text", "Competitor__c"),
    "next_step": ("text", "NextStep"),
    "source": ("text", "LeadSource"),
    "lost_reason": ("text", "Loss_Reason__c"),
    "trial": ("boolean", "Trial__c"),
    "reviewed": ("boolean", "Security_Reviewed__c"),
    "closed": ("boolean", "IsClosed"),
    "won": ("boolean", "IsWon"),
    "close_date": ("date", "CloseDate"),
    "decision_date": ("date", "Decision_Date__c"),
    "last_activity": ("datetime", "Last_Activity__c"),
}
OF_RECORD = ("Id", "Name", "OwnerId", "CreatedDate", "LastModifiedDate", "Amount", "StageName", "LastStageChangeDate")
# An org answers with the fields in the order in which they are asked for.
ASKED = tuple(dict.fromkeys([*OF_RECORD, *(field.partition(".")[0] for _, field in EVIDENCE.values())]))
DESCRIBED = {
    ColumnType.TEXT: "string",
    ColumnType.INTEGER: "int",
    ColumnType.NUMBER: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.DATETIME: "datetime",
}
WORDS = ["the line stops twice a week", "we lose orders in spring", "audit in May", "costs “too much”", "Zürich first"]


def pages(records: int) -> list[bytes]:
    """The pages of a query as an org sends them."""
    chance = random.Random(7)  # noqa: S311  (made-up records)
    rows = [opportunity(number, chance) for number in range(records)]
    result = []
    for start in range(0, records, PAGE):
        page = {"totalSize": records, "done": start + PAGE >= records, "records": rows[start : start + PAGE]}
        if not page["done"]:
            page["nextRecordsUrl"] = f"/services/data/v62.0/query/01g000000000001AAA-{start + PAGE}"
        result.append(json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode())
    return result


def opportunity(number: int, chance: random.Random) -> dict[str, object]:
    """One record as JSON data. What its stage asks for is mostly there, what later stages ask for mostly not."""
    stage = chance.choices([*STAGES, "Closed Lost"], [10, 12, 14, 14, 12, 10, 6, 14, 8])[0]
    position = STAGES.index(stage) if stage in STAGES else 0

    def blank(value: object, asked: int = 0, share: float = 0.04) -> object:
        return None if chance.random() < (share if position >= asked else 0.7) else value

    def text(asked: int) -> object:
        said = chance.choice(WORDS) if chance.random() < 0.94 else chance.choice(["tbd", "n/a", "-", "?"])
        return blank(said, asked)

    def moment(days: int) -> str:
        at = NOW - timedelta(days=chance.randrange(1, days), seconds=chance.randrange(86_400))
        return f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"

    def day(first: int, last: int) -> str:
        return str(date(2026, 11, 21) + timedelta(days=chance.randrange(first, last)))

    closed = stage.startswith("Closed")
    key = f"006{number:012}AAA"
    account = f"001{number // 3:012}AAA"
    record = {
        "attributes": {"type": "Opportunity", "url": f"/services/data/v62.0/sobjects/Opportunity/{key}"},
        "Id": key,
        "Name": f"Company {number // 3} – {chance.choice(['new business', 'renewal', 'expansion'])}",
        "OwnerId": chance.choice(list(OWNERS)),
        "StageName": stage,
        "Amount": blank(round(chance.uniform(400, 90_000), 2), 4),
        "CloseDate": day(-90, 1) if closed else day(-28, 120),
        "CreatedDate": moment(400),
        "LastModifiedDate": moment(60),
        "LastStageChangeDate": blank(moment(78)),
        "Last_Activity__c": blank(moment(60)),
        "IsClosed": closed,
        "IsWon": stage == "Closed Won",
        "NextStep": text(3),
        "Pain__c": text(1),
        "Interest__c": text(0),
        "Champion__c": blank("Dana Okafor", 2),
        "Competitor__c": blank("Acme", 0, 0.5),
        "Loss_Reason__c": "price" if stage == "Closed Lost" else blank("price", 0, 0.96),
        "LeadSource": blank(chance.choice(SOURCES) if chance.random() < 0.97 else "Cold call"),
        "Replies__c": blank(chance.choice([1, 2, 3, 4, 5, 8, 13])),
        "Meetings__c": blank(chance.choice([1, 2, 2, 3, 4, 5])),
        "Seats__c": blank(chance.randrange(4, 5_000)),
        "Score__c": blank(round(chance.uniform(14, 100), 1)),
        "Budget__c": blank(round(chance.uniform(900, 120_000), 2), 2),
        "Discount__c": blank(chance.randrange(41)),
        "Decision_Date__c": blank(day(-300, 200), 3),
        "Trial__c": chance.random() < 0.7,
        "Security_Reviewed__c": chance.random() < 0.6,
        "Account": {
            "attributes": {"type": "Account", "url": f"/services/data/v62.0/sobjects/Account/{account}"},
            "Name": f"Company {number // 3}",
            "NumberOfEmployees": blank(chance.randrange(15, 20_000)),
        },
    }
    return {name: record[name] for name in ("attributes", *ASKED)}


def configuration(folder: Path) -> tuple[Definition, CrmMapping]:
    """The criteria as definitions and a mapping, through the ordinary loader."""
    ladder = [f"s{stage}" for stage in range(len(STAGES))]
    lines = ["definition: bench", f"ladder: [{', '.join(ladder)}]", "parking: {lost: lost}"]
    lines += ["placeholders: [tbd, n/a, '-', select]", "evidence:"]
    lines += [f"  {name}: {{type: {kind}}}" for name, (kind, _) in EVIDENCE.items()] + ["stages:"]
    words = "because: it is what the stage means, ask: look at it with the buyer"
    for stage, name in enumerate(ladder):
        last = stage == len(ladder) - 1
        lines += [f"  {name}:", f"    means: stage {stage}"]
        lines += ["    terminal: true"] if last else ["    stalls_after: {idle: 30 days}"]
        lines += ["    requires:"]
        for number, check in enumerate(CRITERIA[stage]):
            lines.append(f'      - {{id: c{stage}-{number}, check: "{check}", {words}}}')
    lines += ["contradictions:"]
    lines += [f'  - {{id: {name}, check: "{check}", {words}}}' for name, check in CONTRADICTIONS.items()]
    (folder / "bench.yaml").write_text("\n".join(lines))
    mapping = ["mapping: bench", "definition: bench", "crm: salesforce", "objects:", "  Opportunity:"]
    mapping += ["    name: Name", "    owner: OwnerId", "    created: CreatedDate", "    modified: LastModifiedDate"]
    mapping += ["    amount: Amount", "    stage:", "      field: StageName", "      entered: LastStageChangeDate"]
    mapping += ["      stages:", *(f"        {native}: s{number}" for number, native in enumerate(STAGES))]
    mapping += ["        Closed Lost: lost", "    evidence:"]
    mapping += [f"      {name}: {{field: {field}}}" for name, (_, field) in EVIDENCE.items()]
    (folder / "mapping.yaml").write_text("\n".join(mapping))
    definition = load_definition(folder / "bench.yaml")
    return definition, load_mapping(folder / "mapping.yaml", definition)


def columns(mapping: CrmMapping) -> list[Column]:
    """What describe would say of the columns that the mapping wants."""
    (table,) = mapping.tables
    wanted = {table.key: ColumnType.TEXT, **table.columns}
    return [
        Column(name=name, type=kind, path=tuple(name.split(".")), kind=DESCRIBED[kind]) for name, kind in wanted.items()
    ]


class Clock:
    """Sums up the seconds of named steps, of the wall and of the processor."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()

    def time(self, step: str, work: Callable[[], object]) -> None:
        """Do something and add its seconds to a step."""
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.wall[step] += time.perf_counter() - wall
        self.processor[step] += time.process_time() - processor


class Ours:
    """The way of a run from pages to the ledger, step by step."""

    def __init__(self, definition: Definition, mapping: CrmMapping, folder: Path) -> None:
        self.definition, self.mapping = definition, mapping
        self.columns = columns(mapping)
        self.owners = [Owner(id=key, name=name, email=None, active=on) for key, (name, on) in OWNERS.items()]
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        self.at = NOW

    def decode(self, bodies: Iterable[bytes]) -> None:
        """Pages to one typed frame."""
        self.rows = pl.concat([decode_page(body, self.columns).rows for body in bodies], how="diagonal")

    def judge(self) -> None:
        """Every record against every criterion."""
        (self.judgement,) = judge(
            connection="salesforce",
            definition=self.definition,
            mapping=self.mapping,
            tables=Tables(rows={"Opportunity": self.rows}),
            owners=self.owners,
            frame=Frame(now=NOW, time_zone=ZoneInfo("UTC")),
        )

    def record(self) -> None:
        """The findings with their evidence into the ledger, as a run does it."""
        run = self.ledger.start_run(command="bench", at=self.at, facts={})
        judged = set(self.judgement.records["record"].to_list())
        self.moved = self.ledger.record_findings(
            run,
            at=self.at,
            connection="salesforce",
            findings=self.judgement.batches(),
            judged=lambda _object, record: record in judged,
        )
        self.at += timedelta(hours=1)

    def all(self, bodies: Iterable[bytes], clock: Clock) -> None:
        """Everything, then the recording once more with nothing new."""
        clock.time("decode", lambda: self.decode(bodies))
        clock.time("judge", self.judge)
        clock.time("evidence, chain, SQLite", self.record)
        self.first = self.moved
        clock.time("again, nothing changed", self.record)


def evidence(judgement: Judgement) -> int:
    """The findings made into objects, and nothing else."""
    return sum(1 for _ in judgement.each())


def one_round(bodies: list[bytes], clocks: Mapping[str, Clock]) -> tuple[int, bool]:
    """Both engines once; how many findings, and whether they agree."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        ours = Ours(*configuration(folder), folder)
        ours.all(bodies, clocks["stagesync"])
        clocks["stagesync"].time("evidence alone", lambda: evidence(ours.judgement))
        found = ours.judgement.findings
        verified, told = ours.ledger.verify(), ours.ledger.count(kind="finding.opened")
        still = ours.moved.still_open == ours.first.opened == found.height == told and verified.ok
        ours.ledger.close()
        counts: dict[str, int] = {}
        clocks["by hand"].time("everything", lambda: counts.update(by_hand(bodies, OWNERS, NOW, folder / "by_hand.db")))
    return found.height, still and counts == {str(kind): n for kind, n in found["kind"].value_counts().iter_rows()}


STEPS = ("decode", "judge", "evidence, chain, SQLite")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bodies = pages(options.records)
    size = sum(map(len, bodies)) / 1_000_000
    print(f"{options.records:,} records in {len(bodies)} pages, {size:.0f} MB; median of {options.rounds} rounds")
    rounds = []
    for _ in range(options.rounds):
        clocks = {"stagesync": Clock(), "by hand": Clock()}
        findings, agree = one_round(bodies, clocks)
        rounds.append(clocks)
    print(f"{findings:,} findings; by hand the same: findings agree: {agree}")
    print(f"{'':34} {'wall s':>8} {'CPU s':>8}")
    for name, steps in table(rounds).items():
        print(f"{name:34} {steps[0]:8.2f} {steps[1]:8.2f}")


def table(rounds: list[dict[str, Clock]]) -> dict[str, tuple[float, float]]:
    """The medians to print, by the name of the row."""

    def median(engine: str, *steps: str) -> tuple[float, float]:
        clocks = [one[engine] for one in rounds]
        wall = statistics.median(sum(clock.wall[step] for step in steps) for clock in clocks)
        return wall, statistics.median(sum(clock.processor[step] for step in steps) for clock in clocks)

    result = {f"  {step}": median("stagesync", step) for step in STEPS}
    result["stagesync, first time"] = median("stagesync", *STEPS)
    result["  of it the evidence as objects"] = median("stagesync", "evidence alone")
    result["  recording again, nothing changed"] = median("stagesync", "again, nothing changed")
    result["by hand, first time"] = median("by hand", "everything")
    ours, theirs = result["stagesync, first time"], result["by hand, first time"]
    result["by hand / stagesync"] = theirs[0] / ours[0], theirs[1] / ours[1]
    return result


if __name__ == "__main__":
    main()
