"""When the daemon runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stagesync.agent.daemon import trigger
from stagesync.policy.machinery import faults
from stagesync.settings import Schedule

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "seconds"), [("15 minutes", 900), ("1 hour", 3_600), ("36 hours", 129_600), ("1 day", 86_400)]
)
def test_an_interval_is_as_long_as_it_says(every: str, seconds: int) -> None:
    clock = trigger(Schedule.model_validate({"every": every}), ZoneInfo("UTC"))
    first = clock.get_next_fire_time(None, NOW)
    assert clock.get_next_fire_time(first, first) - first == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("words", "place", "says"),
    [
        ({"every": "2 business days"}, "every", "for business days a cron expression"),
        ({"every": "0 minutes"}, "every", "would never rest"),
        ({"cron": "every morning"}, "cron", "5 fields"),
        ({"cron": "0 6 * * * *"}, "cron", "not 6"),
        ({"cron": "0 25 * * *"}, "cron", "higher than the maximum value"),
        ({"cron": "0 6 * * 5-1"}, "cron", "run backwards"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_told_with_its_place(words: dict[str, str], place: str, says: str) -> None:
    schedule = Schedule.model_validate(words)
    ((where, told),) = faults(ledger=None, every=schedule.every, cron=schedule.cron)
    assert where == ("schedule", place)
    assert says in told


def test_a_cron_expression_is_in_the_time_zone_of_the_settings() -> None:
    clock = trigger(Schedule.model_validate({"cron": "0 6 * * 1-5"}), ZoneInfo("Europe/Berlin"))
    monday = clock.get_next_fire_time(None, NOW)
    assert monday == datetime(2026, 11, 23, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "first"),
    [("0", 22), ("7", 22), ("1", 23), ("6", 21), ("5-7", 20), ("mon", 23), ("*", 20), ("2,4", 24), ("1-5/2", 20)],
)
def test_days_of_the_week_count_from_sunday_as_cron_does(days: str, first: int) -> None:
    found = trigger(Schedule.model_validate({"cron": f"0 18 * * {days}"}), ZoneInfo("UTC")).get_next_fire_time(
        None, NOW
    )
    assert found == datetime(2026, 11, first, 18, tzinfo=UTC)
