"""The files of a starter configuration. They are checked before one of them is written, and none is overwritten."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stagesync.errors import UsageError
from stagesync.model.crm import Organization
from stagesync.onboarding.proposal import Proposal
from stagesync.onboarding.yaml_text import Block, Entry, Remark, text_of
from stagesync.policy.document import read_document
from stagesync.settings import ConnectionSettings, load_settings

SETTINGS = "stagesync.yaml"


def definition_files(file: Path) -> dict[str, str]:
    """Definitions with all that they extend and their tests: path below ``definitions/`` to text."""
    texts: dict[str, str] = {}
    for one in _extended(file):
        texts[one.relative_to(file.parent).as_posix()] = one.read_text(encoding="utf-8")
    tests = file.with_suffix(".tests.yaml")
    if tests.is_file():
        texts[tests.name] = tests.read_text(encoding="utf-8")
    return texts


def _extended(file: Path) -> Iterator[Path]:
    yield file
    data = read_document(file).data
    extends = data.get("extends", []) if isinstance(data, dict) else []
    for name in [extends] if isinstance(extends, str) else extends:
        yield from _extended(file.parent / name)


def planned(folder: Path, name: str, definition: Path) -> list[Path]:
    """The files that would be written. Raises UsageError, naming them, when some of them exist."""
    texts = definition_files(definition)
    files = [folder / SETTINGS, folder / mapping_path(name), *(folder / "definitions" / path for path in texts)]
    there = [file for file in files if file.exists() or file.is_symlink()]
    if there:
        names = "\n".join(f"  {file}" for file in there)
        raise UsageError(
            f"nothing is overwritten, and these files exist:\n{names}\nChoose another folder with --out. To add a "
            "connection to settings that you have, copy its lines and its mapping from there."
        )
    return files


def mapping_path(name: str) -> str:
    """Where the mapping of a connection stands, below the settings."""
    return f"mappings/{name}.yaml"


def starter(
    proposal: Proposal, connection: ConnectionSettings, organization: Organization, definition: Path
) -> dict[str, str]:
    """All files: path below the folder to text. Raises ConfigurationError when they would not pass a check."""
    texts = {
        SETTINGS: text_of(_settings(proposal, connection, organization, definition)),
        mapping_path(proposal.name): text_of(proposal.block),
        **{f"definitions/{path}": text for path, text in definition_files(definition).items()},
    }
    with tempfile.TemporaryDirectory(prefix="stagesync-init-") as scratch:
        write(Path(scratch), texts)
        load_settings(Path(scratch) / SETTINGS)
    return texts


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write new files. Raises UsageError when the folder does not let us, or somebody else wrote one meanwhile."""
    for path, text in texts.items():
        file = folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as handle:
                handle.write(text)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}; choose another folder with --out") from error


def _settings(
    proposal: Proposal, connection: ConnectionSettings, organization: Organization, definition: Path
) -> Block:
    known: dict[str, Any] = connection.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    words = {"crm": connection.crm, "mapping": mapping_path(proposal.name), **known}
    return Block(
        [
            Remark(
                "Settings of one deployment, written by `stagesync init`. Secrets come from the environment or from"
            ),
            Remark("files, never from here."),
            Entry("definitions", f"definitions/{definition.name}"),
            Remark(""),
            Remark(f"{proposal.identity.name}, {proposal.identity.key}"),
            Entry(
                "connections", Block([Entry(proposal.name, Block([Entry(key, value) for key, value in words.items()]))])
            ),
            Remark(""),
            Remark("Where the ledger and the mirror are kept, beside this file."),
            Entry("data", "data"),
            Entry("time_zone", organization.time_zone or "UTC"),
            Remark(""),
            Remark("The definitions only suggest (tasks). Let a rule write once you trust it:"),
            Remark("rules:"),
            Remark("  premature: {mode: enforce}"),
            Remark(""),
            Entry("guard", {"stage_changes": 100, "share": 0.1, "tasks": 500}),
            Entry("tasks", {"due": "3 business days"}),
            Entry("schedule", {"every": "1 hours"}),
        ]
    )
