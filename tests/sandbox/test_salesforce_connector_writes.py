"""The Salesforce writer against the embedded org: what only Salesforce has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagesync.connectors.salesforce.rows import collection_upsert, conditional_updates
from stagesync.model.changes import Change, Result
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


def test_activity_on_a_deal_does_not_stand_in_the_way(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = back(org, deal)
    org.clock.advance(hours=1)
    (task,) = org.writer.open_tasks([task_change(org, deal)])
    assert task.crm_id
    org.complete(task.crm_id)
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.APPLIED


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


@pytest.mark.parametrize("fault", ["drop_after_commit", "unavailable"])
def test_a_write_without_an_answer_is_unknown(
    org: SalesforceWorld, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (deal,) = org.add_deals(1, LATE)

    def then_silence(*given: Any) -> Any:
        setattr(org.org.faults, fault, 1)
        return conditional_updates(*given)

    monkeypatch.setattr(STAGES, then_silence)
    (outcome,) = org.writer.set_stage([back(org, deal)])
    assert outcome.result is Result.UNKNOWN
    assert outcome.seen == {"StageName": org.stage_of(deal)}
    assert org.org.calls["POST /composite"] == 1


def test_a_converted_lead_is_left_alone(org: SalesforceWorld) -> None:
    record = org.org.new_id("Lead")
    row = {"Id": record, "LastName": "L", "Company": "C", "Status": "Qualified", "IsConverted": True, "OwnerId": REP}
    org.org.insert_many("Lead", [row])
    (outcome,) = org.writer.set_stage([lead_change(org, record, "Working - Contacted")])
    assert outcome.result is Result.REFUSED
    assert "CANNOT_UPDATE_CONVERTED_LEAD" in outcome.detail


def test_what_is_no_id_is_refused(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    bad, good = org.writer.set_stage([back(org, "../../Account/001"), back(org, deal)])
    assert (bad.result, good.result) == (Result.REFUSED, Result.APPLIED)
    (task,) = org.writer.open_tasks([task_change(org, "../x")])
    assert task.result is Result.REFUSED


def test_numbers_and_truths_are_written_as_such(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = replace(back(org, deal), after={"StageName": EARLY, "Probability": "35", "NextStep": None})
    (outcome,) = org.writer.set_stage([change])
    assert outcome.result is Result.APPLIED
    assert outcome.seen == {"StageName": EARLY, "Probability": "35", "NextStep": None}


def test_a_task_for_a_lead_hangs_on_the_lead(org: SalesforceWorld) -> None:
    record = lead(org)
    (outcome,) = org.writer.open_tasks([task_change(org, record)])
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
