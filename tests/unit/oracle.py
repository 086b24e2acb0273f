"""A slow, obvious judge in plain Python, row by row. It shares no code with the product but the names of verdicts.

Expressions are tuples, so that neither the product's parser nor its tree stands between what was meant and what is
judged; ``written`` puts them into the language. A row is a dictionary; an absent item is blank (None), an item in
``unknown`` might have any value.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Node = tuple[Any, ...]
Row = Mapping[str, Any]
UNKNOWN = "unknown"
"""A leaf that might be true or false. Blank is None, as in SQL."""


@dataclass(frozen=True)
class Moment:
    """When the audit takes place."""

    now: datetime
    zone: ZoneInfo
    placeholders: Sequence[str] = ()
    pasted: frozenset[tuple[str, str]] = frozenset()
    """Items with texts, in lower case and with single spaces, that too many records have."""

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()


# How a tree is written -------------------------------------------------------------------------------------------


def written(node: Node) -> str:
    """The expression as an admin would write it, with more parentheses."""
    match node:
        case ("compare", operator, left, right):
            return f"{value_written(left)} {operator} {value_written(right)}"
        case ("in", value, options, negated):
            inside = ", ".join(value_written(("constant", option)) for option in options)
            return f"{value_written(value)} {'not ' if negated else ''}in ({inside})"
        case ("between", value, low, high, negated):
            word = "not between" if negated else "between"
            return f"{value_written(value)} {word} {value_written(low)} and {value_written(high)}"
        case ("like", name, pattern, negated):
            return f"{name} {'not ' if negated else ''}like {quoted(pattern)}"
        case ("null", name, negated):
            return f"{name} is {'not ' if negated else ''}null"
        case ("stated", name):
            return f"stated({name})"
        case ("truth", name):
            return str(name)
        case ("not", part):
            return f"not ({written(part)})"
        case ("and" | "or" as word, parts):
            return f" {word} ".join(f"({written(part)})" for part in parts)
    raise AssertionError(node)


def value_written(value: Node) -> str:
    match value:
        case ("name", name):
            return str(name)
        case ("constant", bool() as constant):
            return "true" if constant else "false"
        case ("constant", str() as constant):
            return quoted(constant)
        case ("constant", datetime() as constant):
            return quoted(constant.isoformat())
        case ("constant", date() as constant):
            return f"date {quoted(constant.isoformat())}"
        case ("constant", constant):
            return repr(constant)
        case ("today" | "now" as word, 0, _):
            return f"{word}()"
        case ("today" | "now" as word, shift, unit):
            return f"{word}() {'+' if shift > 0 else '-'} interval '{abs(shift)}' {unit}"
        case ("arithmetic", operation, left, right):
            return f"({value_written(left)} {operation} {value_written(right)})"
        case ("minus", inner):
            return f"-({value_written(inner)})"
    raise AssertionError(value)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# What a tree means -----------------------------------------------------------------------------------------------


def met(node: Node, row: Row, unknown: set[str], moment: Moment) -> bool:
    """Surely met: true although each unknown counts as blank."""
    return kleene(node, [leaf_value(leaf, row, unknown, moment) for leaf in leaves(node)]) is True


def possible(node: Node, row: Row, unknown: set[str], moment: Moment) -> bool:
    """Met under some answer to the unknowns: every answer is tried."""
    values = [leaf_value(leaf, row, unknown, moment) for leaf in leaves(node)]
    answers = [(True, False) if value is UNKNOWN else (value,) for value in values]
    return any(kleene(node, list(answer)) is True for answer in itertools.product(*answers))


def leaves(node: Node) -> list[Node]:
    match node:
        case ("not", part):
            return leaves(part)
        case ("and" | "or", parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case ("between", value, low, high, _):
            # Two comparisons: one of them can fail although the other is blank.
            return [("compare", ">=", value, low), ("compare", "<=", value, high)]
    return [node]


def kleene(node: Node, values: list[Any]) -> bool | None:
    """The truth of a tree whose leaves have these values, taken from the list in order; unknown is blank here."""
    match node:
        case ("not", part):
            return opposite(kleene(part, values))
        case ("and", parts):
            return all_of([kleene(part, values) for part in parts])
        case ("or", parts):
            return opposite(all_of([opposite(kleene(part, values)) for part in parts]))
        case ("between", _, _, _, negated):
            both = all_of([blank_if_unknown(values.pop(0)), blank_if_unknown(values.pop(0))])
            return opposite(both) if negated else both
    return blank_if_unknown(values.pop(0))


def blank_if_unknown(value: Any) -> bool | None:
    return None if value is UNKNOWN else value


def opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def all_of(values: list[bool | None]) -> bool | None:
    if False in values:
        return False
    return None if None in values else True


def leaf_value(leaf: Node, row: Row, unknown: set[str], moment: Moment) -> Any:
    if set(names(leaf)) & unknown:
        return UNKNOWN
    match leaf:
        case ("compare", operator, left, right):
            one, other = value_of(left, row, moment), value_of(right, row, moment)
            return None if one is None or other is None else compared(operator, one, other)
        case ("in", value, options, negated):
            found = value_of(value, row, moment)
            return None if found is None else (found in options) is not negated
        case ("like", name, pattern, negated):
            text = row.get(name)
            return None if text is None else matches(text, pattern) is not negated
        case ("null", name, negated):
            return (row.get(name) is None) is not negated
        case ("stated", name):
            return says_something(row.get(name), moment.placeholders) and not is_pasted(name, row.get(name), moment)
        case ("truth", name):
            return row.get(name)
    raise AssertionError(leaf)


def names(node: Any) -> Iterator[str]:
    match node:
        case ("like" | "null" | "stated" | "truth" | "name", name, *_):
            yield name
        case ("constant", *_):
            return
        case tuple() | list():
            for part in node:
                yield from names(part)


def compared(operator: str, one: Any, other: Any) -> bool:
    match operator:
        case "=":
            return bool(one == other)
        case "!=" | "<>":
            return bool(one != other)
        case "<":
            return bool(one < other)
        case "<=":
            return bool(one <= other)
        case ">":
            return bool(one > other)
        case ">=":
            return bool(one >= other)
    raise AssertionError(operator)


def value_of(value: Node, row: Row, moment: Moment) -> Any:
    match value:
        case ("name", name):
            return row.get(name)
        case ("constant", constant):
            return constant
        case ("today", shift, unit):
            return moment.today + timedelta(**{f"{unit}s": shift})
        case ("now", shift, unit):
            return moment.now + timedelta(**{f"{unit}s": shift})
        case ("minus", inner):
            found = value_of(inner, row, moment)
            return None if found is None else -found
        case ("arithmetic", operation, left, right):
            one, other = value_of(left, row, moment), value_of(right, row, moment)
            return None if one is None or other is None else calculated(operation, float(one), float(other))
    raise AssertionError(value)


def calculated(operation: str, one: float, other: float) -> float | None:
    try:
        result = {"+": one + other, "-": one - other, "*": one * other}.get(operation)
        result = one / other if result is None else result
    except ZeroDivisionError:
        return None
    return result if math.isfinite(result) else None


def matches(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(matches(text[cut:], pattern[1:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and matches(text[1:], pattern[1:])


def says_something(text: str | None, placeholders: Sequence[str]) -> bool:
    if text is None:
        return False
    text = text.strip().lower()
    letters = [character for character in text if unicodedata.category(character)[0] in "LN"]
    return len(text) >= 2 and bool(letters) and text not in [word.strip().lower() for word in placeholders]


def is_pasted(name: str, text: str | None, moment: Moment) -> bool:
    return text is not None and (name, plain(text)) in moment.pasted


def plain(text: str) -> str:
    return " ".join(text.lower().split())


# What a definition means -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """A length of time, such as 3 business days."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} {self.unit}"


