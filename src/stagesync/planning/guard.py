"""Refuses a plan by number or by calendar, before anything is written, and shields what must not be touched."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stagesync.model.changes import Change, ChangeKind, Plan
from stagesync.model.counting import counted
from stagesync.model.findings import Scope
from stagesync.planning.freeze import Freeze

REVERT = "revert"
"""The rule of changes that take others back. No limit by number concerns them: they are at most what was written."""
HOW_TO_PROCEED = (
    "Nothing was written. Look at the plan, then narrow the rules, approve fewer rows or raise the limit; "
    "once and on record, --override REASON lets it pass."
)
Place = tuple[str, str]
"""Connection and object."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Limits of one group of changes; None means no limit. ``share`` is of the judged records of an object.

    ``money`` holds for each currency by itself: two are never added.
    """

    stage_changes: int | None = None
    tasks: int | None = None
    money: float | None = None
    share: float | None = None


NO_BOUND = Bound()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one run, of each rule, object and owner in it, and of a day with all its runs.

    ``share`` is a fraction of the judged records of an object; None means no limit.
    """

    stage_changes: int | None
    share: float | None
    money: float | None
    tasks: int | None
    per_rule: Bound = NO_BOUND
    per_object: Bound = NO_BOUND
    per_owner: Bound = NO_BOUND
    per_day: Bound = NO_BOUND

    @property
    def per_run(self) -> Bound:
        """Those of the run as a whole."""
        return Bound(stage_changes=self.stage_changes, tasks=self.tasks, money=self.money, share=self.share)


@dataclass(frozen=True, kw_only=True)
class Protected:
    """What is never written: records by id, owners by id or name, fields as ``Field`` or ``Object.Field``."""

    records: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    def reason(self, change: Change) -> str | None:
        """Why a change must not be made; None when nothing protects its record."""
        if change.record in self.records:
            return "the record is protected (guard.protect.records)"
        owners = {name.casefold() for name in (change.owner, change.owner_name) if name}
        if owners & {name.casefold() for name in self.owners}:
            return f"the records of {change.owner_name or change.owner} are protected (guard.protect.owners)"
        written = [name for name, value in change.after.items() if change.before.get(name) != value]
        fields = [name for name in written if self.fields & {name, f"{change.object}.{name}"}]
        return f"{', '.join(fields)} is protected (guard.protect.fields)" if fields else None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One limit that a plan breaks: ``says`` what, how many and which limit, and ``remedy`` how to proceed.

    ``final`` is one that no override lets pass.
    """

    limit: str
    wanted: float
    allowed: float
    says: str
    remedy: str
    final: bool = False

    @property
    def message(self) -> str:
        """All that a person must know whose plan is refused."""
        return f"{self.says}. {self.remedy}"


@dataclass
class _Tally:
    stages: int = 0
    tasks: int = 0
    money: dict[str, float] = field(default_factory=dict)
    places: Counter[Place] = field(default_factory=Counter)

    def take(self, change: Change) -> None:
        if change.kind is ChangeKind.OPEN_TASK:
            self.tasks += 1
        elif change.kind is ChangeKind.SET_STAGE:
            self.stages += 1
            # A credit moved is money moved as well; it does not make room for more.
            currency = change.currency or ""
            self.money[currency] = self.money.get(currency, 0.0) + abs(change.amount or 0.0)
            self.places[change.connection, change.object] += 1


def check(
    plan: Plan,
    scopes: Sequence[Scope],
    limits: Limits,
    *,
    today: Sequence[Change] = (),
    freezes: Sequence[Freeze] = (),
    now: datetime | None = None,
) -> tuple[Refusal, ...]:
    """What speaks against a plan; nothing means that it may be applied.

    ``today`` are the changes that were made already on this day; ``now`` is needed where there are ``freezes``.
    """
    judged: Counter[Place] = Counter()
    for scope in scopes:
        judged[scope.connection, scope.object] += scope.evaluated
    counted = [change for change in plan.changes if change.rule != REVERT]
    refusals = [*_broken(_tally(counted), limits.per_run, judged, "guard", "")]
    groups: tuple[tuple[str, Bound, Callable[[Change], tuple[str, str]]], ...] = (
        ("per_rule", limits.per_rule, lambda one: (one.rule, f" by rule {one.rule}")),
        ("per_object", limits.per_object, lambda one: (one.object, f" in object {one.object}")),
        (
            "per_owner",
            limits.per_owner,
            lambda one: (one.owner or "", f" of {one.owner_name or one.owner or 'nobody'}"),
        ),
    )
    for name, bound, group in groups:
        members: dict[str, list[Change]] = defaultdict(list)
        for one in counted if bound != NO_BOUND else ():
            members[group(one)[0]].append(one)
        for mine in members.values():
            refusals += _broken(_tally(mine), bound, judged, f"guard.{name}", group(mine[0])[1])
    if counted and limits.per_day != NO_BOUND:
        before = [change for change in today if change.rule != REVERT]
        refusals += _broken(
            _tally([*before, *counted]), limits.per_day, judged, "guard.per_day", _so_far(_tally(before))
        )
    if plan.changes and now is not None:
        refusals += _frozen(freezes, now)
    return tuple(refusals)


def _tally(changes: Iterable[Change]) -> _Tally:
    tally = _Tally()
    for change in changes:
        tally.take(change)
    return tally


def _so_far(made: _Tally) -> str:
    made_before = f"{counted(made.stages, 'stage')}, {counted(made.tasks, 'task')}"
    sums = [f"{money:,.0f} {currency}".strip() for currency, money in sorted(made.money.items())]
    return f" today ({made_before} and {' and '.join(sums) or '0'} of it by earlier runs)"


def _broken(tally: _Tally, bound: Bound, judged: Mapping[Place, int], name: str, whose: str) -> Iterable[Refusal]:
    if bound.stage_changes is not None and tally.stages > bound.stage_changes:
        what = f"stages would be changed{whose}"
        yield _refusal(f"{name}.stage_changes", tally.stages, bound.stage_changes, what)
    if bound.tasks is not None and tally.tasks > bound.tasks:
        yield _refusal(f"{name}.tasks", tally.tasks, bound.tasks, f"tasks would be opened{whose}")
    # Nothing converts currencies: the limit holds for the sum of each.
    for currency, money in sorted(tally.money.items()) if bound.money is not None else ():
        if bound.money is not None and money > bound.money:
            what = f"{currency} in amounts of deals{whose} would change their stage".lstrip()
            yield _refusal(f"{name}.money", money, bound.money, what)
    for place, count in tally.places.items() if bound.share is not None else ():
        share, of = count / max(judged.get(place, 0), 1), judged.get(place, 0)
        if bound.share is not None and share > bound.share:
            what = f"of the records of {place[0]} {place[1]} would change their stage{whose} ({count} of {of})"
            yield _refusal(f"{name}.share", share, bound.share, what)


def _refusal(limit: str, wanted: float, allowed: float, what: str) -> Refusal:
    form = "{:.1%}" if limit.endswith(".share") else "{:,.0f}"
    says = f"{form.format(wanted)} {what}; the limit {limit} is {form.format(allowed)}"
    return Refusal(limit=limit, wanted=wanted, allowed=allowed, says=says, remedy=HOW_TO_PROCEED)


def _frozen(freezes: Sequence[Freeze], now: datetime) -> Iterable[Refusal]:
    for freeze in freezes:
        if freeze.holds(now):
            remedy = "Nothing was written. Wait for the end; once and on record, --override REASON lets it pass."
            yield Refusal(limit=freeze.limit, wanted=1, allowed=0, says=freeze.words(now), remedy=remedy)
