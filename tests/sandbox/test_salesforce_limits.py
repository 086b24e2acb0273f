"""The org's limits over HTTP: what is counted, where StageSync stops, and how it waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.base import Metered, Reader, Writer
from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.connectors.salesforce.limits import Meter, api_usage
from stagesync.errors import ConnectionFailed, CredentialsRefused, LimitReached
from stagesync.model.changes import Result
from stagesync.model.crm import Calls
from tests.conformance.salesforce_world import SalesforceWorld, salesforce_world
from tests.conformance.world import stage_change

from .conftest import Serve


@pytest.fixture
def crm(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    world = salesforce_world(serve, tmp_path)
    yield world
    world.reader.close()


def connected(crm: SalesforceWorld, share: float = 0.8, waits: list[float] | None = None) -> tuple[Reader, Writer]:
    connection = SalesforceConnection(
        connection="sales",
        login_url=crm.url,
        client_id=crm.org.client_id,
        client_secret=crm.org.client_secret,
        budget=share,
    )
    sleep = waits.append if waits is not None else (lambda _: None)
    return connect(connection, patience=Patience(tries=3, first_wait=0.5, longest_wait=30), sleep=sleep)


def calls_of(reader: Reader) -> Calls:
    assert isinstance(reader, Metered)
    return reader.calls()


def test_calls_and_the_pool_are_counted_refusals_too(crm: SalesforceWorld) -> None:
    reader, _ = connected(crm)
    assert calls_of(reader) == Calls(made=0, used=None, limit=None)
    crm.org.calls_used = 41
    reader.identity()
    assert calls_of(reader) == Calls(made=1, used=43, limit=100_000)  # the sandbox counts the login too
    crm.org.faults.unavailable = 1
    reader.identity()
    assert calls_of(reader) == Calls(made=3, used=45, limit=100_000)
    crm.org.faults.permanent_401 = True
    with pytest.raises(CredentialsRefused):
        reader.identity()
    assert calls_of(reader) == Calls(made=4, used=46, limit=100_000)


def test_the_budget_is_never_crossed(crm: SalesforceWorld) -> None:
    crm.add_deals(60, "Prospecting")
    crm.org.page_size = 2
    reader, _ = connected(crm)
    reader.identity()
    crm.org.calls_limit, crm.org.calls_used = 1_000, 780
    crm.org.calls.clear()
    said = (
        r"sales': 800 of the 1,000 API calls .* budget.share 0.8 stops StageSync at 800; GET http.*/query/.* not sent"
    )
    with pytest.raises(LimitReached, match=said) as caught:
        list(reader.pull(crm.deals))
    assert caught.value.exit_code == 3
    assert crm.org.calls_used == 800
    with pytest.raises(LimitReached):
        reader.identity()
    assert crm.org.calls_used == 800


def test_eight_threads_do_not_cross_it_either(crm: SalesforceWorld) -> None:
    reader, _ = connected(crm, share=0.5)
    reader.identity()
    crm.org.calls_limit, crm.org.calls_used = 100, 20
    reader.identity()

    def look(_: int) -> bool:
        try:
            reader.identity()
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        came = list(threads.map(look, range(64)))
    assert came.count(True) <= 29
    assert crm.org.calls_used <= 50


def test_a_full_budget_is_known_before_the_first_call_where_the_login_tells(crm: SalesforceWorld) -> None:
    crm.org.calls_limit, crm.org.calls_used = 1_000, 800
    reader, _ = connected(crm)
    with pytest.raises(LimitReached, match="801 of the 1,000"):
        reader.identity()
    assert crm.org.calls_used == 801  # the login, which Salesforce itself does not count
    assert connected(crm, share=1.0)[0].identity().key == crm.org.org_id


def test_writes_stop_at_the_budget_and_nothing_is_left_in_doubt(crm: SalesforceWorld) -> None:
    before, after, _ = crm.stages
    written_of: set[int] = set()
    for room in range(10):
        crm.org.calls_limit, crm.org.calls_used = 1_000_000, 0
        records = crm.add_deals(60, before)
        reader, writer = connected(crm, share=0.1)
        reader.identity()
        crm.org.calls_limit, crm.org.calls_used = 8_000, 800 - 1 - room
        reader.identity()
        try:
            outcomes = writer.set_stage([stage_change(crm, record, before, after) for record in records])
        except LimitReached:
            assert {crm.stage_of(record) for record in records} == {before}
            continue
        assert crm.org.calls_used <= 800
        for outcome, record in zip(outcomes, records, strict=True):
            landed = outcome.result in (Result.APPLIED, Result.UNKNOWN)
            assert landed or outcome.result is Result.FAILED, outcome
            assert (crm.stage_of(record) == after) is landed, outcome
        written_of.add(sum(crm.stage_of(record) == after for record in records))
    assert {0, 60} < written_of, "some had room for nothing, one for all, and others for a part"


def test_the_daily_limit_is_asked_once_and_says_how_much_is_used(crm: SalesforceWorld) -> None:
    reader, _ = connected(crm, share=1.0)
    reader.identity()
    crm.org.faults.daily_limit_reached = True
    crm.org.calls_used = 99_998
    said = r"TotalRequests Limit exceeded\. The org's API calls .* used up \(99,999 of 100,000\)"
    for _ in range(3):
        with pytest.raises(LimitReached, match=said) as caught:
            reader.identity()
        assert not isinstance(caught.value, CredentialsRefused)
    assert crm.org.calls_used == 99_999


def test_the_concurrent_limit_passes_in_seconds(crm: SalesforceWorld) -> None:
    waits: list[float] = []
    reader, writer = connected(crm, waits=waits)
    crm.org.faults.concurrent_limit = 2
    assert reader.identity().key == crm.org.org_id
    assert len(waits) == 2
    assert all(0 <= wait <= 30 for wait in waits)
    (record,) = crm.add_deals(1, crm.stages[0])
    crm.org.faults.concurrent_limit, crm.org.faults.retry_after = 1, 86_400
    (outcome,) = writer.set_stage([stage_change(crm, record, crm.stages[0], crm.stages[1])])
    assert outcome.result is Result.APPLIED
    # A second for that of the plan to end; then a Retry-After is obeyed, up to the longest wait.
    assert waits[2:] == [1.0, 30.0]


def test_the_concurrent_limit_is_not_waited_for_without_end(crm: SalesforceWorld) -> None:
    waits: list[float] = []
    reader, _ = connected(crm, waits=waits)
    reader.identity()
    crm.org.faults.concurrent_limit = 99
    with pytest.raises(ConnectionFailed, match="ConcurrentRequests") as caught:
        reader.identity()
    assert not isinstance(caught.value, LimitReached)
    assert len(waits) == 2


@pytest.mark.parametrize("page", [False, True])
def test_a_server_that_is_down_is_waited_for(crm: SalesforceWorld, page: bool) -> None:
    waits: list[float] = []
    reader, _ = connected(crm, waits=waits)
    reader.identity()
    crm.org.faults.unavailable, crm.org.faults.retry_after, crm.org.faults.unavailable_html = 2, 7, page
    assert reader.identity().key == crm.org.org_id
    assert waits == [7.0, 7.0]


@pytest.mark.parametrize(
    ("header", "usage"),
    [
        ("api-usage=18/5000", (18, 5000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)", (25, 5000)),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("per-app-api-usage=17/250(appName=x); api-usage=25/5000", (25, 5000)),
        ("api-usage=many", None),
        ("", None),
        (None, None),
    ],
)
def test_the_header_is_read(header: str | None, usage: tuple[int, int] | None) -> None:
    assert api_usage(header) == usage


PLACE = "https://acme.example/services/data/v67.0/query/"


def sent_until_stopped(meter: Meter, said: Callable[[int], str], most: int = 1_000) -> int:
    """How many calls went out one after the other; ``said`` is the header after so many."""
    for sent in range(most):
        try:
            meter.sending("GET", PLACE)
        except LimitReached:
            return sent
        meter.ended(PLACE)
        meter.heard(said(sent + 1))
    return most


def test_a_count_that_lags_behind_does_not_help_to_cross_the_budget() -> None:
    meter = Meter(SalesforceConnection(connection="sales", budget=0.5))
    assert sent_until_stopped(meter, lambda _: "api-usage=41/100") == 10, "the first of them is among the 41"
    meter.sending("POST", "https://acme.example/services/oauth2/token")
    assert meter.calls() == Calls(made=10, used=41, limit=100)


@given(limit=st.integers(1, 200), share=st.floats(0.01, 1), others=st.lists(st.integers(0, 9), max_size=20))
def test_only_a_call_that_surprises_crosses_the_budget(limit: int, share: float, others: list[int]) -> None:
    """The others may use any number meanwhile: no call is sent after a response that left no room for it."""
    meter = Meter(SalesforceConnection(connection="sales", budget=share))
    told: list[int] = []

    def said(sent: int) -> str:
        told.append(sum(others[:sent]) + sent)
        return f"api-usage={told[-1]}/{limit}"

    sent = sent_until_stopped(meter, said)
    budget = math.floor(limit * share)
    assert all(used + 1 <= budget for used in told[: sent - 1])
    assert told[-1] + 1 > budget, "and it does not stop while there is room"


def test_a_call_without_a_header_stops_nothing() -> None:
    meter = Meter(SalesforceConnection(connection="sales", budget=0.1))
    assert sent_until_stopped(meter, lambda _: "", most=50) == 50
    assert meter.calls() == Calls(made=50, used=None, limit=None)
