"""The order in which findings are read, beside the plain way: put all of them in order, then group them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from stagesync.audit.ranking import Ranked
from stagesync.model.findings import Finding
from stagesync.model.kinds import Severity
from tests.thorough import tries
from tests.unit.worlds import World, judgement, worlds

ORDER = [Severity.HIGH, Severity.MEDIUM, Severity.LOW]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranking")


def rank(finding: Finding) -> tuple[int, float, str]:
    return ORDER.index(finding.severity), -(finding.amount or 0.0), finding.key


@settings(max_examples=tries(ordinary=20, soak=300))
@given(worlds())
def test_the_worst_records_are_those_of_the_worst_findings(folder: Path, world: World) -> None:
    judged = judgement(world, folder)
    by_record: dict[str, list[Finding]] = {}
    for finding in sorted(judged.each(), key=rank):
        by_record.setdefault(finding.record, []).append(finding)
    expected = list(by_record.values())

    ranked = Ranked([judged])

    assert list(ranked) == sorted(judged.each(), key=rank)
    assert ranked.by_record(0) == expected
    for limit in range(1, len(expected) + 2):
        assert ranked.by_record(limit) == expected[:limit]


@settings(max_examples=tries(ordinary=20, soak=300))
@given(worlds())
def test_a_few_findings_are_told_as_all_are(folder: Path, world: World) -> None:
    judged = judgement(world, folder)
    told = list(judged.each())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stagesync.audit.judgement.FEW_OF", 0)  # as if there were many records beside these
        assert list(judged.each()) == told
        for start, stop in ((0, 1), (len(told) // 2, None), (len(told) - 1, None)):
            assert list(judged.some(judged.findings[start:stop])) == told[start:stop]
