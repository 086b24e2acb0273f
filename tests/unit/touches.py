"""Related rows of a few deals, drawn by hypothesis, and what they come to, reckoned row by row without the product.

One table of touches names a deal, a person, both or neither; another says which people belong to which deal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import polars as pl
from hypothesis import strategies as st

from stagesync.audit.evidence import Tables
from stagesync.model.tables import UNREADABLE
from tests.unit.oracle import NOW

DEALS, PEOPLE, ACCOUNTS = ("d1", "d2", "d3"), ("p1", "p2", "p3"), ("a1", "a2")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN = "unknown"
Way = Literal["record", "people", "both"]
ITEMS = ("touches", "latest", "earliest", "last_activity")


@dataclass(frozen=True)
class Touch:
    """A row: ``done`` None is blank. ``unreadable`` may hold done and at; an ``own`` one is a task of StageSync."""

    deal: str | None
    person: str | None
    done: bool | None
    day: int | None
    unreadable: frozenset[str] = frozenset()
    own: bool = False

    @property
    def at(self) -> datetime | None:
        return None if self.day is None or "at" in self.unreadable else FIRST + timedelta(days=self.day)


@dataclass(frozen=True)
class Tie:
    """A person belongs to a deal; None where the cell is blank, and ``broken`` where the person cannot be read."""

    person: str | None
    deal: str | None
    broken: bool = False


@dataclass(frozen=True)
class Account:
    """The account of a deal, by its id, and its person where it is a person account."""

    account: str
    person: str | None


@dataclass(frozen=True)
class Case:
    """What was read, how rows belong, whether only done ones count, and what an empty table means."""

    touches: Sequence[Touch]
    ties: Sequence[Tie]
    way: Way
    only_done: bool
    empty_is_known: bool
    associated: bool
    """Belonging is kept as associations (HubSpot) and not in columns."""
    accounts: Mapping[str, Account] | None = None
    """By deal; None where the CRM has no person accounts, though the mapping may look for them."""
    looks_at_accounts: bool = False


touch = st.builds(
    Touch,
    deal=st.sampled_from([None, *DEALS, *ACCOUNTS, "elsewhere"]),
    person=st.sampled_from([None, *PEOPLE, *ACCOUNTS]),
    done=st.sampled_from([None, True, True, False]),
    day=st.none() | st.integers(0, 9) | st.integers(90, 99),  # the latter are still to come
    unreadable=st.frozensets(st.sampled_from(["done", "at"]), max_size=1) | st.just(frozenset()),
    own=st.sampled_from([False, False, False, True]),
)
tie = st.builds(Tie, st.sampled_from([None, *PEOPLE]), st.sampled_from([None, *DEALS]), st.sampled_from([False, True]))


account = st.builds(Account, st.sampled_from(ACCOUNTS), st.sampled_from([None, *PEOPLE]))
accounts = st.none() | st.dictionaries(st.sampled_from(DEALS), account)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Anything that can be read."""
    associated = draw(st.booleans())
    ties = draw(st.lists(tie, max_size=5))
    if associated:  # an association has two ends, and both can be read
        ties = [replace(one, broken=False) for one in ties if one.person and one.deal]
    return Case(
        touches=draw(st.lists(touch, max_size=7)),
        ties=[replace(one, person=None) if one.broken else one for one in ties],
        way=draw(st.sampled_from(["record", "people", "both"])),
        only_done=draw(st.booleans()),
        empty_is_known=draw(st.booleans()),
        associated=associated,
        accounts=None if associated else draw(accounts),
        looks_at_accounts=not associated and draw(st.booleans()),
    )


# What it comes to -------------------------------------------------------------------------------------------------


def reckoned(case: Case) -> dict[str, Any]:
    """Each item's value by deal (or UNKNOWN), or UNKNOWN for all of them."""
    touches = [one for one in case.touches if not one.own]
    if silent(case, touches):
        return dict.fromkeys(ITEMS, UNKNOWN)
    return {item: {deal: figure(case, item, deal, touches) for deal in DEALS} for item in ITEMS}


def silent(case: Case, touches: Sequence[Touch]) -> bool:
    if case.empty_is_known:
        return False
    if not touches:
        return True
    if case.way != "record" and not case.ties and not any(person_account(case, deal) for deal in DEALS):
        return True
    named = [(one.deal if case.way != "people" else None) or (one.person if case.way != "record" else None)
             for one in touches]  # fmt: skip
    return not any(named)


def person_account(case: Case, deal: str) -> Account | None:
    """The person account that a deal is with, as far as the mapping looks and the CRM has any."""
    account = (case.accounts or {}).get(deal) if case.looks_at_accounts else None
    return account if account is not None and account.person is not None else None


def figure(case: Case, item: str, deal: str, touches: Sequence[Touch]) -> Any:
    people = {one.person for one in case.ties if one.deal == deal and one.person is not None}
    by_deal, by_person = case.way != "people", case.way != "record"
    its_own = person_account(case, deal) if by_person else None
    names = {deal, its_own.account} if its_own else {deal}
    people |= {its_own.person or "", its_own.account} if its_own else set()
    mine = [one for one in touches if (by_deal and one.deal in names) or (by_person and one.person in people)]
    looked_at = {"done"} if case.only_done else set()
    looked_at |= {"at"} if item != "touches" else set()
    if any(one.unreadable & looked_at for one in mine):
        return UNKNOWN
    if case.way != "record" and any(one.broken and one.deal == deal for one in case.ties):
        return UNKNOWN
    counted = [one for one in mine if not case.only_done or (one.done and "done" not in one.unreadable)]
    if item == "touches":
        return len(counted)
    moments = [one.at for one in counted if one.at is not None]
    if item == "last_activity":
        moments = [at for at in moments if at <= NOW]
    return None if not moments else min(moments) if item == "earliest" else max(moments)


