"""A ledger opens, or says why it does not."""

from __future__ import annotations

import builtins
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, create_engine, insert, select, update

import stagesync
from stagesync.errors import LedgerError
from stagesync.ledger import FindingChanges, Ledger
from stagesync.ledger.chain import GENESIS, Draft, hash_of, numbered
from stagesync.ledger.codec import FindingBody, encode, time_text
from stagesync.ledger.database import HEAD, SCHEMA
from stagesync.ledger.migrating import configuration, revisions
from stagesync.ledger.tables import metadata
from stagesync.model.changes import Result
from stagesync.model.findings import essence_of

from .rawsql import drop_triggers, execute
from .samples import NOON, finding, later, outcome, stage_change, task_change, told


def test_the_migrations_make_the_tables_that_the_code_expects(ledger: Ledger) -> None:
    with ledger._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD


def test_the_newest_migration_is_the_one_that_opening_looks_for() -> None:
    assert revisions()[0] == HEAD


def test_what_was_recorded_is_there_after_opening_again(url: str) -> None:
    with Ledger.open(url) as ledger:
        ledger.note("kept", at=NOON)
    with Ledger.open(url) as ledger:
        assert [entry.body["text"] for entry in ledger.entries()] == ["kept"]


def test_opening_a_current_ledger_does_not_load_alembic(sqlite_url: str) -> None:
    Ledger.open(sqlite_url).close()
    code = "import sys; from stagesync.ledger import Ledger; Ledger.open(sys.argv[1]).close(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code, sqlite_url], capture_output=True, text=True, check=True).stdout
    assert "alembic" not in loaded.split()


def test_a_newer_ledger_is_left_alone(url: str) -> None:
    Ledger.open(url).close()
    execute(url, "UPDATE alembic_version SET version_num = '9999_future'")
    with pytest.raises(LedgerError, match=r"newer StageSync \(schema 9999_future, .*upgrade StageSync"):
        Ledger.open(url)
    assert execute(url, "SELECT version_num FROM alembic_version") == [("9999_future",)]


# SQLite


def test_sqlite_is_set_up_to_survive(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url, wait=7) as ledger, ledger._database.reading() as connection:

        def pragma(name: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert (pragma("journal_mode"), pragma("synchronous"), pragma("busy_timeout")) == ("wal", 2, 7000)


def test_the_file_is_for_its_user_alone(sqlite_url: str) -> None:
    Ledger.open(sqlite_url).close()
    assert Path(sqlite_url.removeprefix("sqlite:///")).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"name,stage\n" * 500, os.urandom(4096), b"x"])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "deals.csv"
    file.write_bytes(content)
    with pytest.raises(LedgerError, match=r"deals\.csv is not a database"):
        Ledger.open(f"sqlite:///{file}")
    assert file.read_bytes() == content


