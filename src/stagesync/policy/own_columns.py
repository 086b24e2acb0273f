"""Which columns of a record are read, and as what.

A field of a CRM has one type. A cell of a file is what it is read as: ``Status`` may be the stage, and also say whether
the deal is won (``yes: [won]``). Such a column is read once for each type, the second time as ``Status as boolean``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import structs

from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.policy.document import Document, KeyPath
from stagesync.policy.mapped import EvidenceSource, FieldSource, LatestSource, LookupSource

ALIKE = ({ColumnType.INTEGER, ColumnType.NUMBER}, {ColumnType.DATE, ColumnType.DATETIME})
"""Types of which one can be made of the other."""
NAME = ("name",)


def unusable(column: str) -> str | None:
    """Why no column of this name can be read, though a file may have it: the engine takes it for something else."""
    pattern = column == "*" or (column.startswith("^") and column.endswith("$"))
    if pattern or column.startswith(":") or column.endswith(UNREADABLE):
        return f"no column called '{column}' can be read; rename it in the file"
    return None


@dataclass
class OwnColumns:
    """The columns of one object as they are asked for.

    ``types`` says what each is read as, ``headers`` under which header those stand in the file that have another name.
    ``files`` says whether the object is a file of an export.
    """

    document: Document
    path: KeyPath
    key: str
    files: bool
    types: dict[str, ColumnType] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked_by: dict[str, KeyPath] = field(default_factory=dict)

    def read(self, column: str, kind: ColumnType, *word: str | int) -> str:
        """The name under which a column is read as this type. A type that a CRM's field cannot have beside that for
        which it is asked already is a problem at ``word``, the place below the object that asks for it."""
        if (said := unusable(column)) is not None:
            self.document.problem((*self.path, *word), said)
        known = ColumnType.TEXT if column == self.key else self.types.get(column)
        if known is None:
            self.types[column], self.asked_by[column] = kind, word
        if known is None or known is kind:
            return column
        if self.files:
            other = f"{column} as {kind}"
            self.types[other], self.headers[other] = kind, column
            return other
        if self.asked_by.get(column) == NAME:
            self.types[column], self.asked_by[column] = kind, word  # any value can be a part of a name
        elif {known, kind} not in ALIKE and column != self.key:
            first = ".".join(map(str, self.asked_by[column]))
            message = f"'{column}' is read as {kind} here and as {known} for '{first}'; a field has one type"
            self.document.problem((*self.path, *word), message)
        return column

    def optional(self, column: str | None, kind: ColumnType, *word: str | int) -> str | None:
        """As ``read``, of a column that a mapping need not name."""
        return None if column is None else self.read(column, kind, *word)

    def evidence(
        self, evidence: Mapping[str, EvidenceSource], vocabulary: Mapping[str, ColumnType]
    ) -> dict[str, EvidenceSource]:
        """The evidence with the names under which its columns are read."""
        return {item: self._source(source, vocabulary[item], "evidence", item) for item, source in evidence.items()}

    def _source(self, source: EvidenceSource, kind: ColumnType, *word: str | int) -> EvidenceSource:
        match source:
            case FieldSource(column=column):
                return FieldSource(column=self.read(column, kind, *word))
            case LookupSource(by=by):
                return structs.replace(source, by=self.read(by, ColumnType.TEXT, *word, "by"))
            case LatestSource(sources=sources):
                return LatestSource(sources=tuple(self._parts(sources, kind, *word)))
        return source

    def _parts(
        self, sources: tuple[EvidenceSource, ...], kind: ColumnType, *word: str | int
    ) -> Iterator[EvidenceSource]:
        for number, source in enumerate(sources):
            yield self._source(source, kind, *word, "latest", number)
