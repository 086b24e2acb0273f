"""The shipped packs: their tests hold and hold them, and each is usable beside a CRM that lacks its custom fields."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml
from msgspec import structs

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.audit.judgement import Judgement
from stagesync.cli.definition_tests import outcomes
from stagesync.model.findings import Verdict
from stagesync.model.kinds import Kind
from stagesync.policy.definition_tests import DefinitionTests, load_tests, place_of_tests
from stagesync.policy.definitions import Criterion, Definition, load_definition
from stagesync.policy.expressions.tree import And, Or, names
from stagesync.policy.mappings import CrmMapping, Gap, load_mapping, mappings_for
from stagesync.sandbox.server import Sandbox
from stagesync.settings import load_settings
from stagesync.wiring import opened

CONFIG = Path(__file__).parents[2] / "config"
FROM_DOMAIN = ["bant", "discovery-call", "pain-interest-fit", "qualified-value", "two-way-engagement"]
PACKS = [*FROM_DOMAIN, "recommended"]
ALWAYS, NEVER = And(()), Or(())


def pack(name: str) -> Definition:
    return load_definition(CONFIG / "definitions" / f"{name}.yaml")


def own_tests(definition: Definition) -> DefinitionTests:
    return load_tests(place_of_tests(definition.file), definition)


def failing(tests: DefinitionTests) -> list[str]:
    return [outcome.case.name for outcome in outcomes(tests) if outcome.differences]


def test_these_are_all_the_packs() -> None:
    files = {file.name for file in (CONFIG / "definitions").glob("*.yaml")}
    assert files == {f"{name}{end}" for name in PACKS for end in (".yaml", ".tests.yaml")}


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_passes_its_own_tests(name: str) -> None:
    tests = own_tests(pack(name))
    assert failing(tests) == []
    assert len(tests.cases) >= 15


def replaced(definition: Definition, criterion: Criterion, expression: And | Or) -> Definition:
    def changed(criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        return tuple(structs.replace(one, expression=expression) if one is criterion else one for one in criteria)

    ladders = {
        name: tuple(structs.replace(rung, requires=changed(rung.requires)) for rung in rungs)
        for name, rungs in definition.ladders.items()
    }
    return structs.replace(definition, ladders=ladders, contradictions=changed(definition.contradictions))


@pytest.mark.parametrize("name", PACKS)
def test_the_tests_of_a_pack_notice_when_any_condition_is_always_or_never_met(name: str) -> None:
    definition = pack(name)
    tests = own_tests(definition)
    unnoticed = [
        (criterion.id, "always" if expression is ALWAYS else "never")
        for criterion in (*definition.criteria, *definition.contradictions)
        for expression in (ALWAYS, NEVER)
        if not failing(replace(tests, definition=replaced(definition, criterion, expression)))
    ]
    assert not unnoticed, unnoticed


@pytest.mark.parametrize("name", PACKS)
def test_every_stage_every_finding_and_every_verdict_is_tested(name: str) -> None:
    definition = pack(name)
    cases = own_tests(definition).cases
    earned = {bound for case in cases for bound in (case.expect.earned, case.expect.surely, case.expect.could)}
    assert {rung.name for rung in definition.rungs if not rung.terminal} <= earned
    found = {rule.partition(".")[0] for case in cases for rule in case.expect.findings or ()}
    assert {Kind.PREMATURE, Kind.READY, Kind.CONTRADICTION} <= found
    assert {verdict for case in cases for verdict in case.expect.verdicts.values()} == set(Verdict)


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_speaks_to_people(name: str) -> None:
    definition = pack(name)
    used = {item.name for one in (*definition.criteria, *definition.contradictions) for item in names(one.expression)}
    assert set(definition.evidence) == used | {"last_activity"}
    for item in definition.evidence.values():
        assert item.means != "-"
    for rung in definition.rungs:
        assert rung.terminal or rung.stalls_after.idle or not rung.requires
    for criterion in (*definition.criteria, *definition.contradictions):
        assert criterion.because[0].islower()
        assert not criterion.ask.endswith(".")


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
@pytest.mark.parametrize("name", FROM_DOMAIN)
def test_a_pack_is_mapped_to_both_crms(name: str, crm: str) -> None:
    definition = pack(name)
    mapping = load_mapping(CONFIG / "mappings" / f"{name}-{crm}.yaml", definition)
    assert (mapping.name, mapping.crm) == (f"{name}-{crm}", crm)
    assert mapping.own_tasks is not None
    reached = {place for mapped in mapping.objects for place in mapped.stages.values()}
    assert {rung.name for rung in definition.rungs} <= reached
    for mapped in mapping.objects:
        assert mapped.history is not None
        gaps = {item for item, source in mapped.evidence.items() if isinstance(source, Gap)}
        # A gap that lets no criterion of a stage be judged would make the mapping useless.
        lowest = min(place.position for place in definition.rungs if place.name in mapped.stages.values())
        for rung in definition.rungs[: lowest + 1]:
            for criterion in rung.requires:
                assert not {item.name for item in names(criterion.expression)} <= gaps


@pytest.mark.parametrize("name", PACKS)
def test_every_custom_field_of_a_pack_is_documented_for_both_crms(name: str) -> None:
    table = (CONFIG.parent / "docs" / "mappings.md").read_text(encoding="utf-8").partition("## Fields of your own")[2]
    rows = [line for line in table.splitlines() if line.startswith("| `") and (name in line or "| all |" in line)]
    documented = {word for line in rows for word in re.findall(r"`(\w+)`", line)}
    for mapping in mappings_for(pack(name), CONFIG / "mappings"):
        if mapping.crm != "export":
            head = mapping.file.read_text(encoding="utf-8").partition("\nmapping:")[0]
            custom = {column for column in read_columns(mapping) if is_custom(column)}
            assert custom
            assert custom <= documented
            assert custom <= set(re.findall(r"\w+", head))


def read_columns(mapping: CrmMapping) -> set[str]:
    return {column for table in mapping.tables for column in table.columns}


def is_custom(column: str) -> bool:
    """In HubSpot a custom property has the same name in small letters, without Salesforce's ending."""
    return column.endswith("__c") or column.startswith("stagesync_") or f"{column}__c" in salesforce_fields()


