"""A pull over an unreliable wire, and texts that must fit a task."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.connectors.salesforce.task_writes import shortened
from stagesync.errors import ConnectionFailed
from stagesync.model.frames import Page
from stagesync.model.tables import ColumnType, Table

ORG = "https://acme.my.salesforce.com"
DATA = f"{ORG}/services/data/v67.0"
NEXT = "/services/data/v67.0/query/01g-2"
LEADS = Table(name="Lead", key="Id", columns={"Status": ColumnType.TEXT})
FIRST = b'{"done":false,"nextRecordsUrl":"%s","records":[{"Id":"a","Status":"New"}]}' % NEXT.encode()
LAST = b'{"done":true,"records":[{"Id":"b","Status":""}]}'


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        fields = [{"name": "Id", "type": "id"}, {"name": "Status", "type": "picklist"}]
        mock.add(responses.GET, f"{DATA}/sobjects/Lead/describe", json={"name": "Lead", "fields": fields})
        mock.add(responses.GET, f"{DATA}/query/", body=FIRST)
        yield mock


def pull(waits: list[float]) -> Iterator[Page]:
    connection = SalesforceConnection(connection="c", login_url=ORG, access_token="t", instance_url=ORG)
    reader, _ = connect(connection, patience=Patience(tries=3, longest_wait=7), sleep=waits.append)
    return reader.pull(LEADS)


def test_a_cut_off_page_is_read_again(wire: responses.RequestsMock) -> None:
    wire.add(responses.GET, ORG + NEXT, body=LAST[:-20])
    wire.add(responses.GET, ORG + NEXT, body=b"<html>Down for maintenance</html>")
    wire.add(responses.GET, ORG + NEXT, body=LAST)
    assert [page.rows.rows() for page in pull([])] == [[("a", "New")], [("b", None)]]


def test_a_page_that_stays_cut_off_is_a_failure_after_the_pages_before_it(wire: responses.RequestsMock) -> None:
    wire.add(responses.GET, ORG + NEXT, body=LAST[:-20])
    pages = pull([])
    assert next(pages).rows.height == 1
    with pytest.raises(ConnectionFailed, match="cut off"):
        next(pages)


@pytest.mark.parametrize(("header", "wait"), [("2", 2.0), ("86400", 7.0), ("Fri, 01 Jan 2038 00:00:00 GMT", 7.0)])
def test_retry_after_is_obeyed_up_to_the_longest_wait(wire: responses.RequestsMock, header: str, wait: float) -> None:
    wire.add(responses.GET, ORG + NEXT, status=503, headers={"Retry-After": header})
    wire.add(responses.GET, ORG + NEXT, body=LAST)
    waits: list[float] = []
    assert len(list(pull(waits))) == 2
    assert waits == [wait]


def test_a_locator_that_ended_goes_on_after_the_last_id(wire: responses.RequestsMock) -> None:
    gone = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
    wire.add(responses.GET, ORG + NEXT, status=400, json=gone)
    wire.add(responses.GET, f"{DATA}/query/", body=LAST)
    assert len(list(pull([]))) == 2
    queries = [q for call in wire.calls for q in parse_qs(urlsplit(str(call.request.url)).query).get("q", [])]
    assert queries == [
        "SELECT Id, Status FROM Lead ORDER BY Id",
        "SELECT Id, Status FROM Lead WHERE Id > 'a' ORDER BY Id",
    ]


def test_pages_that_run_in_a_circle_come_to_an_end(wire: responses.RequestsMock) -> None:
    wire.add(responses.GET, ORG + NEXT, body=FIRST)
    with pytest.raises(ConnectionFailed, match="the pages of Lead run in a circle"):
        list(pull([]))


def test_shortened() -> None:
    assert shortened("one two", 7) == "one two"
    assert shortened("one two three", 9) == "one two…"
    assert shortened("one two three", 8) == "one two…"
    assert shortened("unbreakable", 5) == "unbr…"


@given(st.text(), st.integers(1, 50))
def test_shortened_texts_fit_and_begin_alike(text: str, length: int) -> None:
    short = shortened(text, length)
    assert len(short) <= length
    assert short == text or text.startswith(short[:-1])


def test_changes_that_are_too_heavy_for_the_org_are_not_told(wire: responses.RequestsMock) -> None:
    fields = [{"name": "Id", "type": "id"}, {"name": "SystemModstamp", "type": "datetime"}]
    date = {"Date": "Sun, 22 Nov 2026 09:00:00 GMT"}
    wire.add(responses.GET, f"{DATA}/sobjects/Task/describe", json={"name": "Task", "fields": fields}, headers=date)
    heavy = [{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}]
    wire.replace(responses.GET, f"{DATA}/query/", status=400, json=heavy)
    connection = SalesforceConnection(connection="c", login_url=ORG, access_token="t", instance_url=ORG)
    increments = connect(connection, sleep=lambda _: None)[0].increments
    assert increments is not None
    tasks = Table(name="Task", key="Id", columns={})
    assert increments.cursor(tasks) == "2026-11-22T08:59:00Z"
    assert increments.changes(tasks, "2026-11-22T08:59:00Z") is None
    (asked,) = [call.request.url for call in wire.calls if "/query/" in str(call.request.url)]
    assert (
        "SystemModstamp >= 2026-11-22T08:49:00Z ORDER BY SystemModstamp, Id"
        in parse_qs(urlsplit(str(asked)).query)["q"][0]
    )
