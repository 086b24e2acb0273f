"""What a rep reads in a task: what is missing, why it matters, where it was looked for, and how to disagree.

The words come from a template, the shipped one (``task.j2``) or an admin's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from stagesync.errors import ConfigurationError, Problem
from stagesync.model.changes import TaskText
from stagesync.model.findings import Evidence, Finding, Verdict
from stagesync.model.kinds import Kind, Mode, Severity
from stagesync.policy.document import problems_error
from stagesync.policy.labels import NO_LABELS, Labels
from stagesync.policy.templates import Blocks, Shape, TooMuch, read_blocks

SHIPPED = Path(__file__).with_name("task.j2")
TITLES = {
    Kind.PREMATURE: "evidence is missing for the stage",
    Kind.STALLED: "nothing has moved",
    Kind.CONTRADICTION: "the record contradicts itself",
    Kind.PLACEHOLDER: "a field says nothing",
    Kind.UNOWNED: "the record has no owner",
    Kind.REGRESSED: "it was moved back",
    Kind.SKIPPED: "it skipped a stage",
    Kind.READY: "ready for the next stage",
}
_EVIDENCE: Shape = dict.fromkeys(
    ("criterion", "verdict", "ask", "because", "why", "reason", "saw", "value", "source", "beside"),
)
_FINDING: Shape = {
    **dict.fromkeys(("kind", "rule", "title", "severity", "stage", "native_stage", "stage_label", "pipeline")),
    **dict.fromkeys(("earned", "earned_label", "since")),
    "evidence": [_EVIDENCE],
}
_RECORD: Shape = dict.fromkeys(("id", "name", "object", "connection", "owner", "amount"))
VALUES: Mapping[str, Shape] = {
    "record": _RECORD,
    "findings": [_FINDING],
    "waiver": dict.fromkeys(("status", "field")),
    **dict.fromkeys(("asked", "due", "moved", "moved_from", "moved_to")),
}
OF_MANAGERS: Mapping[str, Shape] = {**VALUES, "ended": dict.fromkeys(("who", "how", "day"))}
BLOCKS: Mapping[str, Shape] = {
    "subject": VALUES,
    "body": VALUES,
    "closing": dict.fromkeys(("there", "waived")),
    "manager_subject": OF_MANAGERS,
    "manager_body": OF_MANAGERS,
    "refusal": dict.fromkeys(("by", "reason", "day")),
}
"""The blocks of a template, and what each may use."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
FAILURES = (TooMuch, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)
"""What the operations of a template can raise for the values of a record."""

Moved = tuple[str, str] | None
"""The native stages from and to which the record was moved, if it was."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a rep asks for a waiver: by this status of the task, by writing into this field of the record."""

    status: str | None = None
    field: str | None = None


