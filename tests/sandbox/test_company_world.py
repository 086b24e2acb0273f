"""The seeded company itself: the same from the same seed, whole, plausible, and small in memory."""

from __future__ import annotations

import io
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.sandbox.company import buffers
from stagesync.sandbox.company.almanac import Almanac, business_days
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.cast import RECIPES, cast, deck
from stagesync.sandbox.company.recipes import Recipe, RecipeError, follow
from stagesync.sandbox.company.seeding import seed_hubspot, seed_salesforce
from stagesync.sandbox.database import Database
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.standard import standard_metadata as standard_portal
from stagesync.sandbox.salesforce.metadata import standard_metadata as standard_org
from stagesync.sandbox.salesforce.org import Org

AS_OF = datetime(2026, 11, 21, 22, 15, tzinfo=UTC)
SMALLEST = 600
KINDS = {"premature", "stalled", "contradiction", "placeholder", "unowned", "ready", "regressed"}
# The leads of Salesforce stand on two rungs, its opportunities on three others: nothing lies between to be skipped.
KINDS_BY_CRM = {"salesforce": KINDS, "hubspot": KINDS | {"skipped"}}
RULES = {
    "contradiction.won-without-amount",
    "contradiction.won-in-the-future",
    "contradiction.close-date-passed",
    "contradiction.lost-reason-on-open-deal",
    "placeholder.pain",
    "placeholder.phone",
    "placeholder.next_step",
    "placeholder.lost_reason",
}
CRMS = ("salesforce", "hubspot")


def _org(path: Path | str, *, seed: int = 1, records: int = SMALLEST) -> tuple[Database, str]:
    org, key = Org(path, clock=lambda: AS_OF), io.StringIO()
    standard_org(org)
    seed_salesforce(org, seed=seed, records=records, as_of=AS_OF, answers=key)
    return org.database, key.getvalue()


def _portal(path: Path | str, *, seed: int = 1, records: int = SMALLEST) -> tuple[Database, str]:
    portal, key = Portal(path, clock=lambda: AS_OF), io.StringIO()
    standard_portal(portal)
    seed_hubspot(portal, seed=seed, records=records, as_of=AS_OF, answers=key)
    return portal.database, key.getvalue()


Seeded = Callable[..., tuple[Database, str]]
each_crm = pytest.mark.parametrize("seeded", [_org, _portal])


def _everything(database: Database) -> dict[str, list[dict[str, object]]]:
    tables = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {table["name"]: database.rows(f'SELECT * FROM "{table["name"]}"') for table in tables}


