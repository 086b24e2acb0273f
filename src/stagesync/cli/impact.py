"""``stagesync impact``: what a change of definitions would do, from what was last pulled or from exports.

Records are read once and judged twice, as of the same moment; nothing is written and no CRM is asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import structs
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stagesync import report
from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.history import past_stages
from stagesync.audit.impact import GAINED, LOST, UNCHANGED, Hindsight, compared, hindsight
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.audit.money import one_currency
from stagesync.cli import exported, show
from stagesync.cli.options import Format, moment_of
from stagesync.errors import IncompleteError, UsageError
from stagesync.mirror import Mirror
from stagesync.model.counting import counted
from stagesync.model.crm import Owner
from stagesync.model.tables import Table as TableToRead
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import SAYS_NOTHING, CrmMapping, Gap, load_mapping
from stagesync.settings import load_settings
from stagesync.wiring import stages_written, utc_now

TOP_OWNERS = 3
TODAY = (
    "Closed deals are judged as if each still stood on the last open stage of its history, with the evidence of "
    "today: what was found out after that day counts too."
)
COLUMNS = (
    "change", "connection", "object", "record", "record_name", "owner", "owner_name", "rule", "stage", "native_stage",
    "amount", "currency",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two definitions, and what it says."""

    definition: Definition
    judgements: Sequence[Judgement]
    closed: Sequence[Hindsight]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was read of one connection, and by which mapping, as each of the two definitions sees it."""

    name: str
    mappings: tuple[CrmMapping, CrmMapping]
    tables: tuple[Tables, Tables]
    owners: Sequence[Owner]
    frame: Frame
    written: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the records are from, and how to report."""

    config: Path
    source: Path | None
    mapping: Path | None
    as_of: str | None
    output: Format
    limit: int


def impact(old: Path, new: Path, options: Options) -> int:
    """Judge by both definitions and say what differs."""
    if options.output is Format.MARKDOWN:
        raise UsageError("an impact is shown as table, json or csv, not as markdown")
    if options.source is None and options.mapping is not None:
        raise UsageError("--mapping is for exports; give their folder with --from")
    definitions = load_definition(old), load_definition(new)
    sources = _exported(definitions, options) if options.source else list(_mirrored(definitions, options))
    before, after = (_side(definition, n, sources) for n, definition in enumerate(definitions))
    if not any(judgement.scope.in_scope for judgement in before.judgements):
        raise IncompleteError("there is no record at all; nothing was judged")
    rows = compared(before.judgements, after.judgements)
    as_of = sources[0].frame.now
    match options.output:
        case Format.JSON:
            document = _document(as_of, before, after, rows, _unmapped(sources))
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        case Format.CSV:
            changed = rows.filter(pl.col("change") != UNCHANGED).select(COLUMNS)
            lines = ({k: "" if v is None else str(v) for k, v in row.items()} for row in changed.iter_rows(named=True))
            sys.stdout.writelines(report.lines_of_csv(COLUMNS, lines))
        case _:
            _tell(as_of, before, after, rows, unmapped=_unmapped(sources), limit=options.limit)
    return 0


def _mirrored(definitions: tuple[Definition, Definition], options: Options) -> Iterator[Source]:
    settings = load_settings(options.config)
    mirror = Mirror(settings.mirror_folder)
    given = moment_of(options.as_of, zone=settings.time_zone) if options.as_of is not None else None
    frame = Frame(now=given or utc_now(), time_zone=settings.time_zone)
    pulled = False
    for name, mapping in settings.mappings.items():
        rows, missing = mirror.read(name)
        if rows:
            pulled = True
            yield Source(
                name=name,
                mappings=_both(mapping.file, definitions),
                tables=(Tables(rows=rows, missing=missing),) * 2,
                owners=[Owner(**owner) for owner in mirror.facts(name).get("owners", ())],
                frame=frame,
                written=stages_written(settings, name),
            )
    if not pulled:
        raise IncompleteError(f"nothing was pulled yet into {settings.mirror_folder}; run `stagesync audit` first")


def _exported(definitions: tuple[Definition, Definition], options: Options) -> list[Source]:
    folder = exported.the_folder(options.source)
    mappings = _both(options.mapping or exported.fitting_mapping(folder, definitions[0]).file, definitions)
    if _agree(*mappings):
        both = structs.replace(mappings[0], tables=tuple(_tables_of_both(*mappings)))
        reader, tables, frame = exported.read_by(folder, both, options.as_of)
        read = (tables, tables)
    else:
        reader, old, frame = exported.read_by(folder, mappings[0], options.as_of)
        read = (old, exported.read_by(folder, mappings[1], options.as_of)[1])
    exported.tell_unread(reader)
    name = reader.identity().name
    return [Source(name=name, mappings=mappings, tables=read, owners=reader.owners(), frame=frame)]


