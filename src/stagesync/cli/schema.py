"""``stagesync schema``: JSON Schema of the files that people write, for their editors, and of what is reported."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from stagesync import report
from stagesync.cli import show
from stagesync.errors import UsageError
from stagesync.policy.definition_tests import TestFile
from stagesync.policy.json_schema import schema_of
from stagesync.policy.parts import ExtendingFile, FragmentFile
from stagesync.policy.schema import DefinitionFile, MappingFile
from stagesync.settings import SettingsFile


class Kind(StrEnum):
    """The kinds of files that people write, and the kinds that StageSync writes for programs."""

    DEFINITION = "definition"
    FRAGMENT = "fragment"
    TESTS = "tests"
    MAPPING = "mapping"
    SETTINGS = "settings"
    REPORT = "report"
    PLAN = "plan"


WORDS: dict[Kind, tuple[type[BaseModel], str] | tuple[type[BaseModel], str, type[BaseModel]]] = {
    Kind.DEFINITION: (DefinitionFile, "Stage definitions of StageSync", ExtendingFile),
    Kind.FRAGMENT: (FragmentFile, "A fragment of stage definitions of StageSync"),
    Kind.TESTS: (TestFile, "Tests of stage definitions of StageSync"),
    Kind.MAPPING: (MappingFile, "A mapping of StageSync"),
    Kind.SETTINGS: (SettingsFile, "The settings of StageSync"),
}
DOCUMENTS: dict[Kind, tuple[type[Struct], str]] = {
    Kind.REPORT: (report.Report, f"A report of StageSync, version {report.REPORT_VERSION}"),
    Kind.PLAN: (report.PlanDocument, f"A plan of StageSync, version {report.REPORT_VERSION}"),
}


def schema(name: str | None, folder: Path | None) -> int:
    """Print the schema of one kind, or write it, or those of all kinds, into a folder."""
    if name is not None and name not in list(Kind):
        raise UsageError(f"there is no schema of '{name}'; there are {', '.join(Kind)}")
    kind = Kind(name) if name is not None else None
    if folder is not None:
        for one in [kind] if kind else Kind:
            file = folder / f"{one}.schema.json"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                file.write_text(text(one), encoding="utf-8")
            except OSError as error:
                raise UsageError(f"{file} cannot be written: {error.strerror}") from error
            show.err.print(f"wrote {file}", markup=False, soft_wrap=True)
        return 0
    if kind is None:
        raise UsageError(f"name one of {', '.join(Kind)} to see its schema, or give a folder for all with --out")
    sys.stdout.write(text(kind))
    return 0


def document(kind: Kind) -> dict[str, Any]:
    """The schema of one kind."""
    return schema_of(*WORDS[kind]) if kind in WORDS else report.schema_of(*DOCUMENTS[kind])


def text(kind: Kind) -> str:
    """The schema of one kind as JSON, with a line break at the end."""
    return json.dumps(document(kind), indent=2, ensure_ascii=False) + "\n"