@each_crm
def test_same_seed_same_company(seeded: Seeded) -> None:
    first, second, other = seeded(":memory:"), seeded(":memory:"), seeded(":memory:", seed=2)
    assert first[1] == second[1]
    assert _everything(first[0]) == _everything(second[0])
    assert first[1] != other[1]


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize("seed", range(20))
def test_every_problem_is_planted_several_times_in_the_smallest_company(crm: str, seed: int) -> None:
    author = Author(crm=crm, seed=seed, as_of=AS_OF + timedelta(days=seed * 17, hours=seed))
    rules: Counter[str] = Counter()
    made: Counter[str] = Counter()
    spoiled = 0
    for subject in ("deal", "person"):
        for recipe in cast(crm, subject, seed=seed, count=SMALLEST // 2):
            _, findings = follow(recipe, author)
            rules.update(finding.rule for finding in findings)
            made[recipe.name] += 1
            spoiled += bool(findings)
    assert {rule.partition(".")[0] for rule in rules} == KINDS_BY_CRM[crm]
    assert rules.keys() >= RULES
    assert all(count >= 2 for count in rules.values())
    planted = [recipe.name for recipe in RECIPES if recipe.crm in {None, crm}]
    assert all(made[name] >= 2 for name in planted)
    assert 0.15 < spoiled / SMALLEST < 0.25


def test_a_deck_is_dealt_twice_among_three_hundred_records() -> None:
    assert all(len(deck(crm, subject)) <= 150 for crm in CRMS for subject in ("person", "deal"))


def test_a_recipe_that_breaks_its_promise_is_refused() -> None:
    healthy = Recipe(
        name="liar",
        subject="deal",
        build=lambda author: author.deal("proposal"),
        why="",
        expects=frozenset({"stalled"}),
    )
    with pytest.raises(RecipeError, match="liar"):
        follow(healthy, Author(crm="hubspot", seed=1, as_of=AS_OF))


def test_no_record_happens_before_its_time(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db")
    now = AS_OF.strftime("%Y-%m-%dT%H:%M:%SZ")
    for table in ("Lead", "Opportunity", "Task", "Event", "EmailMessage", "OpportunityHistory", "LeadHistory"):
        assert database.value(f'SELECT COUNT(*) FROM "{table}" WHERE "CreatedDate" > ?', [now]) == 0
    for table in ("Lead", "Opportunity"):
        late = f'SELECT COUNT(*) FROM "{table}" WHERE "LastModifiedDate" < "CreatedDate" OR "LastModifiedDate" > ?'
        assert database.value(late, [now]) == 0
    oldest = datetime.fromisoformat(database.value("SELECT MIN(CreatedDate) FROM Opportunity"))
    assert AS_OF - oldest > timedelta(days=730)


REFERENCES = [
    ("Lead", "OwnerId", ("User", "Group")),
    ("Lead", "ConvertedAccountId", ("Account",)),
    ("Lead", "ConvertedContactId", ("Contact",)),
    ("Lead", "ConvertedOpportunityId", ("Opportunity",)),
    ("Opportunity", "AccountId", ("Account",)),
    ("Opportunity", "OwnerId", ("User",)),
    ("Opportunity", "CreatedById", ("User",)),
    ("Contact", "AccountId", ("Account",)),
    ("OpportunityContactRole", "OpportunityId", ("Opportunity",)),
    ("OpportunityContactRole", "ContactId", ("Contact",)),
    ("Task", "WhoId", ("Lead", "Contact")),
    ("Task", "WhatId", ("Opportunity",)),
    ("Event", "WhoId", ("Lead", "Contact")),
    ("Event", "WhatId", ("Opportunity",)),
    ("EmailMessage", "RelatedToId", ("Opportunity",)),
    ("EmailMessageRelation", "EmailMessageId", ("EmailMessage",)),
    ("EmailMessageRelation", "RelationId", ("Lead", "Contact", "User")),
    ("OpportunityHistory", "OpportunityId", ("Opportunity",)),
    ("LeadHistory", "LeadId", ("Lead",)),
]


def test_salesforce_references_exist(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db")
    for table, column, targets in REFERENCES:
        known = " UNION ALL ".join(f'SELECT "Id" FROM "{target}"' for target in targets)
        sql = f'SELECT COUNT(*) FROM "{table}" WHERE "{column}" IS NOT NULL AND "{column}" NOT IN ({known})'
        assert database.value(sql) == 0, (table, column)
        assert database.value(f'SELECT COUNT("{column}") FROM "{table}"') > 0, (table, column)


def test_a_task_of_a_lead_has_no_opportunity(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db")
    for table in ("Task", "Event"):
        sql = f'SELECT COUNT(*) FROM "{table}" WHERE "WhoId" LIKE \'00Q%\' AND "WhatId" IS NOT NULL'
        assert database.value(sql) == 0


def test_converted_leads_name_what_they_became(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db")
    rows = database.rows("SELECT * FROM Lead WHERE IsConverted = 1")
    assert len(rows) > 20
    assert all(row["Status"] == "Closed - Converted" and row["ConvertedAccountId"] for row in rows)
    assert database.value("SELECT COUNT(*) FROM Lead WHERE IsConverted = 0 AND Status = 'Closed - Converted'") == 0


def test_hubspot_associations_and_owners_exist(tmp_path: Path) -> None:
    database, _ = _portal(tmp_path / "portal.db")
    codes = {
        1: "contacts",
        2: "companies",
        3: "deals",
        27: "tasks",
        46: "notes",
        47: "meetings",
        48: "calls",
        49: "emails",
    }
    for code, table in codes.items():
        sql = f'SELECT COUNT(*) FROM associations WHERE to_code = ? AND to_id NOT IN (SELECT id FROM "{table}")'
        assert database.value(sql, [code]) == 0
    assert database.value(f"SELECT COUNT(*) FROM associations WHERE to_code NOT IN {tuple(codes)}") == 0
    emails = [json.loads(row["properties"]).get("email") for row in database.rows("SELECT properties FROM contacts")]
    given_emails = [address.lower() for address in emails if address]
    assert len(given_emails) == len(set(given_emails))


def test_history_ends_in_the_present_stage(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db")
    for row in database.rows("SELECT * FROM Opportunity"):
        sql = "SELECT * FROM OpportunityHistory WHERE OpportunityId = ? ORDER BY CreatedDate"
        steps = database.rows(sql, [row["Id"]])
        assert steps[0]["CreatedDate"] == row["CreatedDate"]
        assert steps[-1]["StageName"] == row["StageName"]
        assert len({step["CreatedDate"] for step in steps}) == len(steps)
    for row in database.rows("SELECT * FROM Lead"):
        sql = "SELECT * FROM LeadHistory WHERE LeadId = ? AND Field = 'Status' ORDER BY CreatedDate"
        steps = database.rows(sql, [row["Id"]])
        assert not steps or steps[-1]["NewValue"] == row["Status"]
        assert all(a["NewValue"] == b["OldValue"] for a, b in itertools.pairwise(steps))


def test_hubspot_history_ends_in_the_present_stage(tmp_path: Path) -> None:
    database, _ = _portal(tmp_path / "portal.db")
    for table, code, name in (("contacts", 1, "lifecyclestage"), ("deals", 3, "dealstage")):
        for row in database.rows(f"SELECT * FROM {table}"):
            sql = "SELECT * FROM history WHERE object_code = ? AND object_id = ? AND property = ? ORDER BY moment"
            steps = database.rows(sql, [code, row["id"], name])
            assert steps[-1]["value"] == json.loads(row["properties"])[name]
            assert len(steps) <= 20  # as many as HubSpot shows
            assert row["created"] <= steps[0]["moment"] <= steps[-1]["moment"] <= row["updated"]


def test_ugly_data_keeps_within_the_limits_of_salesforce(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db", records=1500)
    names = [row["Name"] for row in database.rows("SELECT Name FROM Opportunity")]
    assert max(len(name) for name in names) == 120
    people = database.rows("SELECT FirstName, LastName FROM Lead UNION ALL SELECT FirstName, LastName FROM Contact")
    assert max(len(person["LastName"]) for person in people) <= 80
    assert max(len(person["FirstName"]) for person in people) <= 40
    everyone = " ".join(f"{person['FirstName']} {person['LastName']}" for person in people)
    for oddity in ("<script>", "O'Neill", '"Bob"', "🚀", "Müller", "  ", "李"):
        assert oddity in everyone
    assert database.value("SELECT MAX(LENGTH(Pain__c)) FROM Opportunity") > 1000
    assert database.value("SELECT MAX(LENGTH(NextStep)) FROM Opportunity") <= 255


def test_staff_is_spread_over_the_world_and_two_have_left(tmp_path: Path) -> None:
    database, _ = _org(tmp_path / "org.db")
    users = database.rows("SELECT * FROM User WHERE Username NOT LIKE 'integration@%'")
    assert sum(user["IsActive"] for user in users) == 12
    assert len(users) == 14
    assert len({user["TimeZoneSidKey"] for user in users}) > 8


@pytest.mark.parametrize("crm", CRMS)
def test_memory_does_not_grow_with_the_company(crm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small buffers are full and empty many times in the first third already; what grows after it is a leak.
    monkeypatch.setattr(buffers, "BUFFERED_ROWS", 250)
    blocks: list[int] = []

    def sample(_done: int, _total: int, _what: str) -> None:
        blocks.append(sys.getallocatedblocks())

    with (tmp_path / "answers.jsonl").open("w", encoding="utf-8") as key:
        if crm == "salesforce":
            org = Org(tmp_path / "org.db", clock=lambda: AS_OF)
            standard_org(org)
            seed_salesforce(org, seed=1, records=6_000, as_of=AS_OF, answers=key, progress=sample)
        else:
            portal = Portal(tmp_path / "portal.db", clock=lambda: AS_OF)
            standard_portal(portal)
            seed_hubspot(portal, seed=1, records=6_000, as_of=AS_OF, answers=key, progress=sample)
    third = len(blocks) // 3
    # 4,000 records more, of a dozen rows each: kept in memory they would be half a million blocks.
    assert max(blocks[third:]) < max(blocks[:third]) + 20_000


@given(st.integers(0, 50_000), st.integers(0, 40), st.integers(0, 1000))
def test_business_days_ago_are_that_many_weekdays_away(hours: int, distance: int, seed: int) -> None:
    now = AS_OF + timedelta(hours=hours)
    almanac = Almanac(random.Random(seed), now)
    drawn = almanac.business_days_ago(distance, distance)
    assert business_days(drawn.date(), now.date()) == distance
    assert drawn.weekday() < 5
