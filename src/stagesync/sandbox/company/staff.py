"""The people who sell: their names, countries and time zones, and two who have left."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    """A user of the CRM. ``number`` is its place in the staff and steady over all seeds."""

    number: int
    first: str
    last: str
    country: str
    zone: str
    locale: str
    active: bool = True

    @property
    def email(self) -> str:
        """The address at work."""
        return f"user{self.number:02d}@northwind-robotics.example"

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"


def _staff(*rows: tuple[str, str, str, str, str, bool]) -> tuple[Rep, ...]:
    return tuple(
        Rep(number=number, first=first, last=last, country=country, zone=zone, locale=locale, active=active)
        for number, (first, last, country, zone, locale, active) in enumerate(rows, start=1)
    )


EVERYBODY = _staff(
    ("Amelia", "Hart", "GB", "Europe/London", "en_GB", True),
    ("Björn", "Lindqvist", "SE", "Europe/Stockholm", "sv_SE", True),
    ("Carla", "Núñez", "ES", "Europe/Madrid", "es_ES", True),
    ("Dmitri", "Volkov", "DE", "Europe/Berlin", "de_DE", True),
    ("Siobhán", "O'Brien", "IE", "Europe/Dublin", "en_IE", True),
    ("Fatima", "Zahra", "FR", "Europe/Paris", "fr_FR", True),
    ("George", "Okafor", "US", "America/New_York", "en_US", True),
    ("Hana", "Suzuki", "JP", "Asia/Tokyo", "ja_JP", True),
    ("Isabel", "Costa", "BR", "America/Sao_Paulo", "pt_BR", True),
    ("Jack", "Nguyen", "US", "America/Los_Angeles", "en_US", True),
    ("Kavya", "Iyer", "IN", "Asia/Kolkata", "en_IN", True),
    ("Liam", "Walker", "AU", "Australia/Sydney", "en_AU", True),
    ("Margot", "Petit", "FR", "Europe/Paris", "fr_FR", False),
    ("Nils", "Bakker", "NL", "Europe/Amsterdam", "nl_NL", False),
)
REPS = tuple(rep for rep in EVERYBODY if rep.active)
LEAVERS = tuple(rep for rep in EVERYBODY if not rep.active)

# Not people: a queue of unassigned leads, and an owner id of which the CRM knows nothing any more.
QUEUE = Rep(number=90, first="Inbound", last="Queue", country="GB", zone="Europe/London", locale="en_GB")
GHOST = Rep(number=99, first="", last="", country="", zone="UTC", locale="", active=False)
