"""The mapping of one org, made from the shipped one: its own stages, the fields that it has, gaps for the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagesync.connectors.base import Discovery
from stagesync.errors import ConfigurationError
from stagesync.model.crm import Identity, ObjectFacts
from stagesync.onboarding.sources import Column, Lacking, evidence
from stagesync.onboarding.stages import DECIDE, stage_block
from stagesync.onboarding.yaml_text import Block, Entry, Remark
from stagesync.policy.definitions import Definition
from stagesync.policy.document import nearest, read_document
from stagesync.policy.mappings import CrmMapping, MappedObject, load_mapping

RECORD_TYPE = "RecordType.DeveloperName"
COLUMNS = ("owner", "created", "modified", "amount", "currency")
"""What an object's mapping may say in one column, and do without."""
PERSON_ACCOUNT = "person_account"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A shipped mapping: checked, and as it is written."""

    mapping: CrmMapping
    raw: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The mapping of an org. ``to_decide`` are stages that were guessed, ``gaps`` are evidence that cannot be read;
    both name them as ``Object.name``."""

    name: str
    identity: Identity
    block: Block
    to_decide: tuple[str, ...]
    gaps: Mapping[str, str]


def template(folder: Path, definition: Definition, crm: str) -> Template:
    """The shipped mapping of these definitions for this CRM. Raises ConfigurationError when there is none."""
    for file in sorted(folder.glob("*.yaml")):
        raw = read_document(file).data
        if isinstance(raw, dict) and (raw.get("definition"), raw.get("crm")) == (definition.name, crm):
            return Template(mapping=load_mapping(file, definition), raw=raw)
    raise ConfigurationError(f"there is no mapping of '{definition.name}' for {crm} in {folder}")


def pack(folder: Path, name: str) -> Path:
    """The file of shipped definitions. Raises ConfigurationError with the nearest right name."""
    known = [one.stem for one in sorted(folder.glob("*.yaml")) if not one.stem.endswith(".tests")]
    if name not in known:
        raise ConfigurationError(
            f"there are no definitions '{name}'{nearest(name, known)}; there are {', '.join(known)}"
        )
    return folder / f"{name}.yaml"


def propose(discovery: Discovery, found: Template, name: str) -> Proposal:
    """Raises ConfigurationError when the org shows none of the objects, and ConnectionFailed when it cannot be read."""
    identity = discovery.reader.identity()
    draft = _Draft(discovery, found)
    objects = [draft.object(mapped) for mapped in found.mapping.objects]
    if not any(isinstance(entry, Entry) for entry in objects):
        wanted = " and ".join(mapped.name for mapped in found.mapping.objects)
        raise ConfigurationError(
            f"{identity.name} shows no {wanted} to this token; give its user the right to read them"
        )
    block = Block(
        [
            Remark(f"Where the evidence of the `{found.raw['definition']}` definitions is found in {identity.name}."),
            Remark("Written by `stagesync init` from what the org has. Look at every line that says 'decide', then"),
            Remark("remove the comment. docs/mappings.md is the language."),
            Entry("mapping", name),
            Entry("definition", found.raw["definition"]),
            Entry("crm", found.raw["crm"]),
            Remark(""),
            *draft.tasks(),
            Remark(""),
            *draft.tables(),
            Remark(""),
            Entry("objects", Block(_apart(objects))),
        ]
    )
    return Proposal(
        name=name,
        identity=identity,
        block=block,
        to_decide=tuple(_to_decide(objects)),
        gaps=dict(_gaps(objects, found)),
    )


def _apart(entries: Sequence[Entry | Remark]) -> list[Entry | Remark]:
    """With a blank line between two."""
    return [part for entry in entries for part in (Remark(""), entry)][1:]


