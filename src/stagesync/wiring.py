"""Puts the parts together from the settings. The only place that knows which class stands for which CRM.

Clients of CRMs are imported when they are needed: each costs more to load than a whole offline command.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, assert_never
from zoneinfo import ZoneInfo

from stagesync import __version__
from stagesync.agent import written
from stagesync.agent.connection import Agent, Connected, Manner, Progress, silent
from stagesync.audit.explain import Explanation
from stagesync.connectors.base import Discovery, Reader, Writer
from stagesync.mirror import Mirror
from stagesync.model.record_ids import long_id
from stagesync.model.waivers import Waiver
from stagesync.planning.escalation import Escalation, NamedManager
from stagesync.planning.freeze import Freeze
from stagesync.planning.guard import Bound, Limits, Protected
from stagesync.settings import (
    SQLITE,
    WEEKDAYS,
    ConnectionSettings,
    HubSpotSettings,
    SalesforceSettings,
    Secret,
    Settings,
)

if TYPE_CHECKING:
    from stagesync.connectors.hubspot import HubSpotConnection
    from stagesync.connectors.salesforce import Described, SalesforceConnection

Memory = dict[str, "Described"]
"""What connections were shown of their orgs, by name: it spares an agent of the same process to ask again."""


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@contextmanager
def opened(
    settings: Settings,
    *,
    write: bool,
    full: bool = False,
    progress: Progress = silent,
    stop: Event | None = None,
    clock: Callable[[], datetime] = utc_now,
    memory: Memory | None = None,
    facts: Mapping[str, object] | None = None,
) -> Iterator[Agent]:
    """An agent with its ledger and connections open. Without ``write`` it holds no writer at all; with
    ``full`` it reads everything, whatever it knows already. Who opens agents again and again gives the same ``memory``
    each time, and as ``facts`` the ``run_facts`` of when the settings were read: the files may be others by now.

    Raises ConfigurationError for missing secrets, LedgerError for a ledger that cannot be opened.
    """
    from stagesync.ledger import Ledger

    connections: list[Connected] = []
    with Ledger.open(settings.ledger_url) as ledger:
        try:
            for name, words in settings.words.connections.items():
                connections.append(_connected(settings, name, words, {} if memory is None else memory, write=write))
            yield Agent(
                definition=settings.definition,
                connections=connections,
                ledger=ledger,
                mirror=Mirror(settings.mirror_folder),
                limits=_limits(settings),
                tasks_a_day=settings.words.tasks.per_owner_and_day,
                template=settings.task_template,
                calendars=settings.calendars,
                escalation=escalation(settings),
                freezes=_freezes(settings),
                protected=_protected(settings),
                pause_file=settings.pause_file,
                task_due=settings.words.tasks.due,
                time_zone=settings.time_zone,
                clock=clock,
                manner=_manner(settings, full=full),
                plan_valid=settings.words.plan.longest,
                ledger_keeps=settings.words.retention.length,
                facts=facts or run_facts(settings),
                progress=progress,
                stop=stop or Event(),
            )
        finally:
            for connected in connections:
                connected.reader.close()
                if connected.writer is not None:
                    connected.writer.close()


def pinned_orgs(settings: Settings) -> Mapping[str, str | None]:
    """By connection the key of the org that the ledger holds it to; None for all where there is no ledger yet, and
    none is made. Raises LedgerError when it cannot be opened."""
    from stagesync.ledger import Ledger

    names = settings.words.connections
    url = settings.ledger_url
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():
        return dict.fromkeys(names)
    with Ledger.open(url) as ledger:
        return {name: ledger.pinned(name) for name in names}


def granted_waivers(settings: Settings) -> list[Waiver]:
    """The waivers in the ledger of the settings. Raises LedgerError when it cannot be opened."""
    from stagesync.ledger import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        return ledger.waivers()


def stages_written(settings: Settings, connection: str) -> Mapping[str, Mapping[str, str]]:
    """By object and record, the native stage that StageSync itself gave a record last, as the ledger says.

    Raises LedgerError for a ledger that cannot be opened.
    """
    from stagesync.ledger import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        return written.stages_written(ledger, connection, settings.mappings[connection])


def stops(settings: Settings, one: Explanation) -> list[str]:
    """Why rules have stopped for a record, newest first: those with a finding that is still there.

    Raises LedgerError for a ledger that cannot be opened.
    """
    from stagesync.ledger import EntryKind, Ledger

    rules = {finding.rule for finding in one.findings}
    with Ledger.open(settings.ledger_url) as ledger:
        entries = ledger.entries(
            kind=EntryKind.RULE_STOPPED, connection=one.connection, object=one.object, record=one.record
        )
        return [f"{entry.rule}: {entry.body['text']}" for entry in entries if entry.rule in rules]


@contextmanager
def discovered(
    folder: Path, name: str, words: ConnectionSettings, own_tasks: tuple[str, str] | None = None
) -> Iterator[Discovery]:
    """What the org of a connection is made of; nothing in it can write. ``folder`` is that of the settings.

    Raises ConfigurationError for missing secrets.
    """
    match words:
        case SalesforceSettings():
            from stagesync.connectors.salesforce import discover as discover_org

            discovery = discover_org(_salesforce_connection(folder, name, words, own_tasks))
        case HubSpotSettings():
            from stagesync.connectors.hubspot import discover as discover_portal

            discovery = discover_portal(_hubspot_connection(folder, name, words, own_tasks))
        case _:
            assert_never(words)
    try:
        yield discovery
    finally:
        discovery.close()


def _connected(settings: Settings, name: str, words: ConnectionSettings, memory: Memory, *, write: bool) -> Connected:
    mapping = settings.mappings[name]
    match words:
        case SalesforceSettings():
            connection = _salesforce_connection(settings.folder, name, words, mapping.own_tasks)
            reader, writer = _salesforce(replace(connection, bulk_above=settings.words.pull.bulk_above), memory)
        case HubSpotSettings():
            reader, writer = _hubspot(_hubspot_connection(settings.folder, name, words, mapping.own_tasks))
        case _:
            assert_never(words)
    return Connected(
        name=name,
        mapping=mapping,
        reader=reader,
        writer=writer if write else None,
        fallback_owner=words.fallback_owner,
    )


def _salesforce(connection: SalesforceConnection, memory: Memory) -> tuple[Reader, Writer]:
    from stagesync.connectors.salesforce import Described, connect

    return connect(connection, memory=memory.setdefault(connection.connection, Described()))


def _salesforce_connection(
    folder: Path, name: str, words: SalesforceSettings, own_tasks: tuple[str, str] | None
) -> SalesforceConnection:
    from stagesync.connectors.salesforce import SalesforceConnection

    def read(secret: Secret | None, what: str) -> str | None:
        return secret.read(folder, f"connection '{name}', {what}") if secret else None

    task_table, task_key = own_tasks or ("Task", "StageSync_Key__c")
    key = words.private_key
    return SalesforceConnection(
        connection=name,
        login_url=words.login_url,
        client_id=read(words.client_id, "client_id"),
        client_secret=read(words.client_secret, "client_secret"),
        username=words.username,
        private_key=partial(key.read, folder, f"connection '{name}', private_key") if key else None,
        audience=words.audience,
        access_token=read(words.access_token, "access_token"),
        instance_url=words.instance_url,
        api_version=words.api_version,
        timeout=(words.timeouts.connect, words.timeouts.read),
        ca_bundle=folder / words.ca_bundle if words.ca_bundle else None,
        proxy=read(words.proxy, "proxy") if isinstance(words.proxy, Secret) else words.proxy,
        budget=words.budget.share,
        task_table=task_table,
        task_key=task_key,
        fallback_owner=words.fallback_owner,
        owner_country=words.owner_country,
    )


def _hubspot(connection: HubSpotConnection) -> tuple[Reader, Writer]:
    from stagesync.connectors.hubspot import connect

    return connect(connection)


def _hubspot_connection(
    folder: Path, name: str, words: HubSpotSettings, own_tasks: tuple[str, str] | None
) -> HubSpotConnection:
    from stagesync.connectors.hubspot import HubSpotConnection, OAuthApp

    def read(secret: Secret | None, what: str) -> str:
        return secret.read(folder, f"connection '{name}', {what}") if secret else ""

    task_table, task_key = own_tasks or ("tasks", "stagesync_key")
    app = None
    if words.token is None:
        app = OAuthApp(
            client_id=read(words.client_id, "client_id"),
            client_secret=read(words.client_secret, "client_secret"),
            refresh_token=read(words.refresh_token, "refresh_token"),
        )
    return HubSpotConnection(
        connection=name,
        access_token=read(words.token, "token"),
        oauth=app,
        base_url=words.base_url,
        ca_bundle=folder / words.ca_bundle if words.ca_bundle else None,
        proxy=read(words.proxy, "proxy") if isinstance(words.proxy, Secret) else words.proxy,
        api_version=words.api_version,
        timeout=(words.timeouts.connect, words.timeouts.read),
        budget=words.budget.share,
        calls=words.rate.calls,
        searches=words.rate.searches,
        task_table=task_table,
        task_key=task_key,
    )


def escalation(settings: Settings) -> Escalation:
    """When a manager is asked, and who the managers are."""
    words = settings.words.tasks
    named = [NamedManager(manager=one.manager, owners=frozenset(one.owners)) for one in words.managers]
    return Escalation(after=words.escalate_after, named=named)


def _limits(settings: Settings) -> Limits:
    words = settings.words.guard
    return Limits(
        stage_changes=words.stage_changes,
        share=words.share,
        money=words.money,
        tasks=words.tasks,
        per_rule=Bound(**words.per_rule.model_dump()),
        per_object=Bound(**words.per_object.model_dump()),
        per_owner=Bound(**words.per_owner.model_dump()),
        per_day=Bound(**words.per_day.model_dump()),
    )


def _freezes(settings: Settings) -> tuple[Freeze, ...]:
    return tuple(
        Freeze(
            name=words.name,
            time_zone=ZoneInfo(words.time_zone) if words.time_zone else settings.time_zone,
            reason=words.reason,
            start=words.start,
            end=words.end,
            of=words.of,
            first_days=words.first_days,
            last_days=words.last_days,
            year_starts=words.year_starts,
            weekdays=frozenset(WEEKDAYS.index(name) for name in words.weekdays),
            hours=_hours(words.hours),
        )
        for words in settings.words.guard.freeze
    )


def _hours(text: str | None) -> tuple[time, time] | None:
    if text is None:
        return None
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


def _protected(settings: Settings) -> Protected:
    words = settings.words.guard.protect
    return Protected(
        records=frozenset(map(long_id, words.records)),
        owners=frozenset({*words.owners, *map(long_id, words.owners)}),
        fields=frozenset(words.fields),
    )


def _manner(settings: Settings, *, full: bool) -> Manner:
    words = settings.words.pull
    return Manner(full=full, full_every=words.longest, recheck_runs=words.recheck_runs)


def run_facts(settings: Settings) -> Mapping[str, object]:
    """What a run is made with, for the ledger: to be asked when the settings are read."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "definition": settings.definition.name,
        "definition_sha256": settings.definition.digest,
        "definition_commit": _commit_of(settings.definition.file),
        "mappings_sha256": {name: mapping.digest for name, mapping in settings.mappings.items()},
        "task_template_sha256": settings.task_template.digest,
        "settings_sha256": hashlib.sha256(settings.file.read_bytes()).hexdigest(),
    }


def _commit_of(file: Path) -> str | None:
    """The commit that is checked out where a file lies, read from git's own files: a container has no git. None where
    it lies in no repository."""
    for folder in file.resolve().parents:
        place = folder / ".git"
        try:
            if place.is_file():  # a worktree
                place = folder / place.read_text(encoding="utf-8").partition("gitdir:")[2].strip()
            if place.is_dir():
                return _head_of(place)
        except (OSError, UnicodeDecodeError):
            return None
    return None


def _head_of(repository: Path) -> str | None:
    head = (repository / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head
    name, shared = head.removeprefix("ref: "), repository / "commondir"
    common = repository / shared.read_text(encoding="utf-8").strip() if shared.is_file() else repository
    if (common / name).is_file():
        return (common / name).read_text(encoding="utf-8").strip()
    packed = common / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.partition(" ")[0] for line in lines if line.partition(" ")[2] == name), None)
