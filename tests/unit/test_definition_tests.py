"""Definition tests are judged by the real engine, and one that does not hold says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stagesync.audit import engine
from stagesync.audit.judgement import Judgement
from stagesync.cli import definition_tests as command
from stagesync.cli.definition_tests import Difference, outcomes
from stagesync.cli.main import app
from stagesync.errors import ConfigurationError, UsageError
from stagesync.policy.definition_tests import load_tests, place_of_tests
from stagesync.policy.definitions import load_definition

DEFINITION = """\
definition: shop
ladder: [lead, prospect, customer]
parking:
  lost: gone
evidence:
  email: {type: text}
  replies: {type: integer}
  size: {type: number}
  keen: {type: boolean}
  due: {type: date}
  last_activity: {type: datetime}
placeholders: [tbd]
stages:
  lead:
    means: can be reached
    requires:
      - {id: contactable, check: stated(email), because: b, ask: a}
    stalls_after: {idle: 5 days}
  prospect:
    means: answered
    requires:
      - {id: answered, check: replies >= 1, because: b, ask: a}
      - {id: fit, check: "size between 10.5 and 99", because: b, ask: a}
  customer: {means: bought, terminal: true}
contradictions:
  - {id: overdue, check: due < today(), because: late, ask: a}
"""
HEAD = "tests: shop\nas_of: 2026-03-16T12:00:00Z\ncases:\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(DEFINITION, encoding="utf-8")
    return tmp_path


def differences(folder: Path, cases: str, head: str = HEAD) -> list[tuple[Difference, ...]]:
    definition = load_definition(folder / "shop.yaml")
    file = place_of_tests(definition.file)
    file.write_text(head + cases, encoding="utf-8")
    return [tuple(outcome.differences) for outcome in outcomes(load_tests(file, definition))]


def problems(folder: Path, cases: str, head: str = HEAD) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        differences(folder, cases, head)
    return [f"{one.line}:{one.column} {one.message}" for one in raised.value.problems]


def test_what_holds_says_nothing(folder: Path) -> None:
    held = """\
  - name: every key at once
    stage: prospect
    given: {email: jo@acme.example, size: 12, keen: false, due: 2026-03-16, last_activity: 2026-03-15T22:00:00-05:00}
    unknown: {replies: mail is not captured}
    since: 2026-03-01
    owner: inactive
    expect:
      surely: lead
      could: customer
      verdicts: {contactable: met, answered: unknown, fit: met}
      findings: [unowned]
      not_findings: [premature, stalled, contradiction.overdue]
  - {name: "nothing is given, and nothing is above the top", stage: lead, expect: {earned: none, findings: [premature]}}
  - {name: earned to the top, stage: lead, given: {email: a@b.example, replies: 1, size: 11},
     expect: {earned: customer, findings: [ready]}}
  - {name: parked, stage: lost, owner: nobody, expect: {findings: []}}
  - {name: parked and overdue, stage: lost, given: {due: 2026-03-15}, expect: {findings: [contradiction.overdue]}}
"""
    assert differences(folder, held) == [()] * 5


def test_what_does_not_hold_says_what_is_so_and_why(folder: Path) -> None:
    broken = """\
  - name: all wrong
    stage: prospect
    given: {email: TBD, replies: 3, size: 3}
    expect: {earned: prospect, verdicts: {contactable: met, answered: met}, findings: [stalled, premature]}
