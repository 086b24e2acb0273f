"""What programs read of a run: each document passes the JSON Schema that the same program prints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .terminal import run_here


def checked(kind: str, text: str) -> dict[str, Any]:
    """The document, once its schema has no complaint."""
    schema = json.loads(run_here("schema", kind, folder=Path.cwd(), environment=os.environ).out)
    document: dict[str, Any] = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert [f"{list(e.path)}: {e.message}" for e in Draft202012Validator(schema).iter_errors(document)] == []
    return document


def test_audit_plan_and_run_pass_their_schemas(sandbox: Sandbox, deploy: Deploy, tmp_path: Path) -> None:
    agent = deploy(sandbox)
    file = tmp_path / "plan.json"
    audited, planned = agent.run("audit", "--format", "json"), agent.run("plan", "--format", "json", "--out", str(file))
    ran = agent.run("run", "--format", "json")
    assert [done.code for done in (audited, planned, ran)] == [0, 0, 0]

    report = checked("report", audited.out)
    assert {entry["connection"] for entry in report["forecast"]} == {"salesforce", "hubspot"}
    assert {rung["stage"] for entry in report["funnel"] for rung in entry["rungs"]} >= {"lead", "opportunity"}
    kinds = {finding["kind"] for finding in report["findings"]}
    assert kinds >= {"premature", "stalled", "contradiction", "placeholder", "ready"}
    plan = checked("plan", planned.out)
    assert {change["kind"] for change in plan["changes"]} >= {"set-stage", "open-task"}
    assert planned.out == file.read_text(encoding="utf-8")
    assert checked("report", ran.out)["run"] not in (None, report["run"])
