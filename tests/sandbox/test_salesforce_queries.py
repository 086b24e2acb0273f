"""SOQL against the same rows judged by plain Python, and the refusals as Salesforce words them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.sandbox.salesforce.errors import ApiError
from stagesync.sandbox.salesforce.query import Reader

from .salesforce_world import START, World, make_world

Row = dict[str, Any]
SOURCES = (None, "Web", "Partner Referral", "web", "Straße")
STAGES = ("Prospecting", "Needs Analysis", "Proposal/Price Quote", "Closed Won", "Closed Lost")


def stamp(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000"))


def oracle_rows(world: World) -> list[Row]:
    """Sixty opportunities with every kind of gap, as plain dictionaries in the wire's own values."""
    idle = world.user(LastName="Idle", IsActive=False)
    small = world.seed("Account", Name="Small", NumberOfEmployees=9)
    large = world.seed("Account", Name="Large & Söhne", NumberOfEmployees=4000, Industry="Energy")
    rows = []
    for i in range(60):
        created = START - timedelta(days=i * 3, hours=i % 7)
        row = {
            "Name": f"Deal {i:02d}" if i % 5 else f"O'Brien_{i}%",
            "StageName": STAGES[i % 5],
            "Amount": None if i % 7 == 0 else float(i * 500),
            "CloseDate": (START + timedelta(days=i * 4 - 100)).date().isoformat(),
            "LeadSource": SOURCES[i % 5 if i % 3 else 0],
            "NextStep": None if i % 4 else f"Call number {i}",
            "Budget_Confirmed__c": i % 3 == 0,
            "AccountId": (None, small, large)[i % 3],
            "OwnerId": idle if i % 10 == 0 else world.org.integration_user_id,
            "CreatedDate": stamp(created),
            "SystemModstamp": stamp(created + timedelta(seconds=i // 20)),
        }
        row["Id"] = world.deal(
            **{**row, "CreatedDate": created, "SystemModstamp": created + timedelta(seconds=i // 20)}
        )
        row["IsClosed"] = str(row["StageName"]).startswith("Closed")
        row["IsWon"] = row["StageName"] == "Closed Won"
        row["Account.NumberOfEmployees"] = (None, 9, 4000)[i % 3]
        row["Account.Industry"] = (None, None, "Energy")[i % 3]
        row["Owner.IsActive"] = i % 10 != 0
        rows.append(row)
    return rows


@cache
def judged() -> tuple[World, list[Row], Reader]:
    world = make_world()
    rows = oracle_rows(world)
    return world, rows, Reader(world.org, world.org.integration_user_id, "67.0")


def low(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def day(offset: int) -> str:
    return (START + timedelta(days=offset)).date().isoformat()


# WHERE clause, and what it means.
CASES: list[tuple[str, Callable[[Row], bool]]] = [
    ("StageName = 'Prospecting'", lambda r: r["StageName"] == "Prospecting"),
    ("stagename = 'PROSPECTING'", lambda r: r["StageName"] == "Prospecting"),
    ("StageName != 'Prospecting'", lambda r: r["StageName"] != "Prospecting"),
    ("StageName <> 'Closed Won'", lambda r: r["StageName"] != "Closed Won"),
    ("LeadSource = 'Web'", lambda r: low(r["LeadSource"]) == "web"),
    ("LeadSource != 'Web'", lambda r: low(r["LeadSource"]) != "web"),
    ("LeadSource = null", lambda r: r["LeadSource"] is None),
    ("LeadSource = ''", lambda r: r["LeadSource"] is None),
    ("LeadSource != null", lambda r: r["LeadSource"] is not None),
    ("LeadSource = 'STRAßE'", lambda r: r["LeadSource"] == "Straße"),
    ("LeadSource LIKE 'STRAß%'", lambda r: r["LeadSource"] == "Straße"),
    ("NOT LeadSource = 'Web'", lambda r: low(r["LeadSource"]) != "web"),
    (
        "NOT (LeadSource = 'Web' OR Amount > 1000)",
        lambda r: low(r["LeadSource"]) != "web" and not (r["Amount"] or 0) > 1000,
    ),
    ("LeadSource IN ('Web', 'Partner Referral')", lambda r: low(r["LeadSource"]) in ("web", "partner referral")),
    ("LeadSource NOT IN ('Web')", lambda r: low(r["LeadSource"]) != "web"),
    ("LeadSource IN ('Web', null)", lambda r: low(r["LeadSource"]) in ("web", None)),
    ("LeadSource NOT IN ('Web', null)", lambda r: low(r["LeadSource"]) not in ("web", None)),
    ("Name LIKE 'deal 1%'", lambda r: r["Name"].startswith("Deal 1")),
    ("Name LIKE 'Deal _5'", lambda r: r["Name"].startswith("Deal") and r["Name"].endswith("5")),
    (r"Name LIKE '%\%'", lambda r: r["Name"].endswith("%")),
    (r"Name LIKE 'O\'Brien\_%'", lambda r: r["Name"].startswith("O'Brien_")),
    (r"Name LIKE '%\_1%'", lambda r: "_1" in r["Name"]),
    ("(NOT Name LIKE 'Deal%')", lambda r: not r["Name"].startswith("Deal")),
    (r"Name = 'O\'Brien_10%'", lambda r: r["Name"] == "O'Brien_10%"),
    ("NextStep LIKE '%number%'", lambda r: r["NextStep"] is not None),
    ("Amount > 10000", lambda r: r["Amount"] is not None and r["Amount"] > 10000),
    ("Amount >= 10000", lambda r: r["Amount"] is not None and r["Amount"] >= 10000),
    ("Amount < 5000.5", lambda r: r["Amount"] is not None and r["Amount"] < 5000.5),
    ("Amount <= -1", lambda r: False),
    ("Amount = 1e3", lambda r: r["Amount"] == 1000),
    ("Amount != 1000", lambda r: r["Amount"] != 1000),
    ("Amount = null", lambda r: r["Amount"] is None),
    ("Amount IN (500, 1000, 1500.0)", lambda r: r["Amount"] in (500, 1000, 1500)),
    ("IsClosed = true", lambda r: r["IsClosed"]),
    ("IsClosed = FALSE AND IsWon = false", lambda r: not r["IsClosed"]),
    ("IsWon != true", lambda r: not r["IsWon"]),
    ("Budget_Confirmed__c = true", lambda r: r["Budget_Confirmed__c"]),
    ("CloseDate = 2026-10-05", lambda r: r["CloseDate"] == "2026-10-05"),
    ("CloseDate < 2026-10-01", lambda r: r["CloseDate"] < "2026-10-01"),
    ("CloseDate >= 2026-10-01 AND CloseDate <= 2026-12-31", lambda r: "2026-10-01" <= r["CloseDate"] <= "2026-12-31"),
    ("CloseDate = TODAY", lambda r: r["CloseDate"] == day(0)),
    ("CloseDate > TODAY", lambda r: r["CloseDate"] > day(0)),
    ("CloseDate <= TODAY", lambda r: r["CloseDate"] <= day(0)),
    ("CloseDate = LAST_N_DAYS:30", lambda r: day(-30) <= r["CloseDate"] <= day(0)),
    ("CloseDate = NEXT_N_DAYS:30", lambda r: day(1) <= r["CloseDate"] <= day(30)),
    ("CloseDate = THIS_MONTH", lambda r: r["CloseDate"].startswith("2026-10")),
    ("CloseDate = LAST_MONTH", lambda r: r["CloseDate"].startswith("2026-09")),
    ("CloseDate = THIS_QUARTER", lambda r: "2026-10-01" <= r["CloseDate"] <= "2026-12-31"),
    ("CloseDate = THIS_FISCAL_YEAR", lambda r: r["CloseDate"].startswith("2026")),
    ("CloseDate > NEXT_YEAR", lambda r: r["CloseDate"] > "2027-12-31"),
    ("CloseDate = THIS_WEEK", lambda r: "2026-09-27" <= r["CloseDate"] <= "2026-10-03"),
    ("CloseDate = N_DAYS_AGO:4", lambda r: r["CloseDate"] == day(-4)),
    ("CloseDate = LAST_N_MONTHS:2", lambda r: "2026-08-01" <= r["CloseDate"] < "2026-10-01"),
    ("CloseDate != LAST_90_DAYS", lambda r: not day(-90) <= r["CloseDate"] <= day(0)),
    ("CALENDAR_YEAR(CloseDate) = 2027", lambda r: r["CloseDate"].startswith("2027")),
    ("CreatedDate >= 2026-09-01T00:00:00Z", lambda r: r["CreatedDate"] >= "2026-09-01T00:00:00"),
    ("CreatedDate < 2026-09-01T02:00:00+02:00", lambda r: r["CreatedDate"] < "2026-09-01T00:00:00"),
    ("CreatedDate >= LAST_N_DAYS:20", lambda r: r["CreatedDate"] >= day(-20)),
    ("CreatedDate = YESTERDAY", lambda r: r["CreatedDate"].startswith(day(-1))),
    (
        "(SystemModstamp > 2026-09-01T00:00:00Z OR (SystemModstamp = 2026-08-30T12:00:00Z "
        "AND Id > '006000000000000AAA')) AND SystemModstamp < 2026-09-28T00:00:00Z",
        lambda r: (
            "2026-09-01T00:00:00.000" < r["SystemModstamp"] < "2026-09-28"
            or r["SystemModstamp"] == "2026-08-30T12:00:00.000+0000"
        ),
    ),
    ("Account.NumberOfEmployees > 100", lambda r: (r["Account.NumberOfEmployees"] or 0) > 100),
    ("Account.NumberOfEmployees = null", lambda r: r["Account.NumberOfEmployees"] is None),
    ("Account.Industry != 'Energy'", lambda r: r["Account.Industry"] != "Energy"),
    ("AccountId = null", lambda r: r["AccountId"] is None),
    ("Owner.IsActive = false", lambda r: not r["Owner.IsActive"]),
    ("Opportunity.StageName = 'Closed Won' AND Owner.IsActive = true", lambda r: r["IsWon"] and r["Owner.IsActive"]),
    ("AccountId IN (SELECT Id FROM Account WHERE Industry = 'Energy')", lambda r: r["Account.Industry"] == "Energy"),
    (
        "AccountId NOT IN (SELECT Id FROM Account WHERE Industry = 'Energy')",
        lambda r: r["Account.Industry"] != "Energy",
    ),
    (
        "((StageName = 'Prospecting' AND Amount > 100) OR (StageName = 'Closed Won' AND Amount = null)) "
        "AND IsDeleted = false",
        lambda r: (
            (r["StageName"] == "Prospecting" and (r["Amount"] or 0) > 100)
            or (r["StageName"] == "Closed Won" and r["Amount"] is None)
        ),
    ),
]


@pytest.mark.parametrize(("where", "holds"), CASES, ids=[case[0][:60] for case in CASES])
def test_filters_agree_with_python(where: str, holds: Callable[[Row], bool]) -> None:
    _, rows, reader = judged()
    found = reader.first_page(f"SELECT Id FROM Opportunity WHERE {where}")["records"]
    assert {record["Id"] for record in found} == {row["Id"] for row in rows if holds(row)}


def literal(value: Any) -> str:
    return "null" if value is None else str(value) if isinstance(value, float) else f"'{value}'"


ATOMS = st.one_of(
    st.tuples(st.just("Amount"), st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from([0.0, 1000.0, 12500.0])),
    st.tuples(st.just("Amount"), st.sampled_from(["=", "!="]), st.sampled_from([None, 500.0, 1000.0])),
    st.tuples(st.just("LeadSource"), st.sampled_from(["=", "!="]), st.sampled_from([None, "Web", "Partner Referral"])),
    st.tuples(st.just("StageName"), st.sampled_from(["=", "!="]), st.sampled_from(list(STAGES))),
)
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner),
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=4)),
    ),
    max_leaves=8,
)


