"""Deals out the recipes: in every deck each kind of record as often as it has cards, shuffled by the seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from stagesync.sandbox.company import problem_deals, problem_people
from stagesync.sandbox.company.decoys import DECOYS
from stagesync.sandbox.company.ordinary import ORDINARY
from stagesync.sandbox.company.recipes import Recipe, Subject

RECIPES = (*ORDINARY, *problem_people.planted.recipes, *problem_deals.planted.recipes, *DECOYS)


def deck(crm: str, subject: Subject) -> list[Recipe]:
    """One deck: about 150 cards, a fifth of them problems."""
    return [
        recipe
        for recipe in RECIPES
        if recipe.subject == subject and recipe.crm in {None, crm}
        for _ in range(recipe.cards)
    ]


def cast(crm: str, subject: Subject, *, seed: int, count: int) -> Iterator[Recipe]:
    """The recipes of ``count`` records in the order in which they are made."""
    rng = Random(f"cast {crm} {subject} {seed}")
    cards = deck(crm, subject)
    dealt = 0
    while dealt < count:
        rng.shuffle(cards)
        yield from cards[: count - dealt]
        dealt += len(cards)