"""
    why_email = "email is 'TBD'; needs stated(email)"
    assert differences(folder, broken) == [
        (
            Difference(
                what="earned",
                expected="prospect",
                actual="none",
                because=f"contactable is not met: {why_email}; "
                "fit is not met: size is 3; needs size between 10.5 and 99",
            ),
            Difference(what="contactable", expected="met", actual="not met", because=why_email),
            Difference(what="finding", expected="stalled", actual="no such finding"),
            Difference(
                what="finding",
                expected="no such finding",
                actual="placeholder.email",
                because="email is filled with 'TBD', which says nothing",
            ),
        )
    ]


def test_bounds_and_unwanted_findings_are_compared(folder: Path) -> None:
    open_ = """\
  - name: unknown where a value was expected
    stage: prospect
    given: {email: jo@acme.example, size: 12}
    unknown: {replies: no mail}
    expect: {earned: prospect, not_findings: [premature]}
  - name: bounds the other way round
    stage: prospect
    given: {email: jo@acme.example, size: 12}
    unknown: {replies: no mail}
    expect: {surely: prospect, could: lead}
  - name: a finding that must not be
    stage: prospect
    given: {email: jo@acme.example, size: 12, replies: 0}
    expect: {not_findings: [premature]}
"""
    unknown, bounds, unwanted = differences(folder, open_)
    why = "answered is unknown: replies is unknown: no mail"
    assert unknown == (
        Difference(what="earned", expected="prospect", actual="surely lead, could be customer", because=why),
    )
    assert bounds == (
        Difference(what="surely", expected="prospect", actual="lead", because=why),
        Difference(what="could", expected="lead", actual="customer"),
    )
    (one,) = unwanted
    assert (one.what, one.expected, one.actual) == ("finding", "no such finding", "premature")
    assert "replies is 0; needs replies >= 1" in one.because


@pytest.mark.parametrize(
    ("since", "activity", "stalled"),
    [
        ("since: 2026-03-01", "", True),
        ("since: 2026-03-11", "", False),
        ("since: 2026-03-01", "last_activity: 2026-03-12", False),
        ("since: 2026-03-01", "last_activity: 2026-03-10", True),
        ("owner: active", "last_activity: 2025-01-01", True),
        ("owner: active", "", False),
    ],
)
def test_time_is_told_by_since_and_by_the_last_activity(folder: Path, since: str, activity: str, stalled: bool) -> None:
    case = f"""\
  - name: time
    stage: lead
    given: {{email: jo@acme.example, {activity}}}
    {since}
    expect: {{findings: [{"stalled" if stalled else ""}]}}
