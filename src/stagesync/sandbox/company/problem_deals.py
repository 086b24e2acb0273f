"""Opportunities and deals that are planted wrong: each spoils a healthy one in one way that reps spoil them."""

from __future__ import annotations

from datetime import timedelta

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.life import Life
from stagesync.sandbox.company.planting import Plantings, orphan, stir

planted = Plantings("deal")


# Stages that were not earned


@planted("premature", why="we wrote, nobody answered")
def _deal_with_only_outbound_mail(author: Author) -> Life:
    return author.talk_only(author.deal("opportunity"), "mail_out", "todo_done", "mail_out", "mail_out")


@planted("premature", why="calls in which nobody was spoken to")
def _deal_with_only_missed_calls(author: Author) -> Life:
    return author.talk_only(author.deal("opportunity"), "missed_call", "missed_call", "mail_out")


@planted("premature", why="its people answered, but none of it is logged on this deal")
def _deal_with_answers_elsewhere(author: Author) -> Life:
    life = author.talk_only(author.deal("opportunity", account=author.lone_account()), "mail_out", "mail_out")
    for kind in ("mail_in", "call", "meeting"):
        author.add(life, kind, author.almanac.business_days_ago(1, 8)).aside = True
    return life


@planted("premature", why="a company of unknown size")
def _deal_without_size(author: Author) -> Life:
    return author.deal("opportunity", account=author.account(None))


@planted("premature", why="a company of three people")
def _deal_with_tiny_company(author: Author) -> Life:
    return author.deal(author.rng.choice(("opportunity", "proposal")), account=author.account(3))


@planted("premature", why="no pain written down")
def _deal_without_pain(author: Author) -> Life:
    life = author.deal("opportunity")
    life.pain = author.rng.choice((None, "", "  "))
    return life


@planted("premature", "placeholder.pain", why="the pain is a placeholder")
def _deal_with_junk_pain(author: Author) -> Life:
    life = author.deal(author.rng.choice(("opportunity", "proposal")))
    life.pain = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@planted("premature", why="one meeting and no other answer; its invitees' copies are no further meetings")
def _deal_with_one_answer(author: Author) -> Life:
    life = author.talk_only(author.deal("opportunity"), "mail_out", "meeting", "mail_out")
    met = next(touch for touch in life.touches if touch.kind == "meeting")
    for _ in range(2 if author.crm == "salesforce" else 0):
        author.add(life, "invitee_copy", met.at).minutes = met.minutes
    return life


@planted("premature", why="answers, but never a meeting")
def _deal_without_meeting(author: Author) -> Life:
    return author.talk_only(author.deal("opportunity"), "mail_in", "call", "mail_out", "mail_in")


@planted("premature", why="the only meeting was cancelled")
def _deal_with_cancelled_meeting(author: Author) -> Life:
    life = author.talk_only(author.deal("opportunity"), "mail_in", "call", "cancelled_meeting", "mail_in")
    author.add(life, "cancelled_plan", author.almanac.days_ahead(5, 30))
    return life


def _proposal_without(author: Author, *missing: str) -> Life:
    return author.deal("proposal", missing=missing)


@planted("premature", why="a proposal to people of whom none may decide")
def _proposal_without_decider(author: Author) -> Life:
    return _proposal_without(author, "decides")


@planted("premature", why="a proposal without a confirmed budget")
def _proposal_without_budget(author: Author) -> Life:
    return _proposal_without(author, "budget")


@planted("premature", why="a proposal without an amount")
def _proposal_without_amount(author: Author) -> Life:
    return _proposal_without(author, "amount")


@planted("premature", why="a proposal over an amount of 0")
def _proposal_for_nothing(author: Author) -> Life:
    life = _proposal_without(author, "amount")
    life.amount = 0.0
    return life


@planted("premature", why="a proposal without a next step")
def _proposal_without_next_step(author: Author) -> Life:
    return _proposal_without(author, "next_step")


@planted("premature", "placeholder.next_step", why="the next step is a placeholder")
def _proposal_with_junk_next_step(author: Author) -> Life:
    life = _proposal_without(author, "next_step")
    life.next_step = author.rng.choice(("tbd", *vocabulary.PLACEHOLDERS))
    return life


@planted("premature", why="nobody at the buyer is tied to the deal: not even a lead's worth")
def _deal_without_people(author: Author) -> Life:
    life = author.deal(author.rng.choice(("opportunity", "proposal")))
    life.buyers = []
    return life


@planted("premature", why="a proposal with nothing behind it")
def _proposal_with_nothing(author: Author) -> Life:
    life = author.deal("proposal", missing=("amount", "decides", "budget", "next_step"), account=author.account(None))
    life.pain = None
    return author.talk_only(life, "mail_out")


# Time


@planted("stalled", why="nothing happened for weeks")
def _silent_deal(author: Author) -> Life:
    return author.deal("opportunity", dormant=True)


@planted("stalled", why="a proposal about which nobody has spoken for weeks")
def _silent_proposal(author: Author) -> Life:
    return author.deal("proposal", dormant=True)


