"""Exports that nobody should have to see: each is read with what it lost counted, or refused in words, in bounds."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from stagesync.cli import show
from stagesync.cli.main import app
from stagesync.cli.options import moment_of
from stagesync.errors import UsageError

DEFINITION = """\
definition: hostile
ladder: [lead, offer]
evidence:
  amount: {type: number}
  close_date: {type: date}
  last_activity: {type: datetime}
  size: {type: integer}
stages:
  lead:
    means: m
    requires: [{id: paid, check: amount > 0, because: b, ask: a}]
    stalls_after: {idle: 14 business days, age: 30 days}
  offer:
    means: m
    requires:
      - {id: near, check: close_date >= today() - interval '9999' weeks, because: b, ask: a}
      - {id: seen, check: last_activity < now() + interval '9999' weeks, because: b, ask: a}
      - {id: size, check: size * size * size > 5 or size + 1 > 3, because: b, ask: a}
    stalls_after: {idle: 14 business days, age: 30 days}
contradictions:
  - {id: past, check: close_date < today(), because: b, ask: a}
"""
MAPPING = """\
mapping: hostile
definition: hostile
crm: export
export: {time_zone: Pacific/Auckland, datetimes: ["%Y-%m-%dT%H:%M:%S"]}
tables:
  Past: {Deal: text, Stage: text, At: datetime}
objects:
  Deal:
    name: Id
    owner: Owner
    created: Made
    modified: Made
    amount: Amount
    stage:
      field: Stage
      stages: {L: lead, O: offer}
      history: {table: Past, record: Deal, stage: Stage, at: At}
    evidence:
      amount: {field: Amount}
      close_date: {field: Close}
      last_activity: {field: Seen}
      size: {field: Size}
