"""``stagesync test``: the examples beside the definitions, judged by the engine that judges real records."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from msgspec import structs
from rich.text import Text

from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.audit.reasons import evidence_for
from stagesync.cli import show
from stagesync.cli.options import Format
from stagesync.errors import ConfigurationError, UsageError
from stagesync.model.counting import counted
from stagesync.model.crm import Owner
from stagesync.model.findings import Verdict
from stagesync.model.frames import POLARS
from stagesync.model.tables import ColumnType, Table
from stagesync.policy.definition_tests import NO_STAGE, SUFFIX, Case, DefinitionTests, load_tests, place_of_tests
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.document import read_document
from stagesync.policy.fragments import fragments_among
from stagesync.policy.mappings import CrmMapping, EvidenceSource, FieldSource, Gap, MappedObject
from stagesync.policy.schema import ExportFormat
from stagesync.policy.validation import validate
from stagesync.settings import SettingsFile, shipped_configuration

# Columns of the made-up table that are no evidence; no evidence item can be called so.
KEY, STAGE, OWNER, ENTERED = ":case", ":stage", ":owner", ":entered"
HERE = Path("config/definitions")
OWNERS = (
    Owner(id="active", name="somebody", email=None, active=True),
    Owner(id="inactive", name="somebody who left", email=None, active=False),
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not as a test expects it; ``because`` says why it is so, where the engine does."""

    what: str
    expected: str
    actual: str
    because: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one case came out: it holds when nothing differs."""

    case: Case
    differences: Sequence[Difference]


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A definition file with the outcomes of its tests; ``tests`` is None where it has none."""

    definition: Definition
    tests: Path | None
    outcomes: Sequence[Outcome]

    @property
    def failed(self) -> Sequence[Outcome]:
        """The cases that do not hold."""
        return [outcome for outcome in self.outcomes if outcome.differences]


def test(paths: Sequence[Path], config: Path | None, output: Format) -> int:
    """Run the tests beside the named definitions. Returns 0 when all hold, 2 when one fails or there is none."""
    tested = [_tested(file) for file in _definitions(paths, config)]
    match output:
        case Format.JSON:
            sys.stdout.write(_as_json(tested))
        case Format.CSV:
            sys.stdout.write(_as_csv(tested))
        case Format.MARKDOWN:
            sys.stdout.write(_as_markdown(tested))
        case Format.TABLE:
            _show(tested)
    if not any(one.outcomes for one in tested):
        raise UsageError("there is no test; write one beside the definitions, such as " + _expected_place(tested))
    return ConfigurationError.exit_code if any(one.failed for one in tested) else 0


def _expected_place(tested: Sequence[Tested]) -> str:
    return str(place_of_tests(tested[0].definition.file)) if tested else f"NAME{SUFFIX}"


def _definitions(paths: Sequence[Path], config: Path | None) -> list[Path]:
    """The definition files that are meant: named, in a named folder, in the settings, here, or the shipped ones."""
    if paths:
        return list(dict.fromkeys(file for path in paths for file in _named(path)))
    if config is not None:
        document, settings = validate(read_document(config), SettingsFile)
        document.raise_problems()
        return [config.parent / settings.definitions]
    return _named(HERE if HERE.is_dir() else shipped_configuration() / "definitions")


def _named(path: Path) -> list[Path]:
    if path.is_dir():
        files = list(dict.fromkeys(_tested_by(file) for file in sorted(path.glob("*.yaml"))))
        fragments = fragments_among(files)
        return [file for file in files if file not in fragments]
    return [_tested_by(path)]


def _tested_by(file: Path) -> Path:
    if not file.name.endswith(SUFFIX):
        return file
    definition = file.with_name(file.name.removesuffix(SUFFIX) + ".yaml")
    if not definition.exists():
        raise UsageError(f"{file} tests {definition.name}, which is not beside it")
    return definition


def _tested(file: Path) -> Tested:
    definition, beside = load_definition(file), place_of_tests(file)
    if not beside.exists():
        return Tested(definition=definition, tests=None, outcomes=())
    return Tested(definition=definition, tests=beside, outcomes=outcomes(load_tests(beside, definition)))


