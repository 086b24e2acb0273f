"""The rival of audit_pages.py: rows as dictionaries, judged and recorded one after the other in plain Python.

It is what a person would write around simple-salesforce: ``json.loads`` with its OrderedDict hook, a function for each
criterion, a finding as a dictionary, its JSON hashed with the hash before it, and ``executemany`` into SQLite. It
knows nothing of unknowns, unreadable values, other rules than these, or of what stood open before.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
PLACEHOLDERS = frozenset({"tbd", "n/a", "-", "select"})
STAGES = ["Lead", "Prospect", "Opportunity", "Discovery", "Proposal", "Negotiation", "Commit", "Closed Won"]
"""The native stages from the bottom up; the last one is terminal."""
SOURCES = ("Web", "Referral", "Event", "Partner")
IDLE_DAYS = 30


def least(value: float | None, limit: float) -> bool:
    """A number that is there and not below the limit."""
    return value is not None and value >= limit


def most(value: float | None, limit: float) -> bool:
    """A number that is there and not above the limit."""
    return value is not None and value <= limit


def states(text: str | None) -> bool:
    """A text that says something."""
    said = (text or "").strip().lower()
    return len(said) > 1 and any(letter.isalnum() for letter in said) and said not in PLACEHOLDERS


def employees(row: Row) -> float | None:
    """The size of the account."""
    size: float | None = (row["Account"] or {}).get("NumberOfEmployees")
    return size


def total(*values: float | None) -> float | None:
    """The sum, if all are there."""
    return None if None in values else sum(value for value in values if value is not None)


def share(value: float | None, parts: int) -> float:
    """A part of a number, endless if it is not there, so that nothing reaches it."""
    return float("inf") if value is None else value / parts


# By stage: the fields that a criterion looks at, and the criterion. The same as in audit_pages.py, in the same order.
Check = tuple[tuple[str, ...], Callable[[Row], bool]]
CHECKS: Sequence[Sequence[Check]] = [
    [
        (("Replies__c",), lambda r: least(r["Replies__c"], 1)),
        (("LeadSource",), lambda r: r["LeadSource"] is not None),
        (("Account",), lambda r: least(employees(r), 5)),
        (("Score__c",), lambda r: least(r["Score__c"], 10)),
        (("Interest__c",), lambda r: states(r["Interest__c"])),
    ],
    [
        (("Meetings__c",), lambda r: least(r["Meetings__c"], 1)),
        (("Account",), lambda r: least(employees(r), 20) and most(employees(r), 90_000)),
        (("Pain__c",), lambda r: states(r["Pain__c"])),
        (("Score__c", "Replies__c"), lambda r: least(r["Score__c"], 15) or (r["Replies__c"] or 0) > 3),
        (("LeadSource",), lambda r: r["LeadSource"] in SOURCES),
    ],
    [
        (("Budget__c",), lambda r: r["Budget__c"] is not None),
        (("Seats__c",), lambda r: (r["Seats__c"] or 0) > 0),
        (("Champion__c",), lambda r: r["Champion__c"] is not None),
        (("Replies__c", "Meetings__c"), lambda r: least(total(r["Replies__c"], r["Meetings__c"]), 3)),
        (("Trial__c", "Score__c"), lambda r: r["Trial__c"] is True or (r["Score__c"] or 0) > 20),
    ],
    [
        (("NextStep",), lambda r: states(r["NextStep"])),
        (("Budget__c",), lambda r: least(r["Budget__c"], 1000)),
        (("Decision_Date__c",), lambda r: r["Decision_Date__c"] is not None),
        (("Meetings__c", "Trial__c"), lambda r: least(r["Meetings__c"], 2) or r["Trial__c"] is True),
        (("LeadSource",), lambda r: r["LeadSource"] is not None and not r["LeadSource"].startswith("Cold")),
    ],
    [
        (("Amount",), lambda r: (r["Amount"] or 0) > 0),
        (("Discount__c",), lambda r: least(r["Discount__c"], 0) and most(r["Discount__c"], 40)),
        (("Seats__c",), lambda r: least(r["Seats__c"], 5)),
        (("Decision_Date__c",), lambda r: (r["Decision_Date__c"] or "") >= "2025-10-17"),
        (("Budget__c", "Amount"), lambda r: least(r["Budget__c"], share(r["Amount"], 20))),
    ],
    [
        (("Security_Reviewed__c", "Seats__c"), lambda r: r["Security_Reviewed__c"] is True or few_seats(r)),
        (("Replies__c",), lambda r: least(r["Replies__c"], 2)),
        (("Score__c",), lambda r: least(r["Score__c"], 25)),
        (("Discount__c", "Champion__c"), lambda r: most(r["Discount__c"], 35) or r["Champion__c"] is not None),
        (("CloseDate",), lambda r: r["CloseDate"] is not None),
    ],
    [
        (("Meetings__c", "Replies__c"), lambda r: least(r["Meetings__c"], 3) or least(r["Replies__c"], 4)),
        (("Amount",), lambda r: least(r["Amount"], 500)),
        (("Competitor__c",), lambda r: r["Competitor__c"] is None or states(r["Competitor__c"])),
        (("Trial__c", "Security_Reviewed__c"), lambda r: r["Trial__c"] is True or r["Security_Reviewed__c"] is True),
        (("Account",), lambda r: (employees(r) or 0) > 30),
    ],
    [
        (("IsWon",), lambda r: r["IsWon"] is True),
        (("IsClosed",), lambda r: r["IsClosed"] is True),
        (("Amount",), lambda r: r["Amount"] is not None),
        (("CloseDate",), lambda r: r["CloseDate"] is not None and r["CloseDate"] <= "2026-11-21"),
        (("Seats__c",), lambda r: least(r["Seats__c"], 1)),
    ],
]
TEXTS = {"interest": "Interest__c", "pain": "Pain__c", "next_step": "NextStep", "competitor": "Competitor__c"}


def few_seats(row: Row) -> bool:
    """Fewer seats than need a review."""
    return row["Seats__c"] is not None and row["Seats__c"] < 4500


def findings_of(row: Row, owners: Mapping[str, tuple[str, bool]], now: datetime) -> Iterator[dict[str, Any]]:
    """The findings of one record."""
    today = now.date()
    position = STAGES.index(row["StageName"]) if row["StageName"] in STAGES else -1
    working = 0 <= position < len(STAGES) - 1
    since, since_source = entered(row, now)
    owner = owners.get(row["OwnerId"] or "")

    def finding(kind: str, rule: str, evidence: list[dict[str, Any]], **more: object) -> dict[str, Any]:
        return {
            "key": f"salesforce:Opportunity:{row['Id']}:{rule}",
            "connection": "salesforce",
            "object": "Opportunity",
            "record": row["Id"],
            "record_name": row["Name"],
            "owner": row["OwnerId"],
            "owner_name": owner[0] if owner else None,
            "kind": kind,
            "rule": rule,
            "severity": "medium",
            "mode": "audit",
            "stage": f"s{position}",
            "native_stage": row["StageName"],
            "since": since.isoformat() if since else None,
            "since_source": since_source,
            "amount": row["Amount"],
            "evidence": evidence,
            **more,
        }

    earned, failed = climb(row, position)
    if working and earned < position:
        reasons = [reason(row, stage, number, "not met") for stage, number in failed]
        yield finding("premature", "premature", reasons, earned=f"s{earned}")
    if working and earned > position:
        proofs = [
            reason(row, stage, number, "met")
            for stage in range(position + 1, earned + 1)
            for number in range(len(CHECKS[stage]))
        ]
        yield finding("ready", "ready", proofs, earned=f"s{earned}")
    quiet = max((at for at in (since, active(row, now)) if at is not None), default=None)
    if working and quiet is not None and quiet.date() < today - timedelta(days=IDLE_DAYS):
        yield finding("stalled", "stalled", [said("stalled", f"no activity for more than {IDLE_DAYS} days")])
    for name, words in contradictions(row, today):
        yield finding("contradiction", f"contradiction.{name}", [said(name, words)])
    for item, field in TEXTS.items():
        if working and row[field] is not None and not states(row[field]):
            rule = f"placeholder.{item}"
            yield finding(
                "placeholder", rule, [said(rule, f"{item} is filled with '{row[field]}', which says nothing")]
            )
    if working and not (owner and owner[1]):
        yield finding("unowned", "unowned", [said("unowned", "nobody who works here owns the record")])


def climb(row: Row, position: int) -> tuple[int, list[tuple[int, int]]]:
    """The stage that the record has earned, and what failed up to the stage that it is in."""
    earned, failed = -1, []
    for stage, checks in enumerate(CHECKS):
        wrong = [(stage, number) for number, (_, check) in enumerate(checks) if not check(row)]
        if not wrong and not failed:
            earned = stage
        failed += wrong
        if failed and stage >= position:
            break
    return earned, failed


def reason(row: Row, stage: int, number: int, verdict: str) -> dict[str, Any]:
    """Why a criterion holds or does not."""
    fields, _ = CHECKS[stage][number]
    values = [employees(row) if field == "Account" else row[field] for field in fields]
    told = zip(fields, values, strict=True)
    words = "; ".join(f"{field} is {'blank' if value is None else value}" for field, value in told)
    return {
        "criterion": f"c{stage}-{number}",
        "verdict": verdict,
        "reason": words,
        "value": ", ".join(str(value) for value in values),
        "source": ", ".join(f"Opportunity.{field}" for field in fields),
        "ask": "look at it with the buyer",
        "because": "it is what the stage means",
    }


def said(criterion: str, words: str) -> dict[str, Any]:
    """A reason that is only words."""
    return {"criterion": criterion, "verdict": "not met", "reason": words}


def contradictions(row: Row, today: date) -> Iterator[tuple[str, str]]:
    """What cannot be true at the same time."""
    if row["IsWon"] and row["Amount"] is None:
        yield "won-without-amount", "it was won, but nobody wrote for how much"
    if not row["IsClosed"] and row["CloseDate"] is not None and row["CloseDate"] < today.isoformat():
        yield "close-date-passed", f"it is open, but its close date was {row['CloseDate']}"
    if not row["IsClosed"] and row["Loss_Reason__c"] is not None:
        yield "open-with-loss-reason", f"it is open, but the loss reason is {row['Loss_Reason__c']}"


def entered(row: Row, now: datetime) -> tuple[datetime | None, str | None]:
    """Since when the record is in its stage, and who says so."""
    for field, source in (("LastStageChangeDate", "the CRM's own date"), ("CreatedDate", "creation of the record")):
        if row[field] is not None and (at := datetime.fromisoformat(row[field])) <= now:
            return at, source
    return None, None


def active(row: Row, now: datetime) -> datetime | None:
    """The last activity that is not in the future."""
    at = datetime.fromisoformat(row["Last_Activity__c"]) if row["Last_Activity__c"] else None
    return at if at is not None and at <= now else None


def by_hand(
    pages: Sequence[bytes], owners: Mapping[str, tuple[str, bool]], now: datetime, file: Path
) -> dict[str, int]:
    """From the bytes of pages to findings in SQLite; how many there are of each kind."""
    rows = [row for page in pages for row in json.loads(page, object_pairs_hook=OrderedDict)["records"]]
    found = [finding for row in rows for finding in findings_of(row, owners, now)]
    record(found, file)
    counts: dict[str, int] = {}
    for finding in found:
        counts[finding["kind"]] = counts.get(finding["kind"], 0) + 1
    return counts


def record(found: Sequence[dict[str, Any]], file: Path) -> None:
    """Hash-chained into a table with an index, in one transaction for 10,000."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE findings (key TEXT, record TEXT, rule TEXT, owner TEXT, body TEXT, hash TEXT)")
    connection.execute("CREATE INDEX findings_by_record ON findings (record)")
    digest = ""
    for start in range(0, len(found), 10_000):
        batch = []
        for finding in found[start : start + 10_000]:
            body = json.dumps(finding, sort_keys=True)
            digest = hashlib.sha256((digest + body).encode()).hexdigest()
            batch.append((finding["key"], finding["record"], finding["rule"], finding["owner"], body, digest))
        with connection:
            connection.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)", batch)
    connection.close()
