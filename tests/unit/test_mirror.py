"""The mirror: whole or not there, whatever happens in between."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from stagesync.errors import ConnectionFailed, StageSyncError
from stagesync.mirror import Mirror, store
from stagesync.model.frames import Page
from stagesync.model.tables import UNREADABLE, ColumnType, Missing, Table

DEALS = Table(name="deals", key="id", columns={"stage": ColumnType.TEXT, "amount": ColumnType.NUMBER})


def page(table: str = "deals", **columns: Sequence[object]) -> Page:
    return Page(table=table, rows=pl.DataFrame(columns))


def fill(mirror: Mirror, label: str, *ids: str) -> None:
    with mirror.replace("crm", label) as snapshot:
        snapshot.expect([DEALS], [])
        for record in ids:
            snapshot.add(page(id=[record], stage=["a"], amount=[1.0]))


def ids(mirror: Mirror) -> list[str]:
    rows, _ = mirror.read("crm")
    return sorted(rows["deals"]["id"].to_list()) if rows else []


def test_before_the_first_pull_there_is_nothing(tmp_path: Path) -> None:
    assert Mirror(tmp_path / "none").read("crm") == ({}, {})


@pytest.mark.parametrize("error", [ConnectionFailed("down"), KeyboardInterrupt(), OSError("a socket"), ValueError("x")])
@pytest.mark.parametrize("label", ["run-2", "run-1"])
def test_a_pull_that_is_cut_off_leaves_the_old_snapshot_and_its_own_error(
    tmp_path: Path, error: BaseException, label: str
) -> None:
    mirror = Mirror(tmp_path)
    fill(mirror, "run-1", "1", "2")

    def cut_off() -> None:
        with mirror.replace("crm", label) as snapshot:
            snapshot.add(page(id=["3"], stage=["a"], amount=[1.0]))
            raise error

    with pytest.raises(type(error)) as caught:
        cut_off()
    assert caught.value is error
    assert ids(mirror) == ["1", "2"]
    fill(mirror, "run-3", "4")
    assert ids(mirror) == ["4"]
    assert len([entry for entry in (tmp_path / "crm").iterdir() if entry.is_dir()]) == 1


def test_the_same_label_may_come_again(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    for record in ("1", "2", "3"):
        fill(mirror, "run", record)
        assert ids(mirror) == [record]


NAMES = ["a/b", "deals.history", "deals", "emails~deals", "deals.00001", "ü [x] *?", "..", "100%", "a b"]


def test_tables_of_any_name_stay_apart(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "m[1] *")
    with mirror.replace("a/b: c", "run/1") as snapshot:
        for name in NAMES:
            snapshot.add(page(table=name, id=[name]))
    rows, _ = mirror.read("a/b: c")
    assert {name: frame["id"].to_list() for name, frame in rows.items()} == {name: [name] for name in NAMES}


def test_tables_without_rows_are_empty_and_keep_their_types(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    linked = Table(name="emails", key="id", columns={"at": ColumnType.DATETIME}, links=("deals",))
    past = Table(
        name="deals.history",
        key="id",
        columns={"record": ColumnType.TEXT, "dealstage": ColumnType.TEXT, "at": ColumnType.DATETIME},
        history_of="dealstage",
    )
    hidden = Table(name="hidden", key="id", columns={})
    reasons = Missing(table="deals", columns={"amount": "this token may not read it"})
    with mirror.replace("crm", "run") as snapshot:
        snapshot.expect([DEALS, linked, past, hidden], [reasons, Missing(table="hidden", columns={"id": "no scope"})])
        snapshot.add(Page(table="emails", rows=pl.DataFrame(schema={"id": pl.String, "at": pl.Datetime("us", "UTC")})))
    rows, missing = mirror.read("crm")
    assert set(rows) == {"deals", "emails", "emails~deals", "deals.history"}
    assert {name: frame.height for name, frame in rows.items()} == dict.fromkeys(rows, 0)
    assert set(rows["deals"].columns) == {"id", "stage"}
    assert set(rows["deals.history"].columns) == {"record", "dealstage", "at"}
    assert rows["emails"].schema["at"] == pl.Datetime("us", "UTC")
    assert missing == {"deals": {"amount": "this token may not read it"}, "hidden": {"id": "no scope"}}


def test_what_one_page_could_not_read_stays_marked_beside_pages_that_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagesync.mirror.store.ROWS_PER_FILE", 2)
    mirror, flag = Mirror(tmp_path), "amount" + UNREADABLE
    broken = page(id=["2"], stage=["a"], amount=[None]).rows.with_columns(pl.lit(value=True).alias(flag))
    broken = broken.with_columns(pl.col("amount").cast(pl.Float64))
    with mirror.replace("crm", "run") as snapshot:
        snapshot.expect([DEALS], [])
        snapshot.add(page(id=["1"], stage=["a"], amount=[1.0]))
        snapshot.add(Page(table="deals", rows=broken))
        snapshot.add(page(id=["3"], stage=["a"], amount=[3.0]))
    rows, _ = mirror.read("crm")
    read = rows["deals"].sort("id")
    assert read["amount"].to_list() == [1.0, None, 3.0]
    assert read[flag].fill_null(value=False).to_list() == [False, True, False]
    assert snapshot.rows == {"deals": 3}


@pytest.mark.parametrize("rows_per_file", [1, 100])
def test_a_table_whose_reading_begins_again_holds_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_file: int
) -> None:
    monkeypatch.setattr(store, "ROWS_PER_FILE", rows_per_file)
    mirror = Mirror(tmp_path)
    with mirror.replace("crm", "run") as snapshot:
        snapshot.expect([Table(name="deals", key="id", columns={})], ())
        snapshot.add(page(id=["1", "2"]))
        snapshot.add(page(id=["3"]))
        snapshot.add(replace(page(id=["1"]), anew=True))
        snapshot.add(page(id=["2", "3"]))
    assert ids(mirror) == ["1", "2", "3"]
    assert snapshot.rows == {"deals": 3}
    files = [file for file in (tmp_path / "crm" / "run").iterdir() if file.suffix == ".parquet"]
    assert len(files) == (2 if rows_per_file == 1 else 1)


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow beyond 4 KB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_so_and_the_old_snapshot_stays(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    fill(mirror, "run-1", "1")
    names = [f"{n:x}" * 9 for n in range(30_000)]
    with (
        pytest.raises(StageSyncError, match="cannot be written"),
        small_disk(),
        mirror.replace("crm", "run-2") as snapshot,
    ):
        snapshot.add(page(id=names))
    assert ids(mirror) == ["1"]


def test_a_pointer_that_is_no_text_stops_no_pull(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    fill(mirror, "run", "1")
    (tmp_path / "crm" / "CURRENT").write_bytes(b"\xff\xfe")
    fill(mirror, "next", "2")
    assert ids(mirror) == ["2"]


def test_a_file_in_the_way_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("not a folder")
    with pytest.raises(StageSyncError, match="cannot be written"):
        fill(Mirror(tmp_path / "m"), "run", "1")


@pytest.mark.parametrize("damage", ["manifest.json", "deals.00001.parquet", "empty", "list"])
def test_a_damaged_mirror_is_an_error_with_a_remedy(tmp_path: Path, damage: str) -> None:
    mirror = Mirror(tmp_path)
    fill(mirror, "run", "1")
    folder = tmp_path / "crm" / "run"
    if damage == "empty":
        (folder / "deals.00001.parquet").unlink()
    elif damage == "list":
        (folder / "manifest.json").write_text("[]")
    else:
        (folder / damage).write_bytes(b"PAR1 junk")
    with pytest.raises(StageSyncError, match="remove the folder and run again"):
        mirror.read("crm")
