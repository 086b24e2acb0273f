"""What people set by hand and a new stage would reset: the probability and the forecast category of an opportunity.

Salesforce gives both the new stage's defaults, always: help.salesforce.com, HTViewSolution?id=000187810.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stagesync.connectors.salesforce.decode import text_of
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.soql import same, select
from stagesync.model.changes import Change

OPPORTUNITY, STAGE = "Opportunity", "StageName"
DEFAULTS = {"Probability": "DefaultProbability", "ForecastCategoryName": "ForecastCategoryName"}
"""Field of the opportunity to the column of OpportunityStage that it follows."""


def with_hand_set(session: OrgSession, schema: Schema, records: Records, changes: Sequence[Change]) -> list[Change]:
    """The changes, in order; those of opportunities with the hand-set values that are to stay.

    A value counts as set by hand when it differs from the default of the stage that the record is in. What this user
    may not write is not sent, but it is on record.

    Errors: as :meth:`~stagesync.connectors.salesforce.records.Records.current`.
    """
    moved = [one for one in changes if _moves(schema, one)]
    kept = _kept_fields(schema) if moved else []
    if not kept or schema.describe("OpportunityStage") is None:
        return list(changes)
    now = records.held(OPPORTUNITY, [STAGE, *kept], [one.record for one in moved])
    defaults = session.lately.told("defaults of stages", lambda: _defaults(records))
    beside = {one.key: _beside(now.get(same(one.record), {}), kept, defaults) for one in moved}
    return [
        one if beside.get(one.key, one.beside) == one.beside else replace(one, beside=beside[one.key])
        for one in changes
    ]


def _moves(schema: Schema, change: Change) -> bool:
    moves = change.object == OPPORTUNITY and STAGE in change.after
    return moves and schema.is_id_of(OPPORTUNITY, change.record)


def _kept_fields(schema: Schema) -> list[str]:
    sobject = schema.describe(OPPORTUNITY)
    fields = [sobject.field(name) for name in DEFAULTS] if sobject else []
    return [field.name for field in fields if field is not None]


def _defaults(records: Records) -> dict[str, Mapping[str, Any]]:
    fields = ["ApiName", "MasterLabel", *DEFAULTS.values()]
    return {row["ApiName"] or row["MasterLabel"]: row for row in records.rows(select(fields, "OpportunityStage"))}


def _beside(
    row: Mapping[str, Any], kept: Sequence[str], defaults: Mapping[str, Mapping[str, Any]]
) -> dict[str, str | None]:
    """Nothing for a stage that the org does not know: it has no defaults to differ from."""
    stage = defaults.get(text_of(row.get(STAGE)) or "")
    if stage is None:
        return {}
    now = {name: text_of(row.get(name)) for name in kept}
    return {name: value for name, value in now.items() if value and _differs(value, stage[DEFAULTS[name]])}


def _differs(value: str, default: object) -> bool:
    if isinstance(default, int | float):
        try:
            return float(value) != float(default)
        except ValueError:
            return True
    return value != default
