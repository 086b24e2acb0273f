"""The stage definitions once more, by hand: what an audit must say about a life.

This is the key's reading. It works on what happened, not on rows; ``tests/sandbox`` holds a third reading
that works on the rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stagesync.sandbox.company.almanac import business_days
from stagesync.sandbox.company.life import Life
from stagesync.sandbox.company.tracks import AGE_LIMITS, IDLE_LIMITS, LADDER

NOT_STATED = frozenset(
    {
        "tbd", "tba", "tbc", "n/a", "na", "none", "nil", "null", "unknown", "select", "please select", "x", "xx", "xxx",
        "test", "asdf", "see notes", "to be determined", "to be confirmed", "todo", "pending", "same as above",
    }
)  # fmt: skip

NOTHING: frozenset[str] = frozenset()

Verdict = bool | None  # None: unknown, because the CRM cannot know


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: ``rule`` in full, the rung it stands on, and the rung it earned where that matters."""

    rule: str
    stage: str | None
    earned: str | None = None

    @property
    def kind(self) -> str:
        """The first part of the rule."""
        return self.rule.partition(".")[0]


def is_blank(text: str | None) -> bool:
    """Whether nothing was typed."""
    return text is None or not text.strip()


def is_stated(text: str | None, pasted: frozenset[str]) -> bool:
    """Whether a text says something: no blank, no placeholder, no lone character, no mere punctuation, not pasted.

    ``pasted`` are texts in lower case, with single spaces.
    """
    if text is None or " ".join(text.split()).lower() in pasted:
        return False
    said = text.strip()
    return len(said) > 1 and said.lower() not in NOT_STATED and any(char.isalnum() for char in said)


def criteria(life: Life, pasted: frozenset[str]) -> dict[str, tuple[Verdict, ...]]:
    """The verdict of every criterion, by rung."""
    replies, calls, meetings = life.count("mail_in"), life.count("call"), life.count("meeting")
    employees = life.account.employees
    person = life.person
    reachable = (
        bool(life.buyers) if person is None else is_stated(person.email, NOTHING) or is_stated(person.phone, NOTHING)
    )
    unknown_on_people: tuple[Verdict, ...] = (None, None, None, None)
    return {
        "lead": (reachable,),
        "prospect": (replies + calls + meetings >= 1, employees is not None and 20 <= employees <= 5000),
        "opportunity": (
            is_stated(life.pain, pasted),
            replies + calls + meetings >= 2,
            meetings >= 1 or life.count("planned_meeting") >= 1,
        ),
        "proposal": (
            life.amount is not None and life.amount > 0,
            any(buyer.decides for buyer in life.buyers),
            life.budget is True,
            is_stated(life.next_step, pasted),
        )
        if life.is_deal
        else unknown_on_people,
        "customer": (life.stage.won if life.is_deal else None,),
    }


def bounds(life: Life, pasted: frozenset[str]) -> tuple[int, int]:
    """The places on the ladder of what was surely and what could have been earned; -1 for no rung."""
    verdicts = criteria(life, pasted)
    lower = upper = -1
    for place, rung in enumerate(LADDER):
        if lower == place - 1 and all(verdict is True for verdict in verdicts[rung]):
            lower = place
        if upper == place - 1 and all(verdict is not False for verdict in verdicts[rung]):
            upper = place
    return lower, upper


def _rung(place: int) -> str | None:
    return LADDER[place] if place >= 0 else None


def _earning(life: Life, rung: str, pasted: frozenset[str]) -> list[Finding]:
    lower, upper = bounds(life, pasted)
    place = LADDER.index(rung)
    if place > upper:
        return [Finding("premature", rung, _rung(upper))]
    return [Finding("ready", rung, _rung(lower))] if place < lower else []


def _stalling(life: Life, rung: str, as_of: datetime) -> list[Finding]:
    latest = max(life.entered, life.last_activity() or life.entered)
    idle = business_days(latest.date(), as_of.date()) > IDLE_LIMITS[rung]
    aged = rung in AGE_LIMITS and (as_of.date() - life.entered.date()).days > AGE_LIMITS[rung]
    return [Finding("stalled", rung)] if idle or aged else []


def _contradicting(life: Life, as_of: datetime) -> list[Finding]:
    if not life.is_deal:
        return []
    stage, day, today = life.stage, life.close_date, as_of.date()
    found = {
        "won-without-amount": stage.won and (life.amount is None or life.amount <= 0),
        "won-in-the-future": stage.won and day is not None and day > today,
        "close-date-passed": not stage.closed and day is not None and day < today,
        "lost-reason-on-open-deal": not stage.closed and is_stated(life.lost_reason, NOTHING),
    }
    return [Finding(f"contradiction.{name}", stage.rung) for name, fires in found.items() if fires]


def _placeholding(life: Life, rung: str, pasted: frozenset[str]) -> list[Finding]:
    texts = {"pain": life.pain}
    if life.person is None:
        texts |= {"next_step": life.next_step, "lost_reason": life.lost_reason}
    else:
        texts |= {"email": life.person.email, "phone": life.person.phone}
    may_be_pasted = {"pain", "next_step"}
    junk = [
        name
        for name, text in texts.items()
        if not is_blank(text) and not is_stated(text, pasted if name in may_be_pasted else NOTHING)
    ]
    return [Finding(f"placeholder.{name}", rung) for name in junk]


def _way(life: Life) -> list[str | None]:
    """The rungs that the CRM remembers, one after the other; None for being parked."""
    way: list[str | None] = []
    for step in life.steps[1:] if life.track.begins_late else life.steps:
        if not way or way[-1] != step.stage.rung:
            way.append(step.stage.rung)
    return way


def _moving(life: Life, rung: str) -> list[Finding]:
    found = []
    way = _way(life)
    here, before = LADDER.index(rung), way[-2] if len(way) > 1 else None
    if before is not None and LADDER.index(before) > here:
        found.append(Finding("regressed", rung))
    fresh = max((place + 1 for place, there in enumerate(way) if there is None), default=0)
    climb = [there for there in way[fresh:] if there is not None]
    first = LADDER.index(climb[0]) if climb else here
    if any(between not in way and life.track.on(between) for between in LADDER[first + 1 : here]):
        found.append(Finding("skipped", rung))
    return found


def judge(life: Life, as_of: datetime, pasted: frozenset[str] = NOTHING) -> list[Finding]:
    """Everything that an audit at ``as_of`` must find in one life."""
    if life.converted:
        return []
    found = _contradicting(life, as_of)
    rung = life.stage.rung
    if rung is None or rung == LADDER[-1]:
        return found
    found += _earning(life, rung, pasted)
    found += _stalling(life, rung, as_of)
    found += _placeholding(life, rung, pasted)
    if life.owner is None or not life.owner.active:
        found.append(Finding("unowned", rung))
    return found + _moving(life, rung)
