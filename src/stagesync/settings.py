"""What an operator sets: connections, where the ledger and the mirror are, limits, schedule. Secrets are never here.

Relative paths are relative to the folder of the settings file. The variable STAGESYNC_DATA, which the container sets,
says where the ledger and the mirror are, whatever the file says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from stagesync.errors import ConfigurationError, Problem
from stagesync.model.kinds import Kind, Mode
from stagesync.model.record_ids import long_id
from stagesync.policy.calendars import Calendars, OwnerCalendar, called, working_days
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.document import Document, KeyPath, problems_error, read_document
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.machinery import faults
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.policy.retention import Retention
from stagesync.policy.schema import Day, Identifier, Length, MappingFile, Strict, Words, WorkingDays
from stagesync.policy.time_zones import is_zone, no_zone
from stagesync.policy.validation import validate

if TYPE_CHECKING:
    from stagesync.policy.task_texts import TaskTemplate

SQLITE = "sqlite:///"


def _one_of(*names: str) -> dict[str, JsonValue]:
    """What a JSON Schema says of settings of which exactly one is given."""
    return {"oneOf": [{"required": [name]} for name in names]}


class Secret(Strict):
    """Where a secret is found: the name of an environment variable, or a file."""

    model_config = ConfigDict(json_schema_extra=_one_of("env", "file"))

    env: Words | None = None
    file: Words | None = None

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("write {env: NAME} or {file: PATH}; a secret itself never stands in the settings")
        return self

    def read(self, folder: Path, what: str) -> str:
        """The secret. Raises ConfigurationError that names what it is for, but never shows it."""
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()
            if not value:
                raise ConfigurationError(f"{what}: the environment variable {self.env} is not set")
            return value
        path = folder / str(self.file)
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{what}: the secret file {path} cannot be read: {error}") from error
        if not value:
            raise ConfigurationError(f"{what}: the secret file {path} is empty")
        return value


class Timeouts(Strict):
    """How long one call waits, in seconds."""

    connect: Annotated[float, Field(gt=0, le=600)] = 3.05
    read: Annotated[float, Field(gt=0, le=3_600)] = 60.0


class Budget(Strict):
    """How much of the API calls that an org allows in a day may be used, by all, before StageSync stops."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.8


WAYS: Mapping[str, tuple[str, ...]] = {
    "client_secret": ("login_url", "client_id", "client_secret"),
    "private_key": ("login_url", "client_id", "username", "private_key"),
    "access_token": ("instance_url", "access_token"),
}
"""What each way to log in to Salesforce takes, by the setting that tells it from the others."""
WAYS_OPTIONAL = {"private_key": ("audience",)}


def _taken(way: str) -> tuple[str, ...]:
    return WAYS[way] + WAYS_OPTIONAL.get(way, ())


LOGIN_SETTINGS = tuple(dict.fromkeys(name for way in WAYS for name in _taken(way)))


def _ways_as_schema() -> dict[str, JsonValue]:
    """One alternative for each way to log in, without the settings of the others."""
    return {
        "oneOf": [
            {
                "required": list(needed),
                "properties": {name: False for name in LOGIN_SETTINGS if name not in _taken(way)},
            }
            for way, needed in WAYS.items()
        ]
    }


def _check_proxy(proxy: str | Secret | None) -> None:
    if isinstance(proxy, str) and "@" in proxy:
        raise ValueError("a proxy with a password never stands in the settings: write proxy: {env: NAME}")


