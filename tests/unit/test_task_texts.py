"""The words of tasks: the shipped template says what it should, an admin's own is checked, and neither can run away."""

from __future__ import annotations

import time
from datetime import UTC, date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stagesync.errors import ConfigurationError
from stagesync.model.changes import TaskText
from stagesync.model.findings import Evidence, Finding, Verdict
from stagesync.model.kinds import Kind, Mode, Severity
from stagesync.policy import task_texts
from stagesync.policy.labels import Labels
from stagesync.policy.task_texts import TITLES, load_template, shipped_template
from stagesync.policy.templates import LONGEST

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), max_size=100)
EVIDENCE = st.builds(
    Evidence,
    criterion=WORDS,
    verdict=st.sampled_from(Verdict),
    reason=WORDS
    | WORDS.map("people buy to end a pain: {}; needs stated(pain)".format)
    | WORDS.map("people buy to end a pain ({})".format),
    value=st.none() | WORDS,
    source=st.none() | WORDS,
    ask=WORDS,
    because=WORDS | st.just("people buy to end a pain"),
)
FINDINGS = st.builds(
    Finding,
    key=WORDS,
    connection=WORDS,
    object=WORDS,
    record=WORDS,
    record_name=WORDS,
    owner=st.none() | WORDS,
    owner_name=st.none() | WORDS,
    kind=st.sampled_from(Kind),
    rule=WORDS,
    severity=st.sampled_from(Severity),
    mode=st.sampled_from(Mode),
    stage=st.none() | WORDS,
    native_stage=st.none() | WORDS,
    pipeline=st.none() | WORDS,
    earned=st.none() | WORDS,
    since=st.none() | st.datetimes(timezones=st.just(UTC)),
    since_source=st.none(),
    amount=st.none() | st.floats(allow_nan=False),
    evidence=st.lists(EVIDENCE, max_size=3).map(tuple),
)


def plain_subject(findings: list[Finding]) -> str:
    name = findings[0].record_name
    more = f" (+{len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"Check the stage: {TITLES[findings[0].kind]}{more} - {name if len(name) <= 80 else name[:79] + '…'}"


def seen_and_why(one: Evidence) -> tuple[str, str]:
    seen = one.reason.split("; needs ")[0]
    if one.because and not seen.startswith(one.because):
        return seen, one.because
    bracketed = seen[len(one.because) :].strip()
    if one.because and bracketed.startswith("(") and bracketed.endswith(")"):
        return bracketed[1:-1], one.because
    return seen, ""


def plain_body(findings: list[Finding], moved: tuple[str, str] | None, by: str = "") -> str:
    """The shipped words in plain Python."""
    lines: list[str] = []
    if moved:
        lines += [f"This record was moved from '{moved[0]}' to '{moved[1]}', the stage that its evidence supports.", ""]
    for finding in findings:
        if finding.kind is Kind.READY:
            lines.append(f"The evidence for the stage '{finding.earned}' is there; please move the record forward:")
            lines += [f"- {seen_and_why(one)[0]}" for one in finding.evidence]
        else:
            forward = "To move it forward again to" if moved else "For the stage"
            lines.append(
                {
                    Kind.PREMATURE: f"{forward} '{finding.native_stage or finding.stage}', please:",
                    Kind.STALLED: "Nothing has moved here for a while. Please:",
                }.get(finding.kind, "Please:")
            )
            for one in finding.evidence:
                lines.append(f"- {one.ask}")
                seen, why = seen_and_why(one)
                if why:
                    lines.append(f"  Why: {why}")
                place = f" ({one.source})" if one.source else ""
                lines.append(f"  We saw: {seen}{place}")
        lines.append("")
    if all(finding.kind is Kind.READY for finding in findings):
        lines.append(f"{by}This task closes by itself then.")
    else:
        lines.append(f"{by}This task closes by itself once that is in the CRM.")
    lines.append(
        "If you disagree, leave a note on the record and tell your CRM admin, who decides what a stage requires."
    )
    return "\n".join(lines)


