"""Access tokens: issued, looked up, expired, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from stagesync.sandbox.database import Database
from stagesync.sandbox.salesforce import moments

LIFETIME = timedelta(hours=2)


class Sessions:
    """The org's access tokens. They live for ``lifetime`` by the org's clock; a call does not prolong them."""

    def __init__(self, database: Database, now: Callable[[], datetime], org_id: str) -> None:
        self._database = database
        self._now = now
        self._org_id = org_id
        self.lifetime = LIFETIME

    def issue(self, user_id: str) -> str:
        """A new token for a user."""
        token = f"{self._org_id[:15]}!AQ{secrets.token_urlsafe(60)}"
        expires = moments.stored(self._now() + self.lifetime)
        self._database.execute("INSERT INTO _session VALUES (?, ?, ?)", (token, user_id, expires))
        return token

    def user(self, token: str) -> str | None:
        """The user that a token stands for; None when it is unknown, expired or revoked."""
        sql = "SELECT user_id FROM _session WHERE token = ? AND expires > ?"
        found: str | None = self._database.value(sql, (token, moments.stored(self._now())))
        return found

    def revoke(self, token: str) -> bool:
        """End one session; False if there was none."""
        return self._database.execute("DELETE FROM _session WHERE token = ?", (token,)) > 0

    def revoke_all(self) -> int:
        """End every session; how many there were."""
        return self._database.execute("DELETE FROM _session")
