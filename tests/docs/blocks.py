"""Fenced blocks of the Markdown files, with what an HTML comment right above one says about it.

``<!-- not run: REASON -->``   a command block that a test cannot carry out
``<!-- sandbox -->``           its Salesforce is the embedded one, with the credentials in the environment
``<!-- exit: N -->``           its last command ends with this code instead of 0
``<!-- fragment: REASON -->``  YAML that is not a whole file
``<!-- demo output -->``       the real output of ``stagesync demo``; ``make readme`` writes it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COMMANDS = frozenset({"console", "sh", "bash", "shell"})

_FENCE = re.compile(r"^```(?P<language>[a-z]*)\s*$")
_MARK = re.compile(r"^<!--\s*(?P<name>not run|exit|fragment|demo output|sandbox)(?::\s*(?P<value>.*?))?\s*-->$")


@dataclass(frozen=True)
class Block:
    """``text`` between two fences; ``line`` is that of the opening one, counted from 1."""

    file: Path
    line: int
    language: str
    mark: str | None
    value: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPOSITORY)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One line a reader types, and what the document says that it prints; None where it says nothing."""

    block: Block
    line: str
    shows: str | None


def documents() -> list[Path]:
    """Every Markdown file that people read."""
    return sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def blocks(file: Path) -> list[Block]:
    found: list[Block] = []
    language: str | None = None
    opened, body = 0, list[str]()
    mark: tuple[str | None, str] = (None, "")
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if language is not None:
            if line.rstrip() == "```":
                found.append(Block(file, opened, language, *mark, "\n".join(body)))
                language, mark = None, (None, "")
            else:
                body.append(line)
        elif fence := _FENCE.match(line):
            language, opened, body = fence["language"], number, []
        elif said := _MARK.match(line):
            mark = (said["name"], said["value"] or "")
        elif line.strip():
            mark = (None, "")
    if language is not None:
        raise ValueError(f"{file}:{opened}: the block is not closed")
    return found


def commands(block: Block) -> list[Command]:
    """What stands behind ``$ `` in a console block, with the output below it; every line of a shell block."""
    if block.language != "console":
        lines = block.text.replace("\\\n", "").splitlines()
        return [Command(block, line.strip(), None) for line in lines if line.strip() and not line.startswith("#")]
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(block, line.removeprefix("$ "), None))
        elif not found:
            raise ValueError(f"{block}: a console block begins with '$ '")
        else:
            last = found[-1]
            found[-1] = Command(block, last.line, line if last.shows is None else f"{last.shows}\n{line}")
    return found
