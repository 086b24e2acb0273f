"""Increments against the embedded portal: after whatever happened, the mirror holds what a whole pull would bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from stagesync.agent.connection import Manner
from stagesync.connectors.base import Increments
from stagesync.connectors.hubspot import increments
from stagesync.errors import ConnectionFailed
from stagesync.model.tables import ColumnType, Table
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.sandbox.hubspot import moments, search, writing
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.definitions import PropertyDefinition
from stagesync.sandbox.hubspot.errors import validation
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.records import Source
from tests.conformance.hubspot_world import HubSpotWorld, hubspot_world
from tests.conformance.world import START
from tests.thorough import tries

from .conftest import Serve
from .pulled_again import CHANGES_ALONE, PulledAgain

CONFIG = Path(__file__).parents[2] / "config"
SEARCH = "POST /crm/v3/objects/{object_type}/search"
READ = "POST /crm/v3/objects/{object_type}/batch/read"
LIST = "GET /crm/v3/objects/{object_type}"
LINKS = "POST /crm/v4/associations/{from_type}/{to_type}/batch/read"
STAGES = ("qualifiedtobuy", "presentationscheduled", "closedlost")
ACTIVITIES = {
    "emails": {"hs_email_direction": "INCOMING_EMAIL"},
    "calls": {"hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"},
    "meetings": {"hs_meeting_outcome": "COMPLETED", "hs_meeting_end_time": "2026-11-01T09:00:00Z"},
    "tasks": {"hs_task_subject": "Call"},
}
REP = Source(type="CRM_UI", id="userId:7", user_id=7)


@cache
def shipped_mapping() -> CrmMapping:
    definition = load_definition(CONFIG / "definitions" / "recommended.yaml")
    return load_mapping(CONFIG / "mappings" / "hubspot.yaml", definition)


class Agency(PulledAgain):
    """A mirror of a portal that is pulled again and again, and a company that works in the portal in between."""

    def __init__(self, world: HubSpotWorld, folder: Path, seed: int = 0) -> None:
        super().__init__(world, folder, shipped_mapping(), seed)
        self.world, self.portal = world, world.portal
        for number in range(3):
            self.create("companies", name=f"Acme {number}", numberofemployees=str(number))

    def create(self, what: str, links: Sequence[tuple[str, int]] = (), **values: str) -> int:
        kind = self.portal.kind(what)
        record, _ = writing.create(self.portal, kind, values, source=REP)
        for target, target_id in links:
            writing.associate(self.portal, (kind, record.id), (self.portal.kind(target), target_id))
        return record.id

    def ids(self, name: str, archived: int = 0) -> list[int]:
        sql = f'SELECT id FROM "{name}" WHERE archived = ? AND merged_into IS NULL ORDER BY id'
        return [row["id"] for row in self.portal.database.rows(sql, (archived,))]

    def some(self, name: str) -> int | None:
        found = self.ids(name)
        return self.random.choice(found) if found else None

    def edit(self, name: str, record: int | None, **values: str) -> None:
        if record is not None:
            writing.edit(self.portal, name, record, values, REP)

    # what a company does

    def new_contact(self) -> None:
        company = self.some("companies")
        self.create("contacts", [("companies", company)] if company else [], lastname="Okafor")

    def new_deal(self) -> None:
        contact = self.some("contacts")
        links = [("contacts", contact)] if contact else []
        self.create("deals", links, dealname="Deal", dealstage="qualifiedtobuy", pipeline="default")

    def move_deal(self) -> None:
        self.edit("deals", self.some("deals"), dealstage=self.random.choice(STAGES), pipeline="default")

    def state_a_pain(self) -> None:
        self.edit("contacts", self.some("contacts"), pain=f"{self.random.randrange(1_000)} forms a day")

    def grow(self) -> None:
        self.edit("companies", self.some("companies"), numberofemployees=str(self.random.randrange(1_000)))

    def meet_somebody(self) -> None:
        name = self.random.choice(sorted(ACTIVITIES))
        contact, deal = self.some("contacts"), self.some("deals")
        links = [(kind, one) for kind, one in (("contacts", contact), ("deals", deal)) if one]
        self.create(name, links, hs_timestamp=moments.iso(self.portal.now()), **ACTIVITIES[name])

    def log_a_call_on_another_contact(self) -> None:
        """HubSpot moves the contact's dates then, and not the call's."""
        call, contact = self.some("calls"), self.some("contacts")
        if call and contact:
            ends = [(self.portal.kind("calls"), call), (self.portal.kind("contacts"), contact)]
            writing.associate(self.portal, ends[0], ends[1])

    def merge_two(self) -> None:
        name = self.random.choice(["contacts", "contacts", "deals", "companies"])
        kind = self.portal.kind(name)
        pair = self.random.sample(self.ids(name), 2) if len(self.ids(name)) > 1 else []
        found = [self.portal.records.get(kind, one) for one in pair]
        if len(found) == 2 and found[0] and found[1]:
            writing.merge(self.portal, kind, found[0], found[1], REP)

    # what leaves no trace

    def archive_something(self) -> None:
        kind = self.portal.kind(self.random.choice(["contacts", "deals", "companies", *ACTIVITIES]))
        if (record := self.some(kind.name)) and (found := self.portal.records.get(kind, record)):
            writing.archive(self.portal, kind, found)

    def restore_something(self) -> None:
        name = self.random.choice(["contacts", "deals", *ACTIVITIES])
        if found := self.ids(name, archived=1):
            writing.restore(self.portal, self.portal.kind(name), self.random.choice(found))

    def erase_something(self) -> None:
        name = self.random.choice(["contacts", "deals", "companies", *ACTIVITIES])
        if record := self.some(name):
            writing.erase(self.portal, self.portal.kind(name), record)

    def hide_something(self) -> None:
        name = self.random.choice(["contacts", "deals", *ACTIVITIES])
        if record := self.some(name):
            writing.hide(self.portal, self.portal.kind(name), record)

    def show_something(self) -> None:
        for name in ("contacts", "deals", *ACTIVITIES):
            for record in self.ids(name, archived=writing.HIDDEN):
                writing.show(self.portal, self.portal.kind(name), record)

    def tie_or_part(self) -> None:
        deal, contact = self.some("deals"), self.some("contacts")
        if deal and contact:
            one, two = (self.portal.kind("deals"), deal), (self.portal.kind("contacts"), contact)
            if self.random.random() < 0.5:
                writing.associate(self.portal, one, two)
            else:
                self.portal.associations.remove(*one, *two)

    @property
    def work(self) -> list[Callable[[], None]]:
        return [
            *[self.new_contact, self.new_deal, self.move_deal, self.state_a_pain, self.grow],
            *[self.meet_somebody, self.meet_somebody, self.log_a_call_on_another_contact],
            *[self.merge_two, self.time_passes, self.be_cut_off],
        ]

    @property
    def mischief(self) -> list[Callable[[], None]]:
        return [
            *[self.archive_something, self.restore_something, self.erase_something],
            *[self.hide_something, self.show_something, self.tie_or_part],
        ]


@pytest.fixture
def world(serve: Serve, tmp_path: Path) -> Iterator[HubSpotWorld]:
    made = hubspot_world(serve, tmp_path)
    yield made
    made.reader.close()


@pytest.mark.parametrize("seed", range(tries(ordinary=2, soak=20)))
def test_what_moves_a_date_is_brought_by_the_next_pull(
    world: HubSpotWorld, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency = Agency(world, tmp_path, seed)
    for module, name in (("records", "SEARCH_PAGE"), ("records", "BATCH"), ("records", "ASSOCIATION_BATCH")):
        monkeypatch.setattr(f"stagesync.connectors.hubspot.{module}.{name}", agency.random.choice([2, 3, 100]))
    monkeypatch.setattr(increments, "READ_AT_ONCE", agency.random.choice([3, 2_000]))
    agency.portal.association_page_size = agency.random.choice([1, 500])
    lag = agency.portal.faults.search_lag_seconds = agency.random.choice([0, 5, 599])
    for _ in range(12):
        agency.random.choice(agency.work)()
    agency.pull()
    for _ in range(4):
        for _ in range(agency.random.randrange(8)):
            agency.random.choice(agency.work)()
        agency.pull()
        agency.clock.advance(seconds=lag + 1)
        agency.pull()
        agency.assert_same()


@pytest.mark.parametrize("seed", range(tries(ordinary=1, soak=10)))
def test_what_leaves_no_trace_is_found_in_a_round_of_pulls(world: HubSpotWorld, tmp_path: Path, seed: int) -> None:
    agency = Agency(world, tmp_path, seed)
    manner = Manner(recheck_runs=3)
    # later than any overlap: what is found late is found by the second look
    lag = agency.portal.faults.search_lag_seconds = agency.random.choice([0, 7_200])
    for _ in range(20):
        agency.random.choice(agency.work)()
    agency.pull()
    for _ in range(2):
        for _ in range(8):
            agency.random.choice([*agency.work, *agency.mischief * 2])()
        agency.pull(manner)
        agency.clock.advance(seconds=lag + 1)
        # Two rounds: one may have begun above what changed, and records that were shown make a round longer.
        for _ in range(2 * manner.recheck_runs + 1):
            agency.pull(manner)
        agency.assert_same()


def calls(agency: Agency, manner: Manner = CHANGES_ALONE) -> dict[str, int]:
    """What one pull asks of the portal, by kind of call, after it has looked which objects may be read."""
    before = agency.portal.calls.copy()
    agency.pull(manner)
    asked = agency.portal.calls - before
    asked[LIST] -= len({table.name.removesuffix(".history") for table in agency.mapping.tables})
    return {name: count for name, count in asked.items() if count and name in {SEARCH, READ, LINKS, LIST}}


def test_a_pull_without_changes_searches_once_for_each_object(world: HubSpotWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    world.add_deals(450, "qualifiedtobuy")
    agency.pull()
    agency.clock.advance(hours=2)
    agency.pull()
    objects = {table.name.removesuffix(".history") for table in agency.mapping.tables}
    agency.clock.advance(hours=1)
    assert calls(agency) == {SEARCH: len(objects)}
    # A 24th of the records is looked at once more: 38 of deals and their history, 3 companies.
    again = calls(agency, Manner())
    assert again[SEARCH] == len(objects)
    assert again[LIST] == 1
    assert sum(again.values()) <= len(objects) + 5


def test_a_pull_reads_what_changed_by_the_hundred(world: HubSpotWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    ids = world.add_deals(900, "qualifiedtobuy")
    for _ in range(2):
        agency.pull()
        agency.clock.advance(hours=2)
    agency.portal.database.execute(
        'UPDATE "deals" SET updated = ? WHERE id IN (SELECT id FROM deals ORDER BY id LIMIT 750)',
        (agency.portal.now(),),
    )
    objects = {table.name.removesuffix(".history") for table in agency.mapping.tables}
    asked = calls(agency)
    assert asked[SEARCH] == len(objects) + 3
    # 750 deals by 100, and their past stages by 50
    assert asked[READ] == 8 + 15
    links = sum(len(table.links) for table in agency.mapping.tables if "deals" in (table.name, *table.links))
    assert asked[LINKS] <= links
    agency.assert_same()
    assert len(agency.rows(agency.mirror)["deals"]) == len(ids)


def test_more_changes_than_a_search_may_find_come_all(
    world: HubSpotWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_RESULTS", 400)
    agency = Agency(world, tmp_path)
    world.add_deals(1_100, "qualifiedtobuy")
    agency.pull()
    agency.clock.advance(hours=2)
    sql = "UPDATE \"deals\" SET updated = ?, properties = json_set(properties, '$.amount', '7')"
    agency.portal.database.execute(sql, (agency.portal.now(),))
    agency.pull()
    assert agency.rows(agency.mirror)["deals"]["amount"].to_list() == [7.0] * 1_100


def test_what_the_index_shows_is_read_anew(world: HubSpotWorld, tmp_path: Path) -> None:
    """The index may still show an old stage; the record itself is asked."""
    agency = Agency(world, tmp_path)
    (deal,) = world.add_deals(1, "qualifiedtobuy")
    agency.pull()
    agency.clock.advance(hours=1)
    world.edit(deal, dealname="Deal 0 again")
    agency.portal.faults.search_lag_seconds = 60
    world.edit(deal, dealstage="closedlost")
    agency.pull()
    assert agency.rows(agency.mirror)["deals"]["dealstage"].to_list() == ["closedlost"]


def test_a_deal_that_two_became_takes_their_place_and_their_calls(world: HubSpotWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    one, two = (int(deal) for deal in world.add_deals(2, "qualifiedtobuy"))
    call = agency.create("calls", [("deals", two)], hs_timestamp="2026-11-01T09:00:00Z")
    agency.pull()
    agency.clock.advance(hours=1)
    kind = agency.portal.kind("deals")
    records = [agency.portal.records.get(kind, each) for each in (one, two)]
    assert records[0]
    assert records[1]
    merged = writing.merge(agency.portal, kind, records[0], records[1], REP)
    agency.pull()
    rows = agency.rows(agency.mirror)
    assert rows["deals"]["hs_object_id"].to_list() == [str(merged.id)]
    assert rows["calls~deals"].rows() == [(str(call), str(merged.id))]
    assert rows["deals.history"]["record"].unique().to_list() == [str(merged.id)]


def deals(**columns: ColumnType) -> Table:
    return Table(name="deals", key="hs_object_id", columns=columns)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (deals(amount=ColumnType.NUMBER), True),
        (deals(hs_is_closed=ColumnType.BOOLEAN), True),
        (deals(hs_v2_date_entered_current_stage=ColumnType.DATETIME), True),
        (deals(hs_v2_time_in_current_stage=ColumnType.NUMBER), False),
        (deals(num_associated_contacts=ColumnType.INTEGER), False),
        (deals(rollup=ColumnType.NUMBER), False),
        (Table(name="contacts", key="id", columns={"email": ColumnType.TEXT}), True),
        (Table(name="contacts", key="id", columns={"associatedcompanyid": ColumnType.TEXT}), False),
        (
            Table(name="deals.history", key="record", columns={"at": ColumnType.DATETIME}, history_of="dealstage"),
            True,
        ),
        (Table(name="unicorns", key="id", columns={"name": ColumnType.TEXT}), False),
    ],
)
def test_what_may_change_without_a_date_is_read_whole(world: HubSpotWorld, table: Table, *, told: bool) -> None:
    world.portal.add_property(
        "deals",
        PropertyDefinition(name="rollup", label="Calls", type="number", calculated=True, hubspot_defined=False),
    )
    found: Increments | None = world.reader.increments
    assert found is not None
    world.reader.identity()
    cursor = found.cursor(table)
    assert (cursor is not None) == told
    assert (found.changes(table, cursor or "2026-11-20T09:00:00+00:00") is not None) == told


def test_a_cursor_ahead_of_the_portal_says_nothing(world: HubSpotWorld) -> None:
    found = world.reader.increments
    assert found is not None
    world.reader.identity()
    assert found.changes(world.deals, (START + timedelta(minutes=1)).isoformat()) is None
    assert found.cursor(world.deals) == (START - increments.LAG).isoformat()


def test_contacts_are_searched_by_their_own_date(world: HubSpotWorld, tmp_path: Path) -> None:
    """Contacts have ``hs_lastmodifieddate`` too, which is not the one that moves."""
    agency = Agency(world, tmp_path)
    contact = agency.create("contacts", lastname="Okafor")
    agency.pull()
    agency.clock.advance(hours=1)
    agency.edit("contacts", contact, pain="forms")
    sql = "UPDATE contacts SET properties = json_set(properties, '$.hs_lastmodifieddate', '2020-01-01T00:00:00Z')"
    agency.portal.database.execute(sql)
    agency.pull()
    assert agency.rows(agency.mirror)["contacts"]["pain"].to_list() == ["forms"]


def test_a_pull_that_fails_keeps_rows_and_cursors(world: HubSpotWorld, tmp_path: Path) -> None:
    agency = Agency(world, tmp_path)
    ids = world.add_deals(3, "qualifiedtobuy")
    agency.pull()
    before = agency.rows(agency.mirror)
    agency.clock.advance(hours=2)
    world.edit(ids[0], dealstage="closedlost")
    agency.portal.faults.fail_next(1_000, 502)
    with pytest.raises(ConnectionFailed):
        agency.pull()
    assert all(rows.equals(before[name]) for name, rows in agency.rows(agency.mirror).items())
    agency.portal.faults.outages.clear()
    agency.clock.advance(hours=2)
    agency.pull()
    agency.assert_same()


def test_an_object_that_cannot_be_searched_is_read_whole(
    world: HubSpotWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency = Agency(world, tmp_path)
    world.add_deals(3, "qualifiedtobuy")
    agency.pull()
    agency.clock.advance(hours=1)
    run = search.run

    def refusing(portal: Portal, kind: ObjectType, request: Mapping[str, Any], names: Sequence[str]) -> search.Found:
        if kind.name == "deals":
            raise validation("deals cannot be searched today")
        return run(portal, kind, request, names)

    monkeypatch.setattr(search, "run", refusing)
    before = agency.portal.calls[LIST]
    assert agency.pull().rows["deals"] == 3
    assert agency.portal.calls[LIST] - before > 2
    found = world.reader.increments
    assert found is not None
    (changed,) = found.portion(world.deals, "", 10)
    assert changed.rows.height == 3


@pytest.mark.parametrize("why", ["full", "old", "column", "hidden"])
def test_a_whole_pull_heals_everything(world: HubSpotWorld, tmp_path: Path, why: str) -> None:
    agency = Agency(world, tmp_path)
    kept, lost = world.add_deals(2, "qualifiedtobuy")
    agency.pull()
    writing.erase(agency.portal, agency.portal.kind("deals"), int(lost))
    agency.pull()
    assert agency.rows(agency.mirror)["deals"]["hs_object_id"].to_list() == [kept, lost]
    manner = CHANGES_ALONE
    if why == "full":
        manner = replace(manner, full=True)
    elif why == "old":
        agency.clock.advance(days=7)
    elif why == "column":
        tables = [structs.replace(one, columns=dict(list(one.columns.items())[1:])) for one in agency.mapping.tables]
        agency.mapping = structs.replace(agency.mapping, tables=tuple(tables))
    else:
        agency.portal.metadata.remove_property("deals", "amount")
    agency.pull(manner)
    assert agency.rows(agency.mirror)["deals"]["hs_object_id"].to_list() == [kept]


def test_associations_of_watched_records_are_seen_at_once(world: HubSpotWorld, tmp_path: Path) -> None:
    """Somebody ties a contact to a deal, and parts it from another: no date moves."""
    agency = Agency(world, tmp_path)
    contact = agency.create("contacts", lastname="Okafor")
    tied, parted, other = (agency.create("deals", dealname="Deal", dealstage="qualifiedtobuy") for _ in range(3))
    deals, contacts = agency.portal.kind("deals"), agency.portal.kind("contacts")
    writing.associate(agency.portal, (deals, parted), (contacts, contact))
    for _ in range(2):
        agency.pull()
        agency.clock.advance(hours=2)
    writing.associate(agency.portal, (deals, tied), (contacts, contact))
    agency.portal.associations.remove(deals, parted, contacts, contact)
    agency.pull()
    assert agency.rows(agency.mirror)["contacts~deals"].rows() == [(str(contact), str(parted))]

    before = agency.portal.calls.copy()
    agency.pull(watched={"deals": {str(tied), str(parted), str(other)}})
    asked = agency.portal.calls - before
    assert agency.rows(agency.mirror)["contacts~deals"].rows() == [(str(contact), str(tied))]
    agency.assert_same()
    # Contacts and companies of the deals, and then the deals of the contact; activities leave traces of their own.
    assert asked[LINKS] == 3
    before = agency.portal.calls.copy()
    agency.pull(watched={"deals": {str(tied)}})
    assert (agency.portal.calls - before)[LINKS] == 2