@dataclass(frozen=True)
class Rung:
    """A stage of the ladder with its criteria in order."""

    name: str
    criteria: Mapping[str, Node]
    idle: Limit | None = None
    age: Limit | None = None
    terminal: bool = False


@dataclass(frozen=True)
class Pasted:
    """From how many records and characters on a text is pasted, and in which items; None for all."""

    records: int
    length: int
    items: Sequence[str] | None = None


@dataclass(frozen=True)
class Rules:
    """A definition and a mapping, as far as findings depend on them."""

    rungs: Sequence[Rung]
    contradictions: Mapping[str, Node]
    places: Mapping[str, str]
    """Native stage to rung or parking place."""
    by_group: Mapping[str, Mapping[str, str]] | None = None
    """The same by pipeline or record type, with "*" for all that are not named and "" for none; then not places."""
    grouped_by: str = "record_type"
    gaps: frozenset[str] = frozenset()
    active_owners: Mapping[str, bool] | None = None
    """Owner to whether active; None where the source knows no owners."""
    pasted: Pasted | None = None


@dataclass(frozen=True)
class Record:
    """One record: where it stands, what is known of it, and its past stages as (moment, native stage)."""

    id: str
    native: str
    values: Row
    unreadable: frozenset[str] = frozenset()
    owner: str | None = None
    created: datetime | None = None
    entered: datetime | None = None
    history: Sequence[tuple[datetime, str]] = ()
    written: str | None = None
    """The native stage that StageSync itself gave it last."""
    group: str | None = None
    """Its pipeline or record type."""


