"""What the org says about itself: its identity, its stages, its owners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stagesync.connectors.salesforce.records import Records, Row
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.soql import select
from stagesync.errors import ConfigurationError, ConnectionFailed
from stagesync.model.crm import Identity, NativeStage, Owner


def organization(records: Records, url: str) -> Identity:
    """The one row of Organization; its 18-character id never changes."""
    row = next(records.rows(select(["Id", "Name"], "Organization")), None)
    if row is None:
        raise ConnectionFailed(f"Salesforce at {url} shows no Organization to this user; check its permissions")
    return Identity(crm="salesforce", key=row["Id"], name=row["Name"], url=url)


def native_stages(records: Records, schema: Schema, object_name: str, stage_field: str) -> Sequence[NativeStage]:
    """The stages of an object, in the org's order.

    Opportunities and leads have tables that say what a stage means (OpportunityStage, LeadStatus); for any other
    field, or where the user may not see those, the picklist says no more than the values.
    """
    if (object_name, stage_field) == ("Opportunity", "StageName") and schema.describe("OpportunityStage"):
        return _opportunity_stages(records)
    if (object_name, stage_field) == ("Lead", "Status") and schema.describe("LeadStatus"):
        return _lead_statuses(records, schema)
    return _picklist(schema, object_name, stage_field)


def _opportunity_stages(records: Records) -> list[NativeStage]:
    """Inactive stages are there too: old records still hold them."""
    fields = ["ApiName", "MasterLabel", "SortOrder", "IsActive", "IsClosed", "IsWon", "DefaultProbability"]
    rows = _ordered(records, fields, "OpportunityStage")
    return [
        NativeStage(
            pipeline=None,
            value=row["ApiName"] or row["MasterLabel"],
            label=row["MasterLabel"],
            position=position,
            closed=row["IsClosed"],
            won=row["IsWon"],
            active=row["IsActive"],
            writable=row["IsActive"],
            probability=row["DefaultProbability"],
        )
        for position, row in enumerate(rows)
    ]


def _lead_statuses(records: Records, schema: Schema) -> list[NativeStage]:
    """LeadStatus has no IsActive; describe says which values are active. Only conversion may set a converted one."""
    rows = _ordered(records, ["ApiName", "MasterLabel", "SortOrder", "IsConverted"], "LeadStatus")
    active = {stage.value for stage in _picklist(schema, "Lead", "Status") if stage.active}
    stages = []
    for position, row in enumerate(rows):
        value = row["ApiName"] or row["MasterLabel"]
        is_active = not active or value in active
        stages.append(
            NativeStage(
                pipeline=None,
                value=value,
                label=row["MasterLabel"],
                position=position,
                closed=row["IsConverted"],
                active=is_active,
                writable=is_active and not row["IsConverted"],
            )
        )
    return stages


def _picklist(schema: Schema, object_name: str, stage_field: str) -> list[NativeStage]:
    sobject = schema.describe(object_name)
    field = sobject.field(stage_field) if sobject else None
    return [
        NativeStage(
            pipeline=None,
            value=item.value,
            label=item.label or item.value,
            position=position,
            active=item.active,
            writable=item.active,
        )
        for position, item in enumerate(field.picklistValues if field else ())
    ]


def _ordered(records: Records, fields: Sequence[str], table: str) -> list[Row]:
    """By SortOrder, which leaves gaps and repeats itself."""
    return list(records.rows(select(fields, table, order="SortOrder, MasterLabel")))


def org_owners(records: Records, schema: Schema, country: str | None = None) -> list[Owner]:
    """Users and queues, as far as this user may see them. ``country`` is the field of a user's country.

    Raises ConfigurationError where there is no such field.
    """
    return [*_users(records, schema, country), *_queues(records, schema)]


def _users(records: Records, schema: Schema, country: str | None) -> Iterator[Owner]:
    user = schema.describe("User")
    if country is not None and user is not None and user.field(country) is None:
        raise ConfigurationError(
            f"owner_country is '{country}', and User has no such field, or StageSync's user may not see it; "
            f"give Country, CountryCode or a field of your own"
        )
    wanted = ["Name", "Email", "IsActive", "TimeZoneSidKey", "ManagerId"]
    wanted += [country] if country and country not in wanted else []
    for row in _visible(records, schema, "User", wanted):
        yield Owner(
            id=row["Id"],
            name=row.get("Name") or row["Id"],
            email=row.get("Email") or None,
            active=row.get("IsActive", True),
            time_zone=row.get("TimeZoneSidKey") or None,
            country=(row.get(country) or None) if country else None,
            manager=row.get("ManagerId") or None,
        )


def _queues(records: Records, schema: Schema) -> Iterator[Owner]:
    for row in _visible(records, schema, "Group", ["Name", "Email"], "Type = 'Queue'"):
        name = row.get("Name") or row["Id"]
        yield Owner(id=row["Id"], name=name, email=row.get("Email") or None, active=True, queue=True)


def _visible(records: Records, schema: Schema, table: str, wanted: Sequence[str], where: str = "") -> Iterator[Any]:
    sobject = schema.describe(table)
    if sobject is None:
        return
    fields = ["Id", *(field.name for field in map(sobject.field, wanted) if field)]
    yield from records.rows(select(fields, sobject.name, where, "Id"))
