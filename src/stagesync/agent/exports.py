"""Which of the shipped mappings reads a folder of exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl

from stagesync.agent.connection import Progress
from stagesync.audit.evidence import Tables
from stagesync.connectors.exports import ExportFormat, ExportReader
from stagesync.errors import StageSyncError
from stagesync.model.tables import UNREADABLE
from stagesync.policy.mappings import CrmMapping, LookupSource, MappedObject

LOOKED_AT = 1_000
ENOUGH = 0.5
"""A mapping that knows fewer of an object's stages than this share was written for another export."""

Fit = tuple[float, float, int]


def export_reader(folder: Path, mapping: CrmMapping) -> ExportReader:
    """The reader of a folder in the format that the mapping declares."""
    words = mapping.export
    style = ExportFormat(
        delimiter=words.delimiter,
        encoding=words.encoding,
        dates=tuple(words.dates),
        datetimes=tuple(words.datetimes),
        time_zone=words.time_zone,
        decimal=words.decimal,
        empty=tuple(words.empty),
        yes=tuple(words.yes),
        no=tuple(words.no),
        blank_is_false=words.blank_is_false,
        several=words.several,
    )
    return ExportReader(folder, style)


def read_tables(reader: ExportReader, mapping: CrmMapping, name: str, progress: Progress) -> Tables:
    """Every table of an export that a mapping names, straight into memory: files need no mirror.

    The rows of a table that is only counted are numbered where it has no ids.
    """
    rows: dict[str, pl.DataFrame] = {}
    named = _named(mapping)
    for table in mapping.tables:
        progress(name, table.name, 0)
        pages = [page.rows for page in reader.pull(table)]
        if pages and table.key in pages[0].columns:
            rows[table.name] = pl.concat(pages, how="diagonal")
        elif pages and table.name not in named:
            numbered = pl.concat(pages, how="diagonal").with_row_index(table.key)
            rows[table.name] = numbered.with_columns(pl.col(table.key).cast(pl.String))
    missing = {item.table: dict(item.columns) for item in reader.missing(mapping.tables)}
    for table in mapping.tables:
        if table.name in rows:
            missing.get(table.name, {}).pop(table.key, None)
    return Tables(rows=rows, missing=missing)


def _named(mapping: CrmMapping) -> set[str]:
    """The tables whose rows must have ids: records, and what is looked up by its id. Others are only counted."""
    sources = [source for mapped in mapping.objects for source in mapped.evidence.values()]
    return {mapped.table.name for mapped in mapping.objects} | {
        source.table for source in sources if isinstance(source, LookupSource)
    }


def fitting(folder: Path, mappings: Sequence[CrmMapping]) -> list[CrmMapping]:
    """The mappings that can read a folder, best first; none when no mapping fits.

    A mapping fits when each of its objects has a file with the key, the stage, and stages of which it knows at
    least half. The best one finds the greatest share of its columns; then, of the first thousand rows, it reads
    most cells; then it has most columns. Raises ConfigurationError when the folder itself cannot be read.
    """
    found: list[tuple[Fit, CrmMapping]] = []
    for mapping in mappings:
        if mapping.crm == "export":
            reader = export_reader(folder, mapping)
            fit = _fit(reader, mapping)
            if fit is not None:
                found.append((fit, mapping))
    return [mapping for _, mapping in sorted(found, key=lambda pair: (pair[0], pair[1].name), reverse=True)]


def unusable(reader: ExportReader, mapping: CrmMapping) -> list[str]:
    """Why a folder cannot be judged by a mapping at all: an object without its file, its key or its stage."""
    missing = {item.table: item.columns for item in reader.missing(mapping.tables)}
    return [
        f"{mapped.name}: {reason}"
        for mapped in mapping.objects
        for reason in dict.fromkeys(
            reason
            for column, reason in missing.get(mapped.table.name, {}).items()
            if column in (mapped.table.key, mapped.stage_field)
        )
    ]


def _fit(reader: ExportReader, mapping: CrmMapping) -> Fit | None:
    try:
        missing = {item.table: item.columns for item in reader.missing(mapping.tables)}
        shares = [_readable(reader, mapping, mapped, missing) for mapped in mapping.objects]
    except StageSyncError:
        return None  # A file that this mapping's delimiter or encoding cannot read: it was written for another export.
    readable = [share for share in shares if share is not None]
    if len(readable) < len(shares):
        return None
    wanted = sum(len(table.columns) for table in mapping.tables)
    present = wanted - sum(
        column != mapping.table(table).key for table, columns in missing.items() for column in columns
    )
    return present / max(wanted, 1), sum(readable) / len(readable), present


def _readable(
    reader: ExportReader, mapping: CrmMapping, mapped: MappedObject, missing: Mapping[str, Mapping[str, str]]
) -> float | None:
    """The share of the first rows' cells that can be read; None when this object does not fit."""
    needed = {mapped.table.key, mapped.stage_field}
    if needed & set(missing.get(mapped.table.name, {})):
        return None
    with closing(reader.pull(mapping.table(mapped.table.name))) as pages:
        rows = next(pages).rows.head(LOOKED_AT)
    stages = rows[mapped.stage_field].drop_nulls()
    known = stages.is_in(sorted({native for _, native in mapped.stages}))
    if len(stages) and known.sum() < ENOUGH * len(stages):
        return None
    flags = rows.select(pl.col(f"^.*[?]{UNREADABLE[1:]}$"))
    bad = sum(int(flag.sum()) for flag in flags)
    cells = rows.height * (rows.width - flags.width)
    return 1 - bad / cells if cells else 1.0