def _agree(old: CrmMapping, new: CrmMapping) -> bool:
    """Whether no column is of one type for the one and of another for the other."""
    pairs = ((table.columns, new.table(table.name).columns) for table in old.tables)
    return all(other.get(name, kind) is kind for columns, other in pairs for name, kind in columns.items())


def _both(file: Path, definitions: tuple[Definition, Definition]) -> tuple[CrmMapping, CrmMapping]:
    old, new = (load_mapping(file, definition, lenient_about_evidence=True) for definition in definitions)
    return old, new


def _tables_of_both(old: CrmMapping, new: CrmMapping) -> Iterator[TableToRead]:
    """What either of the two needs; the tables of a mapping do not depend on the definitions, their columns do."""
    for table in old.tables:
        other = new.table(table.name)
        yield structs.replace(
            table, columns={**other.columns, **table.columns}, headers={**other.headers, **table.headers}
        )


def _side(definition: Definition, number: int, sources: Sequence[Source]) -> Side:
    judgements: list[Judgement] = []
    closed: list[Hindsight] = []
    for source in sources:
        judged = judge(
            connection=source.name,
            definition=definition,
            mapping=source.mappings[number],
            tables=source.tables[number],
            owners=source.owners,
            frame=source.frame,
            written=source.written,
        )
        frame = replace(source.frame, placeholders=definition.placeholders)
        closed += [hindsight(one, past_stages(one.mapped, source.tables[number].rows, frame)) for one in judged]
        judgements += judged
    return Side(definition=definition, judgements=judgements, closed=closed)


def _unmapped(sources: Sequence[Source]) -> dict[str, list[str]]:
    """By the name of a mapping, the evidence of either definition that it says nothing about."""
    found: dict[str, list[str]] = {}
    for source in sources:
        for mapping in source.mappings:
            for mapped in mapping.objects:
                items = found.setdefault(mapping.name, [])
                items += [i for i, s in mapped.evidence.items() if s == Gap(reason=SAYS_NOTHING) and i not in items]
    return {name: items for name, items in found.items() if items}


# What is reported ---------------------------------------------------------------------------------------------------


