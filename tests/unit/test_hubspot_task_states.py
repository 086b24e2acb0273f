"""Texts and moments of HubSpot's tasks, as people and the portal write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stagesync.connectors.hubspot.task_states import _moment, _plain
from stagesync.connectors.hubspot.tasks import html


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
    assert _plain(body) == text


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
