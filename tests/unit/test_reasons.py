"""What is said of many records in columns is what is said of each of them alone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.audit.reasons import FEW, evidence_for, words_of
from stagesync.model.findings import Verdict
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Criterion, load_definition

DEFINITION = """
definition: words
ladder: [lead]
evidence:
  count: {type: integer}
  size: {type: number}
  pain: {type: text}
  trial: {type: boolean}
  due: {type: date}
  seen: {type: datetime}
  hidden: {type: text}
stages:
  lead:
    means: a lead
    requires:
      - id: all-of-it
        check: >-
          count > 1 and size > 1 and stated(pain) and trial and due is not null and seen is not null and stated(hidden)
        because: it matters
        ask: write it down
"""
ROW = st.fixed_dictionaries(
    {
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "size": st.none() | st.floats() | st.floats(-1e6, 1e6).map(lambda number: round(number, 2)) | st.just(-0.0),
        "pain": st.none() | st.text(max_size=90) | st.text("ä'\n", min_size=78, max_size=83),
        "trial": st.none() | st.booleans(),
        "due": st.none() | st.dates(),
        "seen": st.none() | st.datetimes(timezones=st.just(UTC)),
        "pain" + UNREADABLE: st.none() | st.booleans(),
    }
)
SCHEMA = {
    "count": pl.Int64(),
    "size": pl.Float64(),
    "pain": pl.String(),
    "trial": pl.Boolean(),
    "due": pl.Date(),
    "seen": pl.Datetime("us", "UTC"),
    "pain" + UNREADABLE: pl.Boolean(),
}
ODD = [
    {"size": size, "due": date(1, 1, 1), "seen": datetime(1, 1, 1, tzinfo=UTC)}
    for size in (1e15, 1e16, 1.5e300, 1e-5, 1.25e-7, 5e-324, 0.1, 123456789012345.6, float("inf"), float("nan"), 1e22)
]


@pytest.fixture(scope="module")
def criterion(tmp_path_factory: pytest.TempPathFactory) -> Criterion:
    path: Path = tmp_path_factory.mktemp("words") / "words.yaml"
    path.write_text(DEFINITION, encoding="utf-8")
    (criterion,) = load_definition(path).criteria
    return criterion


@settings(max_examples=60)
@given(rows=st.lists(ROW, min_size=1, max_size=8), verdict=st.sampled_from(Verdict))
def test_the_same_is_said_in_columns(criterion: Criterion, rows: list[dict[str, object]], verdict: Verdict) -> None:
    unknown = {"hidden": "this token may not read it"}
    every = [dict.fromkeys(SCHEMA) | odd for odd in ODD] + rows * FEW
    known = pl.DataFrame(every, schema=SCHEMA, strict=False)
    told = words_of(criterion, verdict, known, unknown)
    alone = [evidence_for(criterion, verdict, row, unknown, {}) for row in known.iter_rows(named=True)]
    assert told == ([one.reason for one in alone], [one.value for one in alone])


def test_what_cannot_be_read_is_not_called_blank(criterion: Criterion) -> None:
    marred = dict.fromkeys(SCHEMA) | {"count": 2, "pain" + UNREADABLE: True}
    said = evidence_for(criterion, Verdict.UNKNOWN, marred, {}, {})
    assert said.reason == "pain cannot be read"
    assert said.value == "2, blank, unreadable, blank, blank, blank, blank"