TELLING = Asking()
"""Neither: the rep tells the admin."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Who refused a waiver, why, and on which day in the time zone of the settings."""

    by: str
    reason: str
    day: date


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Whose task was ended, how (``completed``, ``deleted``), and on which day in the time zone of the settings."""

    who: str
    how: str
    day: date


@dataclass(frozen=True, kw_only=True)
class TaskTemplate:
    """A checked template. What it has no block for, or cannot say of a record, is said in the words of ``shipped``."""

    blocks: Blocks
    digest: str
    shipped: TaskTemplate | None = None

    def subject(
        self,
        findings: Sequence[Finding],
        moved: Moved = None,
        ended: Ended | None = None,
        labels: Labels = NO_LABELS,
    ) -> str:
        """One line: the most important thing, and whether there is more. For the manager of one who ``ended`` a task,
        if anybody did."""
        block = "subject" if ended is None else "manager_subject"
        text = self._said(block, _values(findings, moved, ended, labels=labels))
        lines = text.splitlines()
        return text if len(lines) < 2 else " ".join(line.strip() for line in lines)

    def body(
        self,
        findings: Sequence[Finding],
        moved: Moved = None,
        ended: Ended | None = None,
        *,
        asking: Asking = TELLING,
        labels: Labels = NO_LABELS,
        due: date | None = None,
    ) -> str:
        """Plain text; for the manager of one who ``ended`` a task, if anybody did. ``due`` is the task's last day."""
        block = "body" if ended is None else "manager_body"
        return self._said(block, _values(findings, moved, ended, asking, labels) | {"due": _day(due) if due else ""})

    def closed(self, text: TaskText, *, there: bool, waived: bool = False) -> TaskText:
        """The text of a task that StageSync closes: what it said, and why it is closed."""
        return replace(text, body=f"{text.body}\n\n{self.closing(there=there, waived=waived)}")

    def refusal(self, why: Refused) -> str:
        """What a rep reads whose request for a waiver was refused."""
        return self._said("refusal", _refusal(why))

    def closing(self, *, there: bool, waived: bool = False) -> str:
        """Why StageSync closes a task."""
        return self._said("closing", {"there": there, "waived": waived})

    def _said(self, block: str, values: Mapping[str, object]) -> str:
        if self.shipped is None:
            return self.blocks.text(block, values)
        try:
            if block in self.blocks.names:
                return self.blocks.text(block, values)
        except FAILURES:
            pass  # The check rendered it; a rep is told in other words rather than not at all.
        return self.shipped._said(block, values)


@cache
def shipped_template() -> TaskTemplate:
    """The template that comes with StageSync."""
    return _checked(SHIPPED, SHIPPED.read_text(encoding="utf-8"), None)


def load_template(file: Path) -> TaskTemplate:
    """An admin's template. Raises ConfigurationError with all problems, also those that show when it is rendered once
    with made-up findings."""
    try:
        source = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise problems_error([Problem(file=file, line=1, column=1, message="is not UTF-8 text")]) from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    return _checked(file, source, shipped_template())


def _checked(file: Path, source: str, shipped: TaskTemplate | None) -> TaskTemplate:
    blocks = read_blocks(file, source, BLOCKS)
    if not isinstance(blocks, Blocks):
        raise problems_error(blocks)
    if not blocks.names:
        message = f"has none of the blocks {', '.join(BLOCKS)}; write {{% block body %}} … {{% endblock %}}"
        raise problems_error([Problem(file=file, line=1, column=1, message=message)])
    problems = []
    for name in sorted(blocks.names):
        try:
            texts = [blocks.text(name, values) for values in _samples(name)]
        except FAILURES as error:
            message = f"the block '{name}' cannot be rendered with a made-up finding: {error}"
            problems.append(Problem(file=file, line=_line_of(source, name), column=1, message=message))
        else:
            if not all(text.strip() for text in texts):
                message = f"the block '{name}' says nothing for a made-up finding"
                problems.append(Problem(file=file, line=_line_of(source, name), column=1, message=message))
    if problems:
        raise problems_error(problems)
    return TaskTemplate(blocks=blocks, digest=hashlib.sha256(source.encode()).hexdigest(), shipped=shipped)


def _line_of(source: str, block: str) -> int:
    return next((n for n, line in enumerate(source.splitlines(), 1) if "block" in line and block in line), 1)


def _values(
    findings: Sequence[Finding],
    moved: Moved,
    ended: Ended | None = None,
    asking: Asking = TELLING,
    labels: Labels = NO_LABELS,
) -> dict[str, object]:
    first = findings[0]
    of_managers = {} if ended is None else {"ended": {**asdict(ended), "day": ended.day.isoformat()}}
    return {
        **of_managers,
        "record": {
            "id": first.record,
            "name": first.record_name,
            "object": first.object,
            "connection": first.connection,
            "owner": first.owner_name or first.owner or "",
            "amount": first.amount,
        },
        "findings": [_told(finding, labels) for finding in findings],
        "due": "",
        "asked": any(finding.kind is not Kind.READY for finding in findings),
        "waiver": {"status": asking.status or "", "field": asking.field or ""},
        "moved": moved is not None,
        "moved_from": moved[0] if moved else "",
        "moved_to": moved[1] if moved else "",
    }


