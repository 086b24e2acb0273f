"""What every Reader does, whichever CRM it reads."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from msgspec import structs

from stagesync.connectors.base import Following
from stagesync.errors import ConnectionFailed, CredentialsRefused
from stagesync.model.frames import POLARS
from stagesync.model.tables import ColumnType
from stagesync.model.tasks import Ending

from .world import World, task_change


def pulled(world: World) -> pl.DataFrame:
    pages = [page.rows for page in world.reader.pull(world.deals) if page.table == world.deals.name]
    return pl.concat(pages, how="diagonal").sort(world.deals.key)


def test_identity_names_the_org_and_stays(world: World) -> None:
    identity = world.reader.identity()
    assert identity.crm == world.reader.crm
    assert identity.key
    assert identity.name
    assert world.reader.identity() == identity


def test_stages_come_in_order_with_what_they_mean(world: World) -> None:
    stages = world.reader.stages(world.deals.name, world.stage)
    values = [stage.value for stage in stages]
    assert [value for value in values if value in world.stages] == list(world.stages)
    by_value = {stage.value: stage for stage in stages}
    assert not any(by_value[value].closed for value in world.stages)
    assert {stage.won for stage in stages if stage.closed} == {True, False}
    assert all(stage.writable for stage in stages if stage.value in world.stages)


def test_stages_of_a_field_that_is_not_there_are_empty(world: World) -> None:
    assert list(world.reader.stages(world.deals.name, "no_such_field")) == []


def test_owners_include_inactive_ones(world: World) -> None:
    owners = {owner.id: owner for owner in world.reader.owners()}
    assert owners[world.owner].active
    assert owners[world.owner].email
    assert not owners[world.inactive_owner].active


def test_an_empty_table_has_its_columns(world: World) -> None:
    rows = pulled(world)
    assert rows.height == 0
    assert {name: rows.schema[name] for name in world.deals.columns} == {
        name: POLARS[kind] for name, kind in world.deals.columns.items()
    }


def test_every_row_comes_once_typed(world: World) -> None:
    ids = world.add_deals(4_321, world.stages[0])
    rows = pulled(world)
    assert rows.get_column(world.deals.key).to_list() == sorted(ids)
    assert rows.get_column(world.amount).sum() == 100 * sum(range(4_321))
    assert rows.get_column(world.stage).unique().to_list() == [world.stages[0]]
    assert rows.schema[world.modified] == pl.Datetime("us", "UTC")
    assert not any(name.endswith("?unreadable") for name in rows.columns)


def test_a_column_that_is_not_there_is_missing_with_a_reason_and_the_rest_is_read(world: World) -> None:
    world.add_deals(3, world.stages[0])
    wanted = structs.replace(world.deals, columns={**world.deals.columns, "no_such_field": ColumnType.TEXT})
    (missing,) = world.reader.missing([wanted])
    assert missing.table == wanted.name
    assert list(missing.columns) == ["no_such_field"]
    assert "no_such_field" in missing.columns["no_such_field"]
    (page,) = world.reader.pull(wanted)
    assert page.rows.height == 3
    assert "no_such_field" not in page.rows.columns


def test_nothing_is_missing_where_nothing_is(world: World) -> None:
    assert list(world.reader.missing([world.deals])) == []


def test_a_hidden_column_is_missing_at_the_next_look(world: World) -> None:
    world.add_deals(1, world.stages[0])
    assert list(world.reader.missing([world.deals])) == []
    world.hide(world.amount)
    (missing,) = world.reader.missing([world.deals])
    assert list(missing.columns) == [world.amount]
    assert world.amount not in pulled(world).columns


def test_a_table_that_is_not_there_is_missing_whole(world: World) -> None:
    table = structs.replace(world.deals, name="Unicorns")
    (missing,) = world.reader.missing([table])
    assert set(missing.columns) >= set(table.columns) - {table.key}
    assert list(world.reader.pull(table)) == []


def test_current_shows_what_a_person_just_did(world: World) -> None:
    first, second, gone = world.add_deals(3, world.stages[0])
    world.clock.advance(minutes=5)
    world.edit(first, **{world.stage: world.stages[1]})
    world.delete(gone)
    rows = world.reader.current(world.deals, [gone, second, first, first])
    found = {row[world.deals.key]: row for row in rows.iter_rows(named=True)}
    assert set(found) == {first, second}
    assert found[first][world.stage] == world.stages[1]
    assert found[first][world.modified] - found[second][world.modified] == timedelta(minutes=5)


def test_current_of_nothing(world: World) -> None:
    assert world.reader.current(world.deals, []).height == 0


def test_reading_waits_for_a_busy_crm(world: World) -> None:
    world.add_deals(2, world.stages[0])
    world.busy(2)
    assert pulled(world).height == 2


def test_a_crm_that_stays_busy_is_a_failure(world: World) -> None:
    world.busy(1_000)
    with pytest.raises(ConnectionFailed, match="503"):
        world.reader.identity()


def test_refused_credentials_are_told_apart(world: World) -> None:
    world.refuse_credentials()
    with pytest.raises(CredentialsRefused):
        world.reader.identity()


def test_a_crm_that_is_down_is_named(world: World) -> None:
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1") as caught:
        world.unconnected().identity()
    assert not isinstance(caught.value, CredentialsRefused)


def test_keys_without_tasks(world: World) -> None:
    assert world.reader.own_tasks([]) == {}
    assert world.reader.own_tasks(["one", "an'other\\"]) == {}


def test_it_is_known_what_became_of_tasks_and_when(world: World) -> None:
    assert isinstance(world.reader, Following)
    deals = world.add_deals(3, world.stages[0])
    made = world.writer.open_tasks([task_change(world, deal) for deal in deals])
    left, completed, deleted = (str(one.crm_id) for one in made)
    world.clock.advance(hours=5)
    world.complete(completed)
    ended = world.clock()
    world.clock.advance(hours=1)
    world.delete_task(deleted)
    world.clock.advance(days=1)
    found = world.reader.task_states([left, completed, deleted])
    assert {one: (state.ended, state.at) for one, state in found.items()} == {
        left: (None, None),
        completed: (Ending.COMPLETED, ended),
        deleted: (Ending.DELETED, ended + timedelta(hours=1)),
    }
    assert found[left].status
    assert world.reader.task_states([]) == {}
