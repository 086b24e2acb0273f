"""People who edit while StageSync writes: what a CRM can protect is protected, and elsewhere the gap is a moment."""

from __future__ import annotations

import pytest

from stagesync.model.changes import ChangeKind, Result

from .test_writing import retold
from .world import World, closing, stage_change, task_change


def test_a_move_in_the_moment_before_the_write(world: World) -> None:
    """Salesforce refuses our write. HubSpot cannot: a move between the look and the write is overwritten."""
    early, late, later = world.stages
    moved, untouched = world.add_deals(2, late)
    world.clock.advance(minutes=1)
    world.meanwhile(lambda: world.edit(moved, **{world.stage: later}))
    first, second = world.writer.set_stage([stage_change(world, deal, late, early) for deal in (moved, untouched)])
    assert second.result is Result.APPLIED
    assert world.stage_of(untouched) == early
    if world.conditional:
        assert (first.result, world.stage_of(moved)) == (Result.SUPERSEDED, later)
        assert later in first.detail
    else:
        assert (first.result, world.stage_of(moved)) == (Result.APPLIED, early)


def test_an_edit_of_another_field_in_that_moment_is_never_lost(world: World) -> None:
    early, late, _ = world.stages
    (deal,) = world.add_deals(1, late)
    change = stage_change(world, deal, late, early)
    world.clock.advance(minutes=1)
    world.meanwhile(lambda: world.edit(deal, **{world.amount: "777"}))
    (outcome,) = world.writer.set_stage([change])
    row = world.reader.current(world.deals, [deal]).row(0, named=True)
    assert row[world.amount] == 777.0
    # A CRM with preconditions takes the whole record as changed, so the next plan looks at it anew.
    expected = (Result.SUPERSEDED, late) if world.conditional else (Result.APPLIED, early)
    assert (outcome.result, world.stage_of(deal)) == expected


def test_a_move_right_after_the_write_stays_and_is_told(world: World) -> None:
    early, late, later = world.stages
    (deal,) = world.add_deals(1, late)
    world.meanwhile(lambda: world.edit(deal, **{world.stage: later}), after=True)
    (outcome,) = world.writer.set_stage([stage_change(world, deal, late, early)])
    assert outcome.result is Result.FAILED
    assert outcome.seen[world.stage] == later
    assert world.stage_of(deal) == later


@pytest.mark.parametrize("edited", ["before the look", "after the look"])
def test_an_edit_in_the_second_in_which_the_plan_saw_the_last_one(world: World, edited: str) -> None:
    """Moments of modification are whole seconds in Salesforce, and so are its preconditions."""
    early, late, later = world.stages
    (deal,) = world.add_deals(1, late)
    world.edit(deal, **{world.amount: "500"})
    change = stage_change(world, deal, late, early)
    # One call, so that the connector knows what the time is in the CRM.
    world.reader.current(world.deals, [deal])
    if edited == "before the look":
        world.edit(deal, **{world.stage: later})
    else:
        world.meanwhile(lambda: world.edit(deal, **{world.stage: later}))
    (outcome,) = world.writer.set_stage([change])
    if edited == "before the look" or world.conditional:
        assert (outcome.result, world.stage_of(deal)) == (Result.SUPERSEDED, later)
    else:
        assert (outcome.result, world.stage_of(deal)) == (Result.APPLIED, early)


def test_a_task_that_a_rep_ends_while_its_text_is_written_stays_ended(world: World) -> None:
    """No CRM has preconditions for tasks here. The words are ours in the end, and the rep's tick stays."""
    (deal,) = world.add_deals(1, world.stages[1])
    opened = task_change(world, deal)
    (made,) = world.writer.open_tasks([opened])
    task = made.crm_id or ""
    world.meanwhile(lambda: world.complete(task))
    (outcome,) = world.writer.update_tasks([retold(opened, ChangeKind.UPDATE_TASK, task, "One & two.")])
    (held,) = world.tasks_of(deal)
    assert held.closed
    assert outcome.result is Result.APPLIED


def test_a_task_that_a_rep_deletes_while_it_is_written_or_closed_is_not_made_again(world: World) -> None:
    deals = world.add_deals(2, world.stages[1])
    opened = [task_change(world, deal) for deal in deals]
    ids = [made.crm_id or "" for made in world.writer.open_tasks(opened)]
    world.meanwhile(lambda: world.delete_task(ids[0]))
    (told,) = world.writer.update_tasks([retold(opened[0], ChangeKind.UPDATE_TASK, ids[0], "One & two.")])
    world.meanwhile(lambda: world.delete_task(ids[1]))
    (closed,) = world.writer.close_tasks([closing(world, deals[1], ids[1])])
    assert told.result in {Result.SUPERSEDED, Result.FAILED, Result.REFUSED}
    assert closed.result in {Result.ALREADY_SO, Result.FAILED, Result.REFUSED}
    assert [world.tasks_of(deal) for deal in deals] == [[], []]


def test_a_record_that_is_deleted_in_the_moment_before_the_write(world: World) -> None:
    early, late, _ = world.stages
    gone, there = world.add_deals(2, late)
    world.meanwhile(lambda: world.delete(gone))
    first, second = world.writer.set_stage([stage_change(world, deal, late, early) for deal in (gone, there)])
    assert first.result in {Result.SUPERSEDED, Result.FAILED, Result.REFUSED}
    assert first.detail
    assert (second.result, world.stage_of(there)) == (Result.APPLIED, early)


def test_a_record_that_is_deleted_in_the_moment_before_its_task_is_made(world: World) -> None:
    gone, there = world.add_deals(2, world.stages[1])
    world.meanwhile(lambda: world.delete(gone))
    first, second = world.writer.open_tasks([task_change(world, deal) for deal in (gone, there)])
    assert first.result is not Result.APPLIED
    assert second.result is Result.APPLIED
    assert len(world.tasks_of(there)) == 1