def _day(day: date) -> str:
    """A day that nobody takes for another one: ``Thursday, 3 December 2026``."""
    return f"{DAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}"


def _refusal(why: Refused) -> dict[str, object]:
    return {**asdict(why), "day": why.day.isoformat()}


def _told(finding: Finding, labels: Labels) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "rule": finding.rule,
        "title": TITLES[finding.kind],
        "severity": finding.severity.value,
        "stage": finding.stage,
        "native_stage": finding.native_stage,
        "stage_label": labels.stage or finding.native_stage or finding.stage,
        "pipeline": finding.pipeline,
        "earned": finding.earned,
        "earned_label": labels.earned or finding.earned,
        "since": finding.since.date().isoformat() if finding.since else "",
        "evidence": [_seen(evidence, labels) for evidence in finding.evidence],
    }


def _seen(evidence: Evidence, labels: Labels) -> dict[str, object]:
    saw, why = _saw(evidence)
    return {
        "criterion": evidence.criterion,
        "verdict": evidence.verdict.value,
        "ask": evidence.ask,
        "because": evidence.because,
        "why": why,
        "reason": evidence.reason,
        "saw": labels.said(saw),
        "value": evidence.value or "",
        "source": evidence.source or "",
        "beside": labels.beside(evidence.source or ""),
    }


def _saw(evidence: Evidence) -> tuple[str, str]:
    """What was seen, without the condition, which is for admins, and why it matters, each thing once.

    A contradiction's reason begins with its because, and has what was seen in brackets.
    """
    saw, because = evidence.reason.partition("; needs ")[0], evidence.because
    if not because or not saw.startswith(because):
        return saw, because
    facts = saw.removeprefix(because).strip()
    return (facts[1:-1], because) if facts[:1] == "(" and facts[-1:] == ")" else (saw, "")


def _samples(block: str) -> Iterator[Mapping[str, object]]:
    if block == "closing":
        yield from ({"there": there, "waived": waived} for there in (True, False) for waived in (True, False))
        return
    if block == "refusal":
        yield _refusal(Refused(by="Ben", reason="the board has signed", day=date(2026, 3, 9)))
        return
    ended = Ended(who="Ana Lima", how="completed", day=date(2026, 3, 9)) if block.startswith("manager_") else None
    for kind in Kind:
        full = _made_up(kind)
        bare = Finding(**{name: getattr(full, name) for name in full.__struct_fields__} | _BARE)
        yield _values([full], None, ended) | {"due": _day(date(2026, 12, 3))}
        yield _values([full, bare], ("Proposal", "Qualified"), ended, Asking(status="Deferred"))
        yield _values([bare], None, ended, Asking(field="Waiver_Request__c"))


_BARE = {"owner": None, "owner_name": None, "pipeline": None, "earned": None, "since": None, "amount": None}


def _made_up(kind: Kind) -> Finding:
    evidence = Evidence(
        criterion="pain-stated",
        verdict=Verdict.NOT_MET,
        reason="pain is 'tbd'; needs stated(pain)",
        value="tbd",
        source="Opportunity.Pain__c",
        ask="write down the problem in the buyer's own words",
        because="people buy to end a pain",
    )
    return Finding(
        key="example",
        connection="crm",
        object="Opportunity",
        record="006000000000001AAA",
        record_name="Blue Windows, <5 sites> & more",
        owner="005000000000001AAA",
        owner_name="Ana Lima",
        kind=kind,
        rule=kind.value,
        severity=Severity.HIGH,
        mode=Mode.SUGGEST,
        stage="proposal",
        native_stage="Proposal",
        pipeline="default",
        earned="prospect",
        since=datetime.combine(date(2026, 3, 2), datetime.min.time(), tzinfo=UTC),
        since_source="history",
        amount=12_000.0,
        evidence=(evidence,),
    )
