"""Settings, definitions and mappings: all problems at once, each at its place; whatever is mutated, no traceback."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.errors import ConfigurationError
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.settings import load_settings, shipped_configuration
from tests.thorough import tries

SHIPPED = shipped_configuration()
RECOMMENDED = SHIPPED / "definitions" / "recommended.yaml"
ALL_MAPPINGS = sorted((SHIPPED / "mappings").glob("*.yaml"))
MAPPINGS = [file for file in ALL_MAPPINGS if "definition: recommended\n" in file.read_text(encoding="utf-8")]


def recommended() -> Definition:
    return load_definition(RECOMMENDED)


def words(file: Path) -> Any:
    return yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def problems(file: Path, content: str, definition: Definition | None = None) -> list[str]:
    """What is wrong with a file, as line:column: message."""
    file.write_text(content, encoding="utf-8")
    try:
        if definition is None:
            load_definition(file)
        else:
            load_mapping(file, definition)
    except ConfigurationError as error:
        return [f"{problem.line}:{problem.column}: {problem.message}" for problem in error.problems]
    return []


def test_what_is_shipped_is_right() -> None:
    assert load_settings(SHIPPED / "stagesync.yaml").definition.name == "recommended"
    for file in ALL_MAPPINGS:
        definition = load_definition(SHIPPED / "definitions" / f"{words(file)['definition']}.yaml")
        assert load_mapping(file, definition).objects


def test_every_problem_of_a_definition_comes_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path / "d.yaml",
        """\
definition: 1x
ladder: [lead, lead, deal]
evidence:
  replies: {type: integr}
stages:
  lead:
    means: m
    requires:
      - {id: a, check: replies >= 1, because: b, aks: c}
    stalls_after: {idle: 14 busines days}
  prospect: {means: m, terminal: maybe}
rules: {prematur: {mode: sugest}}
placeholders: tbd
surplus: 1
""",
    )
    text = "\n".join(found)
    for said in (
        "1:13: '1x' is not a name",
        "2:16: 'lead' stands twice in the ladder",
        "2:22: stage 'deal' is in the ladder but not under stages",
        "4:19: 'integr' is not one of",
        "did you mean 'integer'?",
        "9:50: unknown key 'aks' (did you mean 'ask'?)",
        "'ask' is missing here",
        "10:26: '14 busines days' is not a length of time",
        "11:34: true or false is expected here, not 'maybe'",
        "11:3: stage 'prospect' is not in the ladder",
        "12:9: unknown kind of finding or rule 'prematur' (did you mean 'premature'?)",
        "12:26: 'sugest' is not one of",
        "13:15: a list is expected here, not 'tbd'",
        "14:1: unknown key 'surplus'; there are definition, extends, without, means, ladder, ladders, parking, ",
    ):
        assert said in text
    # What follows from another one alone is none of its own.
    assert len(found) == 13


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("ladder: lead", "2:9: a list is expected here, not 'lead'"),
        ("ladder: [2]", "2:10: "),
        ("ladder: {lead: 1}", "2:9: a list is expected here, not a mapping"),
    ],
)
def test_a_ladder_that_cannot_be_read_hides_nothing(tmp_path: Path, wrong: str, said: str) -> None:
    found = problems(
        tmp_path / "d.yaml",
        f"""\
definition: x
{wrong}
evidence: {{replies: {{type: integr}}, pain: {{type: text}}}}
stages:
  lead: {{means: m, requires: [{{id: a, check: pan = 'x', because: b, ask: c}}]}}
  deal: {{means: m}}
rules: {{prematur: {{mode: audit}}}}
""",
    )
    assert len(found) == 4, found
    assert found[0].startswith(said)
    assert found[1].startswith("3:28: 'integr' is not one of")
    assert found[2] == "5:46: unknown evidence 'pan' (did you mean 'pain'?)"
    assert found[3].startswith("7:9: unknown kind of finding or rule 'prematur'")


def test_what_a_definition_means_is_checked_at_once_too(tmp_path: Path) -> None:
    found = problems(
        tmp_path / "d.yaml",
        """\
