"""The settings of a new connection from the options of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from pydantic import TypeAdapter, ValidationError

from stagesync.cli.options import Crm
from stagesync.errors import UsageError
from stagesync.onboarding.starter import mapping_path
from stagesync.policy.schema import Identifier
from stagesync.settings import ConnectionSettings

NAME: TypeAdapter[str] = TypeAdapter(Identifier)
WORDS: TypeAdapter[ConnectionSettings] = TypeAdapter(ConnectionSettings)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What was said on the command line; variables are names, never secrets."""

    login_url: str | None
    client_id_env: str
    client_secret_env: str
    username: str | None
    private_key: Path | None
    token_env: str
    base_url: str | None


def connection_words(crm: Crm, name: str, given: Given) -> ConnectionSettings:
    """Settings as if they were read from a file. Raises UsageError for what is missing or not right."""
    try:
        NAME.validate_python(name)
    except ValidationError:
        raise UsageError(f"--connection {name}: write lower-case letters, digits, - and _, a letter first") from None
    words: dict[str, Any] = {"crm": str(crm), "mapping": mapping_path(name)}
    match crm:
        case Crm.SALESFORCE:
            if not given.login_url:
                raise UsageError("--login-url is missing: the org's My Domain, such as https://acme.my.salesforce.com")
            words |= {"login_url": given.login_url, "client_id": {"env": given.client_id_env}, **_way_in(given)}
        case Crm.HUBSPOT:
            words |= {"token": {"env": given.token_env}}
            if given.base_url:
                words["base_url"] = given.base_url
        case _:
            assert_never(crm)
    try:
        return WORDS.validate_python(words)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:]))
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{place}: {said}" if place else said) from None


def _way_in(given: Given) -> dict[str, Any]:
    """What proves who we are: a private key where one is named, else a client secret."""
    if given.private_key is None and given.username is None:
        return {"client_secret": {"env": given.client_secret_env}}
    if given.private_key is None or given.username is None:
        raise UsageError("--username and --private-key belong together: give both, or neither to use a client secret")
    return {"username": given.username, "private_key": {"file": str(given.private_key.absolute())}}
