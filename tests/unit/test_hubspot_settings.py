"""The settings of a HubSpot connection: exactly one way to log in, limits, and an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from stagesync.cli.schema import Kind, document
from stagesync.errors import ConfigurationError
from stagesync.settings import HubSpotSettings, Settings, load_settings, shipped_configuration

SHIPPED = shipped_configuration()
TOKEN = {"token": {"env": "TOKEN"}}
APP = {"client_id": {"env": "ID"}, "client_secret": {"env": "SECRET"}, "refresh_token": {"file": "secrets/refresh"}}


def loaded(folder: Path, **words: Any) -> Settings:
    file = folder / "stagesync.yaml"
    connection = {"crm": "hubspot", "mapping": str(SHIPPED / "mappings" / "hubspot.yaml"), **words}
    data = {"definitions": str(SHIPPED / "definitions" / "recommended.yaml"), "connections": {"portal": connection}}
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return load_settings(file)


@pytest.mark.parametrize(
    "words",
    [
        TOKEN,
        APP,
        TOKEN | {"api_version": "2026-09", "rate": {"calls": 150, "searches": 2}},
        TOKEN | {"ca_bundle": "company.pem", "proxy": "http://proxy.example:3128"},
        TOKEN | {"proxy": {"env": "PROXY"}},
        TOKEN | {"timeouts": {"connect": 2, "read": 120}, "budget": {"share": 0.5}},
    ],
    ids=" ".join,
)
def test_each_way_is_accepted_by_loader_and_schema(words: dict[str, Any], tmp_path: Path) -> None:
    assert isinstance(loaded(tmp_path, **words).words.connections["portal"], HubSpotSettings)
    data = yaml.safe_load((tmp_path / "stagesync.yaml").read_text(encoding="utf-8"))
    assert not list(Draft202012Validator(document(Kind.SETTINGS)).iter_errors(data))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "there is no way to log in: give token; or client_id, client_secret, refresh_token"),
        ({"client_id": {"env": "ID"}}, "there is no way to log in"),
        (TOKEN | APP, "client_id and client_secret and refresh_token cannot stand beside token"),
        (TOKEN | {"api_version": "2026-06"}, "2026-09"),
        (TOKEN | {"proxy": "http://me:pat-in-the-open@proxy.example"}, "write proxy: {env: NAME}"),
        (TOKEN | {"rate": {"calls": 0}}, "1 is the least"),
        (TOKEN | {"token": "pat-in-the-open"}, "a mapping is expected here"),
    ],
)
def test_what_cannot_work_is_said(words: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, **words)
    assert said in str(caught.value)
    assert "pat-in-the-open" not in str(caught.value)