def write(tree: Any) -> str:
    if tree[0] == "NOT":
        return f"(NOT {write(tree[1])})"
    if tree[0] in ("AND", "OR"):
        return "(" + f" {tree[0]} ".join(write(part) for part in tree[1]) + ")"
    return f"{tree[0]} {tree[1]} {literal(tree[2])}"


def holds(tree: Any, row: Row) -> bool:
    if tree[0] == "NOT":
        return not holds(tree[1], row)
    if tree[0] in ("AND", "OR"):
        return (all if tree[0] == "AND" else any)(holds(part, row) for part in tree[1])
    left, right = low(row[tree[0]]), low(tree[2])
    if tree[1] in ("=", "!="):
        return bool((left == right) == (tree[1] == "="))
    if left is None:
        return False
    compared = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return bool(compared[tree[1]])


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_boolean_tree_agrees_with_python(tree: Any) -> None:
    _, rows, reader = judged()
    found = reader.first_page(f"SELECT Id FROM Opportunity WHERE {write(tree)}")["records"]
    assert {record["Id"] for record in found} == {row["Id"] for row in rows if holds(tree, row)}


def test_order_limit_and_offset() -> None:
    _, rows, reader = judged()

    def ids(tail: str) -> list[str]:
        return [record["Id"] for record in reader.first_page(f"SELECT Id FROM Opportunity {tail}")["records"]]

    nulls = sorted(row["Id"] for row in rows if row["Amount"] is None)
    filled = [row["Id"] for row in sorted((r for r in rows if r["Amount"] is not None), key=lambda r: r["Amount"])]
    assert ids("ORDER BY Amount, Id") == nulls + filled
    assert ids("ORDER BY Amount DESC, Id") == nulls + filled[::-1]
    assert ids("ORDER BY Amount ASC NULLS LAST, Id") == filled + nulls
    assert ids("ORDER BY Amount DESC NULLS LAST, Id LIMIT 3 OFFSET 2") == filled[::-1][2:5]
    assert ids("ORDER BY Account.NumberOfEmployees DESC NULLS LAST, Id LIMIT 1") == [
        min(row["Id"] for row in rows if row["Account.NumberOfEmployees"] == 4000)
    ]
    assert ids("LIMIT 0") == []


