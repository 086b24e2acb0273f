"""What happened, as Salesforce's mails, tasks and events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.buffers import Buffers
from stagesync.sandbox.company.life import Life, Touch, TouchKind
from stagesync.sandbox.company.staff import Rep
from stagesync.sandbox.salesforce.org import Org

Row = dict[str, Any]
MEETINGS: frozenset[TouchKind] = frozenset(
    {"meeting", "invitee_copy", "cancelled_meeting", "planned_meeting", "cancelled_plan"}
)
CANCELLED: frozenset[TouchKind] = frozenset({"cancelled_meeting", "cancelled_plan"})
TALKED_SECONDS = (90, 1800)
MISSED_SECONDS = (None, 0, 4, 31, 45)  # well under the minute from which a call counts
OPEN_TASK_DUE = timedelta(days=4)


def stamp(moment: datetime) -> str:
    """A moment in UTC as the org stores it."""
    return f"{moment.isoformat()[:19]}Z"


class Activities:
    """Writes the touches of a life for one lead (``who``) or one opportunity (``what``) and its contact."""

    def __init__(self, org: Org, author: Author, buffers: Buffers[str, Row], user: Callable[[Rep | None], str]) -> None:
        """``user`` gives the id of the user who acts for an owner."""
        self._org = org
        self._author = author
        self._buffers = buffers
        self._user = user

    def write(self, life: Life, *, who: str | None, what: str | None, aside: str | None = None) -> None:
        """Write every touch, what stands aside with the contact ``aside`` alone; Salesforce has no place for notes."""
        for touch in life.touches:
            person, about = (aside, None) if touch.aside else (who, what)
            if touch.kind in {"mail_in", "mail_out"}:
                self._mail(life, touch, person, about)
            elif touch.kind in MEETINGS:
                self._event(life, touch, person, about)
            elif touch.kind != "note":
                self._task(life, touch, person, about)

    def _mail(self, life: Life, touch: Touch, who: str | None, what: str | None) -> None:
        incoming = touch.kind == "mail_in"
        mail, at, owner = self._org.new_id("EmailMessage"), stamp(touch.at), self._user(life.owner)
        theirs = (life.person or life.account.people[0]).email or f"info@{life.account.domain}"
        ours = life.owner.email if life.owner else "sales@northwind-robotics.example"
        self._buffers.add(
            "EmailMessage",
            {
                "Id": mail,
                "RelatedToId": what,
                "Incoming": incoming,
                "Status": "1" if incoming else "3",
                "Subject": self._author.rng.choice(vocabulary.SUBJECTS),
                "FromAddress": theirs if incoming else ours,
                "ToAddress": ours if incoming else theirs,
                "MessageDate": at,
                "CreatedDate": at,
                "CreatedById": owner,
            },
        )
        self._relation(mail, "FromAddress" if incoming else "ToAddress", who, at)
        if what is None:  # the user's end of a mail is of no interest where the mail names its opportunity
            self._relation(mail, "ToAddress" if incoming else "FromAddress", owner, at)

    def _relation(self, mail: str, relation: str, record: str | None, at: str) -> None:
        if record is None:
            return
        self._buffers.add(
            "EmailMessageRelation",
            {
                "Id": self._org.new_id("EmailMessageRelation"),
                "EmailMessageId": mail,
                "RelationType": relation,
                "RelationId": record,
                "CreatedDate": at,
            },
        )

    def _event(self, life: Life, touch: Touch, who: str | None, what: str | None) -> None:
        subject = self._author.rng.choice(vocabulary.SUBJECTS)
        booked = min(touch.at, self._author.almanac.as_of) - timedelta(days=1)
        self._buffers.add(
            "Event",
            {
                "Id": self._org.new_id("Event"),
                "WhoId": who,
                "WhatId": what,
                "Subject": f"Canceled: {subject}" if touch.kind in CANCELLED else subject,
                "StartDateTime": stamp(touch.at),
                "EndDateTime": stamp(touch.end),
                "OwnerId": self._user(life.owner),
                "IsChild": touch.kind == "invitee_copy",
                "IsGroupEvent": life.count("invitee_copy") > 0,
                "CreatedDate": stamp(max(booked, life.created)),
            },
        )

    def _task(self, life: Life, touch: Touch, who: str | None, what: str | None) -> None:
        done = touch.kind != "todo_open"
        due = touch.at if done else touch.at + OPEN_TASK_DUE
        task = self._org.new_id("Task")
        row: Row = {
            "Id": task,
            "WhoId": who,
            "WhatId": what,
            "Subject": self._author.rng.choice(vocabulary.SUBJECTS),
            "Status": "Completed" if done else "Not Started",
            "IsClosed": done,
            "Priority": "Normal",
            "IsHighPriority": False,
            "ActivityDate": due.date().isoformat(),
            "CompletedDateTime": stamp(touch.at) if done else None,
            "OwnerId": self._user(life.owner),
            "CreatedDate": stamp(max(touch.at - timedelta(hours=1), life.created)),
        }
        self._buffers.add("Task", row | self._task_kind(touch, task))

    def _task_kind(self, touch: Touch, task: str) -> Row:
        rng = self._author.rng
        if touch.kind in {"call", "missed_call"}:
            talked = touch.kind == "call"
            seconds = rng.randint(*TALKED_SECONDS) if talked else rng.choice(MISSED_SECONDS)
            return {
                "TaskSubtype": "Call",
                "Type": "Call",
                "CallType": rng.choice(("Inbound", "Outbound")) if talked else "Outbound",
                "CallDisposition": "Connected" if talked else rng.choice(("No answer", "Left voicemail", "Busy")),
                "CallDurationInSeconds": seconds,
            }
        if touch.kind == "own_task":
            return {"TaskSubtype": "Task", "StageSync_Key__c": f"rehearsal-{task}", "CreatedById": None}
        # A mail that was logged by hand is a closed task: it says that we wrote, not that they answered.
        return {"TaskSubtype": rng.choice(("Task", "Email")), "Type": "Other"}
