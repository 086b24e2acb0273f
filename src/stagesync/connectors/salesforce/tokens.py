"""OAuth of our own: the library's re-login loses the headers of the repeated call and logs in once per thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgspec
import requests
import structlog

from stagesync.connectors.salesforce.connection import SalesforceConnection, origin
from stagesync.connectors.salesforce.failures import Refusal, cut_off, unreachable
from stagesync.errors import ConfigurationError, ConnectionFailed, CredentialsRefused

log = structlog.get_logger(__name__)

# What the token endpoint's words mean for the person who set the app up.
REMEDIES = {
    "request not supported on this domain": "set login_url to the org's My Domain, not login. or test.salesforce.com",
    "no client credentials user enabled": "choose a 'run as' user in the app's client-credentials settings",
    "client identifier invalid": "check the client id; a new app takes up to ten minutes to be known",
    "invalid client credentials": "check the client secret",
}


@dataclass(frozen=True)
class Token:
    """An access token and the origin that it is for."""

    access_token: str = field(repr=False)
    instance: str


class Granted(msgspec.Struct):
    """The token endpoint's answer; there is no ``expires_in`` and no ``refresh_token`` in this flow."""

    access_token: str
    instance_url: str


class Tokens:
    """Hands out the one current token; threads that find it stale at once ask for one new token between them."""

    def __init__(self, connection: SalesforceConnection, session: requests.Session) -> None:
        self._connection = connection
        self._session = session
        self._lock = threading.Lock()
        self._login = origin(connection.login_url, "login_url")
        self._token = self._ready_token()
        if self._token is None and not self.renewable:
            raise ConfigurationError(
                f"connection {connection.connection}: give a client id and secret, or an access token with instance_url"
            )

    @property
    def renewable(self) -> bool:
        return bool(self._connection.client_id and self._connection.client_secret)

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
        """POST /services/oauth2/token, the client-credentials flow."""
        url = self._login + "/services/oauth2/token"
        credentials = (str(self._connection.client_id), str(self._connection.client_secret))
        try:
            response = self._session.post(url, data={"grant_type": "client_credentials"}, auth=credentials)
        except Refusal as error:
            raise self._refused(url, error) from error
        except requests.RequestException as error:
            raise unreachable(error, url) from error
        try:
            granted = msgspec.json.decode(response.content, type=Granted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise cut_off(url, len(response.content)) from error
        return Token(granted.access_token, origin(granted.instance_url, "instance_url of the token"))

    def _refused(self, url: str, error: Refusal) -> ConnectionFailed:
        """Credentials that are wrong are never tried again: repeated failures lock the user out."""
        if error.status not in {400, 401, 403}:
            return error
        said = str(error.error) or f"status {error.status}"
        remedy = REMEDIES.get(error.error.message, "check login_url, client id, client secret and the app's policies")
        return CredentialsRefused(
            f"Salesforce at {url} refused the credentials of connection {self._connection.connection}: {said}; {remedy}"
        )
