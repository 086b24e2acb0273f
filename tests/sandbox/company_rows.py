"""What the oracle judges, read row by row from the files of both embedded CRMs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.salesforce.org import Org

from .company_oracle import GAP, LADDER, Judged, mapping, moment

Row = dict[str, Any]
CONTACT_GAPS = (
    "decision_makers next_step budget_confirmed amount close_date closed won lost_reason".split()  # noqa: SIM905
)
DECIDERS = {"Decision Maker", "Economic Decision Maker", "Economic Buyer", "Executive Sponsor"}
CODES = {"contacts": 1, "companies": 2, "deals": 3, "tasks": 27, "meetings": 47, "calls": 48, "emails": 49}
CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"


def _rung(stages: dict[str, str], native: str) -> str | None:
    place = stages[native]
    return place if place in LADDER else None


def _latest(moments: list[datetime | None]) -> datetime | None:
    return max((at for at in moments if at is not None), default=None)


def salesforce(org: Org, now: datetime) -> Iterator[Judged]:
    """Every lead and opportunity that an audit looks at."""
    reader = _Salesforce(org, now)
    yield from reader.leads()
    yield from reader.opportunities()


class _Salesforce:
    def __init__(self, org: Org, now: datetime) -> None:
        self._rows = org.database.rows
        self._now = now
        users = self._rows("SELECT Id FROM User WHERE IsActive = 1")
        queues = self._rows("""SELECT Id FROM "Group" WHERE Type = 'Queue'""")
        self._owners = {row["Id"] for row in users + queues}

    def leads(self) -> Iterator[Judged]:
        stages = mapping("salesforce", "Lead")["stage"]["stages"]
        for row in self._rows("SELECT * FROM Lead WHERE IsDeleted = 0 AND IsConverted = 0"):
            changes = self._rows("SELECT * FROM LeadHistory WHERE LeadId = ? AND Field = 'Status'", [row["Id"]])
            record = self._record("Lead", row, stages, row["Status"])
            record.history = [(_at(change["CreatedDate"]), change["NewValue"]) for change in changes]
            record.evidence = {
                **dict.fromkeys(CONTACT_GAPS, GAP),
                "email": row["Email"],
                "phone": row["Phone"],
                "people": None,
                "employees": row["NumberOfEmployees"],
                "pain": row["Pain__c"],
                **self._lead_mail(row["Id"]),
            }
            self._happened(record, "WhoId", row["Id"])
            yield record

    def _lead_mail(self, lead: str) -> Row:
        sql = """SELECT r.RelationType, m.MessageDate FROM EmailMessageRelation r
                 JOIN EmailMessage m ON m.Id = r.EmailMessageId WHERE r.RelationId = ?"""
        mails = self._rows(sql, [lead])
        return {
            "replies": sum(mail["RelationType"] == "FromAddress" for mail in mails),
            "last_activity": _latest([moment(mail["MessageDate"]) for mail in mails]),
        }

    def opportunities(self) -> Iterator[Judged]:
        stages = mapping("salesforce", "Opportunity")["stage"]["stages"]
        for row in self._rows("SELECT * FROM Opportunity WHERE IsDeleted = 0"):
            record = self._record("Opportunity", row, stages, row["StageName"])
            record.entered_field = moment(row["LastStageChangeDate"])
            changes = self._rows("SELECT * FROM OpportunityHistory WHERE OpportunityId = ?", [row["Id"]])
            record.history = [(_at(change["CreatedDate"]), change["StageName"]) for change in changes]
            roles = self._rows("SELECT Role FROM OpportunityContactRole WHERE OpportunityId = ?", [row["Id"]])
            account = self._rows("SELECT NumberOfEmployees FROM Account WHERE Id = ?", [row["AccountId"]])
            mails = self._rows("SELECT * FROM EmailMessage WHERE RelatedToId = ?", [row["Id"]])
            record.evidence = {
                "email": None,
                "phone": None,
                "people": len(roles),
                "decision_makers": sum(role["Role"] in DECIDERS for role in roles),
                "employees": account[0]["NumberOfEmployees"],
                "pain": row["Pain__c"],
                "next_step": row["NextStep"],
                "budget_confirmed": bool(row["Budget_Confirmed__c"]),
                "amount": row["Amount"],
                "close_date": date.fromisoformat(row["CloseDate"]),
                "closed": bool(row["IsClosed"]),
                "won": bool(row["IsWon"]),
                "lost_reason": row["Loss_Reason__c"],
                "replies": sum(mail["Incoming"] for mail in mails),
                "last_activity": _latest([moment(mail["MessageDate"]) for mail in mails]),
            }
            self._happened(record, "WhatId", row["Id"])
            record.evidence["last_activity"] = _latest([record.evidence["last_activity"], *self._people_did(row["Id"])])
            yield record

    def _people_did(self, opportunity: str) -> Iterator[datetime | None]:
        """What happened with each of an opportunity's people, whatever it was logged on."""
        for role in self._rows("SELECT * FROM OpportunityContactRole WHERE OpportunityId = ?", [opportunity]):
            yield self._lead_mail(role["ContactId"])["last_activity"]
            tasks = self._rows("SELECT * FROM Task WHERE WhoId = ?", [role["ContactId"]])
            for task in tasks:
                if task["IsClosed"] and task["StageSync_Key__c"] is None:
                    yield moment(task["CompletedDateTime"])
            for event in self._rows("SELECT * FROM Event WHERE WhoId = ?", [role["ContactId"]]):
                if not event["Subject"].startswith("Canceled:") and _at(event["EndDateTime"]) <= self._now:
                    yield moment(event["EndDateTime"])

    def _record(self, name: str, row: Row, stages: dict[str, str], native: str) -> Judged:
        return Judged(
            object=name,
            record=row["Id"],
            rung=_rung(stages, native),
            owner_works=row["OwnerId"] in self._owners,
            created=_at(row["CreatedDate"]),
            entered_field=None,
            stage=native,
            history=[],
            rungs={stage: _rung(stages, stage) for stage in stages},
        )

    def _happened(self, record: Judged, link: str, parent: str) -> None:
        """Count calls and meetings; tasks that StageSync wrote do not exist here."""
        tasks = self._rows(f'SELECT * FROM Task WHERE "{link}" = ? AND StageSync_Key__c IS NULL', [parent])
        closed = [task for task in tasks if task["IsClosed"]]
        calls = [task for task in closed if task["TaskSubtype"] == "Call"]
        events = self._rows(f'SELECT * FROM Event WHERE "{link}" = ?', [parent])
        on = [event for event in events if not event["Subject"].startswith("Canceled:")]
        over = [event for event in on if _at(event["EndDateTime"]) <= self._now]
        for event in on:
            assert abs(_at(event["StartDateTime"]) - self._now) > timedelta(hours=7)
        record.evidence |= {
            "calls": sum((task["CallDurationInSeconds"] or 0) >= 60 for task in calls),
            "meetings": sum(not event["IsChild"] for event in over),
            "meetings_ahead": sum(not event["IsChild"] and _at(event["StartDateTime"]) > self._now for event in on),
            "last_activity": _latest(
                [
                    record.evidence["last_activity"],
                    *(moment(task["CompletedDateTime"]) for task in closed),
                    *(moment(event["EndDateTime"]) for event in over),
                ]
            ),
        }


