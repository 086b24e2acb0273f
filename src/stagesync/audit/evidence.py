"""Gathers the evidence of one object: one row a record, one column an item, from the record and its related rows.

An item without a column is unknown for every record, with the reason. Our own tasks are left out of every table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_

import polars as pl

from stagesync.audit import several
from stagesync.audit.masks import Frame, met
from stagesync.model.changes import OWN_MARK
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.policy.definitions import ACTIVITY
from stagesync.policy.expressions.tree import names
from stagesync.policy.mappings import (
    Blank,
    CrmMapping,
    EvidenceSource,
    FieldSource,
    Gap,
    LatestSource,
    LookupSource,
    MappedObject,
    RelatedSource,
    ThroughPeople,
)
from stagesync.policy.schema import NOTHING


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What was read of one connection: rows by table name, and which columns could not be read, with reasons."""

    rows: Mapping[str, pl.DataFrame]
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvidenceFrame:
    """Evidence of one object. ``rows`` has the record's key as RECORD and a column for each known item.

    ``unknown`` gives the reason for each item that has no column; ``sources`` says in words where an item is from.
    """

    rows: pl.DataFrame
    unknown: Mapping[str, str]
    sources: Mapping[str, str]

    @property
    def unreadable(self) -> frozenset[str]:
        """Items with unreadable values in some rows."""
        return frozenset(name.removesuffix(UNREADABLE) for name in self.rows.columns if name.endswith(UNREADABLE))


# Names that no column of a CRM and no evidence has.
ROW, VALUE, RECORD = ":row", ":value", ":record"


class _NotKnown(Exception):
    """This source cannot answer; the message says why."""


def gather(
    *,
    mapping: CrmMapping,
    mapped: MappedObject,
    records: pl.DataFrame,
    tables: Tables,
    types: Mapping[str, ColumnType],
    frame: Frame,
    past: Collection[str] = (ACTIVITY,),
) -> EvidenceFrame:
    """The evidence of these records (rows of the object's own table, unique by key).

    ``past`` are the items of which several moments are known and only those that are not still to come count: a call
    that is planned for tomorrow must not hide the one of yesterday.
    """
    gatherer = _Gatherer(mapping=mapping, mapped=mapped, records=records, tables=tables, frame=frame)
    columns: list[pl.Series] = [records[mapped.table.key].alias(RECORD)]
    unknown: dict[str, str] = {}
    for item, source in mapped.evidence.items():
        try:
            columns += gatherer.item(item, source, types[item], past=item in past)
        except _NotKnown as reason:
            unknown[item] = str(reason)
    sources = {item: describe(source, mapped.table.name) for item, source in mapped.evidence.items()}
    return EvidenceFrame(rows=pl.DataFrame(columns), unknown=unknown, sources=sources)


def describe(source: EvidenceSource, table: str) -> str:
    """Where an item comes from, in words: ``Opportunity.NextStep``, ``count of EmailMessage``."""
    match source:
        case FieldSource(column=column):
            return f"{table}.{column}"
        case LookupSource(table=other, column=column):
            return f"{other}.{column}"
        case RelatedSource(figure=figure, table=other, column=column, people=people):
            what = f"count of {other}" if figure == "count" else f"{figure} of {other}.{column}"
            if people is None:
                return what
            own = source.on is not None or source.via is not None
            return f"{what} (of the record and its people)" if own else f"{what} (of the record's people)"
        case LatestSource(sources=sources):
            return "latest of " + ", ".join(describe(part, table) for part in sources)
        case Gap(reason=reason) | Blank(reason=reason):
            return reason


