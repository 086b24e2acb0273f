"""Is a connection of the settings in order, as its CRM is now? What is missing, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stagesync.agent.pull import check_stages
from stagesync.connectors.base import Discovery
from stagesync.errors import ConfigurationError
from stagesync.model.counting import counted
from stagesync.model.crm import FieldFacts, Identity, NativeStage, ObjectFacts, Owner, Scopes, Service
from stagesync.model.kinds import Kind, Mode
from stagesync.onboarding.drift import drifted
from stagesync.onboarding.managers import unfit, unmanaged
from stagesync.onboarding.sources import Column, Lacking, needs, ties
from stagesync.planning.escalation import Escalation
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import CrmMapping, MappedObject

SHOWN = 8
SCARCE = 0.2
"""Fewer of the day's calls than this share are worth a word."""
TASK_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "salesforce": (("Subject", "Description", "Status", "ActivityDate", "OwnerId", "WhoId", "WhatId"), ("Status",)),
    "hubspot": (
        ("hs_task_subject", "hs_task_body", "hs_task_status", "hs_timestamp", "hubspot_owner_id"),
        ("hs_task_status",),
    ),
}
"""By CRM: the fields that a new task is given, and those that are changed to complete it."""

STATUS_FIELDS: Mapping[str, str] = {"salesforce": "Status", "hubspot": "hs_task_status"}
"""By CRM: the field with the status of a task."""

UNMARKED = (
    "make it, with unique values, or write 'marker: hs_task_body' in the mapping; until then tasks are marked in their "
    "bodies, and what is counted from tasks is unknown"
)
"""What follows where a portal has no property for our keys."""

NEVER = Escalation()


class State(StrEnum):
    """``note`` is worth knowing; a ``problem`` should be mended before a run."""

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was looked at: what was seen, and what follows from it or what to do (blank when all is well)."""

    subject: str
    state: State
    says: str
    follows: str = ""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A connection as it is configured. ``pinned`` is the key of the org that its name belongs to, if it is known;
    ``escalation`` says when managers are asked."""

    name: str
    mapping: CrmMapping
    definition: Definition
    pinned: str | None
    escalation: Escalation = NEVER
    fallback_owner: str | None = None


def look(discovery: Discovery, wanted: Wanted) -> list[Line]:
    """Everything that can be seen with calls that only read.

    Raises ConnectionFailed when the CRM cannot be reached or refuses the credentials.
    """
    lines = list(_scopes(discovery.scopes()))
    if not any(line.state is State.PROBLEM for line in lines):
        lines += _service(discovery.service())
    if any(line.state is State.PROBLEM for line in lines):
        return lines
    lines += _identity(discovery, wanted)
    stages = {
        mapped.name: discovery.reader.stages(mapped.table.name, mapped.stage_field) for mapped in wanted.mapping.objects
    }
    lacking = Lacking.of(discovery.reader.missing(wanted.mapping.tables))
    lines += _reading(wanted.mapping, lacking)
    lines += _currencies(discovery, wanted.mapping)
    lines += _person_accounts(discovery, wanted.mapping)
    lines += _stages(discovery, wanted, stages)
    lines += _stage_writes(discovery, wanted)
    lines += _tasks(discovery, wanted)
    lines += _owners(discovery, wanted)
    lines += [
        Line(subject=spot.subject, state=State.NOTE if spot.blind is not False else State.OK, says=spot.says)
        for spot in discovery.blind_spots()
    ]
    return lines


def _scopes(scopes: Scopes | None) -> Iterator[Line]:
    if scopes is None:
        return
    if scopes.given is None:
        says = "a ready token does not say what it may be used for"
        yield Line(subject="scopes", state=State.UNKNOWN, says=says, follows=scopes.remedy)
    elif scopes.missing:
        says = f"the token has {', '.join(scopes.given) or 'none'}, and not {', '.join(scopes.missing)}"
        follows = f"no call works; set it {scopes.remedy}"
        yield Line(subject="scopes", state=State.PROBLEM, says=says, follows=follows)
    elif scopes.beyond:
        says = f"the token has more than is needed: {', '.join(scopes.beyond)}"
        yield Line(subject="scopes", state=State.NOTE, says=says, follows=f"take it away {scopes.remedy}")
    else:
        yield Line(subject="scopes", state=State.OK, says=f"{', '.join(scopes.given)}: what is needed and no more")


