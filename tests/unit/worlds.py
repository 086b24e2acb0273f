"""A definition, a mapping and a table at once: drawn by hypothesis, written as files, and told to the oracle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import strategies as st

from stagesync.audit.engine import Auditor
from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.crm import Owner
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping
from tests.unit.oracle import NOW, Limit, Moment, Node, Pasted, Record, Rules, Rung, reading, written
from tests.unit.trees import EXPRESSIONS, PLACEHOLDERS, VOCABULARY, rows

STAMP = pl.Datetime("us", "UTC")
ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles")
GROUPS = ("north", "south")
OWNERS = {"ann": True, "bob": False, "queue": True}


@dataclass(frozen=True)
class World:
    """Rules and records with the moment at which they are judged."""

    rules: Rules
    records: Sequence[Record]
    moment: Moment
    absent: frozenset[str] = frozenset()
    """Items that are mapped to a column which was not read; as unknown as a gap."""

    @property
    def known_to_oracle(self) -> Rules:
        return replace(self.rules, gaps=self.rules.gaps | self.absent)

    @property
    def read_by_oracle(self) -> Moment:
        """The moment, with the texts that are pasted in these records."""
        return reading(self.records, self.known_to_oracle, self.moment)


limits = st.none() | st.builds(
    Limit, st.integers(1, 12), st.sampled_from(["days", "business days", "business days", "hours"])
)
moments = st.integers(-24 * 40, 24 * 3).map(lambda hours: NOW + timedelta(hours=hours))
trees = st.one_of(EXPRESSIONS, st.sampled_from(["pain", "step"]).map(lambda name: ("stated", name)))


@st.composite
def rungs(draw: st.DrawFn) -> list[Rung]:
    """One to five rungs; the last may be terminal."""
    count = draw(st.integers(1, 5))
    result = []
    for number in range(count):
        nodes: list[Node] = draw(st.lists(trees, max_size=2))
        result.append(
            Rung(
                name=f"rung{number}",
                criteria={f"c{number}-{n}": node for n, node in enumerate(nodes)},
                idle=draw(limits),
                age=draw(limits),
                terminal=number == count - 1 and draw(st.booleans()),
            )
        )
    return result


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """A ladder with two native stages for each rung and two for parking; a native stage nobody mapped exists too.

    Some objects have no stage for one of the rungs.
    """
    ladder = draw(rungs())
    absent = draw(st.sampled_from([None, None, None, *ladder[:-1]]))
    places = {f"{rung.name} {letter}": rung.name for rung in ladder if rung != absent for letter in "ab"}
    places |= {"Parked": "aside", "Lost": "gone"}
    some = st.lists(st.sampled_from(sorted(places)), min_size=1, unique=True)
    stages = some.flatmap(
        lambda natives: st.fixed_dictionaries({name: st.sampled_from(places_of(ladder)) for name in natives})
    )
    return Rules(
        rungs=ladder,
        contradictions=dict(enumerate_named("x", draw(st.lists(trees, max_size=2)))),
        places=places,
        by_group=draw(st.none() | st.dictionaries(st.sampled_from(["*", "*", "", *GROUPS]), stages, min_size=1)),
        grouped_by=draw(st.sampled_from(["pipeline", "record_type"])),
        gaps=frozenset(draw(st.sets(st.sampled_from(sorted(VOCABULARY)), max_size=3))),
        active_owners=draw(st.sampled_from([None, OWNERS])),
        pasted=draw(st.none() | st.builds(Pasted, st.integers(2, 3), st.integers(1, 9))),
    )


def places_of(ladder: Sequence[Rung]) -> list[str]:
    """Where a native stage may stand."""
    return [*(rung.name for rung in ladder), "aside"]


def enumerate_named(prefix: str, nodes: Sequence[Node]) -> list[tuple[str, Node]]:
    """Nodes with names that are unique."""
    return [(f"{prefix}{number}", node) for number, node in enumerate(nodes)]


@st.composite
def histories(draw: st.DrawFn, rules_: Rules, native: str) -> list[tuple[datetime, str]]:
    """Past stages: any at all, or a way over open ones to the present one, without which little can be said."""
    anywhere = st.sampled_from([*rules_.places, "Nobody mapped this"])
    if draw(st.booleans()):
        return draw(st.lists(st.tuples(moments, anywhere), max_size=5))
    rungs = st.sampled_from([stage for stage, place in rules_.places.items() if place.startswith("rung")])
    stages = [*draw(st.lists(rungs | rungs | anywhere, min_size=1, max_size=4)), native]
    times = sorted(draw(st.lists(moments, min_size=len(stages), max_size=len(stages))))
    return list(zip(times, stages, strict=True))


@st.composite
def record(draw: st.DrawFn, rules_: Rules) -> Record:
    """One record of an object with these rules."""
    native = draw(st.sampled_from([*rules_.places, "Nobody mapped this"]))
    return Record(
        id="",
        native=native,
        values=draw(rows()),
        unreadable=draw(st.frozensets(st.sampled_from(sorted(VOCABULARY)), max_size=2)),
        owner=draw(st.sampled_from([None, *OWNERS, "gone"])),
        created=draw(st.none() | moments),
        entered=draw(st.none() | moments),
        history=draw(histories(rules_, native)),
        written=draw(st.sampled_from([None, None, native, *rules_.places])),
        group=draw(st.sampled_from([None, *GROUPS, "another"])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Everything that an audit looks at."""
    drawn = draw(rules())
    records = draw(st.lists(record(drawn), min_size=1, max_size=8))
    return World(
        rules=drawn,
        records=[replace(one, id=f"r{number}") for number, one in enumerate(records)],
        moment=Moment(NOW, ZoneInfo(draw(st.sampled_from(ZONES))), PLACEHOLDERS),
        absent=frozenset(draw(st.sets(st.sampled_from(sorted(VOCABULARY)), max_size=2))) - drawn.gaps,
    )


