"""The words that options take."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How a command reports: JSON, CSV and Markdown go to standard output alone."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class FailOn(StrEnum):
    """From which severity on findings make the command exit with 1."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