class SalesforceSettings(Strict):
    """A Salesforce org and one way to log in to it: client credentials, JWT bearer, or a token that is ready."""

    model_config = ConfigDict(json_schema_extra=_ways_as_schema())

    crm: Literal["salesforce"]
    mapping: Words
    login_url: Words | None = Field(None, description="the org's My Domain; for a private key, also login. or test.")
    client_id: Secret | None = Field(None, description="the consumer key of the External Client App")
    client_secret: Secret | None = Field(None, description="client credentials: the consumer secret")
    username: Words | None = Field(None, description="JWT bearer: the user that StageSync works as")
    private_key: Secret | None = Field(None, description="JWT bearer: an RSA key (PEM), read anew at each login")
    audience: Words | None = Field(None, description="JWT bearer: follows login_url if left out")
    access_token: Secret | None = Field(None, description="a token that is ready; it cannot be renewed")
    instance_url: Words | None = Field(None, description="the org's own URL, for a token that is ready")
    api_version: Annotated[str, Field(pattern=r"^[0-9]{2,3}\.0$")] = "67.0"
    ca_bundle: Words | None = Field(None, description="a file of certificates (PEM) instead of the well-known ones")
    proxy: Words | Secret | None = Field(None, description="a URL; with a password in it, give env or file")
    timeouts: Timeouts = Timeouts()
    budget: Budget = Budget()
    fallback_owner: Annotated[Words, AfterValidator(long_id)] | None = None
    owner_country: Words | None = Field(None, description="the field of User with an owner's country, for calendars")

    @model_validator(mode="after")
    def _one_way_in(self) -> SalesforceSettings:
        given = [name for name in LOGIN_SETTINGS if getattr(self, name) is not None]
        told = [way for way in WAYS if way in given]
        if len(told) > 1:
            raise ValueError(f"{' and '.join(told)} are {len(told)} ways to log in; keep one of them")
        if not told:
            ways = "; or ".join(", ".join(needed) for needed in WAYS.values())
            raise ValueError(f"there is no way to log in: give {ways}")
        missing = [name for name in WAYS[told[0]] if name not in given]
        if missing:
            raise ValueError(f"to log in with {told[0]}, {' and '.join(missing)} must be given too")
        foreign = [name for name in given if name not in _taken(told[0])]
        if foreign:
            raise ValueError(f"{' and '.join(foreign)} cannot stand beside {told[0]}; remove one or the other")
        _check_proxy(self.proxy)
        return self


class Rate(Strict):
    """How fast HubSpot is asked."""

    calls: Annotated[
        int | None,
        Field(ge=1, description="calls in any ten seconds; without it, as many as the portal says that it allows"),
    ] = None
    searches: Annotated[int, Field(ge=1, description="searches in a second, of the 5 that all integrations share")] = 4


RENEWED = ("client_id", "client_secret", "refresh_token")
"""What an OAuth app takes to renew its access token."""


class HubSpotSettings(Strict):
    """A HubSpot portal, reached with a service key, the token of a private app, or an OAuth app that renews its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["token"], "properties": dict.fromkeys(RENEWED, False)},
                {"required": [*RENEWED], "properties": {"token": False}},
            ]
        }
    )

    crm: Literal["hubspot"]
    mapping: Words
    token: Secret | None = Field(None, description="a service key, or the token of a private app")
    client_id: Secret | None = Field(None, description="OAuth: the id of the app")
    client_secret: Secret | None = Field(None, description="OAuth: the app's secret")
    refresh_token: Secret | None = Field(None, description="OAuth: given once, when the app was installed")
    base_url: Words = "https://api.hubapi.com"
    ca_bundle: Words | None = Field(None, description="a file of certificates (PEM) instead of the well-known ones")
    proxy: Words | Secret | None = Field(None, description="a URL; with a password in it, give env or file")
    api_version: Literal["v3", "2026-03", "2026-09"] = "v3"
    timeouts: Timeouts = Timeouts()
    budget: Budget = Budget()
    rate: Rate = Rate()
    fallback_owner: Words | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> HubSpotSettings:
        given = [name for name in RENEWED if getattr(self, name) is not None]
        if self.token is not None and given:
            raise ValueError(f"{' and '.join(given)} cannot stand beside token; remove one or the other")
        if self.token is None and len(given) != len(RENEWED):
            raise ValueError(f"there is no way to log in: give token; or {', '.join(RENEWED)}")
        _check_proxy(self.proxy)
        return self


ConnectionSettings = Annotated[SalesforceSettings | HubSpotSettings, Field(discriminator="crm")]


class RuleOverride(Strict):
    """What this deployment lets a rule do, whatever the definitions say."""

    mode: Mode


class OwnerBound(Strict):
    """Limits of a group of changes in a run; what is left out has no limit."""

    stage_changes: Annotated[int, Field(ge=0)] | None = None
    tasks: Annotated[int, Field(ge=0)] | None = None
    money: Annotated[float, Field(ge=0)] | None = None


class Bound(OwnerBound):
    """The same, with a share of an object's judged records."""

    share: Annotated[float, Field(ge=0, le=1)] | None = None


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class FreezeSettings(Strict):
    """A window in which nothing is written. All that is said of it must hold; of several windows one is enough."""

    name: Words
    reason: str = ""
    start: Day | None = Field(None, description="its first day")
    end: Day | None = Field(None, description="its last day")
    of: Literal["month", "quarter", "year"] | None = Field(None, description="whose first or last days are meant")
    first_days: Annotated[int, Field(ge=0, le=366)] = 0
    last_days: Annotated[int, Field(ge=0, le=366)] = 0
    year_starts: Annotated[int, Field(ge=1, le=12, description="the first month of the business year")] = 1
    weekdays: list[Weekday] = Field(default=[])
    hours: Annotated[str, Field(description="as 18:00-07:00")] | None = None
    time_zone: Words | None = Field(None, description="that of the settings if left out")

    @model_validator(mode="after")
    def _whole(self) -> FreezeSettings:
        if not (self.start or self.end or self.of or self.weekdays or self.hours):
            raise ValueError("say when it holds: start and end, of with first_days or last_days, weekdays or hours")
        if self.start and self.end and self.end < self.start:
            raise ValueError(f"it ends on {self.end}, before it starts on {self.start}")
        if bool(self.of) != bool(self.first_days or self.last_days):
            raise ValueError("'of' goes together with first_days or last_days: {of: quarter, last_days: 3}")
        if self.hours is not None:
            found = HOURS.fullmatch(self.hours)
            if found is None or found[0][:5] == found[0][6:]:
                raise ValueError(f"'{self.hours}' are no hours; write them as 18:00-07:00")
        if self.time_zone is not None and not is_zone(self.time_zone):
            raise ValueError(no_zone(self.time_zone))
        return self


