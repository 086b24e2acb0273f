"""From a Parquet export to a summary: the whole program as people start it, wall time and peak memory.

    make bench            (or: python benchmarks/audit_export.py --records 1000000)

The export holds the records of audit_engine.py. Beside `stagesync audit` stands the least that anybody could write by
hand (by_hand.py): a script that reads the same file with polars, evaluates the same 40 criteria and prints how many
records have earned each stage. It knows no unknowns, findings, money, reasons or bad cells. Each runs in a process of
its own, start-up included; in every round each has its turn, and the medians are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory


def prepared(folder: Path, records: int) -> Path:
    """The export with its definitions and mapping; made in a process that ends, so that its memory is not ours."""
    from audit_engine import configuration, table

    (folder / "export").mkdir()
    table(records).write_parquet(folder / "export" / "Deal.parquet")
    configuration(folder)
    return folder


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of a command that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return time.perf_counter() - began, usage.ru_maxrss / unit


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare is not None:
        prepared(options.prepare, options.records)
        return
    me = [sys.executable, __file__]
    with TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*me, "--prepare", name, "--records", str(options.records)], check=True)
        program = [sys.executable, "-c", "from stagesync.cli.main import main; main()"]
        audit = ["audit", "--from", str(folder / "export"), "--mapping", str(folder / "mapping.yaml")]
        audit += ["--definitions", str(folder / "bench.yaml"), "--limit", "40"]
        rival = [sys.executable, str(Path(__file__).with_name("by_hand.py"))]
        commands = {
            "stagesync audit": [*program, *audit],
            "polars by hand": [*rival, str(folder / "export" / "Deal.parquet")],
            "stagesync --version": [*program, "--version"],
        }
        found = [{name: measured(command) for name, command in commands.items()} for _ in range(options.rounds)]
    print(f"{options.records:,} records of a Parquet export, 40 criteria; median of {options.rounds} rounds")
    for name in commands:
        wall = statistics.median(one[name][0] for one in found)
        peak = statistics.median(one[name][1] for one in found)
        print(f"{name:22} {wall:8.2f} s {peak:8.0f} MB")


if __name__ == "__main__":
    main()
