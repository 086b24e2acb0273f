"""What every Writer does, whichever CRM it writes to. The state of the CRM after counts, not the calls made."""

from __future__ import annotations

from dataclasses import replace
from html import unescape

import pytest

from stagesync.connectors.base import Following
from stagesync.errors import ConnectionFailed, CredentialsRefused
from stagesync.model.changes import Change, ChangeKind, Result

from .world import World, closing, stage_change, task_change


def test_a_stage_is_set_and_read_back(world: World) -> None:
    early, late, _ = world.stages
    deals = world.add_deals(60, late)
    outcomes = world.writer.set_stage([stage_change(world, deal, late, early) for deal in deals])
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 60
    assert [outcome.key for outcome in outcomes] == [f"stage:{deal}:{early}" for deal in deals]
    assert all(outcome.seen[world.stage] == early for outcome in outcomes)
    assert [world.stage_of(deal) for deal in deals] == [early] * 60


def test_a_stage_that_a_person_moved_is_left_alone(world: World) -> None:
    early, late, later = world.stages
    moved, untouched = world.add_deals(2, late)
    changes = [stage_change(world, deal, late, early) for deal in (moved, untouched)]
    world.clock.advance(minutes=1)
    world.edit(moved, **{world.stage: later})
    first, second = world.writer.set_stage(changes)
    assert (first.result, second.result) == (Result.SUPERSEDED, Result.APPLIED)
    assert later in first.detail
    assert world.stage_of(moved) == later
    assert world.stage_of(untouched) == early


def test_a_stage_that_is_right_already_is_not_written(world: World) -> None:
    early, late, _ = world.stages
    (deal,) = world.add_deals(1, late)
    change = stage_change(world, deal, late, early)
    world.writer.set_stage([change])
    world.clock.advance(minutes=1)
    before = world.reader.current(world.deals, [deal]).row(0, named=True)
    (outcome,) = world.writer.set_stage([change])
    assert outcome.result is Result.ALREADY_SO
    assert world.reader.current(world.deals, [deal]).row(0, named=True) == before


def test_a_stage_that_was_taken_away_since_the_plan_is_not_written(world: World) -> None:
    early, late, later = world.stages
    lost, kept = world.add_deals(2, late)
    changes = [stage_change(world, lost, late, early), stage_change(world, kept, late, later)]
    world.remove_stage(early)
    first, second = world.writer.set_stage(changes)
    assert (first.result, second.result) == (Result.REFUSED, Result.APPLIED)
    assert early in first.detail
    assert (world.stage_of(lost), world.stage_of(kept)) == (late, later)


def test_a_record_that_is_gone_is_superseded(world: World) -> None:
    early, late, _ = world.stages
    gone, there = world.add_deals(2, late)
    world.delete(gone)
    outcomes = world.writer.set_stage([stage_change(world, deal, late, early) for deal in (gone, there)])
    assert [outcome.result for outcome in outcomes] == [Result.SUPERSEDED, Result.APPLIED]


def test_a_field_that_is_not_there_is_refused(world: World) -> None:
    early, late, _ = world.stages
    (deal,) = world.add_deals(1, late)
    change = replace(stage_change(world, deal, late, early), after={"no_such_field": "x"})
    (outcome,) = world.writer.set_stage([change])
    assert outcome.result in {Result.REFUSED, Result.FAILED}
    assert "no_such_field" in outcome.detail
    assert world.stage_of(deal) == late


def test_no_changes_need_no_calls(world: World) -> None:
    world.refuse_credentials()
    assert list(world.writer.set_stage([])) == []
    assert list(world.writer.open_tasks([])) == []
    assert list(world.writer.close_tasks([])) == []


def test_credentials_without_the_right_to_write_change_nothing(world: World) -> None:
    early, late, _ = world.stages
    (deal,) = world.add_deals(1, late)
    world.read_only()
    (stage,) = world.writer.set_stage([stage_change(world, deal, late, early)])
    (task,) = world.writer.open_tasks([task_change(world, deal)])
    assert {stage.result, task.result} <= {Result.REFUSED, Result.FAILED}
    assert stage.detail
    assert world.stage_of(deal) == late
    assert world.tasks_of(deal) == []


