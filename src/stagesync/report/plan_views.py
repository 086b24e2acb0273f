"""A plan for people: rows in groups, as Markdown, HTML and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from stagesync.model.changes import Change, ChangeKind
from stagesync.model.counting import counted
from stagesync.report.plans import PlanDocument, plan_of
from stagesync.report.writing import cell, lines_of_csv

COLUMNS = (
    *("approved", "key", "kind", "connection", "object", "record", "record_name", "owner", "owner_name"),
    *("rule", "mode", "before", "after", "amount", "currency", "reason"),
)
MARKDOWN_COLUMNS = ("approved", "record", "change", "rule", "amount", "why", "key")


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


def _cells(document: PlanDocument, change: Change) -> tuple[str, ...]:
    before, after = what(change)
    return (
        "yes" if change.key in document.approved else "",
        f"{change.connection} {change.object} {change.record} {change.record_name}",
        f"{before} -> {after}" if before else after,
        change.rule,
        "" if change.amount is None else f"{change.amount:,.0f} {change.currency or ''}".strip(),
        change.reason,
        change.key,
    )


def heading(document: PlanDocument) -> list[str]:
    """What a plan is, in sentences: of which run, for whom, until when, by whom approved, what the guard said."""
    orgs = ", ".join(f"{name} ({org})" for name, org in document.orgs.items())
    changes, approved = len(document.changes), len(document.approved)
    said = [
        f"Plan of run {document.run}, made at {document.as_of[:16].replace('T', ' ')} UTC for {orgs}.",
        f"{counted(changes, 'change')}, {approved:,} approved. It may be applied until "
        f"{document.expires[:16].replace('T', ' ')} UTC, with the definitions '{document.definitions.name}'.",
    ]
    said += [
        f"{counted(len(one.keys), 'row')} approved by {one.by} at {one.at[:16].replace('T', ' ')} UTC"
        + (f": {one.note}" if one.note else ".")
        for one in document.approvals
    ]
    return said + [f"The guard would refuse it as a whole: {refusal}" for refusal in document.refusals]


_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222}table{border-collapse:collapse;width:100%}"
    "th,td{border-bottom:1px solid #ddd;padding:.4rem .6rem;text-align:left;vertical-align:top}"
    "del{color:#b00020;text-decoration:none}ins{color:#116329;text-decoration:none}"
    "del:before{content:'\\2212\\00a0'}ins:before{content:'+\\00a0'}del,ins{display:block}"
    ".number{text-align:right}small{color:#666}"
)
_HEADINGS = ("approved", "record", "change", "rule", "amount", "why")


def plan_html(document: PlanDocument, groups: Sequence[Group]) -> Iterator[str]:
    """One page that needs nothing else. All that came from a CRM is text: nothing in it is run or laid out."""
    title = f"Plan {escape(document.run)}"
    yield (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{title}</h1>\n"
    )
    yield "".join(f"<p>{escape(line)}</p>\n" for line in heading(document))
    for group in groups:
        if group.title:
            yield f"<h2>{escape(group.title)} ({len(group.changes)})</h2>\n"
        yield "<table>\n<tr>" + "".join(f"<th>{name}</th>" for name in _HEADINGS) + "</tr>\n"
        for change in group.changes:
            yield _html_row(document, change)
        yield "</table>\n"
    yield "</html>\n"


def _html_row(document: PlanDocument, change: Change) -> str:
    before, after = what(change)
    approved, _, _, rule, amount, why, key = map(escape, _cells(document, change))
    record = f"{escape(change.record_name)}<br><small>{escape(f'{change.connection} {change.object} {change.record}')}"
    diff = (f"<del>{escape(before)}</del>" if before else "") + f"<ins>{escape(after)}</ins>"
    return (
        f"<tr><td>{approved}</td><td>{record}</small></td><td>{diff}<small>{key}</small></td><td>{rule}</td>"
        f'<td class="number">{amount}</td><td>{why}</td></tr>\n'
    )


def groups_of(document: PlanDocument, by: str | None) -> list[Group]:
    """The rows of a document in groups."""
    return grouped(plan_of(document).changes, by)
