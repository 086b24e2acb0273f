"""Limits over HTTP: what is counted, how fast StageSync asks and where it stops; and how tokens are renewed."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stagesync.connectors.base import Metered
from stagesync.connectors.hubspot import HubSpotConnection, HubSpotReader, OAuthApp, connect
from stagesync.connectors.hubspot.limits import Meter, until_midnight
from stagesync.errors import CredentialsRefused, LimitReached
from stagesync.model.crm import Calls
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.hubspot.faults import Outage
from stagesync.sandbox.hubspot.limits import Limits
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.server import routes
from stagesync.sandbox.hubspot.standard import standard_metadata

from .conftest import Serve
from .hubspot_office import CREDENTIAL, seed

NOW = datetime(2026, 11, 20, 21, tzinfo=UTC)
DEALS = Table(name="deals", key="hs_object_id", columns={"dealname": ColumnType.TEXT})


@dataclass
class Portals:
    """A served portal whose time goes by as calls are made and as StageSync waits."""

    serve: Serve
    seconds: float = 0.0
    waited: list[float] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(7))
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self.portal = Portal(":memory:", clock=lambda: NOW + timedelta(seconds=self.seconds), timer=self.timer)
        standard_metadata(self.portal)
        self.url = self.serve(routes(self.portal))

    def timer(self) -> float:
        self.seconds += self.random.random() * self.slowest
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.seconds += seconds

    def reader(self, **how: Any) -> HubSpotReader:
        given = {"access_token": CREDENTIAL, **how}
        connection = HubSpotConnection(connection="acme", base_url=self.url, **given)
        return connect(connection, sleep=self.sleep, timer=self.timer)[0]

    def oauth(self, **how: Any) -> HubSpotReader:
        portal = self.portal
        given = {"client_id": portal.client_id, "client_secret": portal.client_secret}
        app = OAuthApp(**{**given, "refresh_token": portal.refresh_token, **how})
        return self.reader(access_token="", oauth=app)

    def renewals(self) -> int:
        return self.portal.calls["POST /oauth/v1/token"]


@pytest.fixture
def crm(serve: Serve) -> Portals:
    return Portals(serve)


def calls_of(reader: HubSpotReader) -> Calls:
    assert isinstance(reader, Metered)
    return reader.calls()


def changes(reader: HubSpotReader, table: Table = DEALS) -> int:
    found = reader.increments.changes(table, "2026-11-01T00:00:00+00:00")
    assert found is not None
    return sum(page.rows.height for page in found.pages)


# ------------------------------------------------------------------------------------------------- the day


def test_calls_and_the_pool_are_counted(crm: Portals) -> None:
    crm.portal.limiter.limits = Limits(daily=1_000)
    crm.portal.limiter.used_today = 41
    reader = crm.reader()
    assert calls_of(reader) == Calls(made=0, used=None, limit=None)
    reader.identity()
    assert calls_of(reader) == Calls(made=1, used=42, limit=1_000)


@pytest.mark.parametrize("read", [lambda reader: list(reader.pull(DEALS)), changes])
def test_the_budget_is_never_crossed(crm: Portals, read: Callable[[HubSpotReader], object]) -> None:
    """Whole pulls are told how much is used, searches are not."""
    seed(crm.portal, "deals", 9_000)
    crm.portal.limiter.limits = Limits(daily=1_000)
    crm.portal.limiter.used_today = 780
    reader = crm.reader(calls=10_000, searches=10_000)
    reader.identity()
    said = "acme': 800 of the 1,000 API calls .* budget.share 0.8 stops StageSync at 800; .* not sent"
    with pytest.raises(LimitReached, match=said) as caught:
        read(reader)
    # 22:00 in Berlin
    assert timedelta(hours=1, minutes=59) < caught.value.wait <= timedelta(hours=2, minutes=1)
    assert crm.portal.limiter.used_today == 800
    with pytest.raises(LimitReached):
        reader.owners()
    assert crm.portal.limiter.used_today == 800


def test_a_day_that_others_used_up_ends_the_session(crm: Portals) -> None:
    reader = crm.reader(budget=1.0)
    reader.identity()
    crm.portal.limiter.limits = Limits(daily=3)
    crm.portal.limiter.used_today = 3
    with pytest.raises(LimitReached, match="today") as caught:
        reader.owners()
    assert timedelta(hours=1, minutes=59) < caught.value.wait <= timedelta(hours=2, minutes=1)
    before = sum(crm.portal.calls.values())
    with pytest.raises(LimitReached):
        reader.owners()
    assert sum(crm.portal.calls.values()) == before
    assert crm.waited == []


def test_midnight_begins_a_new_count() -> None:
    meter = Meter("acme", 0.5)
    for used in (40, 41, 1):
        meter.begin("GET /")
        meter.end()
        meter.heard({"x-hubspot-ratelimit-daily": "100", "x-hubspot-ratelimit-daily-remaining": str(100 - used)})
    for _ in range(49):
        meter.begin("GET /")
        meter.end()
    with pytest.raises(LimitReached, match="50 of the 100"):
        meter.begin("GET /")


def test_without_a_clock_or_a_zone_an_hour_is_waited() -> None:
    assert until_midnight(None, None) == timedelta(hours=1)


def test_a_moving_portal_is_left_alone_as_long_as_it_asks_for(crm: Portals) -> None:
    for asked, hours in ((7_200, 2), (900_000, 24), (None, 1)):
        crm.portal.faults.outages.append(Outage(status=477, retry_after=asked))
        with pytest.raises(LimitReached, match="data centre") as caught:
            crm.reader().identity()
        assert caught.value.wait == timedelta(hours=hours)
        assert caught.value.exit_code == 3


# ------------------------------------------------------------------------------------------------- the pace


@pytest.mark.parametrize(("tier", "slowest"), [(100, 0.002), (190, 0.02), (7, 0.4)])
def test_under_load_the_tier_is_never_exceeded(crm: Portals, tier: int, slowest: float) -> None:
    crm.portal.limiter.limits = Limits(ten_secondly=tier, search_secondly=4)
    crm.slowest = slowest
    seed(crm.portal, "deals", 3_000)
    reader = crm.reader()
    reader.identity()
    for _ in range(3):
        assert sum(page.rows.height for page in reader.pull(DEALS)) == 3_000
    assert changes(reader) == 3_000
    assert crm.portal.limiter.refused == {}
    made = sum(crm.portal.calls.values())
    assert made > 120
    # Nor is it slower than it must be.
    assert crm.seconds <= 10 * (made / tier + 1) + made * slowest * 10


def test_a_pace_of_ones_own(crm: Portals) -> None:
    crm.portal.limiter.limits = Limits(ten_secondly=190)
    reader = crm.reader(calls=20)
    for _ in range(61):
        reader.identity()
    assert 29 <= crm.seconds <= 31


def test_searches_that_others_use_up_too_become_slower(crm: Portals) -> None:
    crm.portal.limiter.limits = Limits(ten_secondly=190, search_secondly=2)
    seed(crm.portal, "deals", 4_000)
    reader = crm.reader()
    reader.identity()
    assert changes(reader) == 4_000
    assert crm.portal.limiter.refused == {"SECONDLY": 1}


def test_a_portal_that_states_no_limit_is_not_waited_for(crm: Portals) -> None:
    seed(crm.portal, "deals", 2_000)
    reader = crm.reader()
    reader.identity()
    assert changes(reader) == 2_000
    assert crm.waited == []


# ------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("version", "path"),
    [("v3", "/oauth/v1/token"), ("2026-03", "/oauth/2026-03/token"), ("2026-09", "/oauth/2026-09/token")],
)
def test_an_app_renews_its_token_before_it_ends(crm: Portals, version: str, path: str) -> None:
    portal = crm.portal
    app = OAuthApp(client_id=portal.client_id, client_secret=portal.client_secret, refresh_token=portal.refresh_token)
    reader = crm.reader(access_token="", oauth=app, api_version=version)
    for _ in range(24):
        reader.identity()
        crm.seconds += 300
    renewals = portal.calls[f"POST {path}"]
    assert renewals == 5  # for two hours, each good for 30 minutes and used for 25
    assert portal.calls.total() == 24 + renewals, "no call was refused"


def test_an_expired_token_is_renewed_once(crm: Portals) -> None:
    reader = crm.oauth()
    reader.identity()
    crm.portal.faults.token_expired = True
    reader.identity()
    assert crm.renewals() == 2


def test_an_app_knows_its_scopes_from_its_token(crm: Portals) -> None:
    before = crm.portal.calls.copy()
    assert crm.oauth().scopes() == frozenset(crm.portal.scopes())
    assert crm.portal.calls - before == {"POST /oauth/v1/token": 1}
    crm.portal.faults.read_only_token = True
    assert "crm.objects.deals.write" not in (crm.oauth().scopes() or ())


def test_threads_renew_a_token_once_between_them(crm: Portals) -> None:
    reader = crm.oauth()
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: reader.identity().key, range(32)))
    assert keys == {"48151623"}
    assert crm.renewals() == 1


def test_a_token_of_another_portal_is_refused(crm: Portals) -> None:
    reader = crm.oauth()
    reader.identity()
    crm.portal.portal_id += 1
    crm.seconds += 3_600
    with pytest.raises(CredentialsRefused, match="nothing was done with it"):
        reader.identity()


def test_credentials_that_are_refused_are_not_tried_again(crm: Portals) -> None:
    reader = crm.oauth(refresh_token="made-up")
    for _ in range(3):
        with pytest.raises(CredentialsRefused, match=r"BAD_REFRESH_TOKEN.*check client_id") as caught:
            reader.identity()
        assert "made-up" not in str(caught.value)
    assert crm.renewals() == 1


def test_a_token_that_cannot_be_asked_for_now_is_asked_for_again(crm: Portals) -> None:
    crm.portal.faults.fail_next(2, 503)
    assert crm.oauth().identity().key == "48151623"
