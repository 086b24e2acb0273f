"""Everything that StageSync asks in SOQL, read by a parser that nobody here wrote."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import stagesync.connectors.salesforce as connector
from stagesync.agent import cycle
from stagesync.agent.connection import Manner, silent
from stagesync.agent.pull import pull
from stagesync.connectors.base import Following, Merging
from stagesync.connectors.salesforce import SalesforceConnection, connect
from stagesync.connectors.salesforce.soql import is_one_of, portions, quoted, select
from stagesync.mirror import Mirror
from stagesync.model.tables import ColumnType, Table
from stagesync.onboarding.online import Wanted, look
from stagesync.onboarding.proposal import propose, template
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.sandbox.salesforce.merging import merge
from stagesync.sandbox.salesforce.query import Reader
from stagesync.sandbox.salesforce.soql_lexer import tokens, unescape
from stagesync.sandbox.server import Sandbox
from stagesync.settings import load_settings, shipped_configuration
from stagesync.wiring import discovered
from tests.sandbox.conftest import salesforce, serve
from tests.sandbox.node_clients import printed
from tests.sandbox.salesforce_world import World

from .deployment import Deployment, deployment, environment, mark_in_texts

__all__ = ["salesforce", "serve"]

SOURCES = Path(str(connector.__file__)).parent
Site = tuple[str, str]
"""A module of the connector and a function in it."""


def parsed(texts: Sequence[str]) -> list[dict[str, Any]]:
    """What the parser says of each text."""
    found: list[dict[str, Any]] = printed(
        "soql_parser", "@jetstreamapp/soql-parser-js", "parse.mjs", given=json.dumps(texts)
    )
    assert len(found) == len(texts)
    return found


def sites() -> set[Site]:
    """Where the connector makes queries: every function that calls ``select``."""
    found = set()
    for file in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(_selects(inner) for inner in _own(node)):
                found.add((file.stem, node.name))
    return found


def _own(function: ast.FunctionDef) -> list[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    nodes: list[ast.AST] = []
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        if not isinstance(node, ast.FunctionDef):
            nodes.append(node)
            left += ast.iter_child_nodes(node)
    return nodes


def _selects(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "select"


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> set[Site]:
    """The sites that made a query in this test."""
    seen: set[Site] = set()
    for file in SOURCES.glob("*.py"):
        module = import_module(f"stagesync.connectors.salesforce.{file.stem}")
        if file.stem != "soql" and hasattr(module, "select"):

            def told(*arguments: Any, stem: str = file.stem, **named: Any) -> str:
                seen.add((stem, sys._getframe(1).f_code.co_name))
                return select(*arguments, **named)

            monkeypatch.setattr(module, "select", told)
    return seen


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, None]:
    """Every SOQL text that reached the org in this test, in its order."""
    seen: dict[str, None] = {}
    prepare = Reader.prepare

    def heard(reader: Reader, soql: str, *, everything: bool) -> Any:
        seen[soql] = None
        return prepare(reader, soql, everything=everything)

    monkeypatch.setattr(Reader, "prepare", heard)
    return seen


def mappings() -> list[tuple[Path, Path]]:
    """Definitions and mapping of every configuration for an org that is shipped."""
    found, definitions = [], shipped_configuration() / "definitions"
    for file in sorted((shipped_configuration() / "mappings").glob("*.yaml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        said = dict(line.split(": ", 1) for line in lines if line.startswith(("definition: ", "crm: ")))
        if said["crm"] == "salesforce":
            found.append((definitions / f"{said['definition']}.yaml", file))
    return found


def two_runs(agent: Deployment, sandbox: Sandbox) -> None:
    """Two runs with a day between them; the second looks at every row again and misses one that was erased."""
    now = datetime.now(UTC)
    for day in range(2):
        with agent.agent(clock=lambda day=day: now + timedelta(days=day)) as opened:
            running = replace(opened, manner=Manner(recheck_runs=1)) if day else opened
            assert cycle.run(running, command="run", write=True).errors == {}
        last = sandbox.org.database.value('SELECT MAX("Id") FROM "Opportunity" WHERE "IsDeleted" = 0')
        sandbox.org.erase("Opportunity", last)


def a_task_that_is_gone(agent: Deployment, sandbox: Sandbox) -> None:
    """A task is looked for that somebody has erased."""
    ours = sandbox.org.database.value('SELECT MAX("Id") FROM "Task" WHERE "StageSync_Key__c" IS NOT NULL')
    sandbox.org.erase("Task", ours)
    with agent.agent(write=False) as opened:
        reader = opened.connections[0].reader
        assert isinstance(reader, Following)
        assert reader.task_states([ours]) == {}


def leads_that_were_merged(agent: Deployment, sandbox: Sandbox) -> None:
    """Of leads that are gone it is asked what they became."""
    user = sandbox.org.database.value('SELECT MIN("Id") FROM "User"')
    leads = sandbox.org.database.rows('SELECT "Id" FROM "Lead" WHERE "IsConverted" = 0 AND "IsDeleted" = 0 LIMIT 2')
    stays, goes = (row["Id"] for row in leads)
    merge(sandbox.org, stays, goes, user)
    with agent.agent(write=False) as opened:
        connected = opened.connections[0]
        table = next(one for one in connected.mapping.tables if one.name == "Lead")
        assert isinstance(connected.reader, Merging)
        assert connected.reader.merged_into(table, [goes, stays]) == {goes: stays}


def look_around(agent: Deployment) -> None:
    """What `check --online` and `init` ask."""
    said = load_settings(agent.config)
    mapping, words = said.mappings["salesforce"], said.words.connections["salesforce"]
    with environment(agent), discovered(agent.folder, "salesforce", words, mapping.own_tasks) as org:
        assert look(org, Wanted(name="salesforce", mapping=mapping, definition=said.definition, pinned=None))
        shipped = shipped_configuration() / "mappings"
        assert propose(org, template(shipped, load_definition(said.definition.file), "salesforce"), "x").block


def pull_twice(agent: Deployment, mapping: CrmMapping, folder: Path) -> None:
    """All that a mapping names, and then what changed since and every row again."""
    now = datetime.now(UTC)
    with agent.agent(write=False) as opened:
        reader = opened.connections[0].reader
        for day in range(2):
            pull(
                name="salesforce",
                reader=reader,
                mapping=mapping,
                mirror=Mirror(folder),
                label=f"day-{day}",
                identity=reader.identity(),
                progress=silent,
                now=now + timedelta(days=day),
                manner=Manner(recheck_runs=1),
            )


@pytest.fixture
def expiring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third page of a long result is asked for in vain."""
    page, reads = Reader.page, [0]

    def expired(reader: Reader, locator: str) -> object:
        soql = reader.org.database.value("SELECT soql FROM _cursor WHERE id = ?", (locator.partition("-")[0],)) or ""
        first = locator.endswith("-0")
        if not first and soql.endswith("Id") and " FROM User " not in soql and " FROM Group " not in soql:
            reads[0] += 1
            if reads[0] % 3 == 0:
                reader.org.expire_locators()
        return page(reader, locator)

    monkeypatch.setattr(Reader, "page", expired)


