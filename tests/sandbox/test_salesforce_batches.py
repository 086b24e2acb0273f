"""Collections, composite requests and bulk query jobs."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from .salesforce_world import Api, World

BEFORE = "Thu, 01 Oct 2026 12:00:00 GMT"


def typed(sobject: str, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": sobject}, **values}


def part(reference: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "url": f"/services/data/v67.0/{path}", "referenceId": reference, **more}


def run(api: Api, *parts: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = api.post("composite", {"compositeRequest": list(parts), **more})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return results


def test_collections_answer_in_order_with_status_codes(salesforce: World) -> None:
    api = salesforce.api()
    deal, lead = salesforce.deal(), salesforce.lead()
    records = [
        typed("Opportunity", id=deal[:15], StageName="Qualification"),
        typed("Opportunity", id="006000000000009AAA", StageName="Qualification"),
        typed("Opportunity", id="nonsense", StageName="Qualification"),
        typed("Lead", id=lead, NoSuchField=1),
        typed("Lead", id=lead, Title="CFO"),
    ]
    answer = api.patch("composite/sobjects", {"allOrNone": False, "records": records})
    assert answer.status_code == 200
    first, *failed = answer.json()
    assert first == {"id": deal, "success": True, "errors": []}
    codes = [one["errors"][0]["statusCode"] for one in failed]
    assert codes == ["INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "INVALID_FIELD", "DUPLICATE_VALUE"]
    assert salesforce.stored("Opportunity", deal)["StageName"] == "Qualification"
    assert salesforce.org.calls["PATCH /composite/sobjects"] == 1


def test_all_or_none_leaves_nothing_behind(salesforce: World) -> None:
    api = salesforce.api()
    deal = salesforce.deal()
    records = [typed("Opportunity", id=deal, StageName="Closed Won"), typed("Opportunity", id=deal[:-3] + "XXX")]
    results = api.patch("composite/sobjects", {"allOrNone": True, "records": records}).json()
    codes = [one["errors"][0]["statusCode"] for one in results]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "MALFORMED_ID"]
    assert salesforce.stored("Opportunity", deal)["StageName"] == "Prospecting"
    assert salesforce.org.database.value('SELECT COUNT(*) FROM "OpportunityHistory"') == 0
    made = api.post(
        "composite/sobjects",
        {"allOrNone": True, "records": [typed("Lead", LastName="A", Company="B"), typed("Lead", LastName="A")]},
    ).json()
    assert [one["success"] for one in made] == [False, False]
    assert salesforce.org.database.value('SELECT COUNT(*) FROM "Lead"') == 0


def test_collections_create_upsert_retrieve_delete(salesforce: World) -> None:
    api = salesforce.api()
    made = api.post("composite/sobjects", {"records": [typed("Lead", LastName=f"L{i}", Company="B") for i in range(3)]})
    ids = [one["id"] for one in made.json()]
    tasks = [typed("Task", StageSync_Key__c=f"k{i % 2}", WhoId=ids[i], Subject=f"s{i}") for i in range(3)]
    done = api.patch("composite/sobjects/Task/StageSync_Key__c", {"records": tasks}).json()
    assert [one["created"] for one in done] == [True, True, False]
    assert done[0]["id"] == done[2]["id"]
    missing = "00Q000000000009EAA"
    wanted = {"ids": [ids[1], missing, ids[0]], "fields": ["LastName"]}
    read = api.post("composite/sobjects/Lead", wanted).json()
    assert [one and one["LastName"] for one in read] == ["L1", None, "L0"]
    assert api.post("composite/sobjects/Lead", {"ids": ids, "fields": ["Nope"]}).status_code == 400
    assert (
        api.get("composite/sobjects/Lead", params={"ids": ids[2], "fields": "LastName"}).json()[0]["LastName"] == "L2"
    )
    gone = api.call("DELETE", "composite/sobjects", params={"ids": f"{ids[0]},{missing}", "allOrNone": "false"}).json()
    assert [one["success"] for one in gone] == [True, False]
    assert api.post("composite/sobjects/Lead", {"ids": [ids[0]], "fields": ["Id"]}).json() == [None]
    assert api.patch("composite/sobjects", {"records": [typed("Lead")] * 201}).status_code == 400


def test_composite_with_conditions_on_each_part(salesforce: World) -> None:
    api = salesforce.api()
    fresh, stale = salesforce.deal(), salesforce.deal()
    salesforce.clock.forward(seconds=5)
    api.patch(f"sobjects/Opportunity/{stale}", {"NextStep": "someone was here"})
    condition = {"httpHeaders": {"If-Unmodified-Since": BEFORE}, "body": {"StageName": "Qualification"}}
    results = run(
        api,
        part("r0", "PATCH", f"sobjects/Opportunity/{fresh}", **condition),
        part("r1", "PATCH", f"sobjects/Opportunity/{stale}", **condition),
        allOrNone=False,
    )
    assert results[0] == {"body": None, "httpHeaders": {}, "httpStatusCode": 204, "referenceId": "r0"}
    assert results[1]["httpStatusCode"] == 412
    assert salesforce.stored("Opportunity", fresh)["StageName"] == "Qualification"
    assert salesforce.stored("Opportunity", stale)["StageName"] == "Prospecting"


def test_composite_references_and_queries(salesforce: World) -> None:
    api = salesforce.api()
    results = run(
        api,
        part("lead", "POST", "sobjects/Lead", body={"LastName": "A", "Company": "B"}),
        part("task", "POST", "sobjects/Task", body={"WhoId": "@{lead.id}", "Subject": "for @{lead.id}"}),
        part("query", "GET", "query?q=SELECT+Id,Subject+FROM+Task+WHERE+WhoId='@{lead.id}'"),
        part("name", "GET", "sobjects/Task/@{query.records[0].Id}?fields=Subject"),
        part("broken", "GET", "sobjects/Task/@{nobody.id}"),
    )
    lead = results[0]["body"]["id"]
    assert [one["httpStatusCode"] for one in results] == [201, 201, 200, 200, 400]
    assert results[2]["body"]["totalSize"] == 1
    assert results[3]["body"]["Subject"] == f"for {lead}"
    assert results[4]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_composite_all_or_none(salesforce: World) -> None:
    api = salesforce.api()
    deal = salesforce.deal()
    results = run(
        api,
        part("a", "PATCH", f"sobjects/Opportunity/{deal}", body={"StageName": "Closed Won"}),
        part("b", "POST", "sobjects/Task", body={"Nope": 1}),
        part("c", "POST", "sobjects/Task", body={"Subject": "x"}),
        allOrNone=True,
    )
    codes = [one["body"][0]["errorCode"] for one in results]
    assert codes == ["PROCESSING_HALTED", "INVALID_FIELD", "PROCESSING_HALTED"]
    assert salesforce.stored("Opportunity", deal)["StageName"] == "Prospecting"
    inner = {"allOrNone": True, "records": [typed("Opportunity", id=deal, StageName="Closed Won"), typed("Nope")]}
    kept = run(api, part("a", "PATCH", "composite/sobjects", body=inner), part("b", "GET", "limits"))
    assert kept[0]["httpStatusCode"] == 200
    assert salesforce.stored("Opportunity", deal)["StageName"] == "Prospecting"
    graph = {"graphId": "1", "compositeRequest": [part("a", "POST", "sobjects/Task", body={"Subject": "x"})]}
    answer = api.post("composite/graph", {"graphs": [graph]}).json()["graphs"][0]
    assert (answer["graphId"], answer["isSuccessful"]) == ("1", True)


REFUSED = [
    ([part(f"r{i}", "GET", "limits") for i in range(26)], "LIMIT_EXCEEDED"),
    ([part(f"r{i}", "GET", "query?q=x") for i in range(6)], "LIMIT_EXCEEDED"),
    ([part("r", "GET", "limits"), part("r", "GET", "limits")], "INVALID_INPUT"),
    ([part("r", "GET", "limits", httpHeaders={"Accept": "x"})], "INVALID_INPUT"),
    ([{"method": "GET"}], "INVALID_INPUT"),
    ([], "INVALID_INPUT"),
]


@pytest.mark.parametrize(("parts", "code"), REFUSED)
def test_malformed_composites_fail_as_a_whole(salesforce: World, parts: list[Any], code: str) -> None:
    answer = salesforce.api().post("composite", {"compositeRequest": parts})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_a_query_too_long_for_an_address_fits_into_a_composite(salesforce: World) -> None:
    salesforce.org.insert_many("Lead", ({"LastName": f"L{i}", "Company": "C"} for i in range(1500)))
    ids = [row["Id"] for row in salesforce.org.database.rows('SELECT "Id" FROM "Lead"')]
    wanted = ",".join(f"'{one}'" for one in ids)
    results = run(salesforce.api(), part("q", "GET", f"query?q=SELECT+Id+FROM+Lead+WHERE+Id+IN+({wanted})"))
    assert results[0]["body"]["totalSize"] == 1500


def test_bulk_query(salesforce: World) -> None:
    salesforce.org.insert_many(
        "Lead", ({"LastName": f'L"{i}\nx', "Company": "C", "IsConverted": i == 0} for i in range(250))
    )
    api = salesforce.api()
    body = {"operation": "query", "query": "SELECT Id, LastName, IsConverted, Owner.Name, Rating FROM Lead"}
    job = api.post("jobs/query", body).json()
    assert job["state"] == "UploadComplete"
    assert api.get(f"jobs/query/{job['id']}").json()["numberRecordsProcessed"] == 250
    rows, locator = [], ""
    while locator != "null":
        answer = api.get(f"jobs/query/{job['id']}/results", params={"maxRecords": 100, "locator": locator})
        locator = answer.headers["Sforce-Locator"]
        rows += list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert answer.headers["Content-Type"].startswith("text/csv")
    assert len(rows) == 250
    assert rows[0]["LastName"] == 'L"0\nx'
    assert (rows[0]["IsConverted"], rows[1]["IsConverted"], rows[0]["Rating"]) == ("true", "false", "")
    assert rows[0]["Owner.Name"] == "StageSync Integration"
    assert salesforce.api("66.0").get(f"jobs/query/{job['id']}/results").status_code == 409
    texts = list(salesforce.simple().bulk2.Lead.query("SELECT Id FROM Lead", max_records=100))
    assert sum(text.count('"00Q') for text in texts) == 250
    refused = api.post("jobs/query", {"operation": "query", "query": "SELECT COUNT() FROM Lead"})
    assert refused.status_code == 400
    assert api.call("DELETE", f"jobs/query/{job['id']}").status_code == 204
    assert api.get(f"jobs/query/{job['id']}").status_code == 404


ODD: list[Any] = [
    None,
    [],
    [1],
    "x",
    {},
    {"records": None},
    {"records": [None]},
    {"records": [{"attributes": [1]}]},
    {"records": [{"attributes": {"type": ["a"]}}]},
    {"compositeRequest": [1]},
    {"ids": [1, None], "fields": [1]},
    {"graphs": [{}]},
    {"operation": ["q"]},
    {"operation": "query", "query": "SELECT Id FROM Lead", "columnDelimiter": ["a"]},
    {"Amount": 10**400},
    {"CloseDate": 5},
    {"WhoId": 5},
    {"Subject": "a\x00b"},
]
PATHS = (
    "sobjects/Lead",
    "sobjects/Task/StageSync_Key__c/x",
    "sobjects/Event",
    "composite",
    "composite/graph",
    "composite/sobjects",
    "composite/sobjects/Lead",
    "composite/sobjects/Task/StageSync_Key__c",
    "jobs/query",
)


def test_odd_bodies_never_break_the_server(salesforce: World) -> None:
    api = salesforce.api()
    for path in (*PATHS, f"sobjects/Opportunity/{salesforce.deal()}"):
        for method in ("POST", "PATCH"):
            for body in ODD:
                answer = api.call(method, path, json=body, headers={"Content-Type": "application/json"})
                assert answer.status_code < 500, (method, path, body)
