"""What a pull of an org costs in API calls when nothing changed, and what it may therefore not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.agent.connection import Manner
from stagesync.agent.pull import portion_size
from stagesync.connectors.salesforce import Described, Patience, connect
from stagesync.errors import ConnectionFailed
from stagesync.model.tables import ColumnType, Table
from tests.conformance.salesforce_world import REP, SalesforceWorld, salesforce_world

from .conftest import Serve
from .pulled_again import CHANGES_ALONE
from .test_salesforce_increments import Agency

EVERYTHING = Manner()


@pytest.fixture
def world(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    made = salesforce_world(serve, tmp_path)
    yield made
    made.reader.close()


class Daemon(Agency):
    """An agent that opens its connection anew for each pull, as the daemon does, and remembers what it was shown."""

    def __init__(self, world: SalesforceWorld, folder: Path) -> None:
        super().__init__(world, folder)
        self.memory = Described()

    def tick(self, manner: Manner = EVERYTHING) -> Counter[str]:
        """One pull; the calls that it made, logins aside."""
        before = self.org.calls.copy()
        self.connect()
        self.world.reader.identity()
        self.pull(manner)
        made = self.org.calls - before
        return Counter({name: count for name, count in made.items() if "oauth2" not in name})

    def connect(self) -> None:
        self.world.reader.close()
        connection = self.world._connection(self.world.url)
        self.world.reader, _ = connect(connection, patience=Patience(tries=2), sleep=_no_wait, memory=self.memory)


def _no_wait(seconds: float) -> None:
    """Tests wait for nothing."""


def tables_of(daemon: Daemon) -> int:
    return len(daemon.mapping.tables)


def test_a_quiet_tick_costs_one_query_for_each_table_and_seven_calls(world: SalesforceWorld, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path)
    world.add_deals(700, "Prospecting")
    daemon.tick()
    for _ in range(30):
        daemon.clock.advance(minutes=30)
        made = daemon.tick()
        changed, listed = made.pop("GET /queryAll", 0), made.pop("GET /query", 0)
        # the org, stages of deals and of leads, users, queues, a share of the records; objects without a recycle bin
        assert changed + listed == tables_of(daemon) + 6
        assert made == {"POST /composite of GETs": 1}
    daemon.assert_same()


def described(daemon: Daemon, manner: Manner = CHANGES_ALONE) -> set[str]:
    """The objects that the org describes in one tick."""
    before = daemon.org.descriptions.copy()
    daemon.tick(manner)
    return set(daemon.org.descriptions - before)


def test_only_what_changed_is_described_again(world: SalesforceWorld, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path)
    assert described(daemon) >= {"Lead", "Opportunity", "Account", "Task", "User", "LeadStatus"}
    daemon.clock.advance(hours=1)
    assert described(daemon) == set()
    daemon.clock.advance(hours=1)
    daemon.org.database.execute("""UPDATE "LeadStatus" SET "MasterLabel" = 'Good' WHERE "ApiName" = 'Qualified'""")
    assert described(daemon) == {"Lead"}
    lead = daemon.memory.seen["Lead"].sobject
    status = lead.field("Status") if lead else None
    assert status is not None
    assert "Good" in {value.label for value in status.picklistValues}


def test_a_change_in_the_second_of_the_last_look_is_seen(world: SalesforceWorld, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path)
    daemon.tick()
    daemon.org.faults.hidden_fields.add(("Opportunity", "Amount"))
    assert described(daemon) == {"Opportunity"}
    assert "Amount" in daemon.mirror.read("crm")[1]["Opportunity"]


def test_nothing_of_another_user_or_version_is_remembered(world: SalesforceWorld, tmp_path: Path) -> None:
    daemon = Daemon(world, tmp_path)
    everything = described(daemon)
    daemon.clock.advance(hours=1)
    daemon.org.integration_user_id = REP
    assert described(daemon) == everything


def test_a_permission_that_no_304_tells_of_fails_one_tick_and_is_known_in_the_next(
    world: SalesforceWorld, tmp_path: Path
) -> None:
    daemon = Daemon(world, tmp_path)
    world.add_deals(3, "Prospecting")
    daemon.tick()
    before = daemon.rows(daemon.mirror)["Opportunity"]
    daemon.clock.advance(hours=1)
    daemon.org.faults.stale_describes = True
    daemon.org.faults.hidden_fields.add(("Opportunity", "Amount"))
    with pytest.raises(ConnectionFailed, match=r"Amount.*the next run says so: it is unknown then"):
        daemon.tick()
    assert daemon.rows(daemon.mirror)["Opportunity"].equals(before)
    daemon.tick()
    assert "Amount" not in daemon.rows(daemon.mirror)["Opportunity"].columns
    assert "Amount" in daemon.mirror.read("crm")[1]["Opportunity"]


def test_a_field_that_was_granted_is_known_within_a_day_whatever_is_answered(
    world: SalesforceWorld, tmp_path: Path
) -> None:
    daemon = Daemon(world, tmp_path)
    daemon.org.faults.hidden_fields.add(("Opportunity", "Amount"))
    daemon.tick()
    daemon.org.faults.stale_describes = True
    daemon.org.faults.hidden_fields.clear()
    daemon.clock.advance(hours=23)
    daemon.tick()
    assert "Amount" in daemon.mirror.read("crm")[1]["Opportunity"]
    daemon.clock.advance(hours=1)
    daemon.tick()
    assert daemon.mirror.read("crm")[1].get("Opportunity", {}).keys() & {"Amount"} == set()


def test_a_parents_parent_is_asked_for_with_the_others_from_the_second_run_on(
    world: SalesforceWorld, tmp_path: Path
) -> None:
    daemon = Daemon(world, tmp_path)
    deals = Table(name="Opportunity", key="Id", columns={"Contact.Account.Name": ColumnType.TEXT})
    for alone in (1, 0):
        daemon.connect()
        daemon.world.reader.identity()
        before = daemon.org.calls.copy()
        assert list(daemon.world.reader.missing([deals])) == []
        made = daemon.org.calls - before
        assert made["GET /sobjects/Account/describe"] == alone
        assert made["POST /composite of GETs"] == 1 + alone


def test_an_org_whose_composite_describes_nothing_is_asked_object_by_object(
    world: SalesforceWorld, tmp_path: Path
) -> None:
    daemon = Daemon(world, tmp_path)
    daemon.org.faults.hidden_objects.add("EmailMessageRelation")
    daemon.tick()
    missing = daemon.mirror.read("crm")[1]
    daemon.org.faults.composite_forbids.add("/describe")
    made = daemon.tick(replace(CHANGES_ALONE, full=True))
    assert {name for name in made if name.endswith("describe")} >= {
        f"GET /sobjects/{table.name}/describe" for table in daemon.mapping.tables
    }
    assert daemon.mirror.read("crm")[1] == missing


@given(sizes=st.lists(st.integers(0, 100_000), min_size=1, max_size=20), runs=st.integers(1, 60))
def test_a_round_goes_through_all_tables_and_no_smaller_portions_would_do(sizes: list[int], runs: int) -> None:
    portions = runs * -(-len(sizes) // runs)
    rows = portion_size(sizes, portions)
    assert sum(size // rows + 1 for size in sizes) <= portions
    assert rows == 1 or sum(size // (rows - 1) + 1 for size in sizes) > portions