@given(st.lists(FINDINGS, min_size=1, max_size=4), st.none() | st.tuples(WORDS, WORDS))
def test_the_shipped_template_says_exactly_this(findings: list[Finding], moved: tuple[str, str] | None) -> None:
    template = shipped_template()
    assert template.subject(findings, moved) == plain_subject(findings)
    assert template.body(findings, moved) == plain_body(findings, moved)
    by = "Please do this by Thursday, 3 December 2026. "
    assert template.body(findings, moved, due=date(2026, 12, 3)) == plain_body(findings, moved, by)


def test_a_rep_reads_the_labels_of_the_crm() -> None:
    labels = Labels(
        items={"pain": "Customer Pain", "meetings": "meetings", "next_step": "next step"},
        places=frozenset({"Opportunity.Pain__c"}),
        stage="Value Proposition",
    )
    asked = structs.replace(
        finding().evidence[0],
        reason="pain is 'pain is what?'; meetings is 0; next_step is blank; needs stated(pain)",
        source="Opportunity.Pain__c, count of Event",
    )
    body = shipped_template().body([finding(evidence=(asked,))], labels=labels)
    assert "For the stage 'Value Proposition', please:" in body
    seen = "Customer Pain is 'pain is what?'; meetings is 0; next step is blank (count of Event)"
    assert f"  We saw: {seen}\n" in body


@pytest.mark.parametrize(
    ("there", "word"),
    [(True, "Thank you: what was asked for is there."), (False, "The record is no longer worked on.")],
)
def test_a_closed_task_says_why(there: bool, word: str) -> None:
    text = TaskText(subject="s", body="as it was", due=date(2026, 3, 1), owner="ann")
    closed = shipped_template().closed(text, there=there)
    assert closed == TaskText(
        subject="s", body=f"as it was\n\n{word} StageSync closed this task.", due=text.due, owner="ann"
    )


def finding(**changed: object) -> Finding:
    return structs.replace(task_texts._made_up(Kind.PREMATURE), **changed)


def written(folder: Path, text: str) -> Path:
    file = folder / "task.j2"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_own_template_has_the_first_word_and_the_shipped_one_the_rest(tmp_path: Path) -> None:
    own = "{% block subject %}\n{{ record.name }}: {{ findings[0].evidence|length }} offen\n{% endblock %}\n"
    template = load_template(written(tmp_path, own))
    assert template.subject([finding()]) == "Blue Windows, <5 sites> & more: 1 offen"
    assert template.body([finding()]) == plain_body([finding()], None)
    assert template.digest != shipped_template().digest