# As files and tables ----------------------------------------------------------------------------------------------


def mapping_words(case: Case) -> dict[str, Any]:
    """The mapping file as plain data."""
    ways = {"record": "via" if case.associated else "on", "people": "via_people" if case.associated else "on_people"}
    columns = {"on": "DealId", "via": "Deal", "on_people": "PersonId", "via_people": "Person"}
    used = [ways[word] for word in ("record", "people") if case.way in (word, "both")]
    common: dict[str, Any] = {word: columns[word] for word in used}
    common |= {"where": "Done"} if case.only_done else {}
    zero, blank = ({"empty": "zero"}, {"empty": "blank"}) if case.empty_is_known else ({}, {})
    tied: dict[str, Any] = {"table": "Ties", "person": "PersonId", "record": "DealId"}
    if case.looks_at_accounts:
        tied["person_account"] = {"person": "Account.Person", "account": "AccountId"}
    people = "Person" if case.associated else tied
    return {
        "mapping": "touched",
        "definition": "touched",
        "crm": "hubspot" if case.associated else "salesforce",
        "tasks": {"table": "Touch", "key": "Ours"},
        "tables": {
            "Touch": {"DealId": "text", "PersonId": "text", "Done": "boolean", "At": "datetime", "Ours": "text"},
            "Ties": {"PersonId": "text", "DealId": "text"},
            "Person": {},
        },
        "objects": {
            "Deal": {
                "stage": {"field": "Stage", "stages": {"Open": "deal"}},
                **({"people": people} if case.way != "record" else {}),
                "evidence": {
                    "touches": {"count": "Touch", **common, **zero},
                    "latest": {"max": "At", "of": "Touch", **common, **blank},
                    "earliest": {"min": "At", "of": "Touch", **common, **blank},
                    "last_activity": {"max": "At", "of": "Touch", **common, **blank},
                },
            }
        },
    }


DEFINITION: Mapping[str, Any] = {
    "definition": "touched",
    "ladder": ["deal"],
    "evidence": {item: {"type": "integer" if item == "touches" else "datetime"} for item in ITEMS},
    "stages": {"deal": {"means": "a deal"}},
}


def tables(case: Case) -> Tables:
    """What would have been read."""
    key = "hs_object_id" if case.associated else "Id"
    ids = [f"t{number}" for number in range(len(case.touches))]
    rows: dict[str, Any] = {
        key: ids,
        "DealId": [one.deal for one in case.touches],
        "PersonId": [one.person for one in case.touches],
        "Done": [None if "done" in one.unreadable else one.done for one in case.touches],
        "At": [one.at for one in case.touches],
        "Ours": ["key" if one.own else None for one in case.touches],
    }
    schema: dict[str, Any] = dict.fromkeys((key, "DealId", "PersonId"), pl.String)
    schema |= {"Done": pl.Boolean, "At": pl.Datetime("us", "UTC"), "Ours": pl.String}
    for column, name in (("Done", "done"), ("At", "at")):
        broken = [name in one.unreadable for one in case.touches]
        if any(broken):
            rows[column + UNREADABLE], schema[column + UNREADABLE] = broken, pl.Boolean
    ties: dict[str, Any] = {
        key: [str(number) for number in range(len(case.ties))],
        "PersonId": [one.person for one in case.ties],
        "DealId": [one.deal for one in case.ties],
    }
    tied: dict[str, Any] = dict.fromkeys(ties, pl.String)
    if any(one.broken for one in case.ties):
        ties["PersonId" + UNREADABLE], tied["PersonId" + UNREADABLE] = [one.broken for one in case.ties], pl.Boolean
    deals: dict[str, Any] = {key: list(DEALS), "Stage": ["Open"] * len(DEALS)}
    if case.accounts is not None:
        found = [case.accounts.get(deal) for deal in DEALS]
        deals["Account.Person"] = pl.Series([one.person if one else None for one in found], dtype=pl.String)
        deals["AccountId"] = pl.Series([one.account if one else None for one in found], dtype=pl.String)
    return Tables(
        rows={
            "Deal": pl.DataFrame(deals),
            "Touch": pl.DataFrame(rows, schema=schema),
            "Ties": pl.DataFrame(ties, schema=tied),
            "Person": pl.DataFrame({key: list(PEOPLE)}),
            "Touch~Deal": links([(id_, one.deal) for id_, one in zip(ids, case.touches, strict=True)]),
            "Touch~Person": links([(id_, one.person) for id_, one in zip(ids, case.touches, strict=True)]),
            "Person~Deal": links([(one.person, one.deal) for one in case.ties]),
        }
    )


def links(pairs: Sequence[tuple[str | None, str | None]]) -> pl.DataFrame:
    """Associations; what is blank at an end is none."""
    whole = sorted({pair for pair in pairs if None not in pair})
    return pl.DataFrame(whole, schema={"from": pl.String, "to": pl.String}, orient="row")