@pytest.mark.usefixtures("expiring")
def test_all_that_is_asked_of_an_org_is_soql(tmp_path: Path, asked: dict[str, None], visited: set[Site]) -> None:
    with Sandbox.create(tmp_path / "crms", seed=7, records=20) as sandbox:
        sandbox.org.page_size = 15
        agent = deployment(tmp_path / "agent", sandbox)
        agent.only("salesforce")
        two_runs(agent, sandbox)
        a_task_that_is_gone(agent, sandbox)
        leads_that_were_merged(agent, sandbox)
        look_around(agent)
        for definition, mapping in mappings():
            pull_twice(agent, load_mapping(mapping, load_definition(definition)), tmp_path / mapping.stem)
        marking = deployment(tmp_path / "marking", sandbox)
        marking.only("salesforce")
        mark_in_texts(marking)
        marking.words["pull"] = {"bulk_above": 40}
        marking.save()
        two_runs(marking, sandbox)
    texts = list(asked)
    assert {text: said for text, said in zip(texts, parsed(texts), strict=True) if "wrong" in said} == {}
    assert sum(" Id > '" in text for text in texts) > 3, "pages that were asked anew"
    assert visited == sites()


ODD = st.text(max_size=40) | st.sampled_from(["O'Hara\\", "' OR Id != '", "\u2028", "\x00", "😀" * 9, "x" * 4_000])


def test_values_stay_in_their_quotes() -> None:
    drawn: list[list[str]] = []

    @given(values=st.lists(ODD, min_size=1, max_size=40))
    @example(values=["\u2028", "\u2029", "\x85", "\\u0041", "\\", "'", '"', "", "\r\n\t\b\f\x00\x7f"])
    def draw(values: list[str]) -> None:
        for value in values:
            literal, end = tokens(quoted(value))
            assert (unescape(literal.text), end.kind) == (value, "end")
            assert len(quoted(value).splitlines()) == 1
        drawn.extend(portions(values))

    draw()
    said = parsed([select(["Id"], "Task", is_one_of("StageSync_Key__c", part)) for part in drawn])
    assert [one.get("listed") for one in said] == [len(part) for part in drawn]


def test_odd_names_reach_no_query(salesforce: World, asked: dict[str, None]) -> None:
    connection = SalesforceConnection(
        connection="crm",
        login_url=salesforce.url,
        client_id=salesforce.org.client_id,
        client_secret=salesforce.org.client_secret,
    )
    reader, writer = connect(connection)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(table=ODD | st.just("Lead"), columns=st.lists(ODD, max_size=4), keys=st.lists(ODD, max_size=4))
    def ask(table: str, columns: list[str], keys: list[str]) -> None:
        odd = Table(name=table, key="Id", columns=dict.fromkeys(columns, ColumnType.TEXT))
        missing = {name for one in reader.missing([odd]) for name in one.columns}
        assert missing >= {name for name in columns if not name.isidentifier()} - {"Id"}
        assert all(page.rows.height == 0 for page in reader.pull(odd))
        assert reader.own_tasks(keys, keys) == {}

    ask()
    reader.close()
    writer.close()
    texts = list(asked)
    assert {text: said for text, said in zip(texts, parsed(texts), strict=True) if "wrong" in said} == {}
