"""A plan in the making: its changes, what it leaves out, and what it has to know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, Ground, LeftOut
from stagesync.model.findings import Finding
from stagesync.planning.situation import Situation
from stagesync.policy.labels import Labels
from stagesync.policy.mappings import MappedObject


class Draft:
    """The changes so far, in no order, and what is left out, for one situation."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.owners = {owner.id: owner for owner in situation.owners}
        self.changes: list[Change] = []
        self.left_out: list[LeftOut] = []

    def added(self, change: Change) -> bool:
        """Whether a change went into the plan; one of what is protected is named instead."""
        reason = self.situation.protected.reason(change)
        if reason is None:
            self.changes.append(change)
            return True
        entry = without(change, reason)
        if entry not in self.left_out[-1:]:
            self.left_out.append(entry)
        return False

    def skip(self, finding: Finding, reason: str, *, stop: str | None = None) -> None:
        self.left_out.append(
            LeftOut(
                connection=finding.connection,
                object=finding.object,
                record=finding.record,
                record_name=finding.record_name,
                rule=finding.rule,
                reason=reason,
                stop=stop,
            )
        )

    def label(self, mapped: MappedObject, pipeline: str | None, native: str | None) -> str | None:
        """What people see in the CRM for a stage."""
        for stage in self.situation.stages.get(mapped.name, ()):
            if stage.value == native and stage.pipeline in (pipeline, None):
                return stage.label
        return native

    def labels(self, judgement: Judgement, finding: Finding) -> Labels:
        """What a rep sees in the CRM for the fields and stages that a finding speaks of."""
        mapped, sources = judgement.mapped, judgement.evidence.sources
        fields = {source: self.field(source) for source in sources.values()}
        places = [native for native, rung in mapped.targets_in(finding.pipeline).items() if rung == finding.earned]
        earned = [str(self.label(mapped, finding.pipeline, native)) for native in places if native]
        return Labels(
            items={item: fields[source] or item.replace("_", " ") for item, source in sources.items()},
            places=frozenset(source for source, label in fields.items() if label),
            stage=self.label(mapped, finding.pipeline, finding.native_stage) or "",
            earned="' or '".join(earned),
        )

    def field(self, source: str) -> str | None:
        """What people see for the field that an item comes from, also where it is the largest of several."""
        return self.situation.fields.get(source.removeprefix("max of ").removeprefix("min of "))


def without(change: Change, reason: str) -> LeftOut:
    """A change that is not made, and why."""
    return LeftOut(
        connection=change.connection,
        object=change.object,
        record=change.record,
        record_name=change.record_name,
        rule=change.rule,
        reason=reason,
    )


def grounds_of(findings: Sequence[Finding]) -> tuple[Ground, ...]:
    """The evidence of findings, as a change holds it."""
    return tuple(
        Ground(
            criterion=evidence.criterion,
            verdict=evidence.verdict.value,
            reason=evidence.reason,
            value=evidence.value,
            source=evidence.source,
        )
        for finding in findings
        for evidence in finding.evidence
    )


def change_key(*parts: object) -> str:
    """A short key from what the change is about: 20 hexadecimal digits, after a prefix that says whose it is."""
    text = "\x1f".join(day_of(part) if isinstance(part, datetime) else str(part) for part in parts)
    return f"stagesync-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def day_of(moment: datetime | None) -> str:
    """The day of a moment, as a key holds it."""
    return moment.strftime("%Y-%m-%d") if moment else ""
