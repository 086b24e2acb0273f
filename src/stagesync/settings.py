"""What an operator sets: connections, where the ledger and the mirror are, limits, schedule. Secrets are never here.

Relative paths are relative to the folder of the settings file. The variable STAGESYNC_DATA, which the container sets,
says where the ledger and the mirror are, whatever the file says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from stagesync.errors import ConfigurationError
from stagesync.model.changes import Mode
from stagesync.model.findings import Kind
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.document import Document, KeyPath, read_document
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.policy.schema import Identifier, Length, MappingFile, Strict, Words
from stagesync.policy.validation import validate

SQLITE = "sqlite:///"


class Secret(Strict):
    """Where a secret is found: the name of an environment variable, or a file."""

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


class SalesforceSettings(Strict):
    """A Salesforce org, reached by the OAuth client credentials flow of an External Client App."""

    crm: Literal["salesforce"]
    mapping: Words
    login_url: Words
    client_id: Secret
    client_secret: Secret
    api_version: Annotated[str, Field(pattern=r"^[0-9]{2,3}\.0$")] = "67.0"
    ca_bundle: Words | None = None
    fallback_owner: Words | None = None


class HubSpotSettings(Strict):
    """A HubSpot portal, reached with a service key or the token of a private app."""

    crm: Literal["hubspot"]
    mapping: Words
    token: Secret
    base_url: Words = "https://api.hubapi.com"
    api_version: Literal["v3", "2026-03", "2026-09"] = "v3"
    fallback_owner: Words | None = None


ConnectionSettings = Annotated[SalesforceSettings | HubSpotSettings, Field(discriminator="crm")]


class RuleOverride(Strict):
    """What this deployment lets a rule do, whatever the definitions say."""

    mode: Mode


class GuardSettings(Strict):
    """Limits of one run. Beyond any of them nothing at all is written."""

    stage_changes: Annotated[int, Field(ge=0)] = 100
    share: Annotated[float, Field(ge=0, le=1, description="of an object's records whose stage may change")] = 0.1
    money: Annotated[float, Field(ge=0, description="amount on the deals whose stage changes")] | None = None
    tasks: Annotated[int, Field(ge=0)] = 500


class Schedule(Strict):
    """When the daemon runs: every so often, or by a cron expression in the time zone of the settings."""

    every: Length | None = None
    cron: Words | None = None

    @model_validator(mode="after")
    def _one(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError("write either every: 1 hours or cron: '0 6 * * 1-5'")
        return self


class Health(Strict):
    """Where the daemon answers /healthz."""

    host: Words = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080


class TaskSettings(Strict):
    """How tasks are written."""

    due: Length = Duration(3, Unit.BUSINESS_DAYS)


class SettingsFile(Strict):
    """The settings of one deployment."""

    definitions: Words
    connections: Annotated[dict[Identifier, ConnectionSettings], Field(min_length=1)]
    data: Words = Field(
        "data", description="folder of the ledger and the mirror; the variable STAGESYNC_DATA goes first"
    )
    ledger: Words | None = Field(None, description="a database's URL; SQLite in the data folder if left out")
    time_zone: Words = "UTC"
    rules: dict[Kind, RuleOverride] = Field(default_factory=dict)
    guard: GuardSettings = GuardSettings()
    tasks: TaskSettings = TaskSettings()
    schedule: Schedule = Schedule(every=Duration(1, Unit.HOURS))
    health: Health = Health()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked settings with the definitions and mappings that they name; all paths are absolute."""

    file: Path
    words: SettingsFile
    definition: Definition
    mappings: Mapping[str, CrmMapping]
    time_zone: ZoneInfo

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
    def mirror_folder(self) -> Path:
        """Where the mirror's files lie."""
        return self.data_folder / "mirror"


def load_settings(file: Path) -> Settings:
    """Read the settings and everything they name. Raises ConfigurationError with all problems of all files at once."""
    file = file.absolute()
    document, words = validate(read_document(file), SettingsFile)
    zone = _time_zone(document, words)
    definition = _tried(document, ("definitions",), partial(load_definition, file.parent / words.definitions))
    for kind, override in words.rules.items():
        definition = definition.with_mode(kind, override.mode) if definition else None
    mappings: dict[str, CrmMapping] = {}
    for name, connection in words.connections.items():
        place = ("connections", name, "mapping")
        mapping = _tried(document, place, partial(_mapping, file.parent / connection.mapping, definition))
        if mapping is None:
            continue
        mappings[name] = mapping
        if mapping.crm != connection.crm:
            message = f"connection '{name}' is a {connection.crm}, but its mapping is for {mapping.crm}"
            document.problem(place, message)
    document.raise_problems()
    assert definition is not None
    return Settings(file=file, words=words, definition=definition, mappings=mappings, time_zone=zone)


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


def _time_zone(document: Document, words: SettingsFile) -> ZoneInfo:
    try:
        return ZoneInfo(words.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: 'Europe' is a folder
        document.problem(("time_zone",), f"'{words.time_zone}' is not a time zone; write one such as Europe/Berlin")
        return ZoneInfo("UTC")


def shipped_configuration() -> Path:
    """The folder of the configuration that comes with StageSync: in the wheel, or beside the sources."""
    package = Path(__file__).parent
    installed = package / "_config"
    return installed if installed.is_dir() else package.parents[1] / "config"
