"""Writes to a portal that is in a bad way: what it holds afterwards is neither lost, doubled nor written over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from stagesync.connectors.hubspot import HubSpotWriter, connect
from stagesync.model.changes import Change, ChangeKind, Halt, Outcome, Result
from stagesync.sandbox.hubspot.definitions import PropertyDefinition, Stage
from stagesync.sandbox.hubspot.faults import LOST
from stagesync.sandbox.hubspot.records import Source
from stagesync.sandbox.hubspot.writing import edit, merge

from .hubspot_office import Office, office, seed
from .test_hubspot_connector_writes import OWNER, UPDATES, change, held, move, results, task_for, tasks_of

__all__ = ["office"]

OLD, NEW = "contractsent", "qualifiedtobuy"
ELSEWHERE = "139663273"  # a stage of another pipeline
UPSERTS = "POST /crm/v3/objects/{object_type}/batch/upsert"
READS = "POST /crm/v3/objects/{object_type}/batch/read"
CREATES = "POST /crm/v3/objects/{object_type}"


@pytest.fixture(autouse=True)
def _owner(office: Office) -> None:
    office.portal.add_owners([{"id": int(OWNER), "email": "ann@example.com", "userId": 7}])


def deals_in(office: Office, count: int, stage: str = OLD) -> list[str]:
    return seed(office.portal, "deals", count, pipeline="default", dealstage=stage)


def moves(deals: list[str]) -> list[Change]:
    return [change(deal, {"dealstage": OLD}, {"dealstage": NEW}) for deal in deals]


def stage_of(office: Office, deal: str) -> str | None:
    return held(office, "deals", deal)["dealstage"]


def all_tasks(office: Office) -> list[Mapping[str, str]]:
    return [one.properties for one in office.portal.records.select(office.portal.kind("tasks"), (), "")]


def without_key(office: Office) -> None:
    office.portal.metadata.remove_property("tasks", "stagesync_key")


def merged(office: Office, name: str, first: str, second: str) -> str:
    """A person makes one record of two; the id of that one."""
    portal, kind = office.portal, office.portal.kind(name)
    one, two = (portal.records.get(kind, int(record)) for record in (first, second))
    assert one is not None
    assert two is not None
    return str(merge(portal, kind, one, two, Source(type="CRM_UI", id="userId:7")).id)


# ------------------------------------------------------------------------------------------------- bad rows


BadRows = Literal["whole", "named", "nameless"]
EACH_WAY: list[BadRows] = ["whole", "named", "nameless"]


@pytest.mark.parametrize("bad_rows", EACH_WAY)
def test_one_bad_row_in_a_hundred(office: Office, bad_rows: BadRows) -> None:
    deals = deals_in(office, 100)
    changes = moves(deals)
    changes[41] = replace(changes[41], after={"dealstage": ELSEWHERE})
    office.portal.faults.bad_rows = bad_rows
    outcomes = office.writer.set_stage(changes)
    assert [place for place, one in enumerate(outcomes) if one.result is not Result.APPLIED] == [41]
    assert outcomes[41].result is Result.REFUSED
    assert f"{ELSEWHERE} was not one of the allowed options" in outcomes[41].detail
    assert [stage_of(office, deal) for deal in deals] == [OLD if place == 41 else NEW for place in range(100)]
    # Halving a hundred takes fifteen calls at most; an answer that is not all or nothing takes one.
    assert office.portal.calls[UPDATES] <= (15 if bad_rows == "whole" else 1)


@pytest.mark.parametrize("bad_rows", EACH_WAY)
def test_one_task_that_is_refused_in_a_hundred(office: Office, bad_rows: BadRows) -> None:
    """Its owner has left since the plan."""
    deals = deals_in(office, 100)
    office.portal.add_owners([{"id": 1, "email": "gone@example.com", "userId": 8, "archived": True}])
    office.portal.faults.bad_rows = bad_rows
    changes = [task_for(deal, owner="1" if place == 41 else OWNER) for place, deal in enumerate(deals)]
    outcomes = office.writer.open_tasks(changes)
    assert [place for place, one in enumerate(outcomes) if one.result is not Result.APPLIED] == [41]
    assert outcomes[41].result is Result.REFUSED
    assert "the owner is deactivated" in outcomes[41].detail
    assert [len(tasks_of(office, "deals", deal)) for deal in deals] == [int(place != 41) for place in range(100)]
    assert len(all_tasks(office)) == 99
    again = office.writer.open_tasks([replace(one, task=task_for(one.record).task) for one in changes])
    assert results(again) == [Result.APPLIED if place == 41 else Result.ALREADY_SO for place in range(100)]
    assert len(all_tasks(office)) == 100


def test_tasks_of_which_none_is_taken_are_given_up_after_a_few(office: Office) -> None:
    """The portal asks for a property of tasks that StageSync does not fill."""
    deals = deals_in(office, 100)
    office.portal.require_properties("tasks", ["hs_queue_membership_ids"], stage=None)
    office.portal.add_property("tasks", PropertyDefinition(name="hs_queue_membership_ids", label="Queue"))
    _, writer = office.again(api_version="2026-09")
    changes = [task_for(deal) for deal in deals]
    outcomes = writer.open_tasks(changes)
    assert Counter(results(outcomes)) == {Result.REFUSED: 5, Result.FAILED: 95}
    assert all('Required property "hs_queue_membership_ids"' in one.detail for one in outcomes)
    assert all_tasks(office) == []
    assert sum(count for path, count in office.portal.calls.items() if path.endswith("/batch/upsert")) == 6
    office.portal.require_properties("tasks", [], stage=None)
    assert results(writer.open_tasks(changes)) == [Result.APPLIED] * 100


def test_an_error_that_names_no_row_and_cannot_be_looked_into_is_unknown(office: Office) -> None:
    deals = deals_in(office, 3)
    changes = moves(deals)
    changes[1] = replace(changes[1], after={"dealstage": ELSEWHERE})
    office.portal.faults.bad_rows = "nameless"
    office.portal.faults.fail_next(6, 503, on="batch/read", skip=1)
    outcomes = office.writer.set_stage(changes)
    assert results(outcomes) == [Result.UNKNOWN] * 3
    assert [stage_of(office, deal) for deal in deals] == [NEW, OLD, NEW]


# --------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("status", [423, 502, 503, 504, 521, 522, 523, 524, LOST])
def test_a_fault_that_passes_costs_nothing(office: Office, status: int) -> None:
    deals = deals_in(office, 3)
    (contact,) = seed(office.portal, "contacts", 1, lifecyclestage="opportunity")
    for path in ("batch/update", "batch/upsert", "batch/associate/default", "batch/read"):
        office.portal.faults.fail_next(1, status, on=path)
    assert results(office.writer.set_stage(moves(deals))) == [Result.APPLIED] * 3
    assert results(office.writer.set_stage([move(contact, "opportunity", "lead")])) == [Result.APPLIED]
    assert results(office.writer.open_tasks([task_for(deal) for deal in deals])) == [Result.APPLIED] * 3
    assert office.portal.faults.outages == []
    assert [stage_of(office, deal) for deal in deals] == [NEW] * 3
    assert held(office, "contacts", contact)["lifecyclestage"] == "lead"
    assert [len(tasks_of(office, "deals", deal)) for deal in deals] == [1] * 3
    assert len(all_tasks(office)) == 3


def interrupted(office: Office, status: int, skip: int, name: str, record: str, **theirs: str) -> HubSpotWriter:
    """A writer that is kept waiting before its first update, or a later one, while a person edits a record."""
    person = Source(type="CRM_UI", id="userId:7")
    office.portal.faults.fail_next(1, status, on="batch/update", skip=skip)
    _, writer = connect(
        office.connection, sleep=lambda _seconds: void(edit(office.portal, name, int(record), theirs, person))
    )
    return writer


def void(_anything: object) -> None:
    pass


@pytest.mark.parametrize("status", [423, 503, LOST])
def test_what_somebody_changes_while_a_write_waits_stays(office: Office, status: int) -> None:
    deals = deals_in(office, 4)
    (task,) = office.writer.open_tasks([task_for(deals[0])])
    writer = interrupted(office, status, 0, "deals", deals[1], dealstage="decisionmakerboughtin")
    outcomes = writer.set_stage(moves(deals))
    assert [one.result for one in outcomes if one.result is not Result.APPLIED] == [Result.SUPERSEDED]
    assert "dealstage is decisionmakerboughtin" in outcomes[1].detail
    assert [stage_of(office, deal) for deal in deals] == [NEW, "decisionmakerboughtin", NEW, NEW]
    writer = interrupted(office, status, 0, "tasks", str(task.crm_id), hs_task_status="WAITING")
    closing = replace(change(deals[0], {}, {}), kind=ChangeKind.CLOSE_TASK, crm_id=task.crm_id)
    assert results(writer.close_tasks([closing])) == [Result.SUPERSEDED]
    assert held(office, "tasks", str(task.crm_id))["hs_task_status"] == "WAITING"


@pytest.mark.parametrize("status", [423, 503, LOST])
@pytest.mark.parametrize("skip", [0, 1])
def test_a_lifecycle_stage_that_somebody_sets_while_ours_waits_stays(office: Office, status: int, skip: int) -> None:
    """Before it is cleared, or between clearing and setting."""
    back, other = seed(office.portal, "contacts", 2, lifecyclestage="opportunity")
    writer = interrupted(office, status, skip, "contacts", back, lifecyclestage="customer")
    outcomes = writer.set_stage([move(back, "opportunity", "lead"), move(other, "opportunity", "lead")])
    assert results(outcomes) == [Result.SUPERSEDED, Result.APPLIED]
    assert [held(office, "contacts", one)["lifecyclestage"] for one in (back, other)] == ["customer", "lead"]


@pytest.mark.parametrize("status", [502, 503, 524, LOST])
def test_without_a_key_property_a_task_whose_answer_is_lost_is_looked_for(office: Office, status: int) -> None:
    without_key(office)
    deals = deals_in(office, 3)
    office.portal.faults.fail_next(1, status, on="/objects/tasks")
    changes = [task_for(deal) for deal in deals]
    first = office.writer.open_tasks(changes)
    # It was made only where the connection was cut after the work.
    assert results(first) == [Result.APPLIED if status == LOST else Result.UNKNOWN, Result.APPLIED, Result.APPLIED]
    office.writer.open_tasks(changes)
    assert [len(tasks_of(office, "deals", deal)) for deal in deals] == [1] * 3
    assert len(all_tasks(office)) == 3


# --------------------------------------------------------------------------------------- the portal moves


MOVED = timedelta(hours=2)


@pytest.mark.parametrize("status", [477, 429])
def test_nothing_more_is_sent_to_a_portal_that_wants_to_be_left_alone(office: Office, status: int) -> None:
    deals = deals_in(office, 130)
    office.portal.faults.fail_next(1, status, retry_after=7_200 if status == 477 else None, on="batch/update")
    outcomes = office.writer.set_stage(moves(deals))
    assert results(outcomes) == [Result.FAILED] * 130
    assert {one.halt for one in outcomes} == {Halt.WRITES}
    assert {one.wait is not None for one in outcomes} == {True}
    if status == 477:
        assert {one.wait for one in outcomes} == {MOVED}
    assert all("not sent" in one.detail for one in outcomes)
    assert office.portal.calls[UPDATES] == 1
    assert {stage_of(office, deal) for deal in deals} == {OLD}
    _, again = office.again()
    assert set(results(again.set_stage(moves(deals)))) == {Result.APPLIED}


@pytest.mark.parametrize("status", [477, 429])
def test_a_lifecycle_stage_that_was_cleared_before_the_portal_moved_is_left_to_the_next_run(
    office: Office, status: int
) -> None:
    back, ahead = seed(office.portal, "contacts", 2, lifecyclestage="opportunity")
    changes = [move(back, "opportunity", "lead"), move(ahead, "opportunity", "customer")]
    office.portal.faults.fail_next(1, status, on="batch/update", skip=1)
    outcomes = office.writer.set_stage(changes)
    assert results(outcomes) == [Result.UNKNOWN, Result.FAILED]
    assert {one.halt for one in outcomes} == {Halt.WRITES}
    assert "cleared and not yet set" in outcomes[0].detail
    assert not held(office, "contacts", back).get("lifecyclestage")
    assert held(office, "contacts", ahead)["lifecyclestage"] == "opportunity"
    _, again = office.again()
    assert results(again.finish_stage(changes[:1])) == [Result.APPLIED]
    assert held(office, "contacts", back)["lifecyclestage"] == "lead"


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("status", [477, 429])
def test_tasks_that_were_made_before_the_portal_moved_are_not_made_again(
    office: Office, unique: bool, status: int
) -> None:
    """It moves between the making of tasks and their association with the records."""
    if not unique:
        without_key(office)
    deals = deals_in(office, 3)
    changes = [task_for(deal) for deal in deals]
    office.portal.faults.fail_next(1, status, on="associate/default" if unique else "/objects/tasks", skip=1 - unique)
    outcomes = office.writer.open_tasks(changes)
    assert {one.halt for one in outcomes[1:]} == {Halt.WRITES}
    assert len(all_tasks(office)) == (3 if unique else 1)
    assert results(outcomes) == [Result.UNKNOWN] * 3 if unique else [Result.APPLIED, Result.FAILED, Result.FAILED]
    _, again = office.again()
    assert set(results(again.open_tasks(changes))) <= {Result.APPLIED, Result.ALREADY_SO}
    assert [len(tasks_of(office, "deals", deal)) for deal in deals] == [1] * 3
    assert len(all_tasks(office)) == 3


# ---------------------------------------------------------------------------------------- lifecycle stages


def test_a_stage_that_is_refused_after_a_crash_gives_the_cleared_one_back(office: Office) -> None:
    (contact,) = seed(office.portal, "contacts", 1)
    half_done = replace(move(contact, "opportunity", "lead"), after={"lifecyclestage": "lead", "no_such": "x"})
    (outcome,) = office.writer.finish_stage([half_done])
    assert outcome.result is Result.REFUSED
    assert "the old stage was put back" in outcome.detail
    assert held(office, "contacts", contact)["lifecyclestage"] == "opportunity"


# ----------------------------------------------------------------------------------------- merged records


def test_a_record_that_was_merged_is_named_and_not_written(office: Office) -> None:
    first, second, other = deals_in(office, 3)
    changes = moves([first, second, other])
    survivor = merged(office, "deals", first, second)
    outcomes = office.writer.set_stage(changes)
    assert results(outcomes) == [Result.SUPERSEDED, Result.SUPERSEDED, Result.APPLIED]
    assert all(survivor in one.detail for one in outcomes[:2])
    assert [stage_of(office, deal) for deal in (survivor, other)] == [OLD, NEW]


@pytest.mark.parametrize("name", ["deals", "contacts"])
@pytest.mark.parametrize("unique", [True, False])
def test_a_task_goes_along_when_its_record_is_merged(office: Office, name: str, unique: bool) -> None:
    if not unique:
        without_key(office)
    records = seed(office.portal, name, 2)
    changes = [task_for(record, object_name=name) for record in records]
    (made,) = office.writer.open_tasks(changes[:1])
    survivor = merged(office, name, *records)
    first, second = office.writer.open_tasks(changes)
    assert (first.result, first.crm_id) == (Result.ALREADY_SO, made.crm_id)
    assert second.result is Result.SUPERSEDED
    assert survivor in second.detail
    assert tasks_of(office, name, survivor) == [made.crm_id]
    assert len(all_tasks(office)) == 1


def test_the_task_of_a_merged_record_is_retold_and_closed(office: Office) -> None:
    records = deals_in(office, 2)
    opened = task_for(records[0])
    (made,) = office.writer.open_tasks([opened])
    merged(office, "deals", *records)
    assert opened.task is not None
    text = replace(opened.task, body="Something else")
    retold = replace(opened, kind=ChangeKind.UPDATE_TASK, told=opened.task, task=text, crm_id=made.crm_id)
    assert results(office.writer.update_tasks([retold])) == [Result.APPLIED]
    closing = replace(retold, kind=ChangeKind.CLOSE_TASK, told=None, task=None)
    assert results(office.writer.close_tasks([closing])) == [Result.APPLIED]
    (task,) = all_tasks(office)
    assert (task["hs_task_body"], task["hs_task_status"]) == ("Something else", "COMPLETED")


# ------------------------------------------------------------------------------------- what admins forbid


def test_a_move_back_that_the_pipeline_forbids_is_left_to_a_person(office: Office) -> None:
    deals = deals_in(office, 2)
    office.portal.forward_only.add("default")
    _, writer = office.again(api_version="2026-09")
    changes = [*moves(deals[:1]), change(deals[1], {"dealstage": OLD}, {"dealstage": "closedlost"})]
    outcomes = writer.set_stage(changes)
    assert results(outcomes) == [Result.REFUSED, Result.APPLIED]
    assert "do not allow a move back" in outcomes[0].detail
    assert [stage_of(office, deal) for deal in deals] == [OLD, "closedlost"]


def forbidden(office: Office, reason: str) -> HubSpotWriter:
    """A writer whose every move of a deal to ``NEW`` the portal refuses, because of a rule that its admin made."""
    if reason == "forward only":
        office.portal.forward_only.add("default")
    else:
        office.portal.require_properties("deals", ["closed_lost_reason"], stage=NEW)
    return office.again(api_version="2026-09")[1]


@pytest.mark.parametrize("bad_rows", EACH_WAY)
@pytest.mark.parametrize("reason", ["forward only", "required property"])
def test_a_stage_that_the_portal_takes_from_no_record_is_given_up_after_a_few(
    office: Office, reason: str, bad_rows: BadRows
) -> None:
    writer = forbidden(office, reason)
    office.portal.faults.bad_rows = bad_rows
    deals = deals_in(office, 100)
    outcomes = writer.set_stage(moves(deals))
    assert {one.halt for one in outcomes} == {Halt.TARGET}
    assert {stage_of(office, deal) for deal in deals} == {OLD}
    made = sum(count for path, count in office.portal.calls.items() if path.endswith("batch/update"))
    said = "do not allow a move back" if reason == "forward only" else 'Required property "closed_lost_reason"'
    assert all(said in one.detail for one in outcomes)
    if bad_rows == "whole":
        assert made == 6
        assert Counter(results(outcomes)) == {Result.REFUSED: 5, Result.FAILED: 95}
        assert all("not tried" in one.detail for one in outcomes if one.result is Result.FAILED)
    else:
        assert made == 1
        assert results(outcomes) == [Result.REFUSED] * 100


def test_a_stage_that_is_forbidden_does_not_keep_other_moves_back(office: Office) -> None:
    writer = forbidden(office, "forward only")
    deals = deals_in(office, 100)
    ahead = {place for place in range(100) if place % 3 == 0}
    changes = [
        change(deal, {"dealstage": OLD}, {"dealstage": "closedlost" if place in ahead else NEW})
        for place, deal in enumerate(deals)
    ]
    outcomes = writer.set_stage(changes)
    assert [stage_of(office, deal) for deal in deals] == ["closedlost" if p in ahead else OLD for p in range(100)]
    assert {p for p, one in enumerate(outcomes) if one.result is Result.APPLIED} == ahead
    assert {one.halt for p, one in enumerate(outcomes) if p in ahead} == {None}
    assert {one.halt for p, one in enumerate(outcomes) if p not in ahead} == {Halt.TARGET}
    made = sum(count for path, count in office.portal.calls.items() if path.endswith("batch/update"))
    assert made == 1 + 2 + 5  # all, each stage, and five alone


@pytest.mark.parametrize("bad", [1, 2, 4, 60])
def test_records_that_a_rule_refuses_do_not_keep_back_those_that_it_lets_through(office: Office, bad: int) -> None:
    writer = forbidden(office, "required property")
    refused = set(deals_in(office, bad))
    allowed = seed(office.portal, "deals", 100 - bad, pipeline="default", dealstage=OLD, closed_lost_reason="price")
    outcomes: list[Outcome] = []
    for _ in range(20):  # by chance only bad ones are tried first, and then no other is
        outcomes = list(writer.set_stage(moves([*refused, *allowed])))
        if outcomes[-1].halt is None:
            break
    assert {one.crm_id for one in outcomes if one.result is Result.REFUSED} == refused
    assert {stage_of(office, deal) for deal in allowed} == {NEW}
    assert {stage_of(office, deal) for deal in refused} == {OLD}


def test_a_lifecycle_stage_that_is_refused_for_all_is_given_back_to_all(office: Office) -> None:
    contacts = seed(office.portal, "contacts", 20, lifecyclestage="opportunity")
    office.portal.require_properties("contacts", ["phone"], stage="lead")
    _, writer = office.again(api_version="2026-09")
    outcomes = writer.set_stage([move(contact, "opportunity", "lead") for contact in contacts])
    assert {one.halt for one in outcomes} == {Halt.TARGET}
    assert all("the old stage was put back" in one.detail for one in outcomes)
    assert {held(office, "contacts", contact)["lifecyclestage"] for contact in contacts} == {"opportunity"}


@pytest.mark.parametrize("permission", ["READ_ONLY", "INTERNAL_ONLY"])
def test_a_stage_that_integrations_may_not_write_is_shown_and_refused(office: Office, permission: str) -> None:
    stages = [Stage(id="open", label="Open"), Stage(id="locked", label="Locked", write_permissions=permission)]
    office.portal.add_pipeline("deals", "guarded", "Guarded", stages)
    (deal,) = seed(office.portal, "deals", 1, pipeline="guarded", dealstage="open")
    shown = {stage.value: stage.writable for stage in office.reader.stages("deals", "dealstage")}
    assert (shown["open"], shown["locked"]) == (True, False)
    (outcome,) = office.writer.set_stage([change(deal, {"dealstage": "open"}, {"dealstage": "locked"})])
    assert outcome.result is Result.REFUSED
    assert permission in outcome.detail
    assert stage_of(office, deal) == "open"


# -------------------------------------------------------------------------------------------------- calls


@pytest.mark.parametrize("count", [1, 100, 101, 230])
def test_a_hundred_changes_take_one_call(office: Office, count: int) -> None:
    batches = -(-count // 100)
    deals = deals_in(office, count)
    before = office.portal.calls.copy()
    assert set(results(office.writer.set_stage(moves(deals)))) == {Result.APPLIED}
    made = office.portal.calls - before
    # One look before and one after.
    assert made == {UPDATES: batches, READS: 2 * batches}
    before = office.portal.calls.copy()
    assert set(results(office.writer.open_tasks([task_for(deal) for deal in deals]))) == {Result.APPLIED}
    made = office.portal.calls - before
    assert made[UPSERTS] == batches
    assert made[CREATES] == 0
    # The key property once; records, tasks before and after, tasks, associations.
    assert sum(made.values()) == 1 + batches * 5
    assert len(all_tasks(office)) == count


def test_lifecycle_stages_that_go_back_take_two_calls(office: Office) -> None:
    contacts = seed(office.portal, "contacts", 230, lifecyclestage="opportunity")
    before = office.portal.calls.copy()
    assert set(results(office.writer.set_stage([move(one, "opportunity", "lead") for one in contacts]))) == {
        Result.APPLIED
    }
    made = office.portal.calls - before
    assert (made[UPDATES], made[READS]) == (2 * 3, 2 * 3)
    assert sum(made.values()) == 12 + 1  # the order of lifecycle stages, once
