"""The findings of a real run over HTTP equal the sandbox's answer key, both ways: nothing missed, nothing invented."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stagesync.agent import cycle
from stagesync.model.findings import Finding
from stagesync.sandbox.company.answers import Answer, read_answers
from stagesync.sandbox.server import Sandbox

from .deployment import deployment

# A few for every change; `make soak` asks for many.
SEEDS = range(101, 101 + int(os.environ.get("STAGESYNC_SEEDS", "4")))
FIRST = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)

Entry = tuple[str, str, str, str, str | None, str | None]
"""Connection, object, record, rule, the rung it stands on, the rung it has earned."""


def _moment(seed: int) -> datetime:
    """Each company lives at another day and hour of three years: weekends, ends of months, midnights."""
    return FIRST + timedelta(days=(seed - SEEDS[0]) * 97, hours=(seed * 7) % 24, minutes=(seed * 13) % 55)


def _told(title: str, entries: Counter[Entry], why: dict[str, list[str]]) -> str:
    lines = [f"{title} ({entries.total()}):"]
    for crm, place, record, rule, stage, earned in sorted(entries, key=str)[:20]:
        said = "; ".join(why.get(record, ["the key says nothing of this record"]))
        lines.append(f"  {crm} {place} {record} {rule}, on {stage}, earned {earned}: {said}")
    return "\n".join(lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_findings_equal_the_answer_key(seed: int, tmp_path: Path) -> None:
    now = _moment(seed)
    records = 800 if seed % 6 == 0 else 600
    with Sandbox.create(tmp_path / "crms", seed=seed, records=records, as_of=now, clock=lambda: now) as sandbox:
        with deployment(tmp_path / "agent", sandbox).agent(write=False, clock=lambda: now) as agent:
            result = cycle.run(agent, command="audit", write=False)
        answers = list(read_answers(sandbox.answers_path))
    assert result.errors == {}
    findings = [finding for judgement in result.judgements for finding in judgement.each()]
    found = Counter((one.connection, one.object, one.record, one.rule, one.stage, one.earned) for one in findings)
    key = Counter(_entry(answer) for answer in answers if not answer.fine)
    why = _why(answers, findings)
    missed, invented = key - found, found - key
    assert not missed, _told("missed", missed, why)
    assert not invented, _told("invented", invented, why)
    assert key.total() > records // 4

    # Decoys look bad and are fine: neither a finding nor a change, but for what is planted in the same record.
    decoys = {(one.crm, one.object, one.record) for one in answers if one.fine}
    decoys -= {(one.crm, one.object, one.record) for one in answers if not one.fine}
    assert len(decoys) > records // 10
    assert decoys.isdisjoint((one.connection, one.object, one.record) for one in findings)
    assert decoys.isdisjoint((one.connection, one.object, one.record) for one in result.plan.changes)


def _entry(answer: Answer) -> Entry:
    return answer.crm, answer.object, answer.record, str(answer.rule), answer.stage, answer.earned


def _why(answers: Iterable[Answer], findings: Iterable[Finding]) -> dict[str, list[str]]:
    why: dict[str, list[str]] = {}
    for answer in answers:
        why.setdefault(answer.record, []).append(f"key: {'fine, ' if answer.fine else ''}{answer.why}")
    for one in findings:
        reasons = ", ".join(f"{evidence.criterion}: {evidence.reason}" for evidence in one.evidence)
        why.setdefault(one.record, []).append(f"found: {one.rule} ({reasons})")
    return why
