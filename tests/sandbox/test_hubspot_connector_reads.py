"""The HubSpot reader against the embedded portal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import polars as pl
import pytest
from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stagesync.connectors.base import Reader
from stagesync.connectors.hubspot import HubSpotConnection, HubSpotReader, connect
from stagesync.errors import ConnectionFailed, CredentialsRefused
from stagesync.model.frames import Page
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.hubspot.definitions import PropertyDefinition
from stagesync.sandbox.hubspot.limits import Limits
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.server import routes
from stagesync.sandbox.hubspot.standard import standard_metadata

from .conftest import Serve
from .hubspot_office import CREDENTIAL, NOW, Office, office, seed

__all__ = ["office"]

TEXT, NUMBER, BOOLEAN, MOMENT = ColumnType.TEXT, ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.DATETIME
DEALS = Table(
    name="deals",
    key="hs_object_id",
    columns={"dealname": TEXT, "amount": NUMBER, "hs_is_closed": BOOLEAN, "closedate": ColumnType.DATE},
)


def frames(pages: Iterator[Page]) -> dict[str, pl.DataFrame]:
    parts: dict[str, list[pl.DataFrame]] = {}
    for page in pages:
        parts.setdefault(page.table, []).append(page.rows)
    return {name: pl.concat(rows, how="diagonal") for name, rows in parts.items()}


def test_it_is_a_reader(office: Office) -> None:
    reader: Reader = office.reader
    assert reader.crm == "hubspot"


def test_identity_is_the_portal(office: Office) -> None:
    identity = office.reader.identity()
    assert (identity.crm, identity.key) == ("hubspot", "48151623")


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_every_version_of_the_api_reads_alike(office: Office, version: str) -> None:
    deals = seed(office.portal, "deals", 3, dealname="X", amount="12.50", pipeline="default", dealstage="closedwon")
    contacts = seed(office.portal, "contacts", 1, email="a@example.com")
    office.portal.associate_many("deals", "contacts", [(int(deals[0]), int(contacts[0]))])
    reader, _ = office.again(api_version=version)
    found = frames(reader.pull(structs.replace(DEALS, links=("contacts",))))
    assert found["deals"]["amount"].to_list() == [12.5] * 3
    assert found["deals"]["hs_is_closed"].to_list() == [True] * 3
    assert found["deals~contacts"].rows() == [(deals[0], contacts[0])]
    assert reader.identity().key == "48151623"
    assert len(reader.stages("deals", "dealstage")) == 11
    assert reader.current(DEALS, deals[:1])["hs_object_id"].to_list() == deals[:1]
    changes = reader.increments.changes(structs.replace(DEALS, links=("contacts",)), "2026-11-20T00:00:00+00:00")
    assert changes is not None
    (page,) = changes.pages
    assert sorted(page.rows["hs_object_id"]) == sorted(deals)
    assert page.links["contacts"].rows() == [(deals[0], contacts[0])]


def test_pages_are_gathered_and_memory_is_bounded(office: Office) -> None:
    seed(office.portal, "deals", 5_150, dealname="X")
    pages = list(office.reader.pull(DEALS))
    assert [page.rows.height for page in pages] == [5_000, 150]
    assert pl.concat([page.rows["hs_object_id"] for page in pages]).n_unique() == 5_150
    assert office.portal.calls["GET /crm/v3/objects/{object_type}"] == 52


def test_an_empty_table_still_has_its_columns(office: Office) -> None:
    found = frames(office.reader.pull(structs.replace(DEALS, links=("contacts",))))
    assert found["deals"].columns == ["hs_object_id", *DEALS.columns]
    assert found["deals"].schema["amount"] == pl.Float64
    assert found["deals~contacts"].schema == {"from": pl.String, "to": pl.String}


def test_unreadable_values_are_null_and_marked(office: Office) -> None:
    office.portal.add_property("deals", PropertyDefinition(name="size", label="Size"))
    seed(office.portal, "deals", 1, size="about 12")
    seed(office.portal, "deals", 1, size=" 12 ")
    found = frames(office.reader.pull(Table(name="deals", key="hs_object_id", columns={"size": NUMBER})))["deals"]
    assert found["size"].to_list() == [None, 12.0]
    assert found["size?unreadable"].to_list() == [True, False]


def test_a_great_many_properties_do_not_make_the_url_too_long(office: Office) -> None:
    names = [f"a_property_with_quite_a_long_name_{number}" for number in range(500)]
    for name in names:
        office.portal.add_property("deals", PropertyDefinition(name=name, label=name))
    ids = seed(office.portal, "deals", 120, **{names[-1]: "there"})
    table = Table(name="deals", key="hs_object_id", columns=dict.fromkeys(names, TEXT))
    found = frames(office.reader.pull(table))["deals"]
    assert sorted(found["hs_object_id"]) == sorted(ids)
    assert found[names[-1]].to_list() == ["there"] * 120
    assert office.portal.calls["POST /crm/v3/objects/{object_type}/batch/read"] == 2


def test_associations_of_one_record_are_paged(office: Office) -> None:
    office.portal.association_page_size = 20
    deal, lonely = seed(office.portal, "deals", 2)
    contacts = seed(office.portal, "contacts", 55)
    office.portal.associate_many("deals", "contacts", [(int(deal), int(one)) for one in contacts])
    links = frames(office.reader.pull(structs.replace(DEALS, links=("contacts",))))["deals~contacts"]
    assert sorted(links.rows()) == sorted((deal, one) for one in contacts)
    assert lonely not in links["from"].to_list()


def test_history_is_a_table_of_its_own(office: Office) -> None:
    deals = seed(office.portal, "deals", 70, dealstage="qualifiedtobuy", pipeline="default")
    office.portal.add_history(
        ("deals", int(deal), "dealstage", stage, NOW - timedelta(days=day), "CRM_UI", "userId:7", 7)
        for deal in deals
        for day, stage in ((2, "appointmentscheduled"), (1, "qualifiedtobuy"))
    )
    columns = {"record": TEXT, "dealstage": TEXT, "at": MOMENT, "by": TEXT}
    table = Table(name="deals.history", key="record", columns=columns, history_of="dealstage")
    assert office.reader.missing([table]) == ()
    found = frames(office.reader.pull(table))["deals.history"].filter(pl.col("record") == deals[0])
    assert found.sort("at").rows() == [
        (deals[0], "appointmentscheduled", NOW - timedelta(days=2), "CRM_UI:userId:7"),
        (deals[0], "qualifiedtobuy", NOW - timedelta(days=1), "CRM_UI:userId:7"),
    ]


def test_missing_properties_are_named_and_not_asked_for(office: Office) -> None:
    table = structs.replace(DEALS, columns={**DEALS.columns, "champion": TEXT})
    (missing,) = office.reader.missing([table])
    assert dict(missing.columns) == {"champion": "this portal has no property champion on deals"}
    assert "champion" not in frames(office.reader.pull(table))["deals"].columns
    assert "champion" not in office.reader.current(table, []).columns


def test_history_of_a_property_that_is_not_there_is_missing(office: Office) -> None:
    columns = {"record": TEXT, "stage_of_grief": TEXT, "at": MOMENT, "by": TEXT}
    table = Table(name="deals.history", key="record", columns=columns, history_of="stage_of_grief")
    (missing,) = office.reader.missing([table])
    assert set(missing.columns) == set(columns)
    assert list(office.reader.pull(table)) == []


@pytest.mark.parametrize("scope", ["crm.objects.companies.read", "crm.schemas.companies.read"])
def test_an_object_without_a_scope_is_missing_with_its_links(office: Office, scope: str) -> None:
    office.portal.faults.missing_scopes.add(scope)
    companies = Table(name="companies", key="hs_object_id", columns={"numberofemployees": NUMBER}, links=("deals",))
    missing = {one.table: one.columns for one in office.reader.missing([DEALS, companies])}
    assert set(missing) == {"companies", "companies~deals"}
    assert missing["companies"]["numberofemployees"] == f"the access token lacks the scope {scope}"


def test_a_portal_without_leads_is_missing_them(office: Office) -> None:
    office.portal.faults.leads_absent = True
    leads = Table(name="leads", key="hs_object_id", columns={"hs_lead_name": TEXT})
    (missing,) = office.reader.missing([leads])
    assert set(missing.columns) == {"hs_object_id", "hs_lead_name"}
    assert list(office.reader.pull(leads)) == []


def test_an_object_that_no_portal_has_is_missing(office: Office) -> None:
    rockets = Table(name="rockets", key="hs_object_id", columns={"fuel": TEXT})
    (missing,) = office.reader.missing([rockets])
    assert "no rockets" in missing.columns["fuel"]


def test_stages_of_pipelines_and_of_properties(office: Office) -> None:
    deals = office.reader.stages("deals", "dealstage")
    won = next(stage for stage in deals if stage.value == "closedwon")
    assert (won.pipeline, won.label, won.closed, won.won, won.position) == ("default", "Closed Won", True, True, 5)
    assert {stage.pipeline for stage in deals} == {"default", "139663272"}
    leads = office.reader.stages("leads", "hs_pipeline_stage")
    assert [stage.closed for stage in leads] == [False, False, False, True, True]
    contacts = office.reader.stages("contacts", "lifecyclestage")
    assert [stage.value for stage in contacts[:2]] == ["subscriber", "lead"]
    assert office.reader.stages("contacts", "no_such_field") == ()


def test_owners_include_the_ones_who_left_and_queues(office: Office) -> None:
    people = [
        {"id": 1, "email": "ann@example.com", "firstName": "Ann", "lastName": "Lee", "userId": 11},
        {"id": 2, "email": "bob@example.com", "userId": 12, "archived": True},
        {"id": 3, "firstName": "Inbound", "type": "QUEUE"},
    ]
    people += [{"id": number, "email": f"{number}@example.com", "userId": number} for number in range(100, 250)]
    office.portal.add_owners(people)
    owners = {owner.id: owner for owner in office.reader.owners()}
    assert len(owners) == 153
    assert (owners["1"].name, owners["1"].active) == ("Ann Lee", True)
    assert (owners["2"].name, owners["2"].active) == ("bob@example.com", False)
    assert owners["3"].queue
    # As histories call them; the user id of one who left is still known.
    assert [owners[name].author for name in "123"] == ["userId:11", "userId:12", None]


def test_current_reads_many_and_leaves_out_the_gone(office: Office) -> None:
    ids = seed(office.portal, "deals", 250, amount="1")
    found = office.reader.current(DEALS, [*ids, ids[0], "999999"])
    assert sorted(found["hs_object_id"]) == sorted(ids)
    assert office.reader.current(DEALS, []).columns == ["hs_object_id", *DEALS.columns]


def test_own_tasks_are_found_by_their_key(office: Office) -> None:
    (task,) = seed(office.portal, "tasks", 1, stagesync_key="k1", hs_task_subject="X")
    assert office.reader.own_tasks(["k1", "k2"]) == {"k1": task}
    assert office.reader.own_tasks([]) == {}


def test_own_tasks_are_found_by_their_body_where_there_is_no_unique_property(office: Office) -> None:
    office.portal.metadata.remove_property("tasks", "stagesync_key")
    (task,) = seed(office.portal, "tasks", 1, hs_task_body="Say why<br>[stagesync:k1]")
    seed(office.portal, "tasks", 120, hs_task_body="Call [stagesync] about [stagesync:other]")
    assert office.reader.own_tasks(["k1", "k2"]) == {"k1": task}


def test_own_tasks_without_a_property_are_found_in_few_calls(office: Office) -> None:
    """Neither the number of tasks of a portal nor the lag of its index matters for those on a record."""
    office.portal.metadata.remove_property("tasks", "stagesync_key")
    seed(office.portal, "tasks", 3_000, hs_task_body="Call them back")
    (deal,) = seed(office.portal, "deals", 1)
    attached, loose = (
        seed(office.portal, "tasks", 1, hs_task_body=f"Say why<br>[stagesync:{key}]")[0] for key in ("k1", "k2")
    )
    office.portal.associate_many("tasks", "deals", [(int(attached), int(deal))])
    before = office.portal.calls.copy()
    assert office.reader.own_tasks(["k1"], [deal]) == {"k1": attached}
    made = office.portal.calls - before
    assert not any(call.endswith("search") for call in made)
    assert sum(made.values()) <= 10
    before = office.portal.calls.copy()
    assert office.reader.own_tasks(["k1", "k2", "k3"], [deal]) == {"k1": attached, "k2": loose}
    assert sum((office.portal.calls - before).values()) <= 12


# ------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("status", [423, 502, 503, 504, 521])
def test_reads_outlast_an_outage(office: Office, status: int) -> None:
    seed(office.portal, "deals", 3)
    office.portal.faults.fail_next(3, status)
    assert frames(office.reader.pull(DEALS))["deals"].height == 3
    assert len(office.waits) == 3


def test_retry_after_is_waited_for(office: Office) -> None:
    office.portal.faults.fail_next(1, 503, retry_after=7)
    office.reader.owners()
    assert 7 <= office.waits[0] <= 8


def test_an_outage_that_does_not_end_is_a_failed_connection(office: Office) -> None:
    office.portal.faults.fail_next(50, 502)
    with pytest.raises(ConnectionFailed, match="HTTP 502") as caught:
        office.reader.identity()
    assert office.connection.base_url in str(caught.value)
    assert len(office.waits) == 5


def test_a_moving_portal_is_left_alone(office: Office) -> None:
    office.portal.faults.fail_next(1, 477, retry_after=3_600)
    with pytest.raises(ConnectionFailed, match="data centre"):
        office.reader.identity()
    assert office.waits == []


def test_a_window_that_another_agent_of_the_app_used_up_is_waited_out(serve: Serve) -> None:
    seconds = [0.0]
    limits = Limits(ten_secondly=3)
    portal = Portal(":memory:", clock=lambda: NOW, limits=limits, timer=lambda: seconds[0])
    standard_metadata(portal)

    def sleep(wait: float) -> None:
        waits.append(wait)
        seconds[0] += wait

    waits: list[float] = []
    connection = HubSpotConnection(connection="acme", base_url=serve(routes(portal)), access_token=CREDENTIAL)
    other, _ = connect(connection, sleep=sleep, timer=lambda: seconds[0])
    reader, _ = connect(connection, sleep=sleep, timer=lambda: seconds[0])
    for _ in range(3):
        other.identity()
    reader.identity()
    assert portal.limiter.refused == {"TEN_SECONDLY_ROLLING": 1}
    assert len(waits) == 1
    assert 9 < waits[0] <= 11.1


def test_a_used_up_day_is_said_at_once(serve: Serve) -> None:
    portal = Portal(":memory:", clock=lambda: NOW, limits=Limits(daily=0))
    standard_metadata(portal)
    connection = HubSpotConnection(connection="acme", base_url=serve(routes(portal)), access_token=CREDENTIAL)
    waits: list[float] = []
    reader, _ = connect(connection, sleep=waits.append)
    with pytest.raises(ConnectionFailed, match="today"):
        reader.owners()
    assert waits == []


def test_a_revoked_token(office: Office) -> None:
    office.portal.faults.token_revoked = True
    with pytest.raises(CredentialsRefused, match="acme") as caught:
        office.reader.identity()
    assert CREDENTIAL not in str(caught.value)


def test_an_expired_token(office: Office) -> None:
    office.portal.faults.token_expired = True
    with pytest.raises(CredentialsRefused, match="expired"):
        office.reader.owners()


def test_a_scope_that_is_needed_is_named(office: Office) -> None:
    office.portal.faults.missing_scopes.add("crm.objects.owners.read")
    with pytest.raises(CredentialsRefused, match=r"crm\.objects\.owners\.read"):
        office.reader.owners()


def test_nobody_listens() -> None:
    waits: list[float] = []
    connection = HubSpotConnection(connection="acme", base_url="http://127.0.0.1:9", access_token="t")
    reader, _ = connect(connection, sleep=waits.append)
    with pytest.raises(ConnectionFailed, match=r"cannot connect to acme \(http://127\.0\.0\.1:9\)"):
        reader.identity()


# -------------------------------------------------------------- answers that the embedded portal never gives


Answer = Callable[[], Response]


def odd_server(serve: Serve, answers: list[Answer]) -> HubSpotReader:
    """A server that gives these answers in turn, the last one for ever."""

    async def endpoint(_request: Request) -> Response:
        return (answers.pop(0) if len(answers) > 1 else answers[0])()

    url = serve([Route("/{rest:path}", endpoint, methods=["GET", "POST"])])
    connection = HubSpotConnection(connection="acme", base_url=url, access_token="t", timeout=(1, 0.3))
    return connect(connection, sleep=lambda _wait: None)[0]


def account() -> Response:
    return Response('{"portalId": 7, "newFromNextYear": true}', media_type="application/json")


def test_a_page_cut_off_in_the_middle_is_read_again(serve: Serve) -> None:
    reader = odd_server(serve, [lambda: Response('{"portalId": 7', media_type="application/json"), account])
    assert reader.identity().key == "7"


def test_an_answer_that_never_makes_sense(serve: Serve) -> None:
    reader = odd_server(serve, [lambda: Response("<html>hello</html>", media_type="text/html")])
    with pytest.raises(ConnectionFailed, match="cannot be read"):
        reader.identity()


def test_broken_compression_is_read_again(serve: Serve) -> None:
    broken = Response(b"not gzip at all", headers={"Content-Encoding": "gzip"})
    assert odd_server(serve, [lambda: broken, account]).identity().key == "7"


def test_an_edge_that_does_not_speak_utf8(serve: Serve) -> None:
    edge = Response("<h1>Überlastet</h1>".encode("latin-1"), status_code=502, media_type="text/html")
    assert odd_server(serve, [lambda: edge, account]).identity().key == "7"


def test_a_malformed_token_at_the_edge(serve: Serve) -> None:
    with pytest.raises(CredentialsRefused, match="530"):
        odd_server(serve, [lambda: Response("error code: 1016", status_code=530)]).identity()


def test_a_redirect_takes_no_token_along(serve: Serve) -> None:
    away = Response(status_code=302, headers={"Location": "http://127.0.0.1:9/"})
    with pytest.raises(ConnectionFailed, match="elsewhere"):
        odd_server(serve, [lambda: away]).identity()


def test_a_list_that_never_ends(serve: Serve) -> None:
    definitions = Response('{"results": [{"name": "dealname"}]}')
    page = Response('{"results": [{"id": "1", "properties": {}}], "paging": {"next": {"after": 1}}}')
    reader = odd_server(serve, [lambda: definitions, lambda: page])
    with pytest.raises(ConnectionFailed, match="repeats itself"):
        list(reader.pull(DEALS))


def test_account_details_that_are_not_served(serve: Serve) -> None:
    gone = Response('{"status": "error", "message": "resource not found"}', status_code=404)
    info = Response('{"hubId": 8, "scopes": []}')
    assert odd_server(serve, [lambda: gone, lambda: info]).identity().key == "8"
