"""Calendars as people write them, checked: those of the definitions, and those of the owners of tasks."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from stagesync.model.crm import Owner
from stagesync.policy import schema
from stagesync.policy.document import Document, KeyPath, among
from stagesync.policy.working_days import WorkingDays, countries


class OwnerCalendar(Struct, frozen=True, kw_only=True):
    """Whose working days these are: owners by id, name or email, and those of whom the CRM names such a country."""

    owners: frozenset[str]
    countries: frozenset[str]
    days: WorkingDays

    def fits(self, owner: Owner) -> bool:
        """Whether an owner is meant."""
        return not self.owners.isdisjoint(owner.names) or owner.country in self.countries


class Calendars(Struct, frozen=True, kw_only=True):
    """The working days of the owners of tasks: the first that fit, else the default, else those of the definitions."""

    of_owners: Sequence[OwnerCalendar] = ()
    default: WorkingDays | None = None

    def of(self, owner: Owner | None, otherwise: WorkingDays) -> WorkingDays:
        """The days on which an owner works; ``otherwise`` are those of the definitions."""
        if owner is not None:
            for calendar in self.of_owners:
                if calendar.fits(owner):
                    return calendar.days
        return self.default or otherwise


def working_days(document: Document, words: schema.WorkingDays, path: KeyPath) -> WorkingDays:
    """The calendar that is written at a path, where all its problems are noted."""
    weekend = frozenset(list(schema.Weekday).index(day) for day in words.weekend)
    if len(weekend) == len(schema.Weekday):
        document.problem((*path, "weekend"), "somebody must work on some day")
        return WorkingDays()
    if words.country is not None:
        known = countries()
        _known(document, words.country, list(known), "country", (*path, "country"))
        if words.region is not None and words.country in known:
            _known(document, words.region, known[words.country], "region", (*path, "region"))
    elif words.region is not None:
        document.problem((*path, "region"), "a region needs its 'country' beside it", key=True)
    return WorkingDays(country=words.country, region=words.region, weekend=weekend, closed=frozenset(words.closed))


def called(words: schema.WorkingDays, names: Sequence[str]) -> frozenset[str]:
    """What a CRM may call the country of a calendar: its code, and the names that are given."""
    return frozenset(names) | (frozenset() if words.country is None else {words.country})


def _known(document: Document, name: str, names: Sequence[str], what: str, path: KeyPath) -> None:
    if name not in names:
        document.problem(path, f"unknown {what} '{name}'{among(name, names)}")