def outcomes(tests: DefinitionTests) -> list[Outcome]:
    """Judge all cases of a file by the engine: cases with the same unknowns are records of one made-up object."""
    groups: dict[tuple[tuple[str, str], ...], list[tuple[int, Case]]] = {}
    for number, case in enumerate(tests.cases):
        groups.setdefault(tuple(sorted(case.unknown.items())), []).append((number, case))
    types = tests.definition.vocabulary
    objects = [_object(str(n), tests, dict(unknown)) for n, unknown in enumerate(groups)]
    rows = {
        mapped.table.name: _rows(mapped.table, cases) for mapped, cases in zip(objects, groups.values(), strict=True)
    }
    mapping = CrmMapping(
        name=tests.file.name,
        file=tests.file,
        digest="",
        crm="export",
        export=ExportFormat(),
        objects=tuple(objects),
        tables=tuple(mapped.table for mapped in objects),
        own_tasks=None,
    )
    assert not set(types) & {KEY, STAGE, OWNER, ENTERED}
    judgements = judge(
        connection="tests",
        # Each case is a record of its own, with no others beside it from which a text could be pasted.
        definition=structs.replace(tests.definition, pasted=None),
        mapping=mapping,
        tables=Tables(rows=rows),
        owners=OWNERS,
        frame=Frame(now=tests.as_of, time_zone=ZoneInfo("UTC")),
    )
    found = {
        number: Outcome(case=case, differences=list(_differences(judgement, row, case)))
        for judgement in judgements
        for row, number in enumerate(int(record) for record in judgement.records["record"])
        for case in [tests.cases[number]]
    }
    return [found[number] for number in range(len(tests.cases))]


def _object(name: str, tests: DefinitionTests, unknown: dict[str, str]) -> MappedObject:
    definition = tests.definition
    places = [*(rung.name for rung in definition.rungs), *definition.parking]
    sources: dict[str, EvidenceSource] = {
        item: Gap(reason=unknown[item]) if item in unknown else FieldSource(column=item)
        for item in definition.vocabulary
    }
    columns = {STAGE: ColumnType.TEXT, OWNER: ColumnType.TEXT, ENTERED: ColumnType.DATETIME}
    return MappedObject(
        name=name,
        table=Table(name=name, key=KEY, columns=columns | dict(definition.vocabulary)),
        display_name=(),
        owner=OWNER,
        created=None,
        modified=None,
        amount=None,
        currency=None,
        skip={},
        stage_field=STAGE,
        pipeline_field=None,
        record_type_field=None,
        stages={(None, place): place for place in places},
        stage_lines={},
        history=None,
        entered=ENTERED,
        evidence=sources,
    )


def _rows(table: Table, cases: Sequence[tuple[int, Case]]) -> pl.DataFrame:
    facts: dict[str, list[Any]] = {
        KEY: [str(number) for number, _ in cases],
        STAGE: [case.stage for _, case in cases],
        OWNER: [None if case.owner == "nobody" else case.owner for _, case in cases],
        ENTERED: [case.since for _, case in cases],
    }
    series = [pl.Series(KEY, facts[KEY], dtype=pl.String)]
    for column, kind in table.columns.items():
        values = facts[column] if column in facts else [case.given.get(column) for _, case in cases]
        series.append(pl.Series(column, values, dtype=POLARS[kind], strict=False))
    return pl.DataFrame(series)


def _differences(judgement: Judgement, row: int, case: Case) -> Iterator[Difference]:
    record = str(judgement.records["record"][row])
    names = [*(rung.name for rung in judgement.definition.rungs), NO_STAGE]
    # Position -1, below the first stage, reads the name at the end.
    surely, could = names[int(judgement.low[row])], names[int(judgement.high[row])]
    verdicts = judgement.verdicts(record)
    expect = case.expect
    if expect.earned is not None and not (surely == could == expect.earned):
        actual = surely if surely == could else f"surely {surely}, could be {could}"
        because = _open(judgement, row, verdicts, expect.earned)
        yield Difference(what="earned", expected=expect.earned, actual=actual, because=because)
    for what, wanted, is_ in (("surely", expect.surely, surely), ("could", expect.could, could)):
        if wanted is not None and wanted != is_:
            because = _open(judgement, row, verdicts, wanted)
            yield Difference(what=what, expected=wanted, actual=is_, because=because)
    for criterion, verdict in expect.verdicts.items():
        if verdicts[criterion] is not verdict:
            yield Difference(
                what=criterion,
                expected=verdict,
                actual=verdicts[criterion],
                because=_why(judgement, row, criterion, verdicts[criterion]),
            )
    yield from _finding_differences(judgement, record, case)


