"""The Salesforce reader against the embedded org: what only Salesforce has."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
import yaml
from msgspec import structs

from stagesync.errors import ConnectionFailed, CredentialsRefused, UsageError
from stagesync.model.frames import Page
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from tests.conformance.salesforce_world import REP, SalesforceWorld, salesforce_world
from tests.conformance.world import task_change

from .conftest import Serve

MAPPING = Path(__file__).parents[2] / "config" / "mappings" / "salesforce.yaml"
LOGIN = "POST /services/oauth2/token"


@pytest.fixture
def org(serve: Serve, tmp_path: Path) -> Iterator[SalesforceWorld]:
    world = salesforce_world(serve, tmp_path)
    yield world
    world.reader.close()


def ids_of(pages: list[Page]) -> list[str]:
    return [record for page in pages for record in page.rows.get_column("Id")]


def test_an_expired_locator_loses_and_doubles_nothing(org: SalesforceWorld) -> None:
    ids = org.add_deals(7_000, "Prospecting")
    pull = org.reader.pull(org.deals)
    pages = [next(pull)]
    org.org.expire_locators()
    (new,) = org.add_deals(1, "Prospecting")
    pages.append(next(pull))
    org.org.expire_locators()
    pages.extend(pull)
    assert ids_of(pages) == [*ids, new]


def test_a_token_that_ends_in_the_middle_is_renewed_once(org: SalesforceWorld) -> None:
    ids = org.add_deals(5_000, "Prospecting")
    pull = org.reader.pull(org.deals)
    pages = [next(pull)]
    org.org.revoke_tokens()
    pages.extend(pull)
    assert ids_of(pages) == ids
    assert org.org.calls[LOGIN] == 2


def test_threads_share_one_renewal(org: SalesforceWorld) -> None:
    org.reader.identity()
    org.org.revoke_tokens()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: org.reader.identity().key, range(16)))
    assert found == [org.org.org_id] * 16
    assert org.org.calls[LOGIN] == 2


def test_a_permanent_401_is_no_endless_loop(org: SalesforceWorld) -> None:
    org.reader.identity()
    org.org.faults.permanent_401 = True
    with pytest.raises(CredentialsRefused, match="not valid for use with the REST API"):
        org.reader.identity()
    assert org.org.calls[LOGIN] == 1


def test_the_daily_limit_is_asked_once(org: SalesforceWorld) -> None:
    org.reader.identity()
    org.org.faults.daily_limit_reached = True
    used = org.org.calls["GET /query"]
    with pytest.raises(ConnectionFailed, match="24 hours"):
        org.reader.identity()
    assert org.org.calls["GET /query"] == used + 1


def test_passing_troubles_are_waited_for(org: SalesforceWorld) -> None:
    org.org.faults.concurrent_limit = 2
    assert org.reader.identity().key == org.org.org_id
    org.org.faults.unavailable, org.org.faults.unavailable_html, org.org.faults.retry_after = 2, True, 3600
    assert org.reader.identity().name


def test_fields_of_parents(org: SalesforceWorld) -> None:
    person = Writer(org.org, REP)
    account = person.create(SOBJECTS["Account"], {"Name": "Acme", "NumberOfEmployees": 300})
    with_account, without = org.add_deals(2, "Prospecting")
    org.edit(with_account, AccountId=account)
    wanted = {
        "account.numberofemployees": ColumnType.INTEGER,
        "Owner.IsActive": ColumnType.BOOLEAN,
        "Owner.Shoe": ColumnType.TEXT,
        "Account.Nope": ColumnType.TEXT,
        "Nobody.Name": ColumnType.TEXT,
    }
    table = Table(name="Opportunity", key="Id", columns=wanted)
    (missing,) = org.reader.missing([table])
    assert set(missing.columns) == {"Owner.Shoe", "Account.Nope", "Nobody.Name"}
    assert "Account has no field Nope" in missing.columns["Account.Nope"]
    (page,) = org.reader.pull(table)
    assert page.rows.rows() == [(with_account, 300, True), (without, None, True)]


def test_a_hidden_parent_takes_its_columns_along(org: SalesforceWorld) -> None:
    org.org.faults.hidden_objects.add("Account")
    table = Table(name="Opportunity", key="Id", columns={"Account.NumberOfEmployees": ColumnType.INTEGER})
    (missing,) = org.reader.missing([table])
    assert "Account" in missing.columns["Account.NumberOfEmployees"]


def test_all_that_the_shipped_mapping_needs_is_found(org: SalesforceWorld) -> None:
    mapping = yaml.safe_load(MAPPING.read_text())
    tables = [
        Table(name=name, key="Id", columns={column: ColumnType(kind) for column, kind in columns.items()})
        for name, columns in mapping["tables"].items()
    ]
    for name, one in mapping["objects"].items():
        fields = [one["name"], one["owner"], one["created"], one["modified"], one["stage"]["field"]]
        fields += [item["field"] for item in one["evidence"].values() if "field" in item]
        tables.append(Table(name=name, key="Id", columns=dict.fromkeys(fields, ColumnType.TEXT)))
    assert list(org.reader.missing(tables)) == []
    for table in tables:
        rows = pl.concat(page.rows for page in org.reader.pull(table))
        assert rows.columns == ["Id", *(name for name in table.columns if name != "Id")]


def test_lead_statuses_that_only_conversion_may_set(org: SalesforceWorld) -> None:
    stages = {stage.value: stage for stage in org.reader.stages("Lead", "Status")}
    assert stages["Open - Not Contacted"].writable
    assert not stages["Closed - Converted"].writable


def test_any_other_picklist_has_its_values_as_stages(org: SalesforceWorld) -> None:
    assert [stage.value for stage in org.reader.stages("Task", "TaskSubtype")][:3] == ["Task", "Email", "Call"]


def test_queues_are_owners(org: SalesforceWorld) -> None:
    org.org.insert_many("Group", [{"Name": "Inbound", "Type": "Queue"}, {"Name": "Staff", "Type": "Regular"}])
    assert [owner.name for owner in org.reader.owners() if owner.queue] == ["Inbound"]


def test_ids_are_checked_before_they_are_sent(org: SalesforceWorld) -> None:
    with pytest.raises(UsageError, match="no Salesforce record id"):
        org.reader.current(org.deals, ["006000000000001AAA", "https://elsewhere.example/x"])


def test_short_ids_find_their_records(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, "Prospecting")
    assert org.reader.current(org.deals, [deal[:15]]).get_column("Id").to_list() == [deal]


def test_more_ids_than_one_call_holds(org: SalesforceWorld) -> None:
    ids = org.add_deals(2_300, "Prospecting")
    assert org.reader.current(org.deals, ids).get_column("Id").to_list() == ids


def test_long_keys_fit_into_the_url(org: SalesforceWorld) -> None:
    deals = org.add_deals(120, "Prospecting")
    changes = [task_change(org, deal, key=f"stagesync:{deal}:{'ü%' * 90}") for deal in deals]
    made = org.writer.open_tasks(changes)
    assert org.reader.own_tasks([change.key for change in changes]) == {one.key: one.crm_id for one in made}


def test_a_deleted_task_still_has_its_key(org: SalesforceWorld) -> None:
    (deal,) = org.add_deals(1, "Prospecting")
    change = task_change(org, deal)
    (made,) = org.writer.open_tasks([change])
    assert made.crm_id
    org.delete_task(made.crm_id)
    assert org.reader.own_tasks([change.key]) == {change.key: made.crm_id}
    (again,) = org.writer.open_tasks([change])
    assert again.crm_id == made.crm_id
    assert org.tasks_of(deal) == []


def test_without_the_key_field_nothing_is_known(org: SalesforceWorld) -> None:
    org.org.faults.hidden_fields.add(("Task", "StageSync_Key__c"))
    assert org.reader.own_tasks(["a"]) == {}


def test_a_number_mapped_as_a_boolean_is_unreadable_and_not_blank(org: SalesforceWorld) -> None:
    org.add_deals(2, "Prospecting")
    table = structs.replace(org.deals, columns={"Amount": ColumnType.BOOLEAN})
    (page,) = org.reader.pull(table)
    assert page.rows.get_column("Amount?unreadable").to_list() == [True, True]
