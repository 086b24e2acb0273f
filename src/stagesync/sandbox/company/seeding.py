"""Seeds one CRM: deals and people in turn, each written at once, and the answer key beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, zip_longest
from typing import Protocol, TextIO

from stagesync.sandbox.company.answers import Answer
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.cast import cast
from stagesync.sandbox.company.hubspot import HubSpotWriter
from stagesync.sandbox.company.life import Life
from stagesync.sandbox.company.recipes import Recipe, follow
from stagesync.sandbox.company.salesforce import SalesforceWriter
from stagesync.sandbox.company.tracks import PASTED_RECORDS
from stagesync.sandbox.company.verdicts import Finding
from stagesync.sandbox.company.vocabulary import PASTED_STEP
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.salesforce.org import Org

Progress = Callable[[int, int, str], None]
PROGRESS_STEP = 500


class Writer(Protocol):
    """Puts lives into a CRM."""

    crm: str

    def write(self, life: Life) -> str:
        """Write one life; return the record's id."""
        ...

    def flush(self) -> None:
        """Write what is still buffered."""
        ...


def quiet(_done: int, _total: int, _what: str) -> None:
    """Progress that nobody wants to see."""


def seed_salesforce(
    org: Org, *, seed: int, records: int, as_of: datetime, answers: TextIO, progress: Progress = quiet
) -> None:
    """Fill an org that has its standard metadata: half of ``records`` are leads, half opportunities."""
    author = Author(crm="salesforce", seed=seed, as_of=as_of)
    _seed(SalesforceWriter(org, author), author, seed=seed, records=records, answers=answers, progress=progress)


def seed_hubspot(
    portal: Portal, *, seed: int, records: int, as_of: datetime, answers: TextIO, progress: Progress = quiet
) -> None:
    """Fill a portal that has its standard metadata: half of ``records`` are contacts, half deals.

    The people on the deals come on top: contacts on no rung or customers, about whom there is nothing to find.
    """
    author = Author(crm="hubspot", seed=seed, as_of=as_of)
    _seed(HubSpotWriter(portal, author), author, seed=seed, records=records, answers=answers, progress=progress)


def _seed(writer: Writer, author: Author, *, seed: int, records: int, answers: TextIO, progress: Progress) -> None:
    author.pasted = _pasted(writer.crm, seed, records)
    for done, recipe in enumerate(_in_turn(writer.crm, seed, records)):
        if done % PROGRESS_STEP == 0:
            progress(done, records, writer.crm)
        life, findings = follow(recipe, author)
        record = writer.write(life)
        answers.writelines(answer.line() for answer in _answers(recipe, life, findings, record))
    writer.flush()
    progress(records, records, writer.crm)


def _in_turn(crm: str, seed: int, records: int) -> Iterator[Recipe]:
    deals = _deals(crm, seed, records)
    people = cast(crm, "person", seed=seed, count=records // 2)
    pairs = zip_longest(deals, people)
    return (recipe for recipe in chain.from_iterable(pairs) if recipe is not None)


def _deals(crm: str, seed: int, records: int) -> Iterator[Recipe]:
    return cast(crm, "deal", seed=seed, count=records - records // 2)


def _pasted(crm: str, seed: int, records: int) -> frozenset[str]:
    """The next step that many deals have, where the company is large enough that they are too many."""
    enough = sum(recipe.pastes for recipe in _deals(crm, seed, records)) >= PASTED_RECORDS
    return frozenset({PASTED_STEP.lower()}) if enough else frozenset()


def _answers(recipe: Recipe, life: Life, findings: list[Finding], record: str) -> Iterator[Answer]:
    track = life.track
    if recipe.decoy:
        yield Answer(crm=track.crm, object=track.object_name, record=record, fine=True, why=recipe.why)
    for finding in findings:
        yield Answer(
            crm=track.crm,
            object=track.object_name,
            record=record,
            kind=finding.kind,
            rule=finding.rule,
            stage=finding.stage,
            earned=finding.earned,
            why=recipe.why,
        )
