"""What a command loads: nobody who checks definitions should wait for the engine that judges a million records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import atexit, sys
from stagesync.cli.main import main
atexit.register(lambda: print("loaded:", *sys.modules))
main()
"""
HEAVY = {"polars", "numpy", "sqlalchemy", "alembic", "simple_salesforce", "hubspot", "requests", "starlette", "rich"}


def loaded_by(*command: str) -> tuple[str, set[str]]:
    """What a command that must succeed prints, and the packages and modules that it loaded."""
    arguments = [sys.executable, "-c", PROGRAM, *command]
    ran = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    said, _, names = ran.stdout.rpartition("loaded:")
    return said, set(names.split())


def test_check_reads_everything_and_loads_no_engine_no_client_and_no_logs() -> None:
    said, packages = loaded_by("check", "--config", "config/stagesync.yaml")

    assert "in order. 'recommended' has 5 stages" in said
    assert {"yaml", "pydantic"} <= packages
    assert not packages & (HEAVY | {"jinja2", "structlog"})
    assert not packages & {"stagesync.model.findings", "stagesync.model.changes"}  # only their words are asked for


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_program_introduces_itself_without_loading_what_it_works_with(option: str) -> None:
    _, packages = loaded_by(option)

    assert "click" in packages
    assert not packages & (HEAVY | {"yaml", "pydantic", "structlog", "msgspec"})


def test_who_asks_for_events_has_the_logs_set_up_first() -> None:
    _, packages = loaded_by("--verbose", "check", "--config", "config/stagesync.yaml")

    assert "structlog" in packages