def test_groups() -> None:
    _, rows, reader = judged()
    body = reader.first_page(
        "SELECT StageName, COUNT(Id) n, MAX(CreatedDate) lastAt, SUM(Amount), AVG(Amount) FROM Opportunity "
        "WHERE CloseDate > 2026-08-01 GROUP BY StageName HAVING COUNT(Id) > 2 ORDER BY COUNT(Id) DESC, StageName"
    )
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["CloseDate"] > "2026-08-01":
            groups.setdefault(row["StageName"], []).append(row)
    expected = []
    for stage, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        amounts = [row["Amount"] for row in members if row["Amount"] is not None]
        expected.append(
            {
                "attributes": {"type": "AggregateResult"},
                "StageName": stage,
                "n": len(members),
                "lastAt": max(row["CreatedDate"] for row in members),
                "expr0": sum(amounts),
                "expr1": pytest.approx(sum(amounts) / len(amounts)),
            }
        )
    assert body["records"] == expected
    parents = reader.first_page("SELECT Account.Industry, COUNT(Id) FROM Opportunity GROUP BY Account.Industry")
    assert {(one["Industry"], one["expr0"]) for one in parents["records"]} == {(None, 40), ("Energy", 20)}
    assert reader.first_page("SELECT COUNT() FROM Opportunity WHERE IsWon = true") == {
        "totalSize": 12,
        "done": True,
        "records": [],
    }
    assert reader.first_page("SELECT COUNT(Amount), COUNT_DISTINCT(StageName) s FROM Opportunity")["records"] == [
        {"attributes": {"type": "AggregateResult"}, "expr0": 51, "s": 5}
    ]