"""
HEADER = "Id,Stage,Owner,Made,Amount,Close,Seen,Size\n"
DAYS = ["0001-01-01", "0000-01-01", "1582-10-10", "2215-12-31", "9999-12-31", "10000-01-01", "-0001-01-01",
        "262142-12-31", "99999-01-01", "2026-02-30", ""]  # fmt: skip
AMOUNTS = ["1e308", "1e309", "-1e308", "nan", "inf", "-inf", "Infinity", "1e-400", "0x10", "9" * 400, "1.79e308"]
SIZES = ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e18", "1e19", "3.0", "3.5", "٣", "",
         "1_000", "0"]  # fmt: skip
LIMIT = 3 * 2**30
"""Bytes of address space for a command; polars and its threads take 1.5 GB of it before they read anything."""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """How to audit the folder ``export``."""
    (tmp_path / "export").mkdir()
    (tmp_path / "definition.yaml").write_text(DEFINITION, encoding="utf-8")
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return [
        *("audit", "--from", str(tmp_path / "export"), "--mapping", str(tmp_path / "mapping.yaml")),
        *("--definitions", str(tmp_path / "definition.yaml")),
    ]


def strange_rows(folder: Path) -> None:
    """Every strange day with every kind of strange number, on both stages, and a history of them."""
    deals, past = [HEADER], ["Id,Deal,Stage,At\n"]
    for number, (day, amount, size) in enumerate(zip(DAYS, AMOUNTS, SIZES, strict=True)):
        moment = f"{day}T00:00:00" if day else ""
        for stage in "LO":
            deals.append(f"{stage}{number},{stage},ann,{moment},{amount},{day},{moment},{size}\n")
            past.append(f"h{stage}{number},{stage}{number},{stage},{moment}\n")
    (folder / "Deal.csv").write_text("".join(deals), encoding="utf-8")
    (folder / "Past.csv").write_text("".join(past), encoding="utf-8")


@pytest.mark.parametrize("as_of", [[], ["--as-of", "1900-01-01"], ["--as-of", "2026-03-01"], ["--as-of", "2999-12-31"]])
@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_no_day_and_no_number_is_too_strange(tmp_path: Path, words: list[str], as_of: list[str], form: str) -> None:
    strange_rows(tmp_path / "export")
    done = CliRunner().invoke(app, [*words, *as_of, "--format", form], catch_exceptions=False)
    assert done.exit_code == 0
    assert all(len(line) < 300 for line in done.stdout.splitlines()) or form != "table"
    if form == "json":
        found = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        (scope,) = found["scope"]
        assert (scope["in_scope"], scope["evaluated"]) == (22, 22)
        # What lies outside of the calendar, and 30 February, cannot be read and demotes nobody.
        unread = {f"O{number}" for number, day in enumerate(DAYS) if day in DAYS[-6:-1] or day == "0000-01-01"}
        near = [one for one in found["findings"] for said in one["evidence"] if said["criterion"] == "near"]
        assert not {one["record"] for one in near} & unread
        assert found["forecast"][0]["total"]["face"] is None  # a sum that overflows is none


@pytest.mark.parametrize("text", ["0001-01-01", "1899-12-31", "3000-01-01", "9999-12-31T23:59:59-14:00"])
def test_a_year_that_nobody_lives_in_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="between 1900 and 2999"):
        moment_of(text)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-13-01", "2026-02-30", "12026-01-01", "2026-01-31T25:00:00", "٢٠٢٦"]
)
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="write a day as 2026-01-31"):
        moment_of(text)


def test_an_absurd_amount_stays_short() -> None:
    assert show.money(1e300) == "1e+300"
    assert show.money(-2.5e15) == "-2.5e+15"
    assert show.money(999_999_999_999_999) == "999,999,999,999,999"


def test_parquet_beyond_the_calendar_is_unreadable_there(tmp_path: Path, words: list[str]) -> None:
    far = pl.Series([10**15, 0, None]).cast(pl.Datetime("ms"))
    rows = {"Id": ["a", "b", "c"], "Stage": ["O", "O", "L"], "Amount": [1, 1, 1], "Seen": far, "Made": far,
            "Close": pl.Series([10**7, 0, None], dtype=pl.Int32).cast(pl.Date), "Size": [9, 9, 9]}  # fmt: skip
    pl.DataFrame(rows).write_parquet(tmp_path / "export" / "Deal.parquet")
    line = [*words, "--as-of", "2026-03-01", "--format", "json"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    past = [one["record"] for one in found["findings"] if one["rule"] == "contradiction.past"]
    assert past == ["b"]
    assert "a" not in {one["record"] for one in found["findings"] if one["rule"] == "premature"}


def _cut(folder: Path) -> None:
    pl.DataFrame({"Id": ["a"] * 5_000, "Stage": ["L"] * 5_000}).write_parquet(folder / "Deal.parquet")
    whole = (folder / "Deal.parquet").read_bytes()
    (folder / "Deal.parquet").write_bytes(whole[: len(whole) // 2])


def _broken_inside(folder: Path) -> None:
    ids = [f"id {number * 7919 % 5_000}" for number in range(5_000)]
    pl.DataFrame({"Id": ids, "Stage": ["L"] * 5_000}).write_parquet(folder / "Deal.parquet")
    whole = bytearray((folder / "Deal.parquet").read_bytes())
    whole[50 : len(whole) // 2] = bytes(len(whole) // 2 - 50)
    (folder / "Deal.parquet").write_bytes(whole)


def _folder(folder: Path) -> None:
    (folder / "Deal.csv").mkdir()


def _loop(folder: Path) -> None:
    (folder / "Deal.csv").symlink_to(folder / "Other.csv")
    (folder / "Other.csv").symlink_to(folder / "Deal.csv")


def _hanging(folder: Path) -> None:
    (folder / "Deal.csv").symlink_to(folder / "gone.csv")


def _nothing(folder: Path) -> None:
    (folder / "Deal.csv").write_bytes(b"")


def _deep_lines(folder: Path) -> None:
    (folder / "Deal.jsonl").write_text('{"Id": ' + "[" * 100_000 + "\n", encoding="utf-8")


def _long_csv(folder: Path) -> None:
    with (folder / "Deal.csv").open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for _ in range(200):
            file.write("x" * 2**20)


def _open_quote(folder: Path) -> None:
    with (folder / "Deal.csv").open("w", encoding="utf-8") as file:
        file.write(HEADER + '"')
        for _ in range(200):
            file.write("x" * (2**20 - 1) + '"')


def _long_json(folder: Path) -> None:
    with (folder / "Deal.jsonl").open("w", encoding="utf-8") as file:
        file.write('{"Id": "')
        for _ in range(200):
            file.write("x" * 2**20)


HOSTILE = [
    (_cut, 2, "Deal.parquet is not a whole Parquet file"),
    (_broken_inside, 2, "Deal.parquet is damaged"),
    (_folder, 2, "holds no exported table"),
    (_loop, 2, "holds no exported table"),
    (_hanging, 2, "holds no exported table"),
    (_nothing, 2, "Deal.csv is empty"),
    (_deep_lines, 2, "Deal.jsonl is not JSON lines"),
    (_long_csv, 2, "it has a line of more than"),
    (_open_quote, 2, "it has a line of more than"),
    (_long_json, 2, "line 1 is longer than 16 MB"),
]


def limited() -> None:
    """Less memory than the file would need if it were read at once, and little time."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


@pytest.mark.parametrize(("spoil", "code", "said"), HOSTILE, ids=[spoil.__name__ for spoil, _, _ in HOSTILE])
def test_a_hostile_file_is_refused_in_words(
    tmp_path: Path, words: list[str], spoil: Callable[[Path], None], code: int, said: str
) -> None:
    spoil(tmp_path / "export")
    done = subprocess.run(
        [sys.executable, "-c", "from stagesync.cli.main import main; main()", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limited,
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "should not happen" not in done.stderr


def test_lines_of_json_that_are_cut_or_hold_zero_bytes_are_counted(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "export" / "Deal.jsonl").write_bytes(
        b'{"Id": "1", "Stage": "L", "Amount": 1, "Close": "2026-12-31"}\n'
        b'{"Id": "2", "Stage": "L", "Amount": 1e999}\n'
        b'\x00\x00\x00\n{"Id": "3", "Stage": "\x00"}\n'
        b'{"Id": "4", "Stage": "\\ud800"}\n'
        b'{"Id": "5", "Stage": "\xff"}\n'
        b'{"Id": "6", "Stage": "L", "Am'
    )
    done = CliRunner().invoke(app, [*words, "--as-of", "2026-03-01", "--format", "json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["scope"][0]["evaluated"] >= 1
    assert "rows could not be read and were left out (Deal" in done.stderr
    assert done.exit_code == 3


def test_a_day_is_read_as_it_stands() -> None:
    assert moment_of("2026-01-31").date() == date(2026, 1, 31)
    assert moment_of("20260131") == moment_of("2026-01-31")
    assert moment_of("2026-01-31T01:00:00+02:00") == datetime.fromisoformat("2026-01-30T23:00:00+00:00")