def _service(service: Service) -> Iterator[Line]:
    version = f"v{service.version}" if service.version[:1].isdigit() else service.version
    if service.versions and service.version not in service.versions:
        said = f"{version} is not served; the newest is {service.versions[-1]}"
        yield Line(
            subject="API version",
            state=State.PROBLEM,
            says=said,
            follows=f'set api_version: "{service.versions[-1]}"; no call works until then',
        )
        return
    newest = f"served; the newest is {service.versions[-1]}" if service.versions else "as the settings say"
    yield Line(subject="API version", state=State.OK, says=f"{version}: {newest}", follows=service.remark)
    if service.calls_limit is None or service.calls_left is None:
        says = "the CRM does not say how many are left"
        yield Line(subject="API calls", state=State.UNKNOWN, says=says, follows=service.silence)
        return
    used = service.calls_limit - service.calls_left
    scarce = service.calls_left < SCARCE * service.calls_limit
    yield Line(
        subject="API calls",
        state=State.NOTE if scarce else State.OK,
        says=f"{used:,} of {service.calls_limit:,} used {service.period} by all integrations, "
        f"{service.calls_left:,} left"
        + (f"; StageSync stops at {service.calls_budget:,}" if service.calls_budget is not None else ""),
        follows="few are left: run less often, or find who uses them" if scarce else "",
    )


def _identity(discovery: Discovery, wanted: Wanted) -> Iterator[Line]:
    identity = discovery.reader.identity()
    organization = discovery.organization()
    if organization.user is not None:
        yield Line(subject="running user", state=State.OK, says=organization.user)
    kind = {True: ", a sandbox", False: ", production", None: ""}[organization.sandbox]
    says = f"{identity.name}, {identity.key}{kind}"
    if wanted.pinned is None:
        yield Line(subject="org", state=State.OK, says=f"{says}; the first run binds '{wanted.name}' to it")
    elif wanted.pinned == identity.key:
        yield Line(subject="org", state=State.OK, says=f"{says}; the one that '{wanted.name}' is bound to")
    else:
        yield _another(identity, wanted, says)


def _another(identity: Identity, wanted: Wanted, says: str) -> Line:
    return Line(
        subject="org",
        state=State.PROBLEM,
        says=f"{says}, but '{wanted.name}' is bound to {wanted.pinned}",
        follows=f"use the credentials of {wanted.pinned}, or give {identity.key} a connection name of its own",
    )


def _reading(mapping: CrmMapping, lacking: Lacking) -> Iterator[Line]:
    """What the mapping reads and the token does not see, object by object."""
    for mapped in mapping.objects:
        lines = list(_unreadable(mapped, lacking))
        yield from lines
        if not lines:
            yield Line(subject=f"{mapped.name}, reading", state=State.OK, says="all that the mapping reads can be read")


def _unreadable(mapped: MappedObject, lacking: Lacking) -> Iterator[Line]:
    own, subject = mapped.table.name, f"{mapped.name}, reading"

    def problem(columns: Sequence[Column], follows: str) -> Iterator[Line]:
        reason = lacking.reason(iter(columns))
        if reason is not None:
            yield Line(subject=subject, state=State.PROBLEM, says=reason, follows=follows)

    gone = list(problem([(own, mapped.stage_field)], f"no {mapped.name} can be judged"))
    if gone:
        yield from gone
        return
    for item, source in mapped.evidence.items():
        follows = f"{item} is unknown: grant or create it, or write a gap"
        yield from problem(list(needs(source, own)), follows)
    history = mapped.history
    if history is not None:
        columns = [(history.table, column) for column in (history.record, history.stage, history.at)]
        yield from problem(columns, "since when a record is in its stage is known only from what StageSync itself saw")
    for column in mapped.skip:
        yield from problem([(own, column)], "records that should be left out are judged")
    if mapped.owner is not None:
        yield from problem([(own, mapped.owner)], "every record looks as if it had no owner")


def _currencies(discovery: Discovery, mapping: CrmMapping) -> Iterator[Line]:
    """Objects with amounts in several currencies that the mapping does not tell apart."""
    for mapped in mapping.objects:
        facts = discovery.facts(mapped.table.name) if mapped.amount and not mapped.currency else None
        if facts is not None and discovery.currency_field in facts.fields:
            yield Line(
                subject=f"{mapped.name}, amounts",
                state=State.NOTE,
                says=f"{mapped.name} has the field {discovery.currency_field}, and the mapping names no currency",
                follows=f"amounts are added as they stand; write currency: {discovery.currency_field} beside amount",
            )