class ProtectSettings(Strict):
    """What is never written, whatever the rules and the approvals say."""

    records: Annotated[list[Words], Field(description="ids of records")] = Field(default=[])
    owners: Annotated[list[Words], Field(description="ids or names of owners")] = Field(default=[])
    fields: Annotated[list[Words], Field(description="as Field or Object.Field")] = Field(default=[])


class GuardSettings(Strict):
    """Limits of one run, and of a day. Beyond any of them nothing at all is written."""

    stage_changes: Annotated[int, Field(ge=0)] = 100
    share: Annotated[float, Field(ge=0, le=1, description="of an object's records whose stage may change")] = 0.1
    money: Annotated[float, Field(ge=0, description="amount on the deals whose stage changes")] | None = None
    tasks: Annotated[int, Field(ge=0)] = 500
    per_rule: Bound = Bound()
    per_object: Bound = Bound()
    per_owner: OwnerBound = OwnerBound()
    per_day: Annotated[Bound, Field(description="all runs of a day in the time zone of the settings")] = Bound()
    freeze: list[FreezeSettings] = Field(default=[])
    protect: ProtectSettings = ProtectSettings()


class Schedule(Strict):
    """When the daemon runs: every so often, or by a cron expression in the time zone of the settings."""

    model_config = ConfigDict(json_schema_extra=_one_of("every", "cron"))

    every: Length | None = None
    cron: Words | None = None

    @model_validator(mode="after")
    def _one(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError("write either every: 1 hours or cron: '0 6 * * 1-5'")
        return self


class PullSettings(Strict):
    """How much of a CRM is read in a run, where the CRM can say what changed since the last one."""

    full_every: Annotated[Length, Field(description="how often everything is read whole, in days or hours")] = Duration(
        7, Unit.DAYS
    )
    recheck_runs: Annotated[
        int, Field(ge=0, description="in how many runs every record is looked at once more; 0: only in a full reading")
    ] = 24
    bulk_above: Annotated[
        int,
        Field(ge=0, description="Salesforce: a table of more records is read whole by Bulk API 2.0, others by REST"),
    ] = 50_000

    @property
    def longest(self) -> timedelta:
        """``full_every`` in hours, days or minutes."""
        return timedelta(**{str(self.full_every.unit): self.full_every.count})

    @model_validator(mode="after")
    def _countable(self) -> PullSettings:
        if self.full_every.unit is Unit.BUSINESS_DAYS:
            raise ValueError(f"full_every is '{self.full_every}'; it counts minutes, hours or days")
        return self


class PlanSettings(Strict):
    """How long a plan in a file may be applied."""

    valid: Annotated[Length, Field(description="how old it may be, in hours or days")] = Duration(24, Unit.HOURS)

    @property
    def longest(self) -> timedelta:
        """``valid`` as a length of time."""
        return timedelta(**{str(self.valid.unit): self.valid.count})

    @model_validator(mode="after")
    def _countable(self) -> PlanSettings:
        if self.valid.unit is Unit.BUSINESS_DAYS:
            raise ValueError(f"valid is '{self.valid}'; it counts minutes, hours or days")
        return self


class Health(Strict):
    """Where the daemon answers /healthz."""

    host: Words = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080


class CalendarSettings(WorkingDays):
    """The working days of some owners: those who are named, and those of whom the CRM names such a country."""

    owners: Annotated[list[Words], Field(description="ids, names or emails of owners")] = Field(default=[])
    called: Annotated[list[Words], Field(description="what the CRM calls the country, beside its code")] = Field(
        default=[]
    )

    @model_validator(mode="after")
    def _of_somebody(self) -> CalendarSettings:
        if not (self.owners or self.called or self.country):
            raise ValueError("say whose days these are: owners, or country with owner_country in the connection")
        return self


class ManagerSettings(Strict):
    """Whose manager somebody is, in both CRMs alike."""

    manager: Annotated[Words, Field(description="id, name or email of the manager")]
    owners: Annotated[list[Words], Field(description="ids, names or emails of owners; all of them if left out")] = (
        Field(default=[])
    )


class TaskSettings(Strict):
    """How tasks are written."""

    due: Length = Duration(3, Unit.BUSINESS_DAYS)
    per_owner_and_day: (
        Annotated[int, Field(ge=0, description="how many tasks an owner gets in a day, most money first")] | None
    ) = None
    calendar: (
        Annotated[WorkingDays, Field(description="on which days owners work; the definitions say it if left out")]
        | None
    ) = None
    calendars: Annotated[list[CalendarSettings], Field(description="of some owners; the first that fits counts")] = (
        Field(default=[])
    )
    escalate_after: (
        Annotated[
            Length, Field(description="how long after an owner ended a task the manager gets one; never if left out")
        ]
        | None
    ) = None
    managers: Annotated[
        list[ManagerSettings], Field(description="of owners; the first that fits counts, before what the CRM says")
    ] = Field(default=[])
    template: (
        Annotated[Words, Field(description="a file with the words of tasks; the shipped one if left out")] | None
    ) = None


class SettingsFile(Strict):
    """The settings of one deployment."""

    definitions: Words
    connections: Annotated[dict[Identifier, ConnectionSettings], Field(min_length=1)]
    data: Words = Field(
        "data", description="folder of the ledger and the mirror; the variable STAGESYNC_DATA goes first"
    )
    ledger: Words | None = Field(None, description="a database's URL; SQLite in the data folder if left out")
    time_zone: Words = "UTC"
    rules: dict[Kind, RuleOverride] = Field(default={})
    guard: GuardSettings = GuardSettings()
    tasks: TaskSettings = TaskSettings()
    pull: PullSettings = PullSettings()
    plan: PlanSettings = PlanSettings()
    schedule: Schedule = Schedule(every=Duration(1, Unit.HOURS))
    health: Health = Health()
    retention: Retention = Retention()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked settings with the definitions and mappings that they name; all paths are absolute."""

    file: Path
    words: SettingsFile
    definition: Definition
    mappings: Mapping[str, CrmMapping]
    time_zone: ZoneInfo
    own_template: TaskTemplate | None
    calendars: Calendars

    @property
    def task_template(self) -> TaskTemplate:
        """The words of tasks: the admin's own, or the shipped ones."""
        from stagesync.policy.task_texts import shipped_template

        return self.own_template or shipped_template()

    @property
    def folder(self) -> Path:
        """The folder that relative paths are relative to."""
        return self.file.parent

    @property
    def data_folder(self) -> Path:
        """Where this deployment keeps what it writes."""
        return self.folder / (os.environ.get("STAGESYNC_DATA") or self.words.data)

    @property
    def ledger_url(self) -> str:
        """The ledger's database: SQLite in the data folder unless a URL is given; its path may be relative too."""
        url = self.words.ledger or f"{SQLITE}{self.data_folder / 'ledger.db'}"
        return SQLITE + str(self.folder / url.removeprefix(SQLITE)) if url.startswith(SQLITE) else url

    @property
    def pause_file(self) -> Path:
        """While this file is there, nothing is written to a CRM."""
        return self.data_folder / "PAUSE"

    @property
    def mirror_folder(self) -> Path:
        """Where the mirror's files lie."""
        return self.data_folder / "mirror"


def load_settings(file: Path) -> Settings:
    """Read the settings and everything they name. Raises ConfigurationError with all problems of all files at once."""
    file = file.absolute()
    if not file.exists():
        remedy = "name the settings with -c FILE, or let 'stagesync init' write some"
        raise ConfigurationError(f"{file}: no such file; {remedy}")
    written = read_document(file)
    try:
        document, words = validate(written, SettingsFile)
    except ConfigurationError as error:
        raise _with_files_of(written, (), error.problems) from None
    zone = _time_zone(document, words)
    definition = None
    # What is not written as a text has a stand-in, which is no file.
    if isinstance(written.data.get("definitions"), str):
        definition = _tried(document, ("definitions",), partial(load_definition, file.parent / words.definitions))
    for kind, override in words.rules.items():
        definition = definition.with_mode(kind, override.mode) if definition else None
    mappings: dict[str, CrmMapping] = {}
    for name, connection in words.connections.items():
        place = ("connections", name, "mapping")
        if not isinstance(written.data["connections"].get(name, {}).get("mapping"), str):
            continue
        mapping = _tried(document, place, partial(_mapping, file.parent / connection.mapping, definition))
        if mapping is None:
            continue
        mappings[name] = mapping
        if mapping.crm != connection.crm:
            message = f"connection '{name}' is a {connection.crm}, but its mapping is for {mapping.crm}"
            document.problem(place, message)
    template = _template(document, file.parent, words.tasks.template)
    calendars = _calendars(document, words.tasks)
    for wrong, said in faults(ledger=words.ledger, every=words.schedule.every, cron=words.schedule.cron):
        document.problem(wrong, said)
    if document.problems:
        raise _with_files_of(written, tuple(words.connections), document.problems)
    assert definition is not None
    return Settings(
        file=file,
        words=words,
        definition=definition,
        mappings=mappings,
        time_zone=zone,
        own_template=template,
        calendars=calendars,
    )


def _with_files_of(written: Document, read: Sequence[str], problems: Sequence[Problem]) -> ConfigurationError:
    """The problems of settings together with those of the files that they name and that were not read because of them:
    where ``read`` names no connection the definitions too."""
    found = Document(file=written.file, source=written.source, keys=written.keys, values=written.values)
    found.problems.extend(problems)
    data, folder = written.data if isinstance(written.data, dict) else {}, written.file.parent
    zone = data.get("time_zone")
    if not read and isinstance(zone, str) and not is_zone(zone):
        found.problem(("time_zone",), no_zone(zone))
    definitions, connections = data.get("definitions"), data.get("connections")
    definition = None
    if isinstance(definitions, str):
        definition = _tried(found, ("definitions",), partial(load_definition, folder / definitions))
    for name, connection in connections.items() if isinstance(connections, dict) else ():
        mapping = connection.get("mapping") if isinstance(connection, dict) else None
        if isinstance(mapping, str) and name not in read:
            _tried(found, ("connections", name, "mapping"), partial(_mapping, folder / mapping, definition))
    return problems_error(found.problems)


Read = TypeVar("Read")


def _tried(document: Document, path: KeyPath, load: Callable[[], Read]) -> Read | None:
    """What is loaded, or None with its problems noted; a file that cannot be read is one of the entry naming it."""
    try:
        return load()
    except ConfigurationError as error:
        if error.problems:
            document.problems.extend(error.problems)
        else:
            document.problem(path, str(error))
        return None


def _mapping(file: Path, definition: Definition | None) -> CrmMapping | None:
    """A mapping, checked against the definitions; without them only its own words are."""
    if definition is not None:
        return load_mapping(file, definition)
    document, _ = validate(read_document(file), MappingFile)
    document.raise_problems()
    return None


def _calendars(document: Document, words: TaskSettings) -> Calendars:
    default = None if words.calendar is None else working_days(document, words.calendar, ("tasks", "calendar"))
    return Calendars(
        default=default,
        of_owners=[
            OwnerCalendar(
                owners=frozenset(one.owners),
                countries=called(one, one.called),
                days=working_days(document, one, ("tasks", "calendars", number)),
            )
            for number, one in enumerate(words.calendars)
        ],
    )


def _template(document: Document, folder: Path, name: str | None) -> TaskTemplate | None:
    if name is None:
        return None
    from stagesync.policy.task_texts import load_template

    return _tried(document, ("tasks", "template"), partial(load_template, folder / name))


def _time_zone(document: Document, words: SettingsFile) -> ZoneInfo:
    if is_zone(words.time_zone):
        return ZoneInfo(words.time_zone)
    document.problem(("time_zone",), no_zone(words.time_zone))
    return ZoneInfo("UTC")


def shipped_configuration() -> Path:
    """The folder of the configuration that comes with StageSync: in the wheel, or beside the sources."""
    package = Path(__file__).parent
    installed = package / "_config"
    return installed if installed.is_dir() else package.parents[1] / "config"
