"""Which stages stand as StageSync itself wrote them, so that its own corrections are no findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stagesync.planning.disputes import Correction
from stagesync.planning.guard import REVERT
from stagesync.policy.mappings import CrmMapping

if TYPE_CHECKING:
    from stagesync.ledger import Ledger


def corrections(ledger: Ledger, connection: str, mapping: CrmMapping) -> Mapping[tuple[str, str], Sequence[Correction]]:
    """By object and record, the corrections of its stage that were applied, oldest first, and which were reverted."""
    fields = {mapped.name: mapped.stage_field for mapped in mapping.objects}
    found: dict[tuple[str, str], list[Correction]] = {}
    for made in ledger.corrections(connection):
        change, field = made.change, fields.get(made.change.object)
        if field is None:
            continue
        of_record = found.setdefault((change.object, change.record), [])
        if change.rule != REVERT:
            of_record.append(Correction(before=change.before.get(field), at=made.at))
        elif of_record and of_record[-1].before == change.after.get(field):
            of_record[-1] = replace(of_record[-1], reverted=change.reason)
    return found


def stages_written(ledger: Ledger, connection: str, mapping: CrmMapping) -> Mapping[str, Mapping[str, str]]:
    """By object and record, the native stage that StageSync gave a record last."""
    fields = {mapped.name: mapped.stage_field for mapped in mapping.objects}
    found: dict[str, dict[str, str]] = {name: {} for name in fields}
    for (name, record), values in ledger.stages_written(connection).items():
        # What is no longer mapped is not judged either.
        stage = values.get(fields[name]) if name in fields else None
        if stage is not None:
            found[name][record] = stage
    return found
