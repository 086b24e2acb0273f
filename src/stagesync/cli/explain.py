"""``stagesync explain`` and ``stagesync list``: from the mirror, so that no CRM is asked, or from exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from msgspec import to_builtins
from rich.text import Text

from stagesync.agent.followed import ASKED, heard
from stagesync.audit.ages import Age, ages
from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.explain import Explained, Explanation, PastStage, Step, find
from stagesync.audit.explain import explain as explain_record
from stagesync.audit.history import names_of, past_stages
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.cli import exported, listing, show
from stagesync.cli.exported import Exports
from stagesync.cli.options import Format
from stagesync.errors import IncompleteError, UsageError
from stagesync.mirror import Mirror
from stagesync.model.counting import counted
from stagesync.model.crm import Owner
from stagesync.model.findings import Finding, Verdict
from stagesync.model.kinds import Kind
from stagesync.policy.definitions import Definition
from stagesync.policy.document import among
from stagesync.policy.mappings import CrmMapping
from stagesync.settings import Settings, load_settings
from stagesync.wiring import granted_waivers, stages_written, stops, utc_now

MARKS = {Verdict.MET: ("+", "green"), Verdict.NOT_MET: ("-", "red"), Verdict.UNKNOWN: ("?", "yellow")}


@dataclass(frozen=True, kw_only=True)
class Known:
    """What was judged by one definition, and by connection what it was judged by. ``stops`` says why rules stopped for
    a record, ``may_be`` says why a record may be missing."""

    definition: Definition
    judgements: Sequence[Judgement]
    frame: Frame
    mapping: Callable[[str], CrmMapping]
    tables: Callable[[str], Tables]
    owners: Callable[[str], Sequence[Owner]]
    stops: Callable[[Explanation], Sequence[str]]
    may_be: Sequence[str] = ()


def pulled(config: Path) -> Known:
    """What was last pulled from the CRMs of the settings, as of now."""
    settings = load_settings(config)
    mirror = Mirror(settings.mirror_folder)

    def tables(connection: str) -> Tables:
        rows, missing = mirror.read(connection)
        return Tables(rows=rows, missing=missing)

    return Known(
        definition=settings.definition,
        judgements=judged_from_mirror(settings),
        frame=Frame(now=utc_now(), time_zone=settings.time_zone),
        mapping=settings.mappings.__getitem__,
        tables=tables,
        owners=lambda connection: _owners(mirror, connection),
        stops=lambda one: stops(settings, one),
        may_be=("newer than the last pull",),
    )


def in_exports(source: Exports) -> Known:
    """What stands in a folder of exports, as of their day."""
    export = exported.read(source)
    exported.tell_unread(export.reader)
    return Known(
        definition=export.definition,
        judgements=export.judgements(),
        frame=export.frame,
        mapping=lambda _: export.mapping,
        tables=lambda _: export.tables,
        owners=lambda _: export.reader.owners(),
        stops=lambda _: (),
    )


def judged_from_mirror(settings: Settings) -> list[Judgement]:
    """Judge what was last pulled, as of now. Raises IncompleteError when nothing was pulled yet."""
    mirror = Mirror(settings.mirror_folder)
    judgements = []
    granted = granted_waivers(settings)
    for name, mapping in settings.mappings.items():
        rows, missing = mirror.read(name)
        if rows:
            found = judge(
                connection=name,
                definition=settings.definition,
                mapping=mapping,
                tables=Tables(rows=rows, missing=missing),
                owners=_owners(mirror, name),
                frame=Frame(now=utc_now(), time_zone=settings.time_zone),
                granted=granted,
                written=stages_written(settings, name),
            )
            judgements += heard(found, mirror.facts(name).get(ASKED, {}))
    if not judgements:
        raise IncompleteError(f"nothing was pulled yet into {settings.mirror_folder}; run `stagesync audit` first")
    return judgements


def _owners(mirror: Mirror, connection: str) -> list[Owner]:
    return [Owner(**owner) for owner in mirror.facts(connection).get("owners", ())]


def explain(known: Known, wanted: str, output: Format) -> int:
    """One record, or all that have the name."""
    found = find(list(known.judgements), wanted)
    if not found:
        left_out = ", ".join(
            f"{count:,} {judgement.mapped.name} ({reason})"
            for judgement in known.judgements
            for reason, count in judgement.scope.skipped.items()
        )
        may_be = [*known.may_be, *([f"among those that were left out: {left_out}"] if left_out else ())]
        perhaps = f"; it may be {', or '.join(may_be)}" if may_be else ""
        raise UsageError(f"no judged record has the id or the name '{wanted}'{perhaps}")
    explanations = [one for judgement, record in found if (one := _explained(known, judgement, record)) is not None]
    match output:
        case Format.JSON:
            documents = [
                {**to_builtins(one, builtin_types=(date, datetime)), "stopped": list(known.stops(one))}
                for one in explanations
            ]
            listing.as_json(documents)
        case Format.TABLE:
            for number, one in enumerate(explanations):
                if number:
                    show.out.print()
                _tell(one, known.frame)
                for said in known.stops(one):
                    show.out.print(Text(f"Stopped: {said}"), soft_wrap=True)
        case _:
            raise UsageError(f"an explanation is shown as table or json, not as {output}")
    return 0


def _explained(known: Known, judgement: Judgement, record: str) -> Explanation | None:
    tables = known.tables(judgement.connection)
    aged = ages(judgement, record, mapping=known.mapping(judgement.connection), tables=tables, frame=known.frame)
    frame = replace(known.frame, placeholders=judgement.definition.placeholders)
    past = past_stages(judgement.mapped, tables.rows, frame)
    names = names_of(past["by"], known.owners(judgement.connection)) if past is not None else {}
    return explain_record(judgement, record, aged, past, names)


def _tell(one: Explanation, frame: Frame) -> None:
    since = one.since.astimezone(frame.time_zone) if one.since else None
    lines = [
        f"{one.record_name}",
        f"{one.connection} {one.object} {one.record}, owned by {one.owner or 'nobody'}",
        f"stands on '{one.stage}' ({one.native_stage})" + (f" since {since:%Y-%m-%d}" if since else ""),
        _earned(one),
        f"last activity: {f'{one.last_activity:%Y-%m-%d %H:%M} UTC' if one.last_activity else 'none known'}",
    ]
    if one.since is not None:
        lines[2] += f", says {one.since_source}" + (f"; moved there by {one.moved_by}" if one.moved_by else "")
    show.out.print(Text(lines[0], style="bold"), soft_wrap=True)
    for line in lines[1:]:
        show.out.print(Text(line), soft_wrap=True)
    for step in one.ladder:
        _step(step)
    show.out.print(Text("\nhistory", style="bold"), soft_wrap=True)
    for past in one.history:
        show.out.print(Text(f"  {_came(past)}"), soft_wrap=True)
    if not one.history:
        show.out.print(Text("  nothing is known of its earlier stages"), soft_wrap=True)
    show.out.print()
    for finding in one.findings:
        show.out.print(Text(f"Finding: {_found(finding)}"), soft_wrap=True)
    for aside in one.waived:
        said = f"Waived: {_found(aside.finding)}\n  {aside.waiver.words} (waiver {aside.waiver.id})"
        show.out.print(Text(said), soft_wrap=True)
    shown = {aside.waiver for aside in one.waived}
    for waiver in one.waivers:
        if waiver in shown:
            continue
        show.out.print(Text(f"Waiver {waiver.id}: {waiver.rule} is {waiver.words}"), soft_wrap=True)
    if not one.findings:
        show.out.print(Text(_why_none(one)), soft_wrap=True)


def _found(finding: Finding) -> str:
    earned = f" (earned: {finding.earned or 'no stage'})" if finding.kind in (Kind.PREMATURE, Kind.READY) else ""
    return f"{finding.rule}{earned}: {show.reasons(finding)}"


def _why_none(one: Explanation) -> str:
    """What no finding means for a record: that all is well, or that less was asked or known."""
    if one.waived:
        return "No finding but what is waived."
    standing = next((step for step in one.ladder if step.stands_here), None)
    if standing is None:
        return f"No finding: '{one.stage}' is no stage of the ladder, and only contradictions are looked for there."
    if standing.terminal:
        return f"No finding: on '{one.stage}' the record is settled, and its evidence is not asked any more."
    if standing.surely:
        return "No finding: the record stands where it has earned."
    below = one.ladder[: one.ladder.index(standing) + 1]
    unknown = [each.criterion for step in below for each in step.criteria if each.verdict is Verdict.UNKNOWN]
    return f"No finding, and no proof either: {', '.join(unknown)} left open, and what is open demotes nobody."


def _came(past: PastStage) -> str:
    place = f"'{past.stage}'" if past.stage else "not mapped"
    by = f", moved there by {past.by}" if past.by else ""
    return f"{past.at:%Y-%m-%d %H:%M} UTC: {past.native_stage or '(blank)'} ({place}){by}"


def _earned(one: Explanation) -> str:
    if one.earned == one.could_have_earned:
        return f"has earned '{one.earned}'" if one.earned else "has earned no stage"
    surely = f"'{one.earned}'" if one.earned else "no stage"
    return f"has surely earned {surely}, and could have earned '{one.could_have_earned}' (some evidence is unknown)"


def _step(step: Step) -> None:
    state = "earned" if step.surely else "possible" if step.possibly else "not earned"
    here = "  <- stands here" if step.stands_here else ""
    show.out.print(Text(f"\n{step.stage}: {step.means} [{state}]{here}", style="bold"), soft_wrap=True)
    for evidence in step.criteria:
        _criterion(evidence)


def _ages(known: Sequence[Age]) -> str:
    """``record last changed 2026-01-31 08:30 UTC``; what several items have in common is said once."""
    items: dict[str, list[str]] = {}
    for age in known:
        form = "%Y-%m-%d %H:%M UTC" if isinstance(age.at, datetime) else "%Y-%m-%d"
        items.setdefault(f"{age.what} {age.at.strftime(form)}", []).append(age.item)
    return "; ".join(said if len(items) == 1 else f"{', '.join(names)}: {said}" for said, names in items.items())


def _criterion(evidence: Explained) -> None:
    mark, style = MARKS[evidence.verdict]
    line = Text("  ")
    line.append(f"{mark} {evidence.criterion}: {evidence.verdict}", style=style)
    line.append(f"; {evidence.reason}")
    show.out.print(line, soft_wrap=True)
    if evidence.source:
        show.out.print(Text(f"      looked at: {evidence.source}", style="dim"), soft_wrap=True)
    if evidence.ages:
        show.out.print(Text(f"      as of: {_ages(evidence.ages)}", style="dim"), soft_wrap=True)
    if evidence.verdict is not Verdict.MET:
        show.out.print(Text(f"      to mend it: {evidence.ask}", style="dim"), soft_wrap=True)


def list_earned(known: Known, wanted: str, output: Format, limit: int) -> int:
    """The records whose surely earned stage is this one."""
    names = [rung.name for rung in known.definition.rungs]
    stage = next((name for name in (wanted, *_singular(wanted)) if name in names), None)
    if stage is None and wanted in known.definition.parking:
        raise UsageError(f"'{wanted}' is a parking place, which nobody earns; stages are {', '.join(names)}")
    if stage is None:
        raise UsageError(f"'{wanted}' is no stage of '{known.definition.name}'{among(wanted, names)}")
    rows = [row for judgement in known.judgements for row in _earners(judgement, stage)]
    columns = ("connection", "object", "record", "name", "owner", "native_stage", "stands_on", "amount")
    if output is not Format.TABLE:
        listing.for_programs(rows, columns, output)
        return 0
    shown = rows[:limit] if limit else rows
    show.out.print(f"{counted(len(rows), 'record has', 'records have')} earned '{stage}' and no more:", markup=False)
    for row in shown:
        elsewhere = "" if row["stands_on"] == stage else f", stands on '{row['stands_on']}'"
        place = f"  {row['connection']} {row['object']} {row['record']}  {row['name']}{elsewhere}"
        show.out.print(Text(place), soft_wrap=True)
    show.left_out(len(rows) - len(shown), "record")
    may = sum(_may_have(judgement, stage) for judgement in known.judgements)
    if may:
        said = f"{counted(may, 'more record', 'more records')} may have earned it: some evidence is unknown."
        show.out.print(said, markup=False)
    return 0


def _may_have(judgement: Judgement, stage: str) -> int:
    """How many records have not surely earned a stage, and might have if the unknown were known."""
    rung = judgement.definition.rung(stage)
    if rung is None:
        return 0
    return int(((judgement.low < rung.position) & (judgement.high >= rung.position)).sum())


def _singular(word: str) -> Iterator[str]:
    if word.endswith("ies"):
        yield f"{word.removesuffix('ies')}y"
    if word.endswith("s"):
        yield word.removesuffix("s")


def _earners(judgement: Judgement, stage: str) -> Iterator[dict[str, object]]:
    rung = judgement.definition.rung(stage)
    if rung is None:
        return  # a stage of another ladder
    records = judgement.records.filter(judgement.low == rung.position)
    for row in records.iter_rows(named=True):
        yield {
            "connection": judgement.connection,
            "object": judgement.mapped.name,
            "record": row["record"],
            "name": row["name"],
            "owner": row["owner_name"] or row["owner"],
            "native_stage": row["native"],
            "stands_on": row["place"],
            "amount": row["amount"],
        }
