"""Texts and moments of HubSpot's tasks, as people and the portal write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from stagesync.connectors.hubspot.task_states import _moment
from stagesync.connectors.hubspot.tasks import (
    BODY,
    SUBJECT,
    html,
    is_retold,
    marked,
    new_text,
    plain,
    task_properties,
)
from stagesync.model.changes import Change, ChangeKind, TaskText
from tests.unit.hubspot_changes import deal_change


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", ""),
        (html('Please <call> them.\n\n- "now" & here'), 'Please <call> them.\n\n- "now" & here'),
        ('<div style="" dir="auto"><p>One</p><p>two<br/>three</p></div>', "One\ntwo\nthree\n\n"),
        ("<ul><li>One &lt;b&gt;</li><LI>two</LI></ul>", "One <b>\ntwo\n"),
    ],
)
def test_a_body_is_read_as_text(body: str, text: str) -> None:
    assert plain(body) == text


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-21T21:38:00.123Z", datetime(2026, 11, 21, 21, 38, 0, 123_000, tzinfo=UTC)),
        ("2026-11-21T22:38:00+01:00", datetime(2026, 11, 21, 21, 38, tzinfo=UTC)),
        ("2026-11-21T21:38:00", datetime(2026, 11, 21, 21, 38, tzinfo=UTC)),
        ("1795297080000", datetime(2026, 11, 21, 21, 38, tzinfo=UTC)),
        (None, None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_a_moment_is_read_or_unknown(written: str | None, moment: datetime | None) -> None:
    assert _moment(written) == moment


def text_of(task: TaskText) -> dict[str, str]:
    return task_properties(task, UTC)


@pytest.mark.parametrize(
    ("zone", "due"),
    [
        ("UTC", "2026-11-25T09:00:00.000Z"),
        ("Pacific/Auckland", "2026-11-24T20:00:00.000Z"),
        ("Pacific/Honolulu", "2026-11-25T19:00:00.000Z"),
    ],
)
def test_a_task_is_due_in_the_morning_where_the_portal_is(zone: str, due: str) -> None:
    assert task_properties(asking("Why?"), ZoneInfo(zone))["hs_timestamp"] == due


def asking(body: str) -> TaskText:
    return TaskText(subject="Say why", body=body, due=date(2026, 11, 25), owner="1")


SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda body: body.replace("<br>", "<br />"),
    lambda body: body.replace("&#x27;", "'").replace("&quot;", '"'),
    lambda body: f'<div style="" dir="auto" data-top-level="true"><p>{body.replace("<br>", "</p><p>")}</p></div>',
    lambda body: body.replace("  ", "&nbsp; "),
]


@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("key", [None, "stagesync-00ff"])
def test_a_text_is_ours_however_a_portal_spells_it(key: str | None, spelled: Callable[[str], str]) -> None:
    told, text = asking('Where\'s "it"?\n  <pain> & co\n[stagesync:0000]'), asking("It's here.")
    change = replace(task_change(), told=told, task=text)
    ours = text_of(told) if key is None else marked(text_of(told), key)
    held: dict[str, str | None] = {**ours, BODY: spelled(ours[BODY])}
    retold = new_text(change, held)
    assert retold == {SUBJECT: "Say why", BODY: "It&#x27;s here." + (f"<br>[stagesync:{key}]" if key else "")}
    assert not is_retold(change, held)
    assert is_retold(change, {**held, **retold, BODY: spelled(str(retold[BODY]))})
    edited = {**held, BODY: f"{held[BODY]}<p>done</p>"}
    assert new_text(change, edited) is None
    assert not is_retold(replace(change, task=told), edited)


def task_change() -> Change:
    return deal_change(ChangeKind.UPDATE_TASK, key="stagesync-00ff", crm_id="9")
