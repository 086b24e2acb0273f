"""Mappings, checked against a definition: which tables to read, and which source gives which evidence."""

from __future__ import annotations

from pathlib import Path

from stagesync.policy.definitions import Definition
from stagesync.policy.document import Document, read_document
from stagesync.policy.mapped import (
    EVERY_OTHER,
    SAYS_NOTHING,
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
from stagesync.policy.mapping_check import MappingCheck
from stagesync.policy.schema import (
    MappingFile,
    Source,
)
from stagesync.policy.validation import validate

__all__ = [
    "EVERY_OTHER",
    "SAYS_NOTHING",
    "Blank",
    "CrmMapping",
    "EvidenceSource",
    "FieldSource",
    "Gap",
    "LatestSource",
    "LookupSource",
    "MappedObject",
    "PersonAccount",
    "RelatedSource",
    "StageHistory",
    "ThroughPeople",
    "load_mapping",
    "mappings_for",
]


def load_mapping(file: Path, definition: Definition, *, lenient_about_evidence: bool = False) -> CrmMapping:
    """Read a mapping file and check it against a definition. Raises ConfigurationError with every problem.

    With ``lenient_about_evidence``, for definitions that are only tried out, an item that the mapping does not have
    is a gap, and one that only the mapping has is left aside.
    """
    return _checked(read_document(file), definition, lenient_about_evidence=lenient_about_evidence)


def mappings_for(definition: Definition, folder: Path) -> list[CrmMapping]:
    """The mappings in a folder that are written for these definitions, by name of their file; others are not checked.

    Raises ConfigurationError for a file that is not YAML, and for every problem of a mapping that is meant.
    """
    documents = [read_document(file) for file in sorted(folder.glob("*.yaml"))]
    return [
        _checked(document, definition)
        for document in documents
        if isinstance(document.data, dict) and document.data.get("definition") == definition.name
    ]


def _checked(document: Document, definition: Definition, *, lenient_about_evidence: bool = False) -> CrmMapping:
    document, words = validate(document, MappingFile)
    if lenient_about_evidence:
        words = _fitted(words, definition)
    return MappingCheck(document, words, definition).mapping()


def _fitted(words: MappingFile, definition: Definition) -> MappingFile:
    """The mapping with a source for exactly the evidence of the definition; what it does not name is a gap."""
    gap = Source(gap=SAYS_NOTHING)
    objects = {
        name: mapped.model_copy(
            update={"evidence": {item: mapped.evidence.get(item, gap) for item in definition.vocabulary}}
        )
        for name, mapped in words.objects.items()
    }
    return words.model_copy(update={"objects": objects})
