"""A third, slow reading of the recommended definitions: from stored rows to findings, one record at a time.

It shares nothing with the product and nothing with the seeding. Stages, limits and placeholders come from the
YAML files; what a criterion means is written out here by hand, once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CONFIG = Path(__file__).parents[2] / "config"
PACK = yaml.safe_load((CONFIG / "definitions" / "recommended.yaml").read_text(encoding="utf-8"))
LADDER: list[str] = PACK["ladder"]
PLACEHOLDERS = {str(text).lower() for text in PACK["placeholders"]}


def mapping(crm: str, object_name: str) -> dict[str, Any]:
    """The mapping of one object, as written."""
    text = (CONFIG / "mappings" / f"{crm}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["objects"][object_name]
    return found


class Gap:
    """The value of evidence that the CRM cannot have."""


GAP = Gap()


class Expected(NamedTuple):
    """A finding, as the key has it."""

    object: str
    record: str
    rule: str
    stage: str | None
    earned: str | None


@dataclass(kw_only=True)
class Judged:
    """One record as the oracle reads it. Times are aware; ``evidence`` holds values, None for blank, or GAP."""

    object: str
    record: str
    rung: str | None
    owner_works: bool
    created: datetime
    entered_field: datetime | None
    stage: str
    history: list[tuple[datetime, str]]
    rungs: dict[str, str | None]
    """Native stage to rung, None for parking, in the record's pipeline."""
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def entered(self) -> datetime:
        """Start of the latest unbroken run of the present stage in the history, else the field, else creation."""
        began = None
        for at, stage in sorted(self.history, reverse=True):
            if stage != self.stage:
                break
            began = at
        return began or self.entered_field or self.created


class Pasted(str):
    """A text of which the rows have too many to believe it."""


def mark_pasted(records: list[Judged]) -> None:
    """Mark the texts of all records that the definitions call pasted."""
    rule = PACK["pasted"]
    for item in rule["items"]:
        same: dict[tuple[str, str], list[Judged]] = {}
        for record in records:
            text = record.evidence[item]
            if isinstance(text, str) and len(plain := " ".join(text.lower().split())) >= rule["length"]:
                same.setdefault((record.object, plain), []).append(record)
        for crowd in same.values():
            if len(crowd) >= rule["records"]:
                for record in crowd:
                    record.evidence[item] = Pasted(record.evidence[item])


def stated(text: Any) -> bool | None:
    """Whether a text says something; None for a gap."""
    if text is GAP:
        return None
    if text is None or isinstance(text, Pasted) or not str(text).strip():
        return False
    said = str(text).strip()
    if said.lower() in PLACEHOLDERS or len(said) == 1:
        return False
    return any(letter.isalpha() or letter.isdigit() for letter in said)


def either(*verdicts: bool | None) -> bool | None:
    """Kleene's or."""
    if any(verdict is True for verdict in verdicts):
        return True
    return None if any(verdict is None for verdict in verdicts) else False


def holds(check: Callable[..., bool], *values: Any) -> bool | None:
    """A comparison: unknown with a gap, not met with a blank."""
    if any(value is GAP for value in values):
        return None
    return False if any(value is None for value in values) else check(*values)


Criterion = Callable[[dict[str, Any]], bool | None]
CRITERIA: dict[str, Criterion] = {
    "contactable": lambda e: either(
        stated(e["email"]), stated(e["phone"]), holds(lambda people: people >= 1, e["people"])
    ),
    "two-way": lambda e: e["replies"] >= 1 or e["calls"] >= 1 or e["meetings"] >= 1,
    "fit": lambda e: holds(lambda employees: 20 <= employees <= 5000, e["employees"]),
    "pain-stated": lambda e: stated(e["pain"]),
    "engaged": lambda e: e["replies"] + e["calls"] + e["meetings"] >= 2,
    "meeting": lambda e: e["meetings"] >= 1 or e["meetings_ahead"] >= 1,
    "value-defined": lambda e: holds(lambda amount: amount > 0, e["amount"]),
    "decision-maker": lambda e: holds(lambda people: people >= 1, e["decision_makers"]),
    "budget": lambda e: holds(lambda confirmed: confirmed is True, e["budget_confirmed"]),
    "next-step": lambda e: stated(e["next_step"]),
    "bought": lambda e: holds(lambda won: won is True, e["won"]),
}
STATED_EVIDENCE = ("email", "phone", "pain", "next_step", "lost_reason")


