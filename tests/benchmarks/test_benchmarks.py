"""The benchmarks run; how fast is their own business, since a machine under load is no reason for a red test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    "asked",
    [
        "apply_changes.py --kind mixed",
        "audit_engine.py",
        "audit_export.py",
        "audit_pages.py",
        "log_list.py",
        "pull_hubspot.py",
        "pull_salesforce.py",
    ],
)
def test_a_benchmark_runs_on_few_records(asked: str) -> None:
    name, *options = asked.split()
    command = [sys.executable, str(BENCHMARKS / name), *options, "--records", "2000", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "2,000 records" in done.stdout
    assert "agree: False" not in done.stdout
