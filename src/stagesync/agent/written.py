"""Which stages stand as StageSync itself wrote them, so that its own corrections are no findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stagesync.policy.mappings import CrmMapping

if TYPE_CHECKING:
    from stagesync.ledger import Ledger


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
