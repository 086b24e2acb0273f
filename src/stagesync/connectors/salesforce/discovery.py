"""What an org is made of: for setting up a configuration, and for checking one against the org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from stagesync.connectors.base import Reader
from stagesync.connectors.salesforce.failures import Refusal
from stagesync.connectors.salesforce.likeness import like_stage, like_status
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.sobjects import Field
from stagesync.connectors.salesforce.soql import is_id, quoted, select
from stagesync.connectors.salesforce.targets import offered_values
from stagesync.model.crm import (
    BlindSpot,
    FieldFacts,
    Likeness,
    NativeStage,
    ObjectFacts,
    Organization,
    RecordType,
    Scopes,
    Service,
)

STAGE = ("Opportunity", "StageName")
STATUS = ("Lead", "Status")
IN_WORK = {"Lead": "IsConverted = false", "Opportunity": "IsClosed = false"}
NEEDED_SCOPES = frozenset({"api", "full"})
"""Either opens the REST API."""
HARMLESS_SCOPES = frozenset({"api", "id", "openid", "profile", "email", "address", "phone"})
"""The API, and who the user is."""
MAIL = ("EmailMessage", "EmailMessageRelation")


class Version(msgspec.Struct, frozen=True):
    version: str


class Limit(msgspec.Struct, frozen=True):
    Max: int
    Remaining: int


class Limits(msgspec.Struct, frozen=True):
    DailyApiRequests: Limit | None = None


class Root(msgspec.Struct, frozen=True):
    """The resources of a version. ``identity`` is ``https://acme.my.salesforce.com/id/ORG/USER``:
    developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/dome_discoveryresource.htm
    """

    identity: str = ""


class SalesforceDiscovery:
    """The :class:`~stagesync.connectors.base.Discovery` of one org."""

    currency_field = "CurrencyIsoCode"

    def __init__(self, session: OrgSession, schema: Schema, records: Records, reader: Reader) -> None:
        self.reader = reader
        self._session = session
        self._schema = schema
        self._records = records

    def service(self) -> Service:
        """``/services/data`` lists what is served; ``/limits`` wants View Setup and Configuration."""
        versions = self._session.call(
            Call(method="GET", path="/services/data/", reads=True), msgspec.json.Decoder(tuple[Version, ...]).decode
        )
        served = tuple(one.version for one in versions)
        version = self._session.connection.api_version
        daily = self._daily_calls() if version in served else None
        return Service(
            version=version,
            versions=served,
            calls_limit=daily.Max if daily else None,
            calls_left=daily.Remaining if daily else None,
            calls_budget=self._session.meter.budget_of(daily.Max) if daily else None,
        )

    def scopes(self) -> Scopes | None:
        """What the token endpoint answered: developer.salesforce.com names the scopes, help.salesforce.com says what
        they are for (remoteaccess_oauth_scopes). ``full`` holds ``api``, and much else."""
        given = self._session.scopes
        if given is None:
            return Scopes(given=None, remedy="the OAuth settings of the app show it; the scope api is enough")
        return Scopes(
            given=given,
            missing=() if NEEDED_SCOPES & set(given) else ("api",),
            beyond=tuple(scope for scope in given if scope not in HARMLESS_SCOPES),
            remedy="in the OAuth settings of the app: 'Manage user data via APIs (api)' is what StageSync needs",
        )

    def organization(self) -> Organization:
        """The row of Organization and that of the running user, as far as they are shown."""
        sobject = self._schema.describe("Organization")
        wanted = [name for name in ("IsSandbox", "TimeZoneSidKey") if sobject and sobject.field(name)]
        row = next(self._records.rows(select(["Id", *wanted], "Organization")), {}) if wanted else {}
        return Organization(sandbox=row.get("IsSandbox"), time_zone=row.get("TimeZoneSidKey"), user=self._user())

    def facts(self, object_name: str) -> ObjectFacts | None:
        """Describe, in the words of every CRM."""
        sobject = self._schema.describe(object_name)
        if sobject is None:
            return None
        return ObjectFacts(
            name=sobject.name,
            fields={field.name: _facts(field) for field in sobject.fields},
            creatable=sobject.createable,
            editable=sobject.updateable,
        )

    def record_types(self, object_name: str, stage_field: str) -> Sequence[RecordType]:
        """The active record types by name, each with the stages of its sales process."""
        if self._schema.describe("RecordType") is None or self._field(object_name, "RecordTypeId") is None:
            return ()
        where = f"SobjectType = {quoted(object_name)} AND IsActive = true"
        rows = self._records.rows(select(["Id", "DeveloperName", "Name"], "RecordType", where, "DeveloperName"))
        return [
            RecordType(
                name=row["DeveloperName"],
                label=row["Name"] or row["DeveloperName"],
                stages=offered_values(self._session, object_name, row["Id"], stage_field),
            )
            for row in rows
        ]

    def person_account(self, object_name: str) -> Mapping[str, str] | None:
        """Only an org in which person accounts are turned on has these fields:
        developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_guidelines_personaccounts.htm
        """
        sobject, account = self._schema.describe(object_name), self._schema.describe("Account")
        link = sobject.relationship("Account") if sobject else None
        if link is None or account is None or account.field("PersonContactId") is None:
            return None
        return {"person": "Account.PersonContactId", "account": link.name}

    def likeness(self, object_name: str, stage_field: str, stage: NativeStage) -> Likeness | None:
        """For the two objects that every org has."""
        if (object_name, stage_field) == STAGE:
            return like_stage(stage)
        return like_status(stage) if (object_name, stage_field) == STATUS else None

    def counts(self, object_name: str, field: str, *, open_only: bool) -> Mapping[str, int] | None:
        """One aggregate query. Aggregates do not page: more than 2,000 values are refused, and so not counted."""
        described = self._field(object_name, field)
        if described is None:
            return None
        where = IN_WORK.get(object_name, "") if open_only else ""
        tail = f" WHERE {where}" if where else ""
        # Names that describe gave.
        soql = f"SELECT {described.name}, COUNT(Id) n FROM {object_name}{tail} GROUP BY {described.name}"  # noqa: S608
        try:
            rows = list(self._records.rows(soql))
        except Refusal as error:
            if error.status != 400:
                raise
            return None
        return {str(row[described.name] or ""): int(row["n"]) for row in rows}

    def blind_spots(self) -> Sequence[BlindSpot]:
        """Past lead statuses, and mail."""
        return [*self._history(), *self._mail()]

    def close(self) -> None:
        """Give connections back."""
        self._session.close()

    def _user(self) -> str | None:
        """User name, name and id; the id alone where users are not shown."""
        call = Call(method="GET", path=self._session.versioned(""), reads=True)
        user = self._session.call(call, msgspec.json.Decoder(Root).decode).identity.rpartition("/")[2]
        if not is_id(user):
            return None
        sobject = self._schema.describe("User")
        wanted = [name for name in ("Username", "Name") if sobject and sobject.field(name)]
        where = f"Id = {quoted(user)}"
        row = next(self._records.rows(select(["Id", *wanted], "User", where)), {}) if wanted else {}
        return ", ".join([*(row[name] for name in wanted if row.get(name)), user])

    def _daily_calls(self) -> Limit | None:
        try:
            limits = self._session.call(
                Call(method="GET", path="limits/", reads=True), msgspec.json.Decoder(Limits).decode
            )
        except Refusal as error:
            if error.status not in {403, 404}:
                raise
            return None
        return limits.DailyApiRequests

    def _field(self, object_name: str, name: str) -> Field | None:
        sobject = self._schema.describe(object_name)
        return sobject.field(name) if sobject else None

    def _history(self) -> Iterator[BlindSpot]:
        subject = "history of Lead.Status"
        if self._schema.describe("LeadHistory") is None:
            text = "the object LeadHistory is not shown to this user: since when a lead has its status is unknown"
            yield BlindSpot(subject=subject, blind=True, says=text)
        elif self._any("LeadHistory", "Field = 'Status'"):
            yield BlindSpot(subject=subject, blind=False, says="changes of the status are recorded")
        else:
            text = (
                "no change of a status is recorded, as if tracking were off: turn on Set History Tracking for Status; "
                "without it, since when a lead has its status is known only from what StageSync itself saw"
            )
            yield BlindSpot(subject=subject, blind=True, says=text)

    def _mail(self) -> Iterator[BlindSpot]:
        hidden = [name for name in MAIL if self._schema.describe(name) is None]
        if hidden:
            text = f"{' and '.join(hidden)} not shown to this user: replies are unknown"
            yield BlindSpot(subject="e-mail", blind=True, says=text)
        elif self._any("EmailMessage"):
            text = "there are e-mails; those that Einstein Activity Capture keeps outside Salesforce cannot be seen"
            yield BlindSpot(subject="e-mail", blind=None, says=text)
        else:
            text = (
                "there is not one EmailMessage: mail does not reach this org, or Einstein Activity Capture keeps it "
                "outside Salesforce, where nobody can query it; turn on 'Sync Email as Salesforce Activity'"
            )
            yield BlindSpot(subject="e-mail", blind=True, says=text)

    def _any(self, table: str, where: str = "") -> bool:
        rows: Iterator[Any] = self._records.rows(select(["Id"], table, where) + " LIMIT 1")
        return next(rows, None) is not None


def _facts(field: Field) -> FieldFacts:
    return FieldFacts(
        name=field.name,
        label=field.label or field.name,
        type=field.type,
        custom=field.custom,
        creatable=field.createable,
        editable=field.updateable,
        unique=field.unique,
        external_id=field.externalId,
    )
