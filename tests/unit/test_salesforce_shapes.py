"""Answers of an org that are spelled otherwise than the embedded one spells them, and mean the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from stagesync.connectors.salesforce import Patience, SalesforceConnection
from stagesync.connectors.salesforce.describes import described_together
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.rows import Patch, collection_update, conditional_updates
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.shapes import next_path, shaped
from stagesync.connectors.salesforce.sobjects import SObject
from stagesync.connectors.salesforce.task_states import task_states
from stagesync.connectors.salesforce.tokens import Granted
from stagesync.errors import ConnectionFailed
from stagesync.model.tasks import Ending

ORG = "https://acme.my.salesforce.com"
DATA = f"{ORG}/services/data/v67.0"
NEXT = "/services/data/v67.0/query/01g-2"
GONE = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def session() -> OrgSession:
    connection = SalesforceConnection(connection="c", login_url=ORG, access_token="t", instance_url=ORG)
    return OrgSession(connection, Patience(tries=2, first_wait=0.001, longest_wait=0.01), sleep=lambda _seconds: None)


def listed(wire: responses.RequestsMock, *pages: Any) -> list[str]:
    """The ids that a small query brings, whose first page is followed by these."""
    first = {"done": False, "nextRecordsUrl": NEXT, "records": [{"Id": "a"}, {"Id": "b"}]}
    wire.add(responses.GET, f"{DATA}/query/", json=first)
    for page in pages:
        status = 200 if isinstance(page, dict) else 400
        wire.add(responses.GET, ORG + NEXT, status=status, json=page)
    opened = session()
    return [row["Id"] for row in Records(opened, Schema(opened)).rows("SELECT Id FROM User")]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (NEXT, NEXT),
        (ORG + NEXT, NEXT),
        ("https://evil.example" + NEXT, NEXT),
        ("https://evil.example/else", None),
        ("query/01g-2", None),
        (None, None),
    ],
)
def test_the_next_page_is_asked_of_the_org_alone(url: str | None, path: str | None) -> None:
    assert next_path(url) == path


def test_a_small_list_goes_on_where_its_locator_ended(wire: responses.RequestsMock) -> None:
    last = {"done": True, "nextRecordsUrl": None, "records": [{"Id": "c"}]}
    assert listed(wire, GONE, last) == ["a", "b", "c"]


@pytest.mark.parametrize("url", [None, "", "query/01g-2"])
def test_a_small_list_that_does_not_say_how_it_goes_on_is_no_shorter_one(
    wire: responses.RequestsMock, url: str | None
) -> None:
    with pytest.raises(ConnectionFailed, match="cannot be decoded"):
        listed(wire, {"done": False, "nextRecordsUrl": url, "records": [{"Id": "c"}]})


def composite(wire: responses.RequestsMock, *parts: dict[str, Any]) -> None:
    wire.add(responses.POST, f"{DATA}/composite", json={"compositeResponse": list(parts)})


def test_the_parts_of_a_composite_answer_may_come_in_any_order(wire: responses.RequestsMock) -> None:
    refused = [{"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no", "fields": None}]
    halted = [{"errorCode": "PROCESSING_HALTED", "message": "another one failed"}]
    composite(
        wire,
        {"referenceId": "r3", "httpStatusCode": 412, "body": None, "httpHeaders": {}},
        {"referenceId": "r1", "httpStatusCode": 400, "body": refused},
        {"referenceId": "r4", "httpStatusCode": 400, "body": halted},
        {"referenceId": "r0", "httpStatusCode": 204, "body": None},
    )
    patches = [
        Patch(path=f"sobjects/Lead/{number}", target="t", fields={}, unmodified_since=None) for number in range(5)
    ]
    first, second, unanswered, conflict, other = conditional_updates(session(), patches)
    assert (first.ok, second.ok, second.said) == (True, False, "FIELD_CUSTOM_VALIDATION_EXCEPTION: no")
    assert (unanswered.ok, unanswered.lost) == (False, True)
    assert (conflict.ok, conflict.conflict) == (False, True)
    assert (other.ok, other.passing) == (False, True)


def test_each_object_is_described_as_itself(wire: responses.RequestsMock) -> None:
    def part(reference: str, name: str) -> dict[str, Any]:
        return {"referenceId": reference, "httpStatusCode": 200, "body": {"name": name, "fields": []}}

    composite(wire, part("d1", "Opportunity"), part("d0", "Lead"))
    found = described_together(session(), ["Lead", "Opportunity", "Account"])
    assert {name: one and one.name for name, one in found.items()} == {"Lead": "Lead", "Opportunity": "Opportunity"}


def test_the_page_of_something_on_the_way_is_no_proof_that_there_is_no_such_object(
    wire: responses.RequestsMock,
) -> None:
    absent = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
    wire.add(responses.GET, f"{DATA}/sobjects/Lead/describe", status=404, json=absent)
    wire.add(responses.GET, f"{DATA}/sobjects/Account/describe", status=404, body="<html>")
    schema = Schema(session())
    assert schema.describe("Lead") is None
    with pytest.raises(ConnectionFailed, match="answered 404"):
        schema.describe("Account")


def test_null_says_no_more_than_absence(wire: responses.RequestsMock) -> None:
    lead = {"name": "Lead", "keyPrefix": None, "fields": [{"name": "Id", "label": None, "picklistValues": None}]}
    (field,) = shaped(json.dumps(lead).encode(), SObject).fields
    assert (field.label, field.picklistValues, field.referenceTo) == ("", (), ())
    token = shaped(json.dumps({"access_token": "t", "instance_url": ORG, "id": None, "scope": None}).encode(), Granted)
    assert (token.org, token.scope) == (None, None)
    wire.add(responses.PATCH, f"{DATA}/composite/sobjects", json=[{"id": "a", "success": True, "errors": None}])
    assert [one.ok for one in collection_update(session(), [{"id": "a"}])] == [True]
    with pytest.raises(ValueError, match="access_token"):
        shaped(b'{"access_token":null,"instance_url":"x"}', Granted)


@pytest.mark.parametrize(
    "moment", ["2026-10-01T12:00:00.000+0000", "2026-10-01T12:00:00Z", "2026-10-01T14:00:00+02:00"]
)
def test_a_task_in_the_bin_has_its_moment_however_it_is_spelled(wire: responses.RequestsMock, moment: str) -> None:
    names = ("Id", "Status", "IsClosed", "IsDeleted", "SystemModstamp")
    described = {"name": "Task", "fields": [{"name": name} for name in names]}
    task = "00T000000000001AAA"
    row = {"Id": task, "Status": "New", "IsClosed": False, "IsDeleted": True, "SystemModstamp": moment}
    wire.add(responses.GET, f"{DATA}/sobjects/Task/describe", json=described)
    wire.add(responses.POST, f"{DATA}/composite/sobjects/Task", json=[None])
    wire.add(responses.GET, f"{DATA}/queryAll/", json={"done": True, "records": [row]})
    opened = session()
    schema = Schema(opened)
    state = task_states(Records(opened, schema), schema, "Task", [task])[task]
    assert state.ended is Ending.DELETED
    assert state.at is not None
    assert state.at.isoformat() == "2026-10-01T12:00:00+00:00"
