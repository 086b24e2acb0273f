"""Increments against the embedded org: after whatever happened, the mirror holds what a whole pull would bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from msgspec import structs

from stagesync.agent.connection import Manner
from stagesync.connectors.salesforce import increments
from stagesync.errors import ConnectionFailed
from stagesync.model.tables import ColumnType, Table
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping
from stagesync.sandbox.salesforce.query import Reader
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from tests.conformance.salesforce_world import REP, SalesforceWorld, salesforce_world
from tests.conformance.world import START
from tests.thorough import tries

from .conftest import Serve
from .pulled_again import CHANGES_ALONE, PulledAgain

CONFIG = Path(__file__).parents[2] / "config"
QUERIES = ("GET /query", "GET /queryAll", "GET /query/{locator}")
STAGES = ("Prospecting", "Qualification", "Closed Lost")


class Agency(PulledAgain):
    """A mirror of an org that is pulled again and again, and a company that works in the org in between."""

    def __init__(self, world: SalesforceWorld, folder: Path, seed: int = 0) -> None:
        definition = load_definition(CONFIG / "definitions" / "recommended.yaml")
        mapping = load_mapping(CONFIG / "mappings" / "salesforce.yaml", definition)
        super().__init__(world, folder, mapping, seed)
        self.world, self.org = world, world.org
        self.person = Writer(self.org, REP)
        self.accounts = [self.create("Account", Name=f"Acme {n}", NumberOfEmployees=n) for n in range(3)]

    def create(self, name: str, **values: object) -> str:
        return self.person.create(SOBJECTS[name], values)

    def some(self, name: str) -> str | None:
        shown = [
            row["Id"]
            for row in self.org.database.rows(f'SELECT "Id" FROM "{name}" WHERE "IsDeleted" = 0 ORDER BY "Id"')
            if row["Id"] not in self.org.faults.hidden_records
        ]
        return self.random.choice(shown) if shown else None

    # what a company does

    def new_deal(self) -> None:
        account = self.random.choice([None, self.some("Account")])
        self.create("Opportunity", Name="Deal", StageName="Prospecting", CloseDate="2026-12-31", AccountId=account)

    def new_lead(self) -> None:
        self.create("Lead", LastName="Okafor", Company="Acme")

    def move_deal(self) -> None:
        if deal := self.some("Opportunity"):
            self.person.update(SOBJECTS["Opportunity"], deal, {"StageName": self.random.choice(STAGES)})

    def grow(self) -> None:
        if account := self.some("Account"):
            count = self.random.randrange(1_000)
            self.person.update(SOBJECTS["Account"], account, {"NumberOfEmployees": count})

    def call_somebody(self) -> None:
        if deal := self.some("Opportunity"):
            self.create("Task", Subject="Call", WhatId=deal, Status=self.random.choice(["Completed", "Not Started"]))

    def delete_something(self) -> None:
        name = self.random.choice(["Opportunity", "Lead", "Task"])
        if record := self.some(name):
            self.person.delete(SOBJECTS[name], record)

    def restore_something(self) -> None:
        found = self.org.database.rows('SELECT "Id" FROM "Opportunity" WHERE "IsDeleted" = 1')
        if found:
            sql = 'UPDATE "Opportunity" SET "IsDeleted" = 0, "SystemModstamp" = ? WHERE "Id" = ?'
            self.org.database.execute(sql, (self.org.stamp(), self.random.choice(found)["Id"]))

    def bulk_change(self) -> None:
        self.org.database.execute(
            'UPDATE "Lead" SET "Status" = ?, "SystemModstamp" = ? WHERE "IsDeleted" = 0',
            (self.random.choice(["Qualified", "Nurturing"]), self.org.stamp()),
        )

    def commit_late(self) -> None:
        """A long transaction: its rows appear with stamps from when they were saved."""
        self.org.faults.commit_delay_seconds = self.random.choice([1, 60, 599])
        self.random.choice([self.new_deal, self.move_deal, self.grow, self.delete_something, self.call_somebody])()
        self.org.faults.commit_delay_seconds = 0

    # what leaves no trace

    def erase_something(self) -> None:
        name = self.random.choice(["Opportunity", "Lead", "Account", "Task"])
        if record := self.some(name):
            self.org.erase(name, record)

    def hide_something(self) -> None:
        if record := self.some(self.random.choice(["Opportunity", "Lead", "Account"])):
            self.org.faults.hidden_records.add(record)

    def show_something(self) -> None:
        if self.org.faults.hidden_records:
            self.org.faults.hidden_records.remove(self.random.choice(sorted(self.org.faults.hidden_records)))

    # what goes wrong with a pull

    def expire_locators_midway(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Locators end between two pages of a table; those of small lists, which have no order to go on by, do not."""
        self.org.page_size = self.random.choice([1, 2, 3])
        page, left = Reader.page, [self.random.randrange(1, 5)]
        tables = {f" FROM {table.name} " for table in self.mapping.tables}

        def expired(reader: Reader, locator: str) -> object:
            soql = self.org.database.value("SELECT soql FROM _cursor WHERE id = ?", (locator.partition("-")[0],))
            if not locator.endswith("-0") and any(name in (soql or "") for name in tables):
                left[0] -= 1
                if left[0] == 0:
                    self.org.expire_locators()
            return page(reader, locator)

        monkeypatch.setattr(Reader, "page", expired)

    @property
    def work(self) -> list[Callable[[], None]]:
        moves = [self.new_deal, self.new_lead, self.move_deal, self.grow, self.call_somebody, self.delete_something]
        return [*moves, self.restore_something, self.bulk_change, self.commit_late, self.time_passes, self.be_cut_off]

    @property
    def mischief(self) -> list[Callable[[], None]]:
        return [self.erase_something, self.hide_something, self.show_something]


