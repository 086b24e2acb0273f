"""The JSON Schemas, through a validator that is not ours: every shipped file passes, what is broken does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from stagesync.cli.main import app
from stagesync.cli.schema import Kind, document, text
from stagesync.errors import ConfigurationError
from stagesync.policy.definition_tests import load_tests
from stagesync.policy.definitions import load_definition
from stagesync.policy.document import read_document
from stagesync.policy.mappings import load_mapping
from stagesync.settings import load_settings

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = [
    *((Kind.DEFINITION, file) for file in (CONFIG / "definitions").glob("*.yaml") if ".tests." not in file.name),
    *((Kind.FRAGMENT, file) for file in (CONFIG / "definitions" / "fragments").glob("*.yaml")),
    *((Kind.TESTS, file) for file in (CONFIG / "definitions").glob("*.tests.yaml")),
    *((Kind.MAPPING, file) for file in (CONFIG / "mappings").glob("*.yaml")),
    *((Kind.SETTINGS, file) for file in CONFIG.glob("*.yaml")),
]
Spoil = Callable[[Any], Any]


def complaints(kind: Kind, data: object) -> list[str]:
    return [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(document(kind)).iter_errors(data)]


@pytest.mark.parametrize("kind", Kind)
def test_it_is_a_schema(kind: Kind) -> None:
    Draft202012Validator.check_schema(document(kind))


@pytest.mark.parametrize(("kind", "file"), SHIPPED, ids=[file.name for _, file in SHIPPED])
def test_every_shipped_file_passes(kind: Kind, file: Path) -> None:
    assert complaints(kind, read_document(file).data) == []


def _put(value: object, *path: str | int) -> Spoil:
    def spoil(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return spoil


def _drop(*path: str | int) -> Spoil:
    def spoil(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        del data[path[-1]]

    return spoil


LEAD = ("stages", "lead", "requires", 0)
EMAIL = ("objects", "Lead", "evidence", "email")
LEADS = ("objects", "Lead")
CALLS, LAST = (*LEADS, "evidence", "calls"), (*LEADS, "evidence", "last_activity")
OPPORTUNITY_CALLS = ("objects", "Opportunity", "evidence", "calls")
LARGEST = {"max": "CompletedDateTime", "of": "Task", "on": "WhoId"}
TWO_WAYS = {"count": "Task", "on": "WhatId", "on_people": "WhoId", "via_people": "contacts"}
TYPED = {"field": "Status", "record_type": "RecordType.DeveloperName"}
BOTH = {**TYPED, "pipeline": "Process__c", "stages": {"*": {"New": "lead"}}}
SALESFORCE = ("connections", "salesforce")
BROKEN: list[tuple[Kind, str, Spoil]] = [
    (Kind.DEFINITION, "an unknown key", _put("x", "laddr")),
    (Kind.DEFINITION, "no ladder", _drop("ladder")),
    (Kind.DEFINITION, "an empty ladder", _put([], "ladder")),
    (Kind.DEFINITION, "a ladder of numbers", _put([1, 2], "ladder")),
    (Kind.DEFINITION, "a name with a space", _put(["lead", "hot lead"], "ladder")),
    (Kind.DEFINITION, "an evidence item with a space", _put({"type": "text"}, "evidence", "hot lead")),
    (Kind.DEFINITION, "a type that is none", _put("string", "evidence", "email", "type")),
    (Kind.DEFINITION, "a criterion without a reason", _drop(*LEAD, "because")),
    (Kind.DEFINITION, "a criterion without words", _put("", *LEAD, "ask")),
    (Kind.DEFINITION, "a criterion with an unknown key", _put("email", *LEAD, "field")),
    (Kind.DEFINITION, "a severity that is none", _put("urgent", *LEAD, "severity")),
    (Kind.DEFINITION, "a limit without a unit", _put(14, "stages", "lead", "stalls_after", "idle")),
    (Kind.DEFINITION, "a limit in fortnights", _put("2 fortnights", "stages", "lead", "stalls_after", "idle")),
    (Kind.DEFINITION, "a mode that is none", _put({"mode": "delete"}, "rules", "premature")),
    (Kind.DEFINITION, "a rule of no kind", _put({"mode": "audit"}, "rules", "prematur")),
    (Kind.DEFINITION, "a list where a mapping is due", _put([], "stages")),
    (Kind.MAPPING, "a CRM that is none", _put("sugar", "crm")),
    (Kind.MAPPING, "no object", _put({}, "objects")),
    (Kind.MAPPING, "an object without stages", _drop("objects", "Lead", "stage")),
    (Kind.MAPPING, "an item without a source", _put({}, *EMAIL)),
    (Kind.MAPPING, "an item with two sources", _put({"field": "Email", "gap": "none"}, *EMAIL)),
    (Kind.MAPPING, "a column of no type", _put("string", "tables", "Task", "WhoId")),
    (Kind.MAPPING, "a part of latest with an unknown key", _put({"latest": [{"feld": "x"}]}, *EMAIL)),
    (Kind.MAPPING, "a condition beside a field", _put({"field": "Email", "where": "IsClosed"}, *EMAIL)),
    (Kind.MAPPING, "an opt-out beside a gap", _put({"gap": "none", "empty": "zero"}, *EMAIL)),
    (Kind.MAPPING, "a lookup of nothing", _put({"lookup": "Task", "by": "Id"}, *EMAIL)),
    (Kind.MAPPING, "a largest of no table", _put({"max": "CompletedDateTime", "on": "WhoId"}, *LAST)),
    (Kind.MAPPING, "a count of nobody's rows", _put({"count": "Task"}, *CALLS)),
    (Kind.MAPPING, "two ways to a record", _put({"count": "Task", "on": "WhoId", "via": "Lead"}, *CALLS)),
    (Kind.MAPPING, "two ways to a person", _put(TWO_WAYS, *OPPORTUNITY_CALLS)),
    (
        Kind.MAPPING,
        "a count of nothing that is blank",
        _put({"count": "Task", "on": "WhoId", "empty": "blank"}, *CALLS),
    ),
    (Kind.MAPPING, "a largest of nothing that is zero", _put({**LARGEST, "empty": "zero"}, *LAST)),
    (Kind.MAPPING, "an opt-out that is none", _put({"count": "Task", "on": "WhoId", "empty": "yes"}, *CALLS)),
    (Kind.MAPPING, "people without the record's column", _put({"table": "Task", "person": "WhoId"}, *LEADS, "people")),
    (Kind.MAPPING, "pipeline and record type", _put(BOTH, *LEADS, "stage")),
    (Kind.MAPPING, "one stage for all in a record type", _put({**TYPED, "stages": {"New": "lead"}}, *LEADS, "stage")),
    (Kind.MAPPING, "nested stages of nothing", _put({"field": "A", "stages": {"*": {"New": "lead"}}}, *LEADS, "stage")),
    (Kind.MAPPING, "a delimiter of two characters", _put({"delimiter": ";;"}, "export")),
    (Kind.SETTINGS, "a share above one", _put({"share": 2}, "guard")),
    (Kind.SETTINGS, "a secret in the settings", _put("s3cr3t", *SALESFORCE, "client_secret")),
    (Kind.SETTINGS, "a key of the other CRM", _put({"env": "T"}, *SALESFORCE, "token")),
    (Kind.SETTINGS, "no way to log in", _drop(*SALESFORCE, "client_secret")),
    (Kind.SETTINGS, "half a way to log in", _drop(*SALESFORCE, "client_id")),
    (Kind.SETTINGS, "two ways to log in", _put({"env": "T"}, *SALESFORCE, "access_token")),
    (Kind.SETTINGS, "a setting of another way to log in", _put("me", *SALESFORCE, "username")),
    (Kind.SETTINGS, "a secret of no place", _put({}, *SALESFORCE, "client_secret")),
    (Kind.SETTINGS, "a secret of two places", _put({"env": "A", "file": "b"}, *SALESFORCE, "client_secret")),
    (Kind.SETTINGS, "a schedule of two kinds", _put({"every": "1 hours", "cron": "0 6 * * *"}, "schedule")),
    (Kind.SETTINGS, "a schedule of no kind", _put({}, "schedule")),
    (Kind.SETTINGS, "a budget above one", _put({"share": 1.5}, *SALESFORCE, "budget")),
    (Kind.SETTINGS, "a timeout of nothing", _put({"read": 0}, *SALESFORCE, "timeouts")),
    (Kind.SETTINGS, "no connection", _put({}, "connections")),
    (Kind.SETTINGS, "a port out of range", _put({"port": 70_000}, "health")),
    (Kind.TESTS, "no case", _put([], "cases")),
    (Kind.TESTS, "a case that expects an unknown key", _put({"stage": "lead"}, "cases", 0, "expect")),
    (Kind.TESTS, "a verdict that is none", _put({"verdicts": {"contactable": "yes"}}, "cases", 0, "expect")),
    (Kind.TESTS, "an owner that is none", _put("gone", "cases", 0, "owner")),
    (Kind.TESTS, "evidence that is a list", _put({"email": ["a", "b"]}, "cases", 0, "given")),
]
EXAMPLES = {
    Kind.DEFINITION: CONFIG / "definitions" / "recommended.yaml",
    Kind.TESTS: CONFIG / "definitions" / "recommended.tests.yaml",
    Kind.MAPPING: CONFIG / "mappings" / "salesforce.yaml",
    Kind.SETTINGS: CONFIG / "stagesync.yaml",
}


def load(kind: Kind, file: Path) -> None:
    recommended = CONFIG / "definitions" / "recommended.yaml"
    match kind:
        case Kind.DEFINITION:
            load_definition(file)
        case Kind.TESTS:
            load_tests(file, load_definition(recommended))
        case Kind.MAPPING:
            load_mapping(file, load_definition(recommended))
        case Kind.SETTINGS:
            load_settings(file)


@pytest.mark.parametrize(("kind", "what", "spoil"), BROKEN, ids=[f"{kind}: {what}" for kind, what, _ in BROKEN])
def test_what_the_loader_refuses_is_underlined(kind: Kind, what: str, spoil: Spoil, tmp_path: Path) -> None:
    data = deepcopy(read_document(EXAMPLES[kind]).data)
    assert complaints(kind, data) == []
    spoil(data)
    assert complaints(kind, data)
    # JSON is YAML, so that the loader can be asked the same.
    file = tmp_path / "broken.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"broken\.yaml"):
        load(kind, file)


ACCEPTED: list[tuple[str, Spoil]] = [
    (
        "record types with a fallback",
        _put({**TYPED, "stages": {"*": {"New": "lead"}, "": {"Old": "lead"}}}, *LEADS, "stage"),
    ),
    ("a count of people's rows alone", _put({"count": "Task", "on_people": "WhoId"}, *OPPORTUNITY_CALLS)),
    ("a count that may be empty", _put({"count": "Task", "on": "WhoId", "empty": "zero"}, *CALLS)),
    ("a largest that may be empty", _put({**LARGEST, "empty": "blank"}, *LAST)),
]


@pytest.mark.parametrize(("what", "change"), ACCEPTED, ids=[what for what, _ in ACCEPTED])
def test_what_the_loader_accepts_is_not_underlined(what: str, change: Spoil, tmp_path: Path) -> None:
    data = deepcopy(read_document(EXAMPLES[Kind.MAPPING]).data)
    change(data)
    assert complaints(Kind.MAPPING, data) == []
    file = tmp_path / "changed.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    load(Kind.MAPPING, file)


def test_words_for_the_hand_are_in_it() -> None:
    """What an editor shows beside a key, and what it offers."""
    schema = document(Kind.DEFINITION)
    criterion = schema["$defs"]["Criterion"]
    assert "why the stage needs it" in criterion["properties"]["because"]["description"]
    assert schema["$defs"]["Mode"]["enum"] == ["audit", "suggest", "enforce"]
    assert "null" not in text(Kind.DEFINITION)
    assert "business days" in json.dumps(schema["$defs"]["StallLimits"])


def test_the_command_prints_one_and_writes_all(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["schema", "mapping"])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == document(Kind.MAPPING)
    folder = tmp_path / "new" / "schemas"
    assert CliRunner().invoke(app, ["schema", "--out", str(folder)]).exit_code == 0
    assert {file.name: json.loads(file.read_text(encoding="utf-8")) for file in folder.iterdir()} == {
        f"{kind}.schema.json": document(kind) for kind in Kind
    }


@pytest.mark.parametrize("arguments", [[], ["ladder"], ["definition", "--out", "/dev/null/x"]])
def test_wrong_usage_is_said(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["schema", *arguments])
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == 2
