"""Two agents on one ledger: one writes, the other is told who and since when."""

from __future__ import annotations

import signal
import subprocess
import sys
from threading import Timer

import pytest
from sqlalchemy import create_engine, text

from stagesync.errors import Busy, LedgerError
from stagesync.ledger import Ledger, locking

from .rawsql import execute
from .samples import NOON, later

HOLDER = """
import sys, time
from datetime import UTC, datetime
from stagesync.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger, ledger.only_writer("rival", datetime(2026, 11, 21, 12, tzinfo=UTC)):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_loser_hears_who_and_since_when(url: str) -> None:
    with Ledger.open(url) as one, Ledger.open(url) as other:
        with (
            one.only_writer("ana@here", NOON),
            pytest.raises(Busy, match=r"in use by ana@here, since 2026-11-21 12:00 UTC.*try again") as refused,
            other.only_writer("ben@there", later(5)),
        ):
            pytest.fail("two agents hold it")
        assert refused.value.exit_code == 3
        with other.only_writer("ben@there", later(6)) as hold:
            hold.check()
        assert execute(url, "SELECT * FROM holder") == []


def test_who_may_not_write_to_crms_still_records(url: str) -> None:
    with Ledger.open(url) as one, Ledger.open(url) as other, one.only_writer("ana", NOON):
        other.note("an approval", at=NOON)
        assert [entry.body["text"] for entry in one.entries()] == ["an approval"]


def test_a_holder_that_is_killed_holds_nothing(url: str) -> None:
    Ledger.open(url).close()
    rival = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
    try:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "held\n"
        with (
            Ledger.open(url) as ledger,
            pytest.raises(Busy, match="rival, since 2026-11-21 12:00"),
            ledger.only_writer("me", NOON),
        ):
            pytest.fail("two agents hold it")
        rival.send_signal(signal.SIGKILL)
        rival.wait(timeout=30)
        with Ledger.open(url) as ledger, ledger.only_writer("me", NOON):
            assert execute(url, "SELECT who FROM holder") == [("me",)]
    finally:
        rival.kill()
        rival.communicate()


def test_a_lock_that_the_server_frees_late_is_waited_for(postgres_url: str) -> None:
    Ledger.open(postgres_url).close()
    engine = create_engine(postgres_url)
    session = engine.connect()
    session.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": locking._WRITER_LOCK})
    ending = Timer(0.3, session.invalidate)
    ending.start()
    with Ledger.open(postgres_url) as ledger, ledger.only_writer("me", NOON) as hold:
        hold.check()
    ending.join()
    engine.dispose()


def test_a_session_that_the_server_ended_may_write_no_more(postgres_url: str) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    with Ledger.open(postgres_url) as ledger, ledger.only_writer("me", NOON) as hold:
        hold.check()
        assert execute(postgres_url, ended) == [(True,)]
        with pytest.raises(LedgerError, match="terminating connection"):
            hold.check()
