"""A plan for people: rows in groups, as Markdown, HTML and CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from stagesync.model.changes import Change, ChangeKind, LeftOut
from stagesync.model.counting import counted
from stagesync.planning import selection
from stagesync.report.plans import LeftOutRow, PlanDocument, plan_of
from stagesync.report.writing import cell, lines_of_csv

COLUMNS = (
    *("approved", "key", "kind", "connection", "object", "record", "record_name", "owner", "owner_name"),
    *("rule", "mode", "before", "after", "amount", "currency", "reason"),
)
MARKDOWN_COLUMNS = ("approved", "record", "owner", "change", "rule", "amount", "why", "key")
_COUNTED = {
    ChangeKind.SET_STAGE: ("stage to correct", "stages to correct"),
    ChangeKind.OPEN_TASK: ("task to open", "tasks to open"),
    ChangeKind.UPDATE_TASK: ("task to update", "tasks to update"),
    ChangeKind.CLOSE_TASK: ("task to close", "tasks to close"),
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows of a plan that are shown together."""

    title: str
    changes: Sequence[Change]


def grouped(changes: Sequence[Change], by: str | None) -> list[Group]:
    """The changes in groups by ``owner``, ``rule`` or ``stage`` in the order of their names; one group without."""
    if by is None:
        return [Group(title="", changes=changes)] if changes else []
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(_title(change, by), []).append(change)
    return [Group(title=title, changes=groups[title]) for title in sorted(groups, key=str.casefold)]


def _title(change: Change, by: str) -> str:
    match by:
        case "owner":
            return change.owner_name or change.owner or "nobody"
        case "rule":
            return change.rule
        case _:
            return f"from {change.stage_from}" if change.stage_from else "-"


def counts(changes: Sequence[Change]) -> str:
    """``12 tasks to open, 3 stages to correct``, in words."""
    found = Counter(change.kind for change in changes)
    return ", ".join(counted(count, *_COUNTED[kind]) for kind, count in sorted(found.items())) or "nothing to change"


def stake(changes: Sequence[Change]) -> str:
    """What the guard calls money: the amounts of the deals whose stage changes, each currency by itself; empty without
    any."""
    sums: dict[str, float] = {}
    for change in changes:
        if change.kind is ChangeKind.SET_STAGE and change.amount:
            sums[change.currency or ""] = sums.get(change.currency or "", 0.0) + abs(change.amount)
    told = [f"{money:,.0f} {currency}".strip() for currency, money in sorted(sums.items())]
    return f"the stages are of deals worth {' and '.join(told)}" if told else ""


def what(change: Change) -> tuple[str, str]:
    """What is and what would be, in words; the first is empty for tasks."""
    match change.kind:
        case ChangeKind.SET_STAGE:
            before = ", ".join(_held(name, change.before.get(name), change.stage_from) for name in _moved(change))
            return before, ", ".join(_held(name, change.after[name], change.stage_to) for name in _moved(change))
        case ChangeKind.OPEN_TASK:
            task = change.task
            who = change.owner_name or (task.owner if task else "")
            return "", f"task for {who}, due {task.due}: {task.subject}" if task else ""
        case ChangeKind.UPDATE_TASK:
            if change.asked_by is not None:
                return "", f"task {change.crm_id} is put back and says: {change.adds}"
            handed = f" goes to {change.handed_to} and" if change.handed_to else ""
            return "", f"task {change.crm_id}{handed} says: {change.task.subject if change.task else ''}"
        case ChangeKind.CLOSE_TASK:
            return "", f"task {change.crm_id} is done"


def _moved(change: Change) -> list[str]:
    return [name for name, value in change.after.items() if change.before.get(name) != value]


def _held(name: str, value: str | None, label: str | None) -> str:
    shown = "(blank)" if value is None else value if label in (None, value) else f"{label} ({value})"
    return f"{name}: {shown}"


def plan_csv(document: PlanDocument, groups: Sequence[Group]) -> Iterator[str]:
    """One line a row, with a header; texts that a spreadsheet would run as a formula are quoted."""
    return lines_of_csv(COLUMNS, (_csv_row(document, change) for group in groups for change in group.changes))


def _csv_row(document: PlanDocument, change: Change) -> dict[str, str]:
    before, after = what(change)
    row = {name: getattr(change, name, "") for name in COLUMNS} | {"before": before, "after": after}
    row["approved"] = "yes" if change.key in document.approved else "no"
    return {name: "" if value is None else str(value) for name, value in row.items()}


def plan_markdown(document: PlanDocument, groups: Sequence[Group]) -> Iterator[str]:
    """Headings and tables, for a pull request or a wiki."""
    yield "".join(f"{cell(line)}\n\n" for line in heading(document))
    for group in groups:
        yield f"### {cell(group.title)} ({len(group.changes)})\n\n" if group.title else ""
        yield "| " + " | ".join(MARKDOWN_COLUMNS) + " |\n" + "|" + " --- |" * len(MARKDOWN_COLUMNS) + "\n"
        for change in group.changes:
            yield "| " + " | ".join(cell(text) for text in _cells(document, change)) + " |\n"
        yield "\n"
    if document.left_out:
        yield f"### {NOT_PLANNED} ({len(document.left_out):,})\n\n"
        yield from (f"- {cell(line)}\n" for line in left_out(document.left_out))