def test_parents_children_and_polymorphic_owners(salesforce: World) -> None:
    queue = salesforce.seed("Group", Name="Inbound", Type="Queue")
    with_queue, with_user = salesforce.lead(OwnerId=queue, LastName="A"), salesforce.lead(LastName="B")
    account = salesforce.seed("Account", Name="Acme", NumberOfEmployees=120)
    deal, lone = salesforce.deal(AccountId=account, Name="A"), salesforce.deal(Name="B")
    first, second = (salesforce.seed("Task", WhatId=deal, Subject=f"t{i}") for i in range(2))
    event = salesforce.seed("Event", WhoId=with_user, StartDateTime="2026-10-02T09:00:00Z", DurationInMinutes=30)
    api = salesforce.api()

    leads = api.query("SELECT Name, Owner.Name, Owner.Type, Owner.IsActive FROM Lead ORDER BY Name")["records"]
    assert [one["Owner"]["Type"] for one in leads] == ["Group", "User"]
    assert [one["Owner"]["IsActive"] for one in leads] == [None, True]
    assert leads[0]["Owner"]["attributes"]["url"] == f"/services/data/v67.0/sobjects/Group/{queue}"
    assert api.query("SELECT Id FROM Lead WHERE Owner.Type = 'Queue'")["totalSize"] == 0
    assert api.query("SELECT Id FROM Lead WHERE Owner.Type = 'Group'")["records"][0]["Id"] == with_queue

    deals = api.query(
        "SELECT Name, Account.Name, Account.Owner.Email, (SELECT Id, Subject FROM Tasks ORDER BY Subject DESC LIMIT 1) "
        "FROM Opportunity ORDER BY Name"
    )["records"]
    assert deals[0]["Account"]["Name"] == "Acme"
    assert deals[0]["Account"]["Owner"]["Email"] == "integration@stagesync.example"
    assert deals[0]["Tasks"]["totalSize"] == 1
    assert deals[0]["Tasks"]["records"][0]["Id"] == second != first
    assert (deals[1]["Account"], deals[1]["Tasks"]) == (None, None)
    assert deals[1]["attributes"]["url"].endswith(lone)

    whos = api.query("SELECT Who.Type, Who.Name FROM Event WHERE Who.Type IN ('Lead', 'Contact')")["records"]
    assert [(one["Who"]["Type"], one["Who"]["Name"]) for one in whos] == [("Lead", "B")]
    typed = api.query(
        "SELECT Id, TYPEOF What WHEN Opportunity THEN StageName, Amount WHEN Account THEN Industry END FROM Task "
        "WHERE What.Type = 'Opportunity' LIMIT 1"
    )["records"][0]["What"]
    assert (typed["attributes"]["type"], typed["StageName"]) == ("Opportunity", "Prospecting")
    assert set(typed) == {"attributes", "StageName", "Amount"}
    assert api.query("SELECT FIELDS(ALL) FROM Event LIMIT 5")["records"][0]["Id"] == event