definition: x
ladder: [lead, deal, deal]
parking: {lead: here}
evidence:
  replies: {type: integer}
  last_activity: {type: date}
stages:
  lead:
    means: m
    requires:
      - {id: a, check: replys >= 1, because: b, ask: c}
      - {id: a, check: stated(replies), because: b, ask: c}
  deals: {means: m}
""",
    )
    assert found == [
        "2:16: stage 'deal' is in the ladder but not under stages (did you mean 'deals'?)",
        "2:22: 'deal' stands twice in the ladder",
        "2:22: stage 'deal' is in the ladder but not under stages (did you mean 'deals'?)",
        "3:11: 'lead' is both on the ladder and a parking place",
        "6:25: 'last_activity' is of type date; idle time counts from it, so that it must be a datetime",
        "11:24: unknown evidence 'replys' (did you mean 'replies'?)",
        "12:14: id 'a' is already used in stage 'lead'",
        "12:31: 'replies' is of type integer and cannot be asked for with stated()",
        "13:3: stage 'deals' is not in the ladder (did you mean 'deal'?)",
    ]


def test_idle_without_anything_to_count_from_is_an_error(tmp_path: Path) -> None:
    (found,) = problems(
        tmp_path / "d.yaml",
        "definition: x\nladder: [a]\nevidence: {b: {type: text}}\n"
        "stages:\n  a: {means: m, stalls_after: {idle: 1 day}}\n",
    )
    assert found.startswith("5:32: 'idle' counts from the evidence 'last_activity'")


MAPPING = """\
mapping: m
definition: recommended
crm: salesforce
tables:
  Task: {WhoId: text, Minutes: integer, At: datetime, Id2: integer}
  Account: {Size: text}
objects:
  Lead:
    stage:
      field: Status
      stages: {New: leed, Old: lead}
      history: {table: Task, record: Minutes, stage: WhoId, at: WhoId}
    evidence:
      email: {field: Email, where: Minutes > 1}
      phone: {max: At}
      people: {count: Task, on: WhoId, of: Task}
      calls: {count: Task, on: Minutes}
      employees: {lookup: Account, by: AccountId, take: Size}
      last_activity: {max: Minutes, of: Task, on: WhoId}
      pain: {field: A, gap: b}
      replies: {count: Tusk, on: WhoId}
      meetings: {count: Task, on: WhoID, where: Minuts > 1}
      nonsense: {gap: x}
"""


def test_every_problem_of_a_mapping_comes_at_once(tmp_path: Path) -> None:
    text = "\n".join(problems(tmp_path / "m.yaml", MAPPING, recommended()))
    for said in (
        "11:21: 'leed' is neither a stage nor a parking place of 'recommended' (did you mean 'lead'?)",
        "12:38: 'Minutes' is of type integer; 'record' of a history is of type text",
        "12:65: 'WhoId' is of type text; 'at' of a history is of type datetime",
        "Lead says nothing about decision_makers",
        "14:29: 'where' means nothing beside 'field'",
        "15:7: a max needs 'of'",
        "16:40: 'of' means nothing beside 'count'",
        "17:32: 'Minutes' is of type integer, this item of type text",
        "18:57: 'Size' is of type text, this item of type integer",
        "19:28: 'Minutes' is of type integer, this item of type datetime",
        "20:7: exactly one of field,",
        "21:24: table 'Tusk' is not listed under tables (did you mean 'Task'?)",
        "22:35: column 'WhoID' is not listed under tables: Task (did you mean 'WhoId'?)",
        "22:49: unknown column 'Minuts' (did you mean 'Minutes'?)",
        "23:7: unknown evidence 'nonsense'",
    ):
        assert said in text


PEOPLE = """\
mapping: m
definition: small
crm: salesforce
tables:
  Task: {{WhoId: text, WhatId: text, Minutes: integer}}
  Roles: {{OpportunityId: text, ContactId: text, Rank: integer}}
  Bare: {{}}
objects:
  Opportunity:
    people: {people}
    stage: {{field: StageName, stages: {{New: lead}}}}
    evidence:
      calls: {calls}
