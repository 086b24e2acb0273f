"""Each code that Salesforce documents for a row, and what becomes of the row, of its neighbour and of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stagesync.model.changes import Halt, Result
from stagesync.sandbox.salesforce.rules import Refused
from tests.conformance.salesforce_world import SalesforceWorld, salesforce_world
from tests.conformance.world import stage_change, task_change

from .conftest import Serve

EARLY, LATE = "Prospecting", "Negotiation/Review"
TRIES = 4
"""Of the world's patience."""
DAILY, CROWD = "TotalRequests Limit exceeded.", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
NOT_AGAIN = (
    "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    "CANNOT_EXECUTE_FLOW_TRIGGER",
    "APEX_ERROR",
    "REQUIRED_FIELD_MISSING",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    "INVALID_FIELD_FOR_INSERT_UPDATE",
    "ENTITY_IS_LOCKED",
    "DUPLICATES_DETECTED",
    "INACTIVE_OWNER_OR_USER",
    "STRING_TOO_LONG",
    "INVALID_TYPE_ON_FIELD_IN_RECORD",
    "MALFORMED_ID",
    "A_CODE_OF_NEXT_YEAR",
)
GONE = ("ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND")
Case = tuple[str, str, Result, Halt | None, int]
"""Code, message, what becomes of the row, what else is not tried, how often the row is sent."""
CASES: list[Case] = [
    *((code, "no", Result.REFUSED, None, 1) for code in NOT_AGAIN),
    *((code, "gone", Result.SUPERSEDED, None, 1) for code in GONE),
    # It moved on. What it became needs its own task.
    ("CANNOT_UPDATE_CONVERTED_LEAD", "converted", Result.SUPERSEDED, None, 1),
    ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value", Result.REFUSED, Halt.TARGET, 1),
    ("STORAGE_LIMIT_EXCEEDED", "full", Result.REFUSED, Halt.WRITES, 1),
    ("TXN_SECURITY_METERING_ERROR", "policy", Result.REFUSED, Halt.WRITES, 1),
    ("REQUEST_LIMIT_EXCEEDED", DAILY, Result.FAILED, Halt.WRITES, 1),
    ("REQUEST_LIMIT_EXCEEDED", CROWD, Result.FAILED, None, 1),
    ("SERVER_UNAVAILABLE", "busy", Result.FAILED, None, 1),
    ("UNKNOWN_EXCEPTION", "ErrorId: 1", Result.FAILED, None, 1),
    ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", Result.FAILED, None, TRIES),
    ("APEX_ERROR", "System.DmlException: UNABLE_TO_LOCK_ROW", Result.FAILED, None, TRIES),
]
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{case[1].split()[0]}" for case in CASES])


@pytest.fixture
def org(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    world = salesforce_world(serve, tmp_path)
    yield world
    world.reader.close()


@each_case
def test_a_correction(org: SalesforceWorld, case: Case) -> None:
    code, said, result, halt, sent = case
    bad, good = org.add_deals(2, LATE)
    org.org.rules.refusals[bad] = Refused(code, said)
    first, second = org.writer.set_stage([stage_change(org, deal, LATE, EARLY) for deal in (bad, good)])
    assert (first.result, first.halt) == (result, halt)
    assert f"{code}: {said}" in first.detail
    assert second.result is Result.APPLIED
    assert (org.stage_of(bad), org.stage_of(good)) == (LATE, EARLY)
    assert org.org.calls["POST /composite"] == sent


@each_case
def test_a_task(org: SalesforceWorld, case: Case) -> None:
    code, said, result, halt, sent = case
    bad, good = org.add_deals(2, LATE)
    org.org.rules.refusals[bad] = Refused(code, said)
    first, second = org.writer.open_tasks([task_change(org, deal) for deal in (bad, good)])
    assert (first.result, first.halt) == (result, halt)
    assert code in first.detail or "inactive" in first.detail or "converted" in first.detail
    assert second.result is Result.APPLIED
    assert [len(org.tasks_of(deal)) for deal in (bad, good)] == [0, 1]
    assert org.org.calls["PATCH /composite/sobjects/Task/{key}"] == sent


@pytest.mark.parametrize("code", ["DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID"])
def test_a_key_that_is_said_to_be_there_and_is_not_makes_no_task_and_is_tried_again(
    org: SalesforceWorld, code: str
) -> None:
    (deal,) = org.add_deals(1, LATE)
    change = task_change(org, deal)
    org.org.rules.refusals[deal] = Refused(code, "duplicate value found", times=1)
    (first,) = org.writer.open_tasks([change])
    assert first.result in {Result.FAILED, Result.REFUSED}
    assert code in first.detail
    (again,) = org.writer.open_tasks([change])
    assert again.result is Result.APPLIED
    assert len(org.tasks_of(deal)) == 1