def test_pages(salesforce: World) -> None:
    salesforce.org.insert_many("Lead", ({"LastName": f"L{i:04d}", "Company": "Acme"} for i in range(450)))
    api = salesforce.api()
    small = {"Sforce-Query-Options": "batchSize=200"}
    first = api.query("SELECT LastName FROM Lead ORDER BY LastName", headers=small)
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    pages = [first]
    while not pages[-1]["done"]:
        pages.append(api.get(pages[-1]["nextRecordsUrl"]).json())
    names = [record["LastName"] for page in pages for record in page["records"]]
    assert names == [f"L{i:04d}" for i in range(450)]
    assert [len(page["records"]) for page in pages] == [200, 200, 50]
    assert len(salesforce.simple().query_all("SELECT Id FROM Lead")["records"]) == 450
    salesforce.org.expire_locators()
    expired = api.get(first["nextRecordsUrl"])
    assert (expired.status_code, expired.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    limited = api.query("SELECT LastName FROM Lead ORDER BY LastName LIMIT 300 OFFSET 10", headers=small)
    rest = api.get(limited["nextRecordsUrl"]).json()
    assert (limited["totalSize"], limited["records"][0]["LastName"]) == (300, "L0010")
    assert (len(rest["records"]), rest["records"][-1]["LastName"], rest["done"]) == (100, "L0309", True)


def test_keyset_paging_uses_the_index() -> None:
    world, _, reader = judged()
    ready = reader.prepare(
        "SELECT Id FROM Opportunity WHERE (SystemModstamp > 2026-09-01T00:00:00Z OR (SystemModstamp = "
        "2026-09-01T00:00:00Z AND Id > '006000000000000AAA')) AND SystemModstamp < 2026-10-01T00:00:00Z "
        "ORDER BY SystemModstamp ASC, Id ASC LIMIT 2000",
        everything=False,
    )
    sql, parameters = ready.select()
    steps = " ".join(row["detail"] for row in world.org.database.rows(f"EXPLAIN QUERY PLAN {sql}", parameters))
    assert "Opportunity_SystemModstamp (SystemModstamp>? AND SystemModstamp<?)" in steps
    assert "TEMP B-TREE" not in steps


REFUSED = [
    ("SELECT Id FORM Lead", "MALFORMED_QUERY", "unexpected token: 'Lead'"),
    ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
    ("SELECT Id FROM Lead WHERE Name = 'x", "MALFORMED_QUERY", "unterminated"),
    ("SELECT Id FROM Lead WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "unexpected token: 'OR'"),
    ("SELECT Id FROM Lead LIMIT x", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead ALL ROWS", "MALFORMED_QUERY", "unexpected token: 'ROWS'"),
    ("SELECT Id; DROP TABLE Lead FROM Lead", "MALFORMED_QUERY", ";"),
    ("SELECT Nope FROM Lead", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
    ("SELECT Id FROM Lead WHERE Nope = 1", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
    ("SELECT Account.Nope FROM Opportunity", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
    ("SELECT Boss.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Boss'"),
    ("SELECT Owner.ManagerId FROM Lead", "INVALID_FIELD", "No such column 'ManagerId' on entity 'Name'"),
    ("SELECT Id FROM Leads", "INVALID_TYPE", "sObject type 'Leads' is not supported"),
    ("SELECT Id, (SELECT Id FROM Wishes) FROM Lead", "INVALID_TYPE", "relationship 'Wishes'"),
    ("SELECT Id, Id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
    ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", "'Description' can not be filtered"),
    ("SELECT Id FROM Lead ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"),
    ("SELECT Id FROM Lead WHERE NumberOfEmployees = '5'", "INVALID_FIELD", "should not be enclosed in quotes"),
    ("SELECT Id FROM Lead WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
    ("SELECT Id FROM Opportunity WHERE CloseDate > 2026-01-01T00:00:00Z", "INVALID_FIELD", "must be of type date"),
    ("SELECT Id FROM Lead WHERE CreatedDate > SOMEDAY", "MALFORMED_QUERY", "SOMEDAY"),
    ("SELECT Id FROM Lead WHERE IsConverted > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
    ("SELECT Id FROM Lead WHERE OwnerId LIKE '005%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
    ("SELECT Id FROM Lead WHERE Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: nonsense"),
    ("SELECT Id FROM Lead WHERE LeadSource INCLUDES ('Web')", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
    ("SELECT Id FROM Opportunity WHERE Id NOT IN (SELECT WhatId FROM Task)", "MALFORMED_QUERY", "semi join"),
    ("SELECT Status, Name FROM Lead GROUP BY Status", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
    ("SELECT Name n FROM Lead", "MALFORMED_QUERY", "aliasing"),
    ("SELECT SUM(Name) FROM Lead", "MALFORMED_QUERY", "SUM"),
    ("SELECT CreatedDate, COUNT(Id) FROM Lead GROUP BY CreatedDate", "MALFORMED_QUERY", "can not be grouped"),
    ("SELECT FIELDS(ALL) FROM Lead", "MALFORMED_QUERY", "LIMIT of at most 200"),
    ("SELECT Id FROM Lead LIMIT 5 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
    ("SELECT Id FROM Lead WHERE " + "(" * 70 + "Name = 'x'" + ")" * 70, "QUERY_TOO_COMPLICATED", "complicated"),
    ("", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
]


@pytest.mark.parametrize(("soql", "code", "part"), REFUSED, ids=[case[0][:50] or "empty" for case in REFUSED])
def test_refused_queries(soql: str, code: str, part: str) -> None:
    _, _, reader = judged()
    with pytest.raises(ApiError) as refused:
        reader.first_page(soql)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert part in refused.value.message


def test_an_error_shows_the_place(salesforce: World) -> None:
    api = salesforce.api()
    assert api.refused("") == ("MALFORMED_QUERY", "A query string has to be specified")
    _, message = api.refused("SELECT Nope FROM Lead")
    assert message.startswith("\nSELECT Nope FROM Lead\n       ^\nERROR at Row:1:Column:8\nNo such column 'Nope'")


def test_too_many_groups_and_too_long_an_address(salesforce: World) -> None:
    salesforce.org.insert_many("Lead", ({"LastName": f"L{i}", "Company": f"C{i}"} for i in range(2001)))
    api = salesforce.api()
    assert api.refused("SELECT Company, COUNT(Id) FROM Lead GROUP BY Company")[0] == "EXCEEDED_ID_LIMIT"
    assert len(api.query("SELECT Company, COUNT(Id) FROM Lead GROUP BY Company LIMIT 2000")["records"]) == 2000
    ids = [row["Id"] for row in salesforce.org.database.rows('SELECT "Id" FROM "Lead"')]
    wanted = ", ".join(f"'{one}'" for one in ids[:700])
    assert api.get("query", params={"q": f"SELECT Id FROM Lead WHERE Id IN ({wanted})"}).status_code == 414
    few = ", ".join(f"'{one}'" for one in ids[:300])
    assert api.query(f"SELECT Id FROM Lead WHERE Id IN ({few})")["totalSize"] == 300


def test_hidden_fields_and_objects(salesforce: World) -> None:
    api = salesforce.api()
    salesforce.org.faults.hidden_fields.add(("Lead", "Rating"))
    salesforce.org.faults.hidden_objects.add("EmailMessage")
    assert api.refused("SELECT Rating FROM Lead")[0] == "INVALID_FIELD"
    assert api.refused("SELECT Id FROM EmailMessage")[0] == "INVALID_TYPE"
    assert api.get("sobjects/EmailMessage/describe").status_code == 404