def _person_accounts(discovery: Discovery, mapping: CrmMapping) -> Iterator[Line]:
    """Objects whose people may be accounts of their own, and whose mapping does not look there."""
    for mapped in mapping.objects:
        people = [one for source in mapped.evidence.values() for one in ties(source)]
        columns = discovery.person_account(mapped.table.name) if people else None
        if columns is not None and not any(one.person_account for one in people):
            words = ", ".join(f"{word}: {column}" for word, column in columns.items())
            yield Line(
                subject=f"{mapped.name}, people",
                state=State.NOTE,
                says="the org has person accounts, and the mapping does not look at what hangs on them",
                follows=f"write person_account: {{{words}}} below people",
            )


def _stages(discovery: Discovery, wanted: Wanted, stages: Mapping[str, Sequence[NativeStage]]) -> Iterator[Line]:
    try:
        check_stages(wanted.mapping, stages)
    except ConfigurationError as error:
        for problem in error.problems:
            yield Line(
                subject="stages of the mapping",
                state=State.PROBLEM,
                says=f"{problem.file.name}:{problem.line}: {problem.message}",
                follows="audit stops here: correct the name, or remove the line",
            )
    for mapped in wanted.mapping.objects:
        counts = discovery.counts(mapped.table.name, mapped.stage_field, open_only=False) if stages[mapped.name] else {}
        yield _unmapped(mapped, stages[mapped.name], counts)
        for says, follows in drifted(mapped, stages[mapped.name], wanted.definition, counts):
            yield Line(subject=f"{mapped.name}, stages", state=State.NOTE, says=says, follows=follows)


def _unmapped(mapped: MappedObject, stages: Sequence[NativeStage], counts: Mapping[str, int] | None) -> Line:
    """Stages that no rung maps, with what is in them where the CRM counts."""
    subject = f"{mapped.name}, stages"
    if not stages:
        return Line(subject=subject, state=State.UNKNOWN, says="the CRM does not list them")
    known = {(group if mapped.pipeline_field else None, native) for group, native in mapped.stages}
    anywhere = {native for _, native in mapped.stages}
    left = {
        stage.value: stage
        for stage in stages
        if (stage.pipeline, stage.value) not in known and (mapped.pipeline_field or stage.value not in anywhere)
    }
    held = {value: number for value, number in (counts or {}).items() if value and value not in anywhere and number}
    named = [value for value, stage in left.items() if stage.active or value in held]
    named += [value for value in held if value not in named]
    if not named:
        return Line(
            subject=subject, state=State.OK, says="every active one stands for a stage of the ladder or is parked"
        )
    says = ", ".join(f"{name} ({held.get(name, 0):,})" if counts is not None else name for name in named[:SHOWN])
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    total = sum(held.values())
    return Line(
        subject=subject,
        state=State.PROBLEM if total else State.NOTE,
        says=f"not in the mapping: {says}{more}",
        follows=f"{counted(total, 'record is', 'records are')} not judged; name their stages"
        if counts is not None
        else "records in them are not judged; name them",
    )


def _stage_writes(discovery: Discovery, wanted: Wanted) -> Iterator[Line]:
    enforced = _is(wanted.definition, {Mode.ENFORCE}, Kind.PREMATURE)
    for mapped in wanted.mapping.objects:
        facts = discovery.facts(mapped.table.name)
        field = facts.fields.get(mapped.stage_field) if facts else None
        if facts is None or field is None:
            continue
        subject = f"{mapped.name}, writing the stage"
        if facts.editable and field.editable:
            yield Line(subject=subject, state=State.OK, says=f"{mapped.stage_field} can be edited")
            continue
        says = f"this user may not edit {mapped.name if not facts.editable else mapped.stage_field}"
        if enforced:
            yield Line(subject=subject, state=State.PROBLEM, says=says, follows="stages cannot be corrected")
        else:
            follows = "no stage can be corrected; no rule wants to yet"
            yield Line(subject=subject, state=State.NOTE, says=says, follows=follows)


