"""Tasks are due on days on which their owners work, wherever they are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .office import HubSpotOffice, SalesforceOffice, tasks


def working_day(start: date, count: int, closed: set[date]) -> date:
    """The working day that lies so many after the first one from ``start`` on."""
    days = (start + timedelta(days=n) for n in range(365))
    work = [day for day in days if day.weekday() < 5 and day not in closed]
    return work[count]


def test_tasks_are_due_on_working_days_of_their_owners(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox, enforce=False)
    agent.words["connections"]["salesforce"]["owner_country"] = "LocaleSidKey"
    now = datetime.now(UTC).date()
    closed = {now + timedelta(days=n) for n in range(20)}
    days = [day.isoformat() for day in sorted(closed)]
    salesforce, hubspot = SalesforceOffice(sandbox), HubSpotOffice(sandbox)
    swedes = {key for key, user in salesforce.rows()["User"].items() if user["LocaleSidKey"] == "sv_SE"}
    named = {key for key, body in hubspot.rows()["owners"].items() if body["lastName"] == "Hart"}
    assert swedes
    assert named
    agent.words["tasks"] = {
        "due": "3 business days",
        "calendars": [
            {"called": ["sv_SE"], "closed": days},
            {"owners": ["Amelia Hart"], "closed": days[:10]},
        ],
    }
    agent.save()

    done = agent.run("run")

    assert done.code == 0, done.said
    # A salesperson of this name works in Salesforce too, where the same calendar fits.
    named |= {key for key, user in salesforce.rows()["User"].items() if user["Name"] == "Amelia Hart"}
    seen = {"swedes": 0, "named": 0, "others": 0}
    made = [task for of_record in tasks(sandbox).values() for task in of_record]
    today = {now, datetime.now(UTC).date()}
    for task in made:
        group = "swedes" if task.owner in swedes else "named" if task.owner in named else "others"
        free = {"swedes": closed, "named": set(sorted(closed)[:10]), "others": set()}[group]
        seen[group] += 1
        assert date.fromisoformat(task.due) in {working_day(day, 3, free) for day in today}
    assert all(seen.values()), seen


@pytest.mark.parametrize(
    ("tasks_words", "said"),
    [
        ({"calendars": [{"weekend": ["sunday"]}]}, "say whose days these are"),
        ({"calendars": [{"owners": ["Ana"], "country": "GR", "region": "XX"}]}, "unknown region 'XX'"),
        ({"calendar": {"country": "QQ"}}, "unknown country 'QQ'"),
        ({"calendars": [{"owners": ["Ana"], "regoin": "BY"}]}, "did you mean 'region'?"),
    ],
)
def test_a_wrong_calendar_is_told_with_its_place(
    still: Sandbox, deploy: Deploy, tasks_words: dict[str, object], said: str
) -> None:
    agent = deploy(still)
    agent.words["tasks"] = tasks_words
    agent.save()
    done = agent.run("check")
    assert done.code == 2
    assert said in done.err
    assert f"{agent.config}:" in done.err


def test_a_field_of_the_country_that_is_not_there_is_told(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.words["connections"]["salesforce"]["owner_country"] = "Contry"
    agent.only("salesforce")
    done = agent.run("run")
    assert done.code == 2
    assert "owner_country is 'Contry', and User has no such field" in done.said
    assert tasks(sandbox) == {}
