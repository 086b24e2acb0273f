"""How fast the audit judges records, beside named rivals in the same run.

    make bench            (or: python benchmarks/audit_engine.py --records 1000000)

The work: 26 fields, 40 criteria in 8 stages, a third of the values blank. StageSync judges every criterion in three
values, both bounds of the earned stage, and the findings. The rivals:

* polars by hand: the same 40 criteria as one hand-written mask expression, then the numpy step from the mask to the
  earned stage. The floor: nothing is known of unknowns, reasons, contradictions or stalls.
* Cloud Custodian: its value filters, record by record, on a sample, scaled to the same number of records.

A second row for StageSync has one record in twenty with an unreadable value in each of three fields, and one field
that was not read at all, so that both bounds of the earned stage are judged. The same again for a page of 100 records
and for one record, judged by an auditor that has seen such records before.

Prints milliseconds and ratios; medians of some rounds, each engine in turn in every round, because machines are noisy.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from by_hand import FLAGS, NUMBERS, STAGES, TEXTS, hand_written

from stagesync.audit.engine import Auditor
from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SMALL_ROUNDS = 20
WORDS = ["the line stops twice a week", "we lose orders in spring", "tbd", "audit in May", "n/a", "costs too much"]


def criteria(stage: int) -> list[str]:
    """Five criteria for a stage; the fields rotate, so that all 40 differ. The thresholds let most records pass."""
    n, t, f = NUMBERS, TEXTS, FLAGS
    return [
        f"{n[stage]} >= {5 + stage}",
        f"{n[(stage + 3) % 12]} between 1 and 99",
        f"{t[stage]} is not null or {n[(stage + 5) % 12]} > 10",
        f"{f[stage % 5]} or {n[(stage + 7) % 12]} < 95",
        f"{n[(stage + 1) % 12]} + {n[(stage + 2) % 12]} > 3",
    ]


def table(records: int) -> pl.DataFrame:
    """Records with ids, a stage and 26 fields (25 named ones and the amount); every field is blank in some rows."""
    chance = np.random.default_rng(7)
    columns: dict[str, pl.Series] = {"Id": pl.Series(np.arange(records)).cast(pl.String)}
    columns["Stage"] = pl.Series(chance.integers(0, STAGES, records)).cast(pl.String)
    for name in [*NUMBERS, "Amount"]:
        columns[name] = pl.Series(chance.integers(0, 100, records)).cast(pl.Float64)
    for name in TEXTS:
        columns[name] = pl.Series(WORDS).gather(chance.integers(0, len(WORDS), records))
    for name in FLAGS:
        columns[name] = pl.Series(chance.random(records) < 0.9)
    frame = pl.DataFrame(columns)
    blank = {name: chance.random(records) < 0.03 for name in (*NUMBERS, *TEXTS, *FLAGS)}
    return frame.with_columns(pl.when(~pl.Series(mask)).then(pl.col(name)).alias(name) for name, mask in blank.items())


def configuration(folder: Path) -> tuple[Definition, CrmMapping]:
    """The criteria as definitions and a mapping, through the ordinary loader."""
    ladder = [f"s{stage}" for stage in range(STAGES)]
    kinds = {**dict.fromkeys(NUMBERS, "number"), **dict.fromkeys(TEXTS, "text"), **dict.fromkeys(FLAGS, "boolean")}
    lines = ["definition: bench", f"ladder: [{', '.join(ladder)}]", "evidence:"]
    lines += [f"  {name}: {{type: {kind}}}" for name, kind in kinds.items()] + ["stages:"]
    for stage, name in enumerate(ladder):
        lines += [f"  {name}:", f"    means: stage {stage}", "    requires:"]
        for number, check in enumerate(criteria(stage)):
            lines.append(f"      - {{id: c{stage}-{number}, check: '{check}', because: bench, ask: bench}}")
    (folder / "bench.yaml").write_text("\n".join(lines))
    mapping = ["mapping: bench", "definition: bench", "crm: export", "objects:", "  Deal:", "    amount: Amount"]
    mapping += ["    stage:", "      field: Stage", "      stages:"]
    mapping += [f"        '{stage}': s{stage}" for stage in range(STAGES)] + ["    evidence:"]
    mapping += [f"      {name}: {{field: {name}}}" for name in kinds]
    (folder / "mapping.yaml").write_text("\n".join(mapping))
    definition = load_definition(folder / "bench.yaml")
    return definition, load_mapping(folder / "mapping.yaml", definition)


def ours(rows: pl.DataFrame, auditor: Auditor) -> Judgement:
    """The whole audit: scope, evidence, verdicts, earned stages, findings."""
    return auditor.judge(connection="bench", tables=Tables(rows={"Deal": rows}), owners=[])[0]


def custodian(rows: pl.DataFrame) -> Callable[[], int]:
    """Cloud Custodian's value filters over dictionaries; a function that counts what passes."""
    from c7n.filters.core import ValueFilter  # a rival, installed by `make bench` alone

    def value(key: str, op: str, wanted: object) -> ValueFilter:
        return ValueFilter({"type": "value", "key": key, "op": op, "value": wanted}).validate()

    filters: list[list[ValueFilter]] = []
    for stage in range(STAGES):
        n = NUMBERS
        filters += [
            [value(n[stage], "gte", 5 + stage)],
            [value(n[(stage + 3) % 12], "gte", 1)],
            [value(TEXTS[stage], "ne", None), value(n[(stage + 5) % 12], "gt", 10)],
            [value(FLAGS[stage % 5], "eq", True), value(n[(stage + 7) % 12], "lt", 95)],
            [value(n[(stage + 1) % 12], "gt", 3)],
        ]
    for group in filters:
        for one in group:
            one.annotate = False
    records = rows.to_dicts()

    def run() -> int:
        return sum(any(one(record) for one in group) for record in records for group in filters)

    return run