"""
    assert differences(folder, case) == [()]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "{name: a, stage: leed, expect: {earned: lead}}",
            "unknown stage or parking place 'leed' (did you mean 'lead'?)",
        ),
        ("{name: a, stage: lead, expect: {earned: lost}}", "unknown stage of the ladder 'lost'"),
        ("{name: a, stage: lead, given: {emial: x}, expect: {earned: lead}}", "unknown evidence 'emial' (did you mean"),
        ("{name: a, stage: lead, unknown: {repies: x}, expect: {earned: lead}}", "unknown evidence 'repies'"),
        ("{name: a, stage: lead, expect: {verdicts: {fitt: met}}}", "unknown criterion 'fitt' (did you mean 'fit'?)"),
        ("{name: a, stage: lead, expect: {verdicts: {fit: yes}}}", "'yes' is not one of met, not met, unknown"),
        ("{name: a, stage: lead, expect: {findings: [overdue]}}", "unknown rule 'overdue'; there are premature"),
        ("{name: a, stage: lead, expect: {not_findings: [contradiction]}}", "unknown rule 'contradiction'"),
        ("{name: a, stage: lead, expect: {}}", "name at least one of earned, surely"),
        ("{name: a, stage: lead, expect: {earned: lead, could: lead}}", "'earned' says both bounds at once"),
        (
            "{name: a, stage: lead, given: {replies: 1}, unknown: {replies: x}, expect: {earned: lead}}",
            "both given and",
        ),
        ("{name: a, stage: lead, given: {replies: many}, expect: {earned: lead}}", "is of type integer, and 'many'"),
        ("{name: a, stage: lead, given: {replies: 1.5}, expect: {earned: lead}}", "is of type integer, and '1.5'"),
        ("{name: a, stage: lead, given: {replies: true}, expect: {earned: lead}}", "is of type integer, and 'true'"),
        ('{name: a, stage: lead, given: {replies: "1"}, expect: {earned: lead}}', "is of type integer, and '1' is"),
        ("{name: a, stage: lead, given: {email: 3}, expect: {earned: lead}}", "is of type text, and '3'"),
        ("{name: a, stage: lead, given: {keen: 1}, expect: {earned: lead}}", "is of type boolean, and '1'"),
        ("{name: a, stage: lead, given: {size: big}, expect: {earned: lead}}", "is of type number, and 'big'"),
        ("{name: a, stage: lead, given: {due: 2026-02-30}, expect: {earned: lead}}", "'2026-02-30' is not a date"),
        ("{name: a, stage: lead, given: {due: [1]}, expect: {earned: lead}}", "is expected here"),
        ("{name: a, stage: lead, given: {last_activity: 2026-03-01T10:00:00}, expect: {earned: lead}}", "not a moment"),
        ("{name: a, stage: lead, since: yesterday, expect: {earned: lead}}", "'yesterday' is not a moment"),
        ("{name: a, stage: lead, since: 0001-01-01T00:00:00+14:00, expect: {earned: lead}}", "is not a moment"),
        (
            "{name: a, stage: lead, owner: gone, expect: {earned: lead}}",
            "'gone' is not one of active, inactive, nobody",
        ),
        ("{name: a, stage: lead, expects: {earned: lead}}", "unknown key 'expects' (did you mean 'expect'?)"),
        ("{name: a, stage: lead, expect: {earnt: lead}}", "unknown key 'earnt' (did you mean 'earned'?)"),
        ("{stage: lead, expect: {earned: lead}}", "'name' is missing here"),
    ],
)
def test_a_test_that_could_hold_by_accident_is_an_error_with_its_place(folder: Path, case: str, expected: str) -> None:
    said = problems(folder, f"  - {case}\n")
    assert any(expected in one for one in said), said
    assert all(one.startswith("4:") for one in said), said


def test_the_whole_file_is_checked_too(folder: Path) -> None:
    case = "  - {name: a, stage: lead, expect: {earned: none}}\n"
    (wrong,) = problems(folder, case, "tests: shopp\nas_of: 2026-03-16\ncases:\n")
    assert wrong == "1:8 these are tests of 'shopp', but the definitions are 'shop'"
    (when,) = problems(folder, case, "tests: shop\nas_of: noon\ncases:\n")
    assert when.startswith("2:8 'noon' is not a moment")
    assert problems(folder, case, "tests: shop\ncases:\n") == ["1:1 'as_of' is missing here"]
    (twice,) = problems(folder, case * 2)
    assert twice == "5:12 there is already a case 'a'"
    assert problems(folder, "", "tests: shop\nas_of: 2026-03-16\ncases: []\n")


def test_there_is_no_second_evaluator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that finds nothing lets every test of a finding fail."""
    called: list[int] = []

    def blind(**arguments: object) -> list[Judgement]:
        judgements = engine.judge(**arguments)  # type: ignore[arg-type]
        called.append(len(judgements))
        return [replace(one, findings=one.findings.clear()) for one in judgements]

    monkeypatch.setattr(command, "judge", blind)
    case = "  - {name: a, stage: lead, expect: {findings: [premature]}}\n"
    ((difference,),) = differences(folder, case)
    assert difference.actual == "no such finding"
    assert called == [1]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


GOOD = "  - {name: good, stage: lead, given: {email: a@b.example}, expect: {earned: lead}}\n"
BAD = "  - {name: bad | worse, stage: lead, expect: {earned: lead}}\n"


