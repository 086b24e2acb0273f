"""The bulk of the company: records that stand where they have earned, parked ones and closed ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import CLOSED_DAYS, Author
from stagesync.sandbox.company.life import Life
from stagesync.sandbox.company.recipes import Build, Recipe, Subject
from stagesync.sandbox.company.tracks import PEOPLE_TRACKS


def _converted_lead(author: Author) -> Life:
    life = author.parked_person("Closed - Converted")
    life.converted = True
    return life


def _bought(author: Author, native: str) -> Life:
    life = author.person("prospect")
    customer = author.begin(PEOPLE_TRACKS[author.crm], "customer", CLOSED_DAYS, native=native)
    life.steps = customer.steps
    life.touches = [touch for touch in life.touches if touch.at > life.created]
    return life


def _over_with(step: Callable[[Random], str]) -> Build:
    """A closed deal that was left with this next step."""

    def build(author: Author) -> Life:
        life = author.closed_deal(won=author.chance(0.5))
        life.next_step = step(author.rng)
        return life

    return build


def _ordinary(name: str, subject: Subject, cards: int, crm: str | None = None) -> Recipe:
    kind, _, native = name.partition(":")
    builders: dict[str, Build] = {
        "open person": lambda author: author.person(native),
        "parked person": lambda author: author.parked_person(native),
        "converted lead": _converted_lead,
        "bought": partial(_bought, native=native),
        "open deal": lambda author: author.deal(native),
        "closed deal": lambda author: author.closed_deal(won=native == "won"),
    }
    return Recipe(name=name, subject=subject, build=builders[kind], why="", cards=cards, crm=crm)


ORDINARY = (
    _ordinary("open person:lead", "person", 47, "salesforce"),
    _ordinary("open person:prospect", "person", 31, "salesforce"),
    _ordinary("parked person:Nurturing", "person", 10, "salesforce"),
    _ordinary("parked person:Closed - Not Converted", "person", 12, "salesforce"),
    _ordinary("converted lead", "person", 16, "salesforce"),
    _ordinary("open person:lead", "person", 36, "hubspot"),
    _ordinary("open person:prospect", "person", 18, "hubspot"),
    _ordinary("open person:opportunity", "person", 20, "hubspot"),
    _ordinary("bought:customer", "person", 12, "hubspot"),
    _ordinary("bought:evangelist", "person", 3, "hubspot"),
    _ordinary("parked person:subscriber", "person", 8, "hubspot"),
    _ordinary("parked person:other", "person", 6, "hubspot"),
    _ordinary("open deal:opportunity", "deal", 20),
    _ordinary("open deal:proposal", "deal", 14),
    _ordinary("closed deal:won", "deal", 15),
    _ordinary("closed deal:lost", "deal", 12),
    Recipe(
        name="closed deal with the pasted next step",
        subject="deal",
        build=_over_with(vocabulary.pasted_step),
        why="",
        cards=16,
        pastes=True,
    ),
    Recipe(
        name="closed deal with a usual next step",
        subject="deal",
        build=_over_with(lambda rng: rng.choice(vocabulary.USUAL_STEPS)),
        why="",
        cards=14,
    ),
)