def _finding_differences(judgement: Judgement, record: str, case: Case) -> Iterator[Difference]:
    rows = judgement.findings.filter(pl.col("row") == judgement.records["record"].to_list().index(record))
    found = {
        one.rule: "; ".join(item.reason for item in one.evidence) for one in replace(judgement, findings=rows).each()
    }
    expected = case.expect.findings
    unwanted = [rule for rule in found if rule in case.expect.not_findings]
    if expected is not None:
        for rule in expected:
            if rule not in found:
                yield Difference(what="finding", expected=rule, actual="no such finding")
        unwanted += [rule for rule in found if rule not in expected and rule not in unwanted]
    for rule in unwanted:
        yield Difference(what="finding", expected="no such finding", actual=rule, because=found[rule])


def _open(judgement: Judgement, row: int, verdicts: Mapping[str, Verdict], stage: str) -> str:
    """Why a stage is not earned: the criteria up to it that are not met."""
    rung = judgement.definition.rung(stage)
    if rung is None:
        return ""
    reach = [one for one in judgement.definition.rungs if one.position <= rung.position]
    ids = [criterion.id for one in reach for criterion in one.requires]
    missing = [one for one in ids if verdicts[one] is not Verdict.MET]
    return "; ".join(f"{one} is {verdicts[one]}: {_why(judgement, row, one, verdicts[one])}" for one in missing)


def _why(judgement: Judgement, row: int, criterion: str, verdict: Verdict) -> str:
    chosen = next(one for one in judgement.definition.criteria if one.id == criterion)
    values = judgement.evidence.rows.row(row, named=True)
    return evidence_for(chosen, verdict, values, judgement.evidence.unknown, {}).reason


def _show(tested: Sequence[Tested]) -> None:
    for one in tested:
        if one.tests is None:
            place = place_of_tests(one.definition.file).name
            show.out.print(f"{one.definition.name}: no tests; they would stand in {place}", markup=False)
            continue
        for outcome in one.failed:
            _show_failure(one, outcome)
        held = len(one.outcomes) - len(one.failed)
        words = f"all {held:,} hold" if not one.failed else f"{held:,} of {len(one.outcomes):,} hold"
        show.out.print(f"{one.definition.name}: {words}", markup=False, style="red" if one.failed else "")
    total, failed = sum(len(one.outcomes) for one in tested), sum(len(one.failed) for one in tested)
    show.out.print(f"{counted(total, 'test')}, {failed:,} failed")


def _show_failure(tested: Tested, outcome: Outcome) -> None:
    show.out.print(Text(f"{tested.definition.name}: {outcome.case.name}", style="bold"), soft_wrap=True)
    show.out.print(Text(f"  {tested.tests}:{outcome.case.line}", style="dim"), soft_wrap=True)
    for difference in outcome.differences:
        show.out.print(Text(f"  {difference.what}"), soft_wrap=True)
        show.out.print(Text(f"    - {difference.expected}", style="red"), soft_wrap=True)
        show.out.print(Text(f"    + {difference.actual}", style="green"), soft_wrap=True)
        if difference.because:
            show.out.print(Text(f"      {difference.because}", style="dim"), soft_wrap=True)


COLUMNS = ("definition", "case", "line", "what", "expected", "actual", "because")


def _failures(tested: Sequence[Tested]) -> Iterator[tuple[str, ...]]:
    for one in tested:
        for outcome in one.failed:
            for difference in outcome.differences:
                case = (one.definition.name, outcome.case.name, str(outcome.case.line))
                yield (*case, difference.what, difference.expected, difference.actual, difference.because)


def _as_json(tested: Sequence[Tested]) -> str:
    document = {
        "tests": sum(len(one.outcomes) for one in tested),
        "failed": sum(len(one.failed) for one in tested),
        "definitions": [
            {
                "definition": one.definition.name,
                "file": str(one.definition.file),
                "tests": str(one.tests) if one.tests else None,
                "cases": [
                    {
                        "name": outcome.case.name,
                        "line": outcome.case.line,
                        "holds": not outcome.differences,
                        "differences": [asdict(difference) for difference in outcome.differences],
                    }
                    for outcome in one.outcomes
                ],
            }
            for one in tested
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _as_csv(tested: Sequence[Tested]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_failures(tested))
    return out.getvalue()


def _as_markdown(tested: Sequence[Tested]) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *_failures(tested)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    total, failed = sum(len(one.outcomes) for one in tested), sum(len(one.failed) for one in tested)
    return "\n".join([f"{counted(total, 'test')}, {failed:,} failed", "", *lines]) + "\n"
