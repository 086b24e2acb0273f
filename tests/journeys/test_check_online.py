"""`stagesync check --online`: what an org lacks is said with what follows from it, and the org is only read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from stagesync.sandbox.salesforce.fields import MULTI_CURRENCY
from stagesync.sandbox.server import Sandbox

from .deployment import Deployment, deployment
from .first_day import records_of, writes_to


@dataclass
class Checked:
    """The exit code and the lines of a check."""

    code: int
    lines: list[dict[str, Any]]

    def of(self, state: str) -> list[str]:
        """``subject: says -> follows`` of the lines in a state."""
        return [f"{one['subject']}: {one['says']} -> {one['follows']}" for one in self.lines if one["state"] == state]

    def says(self, state: str, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self.of(state))


@pytest.fixture
def office(tmp_path: Path, sandbox: Sandbox) -> Deployment:
    made = deployment(tmp_path / "agent", sandbox, enforce=False)
    made.only("salesforce")
    return made


def check(office: Deployment) -> Checked:
    done = office.run("check", "--online", "--format", "json")
    assert "Traceback" not in done.err
    report = json.loads(done.out)
    assert sum(report["states"].values()) == len(report["lines"])
    return Checked(code=done.code, lines=report["lines"])


def test_an_org_in_order(office: Deployment, sandbox: Sandbox) -> None:
    before = records_of(sandbox.org)
    seen = check(office)
    assert (seen.code, seen.of("problem")) == (0, [])
    assert seen.says("ok", "org: StageSync Sandbox", sandbox.org.org_id, "a sandbox", "the first run binds")
    assert seen.says("ok", "API version: v67.0: served")
    assert seen.says("ok", "API calls", "100,000", "StageSync stops at 80,000")
    assert seen.says("ok", "running user: integration@stagesync.example", sandbox.org.integration_user_id)
    assert not office.ledger_file.exists()
    assert office.run("audit").code == 0
    assert check(office).says("ok", "the one that 'salesforce' is bound to")
    assert records_of(sandbox.org) == before
    assert writes_to(sandbox.org) == []
    table = office.run("check", "--online")
    assert table.code == 0
    assert "No problem. Nothing was written." in table.out


def test_what_is_hidden_makes_its_evidence_unknown(office: Deployment, sandbox: Sandbox) -> None:
    faults = sandbox.org.faults
    faults.hidden_fields |= {("Opportunity", "Pain__c"), ("Task", "StageSync_Key__c")}
    faults.hidden_objects |= {"EmailMessage", "LeadHistory"}
    faults.limits_forbidden = True
    seen = check(office)
    assert seen.code == 2
    assert seen.says("problem", "Opportunity, reading", "no field Pain__c", "pain is unknown")
    assert seen.says("problem", "Opportunity, reading", "EmailMessage", "replies is unknown")
    assert seen.says("problem", "tasks", "no field StageSync_Key__c", "tasks cannot be written")
    assert seen.says("problem", "Lead, reading", "LeadHistory", "only from what StageSync itself saw")
    assert seen.says("note", "e-mail: EmailMessage not shown")
    assert seen.says("unknown", "API calls", "View Setup and Configuration")


def test_rights_to_write_matter_where_a_rule_wants_to_write(office: Deployment, sandbox: Sandbox) -> None:
    faults = sandbox.org.faults
    faults.read_only_fields |= {("Opportunity", "StageName"), ("Task", "OwnerId")}
    faults.read_only_objects.add("Lead")
    seen = check(office)
    assert seen.code == 2
    assert seen.says("note", "Opportunity, writing the stage", "may not edit StageName", "no rule wants to yet")
    assert seen.says("note", "Lead, writing the stage", "may not edit Lead")
    assert seen.says("problem", "tasks", "may not write Task.OwnerId", "tasks cannot be written")
    office.words["rules"] = {"premature": {"mode": "enforce"}}
    office.save()
    assert check(office).says("problem", "Opportunity, writing the stage", "stages cannot be corrected")
    kinds = ("premature", "stalled", "contradiction", "placeholder", "unowned", "ready", "regressed", "skipped")
    office.words["rules"] = {kind: {"mode": "audit"} for kind in kinds}
    office.save()
    quiet = check(office)
    assert (quiet.code, quiet.of("problem")) == (0, [])
    assert quiet.says("note", "tasks", "no rule wants one yet")
    assert writes_to(sandbox.org) == []


def test_stages_that_differ_are_named_with_their_records(office: Deployment, sandbox: Sandbox) -> None:
    org = sandbox.org
    held = int(org.database.value('SELECT COUNT(*) FROM "Opportunity" WHERE "StageName" = ?', ("Qualification",)))
    assert held > 0
    mapping = office.copy_of("mappings/salesforce.yaml")
    text = mapping.read_text(encoding="utf-8").replace("        Qualification: opportunity\n", "", 1)
    text = text.replace("        Closed Won: customer", "        Closed Wonn: customer\n        Closed Won: customer")
    mapping.write_text(text, encoding="utf-8")
    org.insert_many(
        "OpportunityStage", [{"ApiName": "Zebra", "MasterLabel": "Zebra", "SortOrder": 99, "IsActive": True}]
    )
    seen = check(office)
    assert seen.code == 2
    assert seen.says("problem", "stages of the mapping: salesforce.yaml:", "no stage 'Closed Wonn'", "Closed Won")
    assert seen.says("problem", f"not in the mapping: Qualification ({held}), Zebra (0)", f"{held} records are not")


def test_stages_that_mean_something_else_by_now_are_named(office: Deployment, sandbox: Sandbox) -> None:
    org = sandbox.org
    assert not check(office).says("note", "stages")
    change = 'UPDATE "OpportunityStage" SET {} WHERE "ApiName" = ?'
    for set_to, stage in (
        ('"IsActive" = 0', "Proposal/Price Quote"),
        ('"IsActive" = 0', "Negotiation/Review"),
        ('"IsClosed" = 1', "Needs Analysis"),
        ('"IsClosed" = 0, "IsWon" = 0', "Closed Won"),
    ):
        org.database.execute(change.format(set_to), (stage,))
    held = sum(
        int(org.database.value('SELECT COUNT(*) FROM "Opportunity" WHERE "StageName" = ?', (stage,)))
        for stage in ("Proposal/Price Quote", "Negotiation/Review")
    )
    seen = check(office)
    assert seen.code == 0
    retired = "no longer active: Proposal/Price Quote, Negotiation/Review"
    assert seen.says("note", "Opportunity, stages", retired, f"{held} records keep it, and nothing is moved there")
    assert seen.says("note", "no active stage stands for proposal any more")
    assert seen.says("note", "Needs Analysis is closed in the CRM and stands for opportunity, which is not the end")
    assert seen.says("note", "Closed Won is open in the CRM and stands for customer, the end of the ladder")
    org.database.execute(change.format('"IsClosed" = 1, "IsWon" = 0'), ("Closed Won",))
    org.database.execute(change.format('"IsClosed" = 1, "IsWon" = 1'), ("Closed Lost",))
    assert check(office).says("note", "Closed Won is lost in the CRM and stands for customer")


def test_several_currencies_are_told_apart_or_said(office: Deployment, sandbox: Sandbox) -> None:
    assert not check(office).says("note", "amounts")
    sandbox.org.features.add(MULTI_CURRENCY)
    assert not check(office).says("note", "amounts"), "the shipped mapping names the field"
    mapping = office.copy_of("mappings/salesforce.yaml")
    lines = mapping.read_text(encoding="utf-8").splitlines(keepends=True)
    mapping.write_text("".join(line for line in lines if "CurrencyIsoCode" not in line), encoding="utf-8")
    assert check(office).says("note", "Opportunity, amounts", "CurrencyIsoCode", "write currency: CurrencyIsoCode")


@pytest.mark.parametrize(
    ("given", "state", "words"),
    [
        (("api",), "ok", ("api: what is needed and no more",)),
        (("api", "id", "openid"), "ok", ("api, id, openid",)),
        (("full",), "note", ("more than is needed: full", "Manage user data via APIs (api)")),
        (("web", "api", "refresh_token"), "note", ("more than is needed: web, refresh_token",)),
        (("id", "chatter_api"), "problem", ("has id, chatter_api, and not api", "no call works")),
        ((), "problem", ("has none, and not api",)),
    ],
)
def test_a_token_that_may_do_too_little_or_too_much_is_named(
    office: Deployment, sandbox: Sandbox, given: tuple[str, ...], state: str, words: tuple[str, ...]
) -> None:
    sandbox.org.scopes = given
    seen = check(office)
    assert seen.code == (2 if state == "problem" else 0)
    assert seen.says(state, "scopes", *words)
    assert len(seen.of("problem")) == (state == "problem")
    assert writes_to(sandbox.org) == []


def test_a_ready_token_tells_nothing_of_its_scopes(
    office: Deployment, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = office.words["connections"]["salesforce"]
    words["access_token"], words["instance_url"] = {"env": "TOKEN"}, words.pop("login_url")
    del words["client_id"], words["client_secret"]
    monkeypatch.setenv("TOKEN", sandbox.org.sessions.issue(sandbox.org.integration_user_id))
    office.save()
    assert check(office).says("unknown", "scopes: a ready token does not say", "the scope api is enough")


def test_an_api_version_that_is_gone_is_said_before_anything_fails(office: Deployment) -> None:
    for version in ("30.0", "99.0"):
        office.words["connections"]["salesforce"]["api_version"] = version
        office.save()
        seen = check(office)
        assert seen.code == 2
        assert [line["subject"] for line in seen.lines] == ["scopes", "API version"]
        assert seen.says("problem", f"API version: v{version} is not served", 'set api_version: "67.0"')


def test_another_org_than_the_one_that_the_name_is_bound_to(office: Deployment, tmp_path: Path) -> None:
    assert office.run("audit").code == 0
    with Sandbox.create(tmp_path / "other", seed=8, records=20) as other:
        org = other.org
        stranger = "00DSs0000000009MAA"
        with org.database.transaction():
            org.database.execute('UPDATE "Organization" SET "Id" = ?', (stranger,))
        office.words["connections"]["salesforce"]["login_url"] = other.url
        office.save()
        seen = check(office)
    assert seen.code == 2
    assert seen.says("problem", f"org: StageSync Sandbox, {stranger}", "is bound to")


def test_owners_who_get_no_task_and_an_org_without_mail(office: Deployment, sandbox: Sandbox) -> None:
    org = sandbox.org
    lead, *others = [row["Name"] for row in org.database.rows('SELECT "Name" FROM "User" WHERE "IsActive" = 1')]
    managers = [{"manager": lead, "owners": others[1:]}, {"manager": "nobody@acme.example", "owners": [lead]}]
    office.words["tasks"] = {"escalate_after": "2 business days", "managers": managers}
    office.save()
    seen = check(office)
    assert seen.says("note", "managers", others[0], "nobody is asked")
    assert not seen.says("note", "managers", others[1])
    assert seen.says("note", "managers", "nobody@acme.example, whom this CRM does not know")
    with org.database.transaction():
        org.database.execute('UPDATE "User" SET "IsActive" = 0 WHERE "Id" != ?', (org.integration_user_id,))
        org.database.execute('DELETE FROM "EmailMessage"')
        org.database.execute('DELETE FROM "LeadHistory"')
    seen = check(office)
    assert seen.code == 0
    assert seen.says("note", "Opportunity, owners", "people who are inactive", "fallback_owner")
    assert not any("fallback_owner:" in line for line in seen.of("problem"))
    assert seen.says("note", "e-mail: there is not one EmailMessage", "Einstein Activity Capture")
    assert seen.says("note", "history of Lead.Status", "Set History Tracking")


@pytest.mark.parametrize(
    ("given", "says"), [("005000000000999AAA", "is no user"), ("inactive", "is inactive"), ("queue", "queue")]
)
def test_a_fallback_owner_who_can_get_no_task(office: Deployment, sandbox: Sandbox, given: str, says: str) -> None:
    ids = {
        "inactive": 'SELECT "Id" FROM "User" WHERE "IsActive" = 0',
        "queue": 'SELECT "Id" FROM "Group" WHERE "Type" = \'Queue\'',
    }
    connection = office.words["connections"]["salesforce"]
    connection["fallback_owner"] = sandbox.org.database.value(ids[given]) if given in ids else given
    office.save()
    seen = check(office)
    assert seen.code == 2
    assert seen.says("problem", "fallback_owner", says, "nobody gets a task in its place")
    connection["fallback_owner"] = sandbox.org.integration_user_id[:15]
    office.save()
    assert check(office).code == 0


def test_a_connection_that_cannot_be_reached_does_not_hide_the_others(tmp_path: Path, sandbox: Sandbox) -> None:
    office = deployment(tmp_path / "agent", sandbox)
    office.words["connections"]["salesforce"]["login_url"] = "http://127.0.0.1:9"
    office.save()
    seen = check(office)
    assert seen.code == 5
    assert seen.says("problem", "connection", "nothing answers there")
    assert any(line["connection"] == "hubspot" and line["state"] == "ok" for line in seen.lines)


def test_a_day_whose_calls_are_used_up(office: Deployment, sandbox: Sandbox) -> None:
    sandbox.org.calls_used = sandbox.org.calls_limit * 9 // 10
    seen = check(office)
    assert seen.code != 0
    assert seen.says("problem", "connection", "of the 100,000 API calls", "budget.share")


def test_a_portal_lacks_a_property(tmp_path: Path, sandbox: Sandbox) -> None:
    office = deployment(tmp_path / "agent", sandbox)
    office.only("hubspot")
    assert check(office).code == 0
    mapping = office.copy_of("mappings/hubspot.yaml")
    words = yaml.safe_load(mapping.read_text(encoding="utf-8"))
    words["objects"]["deals"]["evidence"]["pain"] = {"field": "no_such_property"}
    mapping.write_text(yaml.safe_dump(words, sort_keys=False), encoding="utf-8")
    seen = check(office)
    assert seen.code == 2
    assert seen.says("problem", "deals, reading", "no_such_property", "pain is unknown")
    sandbox.portal.metadata.remove_property("tasks", "stagesync_key")
    assert check(office).says("problem", "tasks", "no field stagesync_key", "marker: hs_task_body")


def test_files_that_are_not_in_order_come_first(office: Deployment, sandbox: Sandbox) -> None:
    office.words["definitions"] = "missing.yaml"
    office.save()
    done = office.run("check", "--online")
    assert done.code == 2
    assert "missing.yaml" in done.err
    assert not sandbox.org.calls
