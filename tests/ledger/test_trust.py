"""The chain shows what was done to it, and the database refuses most of it."""

from __future__ import annotations

import hashlib
import json
import sqlite3

import psycopg
import pytest

from stagesync.errors import LedgerError
from stagesync.ledger import Ledger, Verification
from stagesync.ledger.chain import Draft, hash_of, numbered
from stagesync.model.changes import Result

from .rawsql import drop_triggers, execute
from .samples import CONNECTION, NOON, closing, finding, later, outcome, stage_change, task_change, told


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Twelve entries of several kinds, of which the second tells three findings."""
    run = ledger.start_run(command="run", at=NOON, facts={})
    ledger.record_findings(run, at=NOON, connection=CONNECTION, findings=told(finding(1), finding(2), finding(3)))
    for name in ("Ana", "Bo"):
        ledger.note("looked at", at=NOON, rule="premature", owner=name)
    changes = [stage_change(1), task_change(2), task_change(3)]
    ledger.record_intents(run, at=later(1), changes=changes)
    outcomes = [outcome(changes[0], Result.UNKNOWN), outcome(changes[1], crm_id="00T2")]
    ledger.record_outcomes(run, at=later(2), connection=CONNECTION, outcomes=outcomes)
    ledger.record_findings(run, at=later(3), connection=CONNECTION, findings=told(finding(1), finding(2)))
    ledger.note("checked", at=later(4))
    ledger.finish_run(run, at=later(5), result="done", facts={})
    assert ledger.count() == 14
    return ledger


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE seq = 3",
        "DELETE FROM entries WHERE seq = 3",
        "DELETE FROM entries",
        "INSERT INTO entries (seq, at, kind, body, hash) VALUES (3, '', 'note', '{}', '')",
        "DELETE FROM head",
        "UPDATE head SET seq = 3",
    ],
)
def test_the_database_refuses_to_change_the_past(filled: Ledger, url: str, statement: str) -> None:
    before = filled.verify()
    with pytest.raises((sqlite3.DatabaseError, psycopg.Error), match=r"append-only|duplicate key"):
        execute(url, statement)
    assert filled.verify() == before
    assert before.ok


def test_sqlite_refuses_to_replace_an_entry(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        ledger.note("one", at=NOON)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        execute(sqlite_url, "REPLACE INTO entries (seq, at, kind, body, hash) VALUES (1, '', 'note', '{}', '')")


def test_postgresql_refuses_to_truncate(postgres_url: str) -> None:
    with Ledger.open(postgres_url) as ledger:
        ledger.note("one", at=NOON)
    with pytest.raises(psycopg.Error, match="append-only"):
        execute(postgres_url, "TRUNCATE entries")


def test_an_untouched_chain_holds(filled: Ledger) -> None:
    verified = filled.verify()
    (last,) = filled.entries(limit=1)
    assert verified == Verification(ok=True, entries=12, head=f"12:{last.hash}")


def test_an_empty_ledger_holds(ledger: Ledger) -> None:
    assert ledger.verify() == Verification(ok=True, entries=0, head="0:" + "00" * 32)


def test_the_chain_is_what_the_documentation_says(filled: Ledger, url: str) -> None:
    """Recomputed here without the ledger's code, as an auditor would."""
    columns = "seq, at, run, kind, connection, object, record, rule, owner, key, body, findings"
    previous = bytes(32)
    for *content, kept in execute(url, f"SELECT {columns}, hash FROM entries ORDER BY seq"):
        text = json.dumps(
            content if content[-1] is not None else content[:-1], ensure_ascii=False, separators=(",", ":")
        )
        previous = hashlib.sha256(previous + text.encode()).digest()
        assert bytes(kept) == previous


