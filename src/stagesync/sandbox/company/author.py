"""Writes lives in which every record stands exactly where it has earned; recipes spoil them afterwards.

All distances keep 3 business days from every limit, so that neither time zones nor an audit that runs some
hours later can turn a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.almanac import Almanac
from stagesync.sandbox.company.life import HAPPENED, Account, Buyer, Life, Step, Touch, TouchKind
from stagesync.sandbox.company.staff import REPS
from stagesync.sandbox.company.tracks import (
    AGE_LIMITS,
    DEAL_TRACKS,
    IDLE_LIMITS,
    PEOPLE_TRACKS,
    Stage,
    Track,
)

MARGIN = 4  # business days from a limit, one more than promised
# Calendar days since the record entered its stage; the younger end leaves room for a history of touches.
ENTERED_DAYS = {"lead": (26, 420), "prospect": (26, 300), "opportunity": (26, 168), "proposal": (26, 80)}
DORMANT_DAYS = {"lead": (62, 500), "prospect": (62, 400), "opportunity": (62, 168), "proposal": (62, 80)}
CLOSED_DAYS = (6, 800)
# Activities older than this are left out of open lives: CRMs archive them after a year.
REMEMBERED = timedelta(days=300)
PROPOSAL_NEEDS = ("amount", "decides", "budget", "next_step")
SIZES = ((20, 49, 0.25), (50, 249, 0.4), (250, 999, 0.2), (1000, 5000, 0.15))
TALK: tuple[TouchKind, ...] = ("mail_in", "mail_out", "call", "mail_out", "mail_in", "todo_done", "missed_call")
ONE_WAY: tuple[TouchKind, ...] = ("mail_out", "missed_call", "todo_done")
NO_ACTIVITY: tuple[TouchKind, ...] = ("note", "todo_open")
LASTING = {"meeting": (30, 45, 60, 90), "cancelled_meeting": (30, 60), "planned_meeting": (30, 45, 60)}


class Author:
    """Makes up accounts, buyers and lives for one CRM from one seed."""

    def __init__(self, *, crm: str, seed: int, as_of: datetime) -> None:
        """The same CRM, seed and ``as_of`` make the same lives in the same order."""
        self.crm = crm
        self.rng = Random(f"stagesync {crm} {seed}")
        self.almanac = Almanac(self.rng, as_of)
        # Texts in lower case and with single spaces that say nothing in this company: too many records have them.
        self.pasted: frozenset[str] = frozenset()
        self._accounts = 0
        self._addresses = 0
        self._shared: Account | None = None

    def chance(self, probability: float) -> bool:
        """True with a probability from 0 to 1."""
        return self.rng.random() < probability

    # Companies and people

    def account(self, employees: int | None) -> Account:
        """A new company of this size, with two to four people, one or two of whom decide."""
        self._accounts += 1
        domain = vocabulary.domain(self.rng, self._accounts)
        account = Account(
            name=vocabulary.company_name(self.rng),
            domain=domain,
            country=self.rng.choice(vocabulary.COUNTRIES),
            industry=self.rng.choice(vocabulary.INDUSTRIES),
            employees=employees,
        )
        deciders = self.almanac.between(1, 2)
        account.people = [
            self.buyer(domain, decides=place < deciders) for place in range(deciders + self.almanac.between(1, 2))
        ]
        return account

    def fitting_account(self) -> Account:
        """A company of 20 to 5,000 people; now and then one that has other deals."""
        if self._shared is None or self._shared.deals >= 4 or not self.chance(0.45):
            self._shared = self._sized_account()
        self._shared.deals += 1
        return self._shared

    def lone_account(self) -> Account:
        """A company of 20 to 5,000 people with one deal alone, so that nothing else happens with its people."""
        account = self._sized_account()
        account.deals = 1
        return account

    def _sized_account(self) -> Account:
        low, high, _ = self.rng.choices(SIZES, [share for *_, share in SIZES])[0]
        return self.account(self.almanac.between(low, high))

    def buyer(self, domain: str, *, decides: bool = False) -> Buyer:
        """A person with an e-mail address, a telephone number, or both."""
        first, last = vocabulary.person_name(self.rng)
        email = self.address(first, last, domain) if self.chance(0.92) else None
        phone = vocabulary.phone(self.rng) if email is None or self.chance(0.6) else None
        title = self.rng.choice(vocabulary.TITLES)
        return Buyer(first=first, last=last, title=title, email=email, phone=phone, decides=decides)

    def address(self, first: str, last: str, domain: str) -> str:
        """An e-mail address that nobody else has."""
        self._addresses += 1
        return vocabulary.email(self.rng, first, last, self._addresses, domain)

    # Steps through the stages

    def _steps(self, track: Track, stage: Stage, entered: datetime) -> list[Step]:
        passed: list[Stage] = []
        for earlier in track.before(stage):
            # Whoever was on an earlier rung was on every rung after it: the last stage of a rung is its last chance.
            last_chance = earlier == track.on(earlier.rung)[-1] and earlier.rung != stage.rung
            due = bool(passed) and last_chance and all(other.rung != earlier.rung for other in passed)
            if self.chance(0.5) or due:
                passed.append(earlier)
        steps: list[Step] = []
        moment = self.almanac.days_before(entered, 20, 120)
        for earlier in passed:
            steps.append(Step(earlier, moment))
            moment = self.almanac.within(moment, entered)
        return [*steps, Step(stage, entered)]

    def begin(
        self,
        tracks: Sequence[Track],
        rung: str | None,
        days: tuple[int, int],
        *,
        native: str | None = None,
        account: Account | None = None,
    ) -> Life:
        """A bare life that entered a rung, or the stage ``native``, so many calendar days ago."""
        track = self.rng.choice(tracks)
        stage = track.named(native) if native else self.rng.choice(track.on(rung))
        entered = self.almanac.days_ago(*days)
        return Life(
            track=track,
            account=account or self.fitting_account(),
            steps=self._steps(track, stage, entered),
            owner=self.rng.choice(REPS),
        )

    # What happened

    def happen(self, life: Life, kinds: Iterable[TouchKind], latest: datetime) -> None:
        """Let touches happen after the creation; the last of them at ``latest``."""
        *earlier, last = kinds
        start = max(life.created, self.almanac.as_of - REMEMBERED)
        for kind in earlier:
            self.add(life, kind, self._workday(start, latest))
        self.add(life, last, latest)

    def add(self, life: Life, kind: TouchKind, at: datetime) -> Touch:
        """Add one touch that starts at a moment."""
        minutes = self.rng.choice(LASTING[kind]) if kind in LASTING else 0
        touch = Touch(kind, at, minutes)
        life.touches.append(touch)
        return touch

    def _jot(self, life: Life) -> None:
        """Now and then a note or an open task, at any time: neither is something that happened with the buyer."""
        for kind in NO_ACTIVITY:
            if self.chance(0.2):
                self.add(
                    life, kind, self._workday(max(life.created, self.almanac.as_of - REMEMBERED), self.almanac.as_of)
                )

    def _workday(self, start: datetime, end: datetime) -> datetime:
        moment = self.almanac.within(start + timedelta(days=3), end - timedelta(days=1))
        return self.almanac.clock(self.almanac.weekday(moment.date()))

    def recently(self, life: Life) -> datetime:
        """A moment well within the idle limit of the life's rung."""
        return self.almanac.business_days_ago(1, IDLE_LIMITS[life.stage.rung or "lead"] - MARGIN)

    def long_ago(self, life: Life) -> datetime:
        """A moment well past the idle limit of the life's rung."""
        limit = IDLE_LIMITS[life.stage.rung or "lead"]
        return self.almanac.business_days_ago(limit + MARGIN, limit + MARGIN + 12)

    def some(self, kinds: Sequence[TouchKind], low: int, high: int) -> list[TouchKind]:
        """``low`` to ``high`` touches of these kinds."""
        return [self.rng.choice(kinds) for _ in range(self.almanac.between(low, high))]

    # Whole lives

    def person(self, rung: str, *, dormant: bool = False) -> Life:
        """A lead or contact that has earned its rung and is alive; a dormant one was last heard of long ago."""
        days = (DORMANT_DAYS if dormant else ENTERED_DAYS)[rung]
        life = self.begin(PEOPLE_TRACKS[self.crm], rung, days)
        self._introduce(life)
        kinds = self._talk_for(rung)
        if rung == "lead" and self.chance(0.3):
            life.account = self.account(None)  # too little is known for a prospect, even with a reply
            kinds = [*kinds, "mail_in"]
        if rung == "opportunity" or (rung == "prospect" and self.chance(0.3)):
            life.pain = vocabulary.pain(self.rng)
        if rung == "prospect" and life.pain is not None:
            kinds = [kind for kind in kinds if kind != "meeting"]
        self.happen(life, kinds, self.long_ago(life) if dormant else self.recently(life))
        self._jot(life)
        return life

    def _introduce(self, life: Life) -> None:
        life.person = self.buyer(life.account.domain)
        life.name = f"{life.person.first} {life.person.last}"

    def _talk_for(self, rung: str) -> list[TouchKind]:
        """Touches that earn a rung and no more, as far as touches alone can."""
        if rung == "lead":
            return self.some(ONE_WAY, 1, 4)
        first: TouchKind = "mail_in" if self.chance(0.6) else "call"
        if rung == "prospect":
            return [*self.some(ONE_WAY, 0, 2), first, *self.some(TALK, 0, 2), "meeting"][: self.almanac.between(4, 6)]
        return [first, "meeting", *self.some((*TALK, "meeting"), 1, 5)]

    def parked_person(self, native: str) -> Life:
        """Somebody who is on no rung: often with nothing known, never looked at again."""
        life = self.begin(PEOPLE_TRACKS[self.crm], None, CLOSED_DAYS, native=native)
        self._introduce(life)
        if self.chance(0.6):
            kinds = self.some(TALK, 1, 3)
            for kind in kinds:
                self.add(life, kind, self.almanac.within(life.created, life.entered + timedelta(days=1)))
        return life

    def deal(
        self,
        rung: str,
        *,
        dormant: bool = False,
        missing: Iterable[str] | None = None,
        account: Account | None = None,
    ) -> Life:
        """An open deal that has earned its rung. ``missing`` says what it lacks for a proposal."""
        days = (DORMANT_DAYS if dormant else ENTERED_DAYS)[rung]
        if dormant and account is None:
            account = self.lone_account()
        life = self.begin(DEAL_TRACKS[self.crm], rung, days, account=account)
        life.pain = vocabulary.pain(self.rng)
        if missing is None:
            missing = self._shortcomings() if rung == "opportunity" else ()
        self.prepare(life, missing=set(missing))
        close = self.almanac.days_ahead(14, 150)
        life.close_date = close.date()
        if self.crm == "hubspot" and rung == "opportunity" and self.chance(0.1):
            life.close_date = None
        self.happen(life, self._talk_for("opportunity"), self.long_ago(life) if dormant else self.recently(life))
        self._jot(life)
        return life

    def _shortcomings(self) -> set[str]:
        lacking = {need for need in PROPOSAL_NEEDS if self.chance(0.35)}
        return lacking or {"budget"}

    def prepare(self, life: Life, *, missing: set[str]) -> None:
        """Fill in what a proposal needs, all but what is ``missing``; name the deal and its buyers."""
        life.name = vocabulary.deal_name(self.rng, life.account.name)
        life.amount = None if "amount" in missing else self.price()
        life.budget = self.rng.choice((None, False)) if "budget" in missing else True
        step_day = self.almanac.days_ahead(5, 20).date()
        life.next_step = None if "next_step" in missing else vocabulary.next_step(self.rng, step_day)
        others = [buyer for buyer in life.account.people if not buyer.decides]
        deciders = [] if "decides" in missing else [buyer for buyer in life.account.people if buyer.decides]
        life.buyers = [
            *deciders[: self.almanac.between(1, 2)],
            *others[: self.almanac.between(0 if deciders else 1, 2)],
        ]

    def price(self) -> float:
        """A deal's worth, mostly in round numbers."""
        amount = self.rng.lognormvariate(10.2, 0.9)
        return round(amount, 2) if self.chance(0.15) else float(max(500, round(amount, -2)))

    def closed_deal(self, *, won: bool) -> Life:
        """A deal that is over: won with everything in place, or lost at any point."""
        life = self.begin(DEAL_TRACKS[self.crm], "customer" if won else None, CLOSED_DAYS)
        self.prepare(life, missing=set() if won else self._shortcomings())
        life.pain = vocabulary.pain(self.rng) if won or self.chance(0.5) else None
        life.close_date = life.entered.date()
        if not won and self.chance(0.7):
            life.lost_reason = self.rng.choice(vocabulary.LOST_REASONS)
        for kind in self._talk_for("opportunity"):
            self.add(life, kind, self.almanac.within(life.created, life.entered + timedelta(hours=2)))
        return life

    # What recipes change in a life

    def came_by(self, life: Life, *way: Stage) -> Life:
        """Let the life have come to its stage, when it did, by exactly these others; the last is another stage."""
        life.steps = [Step(life.stage, life.entered)]
        for stage in reversed(way):
            life.steps.insert(0, Step(stage, self.almanac.days_before(life.created, 5, 40)))
        return life

    def staff_name(self) -> str:
        """Somebody's first and last name."""
        return f"{self.rng.choice(vocabulary.FIRST_NAMES)} {self.rng.choice(vocabulary.LAST_NAMES)}"

    def worthless_step(self) -> str:
        """A next step that says nothing: pasted, where the company is large enough for that to show."""
        return vocabulary.pasted_step(self.rng) if self.pasted else self.rng.choice(vocabulary.PLACEHOLDERS)

    def stage_on(self, life: Life, rung: str | None) -> Stage:
        """One of the stages of the life's track on a rung; with None one where it would be parked."""
        return self.rng.choice(life.track.on(rung))

    def talk_only(self, life: Life, *kinds: TouchKind) -> Life:
        """Let nothing but these touches have happened, the last of them recently."""
        life.touches.clear()
        self.happen(life, kinds, self.recently(life))
        return life

    def outgrow(self, life: Life) -> Life:
        """Let the life have entered its stage well past the age limit, and be busy all the same."""
        limit = AGE_LIMITS[life.stage.rung or "opportunity"]
        entered = self.almanac.days_ago(limit + 8, limit + 260)
        life.steps = self._steps(life.track, life.stage, entered)
        kinds = [touch.kind for touch in life.touches if touch.kind in HAPPENED]
        life.touches.clear()
        self.happen(life, kinds, self.recently(life))
        return life
