"""Reads what people write in a mapping, against a definition, and notes every problem with its place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from msgspec import structs

from stagesync.model.tables import ColumnType, Table
from stagesync.policy.definitions import Definition, read_expression
from stagesync.policy.document import Document, KeyPath, nearest
from stagesync.policy.mapped import (
    Blank,
    CrmMapping,
    EvidenceSource,
    FieldSource,
    Gap,
    LatestSource,
    LookupSource,
    MappedObject,
    PersonAccount,
    RelatedSource,
    StageHistory,
    ThroughPeople,
)
from stagesync.policy.own_columns import NAME, OwnColumns, unusable
from stagesync.policy.schema import (
    COMPANIONS,
    KINDS,
    NOTHING,
    TAKES,
    MappingFile,
    ObjectMapping,
    PeopleTable,
    Source,
    StageMapping,
    TaskMapping,
)
from stagesync.policy.time_zones import is_zone, no_zone

KEYS: Mapping[str, str] = {"salesforce": "Id", "hubspot": "hs_object_id", "export": "Id"}
NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
HISTORY = ".history"
PAST = ("record", "before", "at", "by")
"""Columns of a HubSpot history table beside the property itself."""
CODE = re.compile(r"%(?:[-_0]?[A-DF-IMPR-Za-hj-npr-z]|\.[369]?f|[369]f|:{1,3}z|#z|[+%])")
"""A code of strptime."""
PEOPLE_EXAMPLE = "{table: ..., person: ..., record: ...}"


class MappingCheck:
    def __init__(self, document: Document, words: MappingFile, definition: Definition) -> None:
        self.document, self.words, self.definition = document, words, definition
        self.places = [rung.name for rung in definition.rungs] + list(definition.parking)
        self.links: dict[str, list[str]] = {}
        self.people_of: dict[str, ThroughPeople | None] = {}
        self.own: dict[str, OwnColumns] = {}

    def mapping(self) -> CrmMapping:
        words, document = self.words, self.document
        if words.definition != self.definition.name:
            message = f"this mapping is for '{words.definition}', but the definitions are '{self.definition.name}'"
            document.problem(("definition",), message)
        if words.tasks:
            self.check_tasks(words.tasks)
        self.export()
        for table, columns in words.tables.items():
            for column in columns:
                if (said := unusable(column)) is not None:
                    document.problem(("tables", table, column), said, key=True)
        objects = [self.object(name, mapped) for name, mapped in words.objects.items()]
        document.raise_problems()
        return CrmMapping(
            name=words.mapping,
            file=document.file,
            digest=hashlib.sha256(document.source.encode()).hexdigest(),
            crm=words.crm,
            export=words.export,
            objects=tuple(objects),
            tables=tuple(self.tables(objects)),
            own_tasks=(words.tasks.table, words.tasks.key or words.tasks.marker or "") if words.tasks else None,
            own_marked=words.tasks is not None and words.tasks.marker is not None,
            waiver_status=words.tasks.waiver_status if words.tasks else None,
        )

    def check_tasks(self, tasks: TaskMapping) -> None:
        word, column = ("key", tasks.key) if tasks.key else ("marker", tasks.marker)
        if bool(tasks.key) == bool(tasks.marker):
            self.document.problem(("tasks",), "name the field of our key: one of key and marker")
        elif tasks.key == "Description":
            self.document.problem(("tasks", "key"), "other tasks have a Description too; write marker: Description")
        elif tasks.marker and self.words.crm != "salesforce":
            self.document.problem(("tasks", "marker"), "a marker is for Salesforce; give the field of the key as key")
        elif column not in self.words.tables.get(tasks.table, {}):
            self.document.problem(("tasks", word), f"list '{column}' under tables: {tasks.table}")
        if tasks.waiver_status is not None and self.words.crm == "export":
            message = "nobody can ask in an export; a waiver_status is for a CRM"
            self.document.problem(("tasks", "waiver_status"), message)
        elif tasks.waiver_status is not None and tasks.waiver_status.casefold() == "completed":
            message = "a task that is completed asks for nothing; name a status of open tasks"
            self.document.problem(("tasks", "waiver_status"), message)

    def export(self) -> None:
        """What only an export has to say: the ids of its tables, and its words for true and false."""
        objects = {mapped.table or name for name, mapped in self.words.objects.items()}
        for table in self.words.keys:
            if self.words.crm != "export":
                message = f"'{self.words.crm}' knows the ids of its tables; keys are for exports"
            elif table in objects:
                message = f"'{table}' is an object; write its key there"
            elif table not in self.words.tables:
                message = f"table '{table}' is not listed under tables{nearest(table, list(self.words.tables))}"
            else:
                continue
            self.document.problem(("keys", table), message, key=True)
        words = self.words.export
        if not is_zone(words.time_zone):
            self.document.problem(("export", "time_zone"), no_zone(words.time_zone))
        for name, formats in (("dates", words.dates), ("datetimes", words.datetimes)):
            for index, written in enumerate(formats):
                if not CODE.search(written) or "%" in CODE.sub("", written):
                    message = f"'{written}' is not a format of strptime; '%d.%m.%Y' and '%d.%m.%Y %H:%M' are"
                    self.document.problem(("export", name, index), message)
        yes = {word.strip().lower() for word in self.words.export.yes}
        for index, word in enumerate(self.words.export.no):
            if word.strip().lower() in yes:
                self.document.problem(("export", "no", index), f"'{word}' cannot mean both yes and no")

    def object(self, name: str, mapped: ObjectMapping) -> MappedObject:
        path: KeyPath = ("objects", name)
        table = mapped.table or name
        evidence = self.evidence(name, mapped, path)
        self.people(name)
        stage = mapped.stage
        own = self.own_columns(table, mapped, path)
        text, moment = ColumnType.TEXT, ColumnType.DATETIME
        names = (mapped.name,) if isinstance(mapped.name, str) else tuple(mapped.name)
        read = MappedObject(
            name=name,
            table=Table(name=table, key=own.key, columns={}),
            display_name=tuple(own.read(column, text, *NAME) for column in names),
            owner=own.optional(mapped.owner, text, "owner"),
            currency=own.optional(mapped.currency, text, "currency"),
            waiver_request=own.optional(mapped.waiver_request, text, "waiver_request"),
            created=own.optional(mapped.created, moment, "created"),
            modified=own.optional(mapped.modified, moment, "modified"),
            amount=own.optional(mapped.amount, ColumnType.NUMBER, "amount"),
            stage_field=own.read(stage.field, text, "stage", "field"),
            pipeline_field=own.optional(stage.pipeline, text, "stage", "pipeline"),
            record_type_field=own.optional(stage.record_type, text, "stage", "record_type"),
            entered=own.optional(stage.entered, moment, "stage", "entered"),
            skip={own.read(column, ColumnType.BOOLEAN, "skip", column): why for column, why in mapped.skip.items()},
            stages=self.stages(mapped, path),
            stage_lines=self.stage_lines(mapped, path),
            history=self.history(mapped, path),
            evidence=own.evidence(evidence, self.definition.vocabulary),
        )
        for column in _person_account_columns(mapped):
            own.read(column, text, "people", "person_account")
        return structs.replace(read, table=Table(name=table, key=own.key, columns=own.types, headers=own.headers))

    def own_columns(self, table: str, mapped: ObjectMapping, path: KeyPath) -> OwnColumns:
        """What is read of an object's table: for other objects of the same table too, and for what counts its rows."""
        key = self.key(mapped)
        if (said := unusable(key)) is not None:
            self.document.problem((*path, "key"), said)
        if table not in self.own:
            counted = {column: kind for column, kind in self.words.tables.get(table, {}).items() if column != key}
            self.own[table] = OwnColumns(
                document=self.document,
                path=path,
                key=key,
                files=self.words.crm == "export",
                types=counted,
                asked_by=dict.fromkeys(counted, ("tables", table)),
            )
        if self.own[table].key != key:
            message = f"'{table}' has the key '{self.own[table].key}' for another object; a table has one"
            self.document.problem((*path, "key"), message)
        return replace(self.own[table], path=path)

    def key(self, mapped: ObjectMapping) -> str:
        return mapped.key or KEYS[self.words.crm]

    def stages(self, mapped: ObjectMapping, path: KeyPath) -> dict[tuple[str | None, str], str]:
        result: dict[tuple[str | None, str], str] = {}
        self.check_groups(mapped.stage, (*path, "stage"))
        grouped = mapped.stage.pipeline or mapped.stage.record_type
        where = (*path, "stage", "stages")
        for key, value in mapped.stage.stages.items():
            if isinstance(value, dict) != (grouped is not None):
                what = "record type" if mapped.stage.record_type else "pipeline"
                needed = f"a mapping of stages for each {what}" if grouped else "the name of a stage"
                hint = "" if grouped else "; name the field with 'pipeline' or 'record_type' first"
                self.document.problem((*where, key), f"{needed} is expected here{hint}")
                continue
            inner = value.items() if isinstance(value, dict) else [(key, value)]
            for native, place in inner:
                group = key if isinstance(value, dict) else None
                result[(group, native)] = place
                if place not in self.places:
                    at = (*where, key, native) if isinstance(value, dict) else (*where, key)
                    message = f"'{place}' is neither a stage nor a parking place of '{self.definition.name}'"
                    self.document.problem(at, message + nearest(place, self.places))
        return result

    def check_groups(self, stage: StageMapping, path: KeyPath) -> None:
        if stage.pipeline and stage.record_type:
            message = (
                "stages depend on the pipeline or on the record type, not on both; keep 'pipeline' where the CRM has "
                "pipelines (it is written with the stage), else 'record_type' (it is never written)"
            )
            self.document.problem((*path, "record_type"), message, key=True)
        elif stage.pipeline and "." in stage.pipeline:
            message = f"'{stage.pipeline}' is a field of another record and cannot be written; use 'record_type' for it"
            self.document.problem((*path, "pipeline"), message)

    def stage_lines(self, mapped: ObjectMapping, path: KeyPath) -> dict[tuple[str | None, str], tuple[int, int]]:
        where = (*path, "stage", "stages")
        lines: dict[tuple[str | None, str], tuple[int, int]] = {}
        for key, value in mapped.stage.stages.items():
            if isinstance(value, dict):
                lines |= {(key, native): self.document.at((*where, key, native), key=True) for native in value}
            else:
                lines[(None, key)] = self.document.at((*where, key), key=True)
        return lines

    def history(self, mapped: ObjectMapping, path: KeyPath) -> StageHistory | None:
        history = mapped.stage.history
        if history is None:
            return None
        where = (*path, "stage", "history")
        columns = self.related_columns(history.table, (*where, "table"))
        wanted = {"record": history.record, "stage": history.stage, "at": history.at, "by": history.by}
        for key, column in wanted.items():
            if column is not None and self.known_column(column, columns, history.table, (*where, key)):
                kind = ColumnType.DATETIME if key == "at" else ColumnType.TEXT
                if columns[column] is not kind:
                    message = f"'{column}' is of type {columns[column]}; '{key}' of a history is of type {kind}"
                    self.document.problem((*where, key), message)
        condition = None
        if history.where:
            condition = read_expression(self.document, (*where, "where"), history.where, columns, "column")
        return StageHistory(
            table=history.table,
            record=history.record,
            stage=history.stage,
            at=history.at,
            by=history.by,
            where=condition,
        )

    def evidence(self, name: str, mapped: ObjectMapping, path: KeyPath) -> dict[str, EvidenceSource]:
        vocabulary = self.definition.vocabulary
        for item in mapped.evidence:
            if item not in vocabulary:
                message = f"unknown evidence '{item}'{nearest(item, list(vocabulary))}"
                self.document.problem((*path, "evidence", item), message, key=True)
        absent = [item for item in vocabulary if item not in mapped.evidence]
        if absent:
            message = f"{name} says nothing about {', '.join(absent)}; name a source, or a 'gap' with the reason"
            self.document.problem((*path, "evidence"), message, key=True)
        return {
            item: self.source(source, vocabulary[item], (*path, "evidence", item), name)
            for item, source in mapped.evidence.items()
            if item in vocabulary
        }

    def source(self, source: Source, wanted: ColumnType, path: KeyPath, object_name: str) -> EvidenceSource:
        given = [kind for kind in KINDS if getattr(source, kind) is not None]
        if len(given) != 1:
            have = " and ".join(given) or "none"
            self.document.problem(path, f"exactly one of {', '.join(KINDS)} is expected; there is {have}", key=True)
            return Gap(reason="")
        for extra in [word for word in COMPANIONS if getattr(source, word) is not None]:
            if extra not in TAKES[given[0]]:
                # What nobody reads is worse than an error: a 'where' that changes nothing looks as if it did.
                self.document.problem((*path, extra), f"'{extra}' means nothing beside '{given[0]}'", key=True)
        match given[0]:
            case "field":
                return FieldSource(column=str(source.field))
            case "gap":
                return Gap(reason=str(source.gap))
            case "blank":
                return Blank(reason=str(source.blank))
            case "lookup":
                return self.lookup(source, wanted, path)
            case "latest":
                parts = source.latest or []
                return LatestSource(
                    sources=tuple(
                        self.source(part, wanted, (*path, "latest", index), object_name)
                        for index, part in enumerate(parts)
                    )
                )
        return self.related(source, wanted, path, object_name)

    def lookup(self, source: Source, wanted: ColumnType, path: KeyPath) -> EvidenceSource:
        columns = self.related_columns(str(source.lookup), (*path, "lookup"))
        if source.by is None or source.take is None:
            self.document.problem(path, "a lookup needs 'by' (the column with the id) and 'take' (the column wanted)")
        elif self.known_column(source.take, columns, str(source.lookup), (*path, "take")):
            self.check_type(source.take, columns[source.take], wanted, (*path, "take"))
        return LookupSource(table=str(source.lookup), by=str(source.by), column=str(source.take))

    def related(self, source: Source, wanted: ColumnType, path: KeyPath, object_name: str) -> EvidenceSource:
        figure: Literal["count", "max", "min"] = "count" if source.count else "max" if source.max else "min"
        if not source.count and source.of is None:
            self.document.problem(path, f"a {figure} needs 'of': the table whose column it is", key=True)
            return Gap(reason="")
        table = str(source.count or source.of)
        columns = self.related_columns(table, (*path, "count" if source.count else "of"))
        column = source.max or source.min
        if figure == "count" and wanted not in NUMERIC:
            self.document.problem(path, f"a count is a number, but this item is of type {wanted}")
        if column and self.known_column(column, columns, table, (*path, figure)):
            self.check_type(column, columns[column], wanted, (*path, figure))
        if source.empty is not None and source.empty != NOTHING[figure]:
            message = f"a {figure} over nothing is {NOTHING[figure]}; write: empty: {NOTHING[figure]}"
            self.document.problem((*path, "empty"), message)
        self.link(source, table, columns, path, object_name)
        where = None
        if source.where:
            where = read_expression(self.document, (*path, "where"), source.where, columns, "column")
        return RelatedSource(
            figure=figure,
            table=table,
            column=column,
            on=source.on,
            via=source.via,
            people=self.through_people(source, table, columns, path, object_name),
            where=where,
            empty_is_known=source.empty is not None,
        )

    def check_type(self, column: str, found: ColumnType, wanted: ColumnType, path: KeyPath) -> None:
        if found is not wanted and not (found in NUMERIC and wanted in NUMERIC):
            self.document.problem(path, f"'{column}' is of type {found}, this item of type {wanted}")

    def link(self, source: Source, table: str, columns: Mapping[str, ColumnType], path: KeyPath, owner: str) -> None:
        if source.on is not None and source.via is not None:
            message = "say how rows belong to the record: 'on' (a column) or 'via' (an association), one of them"
            self.document.problem(path, message, key=True)
        elif source.on is not None:
            self.id_column(source.on, columns, table, (*path, "on"))
        elif source.via is not None:
            mapped = self.words.objects[owner].table or owner
            if source.via != mapped:
                self.document.problem((*path, "via"), f"the association must lead to this object: via: {mapped}")
            self.associate(table, source.via, (*path, "via"), "use 'on' with a column")
        elif source.on_people is None and source.via_people is None:
            message = (
                "say how rows belong to the record: 'on' (a column) or 'via' (an association), or through its people: "
                "'on_people' or 'via_people'"
            )
            self.document.problem(path, message, key=True)

    def through_people(
        self, source: Source, table: str, columns: Mapping[str, ColumnType], path: KeyPath, owner: str
    ) -> ThroughPeople | None:
        on, via = source.on_people, source.via_people
        if on is None and via is None:
            return None
        people = self.people(owner)
        word = "on_people" if on is not None else "via_people"
        if on is not None and via is not None:
            message = "say how rows name a person: 'on_people' (a column) or 'via_people' (an association), one of them"
            self.document.problem(path, message, key=True)
        elif people is None:
            example = "contacts" if self.words.crm == "hubspot" else PEOPLE_EXAMPLE
            message = f"'{word}' needs to know the people of {owner}; write beside its stage: people: {example}"
            self.document.problem((*path, word), message, key=True)
        elif on is not None:
            self.id_column(on, columns, table, (*path, word))
        elif via is not None:
            if self.words.objects[owner].people != via:
                message = f"the association must lead to the people of {owner}; write beside its stage: people: {via}"
                self.document.problem((*path, word), message)
            self.associate(table, via, (*path, word), "use 'on_people' with a column")
        return None if people is None else structs.replace(people, on=on, via=via)

    def people(self, owner: str) -> ThroughPeople | None:
        """The people of an object, with what ties them to its records; problems are noted once for each object."""
        if owner not in self.people_of:
            self.people_of[owner] = self.tied_people(self.words.objects[owner], owner)
        return self.people_of[owner]

    def tied_people(self, mapped: ObjectMapping, owner: str) -> ThroughPeople | None:
        path: KeyPath = ("objects", owner, "people")
        match mapped.people:
            case None:
                return None
            case str(people):
                if people not in self.words.objects:
                    self.related_columns(people, path)
                link = mapped.table or owner
                self.associate(people, link, path, f"write: people: {PEOPLE_EXAMPLE}")
                return ThroughPeople(on=None, via=None, table=f"{people}~{link}", person="from", record="to")
            case PeopleTable(table=table, person=person, record=record, person_account=words):
                columns = self.related_columns(table, (*path, "table"))
                for word, column in (("person", person), ("record", record)):
                    self.id_column(column, columns, table, (*path, word))
                account = PersonAccount(person=words.person, account=words.account) if words else None
                return ThroughPeople(
                    on=None, via=None, table=table, person=person, record=record, person_account=account
                )

    def id_column(self, column: str, columns: Mapping[str, ColumnType], table: str, path: KeyPath) -> None:
        if self.known_column(column, columns, table, path):
            self.check_type(column, columns[column], ColumnType.TEXT, path)

    def associate(self, table: str, target: str, path: KeyPath, remedy: str) -> None:
        """Have the associations from a table to an object read."""
        if self.words.crm != "hubspot":
            self.document.problem(path, f"associations exist in HubSpot only; {remedy}")
        elif target not in self.links.setdefault(table, []):
            self.links[table].append(target)

    def related_columns(self, table: str, path: KeyPath) -> Mapping[str, ColumnType]:
        columns = self.words.tables.get(table)
        if columns is None:
            message = f"table '{table}' is not listed under tables{nearest(table, list(self.words.tables))}"
            self.document.problem(path, message)
            return {}
        return columns

    def known_column(self, column: str, columns: Mapping[str, ColumnType], table: str, path: KeyPath) -> bool:
        if column in columns or table not in self.words.tables:
            return column in columns  # of a table that is not listed nobody needs to hear twice
        message = f"column '{column}' is not listed under tables: {table}{nearest(column, list(columns))}"
        self.document.problem(path, message)
        return False

    def tables(self, objects: Sequence[MappedObject]) -> Iterator[Table]:
        """Objects first, then the tables around them; a table that is both is read once, with all its columns."""
        by_object = {mapped.table.name: mapped.table for mapped in objects}
        for name, table in by_object.items():
            yield structs.replace(table, links=tuple(self.links.get(name, ())))
        for name, columns in self.words.tables.items():
            if name not in by_object:
                yield self.related_table(name, columns)

    def related_table(self, name: str, columns: Mapping[str, ColumnType]) -> Table:
        history_of = None
        if self.words.crm == "hubspot" and name.endswith(HISTORY):
            history_of = next((column for column in columns if column not in PAST), None)
        key = self.words.keys.get(name, KEYS[self.words.crm])
        others = {column: kind for column, kind in columns.items() if column != key}
        return Table(name=name, key=key, columns=others, links=tuple(self.links.get(name, ())), history_of=history_of)


def _person_account_columns(mapped: ObjectMapping) -> Iterator[str]:
    words = mapped.people.person_account if isinstance(mapped.people, PeopleTable) else None
    if words is not None:
        yield from (words.person, words.account)