@planted("stalled", why="in the same stage for more than half a year, however busy")
def _aged_deal(author: Author) -> Life:
    return author.outgrow(author.deal("opportunity"))


@planted("stalled", why="a proposal that has been lying there for more than 90 days, however busy")
def _aged_proposal(author: Author) -> Life:
    return author.outgrow(author.deal("proposal"))


@planted("stalled", why="dead; an event next year makes it look fresh")
def _dead_deal_with_event_next_year(author: Author) -> Life:
    life = author.deal("opportunity", dormant=True)
    author.add(life, "planned_meeting", author.almanac.days_ahead(200, 400))
    return life


@planted("stalled", why="dead; a meeting with one of its people is far ahead, and a task of StageSync was done there")
def _dead_deal_with_quiet_contact(author: Author) -> Life:
    life = author.deal("proposal", dormant=True)
    author.add(life, "planned_meeting", author.almanac.days_ahead(30, 60)).aside = True
    author.add(life, "own_task", author.almanac.business_days_ago(1, 2)).aside = True
    return life


@planted("stalled", why="dead; all that is recent is a task of StageSync")
def _dead_deal_with_own_task(author: Author) -> Life:
    return stir(author, author.deal("proposal", dormant=True))


@planted("stalled", why="dead; all that is recent is a bulk update")
def _dead_deal_after_bulk_update(author: Author) -> Life:
    life = author.deal("opportunity", dormant=True)
    life.edited = author.almanac.as_of - timedelta(hours=7)
    return life


# Contradictions, texts, owners


@planted("contradiction.won-without-amount", why="won, and the amount is blank or 0", cards=2)
def _won_without_amount(author: Author) -> Life:
    life = author.closed_deal(won=True)
    life.amount = author.rng.choice((None, 0.0))
    return life


@planted("contradiction.won-in-the-future", why="won, and to be closed on a day that is still to come")
def _won_in_the_future(author: Author) -> Life:
    life = author.closed_deal(won=True)
    life.close_date = author.almanac.days_ahead(8, 120).date()
    return life


def _overdue(author: Author, life: Life) -> Life:
    life.close_date = author.almanac.days_ago(5, 25).date()
    return life


@planted("contradiction.close-date-passed", why="an open deal that should have closed already", cards=2)
def _overdue_deal(author: Author) -> Life:
    return _overdue(author, author.deal(author.rng.choice(("opportunity", "proposal"))))


@planted("contradiction.lost-reason-on-open-deal", why="an open deal with a reason for its loss")
def _lost_reason_on_open_deal(author: Author) -> Life:
    life = author.deal("opportunity")
    life.lost_reason = author.rng.choice(vocabulary.LOST_REASONS)
    return life


@planted("placeholder.lost_reason", why="an open deal whose reason for loss is a placeholder")
def _junk_lost_reason(author: Author) -> Life:
    life = author.deal("opportunity")
    life.lost_reason = author.rng.choice(("n/a", "-", "Select", "None"))
    return life


@planted("placeholder.next_step", why="the next step of an opportunity is a placeholder")
def _junk_next_step(author: Author) -> Life:
    life = author.deal("opportunity", missing=("next_step",))
    life.next_step = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@planted(
    "placeholder.next_step", why="a next step that is no news: a placeholder, or pasted on many deals", pastes=True
)
def _opportunity_with_a_pasted_next_step(author: Author) -> Life:
    life = author.deal("opportunity", missing=("next_step",))
    life.next_step = author.worthless_step()
    return life


@planted("premature", "placeholder.next_step", why="a proposal with no next step of its own", pastes=True)
def _proposal_with_a_pasted_next_step(author: Author) -> Life:
    life = _proposal_without(author, "next_step")
    life.next_step = author.worthless_step()
    return life


@planted("unowned", why="the owner has left, or there is none")
def _orphaned_deal(author: Author) -> Life:
    return orphan(author, author.deal(author.rng.choice(("opportunity", "proposal"))))


@planted("ready", why="value, budget, somebody who decides and a next step: a proposal already")
def _deal_that_is_a_proposal(author: Author) -> Life:
    return author.deal("opportunity", missing=())


@planted(
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


# Ways through the stages


def _deal_that_came_by(author: Author, life: Life, *rungs: str | None) -> Life:
    return author.came_by(life, *(author.stage_on(life, rung) for rung in rungs))


@planted("regressed", why="was a proposal, and is an opportunity again")
def _deal_that_went_back(author: Author) -> Life:
    return _deal_that_came_by(author, author.deal("opportunity"), "opportunity", "proposal")


@planted("regressed", why="was won, and is open again")
def _won_deal_that_was_opened_again(author: Author) -> Life:
    return _deal_that_came_by(author, author.deal("proposal"), "opportunity", "customer")


@planted("premature", "regressed", why="went back from proposal, and has not even a pain written down")
def _deal_that_did_not_go_back_far_enough(author: Author) -> Life:
    life = _deal_that_came_by(author, author.deal("opportunity"), "opportunity", "proposal")
    life.pain = None
    return life
