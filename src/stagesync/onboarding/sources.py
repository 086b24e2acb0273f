"""Which evidence an org can give: every source of a shipped mapping, or the gap that is left of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stagesync.model.crm import ObjectFacts
from stagesync.model.tables import Missing
from stagesync.onboarding.yaml_text import Entry
from stagesync.policy.expressions.tree import names
from stagesync.policy.mappings import (
    Blank,
    EvidenceSource,
    FieldSource,
    Gap,
    LatestSource,
    LookupSource,
    MappedObject,
    RelatedSource,
    ThroughPeople,
)

Column = tuple[str, str]
"""A table and its column."""
SUGGESTED = 3
SHORTEST_WORD = 4


@dataclass(frozen=True)
class Lacking:
    """What of a mapping cannot be read, with the reason."""

    reasons: Mapping[Column, str]

    @classmethod
    def of(cls, missing: Sequence[Missing]) -> Lacking:
        return cls({(one.table, column): reason for one in missing for column, reason in one.columns.items()})

    def reason(self, columns: Iterator[Column]) -> str | None:
        """Why the first of these that is missing cannot be read; None when all can."""
        return next((self.reasons[column] for column in columns if column in self.reasons), None)


def needs(source: EvidenceSource, own: str) -> Iterator[Column]:
    """The columns that a source reads; ``own`` is the table of the object itself."""
    match source:
        case FieldSource(column=column):
            yield own, column
        case LookupSource(table=table, by=by, column=column):
            yield from ((own, by), (table, column))
        case RelatedSource():
            yield from _related(source)
        case LatestSource(sources=parts):
            for part in parts:
                yield from needs(part, own)
        case Gap() | Blank():
            return


def _related(source: RelatedSource) -> Iterator[Column]:
    people = source.people
    columns = [source.column, source.on, people.on if people else None]
    if source.where is not None:
        columns += [name.name for name in names(source.where)]
    yield from ((source.table, column) for column in columns if column is not None)
    if people is not None and people.person and people.record:
        yield from ((people.table, people.person), (people.table, people.record))


def ties(source: EvidenceSource) -> Iterator[ThroughPeople]:
    """How a source looks at the people of a record, where it does."""
    if isinstance(source, RelatedSource) and source.people is not None:
        yield source.people
    elif isinstance(source, LatestSource):
        for part in source.sources:
            yield from ties(part)


def evidence(
    raw: Mapping[str, Any], mapped: MappedObject, lacking: Lacking, facts: ObjectFacts
) -> tuple[list[Entry], set[str]]:
    """The evidence of an object as this org can give it, and the tables that it then reads.

    ``raw`` is the evidence as the shipped mapping writes it.
    """
    entries, tables, own = [], set[str](), mapped.table.name
    for item, words in raw.items():
        value, kept, doubt = _bound(words, mapped.evidence[item], own, lacking)
        entries.append(Entry(item, value, doubt or ("" if kept else _perhaps(item, value, facts))))
        tables |= {table for part in kept for table, _ in needs(part, own)}
    return entries, tables


def _bound(words: Any, source: EvidenceSource, own: str, lacking: Lacking) -> tuple[Any, list[EvidenceSource], str]:
    """The source as it can be written here, what of it is read, and a comment where that is less than it was."""
    if isinstance(source, LatestSource):
        reasons = [lacking.reason(needs(part, own)) for part in source.sources]
        kept = [index for index, reason in enumerate(reasons) if reason is None]
        if kept:
            left_out = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
            value = {"latest": [words["latest"][index] for index in kept]}
            comment = f"less is known here: {left_out}" if left_out else ""
            return value, [source.sources[index] for index in kept], comment
    reason = lacking.reason(needs(source, own))
    if reason is None:
        return words, [source], ""
    return {"gap": reason}, [], ""


def _perhaps(item: str, value: Any, facts: ObjectFacts) -> str:
    """Custom fields of the org that may say under another name what is a gap."""
    if "gap" not in value:
        return ""
    stems = [word for word in item.split("_") if len(word) >= SHORTEST_WORD]
    found = [
        field.name
        for field in facts.fields.values()
        if field.custom and any(re.search(stem, f"{field.name} {field.label}".lower()) for stem in stems)
    ]
    return f"perhaps {{field: {'} or {field: '.join(found[:SUGGESTED])}}}" if found else ""
