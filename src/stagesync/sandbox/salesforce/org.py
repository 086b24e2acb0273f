"""The org: its records, its clock, its users' sessions and its bad moods."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stagesync.sandbox.database import Database
from stagesync.sandbox.salesforce import defaults, ids, moments, storage
from stagesync.sandbox.salesforce.faults import Faults
from stagesync.sandbox.salesforce.fields import Field, SObject
from stagesync.sandbox.salesforce.rules import Rules
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.sessions import Sessions

ORG_ID = ids.make_id("00D", 1)
INTEGRATION_USER_ID = ids.make_id("005", 0)
DAILY_CALLS = 100_000
DAILY_BULK_JOBS = 10_000


class Org:
    """One Salesforce org in one SQLite file.

    ``clock`` returns aware datetimes; the org keeps whole seconds in UTC. ``base_url`` is the address that
    tokens and SOAP logins name as their instance; when empty, the address of the request is used.

    Open to tests: ``faults``, ``rules``, ``bulk_jobs_used`` and ``bulk_jobs_limit`` (bulk queries of a day),
    ``calls`` (answered calls by ``"METHOD /path"``, with the version left out and ids as ``{id}``, such as ``"PATCH
    /sobjects/Lead/{id}"``, and ``"POST /composite of GETs"`` for one that cannot write), ``descriptions`` (by
    object, how often it was described: not what was answered with 304), ``calls_used`` and ``calls_limit`` (the
    ``Sforce-Limit-Info`` header), ``assignment_owner_id`` (who gets a Lead when assignment rules run; None means
    that no rule is active), ``password`` (SOAP login of every user), ``page_size`` (rows per query page whatever
    the client asks; None means Salesforce's own 200 to 2,000), ``public_key`` (of the certificate, as PEM, that the
    app has for JWT logins; None takes any signature), ``app_calls_limit`` (the quota of the app, which
    ``Sforce-Limit-Info`` then names too), ``features`` (what was turned on in Setup, of ``fields.MULTI_CURRENCY``
    and ``fields.PERSON_ACCOUNTS``), ``record_type_values`` (by id of a record type and name of a field the picklist
    values that it offers; without an entry all of them), ``scopes`` (of the app, which its tokens carry).
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], datetime],
        base_url: str = "",
        org_id: str = ORG_ID,
        client_id: str = "stagesync-demo",
        client_secret: str = "stagesync-demo-secret",  # noqa: S107  # a published demo secret
        integration_user_id: str = INTEGRATION_USER_ID,
    ) -> None:
        self.clock = clock
        self.base_url = base_url.rstrip("/")
        self.org_id = org_id
        self.client_id = client_id
        self.client_secret = client_secret
        self.integration_user_id = integration_user_id
        self.password = "stagesync"  # noqa: S105  # a published demo password
        self.assignment_owner_id: str | None = None
        self.faults = Faults()
        self.rules = Rules()
        self.calls: Counter[str] = Counter()
        self.descriptions: Counter[str] = Counter()
        self.calls_used = 0
        self.calls_limit = DAILY_CALLS
        self.bulk_jobs_used = 0
        self.bulk_jobs_limit = DAILY_BULK_JOBS
        self.page_size: int | None = None
        self.public_key: str | None = None
        self.scopes: tuple[str, ...] = ("api",)
        self.app_calls_limit: int | None = None
        self.features: set[str] = set()
        self.record_type_values: dict[tuple[str, str], frozenset[str]] = {}
        self.database = Database(path)
        self.database.connection.create_function("fold", 1, _fold, deterministic=True)
        storage.create_tables(self.database)
        self.sessions = Sessions(self.database, self.now, org_id)
        self._serials: dict[str, int] = {}
        self._described: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def hides(self, item: SObject, field: Field) -> bool:
        """Whether the user does not see a field: by field-level security, or because the org has no such field."""
        absent = field.feature is not None and field.feature not in self.features
        return absent or self.faults.hides(item.name, field.name)

    def described_since(self, name: str, text: str, *, asks_for_changes: bool) -> str:
        """Since when an object has been described with this text, as far as anybody looked: stored text. What nobody
        looked at before is as old as the org, unless the look asks for changes."""
        with self._lock:
            first = "" if asks_for_changes else text
            before, since = self._described.get(name, (first, ""))
            since = since if before == text else self.stamp()
            self._described[name] = text, since
            return since

    def now(self) -> datetime:
        """The org's time: aware, UTC, whole seconds."""
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def stamp(self) -> str:
        """The time that a write made now carries, as stored text."""
        return moments.stored(self.clock() - timedelta(seconds=self.faults.commit_delay_seconds))

    def new_id(self, sobject: str) -> str:
        """The next 18-character id of an object: in sequence, from 1 in an empty org."""
        return self.next_id(SOBJECTS[sobject].key_prefix)

    def next_id(self, key_prefix: str) -> str:
        """The next 18-character id under a three-character key prefix."""
        with self._lock:
            if key_prefix not in self._serials:
                self._serials[key_prefix] = self._last_serial(key_prefix)
            self._serials[key_prefix] += 1
            return ids.make_id(key_prefix, self._serials[key_prefix])

    def _last_serial(self, key_prefix: str) -> int:
        last = 0
        for item in SOBJECTS.values():
            if item.key_prefix == key_prefix:
                pattern = f"{key_prefix}{ids.POD}*"
                found = self.database.value(f'SELECT MAX("Id") FROM "{item.name}" WHERE "Id" GLOB ?', (pattern,))
                last = max(last, (ids.serial_of(found) or 0) if found else 0)
        return last

    def insert_many(self, sobject: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Seed records as they are, in batches, without triggers, checks or history; return how many.

        Values may be Python's own (bool, int, float, date, datetime) or stored text. Left out values are
        derived where Salesforce would (Id, Name, IsClosed of a stage, audit fields from CreatedDate or the
        clock). A text for a date or datetime must already be ISO.

        Raises:
            ValueError: a row names a field that the object does not have, or that is computed.
            sqlite3.IntegrityError: an Id or a unique key occurs twice.
        """
        item = SOBJECTS[sobject]
        columns = [field.name for field in item.columns]
        return self.database.insert_many(sobject, columns, self._seeds(item, rows))

    def _seeds(self, item: SObject, rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
        converters = {field.name: storage.converter(field) for field in item.columns}
        fallbacks = {
            field.name: (0 if field.type == "boolean" else None) if field.default is None else field.default
            for field in item.columns
        }
        lists = defaults.Picklists(self.database)
        for given in rows:
            try:
                row = {name: converters[name](value) for name, value in given.items() if value is not None}
            except KeyError as missing:
                raise ValueError(f"{item.name} has no stored field {missing.args[0]!r}") from None
            if "Id" not in row:
                row["Id"] = self.new_id(item.name)
            audit = self._audit(row)
            defaults.complete(lists, item.name, row)
            yield [
                row.get(name) if row.get(name) is not None else audit.get(name, fallback)
                for name, fallback in fallbacks.items()
            ]

    def _audit(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What a seed's audit fields are when it does not say."""
        created = row.get("CreatedDate") or self.stamp()
        modified = row.get("LastModifiedDate") or created
        author = row.get("CreatedById") or self.integration_user_id
        return {
            "CreatedDate": created,
            "LastModifiedDate": modified,
            "SystemModstamp": modified,
            "CreatedById": author,
            "LastModifiedById": author,
            "OwnerId": self.integration_user_id,
        }

    def loosen_key(self, sobject: str, name: str) -> None:
        """Make a unique external id one that several records may carry."""
        self.rules.loose_keys.add((sobject, name))
        with self.database.transaction():
            self.database.execute(f'DROP INDEX IF EXISTS "{sobject}_{name}"')

    def erase(self, sobject: str, record_id: str) -> None:
        """Delete a record past the recycle bin: no query shows it any more, deleted or not."""
        self.database.execute(f'DELETE FROM "{SOBJECTS[sobject].name}" WHERE "Id" = ?', (record_id,))

    def revoke_tokens(self) -> int:
        """End every session: the next call with an old token answers 401 INVALID_SESSION_ID."""
        return self.sessions.revoke_all()

    def expire_locators(self) -> None:
        """Forget every query locator: the next page answers 400 INVALID_QUERY_LOCATOR."""
        with self.database.transaction():
            self.database.execute("DELETE FROM _cursor")
            self.database.execute("DELETE FROM _cursor_row")

    def count_call(self, template: str) -> None:
        """Note one answered call."""
        with self._lock:
            self.calls[template] += 1
            self.calls_used += 1

    def close(self) -> None:
        """Close the file."""
        self.database.close()


def _fold(text: Any) -> Any:
    return text.casefold() if isinstance(text, str) else text