TAMPERING = {
    "a finding is edited": (["UPDATE entries SET body = replace(body, 'Ana', 'Bob') WHERE seq = 2"], "2 .*edited", 2),
    "a finding is left out": (["UPDATE entries SET findings = 2 WHERE seq = 2"], "2 .*edited", 2),
    "a body is edited": (["UPDATE entries SET body = replace(body, 'Acme', 'Apex') WHERE seq = 6"], "6 .*edited", 6),
    "a time is edited": (["UPDATE entries SET at = '2026-01-01T00:00:00.000000Z' WHERE seq = 2"], "2 .*edited", 2),
    "an owner is removed": (["UPDATE entries SET owner = NULL WHERE seq = 4"], "4 .*edited", 4),
    "a column moves to the next": (["UPDATE entries SET rule = owner, owner = rule WHERE seq = 4"], "4 .*edited", 4),
    "a hash is edited": (["UPDATE entries SET hash = (SELECT hash FROM head) WHERE seq = 7"], "7 .*edited", 7),
    "a middle row is removed": (["DELETE FROM entries WHERE seq = 5"], "entry 5 is missing", 5),
    "the first rows are removed": (["DELETE FROM entries WHERE seq < 3"], "entries 1 to 2 are missing", 1),
    "a gap is closed": (
        ["DELETE FROM entries WHERE seq = 12", "UPDATE entries SET seq = 12 WHERE seq = 11"],
        "entry 11 is missing",
        11,
    ),
    "two are swapped": (
        [
            "UPDATE entries SET seq = 99 WHERE seq = 3",
            "UPDATE entries SET seq = 3 WHERE seq = 4",
            "UPDATE entries SET seq = 4 WHERE seq = 99",
        ],
        "3 .*another one's place",
        3,
    ),
    "the tail is removed": (["DELETE FROM entries WHERE seq > 9"], "the end is missing: entries 10 to 12", 10),
    "all are removed": (["DELETE FROM entries"], "the end is missing: entries 1 to 12", 1),
    "one is added": (
        [
            "INSERT INTO entries (seq, at, kind, body, hash) "
            "SELECT 13, '2026-11-21T12:00:00.000000Z', 'note', '{}', hash FROM head"
        ],
        "13 .*edited",
        13,
    ),
    "the head is removed": (["DELETE FROM head"], "head row is missing", None),
    "the head's hash is edited": (["UPDATE head SET hash = (SELECT hash FROM entries WHERE seq = 1)"], "head row", 12),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found_and_located(filled: Ledger, url: str, what: str) -> None:
    statements, problem, at_seq = TAMPERING[what]
    drop_triggers(url)
    execute(url, *statements)
    verified = filled.verify()
    assert not verified.ok
    assert verified.problem is not None
    assert pytest.approx(at_seq) == verified.at_seq if at_seq else verified.at_seq is None
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(verified.problem)


def test_a_tail_that_was_cut_off_together_with_the_head_is_found_with_a_known_head(filled: Ledger, url: str) -> None:
    known = filled.verify().head
    drop_triggers(url)
    execute(
        url,
        "DELETE FROM entries WHERE seq > 11",
        "UPDATE head SET seq = 11, hash = (SELECT hash FROM entries WHERE seq = 11)",
    )
    assert filled.verify().ok  # nothing inside the ledger can tell
    verified = filled.verify(known_head=known)
    assert (verified.ok, verified.at_seq) == (False, 12)


def test_a_rewritten_ledger_is_found_with_a_known_head(filled: Ledger, url: str) -> None:
    known = filled.verify().head
    filled.note("more", at=later(9))
    assert filled.verify(known_head=known).ok
    forged = "12:" + "ab" * 32
    verified = filled.verify(known_head=forged)
    assert (verified.ok, verified.at_seq) == (False, 12)
    with pytest.raises(LedgerError, match="<number>:<hash>"):
        filled.verify(known_head="nonsense")


def test_nothing_is_appended_to_a_ledger_without_its_head(filled: Ledger, url: str) -> None:
    drop_triggers(url)
    execute(url, "DELETE FROM head")
    with pytest.raises(LedgerError, match="lost its head row"):
        filled.note("more", at=NOON)


def test_nothing_is_appended_over_a_foreign_entry(filled: Ledger, url: str) -> None:
    execute(url, "INSERT INTO entries (seq, at, kind, body, hash) SELECT 13, '', 'note', '{}', hash FROM head")
    with pytest.raises(LedgerError, match="another program may have written"):
        filled.note("more", at=NOON)
    assert filled.count() == 15


def test_an_entry_that_continues_the_chain_but_passed_the_ledger_by_is_found(filled: Ledger, url: str) -> None:
    head = filled.verify().head
    link = numbered(13, Draft("2026-11-21T12:00:00.000000Z", None, "note", "{}"))
    forged = hash_of(bytes.fromhex(head.partition(":")[2]), link).hex()
    literal = f"X'{forged}'" if url.startswith("sqlite") else f"'\\x{forged}'"
    execute(url, f"INSERT INTO entries (seq, at, kind, body, hash) VALUES (13, '{link.at}', 'note', '{{}}', {literal})")
    verified = filled.verify()
    assert (verified.at_seq, verified.problem) == (13, "entries 13 to 13 were added by something other than StageSync")


def test_an_entry_that_cannot_be_read_is_an_error_for_people(filled: Ledger, url: str) -> None:
    drop_triggers(url)
    execute(url, "UPDATE entries SET body = 'gone' WHERE kind = 'intent'")
    for question in (lambda: list(filled.entries()), lambda: filled.unsettled(CONNECTION)):
        with pytest.raises(LedgerError, match=r"cannot be read; `stagesync log verify` says which"):
            question()
    assert filled.verify().at_seq == 5


def open_things(ledger: Ledger) -> tuple[object, ...]:
    """What the derived tables say, as callers see it."""
    return ledger.unsettled(CONNECTION), ledger.tasks(CONNECTION)


def test_what_is_open_can_be_made_again_from_the_entries(filled: Ledger, url: str) -> None:
    filled.record_intents("run", at=later(6), changes=[closing(9, "00T9"), stage_change(9)])
    before = open_things(filled)
    tables = {
        name: sorted(execute(url, f"SELECT * FROM {name}"), key=str)
        for name in ("finding_lives", "open_intents", "open_tasks")
    }
    execute(url, "DELETE FROM finding_lives", "DELETE FROM open_intents", "DELETE FROM open_tasks")
    verified = filled.verify()
    assert not verified.ok
    assert "finding_lives does not agree" in str(verified.problem)

    filled.rebuild()
    assert filled.verify().ok
    assert open_things(filled) == before
    for name, rows in tables.items():
        assert sorted(execute(url, f"SELECT * FROM {name}"), key=str) == rows
