"""What a portal is made of, for setting up and checking a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from stagesync.connectors.base import Discovery
from stagesync.connectors.hubspot import discover
from stagesync.connectors.hubspot.likeness import like_lifecycle, like_stage
from stagesync.model.crm import NativeStage
from stagesync.sandbox.hubspot import account_api
from stagesync.sandbox.hubspot.definitions import PropertyDefinition
from stagesync.sandbox.hubspot.limits import Limits

from .hubspot_office import Office, office, seed

__all__ = ["office"]

CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"


def discovery(office: Office, **how: Any) -> Discovery:
    found = discover(office.connection, sleep=office.waits.append)
    found.service()
    return found


def spots(office: Office) -> dict[str, tuple[bool | None, str]]:
    return {spot.subject: (spot.blind, spot.says) for spot in discovery(office).blind_spots()}


def test_the_version_and_the_calls_of_the_day(office: Office) -> None:
    office.portal.limiter.limits = Limits(daily=1_000)
    office.portal.limiter.used_today = 400
    service = discover(office.connection).service()
    assert (service.version, service.calls_limit, service.calls_left) == ("v3", 1_000, 598)
    assert "2027-03-30" in service.remark


def test_calls_that_no_answer_states_are_asked_for(office: Office) -> None:
    office.portal.limiter.limits = Limits(daily=None)
    service = discover(office.connection).service()
    assert service.calls_limit == 1_000_000
    assert service.calls_left is not None


def test_the_account(office: Office) -> None:
    account = discovery(office).organization()
    assert (account.sandbox, account.time_zone) == (False, "Europe/Berlin")


def test_properties_with_their_labels_and_whether_they_can_be_written(office: Office) -> None:
    facts = discovery(office).facts("deals")
    assert facts is not None
    assert (facts.editable, facts.fields["dealstage"].label) == (True, "Deal Stage")
    assert facts.fields["dealstage"].editable
    assert not facts.fields["hs_is_closed"].editable
    assert discovery(office).facts("rockets") is None


@pytest.mark.parametrize("name", ["contacts", "deals", "tasks"])
def test_a_token_that_only_reads_is_known_to(office: Office, name: str) -> None:
    office.portal.faults.read_only_token = True
    facts = discovery(office).facts(name)
    assert facts is not None
    assert not facts.editable
    assert not facts.creatable


def test_stages_are_counted_by_search(office: Office) -> None:
    seed(office.portal, "deals", 3, dealstage="qualifiedtobuy", pipeline="default")
    counts = discovery(office).counts("deals", "dealstage", open_only=False)
    assert counts is not None
    assert (counts["qualifiedtobuy"], counts["closedwon"]) == (3, 0)
    assert discovery(office).counts("deals", "hubspot_owner_id", open_only=True) is None


def test_a_portal_with_nothing_to_say(office: Office) -> None:
    assert spots(office) == {
        "inbound mail": (
            True,
            "not one is logged, so that nobody ever replied: connect the inboxes, or write a gap for replies",
        )
    }


def test_what_does_not_count_is_said(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(office.portal, "emails", 2, hs_email_direction="INCOMING_EMAIL")
    ended = {"hs_meeting_end_time": "2026-11-01T09:00:00Z"}
    seed(office.portal, "meetings", 3, hs_meeting_outcome="SCHEDULED", **ended)
    seed(office.portal, "meetings", 1, hs_meeting_outcome="COMPLETED", **ended)
    seed(office.portal, "meetings", 9, hs_meeting_outcome="SCHEDULED", hs_meeting_end_time="2027-11-01T09:00:00Z")
    seed(office.portal, "calls", 4, hs_call_disposition=CONNECTED)
    seed(office.portal, "calls", 1, hs_call_disposition=CONNECTED, hs_call_duration="61000")
    office.portal.add_property("deals", PropertyDefinition(name="hs_salesforceopportunityid", label="SFDC"))
    office.portal.faults.leads_absent = True
    monkeypatch.setitem(account_api.DISPOSITIONS, "11111111-0000-4000-8000-000000000000", "Gatekeeper")
    found = spots(office)
    assert found["inbound mail"] == (False, "2 mails from buyers are logged")
    assert found["meetings"][0]
    assert "3 in the past still say SCHEDULED" in found["meetings"][1]
    assert "Sales Hub Professional" in found["leads (0-136)"][1]
    assert "Gatekeeper" in found["calls"][1]
    assert "4 say 'Connected' and not for how long" in found["length of calls"][1]
    assert "one of the two" in found["Salesforce"][1]


def stage(value: str, label: str, **more: Any) -> NativeStage:
    return NativeStage(pipeline="p", value=value, label=label, position=0, **more)


@pytest.mark.parametrize(
    ("given", "value", "sure"),
    [
        (stage("closedwon", "Lost", closed=True), "closedlost", True),
        (stage("7", "Gewonnen", closed=True, won=True), "closedwon", True),
        (stage("qualifiedtobuy", "Qualified To Buy"), "qualifiedtobuy", True),
        # the id of a stage that was renamed says nothing
        (stage("qualifiedtobuy", "Angebot raus"), "contractsent", False),
        (stage("54bf5b9c-2198", "Phase 3", probability=70.0), "presentationscheduled", False),
        (stage("9", "Phase 0", probability=0.0), "appointmentscheduled", False),
    ],
)
def test_stages_of_deals_are_likened(given: NativeStage, value: str, *, sure: bool) -> None:
    found = like_stage(given)
    assert found is not None
    assert (found.value, found.sure) == (value, sure)


@pytest.mark.parametrize(
    ("value", "label", "like"),
    [
        ("lead", "Anything", "lead"),
        ("139661", "SQL (US)", "salesqualifiedlead"),
        ("139662", "Disqualified lead", "other"),
        ("139663", "Former customer", "other"),
        ("139664", "Zebra", None),
    ],
)
def test_lifecycle_stages_are_likened(value: str, label: str, like: str | None) -> None:
    found = like_lifecycle(stage(value, label))
    assert (found.value if found else None) == like
