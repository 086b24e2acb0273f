"""Whether the org offers a value: an unrestricted picklist stores a misspelt or retired one without a word."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stagesync.connectors.salesforce.failures import Refusal
from stagesync.connectors.salesforce.metadata import native_stages
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.soql import is_id
from stagesync.model.changes import Change
from stagesync.model.crm import NativeStage

RECORD_TYPE = "RecordTypeId"


class OfferedValue(msgspec.Struct):
    value: str


class Offered(msgspec.Struct):
    """developer.salesforce.com/docs/atlas.en-us.uiapi.meta/uiapi/ui_api_resources_picklist_values.htm"""

    values: list[OfferedValue]


class Targets:
    """The values that may be written now, and soon no longer: an admin changes them while a run goes on."""

    def __init__(self, session: OrgSession, schema: Schema, records: Records) -> None:
        self._session = session
        self._schema = schema
        self._records = records
        self._stages: dict[tuple[str, str], Mapping[str, NativeStage]] = {}
        self._offered: dict[tuple[str, str, str], tuple[str, ...] | None] = {}
        self._refusals: dict[tuple[str, str, str | None, str | None], str | None] = {}

    def refusal(self, change: Change, record_type: str | None) -> str | None:
        """Why the org would not want a change's values, in words; None when it offers them, or does not say."""
        for name, value in change.after.items():
            asked = (change.object, name, value, record_type)
            if asked not in self._refusals:
                self._refusals[asked] = self._refusal(*asked)
            if self._refusals[asked]:
                return self._refusals[asked]
        return None

    def _refusal(self, object_name: str, name: str, value: str | None, record_type: str | None) -> str | None:
        if value is None or not self._is_picklist(object_name, name):
            return None
        refusal = self._not_writable(object_name, name, value)
        return refusal or self._not_of_type(object_name, name, value, record_type)

    def _is_picklist(self, object_name: str, name: str) -> bool:
        sobject = self._schema.describe(object_name)
        field = sobject.field(name) if sobject else None
        return field is not None and field.type == "picklist"

    def _not_writable(self, object_name: str, name: str, value: str) -> str | None:
        known = self._known(object_name, name)
        if not known:
            return None
        stage = known.get(value)
        if stage is None:
            return f"the org has no {object_name}.{name} {value!r}"
        if not stage.active:
            return f"{object_name}.{name} {value!r} is no longer active in the org"
        return None if stage.writable else f"{object_name}.{name} {value!r} is set by converting the record only"

    def _not_of_type(self, object_name: str, name: str, value: str, record_type: str | None) -> str | None:
        if not record_type or not is_id(record_type):
            return None
        key = (object_name, record_type, name)
        if key not in self._offered:
            self._offered[key] = offered_values(self._session, *key)
        offered = self._offered[key]
        if offered is None or value in offered:
            return None
        return f"the record's type ({record_type}) does not offer {object_name}.{name} {value!r}"

    def _known(self, object_name: str, name: str) -> Mapping[str, NativeStage]:
        key = (object_name, name)
        if key not in self._stages:
            self._schema.renewed(object_name)
            found = native_stages(self._records, self._schema, object_name, name)
            self._stages[key] = {stage.value: stage for stage in found}
        return self._stages[key]


def offered_values(session: OrgSession, object_name: str, record_type: str, name: str) -> tuple[str, ...] | None:
    """What a record type offers in a picklist, in its order; None where the org does not say."""
    path = f"ui-api/object-info/{object_name}/picklist-values/{record_type}/{name}"
    try:
        found = session.call(Call(method="GET", path=path, reads=True), msgspec.json.Decoder(Offered).decode)
    except Refusal as error:
        if error.status in {400, 403, 404}:
            return None
        raise
    return tuple(item.value for item in found.values)
