"""OAuth of our own: the library's re-login loses the headers of the repeated call and logs in once per thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgspec
import requests
import structlog

from stagesync.connectors.salesforce.connection import SalesforceConnection, origin
from stagesync.connectors.salesforce.failures import LOGIN_BUSY, MY_DOMAIN, Refusal, cut_off, unreachable
from stagesync.connectors.salesforce.grants import TOKEN_PATH, Grant, grant_of
from stagesync.connectors.salesforce.shapes import shaped
from stagesync.errors import ConfigurationError, ConnectionFailed, CredentialsRefused

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Token:
    """An access token and the origin that it is for. ``user`` names org and user, ``scopes`` what it may be used for;
    None where Salesforce did not say."""

    access_token: str = field(repr=False)
    instance: str
    user: str | None = None
    scopes: tuple[str, ...] | None = None


class Granted(msgspec.Struct):
    """The token endpoint's answer; there is no ``expires_in`` and no ``refresh_token`` in these flows.

    ``id`` is ``https://login.salesforce.com/id/ORG/USER``, ``scope`` has words with spaces between.
    """

    access_token: str
    instance_url: str
    id: str = ""
    scope: str | None = None

    @property
    def org(self) -> str | None:
        """The id of the org, None where the answer does not say."""
        parts = self.id.split("/")
        return parts[-2] if len(parts) > 2 else None


class Tokens:
    """Hands out the one current token; threads that find it stale at once ask for one new token between them."""

    def __init__(self, connection: SalesforceConnection, session: requests.Session) -> None:
        self._connection = connection
        self._session = session
        self._lock = threading.Lock()
        self._grant = grant_of(connection)
        self._token = self._ready_token()
        self._org: str | None = None
        self._refusal: CredentialsRefused | None = None

    @property
    def renewable(self) -> bool:
        """Whether there is a way to ask for another token."""
        return self._grant is not None

    def current(self) -> Token:
        """The token to use; asks for one at the first call."""
        with self._lock:
            if self._token is None:
                self._token = self._ask()
            return self._token

    def renew(self, stale: Token) -> Token:
        """A token other than the stale one; asks Salesforce only if no other thread has done so."""
        with self._lock:
            if self._token is None or self._token == stale:
                self._token = self._ask()
                log.info("salesforce.token.renewed", connection=self._connection.connection)
            return self._token

    def _ready_token(self) -> Token | None:
        given = self._connection
        if not given.access_token:
            return None
        if not given.instance_url:
            raise ConfigurationError(f"connection {given.connection}: an access token needs instance_url")
        return Token(given.access_token, origin(given.instance_url, "instance_url"))

    def _ask(self) -> Token:
        """A new token. Credentials that were refused are never tried again: repeated failures lock the user out."""
        if self._refusal is not None:
            raise self._refusal
        assert self._grant is not None
        try:
            granted = self._granted(self._grant)
            if self._org is not None and granted.org not in (None, self._org):
                raise CredentialsRefused(
                    f"Salesforce at {self._grant.login} gave connection {self._connection.connection} a token of org "
                    f"{granted.org}, the one before was of org {self._org}; nothing was done with it"
                )
        except CredentialsRefused as error:
            self._refusal = error
            raise
        self._org = granted.org
        instance = origin(granted.instance_url, "instance_url of the token")
        scopes = None if granted.scope is None else tuple(granted.scope.split())
        return Token(granted.access_token, instance, granted.id or None, scopes)

    def _granted(self, grant: Grant) -> Granted:
        """POST /services/oauth2/token."""
        url = grant.login + TOKEN_PATH
        try:
            response = self._session.post(url, data=dict(grant.form()), auth=grant.basic)
        except Refusal as error:
            raise self._refused(grant, error) from error
        except requests.RequestException as error:
            raise unreachable(error, url) from error
        try:
            return shaped(response.content, Granted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise cut_off(url, len(response.content), f"try again, or {MY_DOMAIN}") from error

    def _refused(self, grant: Grant, error: Refusal) -> ConnectionFailed:
        if error.status not in {400, 401, 403} or error.error.code in LOGIN_BUSY:
            return error
        said = str(error.error) or f"status {error.status}"
        return CredentialsRefused(
            f"Salesforce at {grant.login}{TOKEN_PATH} refused the credentials of connection "
            f"{self._connection.connection}: {said}; {grant.remedy(error.error)}{error.clocks}"
        )
