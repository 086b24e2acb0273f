"""The access token: one that does not change (a service key, a private app), or one of OAuth, good for half an hour.

HubSpot asks that a token be renewed by its ``expires_in``, not after a refusal:
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines, read 2026-11-21.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from stagesync.connectors.hubspot.answers import Granted
from stagesync.errors import CredentialsRefused

log = structlog.get_logger(__name__)

EARLY_SECONDS = 300.0
"""A token is renewed so long before its end, so that no call is under way with one that ends."""


@dataclass(frozen=True, kw_only=True)
class OAuthApp:
    """An app that a person of the portal has installed. The refresh token stays good until it is uninstalled."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def form(self) -> dict[str, str]:
        """What the token endpoint is sent."""
        return {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }


class Tokens:
    """Hands out the one current token; threads that find it old at once ask for one new token between them.

    ``ask`` sends the form. Credentials that were refused are not tried again.
    """

    def __init__(self, given: str | OAuthApp, ask: Callable[[OAuthApp], Granted], timer: Callable[[], float]) -> None:
        self._app = given if isinstance(given, OAuthApp) else None
        self._token = given if isinstance(given, str) else ""
        self._ask = ask
        self._timer = timer
        self._lock = threading.Lock()
        self._renew_at: float | None = None
        self._portal: str | None = None
        self._scopes: frozenset[str] = frozenset()
        self._refusal: CredentialsRefused | None = None

    @property
    def renewable(self) -> bool:
        """Whether there is a way to ask for another token."""
        return self._app is not None

    @property
    def scopes(self) -> frozenset[str]:
        """What the token was said to be good for when it was given; empty for one that nobody gave."""
        return self._scopes

    def current(self) -> str:
        """The token to use; a new one before the old one ends."""
        with self._lock:
            if self._app is not None and (self._renew_at is None or self._timer() >= self._renew_at):
                self._renew(self._app)
            return self._token

    def renew(self, stale: str) -> str:
        """A token other than the stale one; asks only if no other thread has done so."""
        with self._lock:
            if self._app is not None and self._token == stale:
                self._renew(self._app)
            return self._token

    def _renew(self, app: OAuthApp) -> None:
        if self._refusal is not None:
            raise self._refusal
        try:
            granted = self._ask(app)
            portal = None if granted.hub_id is None else str(granted.hub_id)
            if self._portal is not None and portal not in {None, self._portal}:
                raise CredentialsRefused(
                    f"the refresh token gave a token of portal {portal}, the one before was of portal "
                    f"{self._portal}; nothing was done with it"
                )
        except CredentialsRefused as error:
            self._refusal = error
            raise
        self._portal = portal or self._portal
        self._token, self._scopes = granted.access_token, frozenset(granted.scopes)
        life = max(granted.expires_in, 0)
        self._renew_at = self._timer() + max(life - EARLY_SECONDS, life / 2)
        log.info("hubspot.token.renewed", seconds=life)