"""
ROLES = "{table: Roles, person: ContactId, record: OpportunityId}"
BOTH_HOPS = "{count: Task, on: WhatId, on_people: WhoId}"


@pytest.mark.parametrize(
    ("people", "calls", "said"),
    [
        (ROLES, BOTH_HOPS, None),
        (ROLES, "{count: Task, on_people: WhoId}", None),
        ("{table: Roles, person: ContactID, record: Rank}", BOTH_HOPS, "10:36: column 'ContactID' is not listed"),
        (
            "{table: Roles, person: ContactId, record: Rank}",
            BOTH_HOPS,
            "10:55: 'Rank' is of type integer, this item of",
        ),
        ("{table: Role, person: ContactId, record: Rank}", BOTH_HOPS, "10:21: table 'Role' is not listed under tables"),
        ("contacts", BOTH_HOPS, "associations exist in HubSpot only; write: people: {table: ..., person: ..., record"),
        (ROLES, "{count: Task, on_people: WhomId}", "13:39: column 'WhomId' is not listed under tables: Task"),
        (ROLES, "{count: Bare, on: WhatId}", "13:32: column 'WhatId' is not listed under tables: Bare"),
        (ROLES, "{max: Size, of: Bare, on: WhatId}", "13:20: column 'Size' is not listed under tables: Bare"),
        (ROLES, "{lookup: Bare, by: AccountId, take: Size}", "13:50: column 'Size' is not listed under tables: Bare"),
        (ROLES, "{count: Task, on_people: Minutes}", "13:39: 'Minutes' is of type integer"),
        (ROLES, "{count: Task, via_people: contacts}", "associations exist in HubSpot only; use 'on_people' with a"),
        (ROLES, "{count: Task, on_people: WhoId, via_people: x}", "13:7: say how rows name a person"),
        (ROLES, "{count: Task}", "13:7: say how rows belong to the record"),
        (ROLES, "{count: Task, on: WhatId, empty: blank}", "13:47: a count over nothing is zero; write: empty: zero"),
        (ROLES, "{field: Calls, on_people: WhoId}", "13:29: 'on_people' means nothing beside 'field'"),
    ],
)
def test_people_are_checked_at_their_place(tmp_path: Path, people: str, calls: str, said: str | None) -> None:
    (tmp_path / "d.yaml").write_text(
        "definition: small\nladder: [lead]\nevidence: {calls: {type: integer}}\nstages: {lead: {means: m}}\n"
    )
    found = problems(
        tmp_path / "m.yaml", PEOPLE.format(people=people, calls=calls), load_definition(tmp_path / "d.yaml")
    )
    if said is None:
        assert found == []
    else:
        assert any(said in one for one in found), found


def test_an_object_without_people_cannot_be_asked_for_them(tmp_path: Path) -> None:
    content = (SHIPPED / "mappings" / "hubspot.yaml").read_text(encoding="utf-8").replace("    people: contacts\n", "")
    said = "'via_people' needs to know the people of deals; write beside its stage: people: contacts"
    assert sum(said in one for one in problems(tmp_path / "m.yaml", content, recommended())) == 4


def test_associations_of_people_are_read_too() -> None:
    mapping = load_mapping(SHIPPED / "mappings" / "hubspot.yaml", recommended())
    assert {table.name: set(table.links) for table in mapping.tables if table.links} == {
        "contacts": {"deals"},
        "companies": {"contacts", "deals"},
        **{name: {"contacts", "deals"} for name in ("emails", "calls", "meetings", "tasks")},
    }


@pytest.mark.parametrize("content", ["", "# nothing\n", "[a, b]\n", "text\n", "42\n", "~\n", "{}\n"])
def test_a_file_that_is_no_mapping_is_said_so(tmp_path: Path, content: str) -> None:
    assert problems(tmp_path / "d.yaml", content)
    assert problems(tmp_path / "m.yaml", content, recommended())


# Mutations of what is shipped -------------------------------------------------------------------------------------

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1e99, "", " ", "x", "é\n", "1 day", "2026-01-01", [], ["x"], [[]], {}, {"x": "y"}, {"": None},
     "a" * 3_000, "lead", "{{", "-- c", "'"]
)  # fmt: skip


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(deeper for key, value in inner for deeper in paths(value, (*path, key)))]


@st.composite
def mutations(draw: st.DrawFn, file: Path) -> str:
    """The file with a few entries replaced, removed, renamed or doubled."""
    data = copy.deepcopy(words(file))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(data)[1:] or [()]))
        if not path:
            break
        parent = data
        for step in path[:-1]:
            parent = parent[step]
        match draw(st.sampled_from(["junk", "remove", "rename", "swap"])):
            case "junk":
                parent[path[-1]] = copy.deepcopy(draw(JUNK))
            case "remove":
                del parent[path[-1]]
            case "rename" if isinstance(parent, dict):
                parent[str(draw(st.sampled_from(["", "x", f"{path[-1]}s", "é", "<<"])))] = parent.pop(path[-1])
            case _:
                other = draw(st.sampled_from(paths(data)))
                value = data
                for step in other:
                    value = value[step]
                parent[path[-1]] = copy.deepcopy(value)
    return json.dumps(data, ensure_ascii=False, indent=1)


def holds_or_says_where(load: Any, *arguments: Any) -> Definition | CrmMapping | None:
    error = None
    try:
        return load(*arguments)  # type: ignore[no-any-return]
    except ConfigurationError as caught:
        error = caught
    assert error.problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in error.problems)
    assert all(len(str(problem)) < 5_000 for problem in error.problems)
    return None


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


@settings(max_examples=tries(ordinary=60, soak=600))
@given(mutations(RECOMMENDED))
def test_no_mutation_of_the_definitions_is_a_traceback(folder: Path, content: str) -> None:
    (folder / "d.yaml").write_text(content, encoding="utf-8")
    holds_or_says_where(load_definition, folder / "d.yaml")


@settings(max_examples=tries(ordinary=60, soak=600))
@given(st.sampled_from(MAPPINGS).flatmap(mutations))
def test_no_mutation_of_a_mapping_is_a_traceback(folder: Path, content: str) -> None:
    (folder / "m.yaml").write_text(content, encoding="utf-8")
    holds_or_says_where(load_mapping, folder / "m.yaml", DEFINITION)


DEFINITION = recommended()


@settings(max_examples=40)
@given(mutations(SHIPPED / "stagesync.yaml"))
def test_no_mutation_of_the_settings_is_a_traceback(folder: Path, content: str) -> None:
    for part in ("definitions", "mappings"):
        if not (folder / part).exists():
            shutil.copytree(SHIPPED / part, folder / part)
    (folder / "stagesync.yaml").write_text(content, encoding="utf-8")
    try:
        load_settings(folder / "stagesync.yaml")
    except ConfigurationError as error:
        assert str(error)  # noqa: PT017  (a file that is not there has no line)


@settings(max_examples=150)
@given(st.data())
def test_no_mutated_byte_is_a_traceback(folder: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from([RECOMMENDED, *MAPPINGS]))
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from(
                [b"", b"\t", b"\0", b"\xff", b":", b"'", b'"', b"\n", b"- ", b"&a ", b"*a", b"{", b"]", b"|", b"\r"]
            )
        )
    (folder / "b.yaml").write_bytes(raw)
    if file == RECOMMENDED:
        holds_or_says_where(load_definition, folder / "b.yaml")
    else:
        holds_or_says_where(load_mapping, folder / "b.yaml", DEFINITION)


# Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("time_zone: Europe", "5:12: 'Europe' is not a time zone"),
        ("time_zone: ../UTC", "is not a time zone"),
        ("time_zone: Mars/Olympus", "is not a time zone"),
        ("time_zone: posix/Europe/Berlin", "is not a time zone (did you mean 'Europe/Berlin'?)"),
        ("time_zone: localtime", "'localtime' is not a time zone; write one"),
        (f"time_zone: {'x' * 300}", "is not a time zone"),
        ("guard: {share: 1.5}", "5:16: '1.5' is too much; 1 is the most"),
        ("guard: {share: 10%}", "5:16: a number is expected here, not '10%'"),
        ("guard: {tasks: -1}", "5:16: '-1' is too little; 0 is the least"),
        ("guard: {tasks: some}", "5:16: a whole number is expected here, not 'some'"),
        ("data: ''", "5:7: something must be written here; it is an empty text"),
        ("ledger: mysql://host/db", "5:9: the ledger is kept in SQLite or PostgreSQL"),
        ("schedule: {cron: 0 6 * *}", "5:18: cron has 5 fields"),
        ("schedule: {every: 0 hours}", "5:19: '0 hours' would never rest"),
        ("guard: {freeze: [{name: end}]}", "say when it holds: start and end"),
        ("guard: {freeze: [{name: end, of: quarter}]}", "'of' goes together with first_days or last_days"),
        ("guard: {freeze: [{name: end, start: 2026-12-24, end: 2026-12-01}]}", "before it starts on 2026-12-24"),
        ("guard: {freeze: [{name: end, hours: 25:00-26:00}]}", "'25:00-26:00' are no hours; write them as 18:00-07:00"),
        ("guard: {freeze: [{name: end, of: year, last_days: 1, time_zone: Mars}]}", "'Mars' is not a time zone"),
        ("guard: {per_owner: {share: 0.1}}", "unknown key 'share'"),
        ("plan: {valid: 2 business days}", "it counts minutes, hours or days"),
        ("guard: {shares: 1}", "5:9: unknown key 'shares' (did you mean 'share'?)"),
        ("schedule: {every: 1 hours, cron: '* * * * *'}", "write either every"),
        ("schedule: {}", "write either every"),
        ("health: {port: 70000}", "65535 is the most"),
        ("tasks: {due: tomorrow}", "5:14: 'tomorrow' is not a length of time"),
        ("rules: {premature: {mode: enforced}}", "did you mean 'enforce'?"),
        ("tokn: x", "unknown key 'tokn'"),
    ],
)
def test_settings_are_checked_at_their_place(tmp_path: Path, line: str, said: str) -> None:
    for part in ("definitions", "mappings"):
        shutil.copytree(SHIPPED / part, tmp_path / part)
    (tmp_path / "s.yaml").write_text(
        "definitions: definitions/recommended.yaml\nconnections:\n"
        "  h: {crm: hubspot, mapping: mappings/hubspot.yaml, token: {env: T}}\n# more\n" + line + "\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "s.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hunter2-secret", "a mapping is expected"),
        ("{env: A, file: b}", "write {env: NAME} or {file: PATH}"),
        ("{}", "write {env: NAME} or {file: PATH}"),
    ],
)
def test_a_secret_is_named_and_never_written(tmp_path: Path, token: str, said: str) -> None:
    (tmp_path / "s.yaml").write_text(
        f"definitions: d\nconnections:\n  h: {{crm: hubspot, mapping: m, token: {token}}}\n"
    )
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        load_settings(tmp_path / "s.yaml")
    assert "hunter2" not in str(caught.value)


def test_a_mapping_for_another_crm_is_refused(tmp_path: Path) -> None:
    for part in ("definitions", "mappings"):
        shutil.copytree(SHIPPED / part, tmp_path / part)
    (tmp_path / "s.yaml").write_text(
        "definitions: definitions/recommended.yaml\nconnections:\n"
        "  h: {crm: hubspot, mapping: mappings/salesforce.yaml, token: {env: T}}\n"
    )
    with pytest.raises(
        ConfigurationError, match="3:30: connection 'h' is a hubspot, but its mapping is for salesforce"
    ):
        load_settings(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("stalled: {move_to: nurtur}", "unknown parking place 'nurtur' (did you mean 'nurture'?)"),
        ("premature: {move_to: nurture}", "only stalled records are parked; for 'premature' it can only be 'earned'"),
    ],
)
def test_where_records_are_parked_is_checked(tmp_path: Path, rule: str, said: str) -> None:
    words = "definition: d\nladder: [lead]\nparking: {nurture: later}\nevidence: {pain: {type: text}}\n"
    words += "stages: {lead: {means: m}}\nrules:\n  {rule}\n".replace("{rule}", rule)
    (problem,) = problems(tmp_path / "d.yaml", words)
    assert problem == f"7:{rule.index('nurtur') + 3}: {said}"
