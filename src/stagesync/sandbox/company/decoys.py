"""Decoys: records that look bad and are fine. An audit that flags one of them has read something wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.life import Life, Step, TouchKind
from stagesync.sandbox.company.recipes import Build, Recipe, Subject
from stagesync.sandbox.company.staff import LEAVERS, QUEUE

DECOYS: list[Recipe] = []


def _fine(subject: Subject, why: str, *, crm: str | None = None) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        name = build.__name__.strip("_").replace("_", " ")
        DECOYS.append(Recipe(name=f"{subject} {name}", subject=subject, build=build, why=why, crm=crm, decoy=True))
        return build

    return register


# People


@_fine("person", "no e-mail address, but a telephone number: can be reached")
def _phone_only(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email, life.person.phone = None, vocabulary.phone(author.rng)
    return life


@_fine("person", "an address that begins like a placeholder is still an address")
def _odd_address(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.account = author.account(None)
    life.person.first, life.person.last = "Nadia", "Test"
    life.person.email = f"{author.rng.choice(('na', 'x', 'test', 'tbd'))}@{life.account.domain}"
    life.name = "Nadia Test"
    return life


@_fine("person", "spoken to on the telephone, never by mail: two-way all the same")
def _call_but_never_a_mail(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "missed_call", "call", "missed_call")


@_fine("person", "converted: lives on as a contact and a deal, whatever it lacks", crm="salesforce")
def _converted_without_anything(author: Author) -> Life:
    life = author.parked_person("Closed - Converted")
    assert life.person is not None
    life.person.email = life.person.phone = None
    life.account = author.account(None)
    life.converted, life.owner, life.pain = True, author.rng.choice(LEAVERS), "tbd"
    life.touches.clear()
    return life


def _holes(author: Author, native: str) -> Life:
    life = author.parked_person(native)
    assert life.person is not None
    life.person.email, life.person.phone = None, "n/a"
    life.account = author.account(None)
    life.owner, life.pain = author.rng.choice(LEAVERS), "x"
    life.touches.clear()
    return life


@_fine("person", "parked: nobody works on it, so nothing is missing", crm="salesforce")
def _parked_full_of_holes(author: Author) -> Life:
    return _holes(author, author.rng.choice(("Nurturing", "Closed - Not Converted")))


@_fine("person", "outside of selling: nothing is missing", crm="hubspot")
def _outside_full_of_holes(author: Author) -> Life:
    return _holes(author, author.rng.choice(("subscriber", "other")))


@_fine("person", "a customer; customers are not judged by what their record lacks", crm="hubspot")
def _customer_with_nothing(author: Author) -> Life:
    return _holes(author, "customer")


@_fine("person", "owned by a queue, which is an owner", crm="salesforce")
def _in_a_queue(author: Author) -> Life:
    life = author.person("lead")
    life.owner = QUEUE
    return life


@_fine("person", "20 people: just large enough")
def _smallest_company(author: Author) -> Life:
    life = author.person("prospect")
    life.account = author.account(20)
    return life


@_fine("person", "5,000 people: just small enough")
def _largest_company(author: Author) -> Life:
    life = author.person("prospect")
    life.account = author.account(5000)
    return life


@_fine("person", "the pain is two words in another alphabet, which says enough")
def _person_with_foreign_pain(author: Author) -> Life:
    life = author.person("opportunity" if author.crm == "hubspot" else "prospect")
    life.pain = author.rng.choice(vocabulary.FOREIGN_PAINS)
    if author.crm == "salesforce":
        author.talk_only(life, "mail_out", "call", "mail_in")
    return life


@_fine("person", "something happened a day ago, though the CRM's own field shows an old date")
def _person_with_old_activity_field(author: Author) -> Life:
    return _alive_behind_an_old_date(author, author.person("prospect"))


@_fine("person", "a meeting is ahead, and there was mail this week")
def _person_with_future_event(author: Author) -> Life:
    life = author.person("prospect")
    life.pain = None
    author.add(life, "planned_meeting", author.almanac.days_ahead(5, 60))
    return life


@_fine("person", "two years old, and it came into its stage this week")
def _old_person_fresh_stage(author: Author) -> Life:
    life = author.person("prospect")
    first, last = life.track.stages[0], life.stage
    life.steps = [Step(first, author.almanac.days_ago(700, 780)), Step(last, author.almanac.business_days_ago(2, 6))]
    life.touches.clear()
    author.happen(life, ("mail_in", "mail_out"), author.almanac.business_days_ago(40, 60))
    return life


@_fine("person", "created this week; nobody had the time to do anything yet")
def _fresh_lead(author: Author) -> Life:
    life = author.person("lead")
    life.steps = [Step(life.track.stages[0], author.almanac.business_days_ago(1, 3))]
    life.touches.clear()
    return life


@_fine("person", "was a prospect, then parked; it starts afresh as a lead")
def _person_back_from_parking(author: Author) -> Life:
    return _came_by(author, author.person("lead"), "lead", "prospect", None)


@_fine("person", "was parked; out of it, it comes into any stage without a jump", crm="hubspot")
def _contact_out_of_parking(author: Author) -> Life:
    return _came_by(author, author.person("opportunity"), "lead", None)


@_fine("person", "from lead to opportunity, but it had been a prospect before", crm="hubspot")
def _contact_who_was_a_prospect_before(author: Author) -> Life:
    return _came_by(author, author.person("opportunity"), "lead", "prospect", "lead")


@_fine("person", "created in stage opportunity; nothing is known of before", crm="hubspot")
def _contact_created_high(author: Author) -> Life:
    return _came_by(author, author.person("opportunity"))


# Deals


@_fine("deal", "begins with a placeholder, but says what happens and when")
def _tbd_after_the_board_meeting(author: Author) -> Life:
    life = author.deal("proposal")
    life.next_step = author.rng.choice(
        (
            f"TBD after the board meeting; {author.staff_name()} calls on 12 December",
            f"N/A until the plant reopens; {author.staff_name()} calls on 4 May",
        )
    )
    return life


@_fine("deal", "the next step is short and stands on many deals: a usual one")
def _usual_next_step(author: Author) -> Life:
    life = author.deal("proposal")
    life.next_step = author.rng.choice(vocabulary.USUAL_STEPS)
    return life


@_fine("deal", "two years old and alive: active yesterday, and not long in its stage")
def _two_years_old_and_alive(author: Author) -> Life:
    life = author.deal("proposal")
    first = life.track.stages[0]
    life.steps = [
        Step(first, author.almanac.days_ago(720, 760)),
        Step(life.stage, author.almanac.days_ago(26, 80)),
    ]
    author.add(life, "mail_in", author.almanac.business_days_ago(1, 1))
    return life


@_fine("deal", "lost: a deal that brought nothing needs no amount")
def _lost_without_amount(author: Author) -> Life:
    life = author.closed_deal(won=False)
    life.amount, life.lost_reason, life.next_step, life.pain = None, "n/a", "-", None
    life.owner = author.rng.choice(LEAVERS)
    return life


@_fine("deal", "went back and forth; what counts is when it came into its stage the last time")
def _back_and_forth(author: Author) -> Life:
    life = author.deal("proposal")
    came = life.entered
    early = life.track.stages[0]
    life.steps = [
        Step(early, author.almanac.days_ago(600, 640)),
        Step(life.stage, author.almanac.days_ago(400, 440)),
        Step(early, author.almanac.days_ago(200, 240)),
        Step(life.stage, came),
    ]
    return life


@_fine("deal", "the probability was set by hand; the stage is earned")
def _hand_set_probability(author: Author) -> Life:
    life = author.deal("opportunity")
    life.probability = author.rng.choice((5, 33, 95))
    return life


@_fine("deal", "20 people: just large enough")
def _deal_with_smallest_company(author: Author) -> Life:
    return author.deal("opportunity", account=author.account(20))


@_fine("deal", "5,000 people: just small enough")
def _deal_with_largest_company(author: Author) -> Life:
    return author.deal("proposal", account=author.account(5000))


@_fine("deal", "the pain is two words in another alphabet, which says enough")
def _deal_with_foreign_pain(author: Author) -> Life:
    life = author.deal("proposal")
    life.pain = author.rng.choice(vocabulary.FOREIGN_PAINS)
    return life


@_fine("deal", "won: whatever else is missing, they have bought")
def _won_with_nothing_else(author: Author) -> Life:
    life = author.closed_deal(won=True)
    life.account = author.account(None)
    life.pain, life.next_step, life.budget, life.buyers = None, "tbd", None, []
    life.owner = author.rng.choice(LEAVERS)
    life.touches.clear()
    return life


@_fine("deal", "closed: its close date is meant to be in the past")
def _closed_long_ago(author: Author) -> Life:
    life = author.closed_deal(won=author.chance(0.5))
    life.close_date = life.entered.date() - timedelta(days=author.almanac.between(0, 60))
    return life


@_fine("deal", "something happened a day ago, though the CRM's own field shows an old date")
def _deal_with_old_activity_field(author: Author) -> Life:
    return _alive_behind_an_old_date(author, author.deal("proposal"))


@_fine("deal", "no meeting yet, but one is in the calendar")
def _meeting_ahead(author: Author) -> Life:
    life = author.talk_only(author.deal("opportunity"), "mail_in", "call", "mail_in")
    author.add(life, "planned_meeting", author.almanac.days_ahead(5, 25))
    return life


@_fine("deal", "one of its people was called, mailed or met this week, with nothing logged on the deal")
def _silent_deal_with_busy_contact(author: Author) -> Life:
    life = author.deal(author.rng.choice(("opportunity", "proposal")), dormant=True)
    kinds: tuple[TouchKind, ...] = ("call", "missed_call", "mail_in", "mail_out", "meeting", "todo_done")
    author.add(life, author.rng.choice(kinds), author.almanac.business_days_ago(1, 4)).aside = True
    return life


@_fine("deal", "came into its stage this week; what was before does not count against it")
def _fresh_stage_after_silence(author: Author) -> Life:
    life = author.deal("proposal", dormant=True)
    earlier = next(stage for stage in life.track.stages if stage.rung == "opportunity")
    life.steps = [
        Step(earlier, life.created if life.steps[1:] else author.almanac.days_before(life.created, 20, 90)),
        Step(life.stage, author.almanac.business_days_ago(3, 6)),
    ]
    return life


@_fine("deal", "moved among the stages of one rung, which are one place")
def _back_within_a_rung(author: Author) -> Life:
    life = author.deal("opportunity")
    while len(life.track.on("opportunity")) == 1:
        life = author.deal("opportunity")
    others = [stage for stage in life.track.on("opportunity") if stage != life.stage]
    return author.came_by(life, others[0], others[-1])


@_fine("deal", "was a proposal, was lost, and was opened again: it starts afresh")
def _opened_again_after_a_loss(author: Author) -> Life:
    return _came_by(author, author.deal("opportunity"), "proposal", None)


def _came_by(author: Author, life: Life, *rungs: str | None) -> Life:
    return author.came_by(life, *(author.stage_on(life, rung) for rung in rungs))


def _alive_behind_an_old_date(author: Author, life: Life) -> Life:
    author.add(life, "mail_out", author.almanac.business_days_ago(1, 1))
    old: date = author.almanac.days_ago(200, 300).date()
    life.shown_activity = old
    return life
