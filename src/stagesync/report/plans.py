"""The JSON of plans as types, from a plan and back, and the hash that shows whether a file was edited.

Keys may be added under one version, none taken away and none renamed. Moments are ISO 8601 with an offset, always UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stagesync.model.changes import Change, ChangeKind, Ground, LeftOut, Plan, TaskText
from stagesync.model.findings import Scope
from stagesync.model.kinds import Mode
from stagesync.report.documents import REPORT_VERSION, Count, Day, Moment, Version

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
OUTSIDE = ("sha256", "approvals")
"""What the hash of a plan does not cover: itself, and what people add to the file."""


class TaskRow(Struct, frozen=True, kw_only=True):
    """A task for the owner of a record."""

    subject: str
    body: str
    due: Day
    owner: str


class GroundRow(Struct, frozen=True, kw_only=True):
    """One reason for a change, as its finding has it."""

    criterion: str
    verdict: str
    reason: str
    value: str | None
    source: str | None


class Precondition(Struct, frozen=True, kw_only=True):
    """What must still be so when the change is made; else it is left out and named."""

    fields: dict[str, str | None]
    modified: Annotated[Moment | None, Meta(description="the record's last modification; null where it does not count")]


class ChangeRow(Struct, frozen=True, kw_only=True):
    """One thing to do in a CRM."""

    key: Annotated[str, Meta(description="stable name of the change, by which it is approved")]
    kind: ChangeKind
    connection: str
    object: str
    record: str
    record_name: str
    owner: str | None
    owner_name: str | None
    rule: str
    mode: Mode
    reason: str
    evidence: list[GroundRow]
    precondition: Precondition
    before: dict[str, str | None]
    after: dict[str, str | None]
    stage_from: Annotated[str | None, Meta(description="the CRM's label of the stage the record is in")]
    stage_to: Annotated[str | None, Meta(description="the CRM's label of the stage it would be moved to")]
    amount: float | None
    currency: Annotated[str | None, Meta(description="of the amount, where the mapping names the field")]
    findings: list[str]
    criteria: list[str]
    task: TaskRow | None
    told: Annotated[TaskRow | None, Meta(description="the text that a task to update or to close must still have")]
    crm_id: str | None
    escalates: Annotated[
        str | None, Meta(description="the key of the task that a rep ended, of one for the manager")
    ] = None
    asked_by: Annotated[str | None, Meta(description="the status that a task must still have to be put back")] = None
    adds: Annotated[str | None, Meta(description="words for behind the text of a task that somebody has edited")] = None


class LeftOutRow(Struct, frozen=True, kw_only=True):
    """A finding whose rule asks for a change that was not planned, and why."""

    connection: str
    object: str
    record: str
    record_name: str
    rule: str
    reason: str


class JudgedRow(Struct, frozen=True, kw_only=True):
    """How many records of an object were judged, of which the guard allows a share."""

    connection: str
    object: str
    evaluated: Count


class DefinitionsRow(Struct, frozen=True, kw_only=True):
    """The definitions and mappings by which the plan was made; with others it is not applied."""

    name: str
    sha256: str
    mappings: Annotated[dict[str, str], Meta(description="by connection, the SHA-256 of its mapping")]


class ApprovalRow(Struct, frozen=True, kw_only=True):
    """Rows that somebody has signed."""

    by: str
    at: Moment
    note: str
    keys: list[str]


class PlanDocument(Struct, frozen=True, kw_only=True, dict=True):
    """What a run would change: `stagesync plan --format json` and `stagesync plan --out FILE`."""

    version: Version
    run: str
    as_of: Moment
    expires: Annotated[Moment, Meta(description="from then on it is not applied any more")]
    orgs: Annotated[dict[str, str], Meta(description="by connection, the id of the org or portal")]
    definitions: DefinitionsRow
    scope: list[JudgedRow]
    refusals: Annotated[list[str], Meta(description="what the guard said to the whole plan when it was made")]
    changes: list[ChangeRow]
    left_out: list[LeftOutRow]
    sha256: Annotated[Sha256, Meta(description="of all keys but this one and approvals; the ledger knows it")]
    approvals: list[ApprovalRow]

    @cached_property
    def approved(self) -> frozenset[str]:
        """The keys of the rows that somebody has signed."""
        return frozenset(key for approval in self.approvals for key in approval.keys)


def plan_document(
    plan: Plan,
    *,
    run: str,
    as_of: datetime,
    expires: datetime,
    orgs: Mapping[str, str],
    definitions: DefinitionsRow,
    scopes: Sequence[Scope],
    refusals: Sequence[str],
) -> PlanDocument:
    """A plan as it is written, without approvals."""
    judged: dict[tuple[str, str], int] = {}
    for scope in scopes:
        place = (scope.connection, scope.object)
        judged[place] = judged.get(place, 0) + scope.evaluated
    document = PlanDocument(
        version=REPORT_VERSION,
        run=run,
        as_of=as_of.isoformat(),
        expires=expires.isoformat(),
        orgs=dict(orgs),
        definitions=definitions,
        scope=[JudgedRow(connection=where[0], object=where[1], evaluated=count) for where, count in judged.items()],
        refusals=list(refusals),
        changes=[_change_row(change) for change in plan.changes],
        left_out=[_left_out_row(entry) for entry in plan.left_out],
        sha256="",
        approvals=[],
    )
    return msgspec.structs.replace(document, sha256=content_hash(msgspec.json.encode(document)))


def plan_text(document: PlanDocument) -> str:
    """The document as it stands in a file, with a line break at the end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def content_hash(text: bytes) -> str:
    """SHA-256 of what a plan says, however it is spaced and whoever has approved it. Keys that were added count."""
    plain: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    said = {name: value for name, value in plain.items() if name not in OUTSIDE}
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def parse_plan(text: bytes) -> PlanDocument:
    """The document of a file's text. Raises ValueError, in words, for what is no plan or is another version's."""
    try:
        version = msgspec.json.decode(text, type=dict[str, Any]).get("version")
        if version != REPORT_VERSION:
            raise ValueError(f"its version is {version!r}, and this StageSync reads {REPORT_VERSION}")
        return msgspec.json.decode(text, type=PlanDocument)
    except msgspec.DecodeError as error:
        raise ValueError(f"it cannot be read: {error}") from error