@pytest.fixture
def world(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    made = salesforce_world(serve, tmp_path)
    yield made
    made.reader.close()


@pytest.mark.parametrize("seed", range(tries(ordinary=3, soak=20)))
def test_what_leaves_a_stamp_is_brought_by_the_next_pull(
    world: SalesforceWorld, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency = Agency(world, tmp_path, seed)
    for _ in range(6):
        agency.random.choice(agency.work)()
    agency.pull()
    for _ in range(6):
        for _ in range(agency.random.randrange(6)):
            agency.random.choice(agency.work)()
        with monkeypatch.context() as patch:
            agency.expire_locators_midway(patch)
            agency.pull()
        agency.org.page_size = None
        agency.assert_same()


@pytest.mark.parametrize("seed", range(tries(ordinary=1, soak=10)))
def test_what_leaves_no_trace_is_found_in_a_round_of_pulls(world: SalesforceWorld, tmp_path: Path, seed: int) -> None:
    agency = Agency(world, tmp_path, seed)
    manner = Manner(recheck_runs=3)
    for _ in range(10):
        agency.random.choice(agency.work)()
    agency.pull()
    for _ in range(3):
        for _ in range(8):
            agency.random.choice([*agency.work, *agency.mischief * 2])()
        # Two rounds: one may have begun above what changed, and records that were shown make a round longer.
        for _ in range(2 * manner.recheck_runs + 1):
            agency.pull(manner)
        agency.assert_same()


def queries(agency: Agency) -> int:
    return sum(agency.org.calls[name] for name in QUERIES)


def cost(agency: Agency, manner: Manner = CHANGES_ALONE) -> int:
    """Queries of one pull beyond those for stages, owners and what else every pull asks."""
    before = queries(agency)
    agency.world.reader.owners()
    for mapped in agency.mapping.objects:
        agency.world.reader.stages(mapped.table.name, mapped.stage_field)
    always = queries(agency) - before
    agency.pull(manner)
    return queries(agency) - before - 2 * always


def test_a_pull_without_changes_asks_once_for_each_table(world: SalesforceWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    world.add_deals(4_500, "Prospecting")
    agency.clock.advance(hours=2)
    tables = len(agency.mapping.tables)
    assert cost(agency) == tables + 2
    agency.clock.advance(hours=1)
    assert cost(agency) == tables
    # a share of the rows is looked at once more: a portion of one table
    assert cost(agency, Manner()) == tables + 1


def test_a_pull_reads_what_changed_and_the_overlap_alone(world: SalesforceWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    ids = world.add_deals(500, "Prospecting")
    agency.clock.advance(hours=2)
    agency.pull()
    agency.clock.advance(hours=1)
    world.edit(ids[7], StageName="Qualification")
    assert agency.pull().rows["Opportunity"] == 1
    agency.clock.advance(minutes=5)
    assert agency.pull().rows["Opportunity"] == 1
    agency.clock.advance(hours=1)
    agency.pull()
    agency.clock.advance(hours=1)
    assert agency.pull().rows["Opportunity"] == 0
    agency.assert_same()


def test_thousands_of_equal_stamps_come_once_each(world: SalesforceWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    world.add_deals(5_000, "Prospecting")
    agency.clock.advance(hours=2)
    agency.pull()
    agency.org.database.execute(
        'UPDATE "Opportunity" SET "StageName" = \'Qualification\', "SystemModstamp" = ?', (agency.org.stamp(),)
    )
    changes = world.reader.increments
    assert changes is not None
    found = changes.changes(agency.mapping.objects[1].table, "2026-11-20T10:59:00+00:00")
    assert found is not None
    pages = []
    for page in found.pages:
        agency.org.expire_locators()
        pages.append(page.rows["Id"])
    ids = pl.concat(pages)
    assert (ids.len(), ids.n_unique()) == (5_000, 5_000)
    agency.pull()
    agency.assert_same()


def test_a_call_brings_its_deal_back(world: SalesforceWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    (deal,) = world.add_deals(1, "Prospecting")
    agency.clock.advance(hours=2)
    agency.pull()
    agency.clock.advance(hours=2)
    agency.create("Task", Subject="Call", WhatId=deal, Status="Completed")
    assert agency.pull().rows["Opportunity"] == 1


def archive_a_call(agency: Agency, deal: str) -> None:
    task = agency.create("Task", Subject="Call", WhatId=deal, Status="Completed")
    agency.pull()
    agency.clock.advance(hours=1)
    sql = 'UPDATE "Task" SET "IsArchived" = 1, "SystemModstamp" = ? WHERE "Id" = ?'
    agency.org.database.execute(sql, (agency.org.stamp(), task))


def test_archived_activities_leave_as_they_do_from_a_query(world: SalesforceWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    (deal,) = world.add_deals(1, "Prospecting")
    archive_a_call(agency, deal)
    agency.pull()
    agency.assert_same()
    assert agency.rows(agency.mirror)["Task"].height == 0


def deals(**columns: ColumnType) -> Table:
    return Table(name="Opportunity", key="Id", columns=columns)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (deals(Amount=ColumnType.NUMBER), True),
        (deals(**{"Account.NumberOfEmployees": ColumnType.INTEGER}), True),
        (deals(**{"Owner.IsActive": ColumnType.BOOLEAN}), True),
        (deals(Fiscal=ColumnType.TEXT), False),
        (deals(HasOverdueTask=ColumnType.BOOLEAN), False),
        (Table(name="Lead", key="Id", columns={"Owner.Name": ColumnType.TEXT}), False),
        (Table(name="LeadHistory", key="Id", columns={"NewValue": ColumnType.TEXT}), True),
        (Table(name="Unicorn", key="Id", columns={"Name": ColumnType.TEXT}), False),
    ],
)
def test_what_may_change_without_a_stamp_is_read_whole(world: SalesforceWorld, table: Table, *, told: bool) -> None:
    found = world.reader.increments
    assert found is not None
    world.reader.identity()
    cursor = found.cursor(table)
    assert (cursor is not None) == told
    assert (found.changes(table, cursor or "2026-11-20T09:00:00+00:00") is not None) == told


@pytest.mark.parametrize(
    ("back", "told"), [(timedelta(days=13), True), (timedelta(days=15), False), (-timedelta(minutes=1), False)]
)
def test_cursors_that_say_nothing_any_more(world: SalesforceWorld, back: timedelta, *, told: bool) -> None:
    found = world.reader.increments
    assert found is not None
    world.reader.identity()
    assert (found.changes(world.deals, (START - back).isoformat()) is not None) == told


def test_the_first_cursor_is_the_orgs_clock_before_the_first_page(world: SalesforceWorld) -> None:
    found = world.reader.increments
    assert found is not None
    assert found.cursor(world.deals) == (START - increments.LAG).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_change_while_the_first_pull_is_under_way_is_not_lost(
    world: SalesforceWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency = Agency(world, tmp_path)
    ids = world.add_deals(30, "Prospecting")
    agency.org.page_size = 10
    page = Reader.page
    seen: list[str] = []

    def meanwhile(reader: Reader, locator: str) -> object:
        found = page(reader, locator)
        if not seen:
            seen.append(locator)
            agency.clock.advance(hours=1)
            world.edit(ids[0], StageName="Qualification")
            agency.clock.advance(hours=1)
        return found

    monkeypatch.setattr(Reader, "page", meanwhile)
    agency.pull()
    assert seen
    agency.pull()
    agency.assert_same()


def test_a_pull_that_fails_keeps_rows_and_cursors(world: SalesforceWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    ids = world.add_deals(3, "Prospecting")
    agency.pull()
    before = agency.rows(agency.mirror)
    agency.clock.advance(hours=2)
    world.edit(ids[0], StageName="Qualification")
    agency.org.faults.unavailable = 1_000
    with pytest.raises(ConnectionFailed):
        agency.pull()
    assert all(rows.equals(before[name]) for name, rows in agency.rows(agency.mirror).items())
    agency.org.faults.unavailable = 0
    agency.clock.advance(hours=2)
    agency.pull()
    agency.assert_same()


@pytest.mark.parametrize("why", ["full", "old", "column", "hidden"])
def test_a_whole_pull_heals_everything(world: SalesforceWorld, tmp_path: Path, why: str) -> None:
    agency = Agency(world, tmp_path)
    kept, lost = world.add_deals(2, "Prospecting")
    agency.pull()
    agency.org.erase("Opportunity", lost)
    agency.pull()
    assert agency.rows(agency.mirror)["Opportunity"]["Id"].to_list() == [kept, lost]
    manner = CHANGES_ALONE
    if why == "full":
        manner = replace(manner, full=True)
    elif why == "old":
        agency.clock.advance(days=7)
    elif why == "column":
        tables = agency.mapping.tables
        shorter = [structs.replace(one, columns=dict(list(one.columns.items())[1:])) for one in tables]
        agency.mapping = structs.replace(agency.mapping, tables=tuple(shorter))
    else:
        agency.org.faults.hidden_fields.add(("Opportunity", "Amount"))
    agency.pull(manner)
    assert agency.rows(agency.mirror)["Opportunity"]["Id"].to_list() == [kept]