def test_a_subject_is_one_line(tmp_path: Path) -> None:
    template = load_template(written(tmp_path, "{% block subject %}\na\n  {{ record.name }}\n{% endblock %}"))
    assert template.subject([finding(record_name="x\ny")]) == "a x y"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{% block body %}\n{{ recrod.name }}\n{% endblock %}", 2, "did you mean 'record'?"),
        ("{% block body %}\n\n{{ record.nmae }}\n{% endblock %}", 3, "did you mean 'name'?"),
        ("{% block body %}{% for f in findings %}\n{{ f.stag }}{% endfor %}{% endblock %}", 2, "did you mean 'stage'?"),
        ("{% block body %}{{ (findings|first).knd }}{% endblock %}", 1, "did you mean 'kind'?"),
        ("{% block body %}{{ findings[0].evidence[0].aks }}{% endblock %}", 1, "did you mean 'ask'?"),
        ("{% block bdy %}x{% endblock %}", 1, "did you mean 'body'?"),
        ("{% block body %}{{ record.name|uper }}{% endblock %}", 1, "did you mean 'upper'?"),
        ("{% block closing %}{{ record.name }}{% endblock %}", 1, "nothing is called 'record'"),
        ("hello\n{% block body %}x{% endblock %}", 1, "stands in its blocks"),
        ("{% block body %}\n{% if %}{% endblock %}", 2, "is no template"),
        ("{% block body %}x", 1, "is no template"),
        ("", 1, "has none of the blocks"),
        ("{% block body %}{% endblock %}", 1, "says nothing"),
        ("{% block body %}{% if record.amount > 5 %}x{% endif %}x{% endblock %}", 1, "cannot be rendered"),
        ("{% block body %}{{ record.items() }}{% endblock %}", 1, "cannot do this (a call)"),
        ("{% block body %}{{ record.__class__ }}{% endblock %}", 1, "nothing here is called"),
        ("{% block body %}{{ record['__class__'] }}{% endblock %}", 1, "nothing here is called"),
        ("{% block body %}{{ record.name.__class__ }}{% endblock %}", 1, "cannot be asked of"),
        ("{% block body %}{{ range }}{% endblock %}", 1, "nothing is called 'range'"),
        ("{% block body %}{{ self }}{% endblock %}", 1, "nothing is called 'self'"),
        ("{% block body %}{{ 'a' * 999999999 }}{% endblock %}", 1, "cannot do this (*)"),
        ("{% block body %}{{ 9 ** 999999999 }}{% endblock %}", 1, "cannot do this (**)"),
        ("{% block body %}{{ '%999999999d' % 1 }}{% endblock %}", 1, "cannot do this (%)"),
        ("{% block body %}{% set x = 1 %}x{% endblock %}", 1, "cannot do this (set)"),
        ("{% block body %}{% include '/etc/passwd' %}{% endblock %}", 1, "cannot do this (include)"),
        ("{% import 'x' as y %}", 1, "stands in its blocks"),
        ("{% extends 'x' %}", 1, "stands in its blocks"),
        ("{% block body %}{% for a in record.name %}x{% endfor %}{% endblock %}", 1, "goes over a list"),
        ("{% block body %}{{ record.name|join('y') }}{% endblock %}", 1, "is for a list"),
        (
            "{% block body %}" + "{% for a in findings %}" * 5 + "x" + "{% endfor %}" * 5 + "{% endblock %}",
            1,
            "at most 4",
        ),
        ("{% block body %}" + "(" * 3 + "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}{% endblock %}", 1, "nested too"),
        ("{% block body %}" + "x" * 20_000 + "{% endblock %}", 1, "is longer than"),
    ],
)
def test_a_wrong_template_is_refused_with_its_place(tmp_path: Path, text: str, line: int, said: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigurationError) as raised:
        load_template(written(tmp_path, text))
    assert time.monotonic() - started < 5
    assert any(one.line == line and said in one.message for one in raised.value.problems), str(raised.value)
    assert str(tmp_path / "task.j2") in str(raised.value)


def test_the_column_of_a_wrong_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_template(written(tmp_path, "{% block body %}\nHello {{ recrod }}, {{ fnidings }}\n{% endblock %}"))
    assert [(one.line, one.column) for one in raised.value.problems] == [(2, 10), (2, 24)]


def test_a_template_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_template(tmp_path / "none.j2")
    (tmp_path / "task.j2").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_template(tmp_path / "task.j2")


ROUND = "{% for a in findings %}" * 4 + "{{ a.rule }}" + "{% endfor %}" * 4


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (ROUND, [finding()] * 40),
        ("{{ record.name }}" * 40, [finding(record_name="x" * (LONGEST // 30))]),
        ("{% if record.amount and record.amount > 5 %}much{% endif %}x", [finding(amount="much")]),
    ],
)
def test_what_cannot_be_said_of_a_record_is_said_in_the_shipped_words(
    tmp_path: Path, body: str, given: list[Finding]
) -> None:
    template = load_template(written(tmp_path, f"{{% block body %}}{body}{{% endblock %}}"))
    started = time.monotonic()
    assert template.body(given) == plain_body(given, None)
    assert time.monotonic() - started < 5
    assert template.body([finding()]) != plain_body([finding()], None)