# As files and tables ----------------------------------------------------------------------------------------------


def definition_words(rules_: Rules) -> dict[str, Any]:
    """The definition file as plain data."""

    def criterion(name: str, node: Node) -> dict[str, str]:
        return {"id": name, "check": written(node), "because": "it says so", "ask": "write it down"}

    def stage(rung: Rung) -> dict[str, Any]:
        stalls = {"idle": rung.idle, "age": rung.age}
        return {
            "means": "a rung",
            "terminal": rung.terminal,
            "requires": [criterion(name, node) for name, node in rung.criteria.items()],
            "stalls_after": {key: str(limit) for key, limit in stalls.items() if limit},
        }

    return {
        "definition": "drawn",
        "ladder": [rung.name for rung in rules_.rungs],
        "parking": {"aside": "not now", "gone": "lost"},
        "evidence": {name: {"type": str(kind)} for name, kind in VOCABULARY.items()},
        "placeholders": list(PLACEHOLDERS),
        **({"pasted": {"records": pasted.records, "length": pasted.length}} if (pasted := rules_.pasted) else {}),
        "stages": {rung.name: stage(rung) for rung in rules_.rungs},
        "contradictions": [criterion(name, node) for name, node in rules_.contradictions.items()],
    }


def mapping_words(rules_: Rules) -> dict[str, Any]:
    """The mapping file as plain data."""
    return {
        "mapping": "drawn",
        "definition": "drawn",
        "crm": "export",
        "tables": {"DealHistory": {"DealId": "text", "Stage": "text", "At": "datetime"}},
        "objects": {
            "Deal": {
                "name": "Name",
                "owner": "Owner",
                "created": "Created",
                "stage": {
                    "field": "Stage",
                    **({} if rules_.by_group is None else {rules_.grouped_by: "Group"}),
                    "stages": dict(rules_.places if rules_.by_group is None else rules_.by_group),
                    "entered": "Entered",
                    "history": {"table": "DealHistory", "record": "DealId", "stage": "Stage", "at": "At"},
                },
                "evidence": {
                    name: {"gap": "not here"} if name in rules_.gaps else {"field": f"its_{name}"}
                    for name in VOCABULARY
                },
            }
        },
    }


