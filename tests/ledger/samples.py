"""Findings, changes and times for the ledger's tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import structs

from stagesync.model.changes import Change, ChangeKind, Outcome, Result, TaskText
from stagesync.model.findings import Batch, Evidence, Finding, Verdict, batches_of, key_of
from stagesync.model.kinds import Kind, Mode, Severity

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
CONNECTION = "salesforce"


def later(minutes: float) -> datetime:
    """Minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def told(*findings: Finding) -> list[Batch]:
    """Findings as the ledger takes them."""
    return list(batches_of(findings))


def finding(number: int, **other: Any) -> Finding:
    """A premature opportunity; every field has a value."""
    plain = Finding(
        key=key_of(CONNECTION, "Opportunity", f"006{number:012}", "premature"),
        connection=CONNECTION,
        object="Opportunity",
        record=f"006{number:012}",
        record_name="Müller & Söhne ‘Q4’ <b>\x00",
        owner=f"005{number % 3}",
        owner_name="Ana",
        kind=Kind.PREMATURE,
        rule="premature",
        severity=Severity.HIGH,
        mode=Mode.SUGGEST,
        stage="proposal",
        native_stage="Proposal/Price Quote",
        pipeline=None,
        earned="prospect",
        since=datetime(2026, 10, 1, 8, 30, tzinfo=UTC),
        since_source="history",
        amount=1234.5,
        evidence=(
            Evidence(criterion="pain-stated", verdict=Verdict.NOT_MET, reason="blank", ask="write it down"),
            Evidence(criterion="fit", verdict=Verdict.UNKNOWN, reason="no access", value="12", source="Account"),
        ),
    )
    found = structs.replace(plain, **other)
    return structs.replace(found, key=key_of(found.connection, found.object, found.record, found.rule))


def stage_change(number: int, **other: Any) -> Change:
    """A change of a stage; every field that such a change can have."""
    plain = Change(
        key=f"c-{number}",
        kind=ChangeKind.SET_STAGE,
        connection=CONNECTION,
        object="Opportunity",
        record=f"006{number:012}",
        record_name="日本電気 🗾",
        rule="premature",
        mode=Mode.ENFORCE,
        reason="pain is not stated",
        owner="0051",
        findings=(finding(number).key, "f-other"),
        before={"StageName": "Proposal", "NextStep": None},
        after={"StageName": "Prospecting", "Probability": "10"},
        modified=datetime(2026, 11, 20, 23, 59, 59, 999000, tzinfo=UTC),
        amount=0.1,
        stage_from="proposal",
        stage_to="prospect",
    )
    return replace(plain, **other)


def task_change(number: int, **other: Any) -> Change:
    """A task to open."""
    text = TaskText(subject="Say the pain", body="Line 1\nLine 2\t“x”", due=date(2026, 11, 24), owner="0059")
    plain = Change(
        key=f"t-{number}",
        kind=ChangeKind.OPEN_TASK,
        connection=CONNECTION,
        object="Opportunity",
        record=f"006{number:012}",
        record_name="Acme",
        rule="premature",
        mode=Mode.SUGGEST,
        reason="pain is not stated",
        findings=(finding(number).key,),
        task=text,
    )
    return replace(plain, **other)


def closing(number: int, crm_id: str) -> Change:
    """The closing of a task."""
    return task_change(number, key=f"x-{number}", kind=ChangeKind.CLOSE_TASK, task=None, crm_id=crm_id)


def outcome(change: Change, result: Result = Result.APPLIED, **other: Any) -> Outcome:
    """What became of a change."""
    return Outcome(key=change.key, result=result, **other)