@dataclass
class Verdict:
    """What there is to say about one record."""

    low: int
    high: int
    rules: set[str] = field(default_factory=set)
    since: datetime | None = None


def judged(record: Record, rules: Rules, moment: Moment) -> Verdict | None:
    """All that is found about one record, or None when its stage is not mapped."""
    place = place_of(record, rules)
    if place is None:
        return None
    unknown = set(rules.gaps | record.unreadable)
    known = {item: value for item, value in record.values.items() if item not in unknown}
    low = earned(rules.rungs, lambda node: met(node, known, unknown, moment))
    high = earned(rules.rungs, lambda node: possible(node, known, unknown, moment))
    verdict = Verdict(low=low, high=high, since=stands_since(record, moment))
    for name, node in rules.contradictions.items():
        if met(node, known, unknown, moment):
            verdict.rules.add(f"contradiction.{name}")
    position = next((n for n, rung in enumerate(rules.rungs) if rung.name == place), None)
    if position is None or rules.rungs[position].terminal:
        return verdict
    if position > high:
        verdict.rules.add("premature")
    if position < low:
        verdict.rules.add("ready")
    if stalled(rules.rungs[position], record, verdict.since, unknown, moment):
        verdict.rules.add("stalled")
    for item in asked_for(rules):
        text = known.get(item)
        if text is not None and leaf_value(("stated", item), known, set(), moment) is False:
            verdict.rules.add(f"placeholder.{item}")
    if unowned(record, rules):
        verdict.rules.add("unowned")
    came = way(record, rules)
    if regressed(came, record, moment):
        verdict.rules.add("regressed")
    if skipped(came, record, rules, moment):
        verdict.rules.add("skipped")
    return verdict


def place_of(record: Record, rules: Rules) -> str | None:
    """The rung or parking place on which a record stands; its own group's word comes first."""
    return stages_of(record, rules).get(record.native)


def stages_of(record: Record, rules: Rules) -> Mapping[str, str]:
    """Native stages and places in the pipeline or record type of a record."""
    if rules.by_group is None:
        return rules.places
    return {**rules.by_group.get("*", {}), **rules.by_group.get(record.group or "", {})}


@dataclass(frozen=True)
class Visit:
    """A stay on a rung, or (None) in parking places: since when, and the native stage in which it began."""

    at: datetime
    native: str
    position: int | None


def past_positions(record: Record, rules: Rules) -> dict[str, int | None]:
    """The position of each native stage that says where it once was, None for a parking place. What the record's own
    group does not have counts where all groups that have it agree."""
    positions = {rung.name: number for number, rung in enumerate(rules.rungs)}
    found: dict[str, set[int | None]] = {}
    for stages in (rules.by_group or {"": rules.places}).values():
        for native, place in stages.items():
            found.setdefault(native, set()).add(positions.get(place))
    agreed = {native: next(iter(some)) for native, some in found.items() if len(some) == 1}
    return agreed | {native: positions.get(place) for native, place in stages_of(record, rules).items()}