class _Gatherer:
    def __init__(
        self, *, mapping: CrmMapping, mapped: MappedObject, records: pl.DataFrame, tables: Tables, frame: Frame
    ) -> None:
        self.mapping, self.mapped, self.records, self.tables = mapping, mapped, records, tables
        self.frame = replace(frame, unknown=frozenset(), unreadable=frozenset())
        self.keys = records[mapped.table.key].alias("record").to_frame()
        self.columns = {column.name: column for column in records.iter_columns()}
        self.read: dict[str, frozenset[str]] = {}
        self.several: dict[tuple[str, str], tuple[str, str] | None] = {}

    def item(self, item: str, source: EvidenceSource, kind: ColumnType, *, past: bool) -> Iterator[pl.Series]:
        values = self.values(source, kind, past=past).alias(item)
        if values.dtype != POLARS[kind]:
            if not _convertible(values.dtype, kind):
                # Definitions that are tried out may ask for another type than that in which it was pulled.
                raise _NotKnown(f"it was not read as {kind}; read it again with these definitions")
            values = values.cast(POLARS[kind], strict=False)
        unreadable = self.unreadable(source)
        if unreadable is None or not unreadable.any():
            yield values
            return
        # A figure that leaves out what cannot be read is not the figure.
        yield values.to_frame().select(pl.when(~unreadable.fill_null(value=False)).then(pl.col(item))).to_series()
        yield unreadable.alias(item + UNREADABLE)

    def values(self, source: EvidenceSource, kind: ColumnType, *, past: bool) -> pl.Series:
        match source:
            case Gap(reason=reason):
                raise _NotKnown(reason)
            case Blank():
                return pl.Series("", [None], dtype=POLARS[kind]).new_from_index(0, self.records.height)
            case FieldSource(column=column):
                self.require(self.mapped.table.name, column)
                return self.columns[column]
            case LookupSource():
                return self.looked_up(source)
            case RelatedSource():
                return self.figure(source, past=past)
            case LatestSource(sources=sources):
                parts = [self.values(part, kind, past=past).alias(str(n)) for n, part in enumerate(sources)]
                if past:
                    parts = [part.set(self.ahead(part), None) for part in parts]
                return pl.DataFrame(parts).select(pl.max_horizontal(pl.all())).to_series()

    def unreadable(self, source: EvidenceSource) -> pl.Series | None:
        """In which records the value is there but cannot be read, so that it is unknown and not blank."""
        match source:
            case FieldSource(column=column):
                return self.columns.get(column + UNREADABLE)
            case LookupSource():
                return self.not_found(source)
            case RelatedSource():
                return self.doubtful(source)
            case LatestSource(sources=sources):
                flags = [flag.fill_null(value=False) for flag in map(self.unreadable, sources) if flag is not None]
                return reduce(or_, flags) if flags else None
        return None

    def not_found(self, source: LookupSource) -> pl.Series:
        """Records that name a parent which was not read, or whose value could not be read."""
        flag = source.column + UNREADABLE
        parents = self.tables.rows[source.table]
        broken = pl.col(flag).fill_null(value=False) if flag in parents.columns else pl.lit(value=False)
        known = parents.select(pl.col(self.mapping.table(source.table).key).alias("parent"), broken.alias("broken"))
        children = self.records.select(pl.col(source.by).alias("parent"))
        joined = children.join(
            known.drop_nulls("parent").unique("parent", keep="first"), on="parent", how="left", maintain_order="left"
        )
        return joined.select(pl.col("broken").fill_null(pl.col("parent").is_not_null())).to_series()

    def doubtful(self, source: RelatedSource) -> pl.Series | None:
        """Records with a related row of which nobody can say whether it counts, or with a person who cannot be read."""
        used = {name.name for name in names(source.where)} if source.where is not None else set()
        unsure = _unsure(self.related(source), *sorted(used), source.column)
        doubts = [self.ties(source, rows.with_columns(pl.lit(None).alias(VALUE)))["record"] for rows in unsure]
        if source.people is not None:
            people = self.tables.rows[source.people.table]
            records = (rows.select(record=source.people.record) for rows in _unsure(people, source.people.person))
            doubts += [self.each(named, "record")["record"] for named in records]
        if not doubts:
            return None
        return self.keys["record"].is_in(pl.concat(doubts).drop_nulls().unique().implode())

    def require(self, table: str, *columns: str) -> None:
        missing = self.tables.missing.get(table, {})
        if table not in self.read:
            self.read[table] = frozenset(self.tables.rows[table].columns if table in self.tables.rows else ())
        for column in columns:
            if column in missing:
                raise _NotKnown(f"{table}.{column}: {missing[column]}")
            if column not in self.read[table]:
                raise _NotKnown(f"{table}.{column} was not read")

    def looked_up(self, source: LookupSource) -> pl.Series:
        key = self.mapping.table(source.table).key
        self.require(self.mapped.table.name, source.by)
        self.require(source.table, key, source.column)
        parents = self.tables.rows[source.table].select(
            pl.col(key).alias("parent"), pl.col(source.column).alias("value")
        )
        children = self.records.select(pl.col(source.by).alias("parent"))
        joined = children.join(
            parents.drop_nulls("parent").unique("parent", keep="first"), on="parent", how="left", maintain_order="left"
        )
        return joined["value"]

    def ahead(self, moments: pl.Series) -> pl.Series:
        """Which of these are still to come; none where they are no moments."""
        if not isinstance(moments.dtype, pl.Datetime):
            return pl.Series([False]).new_from_index(0, len(moments))
        return (moments > self.frame.now).fill_null(value=False)

    def figure(self, source: RelatedSource, *, past: bool) -> pl.Series:
        rows = self.linked(source)
        if past:
            rows = rows.filter(~self.ahead(rows["value"]))
        group = rows.group_by("record")
        if source.figure == "count":
            figures = group.agg(pl.len().cast(pl.Int64).alias("value"))
        else:
            largest = pl.col("value").max() if source.figure == "max" else pl.col("value").min()
            figures = group.agg(largest)
        joined = self.keys.join(figures, on="record", how="left", maintain_order="left")["value"]
        return joined.fill_null(0) if source.figure == "count" else joined

    def linked(self, source: RelatedSource) -> pl.DataFrame:
        """The related rows that count, as pairs of ``record`` and ``value``; a row once for each record."""
        rows = self.related(source)
        if not source.empty_is_known and self.records.height:
            self.require_signs(source, rows)
        if source.where is not None:
            rows = rows.filter(met(source.where, self.frame))
        value = pl.col(source.column) if source.column else pl.lit(1)
        return self.ties(source, rows.with_columns(value.alias(VALUE)))

    def related(self, source: RelatedSource) -> pl.DataFrame:
        """The rows of the related table that are not our own tasks."""
        people = source.people
        used = [name.name for name in names(source.where)] if source.where is not None else []
        used += [column for column in (source.column, source.on, people and people.on) if column]
        if source.via or (people and people.via):
            used.append(self.mapping.table(source.table).key)
        self.require(source.table, *used)
        if source.on is not None:
            self.refuse_several(source.table, source.on)
        if people is not None:
            self.require(people.table, people.person, people.record)
            self.refuse_several(people.table, people.record)
        rows = self.tables.rows[source.table]
        if self.mapping.own_tasks and self.mapping.own_tasks[0] == source.table:
            self.require(*self.mapping.own_tasks)
            column = pl.col(self.mapping.own_tasks[1])
            ours = column.str.contains(OWN_MARK, literal=True) if self.mapping.own_marked else column.is_not_null()
            rows = rows.filter(~ours.fill_null(value=False))
        return rows

    def ties(self, source: RelatedSource, rows: pl.DataFrame) -> pl.DataFrame:
        """Pairs of ``record`` and ``value``: each of these rows with each record to which it belongs, once."""
        people = source.people
        if people is None and source.on is not None:
            pairs = rows.select(pl.col(source.on).alias("record"), pl.col(VALUE).alias("value"))
            return self.each(pairs, "record").drop_nulls("record")
        rows = rows.with_row_index(ROW)
        ways = []
        if source.on is not None or source.via is not None:
            ways.append(self.named(source, rows, source.on, source.via).rename({"named": "record"}))
        if people is not None:
            table = self.tables.rows[people.table]
            persons = self.each(table.select(named=people.person, record=people.record), "named", "record").drop_nulls()
            accounts = self.person_accounts(people)
            persons = pl.concat([persons, accounts]).unique()
            if source.on is not None and accounts.height:
                ways.append(self.named(source, rows, source.on, None).join(accounts, on="named").drop("named"))
            ways.append(self.named(source, rows, people.on, people.via).join(persons, on="named").drop("named"))
        found = pl.concat(way.select(ROW, "value", "record") for way in ways)
        return found.unique([ROW, "record"]).select("record", "value")

    def person_accounts(self, people: ThroughPeople) -> pl.DataFrame:
        """Pairs of ``named`` and ``record``: the person of a record's person account, and the account. None where the
        CRM has no such columns: it has no person accounts then."""
        of = people.person_account
        if of is None or not {of.person, of.account} <= set(self.records.columns):
            return pl.DataFrame(schema={"named": pl.String, "record": pl.String})
        persons = self.records.filter(pl.col(of.person).is_not_null())
        key = self.mapped.table.key
        return pl.concat(persons.select(named=column, record=key) for column in (of.person, of.account)).drop_nulls()

    def named(self, source: RelatedSource, rows: pl.DataFrame, on: str | None, via: str | None) -> pl.DataFrame:
        """These rows with what they name by a column or by an association: row number, ``value`` and ``named``."""
        value = pl.col(VALUE).alias("value")
        if on is not None:
            return self.each(rows.select(ROW, value, named=on), "named").drop_nulls("named")
        keyed = rows.select(ROW, value, pl.col(self.mapping.table(source.table).key).alias("from"))
        links = self.links(source, via).select("from", named="to")
        return keyed.join(links, on="from").drop("from").drop_nulls("named")

    def each(self, pairs: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """The pairs with a row for each id, where an export has several in a cell of these columns."""
        mark = self.mapping.export.several
        return several.each(pairs, mark, *columns) if mark is not None else pairs

    def refuse_several(self, table: str, column: str) -> None:
        """Raise where cells of an export name several records, and the mapping does not say what stands between."""
        if self.mapping.crm == "export" and self.mapping.export.several is None and table in self.tables.rows:
            if (table, column) not in self.several:
                found = several.undeclared(self.tables.rows[table][column], self.keys["record"])
                self.several[table, column] = found
            if (found := self.several[table, column]) is not None:
                cell, mark = found
                remedy = f"write 'several: \"{mark}\"' under 'export' in the mapping"
                raise _NotKnown(f"{table}.{column} has several ids in a cell, such as '{cell[:40]}'; {remedy}")

    def links(self, source: RelatedSource, via: str | None) -> pl.DataFrame:
        table = f"{source.table}~{via}"
        missing = self.tables.missing.get(table, {})
        if table not in self.tables.rows or missing:
            reason = next(iter(missing.values()), "they were not read")
            raise _NotKnown(f"the associations of {source.table} with {via}: {reason}")
        return self.tables.rows[table]

    def require_signs(self, source: RelatedSource, rows: pl.DataFrame) -> None:
        """Raise where a source shows no sign of use, so that it says nothing: it has no row at all, no record has
        people, or no row names a record or a person."""
        remedy = f"if there are really none, write 'empty: {NOTHING[source.figure]}' beside the {source.figure}"
        if not rows.height:
            raise _NotKnown(f"no {source.table} at all was read, as if none were captured; {remedy}")
        people = source.people
        if people is not None and not (self.tables.rows[people.table].height or self.person_accounts(people).height):
            raise _NotKnown(f"no {self.mapped.name} has people in {people.table}, as if none were kept; {remedy}")
        if source.on is not None and people is None and self.mapping.crm == "export":
            ids = self.tables.rows[self.mapped.table.name][self.mapped.table.key]
            self.require_ids(source.table, source.on, ids, remedy)
        ways = [(source.on, source.via), (people.on, people.via) if people is not None else (None, None)]
        if not any(self.names_somebody(source, rows, *way) for way in ways):
            raise _NotKnown(
                f"no {source.table} belongs to any {self.mapped.name}, as if none were captured there; {remedy}"
            )

    def require_ids(self, table: str, column: str, ids: pl.Series, remedy: str) -> None:
        """Raise where no cell of a column of an export is the id of a record, judged or not. Mostly the two files write
        ids in different ways (7.0 and 7, or 15 and 18 characters), and a count of nothing would demote everybody."""
        named = self.each(self.tables.rows[table].select(column), column)[column].drop_nulls()
        if len(named) and len(ids := ids.drop_nulls()) and not named.is_in(ids.implode()).any():
            raise _NotKnown(
                f"no {table}.{column} is the id of any {self.mapped.name}: there it is such as '{named[0]:.40}', here "
                f"such as '{ids[0]:.40}'; {remedy}"
            )

    def names_somebody(self, source: RelatedSource, rows: pl.DataFrame, on: str | None, via: str | None) -> bool:
        if on is not None:
            return rows[on].null_count() < rows.height
        if via is None:
            return False
        links = self.links(source, via)
        if rows.height == self.tables.rows[source.table].height:
            return links.height > 0
        return links.join(rows, left_on="from", right_on=self.mapping.table(source.table).key, how="semi").height > 0


def _convertible(found: pl.DataType, wanted: ColumnType) -> bool:
    """Whether values of one type say the same in the other."""
    match wanted:
        case ColumnType.TEXT:
            return True
        case ColumnType.INTEGER | ColumnType.NUMBER:
            return found.is_numeric() or found == pl.Null
        case ColumnType.DATE | ColumnType.DATETIME:
            return isinstance(found, pl.Date | pl.Datetime) or found == pl.Null
        case ColumnType.BOOLEAN:
            return found == pl.Null


def _unsure(rows: pl.DataFrame, *columns: str | None) -> Iterator[pl.DataFrame]:
    """The rows in which one of these columns cannot be read; nothing where all can."""
    flags = [flag for name in columns if (flag := f"{name}{UNREADABLE}") in rows.columns]
    if flags:
        yield rows.filter(pl.any_horizontal(pl.col(flags).fill_null(value=False)))
