"""The ways to log in: what each asks the token endpoint for, and what its refusals mean for an admin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stagesync.connectors.salesforce.connection import SalesforceConnection, origin
from stagesync.connectors.salesforce.failures import RowError
from stagesync.errors import ConfigurationError

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  (a path)
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_SECONDS = 180
SHORTEST_KEY = 2048
"""Bits of an RSA key: Salesforce takes no certificate with fewer."""
PRODUCTION, SANDBOX = "https://login.salesforce.com", "https://test.salesforce.com"

REMEDIES: Mapping[str, str] = {
    "request not supported on this domain": (
        "set login_url to the org's My Domain (https://acme.my.salesforce.com); login.salesforce.com and "
        "test.salesforce.com do not know this flow"
    ),
    "no client credentials user enabled": "choose a 'run as' user in the client credentials settings of the app",
    "client identifier invalid": (
        "check client_id (the consumer key) and that login_url leads to the app's org; a new app takes up to ten "
        "minutes to be known"
    ),
    "invalid client credentials": (
        "check the client secret (the consumer secret), or the certificate of the app if a private key is used"
    ),
    "audience is invalid": "{audience}",
    "audience validation failed": "{audience}",
    "user hasn't approved this consumer": (
        "check username{username}; let the app's policy say 'Admin approved users are pre-authorized', and give that "
        "user a profile or permission set that the app is assigned to"
    ),
    "user is not admin approved to access this app": (
        "give the user{username} a profile or permission set that the app is assigned to"
    ),
    "invalid assertion": (
        "check that private_key belongs to the certificate that was uploaded to the app, and that the certificate has "
        "not expired"
    ),
    "expired authorization code": "the assertion is out of date: set the clock of this machine (NTP)",
    "ip restricted": "let the app or the user's profile accept the address that StageSync comes from",
    "ip restricted or invalid login hours": (
        "let the app and the user's profile accept the address that StageSync comes from, at any hour"
    ),
    "login rate exceeded": "this user logs in too often; wait an hour, and look for what else uses it",
}
"""By ``error_description``, in lower case."""
REMEDIES_BY_ERROR: Mapping[str, str] = {
    "invalid_client_id": REMEDIES["client identifier invalid"],
    "invalid_client": REMEDIES["invalid client credentials"],
    "unsupported_grant_type": "enable this flow in the OAuth settings of the app",
    "invalid_app_access": REMEDIES["user is not admin approved to access this app"],
    "inactive_user": "activate the user{username} in Salesforce, or choose another",
    "inactive_org": "the org is locked, closed or being moved; ask Salesforce's support",
    "rate_limit_exceeded": REMEDIES["login rate exceeded"],
}
OTHERWISE = "check login_url, client_id, the credentials and the app's policies; the user's Login History tells more"


@dataclass(frozen=True, kw_only=True)
class ClientCredentials:
    """The app logs in as itself; Salesforce runs it as the user that the app names."""

    login: str
    client_id: str
    client_secret: str = field(repr=False)

    def form(self) -> Mapping[str, str]:
        """The fields of the request."""
        return {"grant_type": "client_credentials"}

    @property
    def basic(self) -> tuple[str, str] | None:
        """User name and password of the request."""
        return self.client_id, self.client_secret

    def remedy(self, error: RowError) -> str:
        """What an admin can do about a refusal."""
        return _remedy(error, username="", audience=OTHERWISE)


@dataclass(frozen=True, kw_only=True)
class JwtBearer:
    """The app vouches for a user with its private key, which is read anew at each login: keys are rotated."""

    login: str
    client_id: str
    username: str
    audience: str
    private_key: Callable[[], str] = field(repr=False)
    setting: str
    clock: Callable[[], float] = time.time

    basic: tuple[str, str] | None = field(default=None, init=False)

    def form(self) -> Mapping[str, str]:
        """The fields of the request. Raises ConfigurationError for a key that cannot sign."""
        claims: dict[str, str | int] = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience,
            "exp": int(self.clock()) + JWT_SECONDS,
        }
        key = signing_key(self.private_key(), self.setting)
        return {"grant_type": JWT_GRANT, "assertion": jwt.encode(claims, key, algorithm="RS256")}

    def remedy(self, error: RowError) -> str:
        """What an admin can do about a refusal."""
        other = f"{PRODUCTION}, or {SANDBOX} for a sandbox; it is {self.audience}"
        return _remedy(error, username=f" {self.username}", audience=f"set audience to {other}")


Grant = ClientCredentials | JwtBearer


def grant_of(connection: SalesforceConnection) -> Grant | None:
    """The one way in that a connection gives, None for a ready token. Raises ConfigurationError unless there is one."""
    name = f"connection {connection.connection}"
    given = {
        "client_secret": connection.client_secret,
        "private_key": connection.private_key,
        "access_token": connection.access_token,
    }
    ways = [setting for setting, value in given.items() if value]
    if len(ways) != 1:
        several = f"{' and '.join(ways)} are several ways to log in: " if ways else ""
        raise ConfigurationError(
            f"{name}: {several}give a client id and secret, or a private_key, or an access_token with instance_url"
        )
    if connection.access_token:
        return None
    login = origin(_needed(connection.login_url, name, "login_url"), "login_url")
    client_id = _needed(connection.client_id, name, "client id")
    if connection.client_secret:
        return ClientCredentials(login=login, client_id=client_id, client_secret=connection.client_secret)
    assert connection.private_key is not None
    signing_key(connection.private_key(), f"{name}, private_key")
    return JwtBearer(
        login=login,
        client_id=client_id,
        username=_needed(connection.username, name, "username"),
        audience=connection.audience or audience_of(login),
        private_key=connection.private_key,
        setting=f"{name}, private_key",
    )


def audience_of(login: str) -> str:
    """The audience that fits a login URL: sandboxes have their own, and a My Domain is none itself."""
    host = login.partition("://")[2]
    return SANDBOX if login == SANDBOX or host.endswith(".sandbox.my.salesforce.com") else PRODUCTION


def signing_key(pem: str, setting: str) -> RSAPrivateKey:
    """The private key in a PEM text. Raises ConfigurationError that says what it is instead, and shows none of it."""
    # Environment variables often hold the two characters \n where the lines of the file broke.
    text = pem.replace("\\n", "\n") if "\n" not in pem.strip() else pem
    if "PRIVATE KEY-----" not in text:
        what = "a certificate; the key was made together with it" if "CERTIFICATE-----" in text else "no PEM text"
        raise ConfigurationError(f"{setting}: the first line of a private key says BEGIN PRIVATE KEY, this is {what}")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise ConfigurationError(
            f"{setting}: the key is locked with a passphrase; write it without one: openssl pkey -in KEY -out PLAIN"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{setting}: the key cannot be read; is the file whole, line breaks too?") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SHORTEST_KEY:
        raise ConfigurationError(f"{setting}: Salesforce takes RSA keys of {SHORTEST_KEY} bits or more, this is none")
    return key


def _needed(value: str | None, connection: str, what: str) -> str:
    if not value:
        raise ConfigurationError(f"{connection}: give a {what} too")
    return value


def _remedy(error: RowError, **facts: str) -> str:
    found = REMEDIES.get(error.message.lower()) or REMEDIES_BY_ERROR.get(error.code) or OTHERWISE
    return found.format(**facts)