def _tasks(discovery: Discovery, wanted: Wanted) -> Iterator[Line]:
    own = wanted.mapping.own_tasks
    needed = _is(wanted.definition, {Mode.SUGGEST, Mode.ENFORCE})
    state = State.PROBLEM if needed else State.NOTE
    follows = "tasks cannot be written" if needed else "tasks cannot be written; no rule wants one yet"
    if own is None:
        yield Line(subject="tasks", state=state, says="the mapping names no table of tasks", follows=follows)
        return
    table, key = own
    facts = discovery.facts(table)
    faults = list(_task_faults(facts, key, wanted.mapping.crm)) if facts else [f"{table} is not shown to this token"]
    unmarked = facts is not None and wanted.mapping.crm == "hubspot" and key not in facts.fields
    for fault in faults:
        told = UNMARKED if unmarked and fault == _absent(table, key) else follows
        yield Line(subject="tasks", state=state, says=fault, follows=told)
    yield from _waiver_status(discovery, wanted.mapping, table)
    field = facts.fields.get(key) if facts else None
    if not faults and not wanted.mapping.own_marked and field is not None and not (field.unique and field.external_id):
        says = f"{table}.{key} is not unique and an external id"
        yield Line(subject="tasks", state=State.NOTE, says=says, follows="two runs at once may write a task twice")
    elif not faults:
        yield Line(subject="tasks", state=State.OK, says=f"can be created and completed; {key} marks ours")


def _waiver_status(discovery: Discovery, mapping: CrmMapping, table: str) -> Iterator[Line]:
    status = mapping.waiver_status
    known = (
        discovery.reader.stages(table, STATUS_FIELDS[mapping.crm]) if status and mapping.crm in STATUS_FIELDS else ()
    )
    if known and status not in {one.value for one in known if one.active}:
        yield Line(
            subject="waiver_status",
            state=State.PROBLEM,
            says=f"{table} has no status '{status}'; there are {', '.join(one.value for one in known if one.active)}",
            follows="nobody can ask for a waiver by a task",
        )


def _task_faults(facts: ObjectFacts, key: str, crm: str) -> Iterator[str]:
    if not (facts.creatable and facts.editable):
        yield f"this user may not create and edit {facts.name}"
    given, changed = TASK_FIELDS.get(crm, ((), ()))
    for name in (key, *given):
        field = facts.fields.get(name)
        if field is None:
            yield _absent(facts.name, name)
        elif facts.creatable and not _writable(field, changes=name in changed):
            yield f"this user may not write {facts.name}.{name}"


def _absent(table: str, field: str) -> str:
    return f"{table} has no field {field}, or this user may not read it"


def _writable(field: FieldFacts, *, changes: bool) -> bool:
    return field.creatable and (field.editable or not changes)


def _is(definition: Definition, modes: set[Mode], *kinds: Kind) -> bool:
    """Whether some rule has one of these modes, always or for some records."""
    rules = [rule for name, rule in definition.rules.items() if not kinds or name.partition(".")[0] in set(kinds)]
    return any(modes & {rule.mode, *(override.mode for override in rule.overrides)} for rule in rules)


def _owners(discovery: Discovery, wanted: Wanted) -> Iterator[Line]:
    owners = discovery.reader.owners()
    known, holding = {owner.id: owner for owner in owners}, None
    for mapped in wanted.mapping.objects:
        counts = discovery.counts(mapped.table.name, mapped.owner, open_only=True) if mapped.owner else None
        if counts is None:
            continue
        holding = {*(holding or ()), *counts}
        yield _tasked(mapped, counts, known)
    if says := unfit(owners, wanted.fallback_owner):
        yield Line(subject="fallback_owner", state=State.PROBLEM, says=says, follows="nobody gets a task in its place")
    for says, follows in unmanaged(owners, holding, wanted.escalation, wanted.fallback_owner):
        yield Line(subject="managers", state=State.NOTE, says=says, follows=follows)


def _tasked(mapped: MappedObject, counts: Mapping[str, int], known: Mapping[str, Owner]) -> Line:
    """Whether the owners of open records (``counts``) can get a task."""
    subject = f"{mapped.name}, owners"
    inactive = {key: number for key, number in counts.items() if key in known and not known[key].active}
    queues = {key: number for key, number in counts.items() if key in known and known[key].queue}
    if not inactive and not queues:
        return Line(subject=subject, state=State.OK, says="all open records have an active owner")
    parts = [
        f"{counted(sum(group.values()), 'open record')} of {what}"
        for group, what in ((inactive, "people who are inactive"), (queues, "queues"))
        if group
    ]
    follows = "their tasks go to fallback_owner of the connection, or are not written without one"
    return Line(subject=subject, state=State.NOTE, says="; ".join(parts), follows=follows)
