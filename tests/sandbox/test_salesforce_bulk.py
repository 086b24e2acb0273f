"""Whole readings by Bulk API 2.0 against the embedded org: whatever goes wrong, the mirror is that of REST pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from stagesync.agent.connection import Manner
from stagesync.connectors.base import Reader
from stagesync.connectors.salesforce import Patience, SalesforceConnection, bulk, connect
from stagesync.errors import ConnectionFailed, Interrupted, LimitReached
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.salesforce.faults import Faults
from tests.conformance.salesforce_world import SalesforceWorld, salesforce_world

from .conftest import Serve
from .test_salesforce_increments import Agency

UGLY = [
    'say "no"',
    "two\nlines",
    "a,b",
    "🦊 Müller",
    "=1+1",
    "'",
    "\r\n",
    '"',
    "back\\slash",
    "#N/A",
    "null",
    "x" * 60,
]
FULL = Manner(full=True)


def reader(world: SalesforceWorld, *, above: int, sleep: Callable[[float], None] = lambda _: None) -> Reader:
    connection = SalesforceConnection(
        connection="crm",
        login_url=world.url,
        client_id=world.org.client_id,
        client_secret=world.org.client_secret,
        bulk_above=above,
    )
    return connect(connection, patience=Patience(tries=4), sleep=sleep)[0]


class Office(Agency):
    """An org with ugly texts, of which one mirror is read by Bulk and the other by REST pages."""

    def __init__(self, world: SalesforceWorld, folder: Path, sleep: Callable[[float], None] = lambda _: None) -> None:
        super().__init__(world, folder)
        for number, text in enumerate(UGLY):
            account = self.create("Account", Name=f"Acme {text.strip() or number}")
            stated = {"Name": f"n {text} n", "NextStep": text.strip(), "Amount": number * 1e5 / 3}
            self.create("Opportunity", StageName="Prospecting", CloseDate="2026-12-31", AccountId=account, **stated)
            self.create("Lead", LastName=f"Okafor {text}", Company="Acme")
            self.call_somebody()
        self.by_bulk, self.by_rest = reader(world, above=0, sleep=sleep), reader(world, above=10**9)
        world.reader = self.by_bulk

    def assert_same(self) -> None:
        self.world.reader = self.by_rest
        super().assert_same()
        self.world.reader = self.by_bulk

    @property
    def jobs_left(self) -> int:
        return int(self.org.database.value("SELECT COUNT(*) FROM _job"))

    def asked(self, what: str) -> int:
        return self.org.calls[what]


@pytest.fixture
def world(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    made = salesforce_world(serve, tmp_path)
    yield made
    made.reader.close()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "RESULT_ROWS", 5)


SURVIVED: dict[str, Callable[[Faults], None]] = {
    "nothing": lambda _: None,
    "slow": lambda faults: setattr(faults, "bulk_looks", 9),
    "broken": lambda faults: setattr(faults, "broken_results", 3),
    "short": lambda faults: setattr(faults, "short_results", 3),
    "a page": lambda faults: setattr(faults, "page_for_results", 3),
    "lost locators": lambda faults: setattr(faults, "lost_result_locators", 2),
    "one header": lambda faults: setattr(faults, "one_header", True),
    "zulu": lambda faults: setattr(faults, "bulk_zulu", True),
    "limits forbidden": lambda faults: setattr(faults, "limits_forbidden", True),
}


@pytest.mark.parametrize("fault", list(SURVIVED))
def test_the_mirror_is_that_of_rest_pages(world: SalesforceWorld, tmp_path: Path, fault: str) -> None:
    office = Office(world, tmp_path)
    SURVIVED[fault](world.org.faults)
    with capture_logs() as logs:
        pulled = office.pull()
    assert [one for one in logs if one["event"] == "salesforce.bulk.not_used"] == []
    assert office.asked("POST /jobs/query") >= 4
    assert office.asked("GET /jobs/query/{id}/results") > office.asked("POST /jobs/query")
    assert office.jobs_left == 0
    assert {name: rows.height for name, rows in office.rows(office.mirror).items()} == pulled.rows
    office.assert_same()


FELL_BACK: dict[str, tuple[Callable[[SalesforceWorld], None], str]] = {
    "failed": (
        lambda world: setattr(world.org.faults, "bulk_end", ("Failed", "QUERY_TIMEOUT: too long")),
        "failed: QUERY_TIMEOUT: too long",
    ),
    "aborted": (lambda world: setattr(world.org.faults, "bulk_end", ("Aborted", "")), "was aborted by somebody"),
    "unsupported": (
        lambda world: world.org.faults.bulk_unsupported.add("Opportunity"),
        "Entity 'Opportunity' is not supported by the Bulk API.",
    ),
    "locators always lost": (lambda world: setattr(world.org.faults, "lost_result_locators", 10**6), "invalid query"),
    "job lost": (lambda world: setattr(world.org.faults, "lost_results", 10**6), "answered 404"),
    "always short": (lambda world: setattr(world.org.faults, "short_results", 10**6), "cannot be decoded"),
    "no jobs left": (lambda world: setattr(world.org, "bulk_jobs_used", 9_000), "9,000 of the 10,000 bulk queries"),
    "never done": (lambda world: setattr(world.org.faults, "bulk_looks", 10**6), "not done after 5 minutes"),
}


@pytest.mark.parametrize("fault", list(FELL_BACK))
def test_what_bulk_cannot_do_comes_by_rest_and_the_log_says_why(
    world: SalesforceWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(bulk, "LONGEST_JOB", 300)
    office = Office(world, tmp_path)
    strike, reason = FELL_BACK[fault]
    strike(world)
    with capture_logs() as logs:
        pulled = office.pull()
    said = [one for one in logs if one["event"] == "salesforce.bulk.not_used"]
    assert all(reason in one["reason"] for one in said)
    assert fault != "never done" or office.asked("POST /jobs/query") == 1
    assert "Opportunity" in {one["table"] for one in said}
    assert office.jobs_left == 0
    assert {name: rows.height for name, rows in office.rows(office.mirror).items()} == pulled.rows
    office.assert_same()


@pytest.mark.parametrize("fault", ["heavy_queries", "heavy_pages"])
def test_what_a_query_takes_too_long_for_comes_by_bulk(world: SalesforceWorld, tmp_path: Path, fault: str) -> None:
    office = Office(world, tmp_path)
    world.reader, world.org.page_size = office.by_rest, 5
    heavy: set[str] = getattr(world.org.faults, fault)
    heavy.add("Opportunity")
    with capture_logs() as logs:
        office.pull()
    assert [one["table"] for one in logs if one["event"] == "salesforce.query.too_heavy"] == ["Opportunity"]
    assert office.asked("POST /jobs/query") == 1
    assert office.jobs_left == 0
    heavy.clear()
    office.assert_same()


def test_what_neither_way_can_read_says_both_reasons(world: SalesforceWorld, tmp_path: Path) -> None:
    office = Office(world, tmp_path)
    world.reader = office.by_rest
    world.org.faults.heavy_queries.add("Opportunity")
    world.org.faults.bulk_end = ("Failed", "QUERY_TIMEOUT: too long")
    with pytest.raises(ConnectionFailed, match=r"running for too long.*Bulk API 2\.0.*QUERY_TIMEOUT: too long"):
        office.pull()


def test_a_missing_page_of_results_is_noticed(
    world: SalesforceWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(world, tmp_path)
    results = bulk._decoded

    def without_locator(*args: object, **more: object) -> object:
        found = results(*args, **more)  # type: ignore[arg-type]
        return bulk.Results(rows=found.rows, locator=None, size=found.size)

    monkeypatch.setattr(bulk, "_decoded", without_locator)
    with capture_logs() as logs:
        office.pull()
    assert any("its results hold 5" in one.get("reason", "") for one in logs)
    office.assert_same()


@pytest.mark.parametrize(("above", "jobs"), [(len(UGLY), 0), (len(UGLY) - 1, 1)])
def test_the_number_of_records_decides(world: SalesforceWorld, tmp_path: Path, above: int, jobs: int) -> None:
    office = Office(world, tmp_path)
    deals = reader(world, above=above)
    assert sum(page.rows.height for page in deals.pull(world.deals)) == len(UGLY)
    assert office.asked("POST /jobs/query") == jobs
    assert office.asked("GET /query/{locator}") == 0
    deals.close()


def test_what_changes_while_the_job_runs_is_brought_by_the_next_pull(world: SalesforceWorld, tmp_path: Path) -> None:
    busy: list[Callable[[], None]] = []

    def sleep(_seconds: float) -> None:
        if busy:
            busy.pop()()

    office = Office(world, tmp_path, sleep)
    office.clock.advance(hours=1)
    world.org.faults.bulk_looks = 20
    busy += [office.new_deal, office.delete_something, office.move_deal, office.grow, office.commit_late] * 4
    office.pull(FULL)
    assert not busy
    office.clock.advance(seconds=5)
    made = office.asked("POST /jobs/query")
    office.pull()
    assert office.asked("POST /jobs/query") - made <= 1, "only a table that is read whole each time"
    office.assert_same()


def test_a_stop_while_the_job_runs_aborts_and_removes_it(world: SalesforceWorld, tmp_path: Path) -> None:
    office = Office(world, tmp_path)
    office.pull()
    before = office.rows(office.mirror)
    office.new_deal()
    stop, slept = Event(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 30:
            stop.set()

    office.by_bulk.close()
    world.reader = reader(world, above=0, sleep=sleep)
    world.org.faults.bulk_looks = 10**6
    with pytest.raises(Interrupted):
        office.pull(FULL, stop=stop)
    assert len(slept) == 30
    assert max(slept) <= 1
    assert office.asked("PATCH /jobs/query/{id}") == 1
    assert office.jobs_left == 0
    after = office.rows(office.mirror)
    assert all(after[name].equals(rows) for name, rows in before.items())


def test_an_org_that_cannot_be_reached_ends_the_pull_and_leaves_the_mirror(
    world: SalesforceWorld, tmp_path: Path
) -> None:
    office = Office(world, tmp_path)
    office.pull()
    before = office.rows(office.mirror)
    world.org.faults.broken_results = 10**6
    with pytest.raises(ConnectionFailed):
        office.pull(FULL)
    assert office.jobs_left == 0
    world.org.faults.broken_results = 0
    world.org.faults.unavailable, world.org.faults.unavailable_html = 10**6, True
    with pytest.raises(ConnectionFailed):
        office.pull(FULL)
    world.org.faults.unavailable = 0
    after = office.rows(office.mirror)
    assert all(after[name].equals(rows) for name, rows in before.items())


def test_the_budget_of_calls_holds_for_looks_at_a_job(world: SalesforceWorld, tmp_path: Path) -> None:
    office = Office(world, tmp_path)
    world.org.faults.bulk_looks = 10**6
    world.org.calls_limit = world.org.calls_used + 100
    with pytest.raises(LimitReached):
        office.pull()
    assert world.org.calls_used <= 0.8 * world.org.calls_limit


def test_a_field_that_bulk_does_not_know_is_read_by_rest(
    world: SalesforceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_deals(3, "Prospecting")
    monkeypatch.setattr(bulk, "UNFIT", frozenset({"currency"}))
    deals = reader(world, above=0)
    with capture_logs() as logs:
        (page,) = deals.pull(world.deals)
    assert page.rows.height == 3
    assert "Amount: fields of this kind" in next(one["reason"] for one in logs if "reason" in one)
    assert world.org.calls["POST /jobs/query"] == 0
    deals.close()


def test_parents_come_by_bulk_too(world: SalesforceWorld, tmp_path: Path) -> None:
    office = Office(world, tmp_path)
    columns = {
        "Account.Name": ColumnType.TEXT,
        "Owner.Name": ColumnType.TEXT,
        "Account.Owner.IsActive": ColumnType.BOOLEAN,
    }
    table = Table(name="Opportunity", key="Id", columns=columns)
    found = []
    for one in (office.by_bulk, office.by_rest):
        rows = [row for page in one.pull(table) for row in page.rows.iter_rows()]
        found.append(sorted(rows))
    assert found[0] == found[1]
    assert office.asked("POST /jobs/query") == 1
    assert any(row[1] == "Acme 🦊 Müller" for row in found[0])
