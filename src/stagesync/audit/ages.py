"""As of when the evidence of one record is: the newest of the rows that were counted, or its own last change.

A CRM keeps no time for each field, so for a field this is when the record last changed in any way. Of a record that is
looked up it is that record's last change, where the mapping names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl
from msgspec import structs

from stagesync.audit.evidence import Tables, gather
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.tables import ColumnType
from stagesync.policy.definitions import ACTIVITY
from stagesync.policy.expressions.tree import names
from stagesync.policy.mappings import (
    CrmMapping,
    EvidenceSource,
    FieldSource,
    LatestSource,
    LookupSource,
    MappedObject,
    RelatedSource,
)


@dataclass(frozen=True, kw_only=True)
class Age:
    """As of when an evidence item is: ``at`` is UTC, or a day where only days are known. ``what`` says what happened
    then: ``record last changed``, ``newest Task.CompletedDateTime``."""

    item: str
    at: datetime | date
    what: str


@dataclass(frozen=True, kw_only=True)
class _Probe:
    """A source that gives a moment instead of the value."""

    item: str
    what: str
    source: EvidenceSource
    kind: ColumnType


def ages(judgement: Judgement, record: str, *, mapping: CrmMapping, tables: Tables, frame: Frame) -> Mapping[str, Age]:
    """By item, as far as anything tells; ``frame`` is that of the audit."""
    mapped = judgement.mapped
    rows = tables.rows.get(mapped.table.name)
    if rows is None or mapped.table.key not in rows.columns:
        return {}
    alone = rows.filter(pl.col(mapped.table.key) == record).head(1)
    probes = [probe for item, source in mapped.evidence.items() for probe in _probes(item, source, mapping, mapped)]
    named = {str(number): probe for number, probe in enumerate(probes)}
    found = gather(
        mapping=mapping,
        mapped=structs.replace(mapped, evidence={name: probe.source for name, probe in named.items()}),
        records=alone,
        tables=tables,
        types={name: probe.kind for name, probe in named.items()},
        frame=replace(frame, placeholders=judgement.definition.placeholders),
        past=[name for name, probe in named.items() if probe.item == ACTIVITY],
    ).rows
    result: dict[str, Age] = {}
    for name, probe in named.items():
        at = found[name][0] if name in found.columns and found.height else None
        if at is not None and (probe.item not in result or _later(at, result[probe.item].at)):
            result[probe.item] = Age(item=probe.item, at=at, what=probe.what)
    return result


def _later(one: datetime | date, other: datetime | date) -> bool:
    return one.isoformat() > other.isoformat()


def _probes(item: str, source: EvidenceSource, mapping: CrmMapping, mapped: MappedObject) -> Iterator[_Probe]:
    moment = ColumnType.DATETIME
    match source:
        # Salesforce reads a field of a parent through a dot: the record's own change says nothing about it.
        case FieldSource(column=column) if mapped.modified is not None and "." not in column:
            yield _Probe(item=item, what="record last changed", source=FieldSource(column=mapped.modified), kind=moment)
        case LookupSource(table=table, by=by):
            parents = [other for other in mapping.objects if other.table.name == table and other.modified is not None]
            for parent in parents[:1]:
                looked_up = LookupSource(table=table, by=by, column=str(parent.modified))
                yield _Probe(item=item, what=f"{table} last changed", source=looked_up, kind=moment)
        case RelatedSource(table=table):
            happened = _moment_of(source, mapping)
            if happened is not None:
                name, kind = happened
                newest = structs.replace(source, figure="max", column=name)
                yield _Probe(item=item, what=f"newest {table}.{name}", source=newest, kind=kind)
        case LatestSource(sources=sources):
            for part in sources:
                yield from _probes(item, part, mapping, mapped)


def _moment_of(source: RelatedSource, mapping: CrmMapping) -> tuple[str, ColumnType] | None:
    """The column that says when a related row happened: one that the source itself names, else one that is read."""
    columns = mapping.table(source.table).columns
    asked = [name.name for name in names(source.where)] if source.where is not None else []
    candidates = [name for name in (source.column, *asked, *columns) if name is not None and name in columns]
    for kind in (ColumnType.DATETIME, ColumnType.DATE):
        for name in candidates:
            if columns[name] is kind:
                return name, kind
    return None
