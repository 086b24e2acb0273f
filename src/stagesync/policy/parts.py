"""The words of definition files that need not be whole: fragments, and definitions that extend others.

They are for editors. The loader puts the files together and reads the whole as a ``DefinitionFile``.
"""

from __future__ import annotations

from pydantic import Field

from stagesync.model.kinds import Severity
from stagesync.policy.schema import (
    Asking,
    EvidenceItem,
    Flag,
    Identifier,
    Named,
    StallLimits,
    Strict,
    Taking,
    Words,
)


class CriterionPart(Strict):
    """A criterion, or what is said otherwise of one that is taken over."""

    id: Identifier
    check: Words | None = None
    because: Words | None = None
    ask: Words | None = None
    severity: Severity | None = None


class StagePart(Strict):
    """A stage, or a part of one."""

    means: Words | None = None
    requires: list[CriterionPart] = Field(default=[])
    stalls_after: StallLimits = StallLimits()
    terminal: Flag | None = None


class _Parts(Strict):
    """What need not be whole."""

    evidence: dict[Identifier, EvidenceItem] = Field(default={}, description="the names that conditions may use")
    stages: dict[Identifier, StagePart] = Field(default={}, description="what each stage means and requires")


class ExtendingFile(Asking, _Parts, Taking, Named):
    """Stage definitions that extend others: what they add, and what they say otherwise."""


class _NamedFragment(Strict):
    fragment: Identifier


class FragmentFile(Asking, _Parts, Taking, _NamedFragment):
    """A part of stage definitions that several of them extend."""
