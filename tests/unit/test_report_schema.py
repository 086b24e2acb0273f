"""Reports as programs read them: real outputs pass their own JSON Schema, and are written as they are found."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from msgspec import structs

from stagesync import report
from stagesync.cli.schema import Kind, document
from stagesync.model.findings import Finding
from tests.unit.small_world import NOW, Deal, judged

EXPORTS = Path(__file__).parents[1] / "data" / "salesforce_exports"
STAGESYNC = [sys.executable, "-c", "from stagesync.cli.main import main; main()"]
REPORT = Draft202012Validator(document(Kind.REPORT))


def complaints(data: object) -> list[str]:
    return [f"{list(error.path)}: {error.message}" for error in REPORT.iter_errors(data)]


@pytest.fixture(scope="module", params=["data_cloud_workshop", "developer_org"])
def reported(request: pytest.FixtureRequest) -> str:
    """The report of a real export."""
    line = [*STAGESYNC, "audit", "--from", str(EXPORTS / request.param), "--format", "json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_the_report_of_a_real_export_passes_its_schema(reported: str) -> None:
    data = json.loads(reported, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert len(data["findings"]) > 10
    assert (len(data["scope"]), len(data["funnel"]), len(data["forecast"])) == (2, 1, 1)
    assert complaints(data) == []


def test_nothing_is_written_that_the_schema_does_not_name(reported: str) -> None:
    closed = msgspec.defstruct("Closed", [], bases=(report.Report,), forbid_unknown_fields=True, kw_only=True)
    read = msgspec.json.decode(reported, type=closed)
    assert json.loads(msgspec.json.encode(read)) == json.loads(reported)


def test_every_finding_stands_on_one_line(reported: str) -> None:
    lines = [line for line in reported.splitlines() if line.startswith('    {"key": ')]
    assert [json.loads(line.removesuffix(",")) for line in lines] == json.loads(reported)["findings"]


def _drop(*path: str | int) -> Callable[[Any], None]:
    def spoil(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        del data[path[-1]]

    return spoil


def _put(value: object, *path: str | int) -> Callable[[Any], None]:
    def spoil(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return spoil


FINDING = (
    *("key", "connection", "object", "record", "owner", "kind", "rule", "severity", "mode", "stage", "native_stage"),
    *("earned", "since", "amount", "evidence"),
)
SPOILT = [
    *(_drop(key) for key in ("version", "run", "as_of", "scope", "findings", "forecast", "funnel")),
    *(_drop("scope", 0, key) for key in ("connection", "object", "in_scope", "evaluated", "skipped")),
    *(_drop("findings", 0, key) for key in FINDING),
    *(_drop("findings", 0, "evidence", 0, key) for key in ("criterion", "verdict", "reason", "value", "source")),
    _put(2, "version"),
    _put("yesterday", "as_of"),
    _put(-1, "scope", 0, "in_scope"),
    _put({"why": "many"}, "scope", 0, "skipped"),
    _put("Premature", "findings", 0, "kind"),
    _put("NaN", "findings", 0, "amount"),
    _put("perhaps", "findings", 0, "evidence", 0, "verdict"),
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_report_that_is_broken_does_not_pass(reported: str, spoil: Callable[[Any], None]) -> None:
    data = json.loads(reported)
    spoil(data)
    assert complaints(data)


def test_keys_may_be_added(reported: str) -> None:
    data = json.loads(reported)
    data["later"] = 1
    data["findings"][0]["later"] = deepcopy(data["scope"])
    assert complaints(data) == []


@pytest.fixture
def finding(tmp_path: Path) -> Finding:
    """A deal that promises an offer to nobody."""
    found, _ = judged(tmp_path, [Deal("d1", "O1", people=0)])
    (finding,) = found.each()
    return finding


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_an_amount_that_is_no_number_is_none(finding: Finding, amount: float) -> None:
    finding = structs.replace(finding, amount=amount)
    data = json.loads("".join(report.as_json(None, NOW, [], [finding])))
    assert complaints(data) == []
    assert data["findings"][0]["amount"] is None


@pytest.mark.parametrize("form", ["json", "csv"])
def test_many_findings_need_no_more_memory_than_few(finding: Finding, form: str) -> None:
    def many(count: int) -> Iterator[Finding]:
        return (structs.replace(finding, record=str(number)) for number in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        parts = report.as_json(None, NOW, [], many(count)) if form == "json" else report.as_csv(many(count))
        assert sum(len(part) for part in parts) > 50 * count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < peak(200) + 100_000


def test_the_document_names_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    for kind in (Kind.REPORT, Kind.PLAN):
        schema = document(kind)
        for part in (schema, *schema["$defs"].values()):
            for key in part.get("properties", {}):
                assert f"`{key}`" in text, f"{part['title']}: {key}"
