"""A folder of exports as commands judge it: with its mapping, by the definitions, as of a day. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from stagesync.agent.exports import export_reader, fitting, read_tables, unusable
from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.history import latest_moment
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.cli import show
from stagesync.cli.options import YEARS, moment_of
from stagesync.connectors.exports import ExportReader
from stagesync.errors import ConfigurationError, IncompleteError, UsageError
from stagesync.model.counting import counted
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping, mappings_for
from stagesync.settings import shipped_configuration
from stagesync.wiring import utc_now

SHOWN_PROBLEMS = 10


@dataclass(frozen=True, kw_only=True)
class Exports:
    """Which exports to judge by what, as the options of a command name them; what is None is found."""

    folder: Path
    mapping: Path | None
    definitions: Path | None
    as_of: str | None


def exports_of(
    folder: Path | None, *, mapping: Path | None, definitions: Path | None, as_of: str | None
) -> Exports | None:
    """The exports that the options of a command name; None where --from names none. Raises UsageError for options that
    would then mean nothing."""
    if folder is not None:
        return Exports(folder=folder, mapping=mapping, definitions=definitions, as_of=as_of)
    for option, value in {"--mapping": mapping, "--definitions": definitions, "--as-of": as_of}.items():
        if value is not None:
            raise UsageError(f"{option} is for exports; give their folder with --from")
    return None


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export that was read."""

    name: str
    reader: ExportReader
    definition: Definition
    mapping: CrmMapping
    tables: Tables
    frame: Frame

    def judgements(self) -> list[Judgement]:
        """What is said of its records. Raises IncompleteError when it has none at all."""
        judged = judge(
            connection=self.name,
            definition=self.definition,
            mapping=self.mapping,
            tables=self.tables,
            owners=self.reader.owners(),
            frame=self.frame,
        )
        if not any(judgement.scope.in_scope for judgement in judged):
            raise IncompleteError("the export holds no record at all; nothing was judged")
        return judged


def read(source: Exports) -> Export:
    """Read a folder of exported files. Raises UsageError and ConfigurationError for what cannot be judged at all."""
    folder = the_folder(source.folder)
    definition = load_definition(source.definitions or shipped_configuration() / "definitions" / "recommended.yaml")
    mapping = load_mapping(source.mapping, definition) if source.mapping else fitting_mapping(folder, definition)
    reader, tables, frame = read_by(folder, mapping, source.as_of)
    name = reader.identity().name
    return Export(name=name, reader=reader, definition=definition, mapping=mapping, tables=tables, frame=frame)


def the_folder(folder: Path | None) -> Path:
    """The folder that --from names. Raises UsageError when it is none."""
    if folder is None or not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of exported files")
    return folder


def read_by(folder: Path, mapping: CrmMapping, as_of: str | None) -> tuple[ExportReader, Tables, Frame]:
    """All that a mapping names, and as of when it is judged."""
    if mapping.crm != "export":
        raise UsageError(f"{mapping.file} is a mapping for {mapping.crm}; --from takes a mapping with `crm: export`")
    reader = export_reader(folder, mapping)
    if said := unusable(reader, mapping):
        raise ConfigurationError(f"{folder} cannot be judged with the mapping '{mapping.name}':\n" + "\n".join(said))
    zone = ZoneInfo(mapping.export.time_zone)
    day = mapping.export.as_of
    given = as_of if as_of is not None or day is None else day.isoformat()
    moment = moment_of(given, zone=zone) if given is not None else None
    with show.progress() as progress:
        tables = read_tables(reader, mapping, reader.identity().name, progress)
    return reader, tables, Frame(now=moment or newest_moment(mapping, tables), time_zone=zone)


def fitting_mapping(folder: Path, definition: Definition) -> CrmMapping:
    """The shipped mapping that reads a folder of exports best. Raises ConfigurationError when none fits."""
    mappings = mappings_for(definition, shipped_configuration() / "mappings")
    found = fitting(folder, [one for one in mappings if one.crm == "export"])
    if not found:
        names = ", ".join(one.name for one in mappings if one.crm == "export") or f"none for '{definition.name}'"
        raise ConfigurationError(
            f"no shipped mapping fits the files in {folder} (there are {names}); copy the nearest one from "
            f"{shipped_configuration() / 'mappings'}, name your columns in it, and give it with --mapping"
        )
    return found[0]


def newest_moment(mapping: CrmMapping, tables: Tables) -> datetime:
    """As of when an export is judged unless somebody says (UTC): its newest date, or now where it has none that a
    record can be judged by."""
    newest = latest_moment(mapping, tables, utc_now())
    return newest if newest is not None and newest.year in YEARS else utc_now()


def tell_unread(reader: ExportReader) -> None:
    """Say on standard error what of the files was not read."""
    total = sum(reader.unreadable.values())
    if total:
        rows = counted(total, "row could not be read and was", "rows could not be read and were")
        tables = ", ".join(f"{table} {count:,}" for table, count in reader.unreadable.items())
        show.err.print(f"stagesync: {rows} left out ({tables}):", markup=False)
        _each(str(problem) for problem in reader.problems[:SHOWN_PROBLEMS])
        if total > SHOWN_PROBLEMS:
            show.err.print(f"  and {total - SHOWN_PROBLEMS:,} more", markup=False)
    if reader.remarks:
        show.err.print("stagesync: to know about the files:", markup=False)
        _each(reader.remarks)


def _each(lines: Iterable[str]) -> None:
    for said in lines:
        show.err.print(f"  {said}", markup=False, soft_wrap=True)
