"""`stagesync init`: from an org's own stages and fields to a configuration that audits it at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.server import Sandbox
from stagesync.settings import shipped_configuration
from tests.sandbox.salesforce_keys import pair

from .conftest import RECORDS
from .deployment import deployment
from .first_day import Admin, records_of, writes_to


@pytest.fixture
def admin(tmp_path: Path, sandbox: Sandbox) -> Admin:
    return Admin(tmp_path / "desk", sandbox)


def findings(report: str) -> set[tuple[str, ...]]:
    """What was found, without what changes from run to run."""
    return {
        (one["object"], one["record"], one["rule"], one["stage"], one["native_stage"])
        for one in json.loads(report)["findings"]
    }


def rename(org: Org, table: str, old: str, new: str) -> None:
    """As an admin renames a stage: its records follow."""
    holder, name = ("Opportunity", "StageName") if table == "OpportunityStage" else ("Lead", "Status")
    with org.database.transaction():
        org.database.execute(
            f'UPDATE "{table}" SET "ApiName" = ?, "MasterLabel" = ? WHERE "ApiName" = ?', (new, new, old)
        )
        org.database.execute(f'UPDATE "{holder}" SET "{name}" = ? WHERE "{name}" = ?', (new, old))


def test_a_new_org_is_audited_at_once_as_by_the_shipped_mapping(admin: Admin, tmp_path: Path) -> None:
    org = admin.sandbox.org
    before = records_of(org)
    made = admin.init()
    assert made.code == 0, made.said
    assert "guessed" not in made.out
    checked = admin.types("check")
    assert checked.code == 0, checked.said
    audited = admin.types("audit", "--format", "json")
    assert audited.code == 0, audited.said
    assert records_of(org) == before
    assert writes_to(org) == []

    shipped = deployment(tmp_path / "shipped", admin.sandbox)
    shipped.only("salesforce")
    expected = shipped.run("audit", "--format", "json")
    assert expected.code == 0, expected.said
    assert len(findings(expected.out)) > RECORDS / 10
    assert findings(audited.out) == findings(expected.out)


def test_every_pack_gives_a_configuration_in_order(admin: Admin) -> None:
    packs = [one.stem for one in (shipped_configuration() / "definitions").glob("*.yaml") if "." not in one.stem]
    assert len(packs) >= 6
    for name in packs:
        made = admin.init("--definitions", name)
        assert made.code == 0, made.said
        done = admin.types("check")
        assert done.code == 0, f"{name}: {done.said}"
        shutil.rmtree(admin.folder / "config")
    assert writes_to(admin.sandbox.org) == []


def test_renamed_stages_are_guessed_and_marked(admin: Admin) -> None:
    org = admin.sandbox.org
    rename(org, "OpportunityStage", "Proposal/Price Quote", "4 - Angebot: raus # bald")
    rename(org, "OpportunityStage", "Perception Analysis", "Zebra")
    rename(org, "OpportunityStage", "Closed Won", 'Gewonnen "juchhe"')
    rename(org, "LeadStatus", "Working - Contacted", "Attempting")
    rename(org, "LeadStatus", "Closed - Not Converted", "Junk")
    with org.database.transaction():
        org.database.execute('UPDATE "OpportunityStage" SET "IsActive" = 0 WHERE "ApiName" = ?', ("Value Proposition",))
        org.database.execute(
            'UPDATE "Opportunity" SET "StageName" = ? WHERE "StageName" = ?', ("Qualification", "Value Proposition")
        )
    made = admin.init()
    assert made.code == 0, made.said
    objects = admin.mapped()["objects"]
    stages = objects["Opportunity"]["stage"]["stages"]
    assert stages["4 - Angebot: raus # bald"] == "proposal"
    assert stages["Zebra"] == "opportunity"
    assert stages['Gewonnen "juchhe"'] == "customer"
    assert "Value Proposition" not in stages
    assert objects["Lead"]["stage"]["stages"]["Attempting"] == "lead"
    assert objects["Lead"]["stage"]["stages"]["Junk"] == "disqualified"
    text = admin.mapping.read_text(encoding="utf-8")
    marked = [line.strip() for line in text.splitlines() if "# decide:" in line]
    assert [line.partition(":")[0] for line in marked] == ["Attempting", "Junk", "Zebra", '"4 - Angebot']
    assert "probability of 70 %" in marked[2]
    assert "Opportunity.Zebra" in made.out
    assert "# inactive (0 records): Value Proposition" in text
    audited = admin.types("audit", "--format", "json")
    assert audited.code == 0, audited.said
    assert any(found[4] == "4 - Angebot: raus # bald" for found in findings(audited.out))


def test_record_types_have_their_own_stages(admin: Admin) -> None:
    org = admin.sandbox.org
    types = {name: org.new_id("RecordType") for name in ("New_Business", "Renewal", "Old")}
    org.insert_many(
        "RecordType",
        [
            {"Id": key, "Name": name.replace("_", " "), "DeveloperName": name, "SobjectType": "Opportunity",
             "IsActive": name != "Old"}
            for name, key in types.items()
        ],
    )  # fmt: skip
    renewal = ("Prospecting", "Negotiation/Review", "Closed Won", "Closed Lost")
    org.record_type_values[types["Renewal"], "StageName"] = frozenset(renewal)
    with org.database.transaction():
        org.database.execute(
            'UPDATE "Opportunity" SET "RecordTypeId" = ? WHERE "StageName" = ?', (types["Renewal"], "Prospecting")
        )
    made = admin.init()
    assert made.code == 0, made.said
    stage = admin.mapped()["objects"]["Opportunity"]["stage"]
    assert stage["record_type"] == "RecordType.DeveloperName"
    assert list(stage["stages"]) == ["New_Business", "Renewal", "*"]
    assert tuple(stage["stages"]["Renewal"]) == renewal
    assert len(stage["stages"]["*"]) == len(stage["stages"]["New_Business"]) == 10
    assert "record_type" not in admin.mapped()["objects"]["Lead"]["stage"]
    assert admin.types("audit").code == 0


def test_record_types_whose_stages_nobody_tells_count_as_all_others(admin: Admin) -> None:
    org = admin.sandbox.org
    org.insert_many("RecordType", [{"Name": "Renewal", "DeveloperName": "Renewal", "SobjectType": "Opportunity"}])
    org.faults.ui_api_forbidden = True
    assert admin.init().code == 0
    assert list(admin.mapped()["objects"]["Opportunity"]["stage"]["stages"]) == ["*"]
    assert "# Renewal: this user may not see its stages" in admin.mapping.read_text(encoding="utf-8")
    assert admin.types("audit").code == 0


def test_what_cannot_be_read_is_a_gap_and_demotes_nobody(admin: Admin) -> None:
    org = admin.sandbox.org
    org.faults.hidden_fields |= {
        ("Lead", "Pain__c"),
        ("Opportunity", "Pain__c"),
        ("Opportunity", "Budget_Confirmed__c"),
        ("Opportunity", "LastStageChangeDate"),
        ("Task", "CallDurationInSeconds"),
        ("Task", "CompletedDateTime"),
        ("Task", "StageSync_Key__c"),
    }
    org.faults.hidden_objects |= {"LeadHistory", "EmailMessage"}
    made = admin.init()
    assert made.code == 0, made.said
    assert "Opportunity.pain: Opportunity has no field Pain__c, or this user may not read it" in made.out
    lead, deal = admin.mapped()["objects"]["Lead"], admin.mapped()["objects"]["Opportunity"]
    gaps = {name for name, source in deal["evidence"].items() if "gap" in source}
    assert gaps == {"pain", "budget_confirmed", "calls", "replies"}
    assert "history" not in lead["stage"]
    assert "entered" not in deal["stage"]
    # What is left of the last activity are meetings.
    assert [part["of"] for part in deal["evidence"]["last_activity"]["latest"]] == ["Event"]
    assert "until it exists no task can be written" in admin.mapping.read_text(encoding="utf-8")
    audited = admin.types("audit", "--format", "json")
    assert audited.code == 0, audited.said
    assert "stated(pain)" not in audited.out
    assert {one[2] for one in findings(audited.out)} >= {"premature"}
    assert writes_to(org) == []


def test_nothing_is_overwritten(admin: Admin) -> None:
    assert admin.init().code == 0
    admin.mapping.write_text("# mine\n", encoding="utf-8")
    before = admin.files()
    again = admin.init()
    assert again.code == 2
    assert "config/mappings/salesforce.yaml" in again.err
    assert "config/stagesync.yaml" in again.err
    assert admin.files() == before
    # Beside another file of the same folder it is written.
    beside = admin.init("--out", "other")
    assert beside.code == 0, beside.said


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["--login-url", "http://127.0.0.1:9"], {}, 5, "nothing answers there"),
        ([], {"SALESFORCE_CLIENT_SECRET": "wrong"}, 5, "refused the credentials"),
        ([], {"SALESFORCE_CLIENT_ID": ""}, 2, "environment variable SALESFORCE_CLIENT_ID is not set"),
        (["--client-id-env", "MY_ID"], {}, 2, "environment variable MY_ID is not set"),
        (["--login-url", "http://acme.my.salesforce.com"], {}, 2, "in clear"),
        (["--definitions", "recomended"], {}, 2, "did you mean 'recommended'"),
        (["--definitions", "../stagesync"], {}, 2, "no definitions"),
        (["--connection", "no spaces"], {}, 2, "--connection no spaces"),
    ],
)
def test_what_goes_wrong_leaves_no_file(
    admin: Admin, arguments: list[str], environment: dict[str, str], code: int, said: str
) -> None:
    made = admin.init(*arguments, **environment)
    assert made.code == code, made.said
    assert said in made.err
    assert "Traceback" not in made.said
    assert admin.sandbox.client_secret not in made.said
    assert admin.files() == {}


def test_an_org_that_shows_nothing_is_said_so(admin: Admin) -> None:
    admin.sandbox.org.faults.hidden_objects |= {"Lead", "Opportunity"}
    made = admin.init()
    assert made.code == 2, made.said
    assert "shows no Lead and Opportunity" in made.err
    assert admin.files() == {}


def test_an_org_without_leads_is_audited_by_its_deals(admin: Admin) -> None:
    admin.sandbox.org.faults.hidden_objects.add("Lead")
    assert admin.init().code == 0
    assert list(admin.mapped()["objects"]) == ["Opportunity"]
    assert "# Lead is left out" in admin.mapping.read_text(encoding="utf-8")
    assert admin.types("audit").code == 0


def test_a_portal_is_set_up_with_the_same_words(admin: Admin, tmp_path: Path) -> None:
    made = admin.types("init", "--crm", "hubspot", "--base-url", admin.sandbox.url)
    assert made.code == 0, made.said
    audited = admin.types("audit", "--format", "json")
    assert audited.code == 0, audited.said
    shipped = deployment(tmp_path / "shipped", admin.sandbox)
    shipped.only("hubspot")
    expected = shipped.run("audit", "--format", "json")
    assert expected.code == 0
    # The shipped mapping leaves the sandbox's second pipeline aside; a starter has every stage of the portal.
    found: Any = findings(audited.out)
    assert findings(expected.out) <= found


def test_an_app_that_renews_its_token(admin: Admin) -> None:
    portal = admin.sandbox.portal
    app = {"HUBSPOT_CLIENT_ID": portal.client_id, "HUBSPOT_CLIENT_SECRET": portal.client_secret, "HUBSPOT_TOKEN": ""}
    app["ACME_REFRESH"] = portal.refresh_token
    hubspot = ("init", "--crm", "hubspot", "--base-url", admin.sandbox.url)
    for wrong in (("--refresh-token-env", "ACME_REFRESH", "--token-env", "OTHER"), ("--client-id-env", "ACME_ID")):
        refused = admin.types(*hubspot, *wrong, **app)
        assert refused.code == 2
        assert "--refresh-token-env" in refused.err
    assert not admin.config.exists()
    made = admin.types(*hubspot, "--refresh-token-env", "ACME_REFRESH", **app)
    assert made.code == 0, made.said
    words = yaml.safe_load(admin.config.read_text(encoding="utf-8"))["connections"]["hubspot"]
    assert words["refresh_token"] == {"env": "ACME_REFRESH"}
    assert words["client_id"] == {"env": "HUBSPOT_CLIENT_ID"}
    assert words["client_secret"] == {"env": "HUBSPOT_CLIENT_SECRET"}
    assert "token" not in words
    for command in (("check", "--online"), ("audit",)):
        done = admin.types(*command, **app)
        assert done.code == 0, done.said
    refused = admin.types("audit", **{**app, "ACME_REFRESH": "stale"})
    assert refused.code == 5
    assert "check client_id, client_secret and refresh_token" in refused.err
    assert "stale" not in refused.said


def test_a_private_key_instead_of_a_secret(admin: Admin) -> None:
    admin.folder.mkdir()
    (admin.folder / "key.pem").write_text(pair("first").private, encoding="utf-8")
    alone = admin.init("--private-key", "key.pem")
    assert alone.code == 2
    assert "--username and --private-key belong together" in alone.err
    user = "integration@stagesync.example"
    made = admin.init("--private-key", "key.pem", "--username", user, SALESFORCE_CLIENT_SECRET="")
    assert made.code == 0, made.said
    words = yaml.safe_load(admin.config.read_text(encoding="utf-8"))["connections"]["salesforce"]
    assert words["private_key"] == {"file": str(admin.folder / "key.pem")}
    assert "client_secret" not in words
    # The settings lie in another folder than the key.
    checked = admin.types("check", "--online", SALESFORCE_CLIENT_SECRET="")
    assert checked.code == 0, checked.said