def less_known(rows: pl.DataFrame) -> pl.DataFrame:
    """The same records with unreadable values, and without one field."""
    chance = np.random.default_rng(8)
    lost = {name: pl.Series(chance.random(rows.height) < 0.05) for name in (NUMBERS[2], TEXTS[3], FLAGS[1])}
    values = [pl.when(~mask).then(pl.col(name)).alias(name) for name, mask in lost.items()]
    flags = [mask.alias(name + UNREADABLE) for name, mask in lost.items()]
    return rows.with_columns(*values, *flags).drop(NUMBERS[9])


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def rounds(works: Mapping[str, Callable[[], object]], count: int) -> dict[str, float]:
    """The median seconds of each work; in every round each has its turn."""
    timings = [{name: seconds(work) for name, work in works.items()} for _ in range(count)]
    return {name: statistics.median(timing[name] for timing in timings) for name in works}


def rivals(rows: pl.DataFrame, auditor: Auditor, sample: int) -> dict[str, Callable[[], object]]:
    """The works on these rows; Cloud Custodian's on the first of them alone, if it is installed."""
    works: dict[str, Callable[[], object]] = {
        "stagesync": partial(ours, rows, auditor),
        "polars by hand": partial(hand_written, rows),
    }
    with suppress(ImportError):
        works["cloud custodian"] = custodian(rows.head(sample))
    return works


def show(title: str, records: int, medians: Mapping[str, float]) -> None:
    """A table of medians in seconds, with ratios."""
    print(f"{title:24} {'ms':>12} {'records/s':>12} {'/ stagesync':>12} {'/ by hand':>12}")
    for name, median in medians.items():
        ratios = [median / medians[other] for other in ("stagesync", "polars by hand")]
        print(f"{name:24} {1000 * median:12.2f} {records / median:12,.0f} {ratios[0]:12.2f} {ratios[1]:12.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=5_000, help="records for Cloud Custodian")
    options = parser.parse_args()
    rows = table(options.records)
    unsure = less_known(rows)
    with TemporaryDirectory() as folder:
        definition, mapping = configuration(Path(folder))
    auditor = Auditor(definition=definition, mapping=mapping, frame=Frame(now=NOW, time_zone=ZoneInfo("UTC")))
    judged = ours(rows, auditor)
    same = bool((judged.low == hand_written(rows)).all())
    print(f"{options.records:,} records, 40 criteria in 8 stages; earned stages agree: {same}")
    print(f"{judged.findings.height:,} findings; medians of {options.rounds} rounds, of small batches {SMALL_ROUNDS}x")
    works = rivals(rows, auditor, options.sample) | {"stagesync, some unknown": partial(ours, unsure, auditor)}
    medians = rounds(works, options.rounds)
    if "cloud custodian" in medians:
        medians["cloud custodian"] *= options.records / min(options.sample, rows.height)
    else:
        print("Cloud Custodian is not installed; `make bench` installs it.")
    show("all records", options.records, medians)
    for title, size in (("a page of 100", 100), ("one record", 1)):
        few, few_unsure = rows.head(size), unsure.head(size)
        works = rivals(few, auditor, size) | {"stagesync, some unknown": partial(ours, few_unsure, auditor)}
        show(title, size, rounds(works, SMALL_ROUNDS * options.rounds))


if __name__ == "__main__":
    main()
