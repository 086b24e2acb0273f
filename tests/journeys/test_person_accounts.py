"""An org whose customers are people: what is logged on a person account keeps its deals alive, wherever it was put."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stagesync.sandbox.salesforce.fields import PERSON_ACCOUNTS
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.server import Sandbox

from .deployment import deployment
from .first_day import Admin, writes_to

CALLED = "2026-01-01T10:00:00Z"


@pytest.fixture
def admin(tmp_path: Path, sandbox: Sandbox) -> Admin:
    return Admin(tmp_path / "desk", sandbox)


def silent_deals(org: Org, count: int) -> list[str]:
    """Deals on which, and on whose people, nothing ever happened."""
    rows = org.database.rows('SELECT "Id" FROM "Opportunity" WHERE "IsClosed" = 0 ORDER BY "Id" LIMIT ?', (count,))
    ids = [str(row["Id"]) for row in rows]
    for deal in ids:
        for table, column in (("Task", "WhatId"), ("Event", "WhatId"), ("EmailMessage", "RelatedToId")):
            org.database.execute(f'DELETE FROM "{table}" WHERE "{column}" = ?', (deal,))
        org.database.execute('DELETE FROM "OpportunityContactRole" WHERE "OpportunityId" = ?', (deal,))
    return ids


def account(org: Org, deal: str, *, person: bool) -> tuple[str, str]:
    """A new account of a deal with its one contact; the ids of both."""
    made, contact = org.new_id("Account"), org.new_id("Contact")
    org.insert_many("Contact", [{"Id": contact, "LastName": "Okafor", "AccountId": made, "IsPersonAccount": person}])
    values: dict[str, Any] = {"IsPersonAccount": True, "PersonContactId": contact} if person else {}
    org.insert_many("Account", [{"Id": made, "Name": "Ada Okafor", **values}])
    org.database.execute('UPDATE "Opportunity" SET "AccountId" = ? WHERE "Id" = ?', (made, deal))
    return made, contact


def call(org: Org, **on: str) -> None:
    org.insert_many(
        "Task",
        [{"Subject": "Call", "Status": "Completed", "TaskSubtype": "Call", "CompletedDateTime": CALLED, **on}],
    )


def last_activity(admin: Admin, deal: str) -> Any:
    done = admin.types("explain", deal, "--format", "json")
    assert done.code == 0, done.said
    (explained,) = json.loads(done.out)
    return explained["last_activity"]


def test_what_hangs_on_a_person_account_keeps_its_deals_alive(admin: Admin) -> None:
    org = admin.sandbox.org
    org.features.add(PERSON_ACCOUNTS)
    on_person, on_account, by_mail, on_company = silent_deals(org, 4)
    call(org, WhoId=account(org, on_person, person=True)[1])
    call(org, WhatId=account(org, on_account, person=True)[0])
    contact, mail = account(org, by_mail, person=True)[1], org.new_id("EmailMessage")
    org.insert_many("EmailMessage", [{"Id": mail, "Incoming": True, "MessageDate": CALLED, "Subject": "Yes"}])
    org.insert_many(
        "EmailMessageRelation", [{"EmailMessageId": mail, "RelationId": contact, "RelationType": "FromAddress"}]
    )
    company, colleague = account(org, on_company, person=False)
    call(org, WhatId=company)
    call(org, WhoId=colleague)

    assert admin.init().code == 0
    assert admin.mapped()["objects"]["Opportunity"]["people"]["person_account"] == {
        "person": "Account.PersonContactId",
        "account": "AccountId",
    }
    assert "people" not in admin.mapped()["objects"]["Lead"]
    assert not [line for line in checked(admin) if line["subject"] == "Opportunity, people"]
    assert admin.types("audit").code == 0
    for deal in (on_person, on_account, by_mail):
        assert str(last_activity(admin, deal)).startswith("2026-01-01"), deal
    assert last_activity(admin, on_company) is None
    assert writes_to(org) == []


def checked(admin: Admin) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads(admin.types("check", "--online", "--format", "json").out)["lines"]
    return lines


def test_an_org_without_person_accounts_is_not_asked_for_any(admin: Admin) -> None:
    assert admin.init().code == 0
    assert "person_account" not in admin.mapping.read_text(encoding="utf-8")


def test_a_mapping_that_does_not_look_at_person_accounts_is_told_of_them(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.org.features.add(PERSON_ACCOUNTS)
    agent = deployment(tmp_path / "agent", sandbox, enforce=False)
    agent.only("salesforce")
    report = json.loads(agent.run("check", "--online", "--format", "json").out)
    (line,) = [one for one in report["lines"] if one["subject"] == "Opportunity, people"]
    assert line["state"] == "note"
    assert line["follows"] == (
        "write person_account: {person: Account.PersonContactId, account: AccountId} below people"
    )
