"""Which stages stand as StageSync itself wrote them, so that its own corrections are no findings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from stagesync.model.changes import ChangeKind
from stagesync.model.kinds import Kind
from stagesync.planning.disputes import Correction
from stagesync.planning.guard import REVERT
from stagesync.policy.mappings import CrmMapping

LATELY = timedelta(hours=1)
"""Longer than any CRM takes to find what was written."""

if TYPE_CHECKING:
    from stagesync.audit.judgement import Judgement
    from stagesync.ledger import Ledger


def corrections(
    ledger: Ledger, connection: str, mapping: CrmMapping, judgements: Sequence[Judgement]
) -> Mapping[tuple[str, str], Sequence[Correction]]:
    """By object and record, the corrections of its stage that were applied, oldest first, and which were reverted; of
    the records that judgements found premature, for no other can be corrected again."""
    fields = {mapped.name: mapped.stage_field for mapped in mapping.objects}
    premature = {(one.mapped.name, record) for one in judgements for record in _premature(one)}
    found: dict[tuple[str, str], list[Correction]] = {}
    for move in ledger.moves(connection, premature):
        field = fields.get(move.object)
        if field is None or not move.applied:
            continue
        of_record = found.setdefault((move.object, move.record), [])
        if move.rule != REVERT:
            of_record.append(Correction(before=move.before.get(field), at=move.at))
        elif of_record and of_record[-1].before == move.after.get(field):
            of_record[-1] = replace(of_record[-1], reverted=move.reason)
    return found


def stages_written(ledger: Ledger, connection: str, mapping: CrmMapping) -> Mapping[str, Mapping[str, str]]:
    """By object and record, the native stage that StageSync gave a record last."""
    fields = {mapped.name: mapped.stage_field for mapped in mapping.objects}
    found: dict[str, dict[str, str]] = {name: {} for name in fields}
    for of, record, wrote in ledger.last_moves(connection):
        # What is no longer mapped is not judged either.
        stage = wrote.get(fields[of]) if of in fields else None
        if stage is not None:
            found[of][record] = stage
    return found


def lately(ledger: Ledger, connection: str, now: datetime) -> Mapping[str, Collection[str]]:
    """By object, the records to which StageSync gave a stage within the last hour, or may have."""
    found: dict[str, set[str]] = {}
    for change in ledger.written_since(now - LATELY):
        if change.connection == connection and change.kind is ChangeKind.SET_STAGE:
            found.setdefault(change.object, set()).add(change.record)
    return found


def _premature(judgement: Judgement) -> Iterable[str]:
    rows = judgement.findings.filter(judgement.findings["kind"] == Kind.PREMATURE)["row"]
    return judgement.records["record"].gather(rows).to_list()
