"""The problems that are planted: each recipe spoils one healthy record in one way that reps spoil them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.life import Life, TouchKind
from stagesync.sandbox.company.recipes import Build, Recipe, Subject
from stagesync.sandbox.company.staff import GHOST, LEAVERS

PROBLEMS: list[Recipe] = []


def _planted(
    subject: Subject, *expects: str, why: str, crm: str | None = None, cards: int = 1
) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        name = build.__name__.strip("_").replace("_", " ")
        PROBLEMS.append(
            Recipe(
                name=f"{subject} {name}",
                subject=subject,
                build=build,
                why=why,
                expects=frozenset(expects),
                crm=crm,
                cards=cards,
            )
        )
        return build

    return register


# People: premature


@_planted("person", "premature", why="a prospect to whom we wrote and who never answered")
def _only_outbound_mail(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "mail_out", "mail_out", "todo_done", "mail_out")


@_planted("person", "premature", why="a prospect with calls in which nobody was spoken to")
def _only_missed_calls(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "missed_call", "mail_out", "missed_call")


@_planted("person", "premature", why="a prospect whose only meeting was cancelled")
def _person_with_cancelled_meeting(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "mail_out", "cancelled_meeting", "mail_out")


def _prospect_of(author: Author, employees: int | None) -> Life:
    life = author.person("prospect")
    life.account = author.account(employees)
    return life


@_planted("person", "premature", why="a prospect at a company of unknown size")
def _person_without_size(author: Author) -> Life:
    return _prospect_of(author, None)


@_planted("person", "premature", why="a prospect at a company of three people")
def _person_at_tiny_company(author: Author) -> Life:
    return _prospect_of(author, 3)


@_planted("person", "premature", why="a prospect at a company that is larger than what we sell is made for")
def _person_at_giant_company(author: Author) -> Life:
    return _prospect_of(author, author.almanac.between(5001, 240_000))


@_planted("person", "premature", why="a lead that nobody can reach: neither mail nor telephone")
def _unreachable_lead(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email = life.person.phone = None
    return life


@_planted("person", "premature", why="a prospect with neither e-mail address nor telephone number")
def _unreachable_prospect(author: Author) -> Life:
    life = author.person("prospect")
    assert life.person is not None
    life.person.email, life.person.phone = None, author.rng.choice((None, " "))
    return life


@_planted("person", "premature", "placeholder.phone", why="no e-mail address, and a telephone number that is none")
def _junk_phone_alone(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email, life.person.phone = None, author.rng.choice(vocabulary.PHONE_PLACEHOLDERS)
    return life


@_planted("person", "premature", why="a contact in stage opportunity without a pain", crm="hubspot")
def _contact_without_pain(author: Author) -> Life:
    life = author.person("opportunity")
    life.pain = None
    return life


@_planted("person", "premature", "placeholder.pain", why="the pain is a placeholder", crm="hubspot")
def _contact_with_junk_pain(author: Author) -> Life:
    life = author.person("opportunity")
    life.pain = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@_planted("person", "premature", why="in stage opportunity after a single answer", crm="hubspot")
def _contact_who_answered_once(author: Author) -> Life:
    return author.talk_only(author.person("opportunity"), "mail_out", "meeting", "mail_out")


@_planted("person", "premature", why="in stage opportunity without any meeting", crm="hubspot")
def _contact_without_meeting(author: Author) -> Life:
    return author.talk_only(author.person("opportunity"), "mail_in", "call", "mail_in")


@_planted("person", "premature", why="in stage opportunity without ever having answered", crm="hubspot")
def _contact_who_never_answered(author: Author) -> Life:
    return author.talk_only(author.person("opportunity"), "mail_out", "cancelled_meeting", "mail_out")


# People: time, texts, owners


@_planted("person", "stalled", why="a lead that nobody followed up")
def _forgotten_lead(author: Author) -> Life:
    return author.person("lead", dormant=True)


@_planted("person", "stalled", why="a prospect that nobody followed up")
def _forgotten_prospect(author: Author) -> Life:
    return author.person("prospect", dormant=True)


@_planted("person", "stalled", why="silent for weeks; a meeting next year does not make it alive")
def _silent_person_with_event_next_year(author: Author) -> Life:
    life = author.person("lead", dormant=True)
    author.add(life, "planned_meeting", author.almanac.days_ahead(200, 400))
    return life


@_planted("person", "stalled", why="silent for weeks but for a task of StageSync and a bulk update")
def _silent_person_with_own_task(author: Author) -> Life:
    return _stir(author, author.person("prospect", dormant=True))


@_planted("person", "stalled", why="in stage opportunity and silent for weeks", crm="hubspot")
def _silent_contact(author: Author) -> Life:
    return author.person("opportunity", dormant=True)


@_planted("person", "stalled", why="in the same stage for more than half a year, however busy", crm="hubspot")
def _aged_contact(author: Author) -> Life:
    return author.outgrow(author.person("opportunity"))


@_planted("person", "placeholder.pain", why="the pain is a placeholder")
def _person_with_junk_pain(author: Author) -> Life:
    life = author.person(author.rng.choice(("lead", "prospect")))
    life.pain = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@_planted("person", "placeholder.phone", why="the telephone number is a placeholder; the e-mail address is real")
def _person_with_junk_phone(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email = life.person.email or author.address("Front", "desk", life.account.domain)
    life.person.phone = author.rng.choice(vocabulary.PHONE_PLACEHOLDERS)
    return life


def _orphan(author: Author, life: Life) -> Life:
    """Take the owner away in one of the ways in which the CRM allows it."""
    left = author.rng.choice(LEAVERS)
    life.owner = left if author.crm == "salesforce" else author.rng.choice((left, None, GHOST))
    return life


@_planted("person", "unowned", why="the owner has left, or there is none")
def _orphaned_person(author: Author) -> Life:
    return _orphan(author, author.person(author.rng.choice(("lead", "prospect"))))


@_planted("person", "unowned", "stalled", why="nobody's lead, and so nobody followed it up")
def _orphaned_and_forgotten_person(author: Author) -> Life:
    return _orphan(author, author.person("lead", dormant=True))


@_planted("person", "ready", why="a lead that answered and fits")
def _lead_that_is_a_prospect(author: Author) -> Life:
    life = author.person("lead")
    life.account = author.fitting_account()
    return author.talk_only(life, "mail_out", author.rng.choice(("mail_in", "call")), "mail_out")


@_planted("person", "ready", why="a prospect with a pain, several answers and a meeting")
def _prospect_that_is_an_opportunity(author: Author) -> Life:
    life = author.person("prospect")
    life.pain = vocabulary.pain(author.rng)
    meeting: TouchKind = author.rng.choice(("meeting", "planned_meeting"))
    author.talk_only(life, "mail_out", "mail_in", "call", "mail_in")
    at = author.recently(life) if meeting == "meeting" else author.almanac.days_ahead(6, 20)
    author.add(life, meeting, at)
    return life


# Deals: premature


@_planted("deal", "premature", why="we wrote, nobody answered")
def _deal_with_only_outbound_mail(author: Author) -> Life:
    return author.talk_only(author.deal("opportunity"), "mail_out", "todo_done", "mail_out", "mail_out")


@_planted("deal", "premature", why="calls in which nobody was spoken to")
def _deal_with_only_missed_calls(author: Author) -> Life:
    return author.talk_only(author.deal("opportunity"), "missed_call", "missed_call", "mail_out")


@_planted("deal", "premature", why="a company of unknown size")
def _deal_without_size(author: Author) -> Life:
    return author.deal("opportunity", account=author.account(None))


@_planted("deal", "premature", why="a company of three people")
def _deal_with_tiny_company(author: Author) -> Life:
    return author.deal(author.rng.choice(("opportunity", "proposal")), account=author.account(3))


@_planted("deal", "premature", why="no pain written down")
def _deal_without_pain(author: Author) -> Life:
    life = author.deal("opportunity")
    life.pain = author.rng.choice((None, "", "  "))
    return life


@_planted("deal", "premature", "placeholder.pain", why="the pain is a placeholder")
def _deal_with_junk_pain(author: Author) -> Life:
    life = author.deal(author.rng.choice(("opportunity", "proposal")))
    life.pain = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@_planted("deal", "premature", why="one meeting and no other answer; its invitees' copies are no further meetings")
def _deal_with_one_answer(author: Author) -> Life:
    life = author.talk_only(author.deal("opportunity"), "mail_out", "meeting", "mail_out")
    met = next(touch for touch in life.touches if touch.kind == "meeting")
    for _ in range(2 if author.crm == "salesforce" else 0):
        author.add(life, "invitee_copy", met.at).minutes = met.minutes
    return life


@_planted("deal", "premature", why="answers, but never a meeting")
def _deal_without_meeting(author: Author) -> Life:
    return author.talk_only(author.deal("opportunity"), "mail_in", "call", "mail_out", "mail_in")


@_planted("deal", "premature", why="the only meeting was cancelled")
def _deal_with_cancelled_meeting(author: Author) -> Life:
    life = author.talk_only(author.deal("opportunity"), "mail_in", "call", "cancelled_meeting", "mail_in")
    author.add(life, "cancelled_plan", author.almanac.days_ahead(5, 30))
    return life


def _proposal_without(author: Author, *missing: str) -> Life:
    return author.deal("proposal", missing=missing)


@_planted("deal", "premature", why="a proposal to people of whom none may decide")
def _proposal_without_decider(author: Author) -> Life:
    return _proposal_without(author, "decides")


@_planted("deal", "premature", why="a proposal without a confirmed budget")
def _proposal_without_budget(author: Author) -> Life:
    return _proposal_without(author, "budget")


@_planted("deal", "premature", why="a proposal without an amount")
def _proposal_without_amount(author: Author) -> Life:
    return _proposal_without(author, "amount")


@_planted("deal", "premature", why="a proposal over an amount of 0")
def _proposal_for_nothing(author: Author) -> Life:
    life = _proposal_without(author, "amount")
    life.amount = 0.0
    return life


@_planted("deal", "premature", why="a proposal without a next step")
def _proposal_without_next_step(author: Author) -> Life:
    return _proposal_without(author, "next_step")


@_planted("deal", "premature", "placeholder.next_step", why="the next step is a placeholder")
def _proposal_with_junk_next_step(author: Author) -> Life:
    life = _proposal_without(author, "next_step")
    life.next_step = author.rng.choice(("tbd", *vocabulary.PLACEHOLDERS))
    return life


@_planted("deal", "premature", why="nobody at the buyer is tied to the deal: not even a lead's worth")
def _deal_without_people(author: Author) -> Life:
    life = author.deal(author.rng.choice(("opportunity", "proposal")))
    life.buyers = []
    return life


@_planted("deal", "premature", why="a proposal with nothing behind it")
def _proposal_with_nothing(author: Author) -> Life:
    life = author.deal("proposal", missing=("amount", "decides", "budget", "next_step"), account=author.account(None))
    life.pain = None
    return author.talk_only(life, "mail_out")


# Deals: time


def _stir(author: Author, life: Life) -> Life:
    """Let machines touch the record lately: a task of StageSync and a bulk update."""
    author.add(life, "own_task", author.almanac.business_days_ago(1, 2))
    life.edited = author.almanac.as_of - timedelta(hours=5)
    return life


@_planted("deal", "stalled", why="nothing happened for weeks")
def _silent_deal(author: Author) -> Life:
    return author.deal("opportunity", dormant=True)


@_planted("deal", "stalled", why="a proposal about which nobody has spoken for weeks")
def _silent_proposal(author: Author) -> Life:
    return author.deal("proposal", dormant=True)


@_planted("deal", "stalled", why="in the same stage for more than half a year, however busy")
def _aged_deal(author: Author) -> Life:
    return author.outgrow(author.deal("opportunity"))


@_planted("deal", "stalled", why="a proposal that has been lying there for more than 90 days, however busy")
def _aged_proposal(author: Author) -> Life:
    return author.outgrow(author.deal("proposal"))


@_planted("deal", "stalled", why="dead; an event next year makes it look fresh")
def _dead_deal_with_event_next_year(author: Author) -> Life:
    life = author.deal("opportunity", dormant=True)
    author.add(life, "planned_meeting", author.almanac.days_ahead(200, 400))
    return life


@_planted("deal", "stalled", why="dead; all that is recent is a task of StageSync")
def _dead_deal_with_own_task(author: Author) -> Life:
    return _stir(author, author.deal("proposal", dormant=True))


@_planted("deal", "stalled", why="dead; all that is recent is a bulk update")
def _dead_deal_after_bulk_update(author: Author) -> Life:
    life = author.deal("opportunity", dormant=True)
    life.edited = author.almanac.as_of - timedelta(hours=7)
    return life


# Deals: contradictions, texts, owners


@_planted("deal", "contradiction.won-without-amount", why="won, and the amount is blank or 0", cards=2)
def _won_without_amount(author: Author) -> Life:
    life = author.closed_deal(won=True)
    life.amount = author.rng.choice((None, 0.0))
    return life


@_planted("deal", "contradiction.won-in-the-future", why="won, and to be closed on a day that is still to come")
def _won_in_the_future(author: Author) -> Life:
    life = author.closed_deal(won=True)
    life.close_date = author.almanac.days_ahead(8, 120).date()
    return life


def _overdue(author: Author, life: Life) -> Life:
    life.close_date = author.almanac.days_ago(5, 25).date()
    return life


@_planted("deal", "contradiction.close-date-passed", why="an open deal that should have closed already", cards=2)
def _overdue_deal(author: Author) -> Life:
    return _overdue(author, author.deal(author.rng.choice(("opportunity", "proposal"))))


@_planted("deal", "contradiction.lost-reason-on-open-deal", why="an open deal with a reason for its loss")
def _lost_reason_on_open_deal(author: Author) -> Life:
    life = author.deal("opportunity")
    life.lost_reason = author.rng.choice(vocabulary.LOST_REASONS)
    return life


@_planted("deal", "placeholder.lost_reason", why="an open deal whose reason for loss is a placeholder")
def _junk_lost_reason(author: Author) -> Life:
    life = author.deal("opportunity")
    life.lost_reason = author.rng.choice(("n/a", "-", "Select", "None"))
    return life


@_planted("deal", "placeholder.next_step", why="the next step of an opportunity is a placeholder")
def _junk_next_step(author: Author) -> Life:
    life = author.deal("opportunity", missing=("next_step",))
    life.next_step = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@_planted("deal", "unowned", why="the owner has left, or there is none")
def _orphaned_deal(author: Author) -> Life:
    return _orphan(author, author.deal(author.rng.choice(("opportunity", "proposal"))))


@_planted("deal", "ready", why="value, budget, somebody who decides and a next step: a proposal already")
def _deal_that_is_a_proposal(author: Author) -> Life:
    return author.deal("opportunity", missing=())


@_planted(
    "deal",
    "premature",
    "stalled",
    "placeholder.next_step",
    "contradiction.close-date-passed",
    why="a proposal that was given up and never closed",
)
def _abandoned_proposal(author: Author) -> Life:
    life = author.deal("proposal", dormant=True, missing=("next_step", "budget"))
    life.next_step = author.rng.choice(vocabulary.PLACEHOLDERS)
    return _overdue(author, life)
