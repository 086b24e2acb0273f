"""Snapshots built upon the last one: any changes, in any order, read as a whole pull would."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.errors import StageSyncError
from stagesync.mirror import Mirror, Snapshot
from stagesync.mirror.layers import MOST_DELTAS
from stagesync.model.frames import Page
from stagesync.model.tables import UNREADABLE, ColumnType, Missing, Table
from tests.thorough import tries

DEALS = Table(name="deals", key="id", columns={"stage": ColumnType.TEXT, "amount": ColumnType.NUMBER})
FLAG = "amount" + UNREADABLE
Row = tuple[str | None, float | None, bool]
Org = dict[str, Row]

keys = st.integers(0, 12).map("{:02}".format)
values: st.SearchStrategy[Row | None] = st.none() | st.tuples(
    st.sampled_from([None, "a", "b"]), st.sampled_from([None, 0.0, 1.5]), st.booleans()
).map(lambda row: (row[0], None if row[2] else row[1], row[2]))
ticks = st.lists(st.lists(st.tuples(keys, values), max_size=12), max_size=8)


def frame(rows: Org) -> pl.DataFrame:
    """Rows as a reader brings them: marked where a value cannot be read, if there is such a value."""
    made = pl.DataFrame(
        {
            "id": list(rows),
            "stage": [row[0] for row in rows.values()],
            "amount": [row[1] for row in rows.values()],
            FLAG: [row[2] for row in rows.values()],
        },
        schema={"id": pl.String, "stage": pl.String, "amount": pl.Float64, FLAG: pl.Boolean},
    )
    return made if made[FLAG].any() else made.drop(FLAG)


def whole(mirror: Mirror, label: str, rows: Org, *, source: str = "org", table: Table = DEALS) -> None:
    with mirror.replace("crm", label, source) as snapshot:
        snapshot.expect([table], [])
        for key in sorted(rows):
            snapshot.add(Page(table="deals", rows=frame({key: rows[key]})))
        snapshot.mark("deals", cursor=label, read="2026-11-20T09:00:00+00:00")


def begin(snapshot: Snapshot) -> None:
    snapshot.expect([DEALS], [])
    held = snapshot.held("deals")
    assert held is not None
    snapshot.keep("deals")
    snapshot.mark("deals", cursor="next", read=held.read)


def bring(snapshot: Snapshot, tick: list[tuple[str, Row | None]]) -> None:
    for key, row in tick:
        if row is None:
            snapshot.gone("deals", [key])
        else:
            snapshot.change("deals", frame({key: row}))


def happen(org: Org, tick: list[tuple[str, Row | None]]) -> None:
    for key, row in tick:
        if row is None:
            org.pop(key, None)
        else:
            org[key] = row


def held(mirror: Mirror) -> Org:
    rows = mirror.read("crm")[0]["deals"]
    flags = rows[FLAG].fill_null(value=False) if FLAG in rows.columns else [False] * rows.height
    found = zip(rows["id"], rows["stage"], rows["amount"], flags, strict=True)
    entries = [(key, (stage, amount, flag)) for key, stage, amount, flag in found]
    assert len(entries) == len(dict(entries)), "a key came twice"
    assert [key for key, _ in entries] == sorted(key for key, _ in entries)
    return dict(entries)


@settings(max_examples=tries(ordinary=15, soak=300))
@given(st.dictionaries(keys, values.filter(lambda row: row is not None)), ticks, st.integers(1, 4))
def test_any_ticks_read_as_a_whole_pull_would(start: Org, later: list[list[tuple[str, Row | None]]], size: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("stagesync.mirror.store.ROWS_PER_FILE", size)
        patch.setattr("stagesync.mirror.store.MOST_DELTAS", 2)
        mirror, org = Mirror(Path(folder)), dict(start)
        whole(mirror, "run", org)
        for number, tick in enumerate(later):
            with mirror.replace("crm", f"run-{number}", "org") as snapshot:
                begin(snapshot)
                bring(snapshot, tick)
                happen(org, tick)
                middle = "06"
                assert snapshot.keys_between("deals", "", middle) == {key for key in org if key <= middle}
                assert snapshot.keys_between("deals", middle, None) == {key for key in org if key > middle}
            assert held(mirror) == org


CALLS = Table(name="calls", key="id", columns={}, links=("deals",))
ends = st.lists(st.integers(0, 3).map(str), unique=True, max_size=3)
Tied = dict[str, list[str]]


def pairs(tied: Tied) -> pl.DataFrame:
    rows = [(key, to) for key, found in tied.items() for to in found]
    return pl.DataFrame(rows, schema={"from": pl.String, "to": pl.String}, orient="row")


@settings(max_examples=tries(ordinary=15, soak=300))
@given(
    st.dictionaries(keys, ends),
    st.lists(st.lists(st.tuples(keys, st.none() | ends), max_size=8), max_size=6),
    st.integers(1, 4),
)
def test_associations_of_a_record_are_replaced_together(
    start: Tied, later: list[list[tuple[str, list[str] | None]]], size: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("stagesync.mirror.store.ROWS_PER_FILE", size)
        patch.setattr("stagesync.mirror.store.MOST_DELTAS", 2)
        mirror, tied = Mirror(Path(folder)), dict(start)
        with mirror.replace("crm", "run", "org") as snapshot:
            snapshot.expect([CALLS], [])
            for key in sorted(tied):
                snapshot.add(Page(table="calls", rows=pl.DataFrame({"id": [key]})))
                snapshot.add(Page(table="calls~deals", rows=pairs({key: tied[key]})))
            snapshot.mark("calls", cursor="run", read="2026-11-20T09:00:00+00:00")
        for number, tick in enumerate(later):
            with mirror.replace("crm", f"run-{number}", "org") as snapshot:
                snapshot.expect([CALLS], [])
                held = snapshot.held("calls")
                assert held is not None
                snapshot.keep("calls")
                snapshot.mark("calls", cursor="next", read=held.read)
                for key, found in tick:
                    if found is None:
                        snapshot.gone("calls", [key])
                        tied.pop(key, None)
                    else:
                        snapshot.change("calls", pl.DataFrame({"id": [key]}))
                        snapshot.change_parts("calls~deals", [key], pairs({key: found}))
                        tied[key] = found
                wanted = {pair for pair in pairs(tied).rows() if pair[1] in {"1", "2"}}
                assert set(snapshot.linked("calls~deals", ["1", "2"]).rows()) == wanted
            rows = mirror.read("crm")[0]
            assert rows["calls"]["id"].to_list() == sorted(tied)
            assert sorted(rows["calls~deals"].rows()) == sorted(pairs(tied).rows())


@pytest.mark.parametrize(("after", "upto", "found"), [("9", "10", ["10"]), ("", "9", ["9"]), ("10", None, ["101"])])
def test_ids_that_are_numbers_are_above_shorter_ones(
    tmp_path: Path, after: str, upto: str | None, found: list[str]
) -> None:
    mirror = Mirror(tmp_path)
    whole(mirror, "run", dict.fromkeys(("9", "10", "101"), ("a", 1.0, False)))
    with mirror.replace("crm", "run-2", "org") as snapshot:
        begin(snapshot)
        assert snapshot.keys_between("deals", after, upto) == set(found)


@settings(max_examples=tries(ordinary=15, soak=300))
@given(st.dictionaries(keys, values.filter(lambda row: row is not None)), ticks)
def test_a_tick_that_is_cut_off_leaves_rows_and_cursor(start: Org, later: list[list[tuple[str, Row | None]]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("stagesync.mirror.store.ROWS_PER_FILE", 1)
        mirror = Mirror(Path(folder))
        whole(mirror, "run", start)

        def cut_off(tick: list[tuple[str, Row | None]]) -> None:
            with mirror.replace("crm", "run-2", "org") as snapshot:
                begin(snapshot)
                bring(snapshot, tick)
                raise ZeroDivisionError

        for tick in later:
            with pytest.raises(ZeroDivisionError):
                cut_off(tick)
            assert held(mirror) == start
        with mirror.replace("crm", "run-3", "org") as snapshot:
            snapshot.expect([DEALS], [])
            found = snapshot.held("deals")
            assert found is not None
            assert found.cursor == "run"


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_a_tick_without_changes_writes_no_rows_and_links_the_base(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    org: Org = {f"{n:03}": ("a", 1.0, False) for n in range(100)}
    whole(mirror, "run-1", org)
    (before,) = [file.stat().st_ino for file in files(tmp_path)]
    with mirror.replace("crm", "run-2", "org") as snapshot:
        begin(snapshot)
        snapshot.change("deals", frame(org))
        snapshot.gone("deals", ["999"])
    (after,) = [file.stat().st_ino for file in files(tmp_path)]
    assert after == before


def test_deltas_are_merged_once_they_exceed_a_fifth_of_the_base(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    org: Org = {f"{n:03}": ("a", 1.0, False) for n in range(100)}
    whole(mirror, "run", org)
    for number in range(3):
        tick = [(f"{n:03}", ("b", 2.0, False)) for n in range(number * 10, number * 10 + 10)]
        with mirror.replace("crm", f"run-{number}", "org") as snapshot:
            begin(snapshot)
            bring(snapshot, list(tick))
            happen(org, list(tick))
        assert held(mirror) == org
        assert len(files(tmp_path)) == (2, 3, 1)[number]


def test_many_small_deltas_become_one(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    org: Org = {f"{n:03}": ("a", 1.0, False) for n in range(500)}
    whole(mirror, "run", org)
    counts = []
    for number in range(MOST_DELTAS + 2):
        tick: list[tuple[str, Row | None]] = [(f"{number:03}", None)]
        with mirror.replace("crm", f"run-{number}", "org") as snapshot:
            begin(snapshot)
            bring(snapshot, tick)
            happen(org, tick)
        counts.append(len(files(tmp_path)) - 1)
    assert held(mirror) == org
    assert counts == [*range(1, MOST_DELTAS + 1), 1, 2]


def test_without_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    mirror = Mirror(tmp_path)
    whole(mirror, "run-1", {"01": ("a", 1.0, False)})
    with mirror.replace("crm", "run-2", "org") as snapshot:
        begin(snapshot)
    assert held(mirror) == {"01": ("a", 1.0, False)}


@pytest.mark.parametrize(
    "change", ["column", "type", "missing", "org", "cursor", "format", "file", "cut", "empty", "zeros"]
)
def test_what_differs_cannot_be_built_upon(tmp_path: Path, change: str) -> None:
    mirror = Mirror(tmp_path)
    whole(mirror, "run-1", {"01": ("a", 1.0, False)})
    table, missing, source = DEALS, [], "org"
    manifest, file = (tmp_path / "crm" / "run-1" / name for name in ("manifest.json", "deals.00001.parquet"))
    if change == "column":
        table = Table(name="deals", key="id", columns={"stage": ColumnType.TEXT})
    elif change == "type":
        table = Table(name="deals", key="id", columns={**DEALS.columns, "amount": ColumnType.INTEGER})
    elif change == "missing":
        missing = [Missing(table="deals", columns={"amount": "this user may not read it"})]
    elif change == "org":
        source = "another"
    elif change == "cursor":
        manifest.write_text(manifest.read_text().replace('"cursor": "run-1"', '"cursor": null'))
    elif change == "format":
        manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))
    elif change == "file":
        file.unlink()
    elif change == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif change == "empty":
        file.write_bytes(b"")
    else:
        file.write_bytes(bytes(len(file.read_bytes())))
    with mirror.replace("crm", "run-2", source) as snapshot:
        snapshot.expect([table], missing)
        assert snapshot.held("deals") is None
        assert snapshot.held("unheard-of") is None


def test_a_damaged_base_is_said_so_and_does_not_become_current(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    whole(mirror, "run-1", {"01": ("a", 1.0, False)})
    (tmp_path / "crm" / "run-1" / "deals.00001.parquet").write_bytes(b"PAR1 junk PAR1")

    def build_upon_it() -> None:
        with mirror.replace("crm", "run-2", "org") as snapshot:
            begin(snapshot)
            bring(snapshot, [("01", ("b", 1.0, False))])

    with pytest.raises(StageSyncError, match="remove the folder and run again"):
        build_upon_it()
    assert (tmp_path / "crm" / "CURRENT").read_text() == "run-1"
