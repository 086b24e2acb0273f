"""What every test shares: how chance is drawn, what a test may need from the system, and what is said of skips."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
import structlog
from hypothesis import settings

# The tests' tables have a hundred rows: threads of their own would only be in each other's way, as tests run side by
# side. polars reads this when it is loaded, here and in each process that a test starts. In `make soak` it has them.
if "STAGESYNC_THOROUGH" not in os.environ:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

# A worker of xdist is told of 80 columns, and what is made at import would keep them in every terminal of a test.
os.environ.pop("COLUMNS", None)

# A slow machine is no failure; in CI the same commit draws the same examples.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# CI installs all that tests can need, so there a skip is a test that silently stopped running.
NO_SKIPS = "STAGESYNC_NO_SKIPS"

PACKAGES = {
    "node": "Node.js is not installed; on Debian: apt-get install nodejs npm, then make node",
    "chromium": "Chromium is not installed; on Debian: apt-get install chromium",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"needs(program): runs only where the program is; one of {', '.join(PACKAGES)}")
    config.addinivalue_line("markers", "records(number): how many each embedded CRM of this test has")


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no collection of garbage needs to look through it again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        (program,) = mark.args
        remedy = PACKAGES[program]
        if shutil.which(program) is None:
            pytest.skip(remedy)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command sets up the logging of its process, be it in a fixture of a whole session; no test sees another's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get(NO_SKIPS) and _skip_reasons(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reasons = _skip_reasons(config)
    if not reasons:
        return
    terminalreporter.section("what could not run here")
    for reason, tests in reasons.most_common():
        terminalreporter.line(f"{tests} {'test' if tests == 1 else 'tests'}: {reason}")
    if os.environ.get(NO_SKIPS):
        terminalreporter.line(f"{NO_SKIPS} is set: a skipped test fails the run", red=True)


def _skip_reasons(config: pytest.Config) -> Counter[str]:
    """How many tests were skipped for each reason; with xdist only the process that prints has them."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped: Iterable[pytest.TestReport] = reporter.stats.get("skipped", []) if reporter else []
    return Counter(_reason(report) for report in skipped)


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
