"""The answer key against a slow reading of the stored rows: nothing missing in it, nothing too much."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stagesync.sandbox.company.answers import Answer, read_answers
from stagesync.sandbox.company.seeding import seed_hubspot, seed_salesforce
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.standard import standard_metadata as standard_portal
from stagesync.sandbox.salesforce.metadata import standard_metadata as standard_org
from stagesync.sandbox.salesforce.org import Org

from . import company_rows
from .company_oracle import CRITERIA, PACK, Expected, Judged, findings, mark_pasted

# A Saturday night, a Monday shortly after midnight UTC, a leap day, the last evening of a year.
MOMENTS = {
    1: datetime(2026, 11, 21, 22, 15, tzinfo=UTC),
    2: datetime(2026, 6, 1, 0, 5, tzinfo=UTC),
    3: datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
    4: datetime(2026, 12, 31, 23, 55, tzinfo=UTC),
}
seeds = pytest.mark.parametrize("seed", MOMENTS)


def _salesforce(path: Path, seed: int, as_of: datetime) -> tuple[list[Answer], Iterable[Judged]]:
    org = Org(path / "salesforce.db", clock=lambda: as_of)
    standard_org(org)
    with (path / "answers.jsonl").open("w", encoding="utf-8") as answers:
        seed_salesforce(org, seed=seed, records=620, as_of=as_of, answers=answers)
    return list(read_answers(path / "answers.jsonl")), _marked(company_rows.salesforce(org, as_of))


def _hubspot(path: Path, seed: int, as_of: datetime) -> tuple[list[Answer], Iterable[Judged]]:
    portal = Portal(path / "hubspot.db", clock=lambda: as_of)
    standard_portal(portal)
    with (path / "answers.jsonl").open("w", encoding="utf-8") as answers:
        seed_hubspot(portal, seed=seed, records=620, as_of=as_of, answers=answers)
    return list(read_answers(path / "answers.jsonl")), _marked(company_rows.hubspot(portal, as_of))


def _marked(records: Iterable[Judged]) -> list[Judged]:
    found = list(records)
    mark_pasted(found)
    return found


Seed = Callable[[Path, int, datetime], tuple[list[Answer], Iterable[Judged]]]
each_crm = pytest.mark.parametrize("build", [_salesforce, _hubspot])


@seeds
@each_crm
def test_key_says_what_the_rows_say(build: Seed, seed: int, tmp_path: Path) -> None:
    as_of = MOMENTS[seed]
    answers, records = build(tmp_path, seed, as_of)
    key = [
        Expected(answer.object, answer.record, answer.rule or "", answer.stage, answer.earned)
        for answer in answers
        if not answer.fine
    ]
    read = [finding for record in records for finding in findings(record, as_of)]
    assert len(key) == len(set(key))
    assert set(key) - set(read) == set()
    assert set(read) - set(key) == set()


@each_crm
def test_key_still_holds_a_day_later(build: Seed, tmp_path: Path) -> None:
    as_of = MOMENTS[1]
    answers, records = build(tmp_path, 5, as_of)
    key = {(answer.record, answer.rule) for answer in answers if not answer.fine}
    late = as_of + timedelta(hours=25)
    assert {(found.record, found.rule) for record in records for found in findings(record, late)} == key


@each_crm
def test_decoys_are_records_without_a_finding(build: Seed, tmp_path: Path) -> None:
    answers, _ = build(tmp_path, 6, MOMENTS[1])
    decoys = {answer.record for answer in answers if answer.fine}
    assert len(decoys) > 30
    assert decoys.isdisjoint(answer.record for answer in answers if not answer.fine)
    assert all(answer.why for answer in answers)


def test_oracle_knows_every_criterion_of_the_pack() -> None:
    in_pack = [criterion["id"] for stage in PACK["stages"].values() for criterion in stage["requires"]]
    assert sorted(in_pack) == sorted(CRITERIA)