def test_the_command_says_what_holds_and_what_does_not(folder: Path) -> None:
    tests = folder / "shop.tests.yaml"
    tests.write_text(HEAD + GOOD, encoding="utf-8")
    for place in (folder, folder / "shop.yaml", tests):
        result = run(place)
        assert (result.exit_code, result.stdout) == (0, "shop: all 1 hold\n1 test, 0 failed\n")
    assert run(folder, tests).stdout.count("shop") == 1
    tests.write_text(HEAD + GOOD + BAD, encoding="utf-8")
    result = run(folder)
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        "shop: bad | worse",
        f"  {tests}:5",
        "  earned",
        "    - lead",
        "    + none",
        "      contactable is not met: email is blank; needs stated(email)",
        "shop: 1 of 2 hold",
        "2 tests, 1 failed",
    ]


def test_the_command_reports_in_every_format(folder: Path) -> None:
    (folder / "shop.tests.yaml").write_text(HEAD + GOOD + BAD, encoding="utf-8")
    written = json.loads(run(folder, "--format", "json").stdout)
    assert (written["tests"], written["failed"]) == (2, 1)
    good, bad = written["definitions"][0]["cases"]
    assert (good["name"], good["holds"], good["differences"]) == ("good", True, [])
    assert (bad["line"], bad["holds"], bad["differences"][0]["actual"]) == (5, False, "none")
    header, row = run(folder, "--format", "csv").stdout.splitlines()
    assert header == "definition,case,line,what,expected,actual,because"
    assert row.startswith("shop,bad | worse,5,earned,lead,none,contactable is not met")
    markdown = run(folder, "--format", "markdown").stdout
    assert markdown.startswith("2 tests, 1 failed\n")
    assert "| shop | bad \\| worse | 5 | earned | lead | none |" in markdown


def test_nothing_to_run_is_no_success(folder: Path) -> None:
    result = run(folder)
    assert isinstance(result.exception, UsageError)
    assert "shop.tests.yaml" in str(result.exception)
    assert "no tests; they would stand in shop.tests.yaml" in result.stdout
    (folder / "empty").mkdir()
    assert isinstance(run(folder / "empty").exception, UsageError)


def test_tests_without_their_definitions_are_an_error(folder: Path) -> None:
    (folder / "other.tests.yaml").write_text(HEAD + GOOD, encoding="utf-8")
    result = run(folder)
    assert isinstance(result.exception, UsageError)
    assert "other.yaml, which is not beside it" in str(result.exception)


def test_without_a_name_the_definitions_of_the_settings_are_tested(folder: Path) -> None:
    (folder / "shop.tests.yaml").write_text(HEAD + GOOD, encoding="utf-8")
    settings = folder / "stagesync.yaml"
    settings.write_text(
        "definitions: shop.yaml\nconnections:\n  hubspot: {crm: hubspot, mapping: not-yet.yaml, token: {env: T}}\n",
        encoding="utf-8",
    )
    assert run("--config", settings).stdout.startswith("shop: all 1 hold")


def test_without_settings_the_shipped_definitions_are_tested(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = run()
    assert result.exit_code == 0
    assert result.stdout.count(" hold\n") == 6
    here = folder / "config" / "definitions"
    here.mkdir(parents=True)
    (here / "shop.yaml").write_text(DEFINITION, encoding="utf-8")
    (here / "shop.tests.yaml").write_text(HEAD + GOOD, encoding="utf-8")
    assert run().stdout.startswith("shop: all 1 hold")


def test_settings_that_are_named_must_be_there(folder: Path) -> None:
    assert isinstance(run("--config", folder / "gone.yaml").exception, ConfigurationError)


def test_a_thousand_cases_are_one_judgement(folder: Path) -> None:
    cases = "".join(
        f"  - {{name: n{n}, stage: lead, given: {{email: a@b.example, size: {n}}}, "
        f"expect: {{verdicts: {{fit: {verdict}}}}}}}\n"
        for n in range(1000)
        for verdict in ["met" if 11 <= n <= 99 else "not met"]
    )
    assert differences(folder, cases) == [()] * 1000