def tables(world: World) -> Tables:
    """What would have been read."""
    known = {name: kind for name, kind in VOCABULARY.items() if name not in world.rules.gaps | world.absent}
    columns: dict[str, list[Any]] = {
        "Id": [one.id for one in world.records],
        "Name": [f"Deal {one.id}" for one in world.records],
        "Owner": [one.owner for one in world.records],
        "Stage": [one.native for one in world.records],
        "Group": [one.group for one in world.records],
        "Created": [one.created for one in world.records],
        "Entered": [one.entered for one in world.records],
    }
    schema: dict[str, Any] = dict.fromkeys(("Id", "Name", "Owner", "Stage", "Group"), pl.String) | dict.fromkeys(
        ("Created", "Entered"), STAMP
    )
    for name, kind in known.items():
        column = f"its_{name}"
        broken = [name in one.unreadable for one in world.records]
        columns[column] = [None if name in one.unreadable else one.values[name] for one in world.records]
        schema[column] = POLARS[ColumnType(kind)]
        if any(broken):
            columns[column + UNREADABLE], schema[column + UNREADABLE] = broken, pl.Boolean
    steps = [(one.id, native, at) for one in world.records for at, native in one.history]
    history = pl.DataFrame(
        steps, schema={"DealId": pl.String, "Stage": pl.String, "At": STAMP}, orient="row"
    ).with_columns(pl.Series("Id", [f"h{n}" for n in range(len(steps))], dtype=pl.String))
    absent = {f"its_{name}": "this token may not read it" for name in world.absent}
    return Tables(rows={"Deal": pl.DataFrame(columns, schema=schema), "DealHistory": history}, missing={"Deal": absent})


def owners(world: World) -> list[Owner]:
    """The people, where the source knows them."""
    people = world.rules.active_owners or {}
    return [
        Owner(id=name, name=name.title(), email=None, active=active, queue=name == "queue")
        for name, active in people.items()
    ]


def judgement(world: World, folder: Path, read: Tables | None = None) -> Judgement:
    """The engine's judgement of the only object."""
    return judge_words(definition_words(world.rules), mapping_words(world.rules), folder, world, read)


def judge_words(
    definition: Mapping[str, Any],
    mapping: Mapping[str, Any],
    folder: Path,
    world: World,
    read: Tables | None = None,
    *,
    granted: Sequence[Waiver] = (),
) -> Judgement:
    """The same from the words of the files."""
    (judged,) = auditor_of(definition, mapping, folder, world).judge(
        connection="crm", tables=read or tables(world), owners=owners(world), granted=granted, written=ours(world)
    )
    return judged


def ours(world: World) -> dict[str, dict[str, str]]:
    """What StageSync itself wrote last."""
    return {"Deal": {one.id: one.written for one in world.records if one.written is not None}}


def auditor_of(definition: Mapping[str, Any], mapping: Mapping[str, Any], folder: Path, world: World) -> Auditor:
    """The words of the files, loaded and ready to judge at the world's moment."""
    # JSON is YAML.
    (folder / "definition.yaml").write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    (folder / "mapping.yaml").write_text(json.dumps(mapping, ensure_ascii=False), encoding="utf-8")
    loaded = load_definition(folder / "definition.yaml")
    return Auditor(
        definition=loaded,
        mapping=load_mapping(folder / "mapping.yaml", loaded),
        frame=Frame(now=world.moment.now, time_zone=world.moment.zone),
    )


def found(judged: Judgement) -> dict[str, set[str]]:
    """The rules that each judged record breaks."""
    result: dict[str, set[str]] = {str(record): set() for record in judged.records["record"]}
    for finding in judged.each():
        result[finding.record].add(finding.rule)
    return result


def since(judged: Judgement) -> dict[str, datetime | None]:
    """Since when each judged record stands in its stage."""
    return dict(zip(judged.records["record"].to_list(), judged.records["since"].to_list(), strict=True))
