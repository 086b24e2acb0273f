"""The words that definitions, findings and changes share."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kinds of findings."""

    PREMATURE = "premature"
    STALLED = "stalled"
    CONTRADICTION = "contradiction"
    PLACEHOLDER = "placeholder"
    UNOWNED = "unowned"
    REGRESSED = "regressed"
    SKIPPED = "skipped"
    READY = "ready"


class Severity(StrEnum):
    """How much a finding matters, as its definition says."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Mode(StrEnum):
    """What a rule may do: only report, ask a person by a task, or write."""

    AUDIT = "audit"
    SUGGEST = "suggest"
    ENFORCE = "enforce"
