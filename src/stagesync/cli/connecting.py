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
from stagesync.settings import RENEWED, ConnectionSettings

NAME: TypeAdapter[str] = TypeAdapter(Identifier)
WORDS: TypeAdapter[ConnectionSettings] = TypeAdapter(ConnectionSettings)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What was said on the command line; variables are names, never secrets."""

    login_url: str | None
    client_id_env: str | None
    client_secret_env: str | None
    username: str | None
    private_key: Path | None
    token_env: str | None
    refresh_token_env: str | None
    base_url: str | None

    def secret(self, crm: Crm, name: str) -> dict[str, str]:
        """The variable of a secret: the one that was named, or ``SALESFORCE_CLIENT_ID`` and the like."""
        return {"env": getattr(self, f"{name}_env") or f"{crm}_{name}".upper()}


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
            words |= {"login_url": given.login_url, "client_id": given.secret(crm, "client_id"), **_way_in(given)}
        case Crm.HUBSPOT:
            words |= _token(given)
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
        return {"client_secret": given.secret(Crm.SALESFORCE, "client_secret")}
    if given.private_key is None or given.username is None:
        raise UsageError("--username and --private-key belong together: give both, or neither to use a client secret")
    return {"username": given.username, "private_key": {"file": str(given.private_key.absolute())}}


def _token(given: Given) -> dict[str, Any]:
    """A token that stays, or what an OAuth app takes to renew its own."""
    if given.refresh_token_env is None:
        if given.client_id_env or given.client_secret_env:
            raise UsageError(
                "--client-id-env and --client-secret-env belong to an OAuth app: name the variable with its refresh "
                "token too, with --refresh-token-env"
            )
        return {"token": given.secret(Crm.HUBSPOT, "token")}
    if given.token_env is not None:
        raise UsageError("--token-env and --refresh-token-env are two ways to log in: give one of them")
    return {name: given.secret(Crm.HUBSPOT, name) for name in RENEWED}
