"""Which rows of a refused batch are to blame, against a portal that refuses a batch whole for one bad row."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.hubspot.answers import Rejection
from stagesync.connectors.hubspot.faults import Refusal
from stagesync.connectors.hubspot.narrowing import TRIED_ALONE, Input, Sending, Troubles, same_kind, same_values
from stagesync.model.changes import Halt, Result


@dataclass
class Portal:
    """Refuses ``bad`` rows; ``written`` are the others, in the order of their arrival."""

    bad: set[str]
    written: list[str] = field(default_factory=list)
    calls: int = 0

    def send(self, rows: list[Input]) -> Troubles:
        self.calls += 1
        names = [str(row["id"]) for row in rows]
        assert len(names) == len(set(names)) <= 100
        if self.bad & set(names):
            raise Refusal(400, Rejection(message="no"))
        self.written += names
        return {}


def rows_of(stages: list[int]) -> list[Input]:
    return [{"id": str(place), "properties": {"dealstage": str(stage)}} for place, stage in enumerate(stages)]


def sent(portal: Portal, stages: list[int]) -> Troubles:
    return Sending(lambda row: str(row["id"]), portal.send, same_values, halts=True).all(rows_of(stages))


@given(
    stages=st.lists(st.integers(0, 11), min_size=1, max_size=230),
    bad=st.sets(st.integers(0, 229)),
    forbidden=st.sets(st.integers(0, 11), max_size=4),
)
def test_every_row_is_written_once_or_has_its_trouble(stages: list[int], bad: set[int], forbidden: set[int]) -> None:
    refused = {str(p) for p, stage in enumerate(stages) if p in bad or stage in forbidden}
    portal = Portal(refused)
    troubles = sent(portal, stages)
    assert len(portal.written) == len(set(portal.written))
    assert set(portal.written) == {str(p) for p in range(len(stages))} - troubles.keys()
    told = {name for name, trouble in troubles.items() if trouble.result is Result.REFUSED}
    left = {name for name, trouble in troubles.items() if trouble.result is Result.FAILED}
    assert told <= refused
    assert told | left == troubles.keys() >= refused
    # A row is left out only with values that nobody got and a few were refused.
    for stage in {stages[int(name)] for name in left}:
        like = {str(p) for p, each in enumerate(stages) if each == stage}
        assert not like & set(portal.written)
        assert len(like & told) >= TRIED_ALONE
        assert {troubles[name].halt for name in like} == {Halt.TARGET}


@given(count=st.integers(1, 100), stages=st.integers(1, 8))
def test_values_that_are_taken_from_no_row_cost_few_calls(count: int, stages: int) -> None:
    given_stages = [place % stages for place in range(count)]
    portal = Portal({str(place) for place in range(count)})
    troubles = sent(portal, given_stages)
    assert len(troubles) == count
    # All of them, each stage, and then a few alone: those of a small group by halves.
    assert portal.calls <= 1 + stages + stages * 2 * TRIED_ALONE


@given(count=st.integers(1, 100), bad=st.integers(0, 99))
def test_one_bad_row_is_found_by_halves(count: int, bad: int) -> None:
    portal = Portal({str(bad % count)})
    troubles = sent(portal, [7] * count)
    assert set(troubles) == {str(bad % count)}
    assert troubles[str(bad % count)].halt is None
    assert portal.calls <= 1 + TRIED_ALONE + 2 * 7


@given(count=st.integers(TRIED_ALONE + 1, 100))
def test_a_portal_that_takes_no_row_at_all_is_told_by_a_few(count: int) -> None:
    """Tasks, say: no two have the same text."""
    portal = Portal({str(place) for place in range(count)})
    troubles = Sending(lambda row: str(row["id"]), portal.send, same_kind).all(rows_of(list(range(count))))
    assert portal.calls == 1 + TRIED_ALONE
    assert len(troubles) == count
    assert sum(trouble.result is Result.REFUSED for trouble in troubles.values()) == TRIED_ALONE
    assert {trouble.halt for trouble in troubles.values()} == {None}
