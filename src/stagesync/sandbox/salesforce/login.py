"""Ways in: the OAuth token endpoint, revocation, who am I, and the SOAP login of versions up to 64.

The JWT bearer flow checks the claims (issuer, subject, audience, expiry), and the signature once a test gives the
org a public key (``Org.public_key``). The username-password and refresh-token flows are refused, as newer orgs
refuse them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from stagesync.sandbox.salesforce.call import Answer, Call
from stagesync.sandbox.salesforce.errors import LoginError, session_invalid
from stagesync.sandbox.salesforce.org import Org

LAST_SOAP = 64
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PUBLIC_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
LONGEST_EXPIRY = 15 * 60


def form(call: Call) -> dict[str, str]:
    """The fields of a form body, or of the query where there is no body."""
    text = call.content.decode("utf-8", "replace")
    return {**call.query, **dict(parse_qsl(text, keep_blank_values=True))}


def token(call: Call) -> Answer:
    """``POST /services/oauth2/token``."""
    fields = form(call)
    try:
        user_id = _granted(call, fields)
    except LoginError as error:
        return Answer(400, {"error": error.error, "error_description": error.description})
    return Answer(body=_token_body(call, user_id), headers={"Cache-Control": "no-cache, no-store"})


def _granted(call: Call, fields: Mapping[str, str]) -> str:
    if call.org.faults.login_refusal is not None:
        raise LoginError(*call.org.faults.login_refusal)
    grant = fields.get("grant_type", "")
    if grant == "client_credentials":
        _check_client(call, fields)
        return call.org.integration_user_id
    if grant == JWT_GRANT:
        return _jwt_user(call, fields.get("assertion", ""))
    if grant == "password":
        raise LoginError("invalid_grant", "authentication failure")
    if grant == "refresh_token":
        raise LoginError("invalid_grant", "expired access/refresh token")
    raise LoginError("unsupported_grant_type", "grant type not supported")


def _check_client(call: Call, fields: Mapping[str, str]) -> None:
    client, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise LoginError("invalid_request", "malformed Authorization header") from None
        client, _, secret = (unquote(part) for part in pair.partition(":"))
    if not client:
        raise LoginError("invalid_request", "missing required parameter: client_id")
    if client != call.org.client_id:
        raise LoginError("invalid_client_id", "client identifier invalid")
    if not hmac.compare_digest(secret.encode(), call.org.client_secret.encode()):
        raise LoginError("invalid_client", "invalid client credentials")
    if _user(call.org, "Id", call.org.integration_user_id) is None:
        raise LoginError("invalid_grant", "no client credentials user enabled")


def _jwt_user(call: Call, assertion: str) -> str:
    claims = _claims(assertion)
    _check_signature(call.org, assertion)
    if claims.get("iss") != call.org.client_id:
        raise LoginError("invalid_client_id", "client identifier invalid")
    audiences = claims.get("aud")
    accepted = {*PUBLIC_AUDIENCES, call.base_url, call.org.base_url}
    if not accepted.intersection(audiences if isinstance(audiences, list) else [audiences]):
        raise LoginError("invalid_grant", "audience is invalid")
    try:
        # simple-salesforce sends the expiry as a text.
        expires = float(claims.get("exp", ""))
    except (TypeError, ValueError):
        raise LoginError("invalid_grant", "invalid assertion") from None
    now = call.org.now().timestamp()
    if not now < expires <= now + LONGEST_EXPIRY:
        raise LoginError("invalid_grant", "expired authorization code")
    user_id = _user(call.org, "Username", claims.get("sub"))
    if user_id is None or claims["sub"] in call.org.faults.unapproved_users:
        raise LoginError("invalid_grant", "user hasn't approved this consumer")
    return user_id


def _check_signature(org: Org, assertion: str) -> None:
    if org.public_key is None:
        return
    key = load_pem_public_key(org.public_key.encode())
    assert isinstance(key, RSAPublicKey)
    signed, _, signature = assertion.rpartition(".")
    try:
        key.verify(
            base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
            signed.encode(),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except (InvalidSignature, ValueError):
        raise LoginError("invalid_grant", "invalid assertion") from None


def _claims(assertion: str) -> dict[str, Any]:
    try:
        header, payload, _ = (part + "=" * (-len(part) % 4) for part in assertion.split("."))
        algorithm = json.loads(base64.urlsafe_b64decode(header)).get("alg")
        claims = json.loads(base64.urlsafe_b64decode(payload))
    except (ValueError, AttributeError):
        raise LoginError("invalid_grant", "invalid assertion") from None
    if algorithm != "RS256" or not isinstance(claims, dict):
        raise LoginError("invalid_grant", "invalid assertion")
    return claims


def _user(org: Org, column: str, value: Any) -> str | None:
    sql = f'SELECT "Id" FROM "User" WHERE "{column}" = ? AND "IsActive" = 1'
    found: str | None = org.database.value(sql, (value,)) if isinstance(value, str) else None
    return found


def _token_body(call: Call, user_id: str) -> dict[str, str]:
    org = call.org
    instance = org.base_url or call.base_url
    identity = f"{instance}/id/{org.org_id}/{user_id}"
    issued = str(int(org.now().timestamp() * 1000))
    signed = hmac.new(org.client_secret.encode(), (identity + issued).encode(), hashlib.sha256).digest()
    return {
        "access_token": org.sessions.issue(user_id),
        "signature": base64.b64encode(signed).decode(),
        "scope": " ".join(org.scopes),
        "instance_url": instance,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued,
    }


def revoke(call: Call) -> Answer:
    """``POST`` or ``GET /services/oauth2/revoke?token=``: 200, or 400 for a token that is none."""
    if call.org.sessions.revoke(form(call).get("token", "")):
        return Answer(200, "")
    return Answer(400, {"error": "unsupported_token_type", "error_description": "this token type is not supported"})


def bearer(call: Call) -> str:
    """The user of the call's token.

    Raises:
        ApiError: 401 INVALID_SESSION_ID.
    """
    if call.org.faults.permanent_401:
        raise session_invalid(call.org.faults.permanent_401_message)
    scheme, _, text = call.headers.get("authorization", "").partition(" ")
    user_id = call.org.sessions.user(text.strip()) if scheme.lower() in {"bearer", "oauth"} else None
    if user_id is None:
        raise session_invalid()
    return user_id


def check_scopes(org: Org) -> None:
    """Whether tokens of the app may be used for the API.

    Raises:
        ApiError: 401 INVALID_SESSION_ID.
    """
    if not {"api", "full"} & set(org.scopes):
        raise session_invalid("This session is not valid for use with the REST API")


def user_info(call: Call) -> Answer:
    """``GET /services/oauth2/userinfo`` and the identity address ``/id/{org}/{user}``."""
    org, user_id = call.org, call.user_id
    row = org.database.row('SELECT * FROM "User" WHERE "Id" = ?', (user_id,)) or {}
    instance = org.base_url or call.base_url
    body = {
        "sub": f"{instance}/id/{org.org_id}/{user_id}",
        "id": f"{instance}/id/{org.org_id}/{user_id}",
        "user_id": user_id,
        "organization_id": org.org_id,
        "preferred_username": row.get("Username"),
        "username": row.get("Username"),
        "nickname": row.get("Alias"),
        "name": row.get("Name"),
        "display_name": row.get("Name"),
        "email": row.get("Email"),
        "zoneinfo": row.get("TimeZoneSidKey"),
        "active": bool(row.get("IsActive")),
        "user_type": "STANDARD",
        "urls": {
            "rest": f"{instance}/services/data/v{{version}}/",
            "sobjects": f"{instance}/services/data/v{{version}}/sobjects/",
            "query": f"{instance}/services/data/v{{version}}/query/",
        },
    }
    return Answer(body=body)


_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" '
    'xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body>{}</soapenv:Body></soapenv:Envelope>"
)
_XML = {"Content-Type": "text/xml;charset=UTF-8"}


def _fault(code: str, message: str) -> Answer:
    body = (
        f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring><detail>"
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
    )
    return Answer(500, _ENVELOPE.format(body), _XML)


def soap_login(call: Call) -> Answer:
    """``POST /services/Soap/u/NN.0``: only ``login``, read by local names whatever the prefixes."""
    version = call.captured["version"]
    if not version.removesuffix(".0").isdigit() or int(version.removesuffix(".0")) > LAST_SOAP:
        return _fault("UNSUPPORTED_API_VERSION", f"Invalid Api version specified on URL: {version}")
    if b"<!DOCTYPE" in call.content or b"<!ENTITY" in call.content:
        return _fault("UNKNOWN_EXCEPTION", "document type declarations are not allowed")
    try:
        # No declaration gets this far, so no entity can expand.
        root = ET.fromstring(call.content)  # noqa: S314
    except ET.ParseError as error:
        return _fault("UNKNOWN_EXCEPTION", f"unable to parse the request: {error}")
    login = next((node for node in root.iter() if _local(node) == "login"), None)
    if login is None:
        return _fault("UNKNOWN_EXCEPTION", "No operation available for this request")
    stated = {_local(node): (node.text or "") for node in login}
    user_id = _user(call.org, "Username", stated.get("username"))
    # The client appends a security token, if it has one, to the password.
    if user_id is None or not stated.get("password", "").startswith(call.org.password):
        message = "Invalid username, password, security token; or user locked out."
        return _fault("INVALID_LOGIN", message)
    return Answer(200, _ENVELOPE.format(_login_result(call, user_id, version)), _XML)


def _login_result(call: Call, user_id: str, version: str) -> str:
    org = call.org
    instance = escape(org.base_url or call.base_url)
    row = org.database.row('SELECT * FROM "User" WHERE "Id" = ?', (user_id,)) or {}
    return (
        f"<loginResponse><result><metadataServerUrl>{instance}/services/Soap/m/{version}/{org.org_id}"
        f"</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>true</sandbox>"
        f"<serverUrl>{instance}/services/Soap/u/{version}/{org.org_id}</serverUrl>"
        f"<sessionId>{escape(org.sessions.issue(user_id))}</sessionId><userId>{user_id}</userId><userInfo>"
        f"<organizationId>{org.org_id}</organizationId><organizationName>StageSync Sandbox</organizationName>"
        f"<userEmail>{escape(row.get('Email') or '')}</userEmail>"
        f"<userFullName>{escape(row.get('Name') or '')}</userFullName><userId>{user_id}</userId>"
        f"<userName>{escape(row.get('Username') or '')}</userName></userInfo></result></loginResponse>"
    )


def _local(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]