def _cells(document: PlanDocument, change: Change) -> tuple[str, ...]:
    before, after = what(change)
    return (
        "yes" if change.key in document.approved else "",
        f"{change.connection} {change.object} {change.record} {change.record_name}",
        change.owner_name or change.owner or "nobody",
        f"{before} -> {after}" if before else after,
        change.rule,
        "" if change.amount is None else f"{change.amount:,.0f} {change.currency or ''}".strip(),
        change.reason,
        change.key,
    )


NOT_PLANNED = "Not planned, though a rule asks for it"


def left_out(entries: Sequence[LeftOut | LeftOutRow]) -> list[str]:
    """What rules ask for and was left out of a plan: a line for each rule and reason, those of most records first."""
    found = Counter((entry.rule, entry.reason) for entry in entries)
    return [f"{count:,} {rule}: {reason}" for (rule, reason), count in found.most_common()]


def heading(document: PlanDocument) -> list[str]:
    """What a plan is, in sentences: of which run, for whom, until when, by whom approved, what the guard said."""
    orgs = ", ".join(f"{name} ({org})" for name, org in document.orgs.items())
    changes, approved = plan_of(document).changes, len(document.approved)
    money = stake(changes)
    said = [
        f"Plan of run {document.run}, made at {document.as_of[:16].replace('T', ' ')} UTC for {orgs}.",
        f"{counted(len(changes), 'change')} ({counts(changes)}), {approved:,} approved. It may be applied until "
        f"{document.expires[:16].replace('T', ' ')} UTC, with the definitions '{document.definitions.name}'.",
    ]
    said += [f"{money[0].upper()}{money[1:]}."] if money else []
    said += [
        f"{counted(len(one.keys), 'row')} approved by {one.by} at {one.at[:16].replace('T', ' ')} UTC"
        + (f": {one.note}" if one.note else ".")
        for one in document.approvals
    ]
    return said + [f"The guard would refuse it as a whole: {refusal}" for refusal in document.refusals]


_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222}table{border-collapse:collapse;width:100%}"
    "th,td{border-bottom:1px solid #ddd;padding:.4rem .6rem;text-align:left;vertical-align:top}"
    "th{position:sticky;top:0;background:#fff}td p{margin:0}td:first-child{white-space:nowrap}"
    "del{color:#b00020;text-decoration:none}ins{color:#116329;text-decoration:none}"
    "del:before{content:'\\2212\\00a0'}ins:before{content:'+\\00a0'}del,ins{display:block}"
    ".number{text-align:right}small{color:#666}details pre{font:inherit;white-space:pre-wrap;margin:.3rem 0;"
    "padding:.5rem;background:#f5f5f5}summary{cursor:pointer;color:#666}"
    "@media print{th{position:static}}"
)
_HEADINGS = ("approved", "record", "change", "rule", "amount", "why")


def plan_html(document: PlanDocument, groups: Sequence[Group]) -> Iterator[str]:
    """One page that needs nothing else. All that came from a CRM is text: nothing in it is run or laid out."""
    title = f"Plan {escape(document.run)}"
    yield (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n<h1>{title}</h1>\n"
    )
    yield "".join(f"<p>{escape(line)}</p>\n" for line in heading(document))
    for group in groups:
        if group.title:
            yield f"<h2>{escape(group.title)} ({len(group.changes)})</h2>\n"
        yield "<table>\n<tr>" + "".join(f"<th>{name}</th>" for name in _HEADINGS) + "</tr>\n"
        for change in group.changes:
            yield _html_row(document, change)
        yield "</table>\n"
    if document.left_out:
        yield f"<h2>{NOT_PLANNED} ({len(document.left_out):,})</h2>\n<ul>\n"
        yield "".join(f"<li>{escape(line)}</li>\n" for line in left_out(document.left_out)) + "</ul>\n"
    yield "</html>\n"


def _html_row(document: PlanDocument, change: Change) -> str:
    before, after = what(change)
    approved, _, owner, _, rule, amount, _, key = map(escape, _cells(document, change))
    place = escape(f"{change.connection} {change.object} {change.record}")
    record = f"{escape(change.record_name)}<br><small>{place}<br>{owner}</small>"
    diff = (f"<del>{escape(before)}</del>" if before else "") + f"<ins>{escape(after)}</ins>"
    why = [f"{ground.criterion}: {ground.reason}" for ground in change.grounds] or [change.reason]
    reasons = "".join(f"<p>{escape(one)}</p>" for one in why)
    return (
        f"<tr><td>{approved}</td><td>{record}</td><td>{diff}{_html_text(change)}<small>{key}</small></td>"
        f'<td>{rule}</td><td class="number">{amount}</td><td>{reasons}</td></tr>\n'
    )


def text_of(change: Change) -> str:
    """The whole text that somebody would read in a task; empty for what is no task or closes one."""
    written = change.kind in (ChangeKind.OPEN_TASK, ChangeKind.UPDATE_TASK)
    return change.task.body if written and change.task is not None else ""


def _html_text(change: Change) -> str:
    text = text_of(change)
    return f"<details><summary>its text</summary><pre>{escape(text)}</pre></details>" if text else ""


def groups_of(
    document: PlanDocument, by: str | None, only: Sequence[str] = (), without: Sequence[str] = ()
) -> list[Group]:
    """The rows of a document in groups, all or those that :func:`selection.chosen` finds."""
    return grouped(selection.chosen(plan_of(document).changes, only, without), by)