def test_refused_credentials_are_raised_before_anything_is_written(world: World) -> None:
    early, late, _ = world.stages
    (deal,) = world.add_deals(1, late)
    world.refuse_credentials()
    with pytest.raises(CredentialsRefused):
        world.writer.set_stage([stage_change(world, deal, late, early)])


def test_a_crm_that_stays_busy_fails_before_anything_is_written(world: World) -> None:
    early, late, _ = world.stages
    (deal,) = world.add_deals(1, late)
    world.busy(1_000)
    with pytest.raises(ConnectionFailed):
        world.writer.set_stage([stage_change(world, deal, late, early)])
    world.busy(0)
    assert world.stage_of(deal) == late


def test_a_task_says_what_to_do_to_the_owner_of_the_record(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    (outcome,) = world.writer.open_tasks([task_change(world, deal)])
    assert outcome.result is Result.APPLIED
    (task,) = world.tasks_of(deal)
    assert outcome.crm_id == task.id
    assert task.subject == "Stage check: pain is not stated"
    assert "in the buyer" in task.body
    assert task.owner == world.owner
    assert not task.closed


def test_one_task_for_a_key_however_often(world: World) -> None:
    deals = world.add_deals(130, world.stages[1])
    changes = [task_change(world, deal) for deal in deals]
    first = world.writer.open_tasks(changes)
    again = world.writer.open_tasks(changes)
    assert {outcome.result for outcome in first} == {Result.APPLIED}
    assert {outcome.result for outcome in again} == {Result.ALREADY_SO}
    assert [outcome.crm_id for outcome in again] == [outcome.crm_id for outcome in first]
    assert all(len(world.tasks_of(deal)) == 1 for deal in deals[:5])
    assert world.reader.own_tasks([change.key for change in changes]) == {
        outcome.key: outcome.crm_id for outcome in first
    }


def test_the_same_key_twice_in_a_call_is_one_task(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    outcomes = world.writer.open_tasks([task_change(world, deal), task_change(world, deal)])
    assert len(outcomes) == 2
    assert len(world.tasks_of(deal)) == 1


def test_a_completed_task_is_not_opened_again(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    change = task_change(world, deal)
    (made,) = world.writer.open_tasks([change])
    assert made.crm_id
    world.complete(made.crm_id)
    (again,) = world.writer.open_tasks([change])
    assert (again.result, again.crm_id) == (Result.ALREADY_SO, made.crm_id)
    (task,) = world.tasks_of(deal)
    assert task.closed


def test_a_lost_answer_makes_no_second_task(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    change = task_change(world, deal)
    world.lose_answers(1)
    (lost,) = world.writer.open_tasks([change])
    assert lost.result in {Result.UNKNOWN, Result.APPLIED, Result.ALREADY_SO}
    (task,) = world.tasks_of(deal)
    assert world.reader.own_tasks([change.key]) == {change.key: task.id}
    (again,) = world.writer.open_tasks([change])
    assert again.result is Result.ALREADY_SO
    assert len(world.tasks_of(deal)) == 1


def test_long_texts_and_odd_characters_arrive(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    change = task_change(world, deal, subject="wörter " * 60, body="zwölf & mehr " * 2_600)
    (outcome,) = world.writer.open_tasks([change])
    assert outcome.result is Result.APPLIED
    (task,) = world.tasks_of(deal)
    assert task.subject.startswith("wörter wörter")
    assert "zwölf" in task.body


def test_a_task_of_a_record_that_is_gone_is_not_made(world: World) -> None:
    gone, there = world.add_deals(2, world.stages[1])
    world.delete(gone)
    first, second = world.writer.open_tasks([task_change(world, gone), task_change(world, there)])
    assert first.result in {Result.REFUSED, Result.FAILED, Result.SUPERSEDED}
    assert second.result is Result.APPLIED


def test_tasks_are_completed_once(world: World) -> None:
    mine, theirs, gone = world.add_deals(3, world.stages[1])
    made = world.writer.open_tasks([task_change(world, deal) for deal in (mine, theirs, gone)])
    ids = [outcome.crm_id or "" for outcome in made]
    world.complete(ids[1])
    world.delete_task(ids[2])
    changes = [closing(world, deal, task) for deal, task in zip((mine, theirs, gone), ids, strict=True)]
    outcomes = world.writer.close_tasks(changes)
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED, Result.ALREADY_SO, Result.ALREADY_SO]
    assert [outcome.crm_id for outcome in outcomes] == ids
    assert [task.closed for task in world.tasks_of(mine)] == [True]
    assert world.tasks_of(gone) == []


def retold(change: Change, kind: ChangeKind, task: str | None, body: str) -> Change:
    """Another text for a task."""
    assert change.task is not None
    text = replace(change.task, subject="Stage check: <b>two</b> things", body=body)
    return replace(change, key=f"{kind}:{task}", kind=kind, task=text, told=change.task, crm_id=task)


def test_only_a_text_that_nobody_touched_is_written_over(world: World) -> None:
    kinds = ("untouched", "edited", "ended", "gone")
    deals = dict(zip(kinds, world.add_deals(len(kinds), world.stages[1]), strict=True))
    opened = {kind: task_change(world, deal) for kind, deal in deals.items()}
    made = dict(zip(kinds, world.writer.open_tasks(list(opened.values())), strict=True))
    ids = {kind: outcome.crm_id or "" for kind, outcome in made.items()}
    world.complete(ids["ended"])
    world.delete_task(ids["gone"])
    world.edit_task(ids["edited"], "I called them, they think about it")
    before = {kind: world.tasks_of(deal) for kind, deal in deals.items()}
    changes = [retold(opened[kind], ChangeKind.UPDATE_TASK, ids[kind], "One & two. Three.") for kind in kinds]

    outcomes = world.writer.update_tasks(changes)

    assert [one.result for one in outcomes] == [Result.APPLIED] + [Result.SUPERSEDED] * 3
    assert all(one.detail for one in outcomes[1:])
    (task,) = world.tasks_of(deals["untouched"])
    assert (task.subject, task.closed) == ("Stage check: <b>two</b> things", False)
    assert "One & two. Three." in unescape(task.body)
    assert {kind: world.tasks_of(deal) for kind, deal in deals.items() if kind != "untouched"} == {
        kind: tasks for kind, tasks in before.items() if kind != "untouched"
    }
    # The key is where it was: the same task is not made once more.
    again = world.writer.open_tasks([opened["untouched"]])
    assert [(one.result, one.crm_id) for one in again] == [(Result.ALREADY_SO, ids["untouched"])]
    # A last word is said where the text is ours; the others are closed without.
    told = replace(opened["untouched"], task=changes[0].task)
    ends = [
        retold(told, ChangeKind.CLOSE_TASK, ids["untouched"], "Thank you."),
        retold(opened["edited"], ChangeKind.CLOSE_TASK, ids["edited"], "Thank you."),
    ]
    assert [one.result for one in world.writer.close_tasks(ends)] == [Result.APPLIED] * 2
    said = {kind: world.tasks_of(deals[kind])[0] for kind in ("untouched", "edited")}
    assert all(task.closed for task in said.values())
    assert "Thank you." in said["untouched"].body
    assert "Thank you." not in said["edited"].body


def test_a_task_that_asks_is_answered_whatever_it_says(world: World) -> None:
    assert isinstance(world.reader, Following)
    kinds = ("untouched", "edited", "asks no more", "ended", "gone")
    deals = dict(zip(kinds, world.add_deals(len(kinds), world.stages[1]), strict=True))
    opened = {kind: task_change(world, deal) for kind, deal in deals.items()}
    made = dict(zip(kinds, world.writer.open_tasks(list(opened.values())), strict=True))
    ids = {kind: outcome.crm_id or "" for kind, outcome in made.items()}
    fresh = world.reader.task_states([ids["asks no more"]])[ids["asks no more"]].status
    for kind in ("untouched", "edited", "ended", "gone"):
        world.ask(ids[kind])
    world.complete(ids["ended"])
    world.delete_task(ids["gone"])
    world.edit_task(ids["edited"], "The board signs on Monday")
    before = {kind: world.tasks_of(deal) for kind, deal in deals.items()}
    changes = [answering(opened[kind], ids[kind], world.asking, "Refused by Ben: <b>no</b> & no") for kind in kinds]

    outcomes = world.writer.update_tasks(changes)

    assert [one.result for one in outcomes] == [Result.APPLIED] * 2 + [Result.SUPERSEDED] * 3
    for kind in ("untouched", "edited"):
        (task,) = world.tasks_of(deals[kind])
        assert not task.closed
        assert task.body.startswith(before[kind][0].body)
        assert unescape(task.body).rstrip().endswith("Refused by Ben: <b>no</b> & no")
        assert world.reader.task_states([ids[kind]])[ids[kind]].status == fresh
    told = {kind: world.tasks_of(deal) for kind, deal in deals.items()}
    assert {kind: told[kind] for kind in kinds[2:]} == {kind: before[kind] for kind in kinds[2:]}
    # Said once is enough.
    assert not {Result.APPLIED, Result.FAILED} & {one.result for one in world.writer.update_tasks(changes)}
    assert {kind: world.tasks_of(deal) for kind, deal in deals.items()} == told
    again = world.writer.open_tasks([opened["untouched"], opened["edited"]])
    assert [one.result for one in again] == [Result.ALREADY_SO] * 2
    # A closing that has something to say is heard in a text that somebody edited, too.
    end = replace(retold(opened["edited"], ChangeKind.CLOSE_TASK, ids["edited"], "x"), adds="A waiver was granted.")
    assert [one.result for one in world.writer.close_tasks([end])] == [Result.APPLIED]
    (closed,) = world.tasks_of(deals["edited"])
    assert closed.closed
    assert closed.body.endswith("A waiver was granted.")


def answering(opened: Change, task: str, asked_by: str, words: str) -> Change:
    """What tells a rep that a waiver is refused."""
    text = opened.task
    assert text is not None
    return replace(
        opened,
        key=f"refuse:{task}",
        kind=ChangeKind.UPDATE_TASK,
        crm_id=task,
        told=text,
        task=replace(text, body=f"{text.body}\n\n{words}"),
        asked_by=asked_by,
        adds=words,
    )


def test_a_task_that_nothing_names_cannot_be_closed(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    (outcome,) = world.writer.close_tasks([closing(world, deal, None)])
    assert outcome.result in {Result.REFUSED, Result.FAILED}
    assert outcome.detail


def test_a_text_that_was_written_already_is_known_again(world: World) -> None:
    (deal,) = world.add_deals(1, world.stages[1])
    opened = task_change(world, deal)
    (made,) = world.writer.open_tasks([opened])
    change = retold(opened, ChangeKind.UPDATE_TASK, made.crm_id, "One & two.")

    (before,) = world.writer.look_at_tasks([change])
    (first,) = world.writer.update_tasks([change])
    (after,) = world.writer.look_at_tasks([change])
    (again,) = world.writer.update_tasks([change])

    assert [one.result for one in (before, first)] == [Result.FAILED, Result.APPLIED]
    assert [one.result for one in (after, again)] == [Result.ALREADY_SO] * 2
    # With another owner it is another change: the same words are not enough.
    assert change.task is not None
    handed = replace(change, task=replace(change.task, owner=world.inactive_owner))
    assert [one.result for one in world.writer.look_at_tasks([handed])] == [Result.FAILED]


def test_what_became_of_a_closing_can_be_seen(world: World) -> None:
    deals = world.add_deals(3, world.stages[1])
    made = world.writer.open_tasks([task_change(world, deal) for deal in deals])
    ids = [outcome.crm_id or "" for outcome in made]
    world.complete(ids[1])
    world.delete_task(ids[2])
    before = [world.tasks_of(deal) for deal in deals]
    looked = world.writer.look_at_tasks([closing(world, deal, task) for deal, task in zip(deals, ids, strict=True)])
    assert [one.result for one in looked] == [Result.FAILED, Result.ALREADY_SO, Result.ALREADY_SO]
    assert [world.tasks_of(deal) for deal in deals] == before
