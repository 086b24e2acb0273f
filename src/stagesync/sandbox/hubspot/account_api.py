"""Tokens, account facts and call outcomes."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.calls import Call, Reply
from stagesync.sandbox.hubspot.errors import ApiError, validation

TOKEN_LIFE = timedelta(minutes=30)

DISPOSITIONS = {
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "Busy",
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "Connected",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "Left live message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "Left voicemail",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "No answer",
    "17b47fee-58de-441e-a44c-c6300d46f273": "Wrong number",
}


def token_info(call: Call) -> Reply:
    """POST access-token-info: whose token this is, and what it may do."""
    portal = call.portal
    if not portal.accepts(str(call.json().get("tokenKey", ""))):
        raise validation("The token is not known, or was revoked")
    return Reply(
        body={
            "userId": portal.user_id,
            "hubId": portal.portal_id,
            "appId": portal.app_id,
            "scopes": sorted(portal.scopes()),
        }
    )


def refresh_token(call: Call) -> Reply:
    """POST /oauth/…/token: a form; answers a token for 30 minutes. The refresh token stays the same."""
    portal = call.portal
    form = {key: values[-1] for key, values in parse_qs(call.content.decode("utf-8", "replace")).items()}
    if form.get("grant_type") != "refresh_token":
        raise _oauth_refusal("BAD_GRANT_TYPE", "missing or unknown grant type")
    if (form.get("client_id"), form.get("client_secret")) != (portal.client_id, portal.client_secret):
        raise _oauth_refusal("BAD_CLIENT_ID", "missing or unknown client id or secret")
    if form.get("refresh_token") != portal.refresh_token:
        raise _oauth_refusal("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
    return Reply(
        body={
            "access_token": portal.issue_token(TOKEN_LIFE),
            "refresh_token": portal.refresh_token,
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "token_type": "bearer",
            "hub_id": portal.portal_id,
            "user_id": portal.user_id,
            "scopes": sorted(portal.scopes()),
            "token_use": "access_token",
        }
    )


def _oauth_refusal(status: str, message: str) -> ApiError:
    return ApiError(400, {"status": status, "message": message})


def account_details(call: Call) -> Reply:
    """GET /account-info/…/details."""
    portal = call.portal
    offset = portal.clock().astimezone(portal.time_zone).strftime("%z")
    return Reply(
        body={
            "portalId": portal.portal_id,
            "accountType": "STANDARD",
            "timeZone": portal.time_zone.key,
            "companyCurrency": portal.currency,
            "additionalCurrencies": [],
            "utcOffset": f"{offset[:3]}:{offset[3:]}",
            "utcOffsetMilliseconds": _offset_ms(call),
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        }
    )


def _offset_ms(call: Call) -> int:
    offset = call.portal.clock().astimezone(call.portal.time_zone).utcoffset()
    return int(offset.total_seconds() * 1000) if offset is not None else 0


def api_usage(call: Call) -> Reply:
    """GET …/api-usage/daily/private-apps: calls made since the portal's midnight."""
    portal = call.portal
    result = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": portal.limiter.limits.daily or 1_000_000,
        "currentUsage": portal.limiter.used_today,
        "collectedAt": moments.iso(portal.now()),
        "fetchStatus": "SUCCESS",
        "resetsAt": moments.iso(portal.midnight()),
    }
    return Reply(body={"results": [result]})


def dispositions(_: Call) -> Reply:
    """GET /calling/v1/dispositions: a bare list."""
    return Reply(body=[{"id": key, "label": label, "deleted": False} for key, label in DISPOSITIONS.items()])