@cache
def salesforce_fields() -> frozenset[str]:
    files = (CONFIG / "mappings").glob("*salesforce.yaml")
    return frozenset(word.lower() for file in files for word in re.findall(r"\w+__c", file.read_text(encoding="utf-8")))


def test_only_mappings_of_the_definitions_are_offered() -> None:
    offered = [mapping.name for mapping in mappings_for(pack("bant"), CONFIG / "mappings")]
    assert offered == ["bant-hubspot", "bant-salesforce"]
    assert "salesforce" in [mapping.name for mapping in mappings_for(pack("recommended"), CONFIG / "mappings")]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox.create(tmp_path_factory.mktemp("packs") / "crms", seed=11, records=60) as made:
        yield made


@pytest.fixture(params=FROM_DOMAIN)
def audited(
    request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunResult:
    """A whole pull and audit of both embedded CRMs by one pack; the CRMs have none of its own custom fields."""
    secrets: Mapping[str, str] = {
        "PACKS_ID": sandbox.client_id,
        "PACKS_SECRET": sandbox.client_secret,
        "PACKS_TOKEN": sandbox.hubspot_token,
    }
    for name, value in secrets.items():
        monkeypatch.setitem(os.environ, name, value)
    words = {
        "definitions": str(CONFIG / "definitions" / f"{request.param}.yaml"),
        "connections": {
            "salesforce": {
                "crm": "salesforce",
                "mapping": str(CONFIG / "mappings" / f"{request.param}-salesforce.yaml"),
                "login_url": sandbox.url,
                "client_id": {"env": "PACKS_ID"},
                "client_secret": {"env": "PACKS_SECRET"},
            },
            "hubspot": {
                "crm": "hubspot",
                "mapping": str(CONFIG / "mappings" / f"{request.param}-hubspot.yaml"),
                "base_url": sandbox.url,
                "token": {"env": "PACKS_TOKEN"},
            },
        },
        "data": "data",
    }
    config = tmp_path / "stagesync.yaml"
    config.write_text(yaml.safe_dump(words, sort_keys=False), encoding="utf-8")
    with opened(load_settings(config), write=False) as agent:
        return cycle.run(agent, command="audit", write=False)


def test_a_pack_judges_a_company_without_its_custom_fields(audited: RunResult) -> None:
    assert not audited.errors
    places = [("salesforce", "Lead"), ("salesforce", "Opportunity"), ("hubspot", "contacts"), ("hubspot", "deals")]
    assert [(one.connection, one.mapped.name) for one in audited.judgements] == places
    for judgement in audited.judgements:
        scope = judgement.scope
        assert scope.evaluated + sum(scope.skipped.values()) == scope.in_scope > 0
        assert judgement.complete, scope.skipped
        is_demoted_by_no_unknown(judgement)
    unknown = [reason for one in audited.judgements for reason in absent(one).values()]
    # Nobody keeps campaigns and field histories in the embedded CRMs: that is no fact about a lead.
    lacking = [reason for reason in unknown if "as if none were captured; if there are really none" not in reason]
    assert lacking, "every pack needs at least one field that the embedded CRMs do not have"
    for reason in lacking:
        assert "does not exist" in reason or "no field" in reason or "no property" in reason


def absent(judgement: Judgement) -> Mapping[str, str]:
    """Items that the mapping reads and this CRM does not have, with the reason."""
    sources = judgement.mapped.evidence
    return {item: why for item, why in judgement.evidence.unknown.items() if not isinstance(sources[item], Gap)}


def is_demoted_by_no_unknown(judgement: Judgement) -> None:
    unknown = set(judgement.evidence.unknown)
    criteria = {one.id: {item.name for item in names(one.expression)} for one in judgement.definition.criteria}
    open_ = [name for name, items in criteria.items() if items <= unknown]
    for record in judgement.records["record"].to_list():
        verdicts = judgement.verdicts(record)
        assert all(verdicts[name] is Verdict.UNKNOWN for name in open_)
    for finding in judgement.each():
        if finding.kind is Kind.PREMATURE:
            assert finding.evidence
            for evidence in finding.evidence:
                assert not criteria[evidence.criterion] <= unknown
