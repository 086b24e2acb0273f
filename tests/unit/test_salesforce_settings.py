"""The settings of a Salesforce connection: exactly one way to log in, and an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from stagesync.cli.schema import Kind, document
from stagesync.errors import ConfigurationError
from stagesync.settings import SalesforceSettings, Settings, load_settings, shipped_configuration

SHIPPED = shipped_configuration()
URL = {"login_url": "https://acme.my.salesforce.com"}
ID, SECRET = {"client_id": {"env": "ID"}}, {"client_secret": {"file": "secrets/it"}}
KEY, USER = {"private_key": {"file": "secrets/key.pem"}}, {"username": "stagesync@acme.example"}
TOKEN = {"access_token": {"env": "TOKEN"}}
INSTANCE = {"instance_url": "https://acme.my.salesforce.com"}


def written(folder: Path, **words: Any) -> Path:
    file = folder / "stagesync.yaml"
    connection = {"crm": "salesforce", "mapping": str(SHIPPED / "mappings" / "salesforce.yaml"), **words}
    data = {"definitions": str(SHIPPED / "definitions" / "recommended.yaml"), "connections": {"sales": connection}}
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return file


def loaded(folder: Path, **words: Any) -> Settings:
    return load_settings(written(folder, **words))


@pytest.mark.parametrize(
    "words",
    [
        URL | ID | SECRET,
        URL | ID | USER | KEY,
        URL | ID | USER | KEY | {"audience": "https://test.salesforce.com"},
        INSTANCE | TOKEN,
        URL | ID | SECRET | {"proxy": "http://proxy.example:3128"},
        URL | ID | SECRET | {"proxy": {"env": "PROXY"}},
        URL | ID | SECRET | {"timeouts": {"connect": 2, "read": 120}, "budget": {"share": 0.5}, "ca_bundle": "ca.pem"},
    ],
    ids=" ".join,
)
def test_each_way_is_accepted_by_loader_and_schema(words: dict[str, Any], tmp_path: Path) -> None:
    assert isinstance(loaded(tmp_path, **words).words.connections["sales"], SalesforceSettings)
    data = yaml.safe_load((tmp_path / "stagesync.yaml").read_text(encoding="utf-8"))
    assert not list(Draft202012Validator(document(Kind.SETTINGS)).iter_errors(data))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "there is no way to log in: give login_url, client_id, client_secret; or "),
    (URL | ID, "there is no way to log in"),
    (URL | SECRET, "to log in with client_secret, client_id must be given too"),
    (ID | SECRET, "to log in with client_secret, login_url must be given too"),
    (URL | KEY, "to log in with private_key, client_id and username must be given too"),
    (TOKEN, "to log in with access_token, instance_url must be given too"),
    (URL | ID | SECRET | TOKEN, "client_secret and access_token are 2 ways to log in"),
    (URL | ID | SECRET | KEY | TOKEN | INSTANCE | USER, "are 3 ways to log in; keep one"),
    (URL | ID | SECRET | USER, "username cannot stand beside client_secret"),
    (INSTANCE | TOKEN | URL, "login_url cannot stand beside access_token"),
    (URL | ID | SECRET | {"proxy": "http://me:hush@proxy.example"}, "write proxy: {env: NAME}"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_wrong_is_named_with_its_line(words: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, **words)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert (problem.file.name, problem.line) == ("stagesync.yaml", 4)
    assert "hush" not in str(caught.value)


def test_a_secret_in_the_place_of_a_key_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, **URL, **ID, **USER, private_key="BEGIN PRIVATE KEY hush")
    assert "hush" not in str(caught.value)
    assert "a mapping is expected here, not text" in str(caught.value)
