"""What proves in HubSpot that somebody answered: one contact for each thing that can happen, judged by every pack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stagesync.sandbox.hubspot import writing
from stagesync.sandbox.hubspot.moments import iso, millis
from stagesync.sandbox.hubspot.records import Source
from stagesync.sandbox.server import Sandbox

from .deployment import Deployment, deployment

REP = Source(type="CRM_UI", id="userId:7", user_id=7)
CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
NO_ANSWER = "73a0d17f-1163-4015-bdd5-ec830791da20"
VOICEMAIL = "b2cf5968-551e-4856-9783-52b3da59a7d0"


def at(**ago: int) -> str:
    return iso(millis(datetime.now(UTC) - timedelta(**ago)))


def meeting(outcome: str, **ago: int) -> dict[str, str]:
    return {"hs_meeting_outcome": outcome, "hs_meeting_start_time": at(**ago), "hs_meeting_end_time": at(**ago)}


def call(outcome: str, **more: str) -> dict[str, str]:
    return {"hs_call_disposition": outcome, **more}


PROVES: Mapping[str, tuple[str, dict[str, str]]] = {
    "a mail came in": ("emails", {"hs_email_direction": "INCOMING_EMAIL"}),
    "the buyer rang": ("calls", {"hs_call_direction": "INBOUND"}),
    "connected for a minute": ("calls", call(CONNECTED, hs_call_duration="60000", hs_call_direction="OUTBOUND")),
    "connected, duration with blanks": ("calls", call(CONNECTED, hs_call_duration=" 1800000 ")),
    "a meeting took place": ("meetings", meeting("COMPLETED", days=2)),
}
PROVES_NOTHING: Mapping[str, tuple[str, dict[str, str]]] = {
    "a mail went out": ("emails", {"hs_email_direction": "EMAIL"}),
    "a mail of no direction": ("emails", {}),
    "connected for seconds": ("calls", call(CONNECTED, hs_call_duration="59999")),
    "connected, nobody knows how long": ("calls", call(CONNECTED)),
    "nobody answered": ("calls", call(NO_ANSWER, hs_call_duration="90000", hs_call_direction="OUTBOUND")),
    "a voicemail": ("calls", call(VOICEMAIL, hs_call_duration="90000")),
    "a call of no outcome": ("calls", {"hs_call_duration": "90000"}),
    "a meeting that says scheduled": ("meetings", meeting("SCHEDULED", days=2)),
    "a meeting to which nobody came": ("meetings", meeting("NO_SHOW", days=2)),
    "a meeting that was called off": ("meetings", meeting("CANCELED", days=2)),
    "a meeting to come that says completed": ("meetings", meeting("COMPLETED", days=-2)),
    "a note": ("notes", {"hs_note_body": "Talked to them, very keen"}),
    "a message of no direction": ("communications", {}),
    "a task that the rep did": ("tasks", {"hs_task_status": "COMPLETED", "hs_task_subject": "Call"}),
    "a task of ours": ("tasks", {"hs_task_status": "COMPLETED", "stagesync_key": "stagesync-" + "0" * 20}),
}
"""Each raises properties of the contact whose names promise more: ``num_notes``, ``notes_last_contacted``, …"""


@dataclass
class Desk:
    """A deployment, and the contact to whom each thing happened."""

    agent: Deployment
    contacts: Mapping[str, str]

    def criteria(self, what: str) -> Mapping[str, Mapping[str, Any]]:
        done = self.agent.run("explain", self.contacts[what], "--format", "json")
        assert done.code == 0, done.said
        [explained] = json.loads(done.out)
        return {one["criterion"]: one for step in explained["ladder"] for one in step["criteria"]}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("evidence")
    with Sandbox.create(folder / "crms", seed=7, records=120) as sandbox:
        contacts = {what: touched(sandbox, *of) for what, of in {**PROVES, **PROVES_NOTHING}.items()}
        made = deployment(folder / "agent", sandbox)
        made.only("hubspot")
        audited = made.run("audit", "--format", "json")
        assert audited.code == 0, audited.said
        yield Desk(made, contacts)
        made.end()


def touched(sandbox: Sandbox, table: str, values: dict[str, str]) -> str:
    """A new contact to whom one thing happened."""
    portal = sandbox.portal
    given = {"lastname": "Okafor", "email": f"o{portal.now()}-{table}-{abs(hash(str(values)))}@buyer.example"}
    contact, _ = writing.create(portal, portal.kind("contacts"), {**given, "lifecyclestage": "lead"}, source=REP)
    event, _ = writing.create(portal, portal.kind(table), {"hs_timestamp": at(days=2), **values}, source=REP)
    writing.associate(portal, (portal.kind(table), event.id), (portal.kind("contacts"), contact.id))
    return str(contact.id)


@pytest.mark.parametrize("what", PROVES)
def test_what_proves_that_the_buyer_answered(desk: Desk, what: str) -> None:
    assert desk.criteria(what)["two-way"]["verdict"] == "met"


@pytest.mark.parametrize("what", PROVES_NOTHING)
def test_what_proves_nothing(desk: Desk, what: str) -> None:
    assert desk.criteria(what)["two-way"]["verdict"] == "not met"