def _by_rule(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """For each rule how many findings of each change with their money, and its owners by what they gain and lose."""
    rules = []
    for rule in sorted(rows["rule"].unique().to_list()):
        of_rule = rows.filter(pl.col("rule") == rule)
        changed = of_rule.filter(pl.col("change") != UNCHANGED)
        owners = changed.group_by("owner", "owner_name").agg(
            (pl.col("change") == GAINED).sum().alias(GAINED),
            (pl.col("change") == LOST).sum().alias(LOST),
            _total(),
        )
        owners = owners.sort(pl.col(GAINED) + pl.col(LOST), "amount", "owner", descending=[True, True, False])
        rules.append({"rule": rule, **{one: _sum(of_rule, one) for one in (GAINED, LOST, UNCHANGED)},
                      "owners": owners.to_dicts()})  # fmt: skip
    return rules


def _sum(rows: pl.DataFrame, change: str) -> dict[str, Any]:
    of_change = rows.filter(pl.col("change") == change)
    return {"findings": of_change.height, "amount": of_change.select(_total()).item()}


def _total() -> pl.Expr:
    """The money; none where it is in several currencies, or where amounts are so absurd that their sum overflows."""
    total = pl.col("amount").sum()
    return pl.when(total.is_finite() & one_currency()).then(total).alias("amount")


def _document(
    as_of: datetime, old: Side, new: Side, rows: pl.DataFrame, unmapped: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    changed = rows.filter(pl.col("change") != UNCHANGED).select(COLUMNS)
    return {
        "version": report.REPORT_VERSION,
        "as_of": as_of.isoformat(),
        "old": _named(old.definition),
        "new": _named(new.definition),
        "unmapped": dict(unmapped),
        "rules": _by_rule(rows),
        "records": changed.to_dicts(),
        "closed": {"note": TODAY, "old": [asdict(one) for one in old.closed], "new": [asdict(o) for o in new.closed]},
    }


def _named(definition: Definition) -> dict[str, str]:
    return {"definition": definition.name, "file": str(definition.file), "sha256": definition.digest}


def _tell(
    as_of: datetime, old: Side, new: Side, rows: pl.DataFrame, *, unmapped: Mapping[str, Sequence[str]], limit: int
) -> None:
    show.out.print(f"Impact as of {as_of:%Y-%m-%d %H:%M} UTC", markup=False)
    show.out.print(f"  old: {old.definition.file}\n  new: {new.definition.file}\n", markup=False, soft_wrap=True)
    for name, items in unmapped.items():
        said = f"The mapping '{name}' says nothing about {', '.join(items)}: unknown, so that nobody is demoted for it."
        show.out.print(said + "\n", markup=False, soft_wrap=True)
    _rules(rows)
    _closed(old, new)
    _changed(rows, limit)


def _changed(rows: pl.DataFrame, limit: int) -> None:
    changed = rows.filter(pl.col("change") != UNCHANGED)
    shown = changed.head(limit) if limit else changed
    if changed.height:
        show.out.print("\nFindings gained (+) and lost (-):")
    for row in shown.iter_rows(named=True):
        sign, style = ("+", "red") if row["change"] == GAINED else ("-", "green")
        line = Text("  ")
        line.append(f"{sign} {row['rule']}", style=style)
        stake = f", {show.money(row['amount'])}" if row["amount"] else ""
        who = f", {row['owner_name']}" if row["owner_name"] else ""
        line.append(f": {row['record_name']}")
        line.append(f"  {row['object']} {row['record']} in '{row['native_stage']}'{stake}{who}", style="dim")
        show.out.print(line, soft_wrap=True)
    show.left_out(changed.height - shown.height, "finding")


def _rules(rows: pl.DataFrame) -> None:
    table = Table(title="What would be flagged", title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for name in (GAINED, LOST, UNCHANGED):
        table.add_column(name, justify="right", no_wrap=True)
    rules = _by_rule(rows)
    for rule in rules:
        cells = [_counted(rule[change]) for change in (GAINED, LOST, UNCHANGED)]
        table.add_row(escape(rule["rule"]), *cells)
    show.out.print(table)
    if rows.filter(pl.col("change") != UNCHANGED).is_empty():
        show.out.print("No finding is gained and none is lost.")
    for rule in rules:
        owners = rule["owners"][:TOP_OWNERS]
        said = [
            f"{owner['owner_name'] or owner['owner'] or 'nobody'} {owner[GAINED]:,} gained, {owner[LOST]:,} lost"
            for owner in owners
        ]
        if len(rule["owners"]) > len(owners):
            said.append(counted(len(rule["owners"]) - len(owners), "more owner"))
        if said:
            show.out.print(f"  {rule['rule']}, by owner: {'; '.join(said)}", markup=False, soft_wrap=True)


def _counted(sum_: Mapping[str, Any]) -> str:
    stake = f" ({show.money(sum_['amount'])})" if sum_["amount"] else ""
    return f"{sum_['findings']:,}{stake}" if sum_["findings"] else "-"


def _closed(old: Side, new: Side) -> None:
    table = Table(title="\nDeals that are closed now", title_justify="left", show_edge=False, pad_edge=False)
    for name in ("deals", "by"):
        table.add_column(name, no_wrap=True)
    for name in ("won, but demoted", "lost, and caught"):
        table.add_column(name, justify="right", no_wrap=True)
    for pair in zip(old.closed, new.closed, strict=True):
        for name, one in zip(("old", "new"), pair, strict=True):
            if one.won + one.lost + one.without_past:
                shares = (_share(one.won_demoted, one.won), _share(one.lost_demoted, one.lost))
                table.add_row(escape(f"{one.connection} {one.object}"), name, *shares)
    show.out.print(table if table.row_count else "\nNo deal is known to be closed.")
    for said in dict.fromkeys(said for one in (*old.closed, *new.closed) for said in _left_aside(one)):
        show.out.print(said, markup=False, soft_wrap=True)
    show.out.print(TODAY, soft_wrap=True)


def _left_aside(one: Hindsight) -> Iterator[str]:
    if one.reason is not None:
        yield f"  {one.connection} {one.object}: nothing can be said of closed ones: {one.reason}"
    if one.without_past:
        without = counted(one.without_past, "closed one has", "closed ones have")
        yield f"  {one.connection} {one.object}: {without} no open stage in the history"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.0%})" if whole else "-"
