"""What a Reader gives over a bad way, of a CRM with limits, and of changes that hide: all of it once, or a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from stagesync.connectors.base import Increments, Reader
from stagesync.errors import ConnectionFailed, LimitReached
from stagesync.model.changes import Result
from tests.sandbox.conftest import Serve

from .conftest import WORLDS
from .rough import Spoiled, Wire
from .world import World, stage_change, task_change

DEALS = 2_345


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture(params=sorted(WORLDS))
def rough(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path, wire: Wire) -> Iterator[World]:
    """Each CRM in turn, behind the wire."""
    made = WORLDS[request.param](wire.serve(serve), tmp_path)
    yield made
    made.reader.close()
    made.writer.close()


def pulled(world: World, reader: Reader | None = None) -> pl.DataFrame:
    pages = (reader or world.reader).pull(world.deals)
    return pl.concat([page.rows for page in pages if page.table == world.deals.name], how="diagonal")


def assert_whole(world: World, rows: pl.DataFrame, ids: list[str]) -> None:
    assert sorted(rows[world.deals.key].to_list()) == sorted(ids)
    assert rows[world.amount].sum() == 100 * sum(range(len(ids)))


@pytest.mark.parametrize("fate", list(Spoiled))
def test_what_does_not_come_whole_is_asked_for_again(rough: World, wire: Wire, fate: Spoiled) -> None:
    ids = rough.add_deals(DEALS, rough.stages[0])
    wire.every_second(fate)
    assert_whole(rough, pulled(rough), ids)
    assert wire.calls > 3
    assert sorted(rough.reader.current(rough.deals, ids[:3])[rough.deals.key].to_list()) == sorted(ids[:3])


@pytest.mark.parametrize("fate", list(Spoiled))
def test_what_never_comes_whole_is_a_failure_and_no_shorter_table(rough: World, wire: Wire, fate: Spoiled) -> None:
    ids = rough.add_deals(DEALS, rough.stages[0])
    rough.reader.missing((rough.deals,))
    before = wire.calls
    wire.next(None, then=fate)
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1"):
        pulled(rough)
    assert wire.calls > before + 1
    wire.next()
    assert_whole(rough, pulled(rough), ids)


def test_answers_that_are_spelled_otherwise_say_the_same(rough: World, wire: Wire) -> None:
    wire.odd = True
    early, late, _ = rough.stages
    ids = rough.add_deals(DEALS, late)
    assert_whole(rough, pulled(rough), ids)
    assert {owner.id: owner.active for owner in rough.reader.owners()}[rough.inactive_owner] is False
    cursor = a_cursor(rough)
    rough.edit(ids[7], **{rough.amount: "7"})
    rows, _ = look(rough, cursor)
    assert rows[rough.deals.key].to_list() == [ids[7]]
    changes = [stage_change(rough, one, late, early) for one in ids[:30]]
    assert {one.result for one in rough.writer.set_stage(changes)} == {Result.APPLIED}
    assert {rough.stage_of(one) for one in ids[:30]} == {early}
    tasks = [task_change(rough, one) for one in ids[:30]]
    assert {one.result for one in rough.writer.open_tasks(tasks)} == {Result.APPLIED}
    assert {one.result for one in rough.writer.open_tasks(tasks)} == {Result.ALREADY_SO}
    assert {len(rough.tasks_of(one)) for one in ids[:30]} == {1}


def test_a_token_that_ends_between_two_pages_is_renewed_and_no_row_is_lost(rough: World, wire: Wire) -> None:
    ids = rough.add_deals(DEALS, rough.stages[0])
    reader = rough.renewing()
    ended: list[str] = []

    def end(path: str) -> None:
        if ended or "oauth" in path or wire.calls < 4:
            return
        ended.append(path)
        rough.end_token()

    wire.before = end
    assert_whole(rough, pulled(rough, reader), ids)
    assert ended
    reader.close()


def test_a_spent_day_is_said_at_once_and_nothing_more_is_asked(rough: World, wire: Wire) -> None:
    rough.add_deals(DEALS, rough.stages[0])
    rough.reader.missing((rough.deals,))
    wire.next(None, rough.spent)
    before = wire.calls
    with pytest.raises(LimitReached):
        pulled(rough)
    assert wire.calls == before + 2
    with pytest.raises(LimitReached):
        rough.reader.identity()
    assert wire.calls == before + 2


def test_a_crowd_is_waited_out(rough: World, wire: Wire) -> None:
    ids = rough.add_deals(DEALS, rough.stages[0])
    wire.next(None, rough.crowded, rough.crowded, None, rough.crowded)
    assert_whole(rough, pulled(rough), ids)


def increments_of(world: World) -> Increments:
    assert world.reader.increments is not None
    return world.reader.increments


def a_cursor(world: World) -> str:
    """Where to look from for what changes after this."""
    world.clock.advance(hours=2)
    world.reader.identity()
    cursor = increments_of(world).cursor(world.deals)
    assert cursor is not None
    world.clock.advance(hours=1)
    return cursor


def look(world: World, cursor: str) -> tuple[pl.DataFrame, str]:
    """What changed since a cursor, and where to look next."""
    world.reader.missing([world.deals])  # as each pull begins
    found = increments_of(world).changes(world.deals, cursor)
    assert found is not None
    pages = [page.rows for page in found.pages]
    return pl.concat(pages, how="diagonal") if pages else pl.DataFrame(), found.cursor


def test_a_change_that_is_seen_after_later_ones_is_not_lost(rough: World) -> None:
    early, late, _ = rough.stages
    slow, quick = rough.add_deals(2, early)
    cursor = a_cursor(rough)
    with rough.seen_late(slow, **{rough.stage: late}):
        rough.clock.advance(minutes=2)
        rough.edit(quick, **{rough.amount: "7"})
        rough.clock.advance(minutes=6)
        rows, cursor = look(rough, cursor)
        assert quick in rows[rough.deals.key].to_list()
    rows, cursor = look(rough, cursor)
    stages = dict(rows.select(rough.deals.key, rough.stage).rows())
    assert stages[slow] == late
    rough.clock.advance(hours=1)
    _, cursor = look(rough, cursor)
    assert look(rough, cursor)[0].is_empty()


def test_thousands_of_equal_stamps_all_come(rough: World, wire: Wire) -> None:
    ids = rough.add_deals(DEALS, rough.stages[0])
    cursor = a_cursor(rough)
    rough.edit_all(rough.stages[1])
    wire.every_second(Spoiled.CUT)
    rows, _ = look(rough, cursor)
    newest = rows.unique(rough.deals.key, keep="last")
    assert sorted(newest[rough.deals.key].to_list()) == sorted(ids)
    assert newest[rough.stage].unique().to_list() == [rough.stages[1]]
    assert newest[rough.modified].n_unique() == 1
