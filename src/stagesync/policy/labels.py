"""What people see in their CRM where StageSync has names of its own: the labels of fields and of stages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# What stands in quotes is a value of the record, and stays as it is.
_NAMES = re.compile(r"'[^']*'|\b[a-z][a-z0-9_]*(?= (?:is|has|cannot) )")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels that matter for one record, all empty where the CRM does not tell them.

    ``items`` are what to call items of evidence, ``places`` where those are found that have a label
    (``Opportunity.NextStep``). ``stage`` is that of the native stage in which the record is, ``earned`` those of the
    stages that stand for what it has earned.
    """

    items: Mapping[str, str] = field(default_factory=dict)
    places: frozenset[str] = frozenset()
    stage: str = ""
    earned: str = ""

    def said(self, reason: str) -> str:
        """A reason in the words of the CRM: ``next_step is blank`` becomes ``Next Step is blank``."""
        return _NAMES.sub(lambda found: self.items.get(found[0], found[0]), reason)

    def beside(self, source: str) -> str:
        """The places of a source that have no label, which ``said`` therefore cannot name."""
        return ", ".join(place for place in source.split(", ") if place not in self.places)


NO_LABELS = Labels()