def test_a_database_of_something_else(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    execute(f"sqlite:///{file}", "CREATE TABLE songs (name TEXT)")
    with pytest.raises(LedgerError, match=r"of something else .*'songs'"):
        Ledger.open(f"sqlite:///{file}")
    assert execute(f"sqlite:///{file}", "SELECT name FROM sqlite_master") == [("songs",)]


def test_a_damaged_ledger(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        for _ in range(300):
            ledger.note("x" * 200, at=NOON)
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    content = bytearray(file.read_bytes())
    content[8192:-4096] = os.urandom(len(content) - 12288)
    file.write_bytes(content)
    with pytest.raises(LedgerError, match="is damaged"), Ledger.open(sqlite_url) as ledger:
        ledger.verify()


def test_a_folder_and_a_file_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is a folder"):
        Ledger.open(f"sqlite:///{tmp_path}")
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be created"):
        Ledger.open(f"sqlite:///{tmp_path}/file/ledger.db")


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Root may write everything, so be nobody for a while; an ordinary user stays who he is."""
    if os.geteuid() != 0:
        yield
        return
    for parent in folder.parents:  # pytest's folders are private: let nobody pass through
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o555), (0o666, 0o555), (0o444, 0o777)])
def test_a_read_only_ledger(tmp_path: Path, file_mode: int, folder_mode: int) -> None:
    file = tmp_path / "state" / "ledger.db"
    Ledger.open(f"sqlite:///{file}").close()
    file.chmod(file_mode)
    file.parent.chmod(folder_mode)
    try:
        with without_rights(file.parent), pytest.raises(LedgerError, match=r"ledger\.db cannot be .*write"):
            Ledger.open(f"sqlite:///{file}", wait=1).note("x", at=NOON)
    finally:
        file.parent.chmod(0o755)


def test_a_ledger_that_became_read_only_while_open(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        ledger.note("before", at=NOON)
        with ledger._database.engine.connect() as connection:  # the pool gives the same connection again
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.note("after", at=NOON)
        assert ledger.count() == 1


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    with without_rights(folder), pytest.raises(LedgerError, match="cannot be created: Permission denied"):
        Ledger.open(f"sqlite:///{folder}/state/ledger.db")


def test_a_locked_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="is locked by another process"):
        Ledger.open(f"sqlite:///{file}", wait=0.2)
    other.close()
    Ledger.open(f"sqlite:///{file}", wait=0.2).close()


def test_a_full_disk_writes_nothing_wrong(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        ledger.note("before", at=NOON)
        with ledger._database.engine.connect() as connection:  # the pool gives the same connection again
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerError, match="the disk is full"):
            ledger.note("x" * 100_000, at=NOON)
        assert ledger.verify().entries == 1


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_in_memory_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match="lost at the end"):
        Ledger.open(url)


@pytest.mark.parametrize("url", ["ledger.db", "", "mysql://localhost/x", "sqlite+aiosqlite:///x.db"])
def test_a_url_that_is_none_of_ours(url: str) -> None:
    with pytest.raises(LedgerError, match="write sqlite:///path"):
        Ledger.open(url)


# PostgreSQL


def test_postgresql_keeps_the_ledger_in_a_schema_of_its_own(postgres_url: str) -> None:
    execute(postgres_url, "CREATE TABLE public.entries (name TEXT)")
    with Ledger.open(postgres_url) as ledger:
        ledger.note("here", at=NOON)
    tables = execute(postgres_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'stagesync'")
    assert {name for (name,) in tables} == {*metadata.tables, "alembic_version"}
    assert execute(postgres_url, "SELECT * FROM public.entries") == []
    assert SCHEMA == "stagesync"


def test_postgresql_is_opened_with_the_short_scheme_too(postgres_url: str) -> None:
    for scheme in ("postgresql://", "postgres://"):
        Ledger.open(postgres_url.replace("postgresql+psycopg://", scheme)).close()


def test_postgresql_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be reached") as caught:
        Ledger.open(f"postgresql+psycopg://ana:s3cret@/ledger?host={tmp_path}", wait=2)
    assert "s3cret" not in str(caught.value)


def test_postgresql_without_the_database(postgres_url: str) -> None:
    with pytest.raises(LedgerError, match="is not there; create the database"):
        Ledger.open(postgres_url.replace("/ledger_", "/other_"), wait=2)


def test_postgresql_without_rights(postgres_url: str) -> None:
    execute(postgres_url, "CREATE ROLE reader LOGIN", "CREATE SCHEMA stagesync")
    try:
        for statement in ("SELECT 1", "DROP SCHEMA stagesync"):
            execute(postgres_url, statement)
            with pytest.raises(LedgerError, match="refuses this user; it needs the right to create"):
                Ledger.open(postgres_url.replace("stagesync@", "reader@"))
        execute(postgres_url, "CREATE SCHEMA stagesync", "GRANT USAGE, CREATE ON SCHEMA stagesync TO reader")
        with Ledger.open(postgres_url.replace("stagesync@", "reader@")) as ledger:
            assert ledger.verify().ok
    finally:
        execute(postgres_url, "DROP OWNED BY reader", "DROP ROLE reader")


def test_postgresql_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without_psycopg(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(LedgerError, match=r"pip install 'stagesync\[postgres\]'"):
        Ledger.open("postgresql+psycopg://localhost/ledger")


def test_an_installed_package_carries_its_migrations(tmp_path: Path, url: str) -> None:
    """The package alone, away from the repository, as a wheel unpacks it."""
    site = tmp_path / "site"
    shutil.copytree(Path(stagesync.__file__).parent, site / "stagesync", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import stagesync, sys, stagesync.ledger as it; it.Ledger.open(sys.argv[1]); print(stagesync.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    said = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert said.stdout.strip() == str(site / "stagesync" / "__init__.py")
    with Ledger.open(url) as ledger:
        assert ledger.verify().ok


def earlier_schema(url: str, revision: str) -> None:
    """An empty ledger as an earlier version left it."""
    Ledger.open(url).close()
    tables = (*metadata.tables, "alembic_version")
    drop_triggers(url)
    execute(url, *(f"DROP TABLE {name}" for name in tables))
    with open_engine(url) as connection:
        command.upgrade(configuration(connection), revision)


@contextmanager
def open_engine(url: str) -> Iterator[Connection]:
    """A transaction past the ledger, in its schema."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET search_path TO {SCHEMA}")
        yield connection
    engine.dispose()


@pytest.mark.parametrize("revision", [one for one in revisions() if one < "0004"])
def test_a_ledger_of_an_earlier_schema_is_migrated_with_all_that_it_holds(url: str, revision: str) -> None:
    earlier_schema(url, revision)
    drafts = [
        Draft(
            at=time_text(later(number)),
            run=None,
            kind="finding.opened",
            body=encode(FindingBody(finding(number))),
            connection="salesforce",
            object="Opportunity",
            record=finding(number).record,
            rule="premature",
            owner=finding(number).owner,
            key=finding(number).key,
        )
        for number in (1, 2)
    ]
    digest = GENESIS
    with open_engine(url) as connection:
        names = ("entries", "head", "open_findings")
        tables = {name: Table(name, MetaData(), autoload_with=connection) for name in names}
        for seq, draft in enumerate(drafts, 1):
            link = numbered(seq, draft)
            digest = hash_of(digest, link)
            said = {name: value for name, value in link._asdict().items() if name != "findings"}
            connection.execute(insert(tables["entries"]), {**said, "hash": digest})
            row = {"connection": draft.connection, "key": draft.key, "seq": seq, "digest": essence_of(finding(seq))}
            connection.execute(insert(tables["open_findings"]), row)
            connection.execute(update(tables["head"]).values(seq=seq, hash=digest))
    with Ledger.open(url) as ledger:
        verified = ledger.verify()
        assert (verified.ok, verified.head) == (True, f"2:{digest.hex()}")
        run = ledger.start_run(command="run", at=NOON, facts={})
        again = ledger.record_findings(run, at=NOON, connection="salesforce", findings=told(finding(1), finding(3)))
        assert again == FindingChanges(opened=1, still_open=1, changed=0, resolved=1)
        assert [entry.number for entry in ledger.entries(record=finding(2).record)] == ["5.1", "2"]
        assert ledger.verify().ok
    with pytest.raises((sqlite3.DatabaseError, psycopg.Error), match=r"append-only|duplicate key"):
        execute(url, "INSERT INTO entries (seq, at, kind, body, hash) VALUES (2, '', 'note', '{}', '')")
    with Ledger.open(url) as ledger:
        assert ledger.verify().entries == 5


def test_what_was_told_in_columns_is_found_after_migrating(url: str, tmp_path: Path) -> None:
    """A ledger of before the tables by which owners and corrections are found."""
    newer = f"sqlite:///{tmp_path}/newer.db"
    with Ledger.open(newer) as ledger:
        run = ledger.start_run(command="run", at=NOON, facts={})
        found = [finding(1), finding(2, owner=None), finding(3, owner="a\\b\x00"), finding(4)]
        ledger.record_findings(run, at=NOON, connection="salesforce", findings=told(*found))
        ledger.record_findings(run, at=later(1), connection="salesforce", findings=told(*found[:2]))
        changes = [stage_change(1), stage_change(2), stage_change(3), task_change(4)]
        ledger.record_intents(run, at=later(2), changes=changes)
        results = (Result.APPLIED, Result.ALREADY_SO, Result.REFUSED, Result.APPLIED)
        outcomes = [outcome(one, result, crm_id="00T4") for one, result in zip(changes, results, strict=True)]
        ledger.record_outcomes(run, at=later(3), connection="salesforce", outcomes=outcomes)
        moves, head = ledger.moves("salesforce"), ledger.verify().head
        owned = [entry.number for entry in ledger.entries(owner="0051")]
        assert len(owned) > 3
    earlier_schema(url, "0004_findings_in_columns")
    for name in ("entries", "head", "finding_lives", "open_intents", "open_tasks"):
        with open_engine(newer) as source, open_engine(url) as target:
            table = Table(name, MetaData(), autoload_with=target)
            rows = source.execute(select(*(metadata.tables[name].c[column.name] for column in table.c)))
            values = [row._asdict() for row in rows]
            if name == "head":
                target.execute(update(table).values(values[0]))
            elif values:
                target.execute(insert(table), values)
    with Ledger.open(url) as ledger:
        verified = ledger.verify()
        assert (verified.problem, verified.head) == (None, head)
        assert ledger.moves("salesforce") == moves
        assert [one.applied for one in moves] == [True, False]
        assert [entry.number for entry in ledger.entries(owner="0051")] == owned
        assert [entry.number for entry in ledger.entries(owner="a\\b\x00")] == ["3.1", "2.3"]