def plan_of(document: PlanDocument) -> Plan:
    """The plan that a document holds, but for the beside of its changes, which is looked up when it is applied."""
    return Plan(
        changes=tuple(_change(row) for row in document.changes),
        left_out=tuple(
            LeftOut(
                connection=row.connection,
                object=row.object,
                record=row.record,
                record_name=row.record_name,
                rule=row.rule,
                reason=row.reason,
            )
            for row in document.left_out
        ),
    )


def scopes_of(document: PlanDocument) -> list[Scope]:
    """How many records were judged, for the guard."""
    return [
        Scope(connection=row.connection, object=row.object, in_scope=row.evaluated, evaluated=row.evaluated)
        for row in document.scope
    ]


def _left_out_row(entry: LeftOut) -> LeftOutRow:
    return LeftOutRow(
        connection=entry.connection,
        object=entry.object,
        record=entry.record,
        record_name=entry.record_name,
        rule=entry.rule,
        reason=entry.reason,
    )


def _change_row(change: Change) -> ChangeRow:
    moves = change.kind is ChangeKind.SET_STAGE
    return ChangeRow(
        key=change.key,
        kind=change.kind,
        connection=change.connection,
        object=change.object,
        record=change.record,
        record_name=change.record_name,
        owner=change.owner,
        owner_name=change.owner_name,
        rule=change.rule,
        mode=change.mode,
        reason=change.reason,
        evidence=[
            GroundRow(
                criterion=ground.criterion,
                verdict=ground.verdict,
                reason=ground.reason,
                value=ground.value,
                source=ground.source,
            )
            for ground in change.grounds
        ],
        precondition=Precondition(
            fields=dict(change.before if moves else change.seen),
            modified=change.modified.isoformat() if change.modified else None,
        ),
        before=dict(change.before),
        after=dict(change.after),
        stage_from=change.stage_from,
        stage_to=change.stage_to,
        amount=change.amount,
        currency=change.currency,
        findings=list(change.findings),
        criteria=list(change.criteria),
        task=_task_row(change.task),
        told=_task_row(change.told),
        crm_id=change.crm_id,
        escalates=change.escalates,
        asked_by=change.asked_by,
        adds=change.adds,
    )


def _task_row(task: TaskText | None) -> TaskRow | None:
    if task is None:
        return None
    return TaskRow(subject=task.subject, body=task.body, due=task.due.isoformat(), owner=task.owner)


def _task(row: TaskRow | None) -> TaskText | None:
    if row is None:
        return None
    return TaskText(subject=row.subject, body=row.body, due=date.fromisoformat(row.due), owner=row.owner)


def _change(row: ChangeRow) -> Change:
    modified = row.precondition.modified
    return Change(
        key=row.key,
        kind=row.kind,
        connection=row.connection,
        object=row.object,
        record=row.record,
        record_name=row.record_name,
        rule=row.rule,
        mode=row.mode,
        reason=row.reason,
        owner=row.owner,
        owner_name=row.owner_name,
        grounds=tuple(Ground(**msgspec.structs.asdict(ground)) for ground in row.evidence),
        findings=tuple(row.findings),
        criteria=tuple(row.criteria),
        seen={} if row.kind is ChangeKind.SET_STAGE else row.precondition.fields,
        before=row.before,
        after=row.after,
        modified=datetime.fromisoformat(modified) if modified else None,
        amount=row.amount,
        currency=row.currency,
        stage_from=row.stage_from,
        stage_to=row.stage_to,
        task=_task(row.task),
        told=_task(row.told),
        crm_id=row.crm_id,
        escalates=row.escalates,
        asked_by=row.asked_by,
        adds=row.adds,
    )
