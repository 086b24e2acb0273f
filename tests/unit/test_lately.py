"""What a CRM says of itself is asked for again after a minute, and never remembered when it failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.lately import MOMENT, Lately
from stagesync.errors import ConnectionFailed


@given(waits=st.lists(st.floats(0, 3 * MOMENT), min_size=1))
def test_no_answer_is_a_minute_old(waits: list[float]) -> None:
    now, asked = 0.0, [0.0]

    def ask() -> float:
        asked.append(now)
        return now

    lately = Lately(lambda: now)
    for wait in waits:
        now += wait
        told = lately.told("stages", ask)
        assert now - told < MOMENT
        assert told == asked[-1]
    assert len(asked) - 1 <= 1 + now / MOMENT


def test_one_thing_is_not_another() -> None:
    lately = Lately(lambda: 0.0)
    assert lately.told("stages", lambda: 1) == 1
    assert lately.told("statuses", lambda: 2) == 2
    assert lately.told("stages", lambda: 3) == 1


def test_a_failure_is_not_kept() -> None:
    lately = Lately(lambda: 0.0)

    def broken() -> int:
        raise ConnectionFailed("no answer")

    with pytest.raises(ConnectionFailed):
        lately.told("stages", broken)
    assert lately.told("stages", lambda: 3) == 3
