"""What can be planted in a company: ordinary records, problems and decoys, each by one recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.life import Life
from stagesync.sandbox.company.verdicts import Finding, judge

Subject = Literal["person", "deal"]
Build = Callable[[Author], Life]


class RecipeError(ValueError):
    """A recipe made a record with other findings than it promised: a fault of the sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make one kind of record. ``expects`` names all rules that must find something in it.

    ``cards`` is how many of them lie in each deck; ``crm`` narrows it to one CRM; a ``decoy`` looks bad and is
    fine; one that ``pastes`` writes the next step that many have. ``why`` is what the key says about it.
    """

    name: str
    subject: Subject
    build: Build
    why: str
    expects: frozenset[str] = frozenset()
    crm: str | None = None
    cards: int = 1
    decoy: bool = False
    pastes: bool = False


def follow(recipe: Recipe, author: Author) -> tuple[Life, list[Finding]]:
    """Make a record and judge it; a recipe that breaks its promise is an error at once."""
    life = recipe.build(author)
    findings = judge(life, author.almanac.as_of, author.pasted)
    if {finding.rule for finding in findings} != recipe.expects:
        found = sorted(finding.rule for finding in findings)
        raise RecipeError(f"{recipe.name}: promised {sorted(recipe.expects)}, made {found}")
    return life, findings
