"""Leads and contacts that are planted wrong: each spoils a healthy one in one way that reps spoil them."""

from __future__ import annotations

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.life import Life, TouchKind
from stagesync.sandbox.company.planting import Plantings, orphan, stir

planted = Plantings("person")


# Stages that were not earned


@planted("premature", why="a prospect to whom we wrote and who never answered")
def _only_outbound_mail(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "mail_out", "mail_out", "todo_done", "mail_out")


@planted("premature", why="a prospect with calls in which nobody was spoken to")
def _only_missed_calls(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "missed_call", "mail_out", "missed_call")


@planted("premature", why="a prospect whose only meeting was cancelled")
def _person_with_cancelled_meeting(author: Author) -> Life:
    return author.talk_only(author.person("prospect"), "mail_out", "cancelled_meeting", "mail_out")


def _prospect_of(author: Author, employees: int | None) -> Life:
    life = author.person("prospect")
    life.account = author.account(employees)
    return life


@planted("premature", why="a prospect at a company of unknown size")
def _person_without_size(author: Author) -> Life:
    return _prospect_of(author, None)


@planted("premature", why="a prospect at a company of three people")
def _person_at_tiny_company(author: Author) -> Life:
    return _prospect_of(author, 3)


@planted("premature", why="a prospect at a company that is larger than what we sell is made for")
def _person_at_giant_company(author: Author) -> Life:
    return _prospect_of(author, author.almanac.between(5001, 240_000))


@planted("premature", why="a lead that nobody can reach: neither mail nor telephone")
def _unreachable_lead(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email = life.person.phone = None
    return life


@planted("premature", why="a prospect with neither e-mail address nor telephone number")
def _unreachable_prospect(author: Author) -> Life:
    life = author.person("prospect")
    assert life.person is not None
    life.person.email, life.person.phone = None, author.rng.choice((None, " "))
    return life


@planted("premature", "placeholder.phone", why="no e-mail address, and a telephone number that is none")
def _junk_phone_alone(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email, life.person.phone = None, author.rng.choice(vocabulary.PHONE_PLACEHOLDERS)
    return life


@planted("premature", why="a contact in stage opportunity without a pain", crm="hubspot")
def _contact_without_pain(author: Author) -> Life:
    life = author.person("opportunity")
    life.pain = None
    return life


@planted("premature", "placeholder.pain", why="the pain is a placeholder", crm="hubspot")
def _contact_with_junk_pain(author: Author) -> Life:
    life = author.person("opportunity")
    life.pain = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@planted("premature", why="in stage opportunity after a single answer", crm="hubspot")
def _contact_who_answered_once(author: Author) -> Life:
    return author.talk_only(author.person("opportunity"), "mail_out", "meeting", "mail_out")


@planted("premature", why="in stage opportunity without any meeting", crm="hubspot")
def _contact_without_meeting(author: Author) -> Life:
    return author.talk_only(author.person("opportunity"), "mail_in", "call", "mail_in")


@planted("premature", why="in stage opportunity without ever having answered", crm="hubspot")
def _contact_who_never_answered(author: Author) -> Life:
    return author.talk_only(author.person("opportunity"), "mail_out", "cancelled_meeting", "mail_out")


# Time, texts, owners


@planted("stalled", why="a lead that nobody followed up")
def _forgotten_lead(author: Author) -> Life:
    return author.person("lead", dormant=True)


@planted("stalled", why="a prospect that nobody followed up")
def _forgotten_prospect(author: Author) -> Life:
    return author.person("prospect", dormant=True)


@planted("stalled", why="silent for weeks; a meeting next year does not make it alive")
def _silent_person_with_event_next_year(author: Author) -> Life:
    life = author.person("lead", dormant=True)
    author.add(life, "planned_meeting", author.almanac.days_ahead(200, 400))
    return life


@planted("stalled", why="silent for weeks but for a task of StageSync and a bulk update")
def _silent_person_with_own_task(author: Author) -> Life:
    return stir(author, author.person("prospect", dormant=True))


@planted("stalled", why="in stage opportunity and silent for weeks", crm="hubspot")
def _silent_contact(author: Author) -> Life:
    return author.person("opportunity", dormant=True)


@planted("stalled", why="in the same stage for more than half a year, however busy", crm="hubspot")
def _aged_contact(author: Author) -> Life:
    return author.outgrow(author.person("opportunity"))


@planted("placeholder.pain", why="the pain is a placeholder")
def _person_with_junk_pain(author: Author) -> Life:
    life = author.person(author.rng.choice(("lead", "prospect")))
    life.pain = author.rng.choice(vocabulary.PLACEHOLDERS)
    return life


@planted("placeholder.phone", why="the telephone number is a placeholder; the e-mail address is real")
def _person_with_junk_phone(author: Author) -> Life:
    life = author.person("lead")
    assert life.person is not None
    life.person.email = life.person.email or author.address("Front", "desk", life.account.domain)
    life.person.phone = author.rng.choice(vocabulary.PHONE_PLACEHOLDERS)
    return life


@planted("unowned", why="the owner has left, or there is none")
def _orphaned_person(author: Author) -> Life:
    return orphan(author, author.person(author.rng.choice(("lead", "prospect"))))


@planted("unowned", "stalled", why="nobody's lead, and so nobody followed it up")
def _orphaned_and_forgotten_person(author: Author) -> Life:
    return orphan(author, author.person("lead", dormant=True))


@planted("ready", why="a lead that answered and fits")
def _lead_that_is_a_prospect(author: Author) -> Life:
    life = author.person("lead")
    life.account = author.fitting_account()
    return author.talk_only(life, "mail_out", author.rng.choice(("mail_in", "call")), "mail_out")


@planted("ready", why="a prospect with a pain, several answers and a meeting")
def _prospect_that_is_an_opportunity(author: Author) -> Life:
    life = author.person("prospect")
    life.pain = vocabulary.pain(author.rng)
    meeting: TouchKind = author.rng.choice(("meeting", "planned_meeting"))
    author.talk_only(life, "mail_out", "mail_in", "call", "mail_in")
    at = author.recently(life) if meeting == "meeting" else author.almanac.days_ahead(6, 20)
    author.add(life, meeting, at)
    return life


# Ways through the stages


def _who_came_by(author: Author, life: Life, *rungs: str | None) -> Life:
    return author.came_by(life, *(author.stage_on(life, rung) for rung in rungs))


@planted("regressed", why="was a prospect, and is a lead again")
def _person_who_went_back(author: Author) -> Life:
    return _who_came_by(author, author.person("lead"), "lead", "prospect")


@planted("regressed", why="was in stage opportunity, and is a prospect again", crm="hubspot")
def _contact_who_went_back(author: Author) -> Life:
    return _who_came_by(author, author.person("prospect"), "lead", "prospect", "opportunity")


@planted("skipped", why="from lead to opportunity in one jump, and never a prospect", crm="hubspot")
def _contact_who_jumped(author: Author) -> Life:
    return _who_came_by(author, author.person("opportunity"), "lead")


@planted("skipped", why="outside of selling for a time, then a lead, and in one jump an opportunity", crm="hubspot")
def _contact_who_jumped_after_a_rest(author: Author) -> Life:
    return _who_came_by(author, author.person("opportunity"), None, "lead")


@planted("regressed", "skipped", why="was a customer, is an opportunity, and was never a prospect", crm="hubspot")
def _contact_who_was_a_customer(author: Author) -> Life:
    return _who_came_by(author, author.person("opportunity"), "lead", "customer")
