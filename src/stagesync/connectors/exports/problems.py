"""Rows that could not be read: counted, the first ones shown, and too many of them an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from stagesync.errors import ConfigurationError

MOST_SHOWN = 100
LONGEST_FOOTER = 20
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
    """What one pass over a file could not read: all counted in ``total``, the first hundred kept.

    ``footer`` are lines below the last row that are none, ``held`` those that may turn out to be such lines.
    """

    file: str
    shown: list[RowProblem] = field(default_factory=list)
    total: int = 0
    good: int = 0
    footer: int = 0
    held: list[tuple[int, str]] = field(default_factory=list)

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

    def hold(self, line: int, what: str) -> None:
        """Note a line that is no row, unless no row follows. Too many are no footer."""
        self.held.append((line, what))
        if len(self.held) > LONGEST_FOOTER:
            self.release()

    def release(self) -> None:
        """A row follows, or too many lines: what was held were rows that cannot be read."""
        held, self.held = self.held, []
        for line, what in held:
            self.add(line, what)

    def end(self) -> None:
        """The file has ended: what was held was its footer."""
        self.footer, self.held = len(self.held), []