def way(record: Record, rules: Rules) -> list[Visit]:
    """The visits that led to where the record is, oldest first; none where the history ends somewhere else."""
    known = past_positions(record, rules)

    def turn(step: tuple[datetime, str]) -> tuple[datetime, bool, float]:
        # In one second: up the ladder, then out of it, and last of all into the present stage.
        position = known.get(step[1])
        return step[0], step[1] == record.native, math.inf if position is None else position

    steps = sorted(record.history, key=turn)
    if not steps or steps[-1][1] != record.native:
        return []
    visits: list[Visit] = []
    for at, native in steps:
        if native in known and (not visits or visits[-1].position != known[native]):
            visits.append(Visit(at, native, known[native]))
    return visits


def regressed(visits: Sequence[Visit], record: Record, moment: Moment) -> bool:
    if len(visits) < 2:
        return False
    before, here = visits[-2], visits[-1]
    if before.position is None or here.position is None or here.at > moment.now:
        return False
    return here.position < before.position and here.native != record.written


def skipped(visits: Sequence[Visit], record: Record, rules: Rules, moment: Moment) -> bool:
    climb: list[Visit] = []
    for visit in visits:
        climb = [] if visit.position is None else [*climb, visit]
    if not climb:
        return False
    been = {visit.position for visit in visits}
    mapped = set(stages_of(record, rules).values())
    first, present = climb[0].position, climb[-1].position
    assert first is not None
    assert present is not None
    missed = {
        number
        for number, rung in enumerate(rules.rungs)
        if first < number < present and number not in been and rung.name in mapped
    }
    return any(
        one.position < number < other.position and other.at <= moment.now  # type: ignore[operator]
        for one, other in itertools.pairwise(climb)
        for number in missed
    )


def reading(records: Sequence[Record], rules: Rules, moment: Moment) -> Moment:
    """The moment with the texts that are pasted in these records."""
    limit = rules.pasted
    if limit is None:
        return moment
    counts: dict[tuple[str, str], int] = {}
    for record in records:
        for item in asked_for(rules) if place_of(record, rules) is not None else ():
            text = None if item in rules.gaps | record.unreadable else record.values.get(item)
            if text is not None and (limit.items is None or item in limit.items):
                counts[item, plain(text)] = counts.get((item, plain(text)), 0) + 1
    many = [one for one, count in counts.items() if count >= limit.records and len(one[1]) >= limit.length]
    return replace(moment, pasted=frozenset(many))


def earned(rungs: Sequence[Rung], holds: Any) -> int:
    position = -1
    for number, rung in enumerate(rungs):
        if not all(holds(node) for node in rung.criteria.values()):
            break
        position = number
    return position


def asked_for(rules: Rules) -> set[str]:
    trees = [node for rung in rules.rungs for node in rung.criteria.values()] + list(rules.contradictions.values())
    return {leaf[1] for tree in trees for leaf in leaves(tree) if leaf[0] == "stated"}


def unowned(record: Record, rules: Rules) -> bool:
    if record.owner is None:
        return True
    return rules.active_owners is not None and not rules.active_owners.get(record.owner, False)


def stands_since(record: Record, moment: Moment) -> datetime | None:
    """The start of the last unbroken run of the current stage; else the CRM's date; else creation. Never ahead."""
    began = None
    # Of steps in the same second the one into the present stage came last: the record is in it.
    for at, native in sorted(record.history, key=lambda step: (step[0], step[1] == record.native)):
        if native != record.native:
            began = None
        elif began is None:
            began = at
    for candidate in (began, record.entered, record.created):
        if candidate is not None and candidate <= moment.now:
            return candidate
    return None


def stalled(rung: Rung, record: Record, since: datetime | None, unknown: set[str], moment: Moment) -> bool:
    if rung.age is not None and since is not None and exceeds(since, rung.age, moment):
        return True
    if rung.idle is None or "last_activity" in unknown:
        return False
    active = record.values.get("last_activity")
    signs = [sign for sign in (since, active) if sign is not None and sign <= moment.now]
    return bool(signs) and exceeds(max(signs), rung.idle, moment)


def exceeds(since: datetime, limit: Limit, moment: Moment) -> bool:
    if limit.unit == "hours":
        return moment.now - since >= timedelta(hours=limit.count)
    day, passed = since.astimezone(moment.zone).date(), 0
    while day < moment.today:
        passed += limit.unit == "days" or day.weekday() < 5
        day += timedelta(days=1)
    return passed > limit.count


NOW = datetime(2026, 3, 11, 9, 30, tzinfo=UTC)
