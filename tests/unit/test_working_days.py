"""Working days: against numpy's, which knows weekends and a list of holidays, and against real calendars."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.policy.working_days import WorkingDays

DAYS = st.dates(date(1990, 1, 1), date(2040, 1, 1))
CALENDARS = st.builds(
    WorkingDays,
    weekend=st.sets(st.integers(0, 6), max_size=6).map(frozenset),
    closed=st.sets(st.dates(date(2019, 1, 1), date(2021, 1, 1)), max_size=60).map(frozenset),
)
BAVARIA = WorkingDays(country="DE", region="BY")


def numpys(calendar: WorkingDays) -> np.busdaycalendar:
    mask = [day not in calendar.weekend for day in range(7)]
    return np.busdaycalendar(weekmask=mask, holidays=sorted(calendar.closed))


@given(CALENDARS, DAYS, st.integers(0, 3000))
def test_days_between_are_those_that_numpy_counts(calendar: WorkingDays, start: date, days: int) -> None:
    end = start + timedelta(days=days)
    assert calendar.between(start, end) == np.busday_count(start, end, busdaycal=numpys(calendar))
    assert calendar.between(end, start) == 0 or end == start


@given(CALENDARS, DAYS, st.integers(0, 200))
def test_a_day_after_so_many_is_the_one_that_numpy_names(calendar: WorkingDays, start: date, count: int) -> None:
    wanted = np.busday_offset(start, count, roll="forward", busdaycal=numpys(calendar))
    assert calendar.after(start, count) == wanted.item()


@given(CALENDARS, DAYS, st.integers(1, 200))
def test_the_day_before_so_many_is_the_latest_with_that_many_between(
    calendar: WorkingDays, day: date, count: int
) -> None:
    start = calendar.before(day, count)
    assert calendar.between(start, day) == count
    assert calendar.between(start + timedelta(days=1), day) == count - 1


def test_public_holidays_are_those_of_the_country_and_the_region() -> None:
    corpus_christi, unity, christmas_eve = date(2026, 6, 4), date(2026, 10, 3), date(2026, 12, 24)
    assert not BAVARIA.is_one(corpus_christi)
    assert WorkingDays(country="DE", region="BE").is_one(corpus_christi)
    assert WorkingDays().is_one(corpus_christi)
    assert unity.weekday() == 5  # a holiday on a Saturday takes no working day away
    assert BAVARIA.between(date(2026, 10, 1), date(2026, 10, 6)) == 3
    assert BAVARIA.is_one(christmas_eve)
    assert not WorkingDays(country="DE", closed=frozenset({christmas_eve})).is_one(christmas_eve)
    assert WorkingDays(country="AE", weekend=frozenset({4, 5})).is_one(date(2026, 11, 22))  # a Sunday


@pytest.mark.parametrize("count", [1, 5, 250])
def test_before_the_year_one_there_is_nothing(count: int) -> None:
    with pytest.raises(OverflowError):
        WorkingDays().before(date(1, 1, 1), count)
