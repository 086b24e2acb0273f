"""Rows that could not be read: counted, the first ones shown, and too many of them an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from stagesync.errors import ConfigurationError

MOST_SHOWN = 100
PATIENCE = 1_000
"""Unreadable rows after which a file is given up, if they are the greater part of it."""


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """A row that was left out. ``line`` counts from 1, the header's."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass
class Problems:
    """What one pass over a file could not read: all counted in ``total``, the first hundred kept."""

    file: str
    shown: list[RowProblem] = field(default_factory=list)
    total: int = 0
    good: int = 0

    def add(self, line: int, what: str) -> None:
        """Note a row that is left out. Raises ConfigurationError once most of a long file is unreadable."""
        self.total += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(RowProblem(file=self.file, line=line, what=what))
        if self.total >= PATIENCE and self.total > self.good:
            first = self.shown[0]
            raise ConfigurationError(
                f"{self.file} cannot be read: {self.total} of its first {self.total + self.good} rows make no sense "
                f"(line {first.line}: {first.what}). Check its delimiter and encoding under 'export' in the mapping, "
                "or export the file again"
            )
