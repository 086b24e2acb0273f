"""Refuses a plan by number, before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stagesync.model.changes import ChangeKind, Plan
from stagesync.model.findings import Scope


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one run. ``share`` is a fraction of the judged records of an object; ``money`` None means no limit."""

    stage_changes: int
    share: float
    money: float | None
    tasks: int


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One limit that a plan breaks: what, how many, which limit, and how to proceed."""

    limit: str
    wanted: float
    allowed: float
    message: str


def check(plan: Plan, scopes: Sequence[Scope], limits: Limits) -> tuple[Refusal, ...]:
    """The limits that the plan breaks; none means that it may be applied."""
    stages = [change for change in plan.changes if change.kind is ChangeKind.SET_STAGE]
    tasks = [change for change in plan.changes if change.kind is ChangeKind.OPEN_TASK]
    # A credit moved is money moved as well; it does not make room for more.
    money = sum(abs(change.amount or 0.0) for change in stages)
    refusals = []
    if len(stages) > limits.stage_changes:
        refusals.append(_refusal("stage_changes", len(stages), limits.stage_changes, "stages would be changed"))
    if len(tasks) > limits.tasks:
        refusals.append(_refusal("tasks", len(tasks), limits.tasks, "tasks would be opened"))
    if limits.money is not None and money > limits.money:
        refusals.append(_refusal("money", money, limits.money, "in amounts of deals would change their stage"))
    judged: Counter[tuple[str, str]] = Counter()
    for scope in scopes:
        judged[(scope.connection, scope.object)] += scope.evaluated
    for place, count in Counter((change.connection, change.object) for change in stages).items():
        share = count / max(judged[place], 1)
        if share > limits.share:
            what = f"of the records of {place[0]} {place[1]} would change their stage ({count} of {judged[place]})"
            refusals.append(_refusal("share", share, limits.share, what))
    return tuple(refusals)


def _refusal(limit: str, wanted: float, allowed: float, what: str) -> Refusal:
    form = "{:.1%}" if limit == "share" else "{:,.0f}"
    message = (
        f"{form.format(wanted)} {what}; the limit guard.{limit} is {form.format(allowed)}. "
        f"Nothing was written. Look at the plan, then raise the limit or narrow the rules."
    )
    return Refusal(limit=limit, wanted=wanted, allowed=allowed, message=message)
