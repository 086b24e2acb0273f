"""Each status of HubSpot's leads to what the caller should do next."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from stagesync.connectors.hubspot.answers import (
    Granted,
    Properties,
    Rejection,
    RowPage,
    Undecodable,
    asked_page,
    decode,
)
from stagesync.connectors.hubspot.faults import (
    BadStatus,
    DayUsedUp,
    Fault,
    OutcomeUnknown,
    PortalMoving,
    Refusal,
    ScopeMissing,
    TokenExpired,
    meaning,
)
from stagesync.errors import ConnectionFailed, CredentialsRefused


def of(status: int, body: dict[str, Any] | bytes = b"", **headers: str) -> Exception:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return meaning("acme (https://api.hubapi.com)", BadStatus(status=status, body=content, headers=named, window=4.0))


@pytest.mark.parametrize(
    ("policy", "pause"), [("TEN_SECONDLY_ROLLING", 4.0), ("SECONDLY", 1.0), ("SECONDLY_LIMIT", 1.0), ("", 4.0)]
)
def test_call_limits_are_waited_for(policy: str, pause: float) -> None:
    fault = of(429, {"policyName": policy, "message": "You have reached your limit."})
    assert isinstance(fault, Fault)
    assert (fault.pause, fault.landed) == (pause, False)


@pytest.mark.parametrize(
    "body", [{"policyName": "DAILY"}, {"policyName": "DAILY_LIMIT"}, {"message": "You have reached your daily limit."}]
)
def test_a_used_up_day_is_not_waited_for(body: dict[str, str]) -> None:
    error = of(429, body)
    assert isinstance(error, DayUsedUp)
    assert "midnight" in str(error)


@pytest.mark.parametrize(
    ("message", "pause"),
    [("You have reached your secondly limit.", 1.0), ("You have reached your ten_secondly_rolling limit.", 4.0)],
)
def test_a_limit_without_a_name_is_known_by_its_message(message: str, pause: float) -> None:
    fault = of(429, {"message": message})
    assert isinstance(fault, Fault)
    assert fault.pause == pause


def test_a_401_that_does_not_say_why_may_be_of_a_token_that_ended() -> None:
    assert isinstance(of(401, b"<html>"), TokenExpired)
    assert type(of(401, {"category": "INVALID_AUTHENTICATION"})) is CredentialsRefused


def test_retry_after_is_honoured_up_to_a_minute() -> None:
    fault = of(503, b"<html>", retry_after="86400")
    assert isinstance(fault, Fault)
    assert fault.pause == 60.0
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    for headers, pause in [
        ({"retry_after": date, "date": "Wed, 21 Oct 2026 07:27:40 GMT"}, 20.0),
        ({"retry_after": date, "date": "Thu, 22 Oct 2026 00:00:00 GMT"}, 0.0),
        ({"retry_after": date}, None),
        ({"retry_after": "soon", "date": date}, None),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": " 7 "}, 7.0),
        ({"retry_after": "-1"}, None),
    ]:
        odd = of(503, b"", **headers)
        assert isinstance(odd, Fault)
        assert odd.pause == pause


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 521, 522, 523, 524, 525, 526])
def test_server_faults_may_have_landed(status: int) -> None:
    fault = of(status, b"<html>Bad Gateway</html>")
    assert isinstance(fault, Fault)
    assert fault.landed
    assert isinstance(fault.error, OutcomeUnknown)


def test_a_lock_is_left_alone_for_two_seconds() -> None:
    fault = of(423)
    assert isinstance(fault, Fault)
    assert (fault.pause, fault.landed) == (2.0, False)


def test_a_moving_portal_is_neither_retried_nor_blamed_on_the_credentials() -> None:
    error = of(477, b"", retry_after="3600")
    assert type(error) is PortalMoving
    assert error.wait == timedelta(hours=1)
    assert "60 more minutes" in str(error)


@pytest.mark.parametrize("status", [401, 530])
def test_bad_tokens(status: int) -> None:
    assert isinstance(of(status, b"error code: 1000"), CredentialsRefused)


def test_a_403_without_a_word_is_about_no_scope() -> None:
    error = of(403, b"<html>Forbidden</html>")
    assert type(error) is CredentialsRefused
    assert "firewalls" in str(error)


def test_a_missing_scope_is_named() -> None:
    details = [{"message": "…", "context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}]
    error = of(403, {"category": "MISSING_SCOPES", "errors": details})
    assert isinstance(error, ScopeMissing)
    assert error.reason == "the access token lacks the scope crm.objects.deals.read"


def test_a_refusal_speaks_in_hubspots_words() -> None:
    details = [{"message": 'Property "x" does not exist', "code": "PROPERTY_DOESNT_EXIST"}]
    error = of(
        400, {"category": "VALIDATION_ERROR", "message": "Property values were not valid: [{…}]", "errors": details}
    )
    assert isinstance(error, Refusal)
    assert error.rejection.words() == 'Property "x" does not exist'


def test_redirects_are_not_followed_with_a_token() -> None:
    assert type(of(302)) is ConnectionFailed


def test_words_of_an_empty_rejection() -> None:
    assert Rejection().words() == "no reason given"


def test_half_an_emoji_becomes_a_question_mark() -> None:
    page = decode(b'{"results":[{"id":"1","properties":{"dealname":"gone \\ud83d"}}]}', asked_page(("dealname",)))
    assert page.results[0].properties.get("dealname") == "gone ?"


NO_ANSWERS = [b"", b"<html>", b'{"results":[{"id":', b'{"results":7}', b"{}", b'{"a":{}}', b"\xff\xfe", b"[" * 100_000]


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_what_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(body, RowPage)


@pytest.mark.parametrize("token", ["", "a b", "a\n", "tök€n"])
def test_a_token_that_cannot_be_sent_is_no_answer(token: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(json.dumps({"access_token": token, "expires_in": 1800}).encode(), Granted)
    assert not token or token not in str(caught.value)


def test_every_field_but_the_results_may_be_absent() -> None:
    assert decode(b'{"results":[]}', RowPage).paging is None
    assert decode(b'{"results":[{"name":"x","newFromNextYear":{}}]}', Properties).results[0].options == []
