"""Mistakes in settings, definitions and mappings together: all are told at once, whichever file hides the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagesync.errors import ConfigurationError
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping
from stagesync.settings import load_settings

DEFINITION = """\
definition: d
ladder: [lead, deal]
evidence: {amount: {type: number}}
stages: {lead: {means: m}, deal: {means: m}}
"""
MAPPING = """\
mapping: m
definition: d
crm: hubspot
objects:
  deals:
    stage: {field: dealstage, stages: {a: leed, b: deal}}
    evidence: {amount: {field: amount}}
"""


def told(folder: Path, settings: str) -> list[str]:
    (folder / "s.yaml").write_text(settings, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(folder / "s.yaml")
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_settings_that_cannot_be_read_hide_neither_definitions_nor_mappings(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITION.replace("m}}", "m, stalls_afer: {}}}"), encoding="utf-8")
    (tmp_path / "m.yaml").write_text(MAPPING.replace("field: amount", "feld: amount"), encoding="utf-8")
    assert told(
        tmp_path,
        "definitions: d.yaml\n"
        "connections: {hs: {crm: hubspto, mapping: m.yaml, token: {env: X}}, sf: {mapping: n.yaml}}\n"
        "time_zone: Europe/Berln\n",
    ) == [
        "d.yaml:4:45: unknown key 'stalls_afer' (did you mean 'stalls_after'?)",
        "m.yaml:7:25: unknown key 'feld' (did you mean 'field'?)",
        "s.yaml:2:25: 'hubspto' is not one of salesforce, hubspot (did you mean 'hubspot'?)",
        "s.yaml:2:73: 'crm' is missing here",
        f"s.yaml:2:83: {tmp_path}/n.yaml: no such file",
        "s.yaml:3:12: 'Europe/Berln' is not a time zone (did you mean 'Europe/Berlin'?)",
    ]


def test_the_mapping_of_a_connection_that_is_wrong_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITION, encoding="utf-8")
    (tmp_path / "m.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "good.yaml").write_text(MAPPING.replace("leed", "lead"), encoding="utf-8")
    assert told(
        tmp_path,
        "definitions: d.yaml\n"
        "connections:\n"
        "  good: {crm: hubspot, mapping: good.yaml, token: {env: X}}\n"
        "  other: {crm: hubspot, mapping: m.yaml, tokn: {env: X}}\n",
    ) == [
        "m.yaml:6:43: 'leed' is neither a stage nor a parking place of 'd' (did you mean 'lead'?)",
        "s.yaml:4:42: unknown key 'tokn' (did you mean 'token'?)",
    ]


def test_what_is_to_stand_in_an_export_is_checked_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITION, encoding="utf-8")
    words = 'crm: export\nexport: {dates: [DD.MM.YYYY, "%d.%Q"], datetimes: ["%s", "%T%.f%:z%%"], time_zone: Mars}'
    (tmp_path / "m.yaml").write_text(MAPPING.replace("crm: hubspot", words).replace("leed", "lead"), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(tmp_path / "m.yaml", load_definition(tmp_path / "d.yaml"))
    formats = "is not a format of strptime; '%d.%m.%Y' and '%d.%m.%Y %H:%M' are"
    assert [f"{problem.line}:{problem.column}: {problem.message}" for problem in caught.value.problems] == [
        f"4:18: 'DD.MM.YYYY' {formats}",
        f"4:30: '%d.%Q' {formats}",
        "4:84: 'Mars' is not a time zone; write one such as Europe/Berlin",
    ]


def test_what_is_no_name_is_told_as_what_it_should_be(tmp_path: Path) -> None:
    more = """\
working_days: {country: Germany, region: Augsburg}
without: [pain]
contradictions: [{id: stalled, check: amount < 0, because: b, ask: a}]
waivers: [{rule: unowned, record: 0012, reason: r, by: b, until: 2026-01-31}]
"""
    (tmp_path / "d.yaml").write_text(DEFINITION + more, encoding="utf-8")
    assert told(
        tmp_path, "definitions: [d.yaml]\nconnections: {hs: {crm: hubspot, mapping: 1, token: {env: X}}}\n"
    ) == [
        "s.yaml:1:14: text is expected here, not a list",
        "s.yaml:2:43: text is expected here, not '1' (in quotes it is text)",
    ]
    assert told(
        tmp_path, "definitions: d.yaml\nconnections: {hs: {crm: hubspot, mapping: m.yaml, token: {env: X}}}\n"
    ) == [
        "d.yaml:5:25: 'Germany' is not the code of a country: two capital letters, such as DE",
        "d.yaml:6:1: nothing can be left out: no file is named under 'extends'",
        "d.yaml:7:23: 'stalled' is a kind of finding, which a waiver may name too; call this otherwise",
        "d.yaml:8:35: text is expected here, not '12' (in quotes it is text)",
        f"s.yaml:2:43: {tmp_path}/m.yaml: no such file",
    ]


def test_where_nothing_can_be_meant_it_is_said_so(tmp_path: Path) -> None:
    rule = DEFINITION + "rules: {stalled: {mode: enforce, move_to: nurture}}\n"
    (tmp_path / "d.yaml").write_text(rule, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_definition(tmp_path / "d.yaml")
    (problem,) = caught.value.problems
    assert problem.message.endswith("'nurture'; there is none")
