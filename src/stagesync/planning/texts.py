"""What a rep reads in a task: what is missing, why it matters, where it was looked for, and how to disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stagesync.model.changes import TaskText
from stagesync.model.findings import Finding, Kind

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
LONGEST_NAME = 80


def subject(findings: Sequence[Finding]) -> str:
    """One line: the most important thing, and whether there is more."""
    first = findings[0]
    more = f" (+{len(findings) - 1} more)" if len(findings) > 1 else ""
    name = first.record_name if len(first.record_name) <= LONGEST_NAME else first.record_name[: LONGEST_NAME - 1] + "…"
    return f"Check the stage: {TITLES[first.kind]}{more} - {name}"


def body(findings: Sequence[Finding], moved: tuple[str, str] | None) -> str:
    """Plain text. ``moved`` are the native stages from and to which the record was moved, if it was."""
    lines = []
    if moved is not None:
        lines += [f"This record was moved from '{moved[0]}' to '{moved[1]}', the stage that its evidence supports.", ""]
    asked = any(finding.kind is not Kind.READY for finding in findings)
    for finding in findings:
        lines += _about(finding, moved=moved is not None)
        lines.append("")
    lines += [
        "This task closes by itself once that is in the CRM." if asked else "This task closes by itself then.",
        "If you disagree, leave a note on the record and tell your CRM admin, who decides what a stage requires.",
    ]
    return "\n".join(lines)


def thanks(text: TaskText, *, there: bool) -> TaskText:
    """The text of a task that StageSync closes: what it said, and why it is closed."""
    word = "Thank you: what was asked for is there." if there else "The record is no longer worked on."
    return replace(text, body=f"{text.body}\n\n{word} StageSync closed this task.")


def _about(finding: Finding, *, moved: bool) -> list[str]:
    match finding.kind:
        case Kind.PREMATURE:
            wanted = f"To move it forward again to '{finding.stage}'" if moved else f"For the stage '{finding.stage}'"
            lines = [f"{wanted}, please:"]
        case Kind.STALLED:
            lines = ["Nothing has moved here, please:"]
        case Kind.READY:
            # What was asked for is there: to ask for it again would be an insult.
            lines = [f"The evidence for the stage '{finding.earned}' is there; please move the record forward:"]
            return lines + [f"- {evidence.reason}" for evidence in finding.evidence]
        case _:
            lines = ["Please:"]
    for evidence in finding.evidence:
        lines.append(f"- {evidence.ask}")
        # A contradiction's reason begins with its because; the condition itself is for admins.
        if evidence.because and not evidence.reason.startswith(evidence.because):
            lines.append(f"  Why: {evidence.because}")
        place = f" ({evidence.source})" if evidence.source else ""
        lines.append(f"  We saw: {evidence.reason.partition('; needs ')[0]}{place}")
    return lines
