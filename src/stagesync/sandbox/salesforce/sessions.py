"""Access tokens: issued, looked up, expired, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from stagesync.sandbox.database import Database
from stagesync.sandbox.salesforce import moments

LIFETIME = timedelta(hours=2)


class Sessions:
    """The org's access tokens. They end after ``lifetime`` without a call, by the org's clock."""

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
        now = self._now()
        sql = "SELECT user_id, expires FROM _session WHERE token = ? AND expires > ?"
        found = self._database.row(sql, (token, moments.stored(now)))
        if found is None:
            return None
        if found["expires"] < moments.stored(now + self.lifetime / 2):
            expires = moments.stored(now + self.lifetime)
            self._database.execute("UPDATE _session SET expires = ? WHERE token = ?", (expires, token))
        return str(found["user_id"])

    def revoke(self, token: str) -> bool:
        """End one session; False if there was none."""
        return self._database.execute("DELETE FROM _session WHERE token = ?", (token,)) > 0

    def revoke_all(self) -> int:
        """End every session; how many there were."""
        return self._database.execute("DELETE FROM _session")
