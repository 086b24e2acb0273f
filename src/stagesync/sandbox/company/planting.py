"""How problems are registered, and the spoiling that people and deals share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.life import Life
from stagesync.sandbox.company.recipes import Build, Recipe, Subject
from stagesync.sandbox.company.staff import GHOST, LEAVERS


class Plantings:
    """The problems of one kind of record: use it as a decorator of the functions that make them."""

    def __init__(self, subject: Subject) -> None:
        """``subject`` is what all of them make."""
        self.recipes: list[Recipe] = []
        self._subject = subject

    def __call__(
        self, *expects: str, why: str, crm: str | None = None, cards: int = 1, pastes: bool = False
    ) -> Callable[[Build], Build]:
        """Register a function as the recipe for a record in which exactly these rules find something."""

        def register(build: Build) -> Build:
            name = f"{self._subject} {build.__name__.strip('_').replace('_', ' ')}"
            rules = frozenset(expects)
            self.recipes.append(
                Recipe(
                    name=name,
                    subject=self._subject,
                    build=build,
                    why=why,
                    expects=rules,
                    crm=crm,
                    cards=cards,
                    pastes=pastes,
                )
            )
            return build

        return register


def orphan(author: Author, life: Life) -> Life:
    """Take the owner away in one of the ways in which the CRM allows it."""
    left = author.rng.choice(LEAVERS)
    life.owner = left if author.crm == "salesforce" else author.rng.choice((left, None, GHOST))
    return life


def stir(author: Author, life: Life) -> Life:
    """Let machines touch the record lately: a task of StageSync and a bulk update."""
    author.add(life, "own_task", author.almanac.business_days_ago(1, 2))
    life.edited = author.almanac.as_of - timedelta(hours=5)
    return life
