"""Definitions made of several files, and problems that do not hide each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagesync.errors import ConfigurationError
from stagesync.model.kinds import Mode
from stagesync.policy.definitions import Definition, load_definition

BASE = """\
fragment: base
placeholders: [tbd]
evidence:
  email: {type: text, means: an address}
  amount: {type: number}
stages:
  lead:
    means: somebody
    requires:
      - {id: reachable, check: stated(email), because: b, ask: c}
      - {id: worth, check: amount > 0, because: b, ask: c}
    stalls_after: {idle: 3 days, age: 9 days}
contradictions:
  - {id: negative, check: amount < 0, because: b, ask: c}
rules: {premature: {mode: suggest, grace: 2 days}}
"""


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "d.yaml"


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_definition(file)
    return [
        f"{problem.file.name}:{problem.line}:{problem.column}: {problem.message}" for problem in caught.value.problems
    ]


def ids(definition: Definition) -> list[str]:
    return [criterion.id for criterion in definition.criteria]


WHOLE = """\
definition: d
extends: base.yaml
placeholders: [none yet]
evidence: {last_activity: {type: datetime}}
ladder: [lead, deal]
stages:
  lead:
    requires:
      - {id: worth, check: amount > 10}
      - {id: more, check: amount < 99, because: b, ask: c}
    stalls_after: {age: 7 days}
  deal: {means: a deal}
rules: {premature: {mode: enforce}}
"""


def test_what_is_taken_over_is_added_to_and_said_otherwise(tmp_path: Path) -> None:
    definition = load_definition(written(tmp_path, base=BASE, d=WHOLE))
    assert ids(definition) == ["reachable", "worth", "more"]
    assert [criterion.text for criterion in definition.criteria] == ["stated(email)", "amount > 10", "amount < 99"]
    assert [rung.name for rung in definition.rungs] == ["lead", "deal"]
    assert str(definition.rungs[0].stalls_after.idle) == "3 days"
    assert str(definition.rungs[0].stalls_after.age) == "7 days"
    assert definition.placeholders == {"tbd", "none yet"}
    assert [item.id for item in definition.contradictions] == ["negative"]
    rule = definition.rule("premature")
    assert (rule.mode, str(rule.grace)) == (Mode.ENFORCE, "2 days")
    assert definition.evidence["email"].means == "an address"


def test_the_digest_is_of_all_that_was_read(tmp_path: Path) -> None:
    one = load_definition(written(tmp_path, base=BASE, d=WHOLE)).digest
    other = load_definition(written(tmp_path, base=BASE.replace("an address", "another"), d=WHOLE)).digest
    assert one != other


def test_what_is_not_wanted_is_left_out_by_its_id(tmp_path: Path) -> None:
    text = WHOLE.replace("extends: base.yaml", "extends: [base.yaml]\nwithout: [reachable, negative]")
    definition = load_definition(written(tmp_path, base=BASE, d=text))
    assert ids(definition) == ["worth", "more"]
    assert definition.contradictions == ()


def test_several_are_taken_over_in_their_order(tmp_path: Path) -> None:
    other = "fragment: other\nstages: {lead: {means: somebody else}}\nladders: {a: [lead, deal]}\n"
    text = WHOLE.replace("extends: base.yaml", "extends: [base.yaml, other.yaml]").replace("ladder: [lead, deal]\n", "")
    definition = load_definition(written(tmp_path, base=BASE, other=other, d=text))
    assert definition.rungs[0].means == "somebody else"
    assert list(definition.ladders) == ["a"]
    single = load_definition(
        written(tmp_path, d=WHOLE.replace("extends: base.yaml", "extends: [base.yaml, other.yaml]"))
    )
    assert list(single.ladders) == ["d"]


def test_a_definition_may_be_extended_too_and_keeps_its_name_to_itself(tmp_path: Path) -> None:
    child = "definition: child\nextends: d.yaml\nwithout: [more]\n"
    definition = load_definition(written(tmp_path, base=BASE, d=WHOLE, child=child).with_name("child.yaml"))
    assert (definition.name, ids(definition)) == ("child", ["reachable", "worth"])
    assert list(definition.ladders) == ["child"]


def test_a_problem_is_where_it_is_written(tmp_path: Path) -> None:
    base = BASE.replace("stated(email)", "stated(emal)").replace(
        "because: b, ask: c}\nrules", "becase: b, ask: c}\nrules"
    )
    text = WHOLE.replace("extends: base.yaml", "extends: base.yaml\nwithout: [negativ]")
    assert problems(written(tmp_path, base=base, d=text)) == [
        "base.yaml:10:39: unknown evidence 'emal' (did you mean 'email'?)",
        "base.yaml:14:5: 'because' is missing here",
        "base.yaml:14:39: unknown key 'becase' (did you mean 'because'?)",
        "d.yaml:3:11: nothing that is extended has the id 'negativ' (did you mean 'negative'?)",
    ]


@pytest.mark.parametrize(
    ("extends", "said"),
    [
        ("bose.yaml", "d.yaml:2:10: there is no file {folder}/bose.yaml (did you mean 'base.yaml'?)"),
        ("[base.yaml, d.yaml]", "d.yaml:2:22: extends itself: d.yaml -> d.yaml"),
        ("ring.yaml", "ring.yaml:2:10: extends itself: d.yaml -> ring.yaml -> d.yaml"),
        ("12", "d.yaml:2:10: "),
        ("none.yaml", "d.yaml:2:10: {folder}/none.yaml is empty or not a mapping; it holds nothing to extend"),
    ],
)
def test_what_cannot_be_extended_is_said(tmp_path: Path, extends: str, said: str) -> None:
    ring = "fragment: ring\nextends: d.yaml\n"
    file = written(tmp_path, base=BASE, ring=ring, none="nothing\n", d=WHOLE.replace("base.yaml", extends))
    assert any(problem.startswith(said.format(folder=tmp_path)) for problem in problems(file)), problems(file)


def test_a_fragment_cannot_judge_by_itself(tmp_path: Path) -> None:
    (said,) = problems(written(tmp_path, d=BASE))
    assert "this is a fragment" in said


def test_a_wrong_part_hides_nothing_that_is_wrong_elsewhere(tmp_path: Path) -> None:
    text = """\
definition: 1x
ladder: [lead, deal]
evidence:
  amount: {type: number}
  replies: {type: integr}
stages:
  lead:
    means: m
    requires:
      - {id: a, check: amunt > 0, because: b, aks: c}
      - {id: b, check: replies > 0, because: b, ask: c}
      - {id: a, check: amount > 'x', because: b, ask: c}
  deel: {means: m}
rules: {prematur: {mode: sugest}}
waivers:
  - {rule: a, reason: r, by: me, until: 2026-12-31}
  - {rule: ab, record: x, reason: r, by: me, until: 2026-13-31}
"""
    found = problems(written(tmp_path, d=text))
    places = [problem.removeprefix("d.yaml:").partition(": ")[0] for problem in found]
    assert places == [
        "1:13",
        "2:16",
        "5:19",
        "10:9",
        "10:24",
        "10:47",
        "12:14",
        "12:33",
        "13:3",
        "14:9",
        "14:26",
        "16:5",
        "17:53",
    ], found
