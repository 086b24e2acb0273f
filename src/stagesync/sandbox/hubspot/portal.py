"""The state of one embedded HubSpot portal, and the way to seed it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from stagesync.sandbox.database import Database
from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.associations import Associations
from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES, ObjectType, association_types, object_type
from stagesync.sandbox.hubspot.definitions import Pipeline, PropertyDefinition, Stage
from stagesync.sandbox.hubspot.faults import Faults
from stagesync.sandbox.hubspot.limits import Limits, RateLimiter
from stagesync.sandbox.hubspot.metadata import Metadata
from stagesync.sandbox.hubspot.records import Record, Records
from stagesync.sandbox.hubspot.schema import dump, prepare, stored

_RECORD_COLUMNS = ("id", "properties", "created", "updated", "archived", "archived_at")
_HISTORY_COLUMNS = (
    "object_code",
    "object_id",
    "property",
    "value",
    "moment",
    "source_type",
    "source_id",
    "user_id",
)
HistoryRow = tuple[str, int, str, str | None, datetime, str, str | None, int | None]


class Portal:
    """One HubSpot account in one file. Times in and out of this class are aware datetimes, UTC or not.

    To be read and set while it is served: ``faults``; ``calls``, requests so far by "METHOD /path/{template}";
    ``limiter.limits``; ``association_page_size``; ``lifecycle_sync``, whether deals raise their contacts.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], datetime],
        portal_id: int = 48151623,
        access_token: str = "stagesync-demo-hubspot",  # noqa: S107 - a public demo credential
        time_zone: str = "Europe/Berlin",
        limits: Limits | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or create the portal's file.

        ``clock`` gives the portal's present; ``timer`` (seconds) runs the ten-second and search windows.
        """
        self.database = Database(path)
        prepare(self.database)
        self.clock = clock
        self.portal_id = portal_id
        self.app_id = 2_194_417
        self.access_token = access_token
        self.time_zone = ZoneInfo(time_zone)
        self.currency = "EUR"
        self.metadata = Metadata(self.database)
        self.records = Records(self.database, self.metadata)
        self.associations = Associations(self.database)
        self.faults = Faults()
        self.limiter = RateLimiter(limits or Limits(), app_id=self.app_id, timer=timer)
        self.calls: Counter[str] = Counter()
        self.association_page_size = 500
        self.lifecycle_sync = True
        self.forward_only: set[str] = set()
        """Pipelines whose records may not move back. Only 2026-09 writes are held to it."""
        self.required: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self.user_id = 9_586_504
        self.client_id = "stagesync-demo-client"
        self.client_secret = "stagesync-demo-secret"  # noqa: S105 - a public demo credential
        self.refresh_token = "stagesync-demo-refresh"  # noqa: S105 - a public demo credential
        self.issued_tokens: dict[str, datetime] = {}
        self._ids = {kind.name: self._highest_id(kind) for kind in OBJECT_TYPES}
        self._ids_lock = threading.Lock()
        self.database.connection.create_function("hs_now", 0, self.now)

    def now(self) -> int:
        """The portal's present, milliseconds UTC."""
        return moments.millis(self.clock())

    def today(self) -> str:
        """The present day where the portal is: daily limits end at its midnight."""
        return self.clock().astimezone(self.time_zone).date().isoformat()

    def midnight(self) -> int:
        """The next midnight where the portal is, milliseconds UTC."""
        local = self.clock().astimezone(self.time_zone) + timedelta(days=1)
        return moments.millis(local.replace(hour=0, minute=0, second=0, microsecond=0))

    def accepts(self, token: str) -> bool:
        """Whether a token is the static one or was issued, and is not revoked or past its time."""
        if self.faults.token_revoked:
            return False
        ends = self.issued_tokens.get(token)
        return token == self.access_token or (ends is not None and moments.millis(ends) > self.now())

    def issue_token(self, life: timedelta) -> str:
        """A new OAuth access token; the ``token_expired`` fault ends with it."""
        token = f"{self.access_token}-{len(self.issued_tokens) + 1}"
        self.issued_tokens[token] = self.clock() + life
        self.faults.token_expired = False
        return token

    def scopes(self) -> set[str]:
        """The granular scopes that the token has now."""
        families = {kind.scope for kind in OBJECT_TYPES}
        families |= {family.replace("objects", "schemas") for family in families}
        verbs = ("read",) if self.faults.read_only_token else ("read", "write")
        found = {f"{family}.{verb}" for family in families for verb in verbs} | {"crm.objects.owners.read"}
        absent = {scope for scope in found if ".leads." in scope} if self.faults.leads_absent else set()
        return found - self.faults.missing_scopes - absent

    def new_id(self, object_type: str) -> int:
        """The next record id of an object: increasing, with gaps, as other accounts use the same series."""
        name = self.kind(object_type).name
        with self._ids_lock:
            self._ids[name] += 1 + (self._ids[name] * 7) % 29
            return self._ids[name]

    def kind(self, name: str) -> ObjectType:
        """The object for a name or type id; raises KeyError for an object that no portal has."""
        found = object_type(name)
        if found is None:
            raise KeyError(name)
        return found

    def find_by(self, kind: ObjectType, name: str, value: str) -> Record | None:
        """The live record with this value of an identifying property; emails compare without case."""
        wanted = value.lower() if name == "email" else value
        clause = f"WHERE {stored(name)} = ? AND archived = 0 ORDER BY id LIMIT 1"
        found = self.records.select(kind, (), clause, (wanted,))
        return found[0] if found else None

    def remember_indexed(self, kind: ObjectType, record_id: int) -> None:
        """Before a write: keep the record for the search index where that lags behind."""
        lag = int(self.faults.search_lag_seconds * 1000)
        if lag > 0:
            self.records.remember_indexed(kind, record_id, self.now(), lag)

    def insert_many(self, object_type: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Stream records in without any of HubSpot's reactions; returns how many.

        A row has ``id`` (int), ``properties`` (text or None by name), ``createdAt``, ``updatedAt``, and
        may have ``archived`` and ``archivedAt``. Closed flags and stage dates of deals and leads are filled
        in where a row leaves them out.
        """
        kind = self.kind(object_type)
        return self.database.insert_many(kind.name, _RECORD_COLUMNS, (self._record_row(kind, row) for row in rows))

    def _record_row(self, kind: ObjectType, row: Mapping[str, Any]) -> tuple[Any, ...]:
        created, updated = moments.millis(row["createdAt"]), moments.millis(row["updatedAt"])
        properties = {name: value for name, value in row["properties"].items() if value not in (None, "")}
        for name in ("hs_object_id", kind.modified, kind.created, "hs_createdate"):
            properties.pop(name, None)
        if kind.pipeline is not None:
            stage = self.metadata.stage(kind.name, properties.get(str(kind.stage)))
            entered = properties.get("hs_v2_date_entered_current_stage") or moments.iso(created)
            for name, value in stage_values(kind, stage, entered).items():
                properties.setdefault(name, value)
        archived = bool(row.get("archived", False))
        archived_at = moments.millis(row.get("archivedAt") or row["updatedAt"]) if archived else None
        self._ids[kind.name] = max(self._ids[kind.name], row["id"])
        return row["id"], dump(properties), created, updated, int(archived), archived_at

    def add_history(self, rows: Iterable[HistoryRow]) -> int:
        """Stream property history: object type, id, property, value, timestamp, source type, source id, user."""
        codes = {kind.name: kind.code for kind in OBJECT_TYPES}

        def entries() -> Iterator[tuple[Any, ...]]:
            for name, record_id, prop, value, moment, *source in rows:
                yield codes[name], record_id, prop, value or "", moments.millis(moment), *source

        return self.database.insert_many("history", _HISTORY_COLUMNS, entries())

    def associate_many(
        self,
        from_type: str,
        to_type: str,
        pairs: Iterable[tuple[int, int]],
        *,
        primary: bool = False,
    ) -> int:
        """Stream associations of record ids; ``primary`` marks the target as the main company (or contact).

        Raises ValueError where HubSpot has no such association. Returns how many pairs there were.
        """
        source, target = self.kind(from_type), self.kind(to_type)
        kinds = association_types(source.name, target.name)
        chosen = [kind for kind in kinds if not kind.primary or primary]
        if not chosen:
            msg = f"HubSpot does not associate {from_type} with {to_type}"
            raise ValueError(msg)
        if len(chosen) == 1:
            return self.associations.add_many(source, target, chosen[0], pairs)
        return self._associate_by_all(source, target, pairs)

    def _associate_by_all(self, source: ObjectType, target: ObjectType, pairs: Iterable[tuple[int, int]]) -> int:
        total, kinds = 0, association_types(source.name, target.name)
        batch: list[tuple[int, int]] = []
        for pair in pairs:
            batch.append(pair)
            total += 1
            if len(batch) == 5_000:
                for kind in kinds:
                    self.associations.add_many(source, target, kind, batch)
                batch.clear()
        for kind in kinds:
            self.associations.add_many(source, target, kind, batch)
        return total

    def add_owners(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add owners: ``id``, ``email``, ``firstName``, ``lastName``, ``userId``; optional ``archived``,
        ``type`` (PERSON or QUEUE), ``teams``, ``createdAt``, ``updatedAt``. Returns how many.
        """
        bodies = [self._owner_body(row) for row in rows]
        self.database.insert_many(
            "owners",
            ("id", "archived", "email", "user_id", "body"),
            (
                (
                    int(body["id"]),
                    int(body["archived"]),
                    body["email"],
                    body["userIdIncludingInactive"],
                    dump(body),
                )
                for body in bodies
            ),
        )
        return len(bodies)

    def _owner_body(self, row: Mapping[str, Any]) -> dict[str, Any]:
        archived = bool(row.get("archived", False))
        created = moments.millis(row.get("createdAt") or self.clock())
        updated = moments.millis(row["updatedAt"]) if row.get("updatedAt") else created
        body: dict[str, Any] = {
            "id": str(row["id"]),
            "email": row.get("email"),
            "type": row.get("type", "PERSON"),
            "firstName": row.get("firstName", ""),
            "lastName": row.get("lastName", ""),
            "userId": None if archived else row.get("userId"),
            "userIdIncludingInactive": row.get("userId"),
            "createdAt": moments.iso(created),
            "updatedAt": moments.iso(updated),
            "archived": archived,
        }
        if row.get("teams"):
            body["teams"] = list(row["teams"])
        return body

    def add_pipeline(self, object_type: str, pipeline_id: str, label: str, stages: Iterable[Stage]) -> None:
        """Add a pipeline, its stages in display order, with the properties that HubSpot adds for each."""
        kind = self.kind(object_type)
        pipeline = Pipeline(id=pipeline_id, label=label, stages=tuple(stages), created=self.now())
        self.metadata.add_pipeline(kind.name, pipeline)
        if kind.pipeline is None:
            return
        for stage in pipeline.stages:
            for verb in ("entered", "exited"):
                self.metadata.add_property(
                    kind.name,
                    PropertyDefinition(
                        name=stage_property(verb, stage.id),
                        label=f'Date {verb} "{stage.label} ({label})"',
                        type="datetime",
                        calculated=True,
                        read_only=True,
                    ),
                )

    def add_property(self, object_type: str, definition: PropertyDefinition) -> None:
        """Define a property, or replace its definition."""
        self.metadata.add_property(self.kind(object_type).name, definition)

    def require_properties(self, object_type: str, names: Iterable[str], *, stage: str | None = None) -> None:
        """What an admin made mandatory, everywhere or in one stage. Only 2026-09 writes are held to it."""
        self.required[self.kind(object_type).name, stage] = tuple(names)

    def _highest_id(self, kind: ObjectType) -> int:
        return int(self.database.value(f'SELECT MAX(id) FROM "{kind.name}"') or kind.first_id)


def stage_property(verb: str, stage_id: str) -> str:
    """``hs_v2_date_entered_<stage>``; the dashes of a UUID become underscores and a number follows."""
    if "-" not in stage_id:
        return f"hs_v2_date_{verb}_{stage_id}"
    number = sum(ord(letter) * 31**index for index, letter in enumerate(stage_id)) % 2_147_483_647
    return f"hs_v2_date_{verb}_{stage_id.replace('-', '_')}_{number}"


def stage_values(kind: ObjectType, stage: Stage | None, entered: str) -> dict[str, str]:
    """What HubSpot derives from being in a stage since ``entered`` (ISO UTC)."""
    if stage is None:
        return {}
    found = {
        "hs_v2_date_entered_current_stage": entered,
        stage_property("entered", stage.id): entered,
    }
    if kind.name == "deals":
        found["hs_is_closed"] = str(stage.closed).lower()
        found["hs_is_closed_won"] = str(stage.won).lower()
        found["hs_is_closed_lost"] = str(stage.closed and not stage.won).lower()
        found["hs_deal_stage_probability"] = str(stage.probability)
    else:
        found["hs_lead_is_open"] = str(not stage.closed).lower()
    return found
