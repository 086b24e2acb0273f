"""The benchmarks run; how fast is their own business, since a machine under load is no reason for a red test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("asked", "records"),
    [
        ("apply_changes.py --kind mixed", 200),
        ("audit_engine.py", 400),
        ("audit_export.py", 400),
        ("audit_pages.py", 2_000),
        ("log_list.py", 200),
        ("pull_hubspot.py", 200),
        ("pull_salesforce.py", 2_000),
    ],
)
def test_a_benchmark_runs_on_few_records(asked: str, records: int) -> None:
    name, *options = asked.split()
    command = [sys.executable, str(BENCHMARKS / name), *options, "--records", str(records), "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{records:,} records" in done.stdout
    assert "agree: False" not in done.stdout