def weekdays_after(start: date, end: date) -> int:
    """Mondays to Fridays after ``start`` up to ``end``, counted one by one."""
    days, day = 0, start
    while day < end:
        day += timedelta(days=1)
        days += day.strftime("%a") not in {"Sat", "Sun"}
    return days


def _place(e: dict[str, Any], good: Callable[[bool | None], bool]) -> int:
    place = -1
    for rung in LADDER:
        if not all(good(CRITERIA[criterion["id"]](e)) for criterion in PACK["stages"][rung]["requires"]):
            break
        place += 1
    return place


def _limits(rung: str) -> tuple[int | None, int | None]:
    stalls = PACK["stages"][rung].get("stalls_after", {})
    idle, age = stalls.get("idle"), stalls.get("age")
    assert idle is None or idle.endswith(" business days")
    assert age is None or age.endswith(" days")
    return (int(idle.split()[0]) if idle else None), (int(age.split()[0]) if age else None)


def _is_stalled(record: Judged, now: datetime) -> bool:
    assert record.rung is not None
    idle_limit, age_limit = _limits(record.rung)
    last = record.evidence["last_activity"]
    latest = max(record.entered, last) if last else record.entered
    idle = weekdays_after(latest.date(), now.date())
    age = (now.date() - record.entered.date()).days
    # Far enough from both limits that neither a time zone nor a few days make a difference.
    assert idle_limit is None or abs(idle - idle_limit) > 3, (record, idle)
    assert age_limit is None or abs(age - age_limit) > 5, (record, age)
    return (idle_limit is not None and idle > idle_limit) or (age_limit is not None and age > age_limit)


def _contradictions(record: Judged, now: datetime) -> Iterator[str]:
    e, today = record.evidence, now.date()
    if e["won"] is GAP:
        return
    closing = e["close_date"]
    # A close date may be today, with the stage, on what was closed; it may not be near today on what is open.
    assert e["closed"] or closing is None or abs((closing - today).days) > 2, record
    if e["won"] and (e["amount"] is None or e["amount"] <= 0):
        yield "won-without-amount"
    if e["won"] and closing is not None and closing > today:
        yield "won-in-the-future"
    if not e["closed"] and closing is not None and closing < today:
        yield "close-date-passed"
    if not e["closed"] and stated(e["lost_reason"]):
        yield "lost-reason-on-open-deal"


def _was_moved_back(record: Judged) -> bool:
    """Go back in time until the first row that is not on the present rung: is it on a higher one?"""
    for _, stage in sorted(record.history, reverse=True):
        there = record.rungs[stage]
        if there != record.rung:
            return there is not None and record.rung is not None and LADDER.index(there) > LADDER.index(record.rung)
    return False


def _has_jumped(record: Judged) -> bool:
    """Whether between the lowest start of its climb and where it is a rung lies on which it never was."""
    assert record.rung is not None
    been = {record.rungs[stage] for _, stage in record.history}
    start = None
    for _, stage in sorted(record.history):
        there = record.rungs[stage]
        start = None if there is None else start or there
    if start is None:
        return False
    between = LADDER[LADDER.index(start) + 1 : LADDER.index(record.rung)]
    return any(rung in record.rungs.values() and rung not in been for rung in between)


def findings(record: Judged, now: datetime) -> Iterator[Expected]:
    """Everything that is wrong with one record."""

    def found(rule: str, earned: str | None = None) -> Expected:
        return Expected(record.object, record.record, rule, record.rung, earned)

    yield from (found(f"contradiction.{name}") for name in _contradictions(record, now))
    rung, e = record.rung, record.evidence
    if rung is None or PACK["stages"][rung].get("terminal"):
        return
    place = LADDER.index(rung)
    surely = _place(e, lambda verdict: verdict is True)
    perhaps = _place(e, lambda verdict: verdict is not False)
    if place > perhaps:
        assert weekdays_after(record.entered.date(), now.date()) > 5, "too near to the grace"
        yield found("premature", LADDER[perhaps] if perhaps >= 0 else None)
    elif place < surely:
        yield found("ready", LADDER[surely])
    if _is_stalled(record, now):
        yield found("stalled")
    for name in STATED_EVIDENCE:
        text = e[name]
        if text is not GAP and text is not None and text.strip() and not stated(text):
            yield found(f"placeholder.{name}")
    if not record.owner_works:
        yield found("unowned")
    if _was_moved_back(record):
        yield found("regressed")
    if _has_jumped(record):
        yield found("skipped")


def moment(text: str | None) -> datetime | None:
    """A stored ISO moment as an aware datetime."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