class _Draft:
    """One mapping while it is made; remembers which tables its objects read."""

    def __init__(self, discovery: Discovery, found: Template) -> None:
        self.discovery, self.found = discovery, found
        self.lacking = Lacking.of(discovery.reader.missing(found.mapping.tables))
        self.read: set[str] = set()

    def object(self, mapped: MappedObject) -> Entry | Remark:
        raw = self.found.raw["objects"][mapped.name]
        table = mapped.table.name
        facts = self.discovery.facts(table)
        reason = self.lacking.reason(iter([(table, mapped.stage_field)]))
        if facts is None or reason is not None:
            return Remark(f"{mapped.name} is left out: {reason or 'it is not shown to this token'}")
        entries: list[Entry | Remark] = [
            *self.columns(raw, table, facts),
            Entry("stage", Block(list(self.stage(raw["stage"], mapped)))),
        ]
        items, tables = evidence(raw["evidence"], mapped, self.lacking, facts)
        self.read |= tables
        return Entry(mapped.name, Block([*entries, Entry("evidence", Block(items))]))

    def columns(self, raw: Mapping[str, Any], table: str, facts: ObjectFacts) -> Iterator[Entry | Remark]:
        """All that stands beside the stage and the evidence."""
        for key, value in raw.items():
            if key in {"stage", "evidence"}:
                continue
            reason = self.lacking.reason(_named(key, value, table))
            if reason is not None and key == "currency":
                continue  # an org without the field has one currency
            if reason is not None:
                yield Remark(f"without {key}: {reason}")
                continue
            if key == "people":
                self.read.add(value["table"] if isinstance(value, dict) else value)
            yield Entry(key, self.people(value, table) if key == "people" and isinstance(value, dict) else value)
        currency = self.discovery.currency_field
        if "amount" in raw and "currency" not in raw and currency in facts.fields:
            yield Entry("currency", currency)

    def people(self, raw: Mapping[str, Any], table: str) -> Mapping[str, Any]:
        """With the columns of person accounts where the org has any, and only there."""
        account = self.discovery.person_account(table)
        words = {key: value for key, value in raw.items() if key != PERSON_ACCOUNT}
        return words if account is None else {**words, PERSON_ACCOUNT: dict(account)}

    def stage(self, raw: Mapping[str, Any], mapped: MappedObject) -> Iterator[Entry | Remark]:
        stages = self.discovery.reader.stages(mapped.table.name, mapped.stage_field)
        block = stage_block(self.discovery, mapped, stages)
        grouped = any(isinstance(entry, Entry) and isinstance(entry.value, Block) for entry in block.entries)
        yield Entry("field", raw["field"])
        if "pipeline" in raw:
            yield Entry("pipeline", raw["pipeline"])
        elif grouped:
            yield Entry("record_type", RECORD_TYPE)
        yield Entry("stages", block)
        if "history" in raw:
            yield from self.history(raw["history"])
        if "entered" in raw:
            reason = self.lacking.reason(iter([(mapped.table.name, raw["entered"])]))
            yield Remark(f"without entered: {reason}") if reason else Entry("entered", raw["entered"])

    def history(self, raw: Mapping[str, Any]) -> Iterator[Entry | Remark]:
        columns = [(raw["table"], raw[key]) for key in ("record", "stage", "at", "by") if key in raw]
        reason = self.lacking.reason(iter(columns))
        if reason:
            yield Remark(f"without history: {reason}")
            return
        self.read.add(raw["table"])
        yield Entry("history", raw)

    def tasks(self) -> Iterator[Entry | Remark]:
        """The field that marks our tasks stays even where it does not exist yet: it will."""
        tasks = self.found.raw.get("tasks")
        if tasks is None:
            return
        self.read.add(tasks["table"])
        reason = self.lacking.reason(iter([(tasks["table"], tasks["key"])]))
        yield Entry("tasks", tasks, f"until it exists no task can be written: {reason}" if reason else "")

    def tables(self) -> Iterator[Entry | Remark]:
        """The tables that are still read, with the columns that can be."""
        tasks = self.found.raw.get("tasks") or {}
        kept = []
        for table, columns in self.found.raw.get("tables", {}).items():
            if table not in self.read:
                continue
            marks = tasks.get("key") if table == tasks.get("table") else None
            readable = {
                column: kind
                for column, kind in columns.items()
                if column == marks or (table, column) not in self.lacking.reasons
            }
            kept.append(Entry(table, readable))
        if kept:
            yield Entry("tables", Block(kept))


def _named(key: str, value: Any, table: str) -> Iterator[Column]:
    """The columns that an entry of an object's mapping names."""
    if key in COLUMNS:
        yield table, value
    elif key == "name":
        yield from ((table, column) for column in ([value] if isinstance(value, str) else value))
    elif key == "skip":
        yield from ((table, column) for column in value)
    elif key == "people" and isinstance(value, dict):
        yield from ((value["table"], value[column]) for column in ("person", "record"))


def _to_decide(objects: Sequence[Entry | Remark]) -> Iterator[str]:
    for entry in objects:
        if isinstance(entry, Entry):
            names = dict.fromkeys(one.key for one in _leaves(entry.value) if one.comment.startswith(DECIDE))
            yield from (f"{entry.key}.{name}" for name in names)


def _leaves(block: Block) -> Iterator[Entry]:
    for entry in block.entries:
        if isinstance(entry, Entry) and isinstance(entry.value, Block):
            yield from _leaves(entry.value)
        elif isinstance(entry, Entry):
            yield entry


def _gaps(objects: Sequence[Entry | Remark], found: Template) -> Iterator[tuple[str, str]]:
    """Gaps that the shipped mapping does not have."""
    for entry in objects:
        if not isinstance(entry, Entry):
            continue
        shipped = found.raw["objects"][entry.key]["evidence"]
        for item, source in entry.value.data()["evidence"].items():
            if "gap" in source and source != shipped[item]:
                yield f"{entry.key}.{item}", source["gap"]