def hubspot(portal: Portal, now: datetime) -> Iterator[Judged]:
    """Every contact and deal."""
    reader = _HubSpot(portal, now)
    yield from reader.contacts()
    yield from reader.deals()


class _HubSpot:
    def __init__(self, portal: Portal, now: datetime) -> None:
        self._rows = portal.database.rows
        self._now = now
        self._owners = {str(row["id"]) for row in self._rows("SELECT id FROM owners WHERE archived = 0")}

    def _linked(self, source: str, record: int, target: str) -> list[Row]:
        sql = f"""SELECT DISTINCT t.id, t.properties FROM associations a JOIN "{target}" t ON t.id = a.to_id
                  WHERE a.from_code = ? AND a.from_id = ? AND a.to_code = ? AND t.archived = 0"""
        found = self._rows(sql, [CODES[source], record, CODES[target]])
        return [json.loads(row["properties"]) for row in found]

    def contacts(self) -> Iterator[Judged]:
        stages = mapping("hubspot", "contacts")["stage"]["stages"]
        for row in self._rows("SELECT * FROM contacts WHERE archived = 0"):
            values = json.loads(row["properties"])
            record = self._record("contacts", row, values, stages, "lifecyclestage")
            record.evidence = {
                **dict.fromkeys(CONTACT_GAPS, GAP),
                "email": values.get("email"),
                "phone": values.get("phone"),
                "people": None,
                "pain": values.get("pain"),
                **self._happened("contacts", row["id"]),
            }
            yield record

    def deals(self) -> Iterator[Judged]:
        stages = mapping("hubspot", "deals")["stage"]["stages"]
        for row in self._rows("SELECT * FROM deals WHERE archived = 0"):
            values = json.loads(row["properties"])
            record = self._record("deals", row, values, stages[values["pipeline"]], "dealstage")
            record.entered_field = moment(values["hs_v2_date_entered_current_stage"])
            people = self._linked("deals", row["id"], "contacts")
            closing = moment(values.get("closedate"))
            budget = values.get("budget_confirmed")
            record.evidence = {
                "email": None,
                "phone": None,
                "people": len(people),
                "decision_makers": sum("DECISION_MAKER" in person.get("hs_buying_role", "") for person in people),
                "pain": values.get("pain"),
                "next_step": values.get("hs_next_step"),
                "budget_confirmed": None if budget is None else budget == "true",
                "amount": float(values["amount"]) if "amount" in values else None,
                "close_date": closing.date() if closing else None,
                "closed": values["hs_is_closed"] == "true",
                "won": values["hs_is_closed_won"] == "true",
                "lost_reason": values.get("closed_lost_reason"),
                **self._happened("deals", row["id"]),
            }
            with_people = [self._happened("contacts", person)["last_activity"] for person in self._people(row["id"])]
            record.evidence["last_activity"] = _latest([record.evidence["last_activity"], *with_people])
            yield record

    def _people(self, deal: int) -> list[int]:
        sql = "SELECT DISTINCT to_id FROM associations WHERE from_code = ? AND from_id = ? AND to_code = ?"
        return [row["to_id"] for row in self._rows(sql, [CODES["deals"], deal, CODES["contacts"]])]

    def _record(self, name: str, row: Row, values: Row, stages: dict[str, str], stage: str) -> Judged:
        history = self._rows(
            "SELECT value, moment FROM history WHERE object_code = ? AND object_id = ? AND property = ?",
            [CODES[name], row["id"], stage],
        )
        return Judged(
            object=name,
            record=str(row["id"]),
            rung=_rung(stages, values[stage]),
            owner_works=values.get("hubspot_owner_id") in self._owners,
            created=datetime.fromtimestamp(row["created"] / 1000, UTC),
            entered_field=None,
            stage=values[stage],
            history=[(datetime.fromtimestamp(entry["moment"] / 1000, UTC), entry["value"]) for entry in history],
            rungs={native: _rung(stages, native) for native in stages},
        )

    def _happened(self, source: str, record: int) -> Row:
        mails, calls = self._linked(source, record, "emails"), self._linked(source, record, "calls")
        meetings, tasks = self._linked(source, record, "meetings"), self._linked(source, record, "tasks")
        sizes = [company.get("numberofemployees") for company in self._linked(source, record, "companies")]
        held = [
            meeting
            for meeting in meetings
            if meeting["hs_meeting_outcome"] == "COMPLETED" and _at(meeting["hs_meeting_end_time"]) <= self._now
        ]
        done = [task for task in tasks if task["hs_task_status"] == "COMPLETED" and "stagesync_key" not in task]
        ahead = [
            meeting
            for meeting in meetings
            if meeting["hs_meeting_outcome"] in {"SCHEDULED", "RESCHEDULED"}
            and _at(meeting["hs_meeting_start_time"]) > self._now
        ]
        return {
            "employees": max((int(size) for size in sizes if size), default=None),
            "replies": sum(mail["hs_email_direction"] == "INCOMING_EMAIL" for mail in mails),
            "calls": sum(_spoken(call) for call in calls),
            "meetings": len(held),
            "meetings_ahead": len(ahead),
            "last_activity": _latest(
                [
                    *(moment(touch["hs_timestamp"]) for touch in (*mails, *calls)),
                    *(moment(meeting["hs_meeting_end_time"]) for meeting in held),
                    *(moment(task["hs_task_completion_date"]) for task in done),
                ]
            ),
        }


def _spoken(call: Row) -> bool:
    """The buyer rang, or was connected for a minute or more."""
    connected = call.get("hs_call_disposition") == CONNECTED
    return call.get("hs_call_direction") == "INBOUND" or (connected and int(call["hs_call_duration"] or 0) >= 60_000)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
