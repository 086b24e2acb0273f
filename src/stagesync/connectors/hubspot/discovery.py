"""What a portal is made of: for setting up a configuration, and for checking one against the portal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from stagesync.connectors.base import Reader
from stagesync.connectors.hubspot.answers import Account, Disposition, PropertyAnswer, SearchPage, Usage
from stagesync.connectors.hubspot.faults import Refusal, ScopeMissing
from stagesync.connectors.hubspot.frames import ID
from stagesync.connectors.hubspot.likeness import like_lifecycle, like_stage
from stagesync.connectors.hubspot.reader import HubSpotReader
from stagesync.connectors.hubspot.transport import ReadTransport, Request
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

SUPPORT = {
    "v3": "HubSpot supports it until September 2027, its associations (v4) until 2027-03-30; 2026-03 comes after it",
}
MOST_COUNTED = 60
"""Stages with more values than this are not counted: each costs a search, of which a second allows five."""
PRODUCTION = "STANDARD"
SCOPES = {"companies": "companies", "deals": "deals", "leads": "leads"}
"""By object the word in its scopes; activities and tasks belong to ``contacts``."""
CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
GIVEN_OUTCOMES = frozenset(
    {
        CONNECTED,
        "9d9162e7-6cf3-4944-bf63-4dff82258764",
        "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
        "b2cf5968-551e-4856-9783-52b3da59a7d0",
        "73a0d17f-1163-4015-bdd5-ec830791da20",
        "17b47fee-58de-441e-a44c-c6300d46f273",
    }
)
"""The outcomes of calls that every portal has: connected, busy, live message, voicemail, no answer, wrong number."""


T = TypeVar("T")


class HubSpotDiscovery:
    """The :class:`~stagesync.connectors.base.Discovery` of one portal.

    What a token may write is known where HubSpot tells its scopes; otherwise a property counts as writable unless it is
    read-only for everybody.
    """

    currency_field = "deal_currency_code"

    def __init__(self, reader: HubSpotReader, transport: ReadTransport) -> None:
        self.reader: Reader = reader
        self._portal = reader
        self._transport = transport
        self._account: Account | None = None
        self._counted: dict[tuple[str, str], Mapping[str, int] | None] = {}

    def service(self) -> Service:
        """The version of the settings, since HubSpot lists none, and the calls of the day."""
        version = self._transport.connection.api_version
        self._account = self._asked(Account, self._transport.paths.account)
        self._portal.identity()
        calls = self._portal.calls()
        limit, used = calls.limit, calls.used
        if limit is None or used is None:
            usage = self._asked(Usage, self._transport.paths.usage) or Usage()
            limit, used = next(((one.usage_limit, one.current_usage) for one in usage.results), (None, None))
        return Service(
            version=version,
            calls_limit=limit,
            calls_left=None if limit is None or used is None else limit - used,
            period="today",
            remark=SUPPORT.get(version, ""),
            silence="HubSpot tells OAuth apps nothing of it, so that budget.share cannot be kept",
        )

    def scopes(self) -> Scopes | None:
        """Each object has scopes of its own here: what may be read and written is said with it."""
        return None

    def organization(self) -> Organization:
        """The type and the time zone of the account."""
        if self._account is None:
            return Organization()
        kind = self._account.account_type
        return Organization(sandbox=None if kind is None else kind != PRODUCTION, time_zone=self._account.time_zone)

    def facts(self, object_name: str) -> ObjectFacts | None:
        """The properties of an object, and whether the token may write it."""
        known = self._portal.properties(object_name)
        if not known:
            return None
        scopes = self._portal.scopes()
        writes = scopes is None or f"crm.objects.{SCOPES.get(object_name, 'contacts')}.write" in scopes
        fields = {name: _field(answer) for name, answer in known.items()}
        return ObjectFacts(name=object_name, fields=fields, creatable=writes, editable=writes)

    def record_types(self, _object_name: str, _stage_field: str) -> Sequence[RecordType]:
        """HubSpot has pipelines instead, which its stages name."""
        return ()

    def person_account(self, _object_name: str) -> Mapping[str, str] | None:
        """A contact is a contact here, whether it has a company or none."""
        return None

    def likeness(self, _object_name: str, stage_field: str, stage: NativeStage) -> Likeness | None:
        """The stage of a new portal that a stage of a pipeline, or a lifecycle stage, resembles."""
        if stage_field == "dealstage":
            return like_stage(stage)
        return like_lifecycle(stage) if stage_field == "lifecyclestage" else None

    def counts(self, object_name: str, field: str, *, open_only: bool) -> Mapping[str, int] | None:
        """By one search for each stage; other properties are not counted."""
        if open_only:
            return None
        if (object_name, field) not in self._counted:
            self._counted[object_name, field] = self._count_each(object_name, field)
        return self._counted[object_name, field]

    def _count_each(self, object_name: str, field: str) -> Mapping[str, int] | None:
        values = list(dict.fromkeys(stage.value for stage in self._portal.stages(object_name, field)))
        if not values or len(values) > MOST_COUNTED:
            return None
        found = {value: self._count(object_name, _is(field, value)) for value in values}
        whole = {value: number for value, number in found.items() if number is not None}
        return whole if len(whole) == len(values) else None

    def blind_spots(self) -> Sequence[BlindSpot]:
        """What is in the portal and does not count, or is not in it and would be missed."""
        return [*self._leads(), *self._mail(), *self._meetings(), *self._outcomes(), *self._lengths(), *self._sync()]

    def close(self) -> None:
        """Give connections back."""
        self.reader.close()

    def _leads(self) -> Iterator[BlindSpot]:
        if not self._portal.properties("leads") or self._count("leads") is None:
            says = "this portal shows none to the token: they need Sales Hub Professional and crm.objects.leads.read"
            yield BlindSpot(subject="leads (0-136)", blind=None, says=says)

    def _mail(self) -> Iterator[BlindSpot]:
        inbound = self._count("emails", _is("hs_email_direction", "INCOMING_EMAIL"))
        if inbound is None:
            yield BlindSpot(subject="inbound mail", blind=None, says="e-mails cannot be searched with this token")
        elif inbound:
            yield BlindSpot(subject="inbound mail", blind=False, says=f"{inbound:,} mails from buyers are logged")
        else:
            says = "not one is logged, so that nobody ever replied: connect the inboxes, or write a gap for replies"
            yield BlindSpot(subject="inbound mail", blind=True, says=says)

    def _meetings(self) -> Iterator[BlindSpot]:
        now = self._transport.server_time
        if now is None:
            return
        past = {"propertyName": "hs_meeting_end_time", "operator": "LT", "value": str(int(now.timestamp() * 1000))}
        left = self._count("meetings", _is("hs_meeting_outcome", "SCHEDULED"), past)
        held = self._count("meetings", _is("hs_meeting_outcome", "COMPLETED"))
        if left and held is not None:
            says = f"{left:,} in the past still say SCHEDULED and do not count as held; {held:,} say COMPLETED"
            yield BlindSpot(subject="meetings", blind=left > held, says=says)

    def _outcomes(self) -> Iterator[BlindSpot]:
        known = self._asked(list[Disposition], self._transport.paths.dispositions) or []
        own = sorted(one.label for one in known if one.id not in GIVEN_OUTCOMES and not one.deleted)
        if own:
            says = f"besides 'Connected' the portal has outcomes of its own, which do not count: {', '.join(own)}"
            yield BlindSpot(subject="calls", blind=None, says=says)

    def _lengths(self) -> Iterator[BlindSpot]:
        unknown = {"propertyName": "hs_call_duration", "operator": "NOT_HAS_PROPERTY"}
        endless = self._count("calls", _is("hs_call_disposition", CONNECTED), unknown)
        if endless:
            told = "1 says" if endless == 1 else f"{endless:,} say"
            says = (
                f"{told} 'Connected' and not for how long, as calls do that are logged by hand; they do not count "
                "unless the buyer rang"
            )
            yield BlindSpot(subject="length of calls", blind=None, says=says)

    def _sync(self) -> Iterator[BlindSpot]:
        if "hs_salesforceopportunityid" in self._portal.properties("deals"):
            says = "deals are synchronised: what is written here goes there; let StageSync write in one of the two"
            yield BlindSpot(subject="Salesforce", blind=None, says=says)

    def _count(self, object_name: str, *filters: Mapping[str, str]) -> int | None:
        """How many records pass all filters; None where that cannot be asked."""
        groups = [{"filters": list(filters)}] if filters else []
        body = {"filterGroups": groups, "properties": [ID], "limit": 1}
        request = Request(path=self._transport.paths.search, names={"object": object_name}, body=body, search=True)
        try:
            return self._transport.ask(SearchPage, request).total
        except (Refusal, ScopeMissing):
            return None

    def _asked(self, shape: type[T], path: str) -> T | None:
        try:
            return self._transport.ask(shape, Request(path=path))
        except (Refusal, ScopeMissing):
            return None


def _is(name: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": "EQ", "value": value}


def _field(answer: PropertyAnswer) -> FieldFacts:
    editable = not answer.calculated and not answer.modification_metadata.read_only_value
    return FieldFacts(
        name=answer.name,
        label=answer.label or answer.name,
        type=answer.type,
        custom=not answer.hubspot_defined,
        creatable=editable,
        editable=editable,
        unique=answer.has_unique_value,
        external_id=answer.has_unique_value,
    )
