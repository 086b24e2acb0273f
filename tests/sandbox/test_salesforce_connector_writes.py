"""The Salesforce writer against the embedded org: what only Salesforce has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagesync.connectors.base import Reader
from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.connectors.salesforce.rows import collection_upsert, conditional_updates
from stagesync.model.changes import Change, Halt, Result
from stagesync.sandbox.salesforce.rules import Refused
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from tests.conformance.salesforce_world import GONE, REP, SalesforceWorld, salesforce_world
from tests.conformance.world import closing, stage_change, task_change

from .conftest import Serve

STAGES = "stagesync.connectors.salesforce.stage_writes.conditional_updates"
TASKS = "stagesync.connectors.salesforce.task_writes.collection_upsert"
EARLY, LATE = "Prospecting", "Negotiation/Review"


@pytest.fixture
def org(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    world = salesforce_world(serve, tmp_path)
    yield world
    world.reader.close()


def back(org: SalesforceWorld, deal: str) -> Change:
    return stage_change(org, deal, LATE, EARLY)


def lead(org: SalesforceWorld, **fields: Any) -> str:
    values = {"LastName": "Lovelace", "Company": "Acme", "Status": "Qualified", "OwnerId": REP, **fields}
    return Writer(org.org, REP, auto_assign=False).create(SOBJECTS["Lead"], values)


def lead_change(org: SalesforceWorld, record: str, after: str) -> Change:
    change = stage_change(org, record, "Qualified", after)
    return replace(change, object="Lead", before={"Status": "Qualified"}, after={"Status": after})


def lead_task(org: SalesforceWorld, record: str) -> Change:
    return replace(task_change(org, record), object="Lead")


def test_25_conditional_updates_in_a_call(org: SalesforceWorld) -> None:
    deals = org.add_deals(60, LATE)
    outcomes = org.writer.set_stage([back(org, deal) for deal in deals])
    assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
    assert org.org.calls["POST /composite"] == 3


def test_a_record_that_was_modified_elsewhere_is_not_overwritten(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)
    org.clock.advance(seconds=2)
    org.edit(deal, NextStep="call Ada")
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.SUPERSEDED
    assert "modified after the plan" in outcome.detail
    assert org.stage_of(deal) == LATE


def test_an_edit_between_the_look_and_the_write_wins(org: SalesforceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)

    def a_person_is_faster(*given: Any) -> Any:
        org.clock.advance(seconds=2)
        org.edit(deal, StageName="Closed Won")
        return conditional_updates(*given)

    monkeypatch.setattr(STAGES, a_person_is_faster)
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.SUPERSEDED
    assert "'Closed Won'" in outcome.detail
    assert outcome.seen == {"StageName": "Closed Won"}


@pytest.mark.parametrize("by_system", [False, True])
def test_activity_on_a_deal_does_not_stand_in_the_way(org: SalesforceWorld, by_system: bool) -> None:
    """Whichever stamp the org compares with: SystemModstamp moves with activities."""
    org.org.faults.compares_system_stamp = by_system
    (deal, other) = org.add_deals(2, LATE)
    changes = [back(org, deal), back(org, other)]
    org.clock.advance(hours=1)
    (task,) = org.writer.open_tasks([task_change(org, deal)])
    assert task.crm_id
    org.complete(task.crm_id)
    org.clock.advance(seconds=2)
    calls = org.org.calls["POST /composite"]
    assert [one.result for one in org.writer.set_stage(changes)] == [Result.APPLIED] * 2
    assert [org.stage_of(deal), org.stage_of(other)] == [EARLY, EARLY]
    assert org.org.calls["POST /composite"] == calls + 1 + by_system


@pytest.mark.parametrize("turn", [1, 2])
def test_a_person_is_never_written_over_whichever_stamp_the_org_compares(
    org: SalesforceWorld, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    org.org.faults.compares_system_stamp = True
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)
    org.clock.advance(hours=1)
    assert org.writer.open_tasks([task_change(org, deal)])[0].crm_id
    org.clock.advance(seconds=2)
    turns: list[int] = []

    def a_person_is_faster(*given: Any) -> Any:
        turns.append(len(turns) + 1)
        if turns[-1] == turn:
            org.edit(deal, NextStep="call Ada")
        org.clock.advance(seconds=2)
        return conditional_updates(*given)

    monkeypatch.setattr(STAGES, a_person_is_faster)
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.SUPERSEDED
    assert (org.stage_of(deal), turns[-1]) == (LATE, turn)


def test_a_lead_keeps_its_owner(org: SalesforceWorld) -> None:
    org.org.assignment_owner_id = org.org.integration_user_id
    record = lead(org)
    (outcome,) = org.writer.set_stage([lead_change(org, record, "Working - Contacted")])
    assert outcome.result is Result.APPLIED
    assert org.org.database.value('SELECT "OwnerId" FROM "Lead" WHERE "Id" = ?', (record,)) == REP


def test_a_refusal_comes_in_the_words_of_the_org(org: SalesforceWorld) -> None:
    held, free = org.add_deals(2, LATE)
    org.org.faults.validation_rules[held] = "Ask finance first"
    first, second = org.writer.set_stage([back(org, held), back(org, free)])
    assert (first.result, second.result) == (Result.REFUSED, Result.APPLIED)
    assert first.detail == "FIELD_CUSTOM_VALIDATION_EXCEPTION: Ask finance first"


def test_locked_rows_are_tried_again_and_the_others_are_not(org: SalesforceWorld) -> None:
    locked, stuck, free = org.add_deals(3, LATE)
    org.org.faults.locked_records.update({locked: 2, stuck: 100})
    outcomes = org.writer.set_stage([back(org, deal) for deal in (locked, stuck, free)])
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED, Result.FAILED, Result.APPLIED]
    assert "UNABLE_TO_LOCK_ROW" in outcomes[1].detail


def test_locked_tasks_are_tried_again(org: SalesforceWorld) -> None:
    deals = org.add_deals(3, LATE)
    org.org.faults.lock_failures = 2
    outcomes = org.writer.open_tasks([task_change(org, deal) for deal in deals])
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 3
    assert [len(org.tasks_of(deal)) for deal in deals] == [1, 1, 1]


@pytest.mark.parametrize(
    ("fault", "page"), [("drop_after_commit", False), ("unavailable", False), ("unavailable", True)]
)
def test_a_write_without_an_answer_is_unknown_unless_it_is_found(
    org: SalesforceWorld, monkeypatch: pytest.MonkeyPatch, fault: str, page: bool
) -> None:
    (deal,) = org.add_deals(1, LATE)
    org.org.faults.unavailable_html = page

    def then_silence(*given: Any) -> Any:
        setattr(org.org.faults, fault, 1)
        return conditional_updates(*given)

    monkeypatch.setattr(STAGES, then_silence)
    (outcome,) = org.writer.set_stage([back(org, deal)])
    landed = fault == "drop_after_commit"
    assert outcome.result is (Result.APPLIED if landed else Result.UNKNOWN)
    assert outcome.seen == {"StageName": org.stage_of(deal)} == {"StageName": EARLY if landed else LATE}
    assert org.org.calls["POST /composite"] == 1


def test_a_converted_lead_is_left_alone(org: SalesforceWorld) -> None:
    record = org.org.new_id("Lead")
    row = {"Id": record, "LastName": "L", "Company": "C", "Status": "Qualified", "IsConverted": True, "OwnerId": REP}
    org.org.insert_many("Lead", [row])
    (outcome,) = org.writer.set_stage([lead_change(org, record, "Working - Contacted")])
    assert outcome.result is Result.SUPERSEDED
    assert "CANNOT_UPDATE_CONVERTED_LEAD" in outcome.detail


def test_what_is_no_id_is_refused(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    bad, good = org.writer.set_stage([back(org, "../../Account/001"), back(org, deal)])
    assert (bad.result, good.result) == (Result.REFUSED, Result.APPLIED)
    (task,) = org.writer.open_tasks([task_change(org, "../x")])
    assert task.result is Result.REFUSED


def test_a_probability_that_a_person_set_survives_the_new_stage(org: SalesforceWorld) -> None:
    typed, plain = org.add_deals(2, LATE)
    org.edit(typed, Probability="40", ForecastCategoryName="Best Case")
    changes = org.writer.completed([back(org, typed), back(org, plain)])
    assert [change.beside for change in changes] == [
        {"Probability": "40", "ForecastCategoryName": "Best Case"},
        {},
    ]
    outcomes = org.writer.set_stage(changes)
    assert [(outcome.result, outcome.detail) for outcome in outcomes] == [(Result.APPLIED, "")] * 2
    sql = 'SELECT "StageName", "Probability", "ForecastCategory" FROM "Opportunity" ORDER BY "Id"'
    assert [tuple(row.values()) for row in org.org.database.rows(sql)] == [
        (EARLY, 40, "BestCase"),
        (EARLY, 10, "Pipeline"),
    ]


def test_moving_there_and_back_leaves_a_probability_as_it_was(org: SalesforceWorld) -> None:
    deals = org.add_deals(3, LATE)
    # 10 is the default of the stage that the deals are moved to, so it looks untouched there.
    for deal, probability in zip(deals, ("90", "40", "10"), strict=True):
        org.edit(deal, Probability=probability)
    there = org.writer.completed([back(org, deal) for deal in deals])
    org.writer.set_stage(there)
    org.clock.advance(minutes=1)
    again = [replace(stage_change(org, one.record, EARLY, LATE), beside=one.beside) for one in there]
    assert {outcome.result for outcome in org.writer.set_stage(again)} == {Result.APPLIED}
    sql = 'SELECT "Probability" FROM "Opportunity" ORDER BY "Id"'
    assert [row["Probability"] for row in org.org.database.rows(sql)] == [90, 40, 10]


def test_a_probability_that_may_not_be_written_does_not_stop_the_correction(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    org.edit(deal, Probability="40")
    org.org.faults.hidden_fields.add(("Opportunity", "Probability"))
    (change,) = org.writer.completed([back(org, deal)])
    assert change.beside == {}
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.APPLIED


def test_a_probability_that_may_only_be_read_is_on_record(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    org.edit(deal, Probability="40")
    org.org.faults.read_only_fields.add(("Opportunity", "Probability"))
    (change,) = org.writer.completed([back(org, deal)])
    assert change.beside["Probability"] == "40"
    (outcome,) = org.writer.set_stage([change])
    assert (outcome.result, org.stage_of(deal)) == (Result.APPLIED, EARLY)
    assert "Probability is '10', '40' was to stay" in outcome.detail


def test_a_stage_that_was_retired_since_the_plan_is_not_written(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)
    org.org.database.execute('UPDATE "OpportunityStage" SET "IsActive" = 0 WHERE "ApiName" = ?', (EARLY,))
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.REFUSED
    assert "no longer active" in outcome.detail
    assert org.stage_of(deal) == LATE
    assert org.org.calls["POST /composite"] == 0


def renamed(org: SalesforceWorld, old: str, new: str) -> None:
    """As an admin replaces a stage: its records follow, without a new LastModifiedDate."""
    with org.org.database.transaction():
        org.org.database.execute(
            'UPDATE "OpportunityStage" SET "ApiName" = ?, "MasterLabel" = ? WHERE "ApiName" = ?', (new, new, old)
        )
        org.org.database.execute('UPDATE "Opportunity" SET "StageName" = ? WHERE "StageName" = ?', (new, old))


def test_a_stage_that_was_replaced_since_the_plan_is_neither_written_nor_left(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)
    renamed(org, EARLY, "1 - Prospecting")
    (target,) = org.writer.set_stage([change])
    assert target.result is Result.REFUSED
    assert f"the org has no Opportunity.StageName '{EARLY}'" in target.detail
    renamed(org, "1 - Prospecting", EARLY)
    renamed(org, LATE, "4 - Negotiation")
    (origin,) = org.writer.set_stage([change])
    assert origin.result is Result.SUPERSEDED
    assert "'4 - Negotiation'" in origin.detail
    assert org.stage_of(deal) == "4 - Negotiation"
    assert org.org.calls["POST /composite"] == 0


def test_a_stage_with_a_new_label_is_the_same_stage(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)
    org.org.database.execute('UPDATE "OpportunityStage" SET "MasterLabel" = ? WHERE "ApiName" = ?', ("Zebra", EARLY))
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.APPLIED
    assert org.stage_of(deal) == EARLY


def test_a_new_task_has_the_status_and_priority_of_the_org(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    for table, column, old, new in (
        ("TaskStatus", "IsClosed", 0, "Offen"),
        ("TaskStatus", "IsClosed", 1, "Erledigt"),
        ("TaskPriority", "IsHighPriority", 0, "Mittel"),
    ):
        org.org.database.execute(f'DELETE FROM "{table}" WHERE "{column}" = ?', (old,))
        values = {"ApiName": new, "MasterLabel": new, "SortOrder": 1, column: bool(old), "IsDefault": not old}
        org.org.insert_many(table, [values])
    (made,) = org.writer.open_tasks([task_change(org, deal)])
    assert made.result is Result.APPLIED
    row = org.org.database.row('SELECT * FROM "Task" WHERE "Id" = ?', (made.crm_id,))
    assert row is not None
    assert (row["Status"], row["IsClosed"], row["Priority"]) == ("Offen", 0, "Mittel")
    (closed,) = org.writer.close_tasks([closing(org, deal, made.crm_id)])
    assert closed.result is Result.APPLIED
    assert org.org.database.value('SELECT "Status" FROM "Task" WHERE "Id" = ?', (made.crm_id,)) == "Erledigt"


@pytest.mark.parametrize(
    ("status", "why"), [("Closed - Converted", "converting"), ("Qualifed", "has no Lead.Status 'Qualifed'")]
)
def test_a_status_that_no_program_may_set_is_not_sent(org: SalesforceWorld, status: str, why: str) -> None:
    record = lead(org)
    (outcome,) = org.writer.set_stage([lead_change(org, record, status)])
    assert outcome.result is Result.REFUSED
    assert why in outcome.detail
    assert org.org.database.value('SELECT "Status" FROM "Lead" WHERE "Id" = ?', (record,)) == "Qualified"


def test_a_record_type_offers_only_some_stages(org: SalesforceWorld) -> None:
    renewal, plain = org.add_deals(2, LATE)
    kind = org.org.new_id("RecordType")
    org.org.insert_many("RecordType", [{"Id": kind, "Name": "Renewal", "SobjectType": "Opportunity"}])
    org.org.record_type_values[(kind, "StageName")] = frozenset({LATE, "Closed Won"})
    org.org.database.execute('UPDATE "Opportunity" SET "RecordTypeId" = ? WHERE "Id" = ?', (kind, renewal))
    first, second = org.writer.set_stage([back(org, renewal), back(org, plain)])
    assert (first.result, second.result) == (Result.REFUSED, Result.APPLIED)
    assert kind in first.detail
    assert (org.stage_of(renewal), org.stage_of(plain)) == (LATE, EARLY)


def test_a_record_in_an_approval_is_left_alone_in_the_words_of_the_org(org: SalesforceWorld) -> None:
    locked, free = org.add_deals(2, LATE)
    org.org.rules.approval_locks.add(locked)
    first, second = org.writer.set_stage([back(org, locked), back(org, free)])
    assert (first.result, second.result) == (Result.REFUSED, Result.APPLIED)
    assert first.detail == "ENTITY_IS_LOCKED: the entity is locked for editing"


@pytest.mark.parametrize("code", ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "APEX_ERROR", "CANNOT_EXECUTE_FLOW_TRIGGER"])
def test_a_lock_inside_the_words_of_a_trigger_is_tried_again(org: SalesforceWorld, code: str) -> None:
    hidden_lock, broken = org.add_deals(2, LATE)
    said = "AccountTrigger: System.DmlException: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
    org.org.rules.refusals[hidden_lock] = Refused(code, said, times=2)
    org.org.rules.refusals[broken] = Refused(code, "AccountTrigger: Attempt to de-reference a null object")
    first, second = org.writer.set_stage([back(org, hidden_lock), back(org, broken)])
    assert (first.result, second.result) == (Result.APPLIED, Result.REFUSED)
    assert "null object" in second.detail
    assert org.org.calls["POST /composite"] == 3


def test_a_value_that_the_org_does_not_take_is_not_sent_again_and_again(org: SalesforceWorld) -> None:
    deals = org.add_deals(60, LATE)
    said = "bad value for restricted picklist field: Prospecting"
    org.org.rules.refusals.update({deal: Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", said) for deal in deals})
    others = org.add_deals(1, LATE)
    changes = [*(back(org, deal) for deal in deals), stage_change(org, others[0], LATE, "Qualification")]
    outcomes = org.writer.set_stage(changes)
    assert [outcome.result for outcome in outcomes] == [Result.REFUSED] * 25 + [Result.FAILED] * 35 + [Result.APPLIED]
    assert {outcome.halt for outcome in outcomes[:60]} == {Halt.TARGET}
    assert org.org.calls["POST /composite"] == 2


@pytest.mark.parametrize("code", ["STORAGE_LIMIT_EXCEEDED", "TXN_SECURITY_METERING_ERROR"])
def test_an_org_that_takes_nothing_is_asked_once(org: SalesforceWorld, code: str) -> None:
    deals = org.add_deals(60, LATE)
    org.org.rules.refusals[deals[0]] = Refused(code, "the org says no")
    outcomes = org.writer.set_stage([back(org, deal) for deal in deals])
    assert outcomes[0].result is Result.REFUSED
    assert outcomes[0].halt is Halt.WRITES
    assert {outcome.result for outcome in outcomes[25:]} == {Result.FAILED}
    assert org.org.calls["POST /composite"] == 1


@pytest.mark.parametrize("code", ["ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"])
def test_a_record_that_goes_between_the_look_and_the_write_is_superseded(org: SalesforceWorld, code: str) -> None:
    (deal,) = org.add_deals(1, LATE)
    org.org.rules.refusals[deal] = Refused(code, "entity is deleted")
    (outcome,) = org.writer.set_stage([back(org, deal)])
    assert outcome.result is Result.SUPERSEDED


@pytest.mark.parametrize("count", [1, 25, 26, 200, 450])
def test_25_corrections_take_one_call(org: SalesforceWorld, count: int) -> None:
    deals, size = org.add_deals(count, LATE), org.writer.batch_size
    org.writer.set_stage([back(org, deal) for deal in org.add_deals(1, LATE)])
    org.org.calls.clear()
    for start in range(0, count, size):
        changes = org.writer.completed([back(org, deal) for deal in deals[start : start + size]])
        assert {outcome.result for outcome in org.writer.set_stage(changes)} == {Result.APPLIED}
    assert org.org.calls["POST /composite"] == sum(-(-min(200, count - start) // 25) for start in range(0, count, 200))
    # What was set by hand, a look before and a look after.
    assert org.org.calls["POST /composite/sobjects/Opportunity"] == 3 * -(-count // 200)
    asked = sum(calls for call, calls in org.org.calls.items() if call.startswith("GET"))
    assert asked <= 2  # that the org has stages with defaults, and which


def test_200_tasks_take_two_calls(org: SalesforceWorld) -> None:
    deals = org.add_deals(450, LATE)
    org.writer.open_tasks([task_change(org, deal) for deal in org.add_deals(1, LATE)])
    org.org.calls.clear()
    for start in range(0, 450, 200):
        changes = [task_change(org, deal, key=f"stagesync-{deal:0>20}") for deal in deals[start : start + 200]]
        assert {outcome.result for outcome in org.writer.open_tasks(changes)} == {Result.APPLIED}
    # A look for tasks with these keys, and the tasks.
    assert sum(org.org.calls.values()) == 2 * 3


def test_what_an_org_says_of_its_stages_is_a_minute_old_at_most(org: SalesforceWorld) -> None:
    seconds = [0.0]
    connection = SalesforceConnection(
        connection="crm", login_url=org.url, client_id=org.org.client_id, client_secret=org.org.client_secret
    )
    reader, writer = connect(connection, timer=lambda: seconds[0])
    first, second = org.add_deals(2, LATE)
    assert writer.set_stage([back(org, first)])[0].result is Result.APPLIED
    org.remove_stage(EARLY)
    seconds[0] = 60.0
    (outcome,) = writer.set_stage([back(org, second)])
    reader.close()
    assert outcome.result is Result.REFUSED
    assert "no longer active" in outcome.detail
    assert org.stage_of(second) == LATE


@pytest.mark.parametrize(
    "record", ["https://evil.example/x", "001000000000001AAA", "006'; --", "006", "", "../Account"]
)
def test_what_is_no_opportunity_is_never_sent(org: SalesforceWorld, record: str) -> None:
    change = stage_change(org, record, LATE, EARLY)
    before = org.org.calls["POST /composite"], org.org.calls["POST /composite/sobjects/Opportunity"]
    (stage,) = org.writer.set_stage(org.writer.completed([change]))
    (task,) = org.writer.open_tasks([task_change(org, record)])
    (closed,) = org.writer.close_tasks([closing(org, record, record)])
    assert {stage.result, task.result, closed.result} == {Result.REFUSED}
    assert before == (org.org.calls["POST /composite"], org.org.calls["POST /composite/sobjects/Opportunity"])
    assert org.org.database.value('SELECT COUNT(*) FROM "Task"') == 0


def test_numbers_and_truths_are_written_as_such(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = replace(back(org, deal), after={"StageName": EARLY, "Probability": "35", "NextStep": None})
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.APPLIED
    assert outcome.seen == {"StageName": EARLY, "Probability": "35", "NextStep": None}


def test_a_task_for_a_lead_hangs_on_the_lead(org: SalesforceWorld) -> None:
    record = lead(org)
    (outcome,) = org.writer.open_tasks([lead_task(org, record)])
    assert outcome.result is Result.APPLIED
    (row,) = org.org.database.rows('SELECT * FROM "Task"')
    assert (row["WhoId"], row["WhatId"]) == (record, None)
    assert (row["Status"], row["ActivityDate"]) == ("Not Started", "2026-12-01")


def test_long_texts_are_cut_after_a_word(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    org.writer.open_tasks([task_change(org, deal, subject="nachfragen " * 40, body="wort " * 10_000)])
    (task,) = org.tasks_of(deal)
    assert len(task.subject) <= 255
    assert task.subject.endswith(" nachfragen…")
    assert len(task.body) <= 32_000
    assert task.body.endswith(" wort…")


def test_inactive_owners_are_named_as_the_cause(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    (outcome,) = org.writer.open_tasks([task_change(org, deal, owner=GONE)])
    assert outcome.result is Result.REFUSED
    assert "inactive" in outcome.detail


def test_without_a_key_no_task_is_made(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    org.org.faults.hidden_fields.add(("Task", "StageSync_Key__c"))
    (outcome,) = org.writer.open_tasks([task_change(org, deal)])
    assert outcome.result is Result.REFUSED
    assert "Task.StageSync_Key__c" in outcome.detail
    assert org.tasks_of(deal) == []


@pytest.fixture
def marking(org: SalesforceWorld) -> Iterator[tuple[Reader, Any]]:
    """A connection to an org without a field for the key: the key is a line of the text."""
    org.org.faults.hidden_fields.add(("Task", "StageSync_Key__c"))
    reader, writer = marked(org)
    yield reader, writer
    reader.close()


def marked(org: SalesforceWorld, **more: Any) -> tuple[Reader, Any]:
    connection = SalesforceConnection(
        connection="crm",
        login_url=org.url,
        client_id=org.org.client_id,
        client_secret=org.org.client_secret,
        **{"task_key": "Description", **more},
    )
    return connect(connection, patience=Patience(tries=4), sleep=lambda _: None)


def test_a_line_in_the_text_stands_for_the_key(org: SalesforceWorld, marking: tuple[Reader, Any]) -> None:
    reader, writer = marking
    deals = org.add_deals(250, LATE)
    person = lead(org)
    changes = [*(task_change(org, deal, key=f"stagesync-{deal}") for deal in deals), lead_task(org, person)]
    first, again = writer.open_tasks(changes), writer.open_tasks(changes)
    assert {outcome.result for outcome in first} == {Result.APPLIED}
    assert {outcome.result for outcome in again} == {Result.ALREADY_SO}
    assert [outcome.crm_id for outcome in again] == [outcome.crm_id for outcome in first]
    assert org.org.database.value('SELECT COUNT(*) FROM "Task"') == 251
    (task,) = org.tasks_of(deals[0])
    assert task.body.endswith(f"\n\n[stagesync-{deals[0]}]")
    keys, records = [one.key for one in changes], [one.record for one in changes]
    assert reader.own_tasks(keys, records) == {one.key: one.crm_id for one in first}


def test_marked_tasks_that_a_rep_closed_deleted_or_renamed_are_not_made_again(
    org: SalesforceWorld, marking: tuple[Reader, Any]
) -> None:
    _, writer = marking
    deals = org.add_deals(3, LATE)
    changes = [task_change(org, deal, body="wort " * 10_000) for deal in deals]
    closed, deleted, renamed = (outcome.crm_id for outcome in writer.open_tasks(changes))
    org.complete(closed)
    org.delete_task(deleted)
    Writer(org.org, REP).update(SOBJECTS["Task"], renamed, {"Subject": "call", "OwnerId": org.org.integration_user_id})
    assert {outcome.result for outcome in writer.open_tasks(changes)} == {Result.ALREADY_SO}
    assert [len(org.tasks_of(deal)) for deal in deals] == [1, 0, 1]
    assert all(len(task.body) <= 32_000 for deal in deals for task in org.tasks_of(deal))


def test_a_lost_answer_makes_no_second_marked_task(org: SalesforceWorld, marking: tuple[Reader, Any]) -> None:
    reader, writer = marking
    (deal,) = org.add_deals(1, LATE)
    change = task_change(org, deal)
    org.lose_answers(1)
    (lost,) = writer.open_tasks([change])
    assert lost.result is Result.UNKNOWN
    assert reader.own_tasks([change.key], [deal]) == {change.key: org.tasks_of(deal)[0].id}
    (again,) = writer.open_tasks([change])
    assert again.result is Result.ALREADY_SO
    assert len(org.tasks_of(deal)) == 1


def test_200_tasks_in_a_call(org: SalesforceWorld) -> None:
    deals = org.add_deals(450, LATE)
    outcomes = [
        outcome
        for start in range(0, 450, org.writer.batch_size)
        for outcome in org.writer.open_tasks([task_change(org, one) for one in deals[start : start + 200]])
    ]
    assert {outcome.result for outcome in outcomes} == {Result.APPLIED}
    assert sum(count for call, count in org.org.calls.items() if call.startswith("PATCH /composite/sobjects")) == 3


def test_a_key_that_several_tasks_carry_makes_no_other(org: SalesforceWorld) -> None:
    org.org.loosen_key("Task", "StageSync_Key__c")
    (deal,) = org.add_deals(1, LATE)
    change = task_change(org, deal)
    twins = [{"StageSync_Key__c": change.key, "WhatId": deal, "Subject": "twin", "OwnerId": REP}] * 2
    org.org.insert_many("Task", twins)
    (outcome,) = org.writer.open_tasks([change])
    assert outcome.result is Result.ALREADY_SO
    assert len(org.tasks_of(deal)) == 2


def test_a_key_that_several_tasks_got_after_the_look_makes_no_other(
    org: SalesforceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.org.loosen_key("Task", "StageSync_Key__c")
    (deal,) = org.add_deals(1, LATE)
    change = task_change(org, deal)

    def two_others_are_faster(*given: Any) -> Any:
        twins = [{"StageSync_Key__c": change.key, "WhatId": deal, "Subject": "twin", "OwnerId": REP}] * 2
        org.org.insert_many("Task", twins)
        return collection_upsert(*given)

    monkeypatch.setattr(TASKS, two_others_are_faster)
    (outcome,) = org.writer.open_tasks([change])
    assert outcome.result is Result.ALREADY_SO
    assert len(org.tasks_of(deal)) == 2


def test_a_converted_lead_gets_no_task(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, EARLY)
    record = org.org.new_id("Lead")
    row = {"Id": record, "LastName": "L", "Company": "C", "Status": "Qualified", "IsConverted": True, "OwnerId": REP}
    org.org.insert_many("Lead", [{**row, "ConvertedOpportunityId": deal}])
    (outcome,) = org.writer.open_tasks([lead_task(org, record)])
    assert outcome.result is Result.SUPERSEDED
    assert f"opportunity {deal}" in outcome.detail
    assert org.org.database.value('SELECT COUNT(*) FROM "Task"') == 0


def test_the_fallback_owner_gets_what_an_inactive_one_cannot(org: SalesforceWorld) -> None:
    reader, writer = marked(org, task_key="StageSync_Key__c", fallback_owner=REP)
    queue = org.org.new_id("Group")
    org.org.insert_many("Group", [{"Id": queue, "Name": "Inbound", "Type": "Queue"}])
    deals = org.add_deals(3, LATE)
    owners = (GONE, queue, org.org.integration_user_id)
    outcomes = writer.open_tasks([task_change(org, one, owner=who) for one, who in zip(deals, owners, strict=True)])
    reader.close()
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 3
    assert [org.tasks_of(deal)[0].owner for deal in deals] == [REP, REP, org.org.integration_user_id]
    assert ["fallback owner" in outcome.detail for outcome in outcomes] == [True, True, False]


@pytest.mark.parametrize(
    "text",
    ['O\'Brien \\ "Söhne" 🚀 ', "x" * 100_000, "'; DELETE FROM Task --\n", "🚀" * 300 + "a\n" * 7_500, "🚀" * 16_001],
)
def test_any_text_arrives_or_is_cut(org: SalesforceWorld, text: str) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = task_change(org, deal, key=f"stagesync-{text[:100].strip()}", subject=text, body=text * 3)
    (outcome,) = org.writer.open_tasks([change])
    assert outcome.result is Result.APPLIED
    (task,) = org.tasks_of(deal)
    assert task.subject.startswith(text.strip()[:120])
    assert len(task.subject) <= 255
    assert len(task.body) <= 32_000
    assert task.subject.endswith("…") == (len(text) > 255)
    (again,) = org.writer.open_tasks([change])
    assert again.result is Result.ALREADY_SO


def test_two_runs_at_once_make_one_task(org: SalesforceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = task_change(org, deal)

    def another_run_is_faster(*given: Any) -> Any:
        monkeypatch.setattr(TASKS, collection_upsert)
        org.writer.open_tasks([change])
        return collection_upsert(*given)

    monkeypatch.setattr(TASKS, another_run_is_faster)
    (outcome,) = org.writer.open_tasks([change])
    assert outcome.result is Result.ALREADY_SO
    (task,) = org.tasks_of(deal)
    assert outcome.crm_id == task.id


def test_a_task_that_cannot_be_closed_says_why(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    (made,) = org.writer.open_tasks([task_change(org, deal)])
    assert made.crm_id
    org.org.faults.validation_rules[made.crm_id] = "Say how it went"
    (outcome,) = org.writer.close_tasks([closing(org, deal, made.crm_id)])
    assert outcome.result is Result.REFUSED
    assert "Say how it went" in outcome.detail
    (task,) = org.tasks_of(deal)
    assert not task.closed
