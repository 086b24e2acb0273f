"""What happened, as HubSpot's e-mails, calls, meetings, tasks and notes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.buffers import Buffers
from stagesync.sandbox.company.life import HAPPENED, Life, Touch
from stagesync.sandbox.hubspot.portal import Portal

Row = dict[str, Any]
CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
NOT_CONNECTED = (
    "73a0d17f-1163-4015-bdd5-ec830791da20",  # no answer
    "b2cf5968-551e-4856-9783-52b3da59a7d0",  # left voicemail
    "9d9162e7-6cf3-4944-bf63-4dff82258764",  # busy
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",  # left live message
    "17b47fee-58de-441e-a44c-c6300d46f273",  # wrong number
    None,
)
OUTCOMES = {
    "meeting": ("COMPLETED",),
    "cancelled_meeting": ("CANCELED", "NO_SHOW"),
    "planned_meeting": ("SCHEDULED", "RESCHEDULED"),
    "cancelled_plan": ("CANCELED",),
}
TABLES = {
    "mail_in": "emails",
    "mail_out": "emails",
    "call": "calls",
    "missed_call": "calls",
    "meeting": "meetings",
    "cancelled_meeting": "meetings",
    "planned_meeting": "meetings",
    "cancelled_plan": "meetings",
    "todo_done": "tasks",
    "todo_open": "tasks",
    "own_task": "tasks",
    "note": "notes",
}
OPEN_TASK_DUE = timedelta(days=4)


class Link(NamedTuple):
    """Two objects whose records are associated."""

    source: str
    target: str


def iso(moment: datetime) -> str:
    """A moment in UTC as HubSpot writes it."""
    return f"{moment.isoformat()[:19]}.000Z"


class Activities:
    """Writes the touches of a life for one contact, or for one deal and its first contact."""

    def __init__(
        self, portal: Portal, author: Author, rows: Buffers[str, Row], links: Buffers[Link, tuple[int, int]]
    ) -> None:
        """Rows and associations go through the writer's buffers."""
        self._portal = portal
        self._author = author
        self._rows = rows
        self._links = links

    def write(self, life: Life, *, contact: int | None, deal: int | None, aside: int | None = None) -> None:
        """Write every touch, what stands aside with the contact ``aside`` alone; HubSpot has no invitees' copies."""
        for touch in life.touches:
            person, about = (aside, None) if touch.aside else (contact, deal)
            table = TABLES.get(touch.kind)
            if table is None:
                continue
            record = self._portal.new_id(table)
            made = min(touch.at, self._author.almanac.as_of - timedelta(days=1))
            properties = {"hs_timestamp": iso(touch.at), **self._properties(table, touch, record)}
            self._rows.add(table, {"id": record, "properties": properties, "createdAt": made, "updatedAt": made})
            if person is not None:
                self._links.add(Link("contacts", table), (person, record))
            if about is not None:
                self._links.add(Link("deals", table), (about, record))

    def summary(self, life: Life) -> Row:
        """The record's own activity fields, as HubSpot would have kept them."""
        contacted = [touch.at for touch in life.touches if touch.kind in HAPPENED and touch.kind != "todo_done"]
        ahead = [touch.at for touch in life.touches if touch.kind == "planned_meeting"]
        shown = f"{life.shown_activity}T09:00:00.000Z" if life.shown_activity else None
        last = shown or (iso(max(contacted)) if contacted else None)
        return {
            "num_notes": str(len(life.touches)) if life.touches else None,
            "num_contacted_notes": str(len(contacted)) if contacted else None,
            "notes_last_contacted": last,
            "notes_last_updated": last,
            "notes_next_activity_date": iso(min(ahead)) if ahead else None,
        }

    def _properties(self, table: str, touch: Touch, record: int) -> Row:
        subject = self._author.rng.choice(vocabulary.SUBJECTS)
        if table == "emails":
            direction = "INCOMING_EMAIL" if touch.kind == "mail_in" else "EMAIL"
            return {"hs_email_direction": direction, "hs_email_subject": subject, "hs_email_status": "SENT"}
        if table == "calls":
            return self._call(touch, subject)
        if table == "meetings":
            return {
                "hs_meeting_title": subject,
                "hs_meeting_start_time": iso(touch.at),
                "hs_meeting_end_time": iso(touch.end),
                "hs_meeting_outcome": self._author.rng.choice(OUTCOMES[touch.kind]),
            }
        if table == "notes":
            return {"hs_note_body": f"<p>{subject}</p>"}
        return self._task(touch, subject, record)

    def _call(self, touch: Touch, subject: str) -> Row:
        rng, talked = self._author.rng, touch.kind == "call"
        return {
            "hs_call_title": subject,
            "hs_call_disposition": CONNECTED if talked else rng.choice(NOT_CONNECTED),
            "hs_call_duration": str(rng.randint(90_000, 1_800_000) if talked else rng.randint(0, 40_000)),
            "hs_call_direction": rng.choice(("INBOUND", "OUTBOUND")) if talked else "OUTBOUND",
            "hs_call_status": "COMPLETED" if talked else "NO_ANSWER",
        }

    def _task(self, touch: Touch, subject: str, record: int) -> Row:
        done = touch.kind != "todo_open"
        return {
            "hs_timestamp": iso(touch.at if done else touch.at + OPEN_TASK_DUE),
            "hs_task_subject": subject,
            "hs_task_type": "TODO",
            "hs_task_priority": "MEDIUM",
            "hs_task_status": "COMPLETED" if done else "NOT_STARTED",
            "hs_task_completion_date": iso(touch.at) if done else None,
            "hs_task_is_completed": str(done).lower(),
            "stagesync_key": f"rehearsal-{record}" if touch.kind == "own_task" else None,
        }
