"""Waivers: who lets a record off which rule, why, and until when."""

from __future__ import annotations

from datetime import date

from msgspec import Struct


class Waiver(Struct, frozen=True, kw_only=True):
    """A promise not to insist on a rule.

    ``rule`` is a kind of finding (``premature``), one rule of it (``contradiction.close-date-passed``) or the id of
    a criterion, which then counts as unknown. ``connection``, ``object`` and ``record`` (the CRM's id) narrow it;
    None stands for all. ``until`` is the last day on which it holds.
    """

    id: str
    rule: str
    reason: str
    by: str
    until: date
    connection: str | None = None
    object: str | None = None
    record: str | None = None

    @property
    def words(self) -> str:
        """Who waived it, until when and why."""
        return f"waived by {self.by} until {self.until}: {self.reason}"

    def holds_on(self, day: date) -> bool:
        """Whether it has not expired; the last day still counts."""
        return day <= self.until
