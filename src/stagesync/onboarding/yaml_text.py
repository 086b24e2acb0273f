"""YAML as a person would write it, with comments; what is written reads back as the same data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 118
INDENT = "  "
PLAIN = frozenset(" _./()&+-'=<>%")
NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "off", "y", "n"})
"""Words that some reader of YAML takes for something else than text; ``on`` is a word of mappings."""
HARMLESS = re.compile(r"https?://[\w./:-]+|[0-9]+( [a-z]+)+", re.ASCII)


@dataclass(frozen=True)
class Remark:
    """A comment on lines of its own."""

    text: str


@dataclass(frozen=True)
class Entry:
    """One key of a mapping, with a comment beside it. A value that is a Block stands below its key."""

    key: str
    value: Any
    comment: str = ""


@dataclass(frozen=True)
class Block:
    """A mapping with comments."""

    entries: Sequence[Entry | Remark]

    def data(self) -> dict[str, Any]:
        """What is left without the comments."""
        return {
            entry.key: entry.value.data() if isinstance(entry.value, Block) else entry.value
            for entry in self.entries
            if isinstance(entry, Entry)
        }


def text_of(block: Block) -> str:
    """The text of a file."""
    return "\n".join(_block(block, "")) + "\n"


def scalar(value: object) -> str:
    """A text, number or truth value; a text is quoted unless no reader could take it for anything else."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    if HARMLESS.fullmatch(text):
        return text
    plain = text[:1].isalpha() and text.isprintable() and not text.endswith(" ")
    if plain and text.casefold() not in NOT_TEXT and all(c.isalnum() or c in PLAIN for c in text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in written)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _block(block: Block, indent: str) -> Iterator[str]:
    for entry in block.entries:
        if isinstance(entry, Remark):
            yield from _comment(entry.text, indent)
            continue
        beside = f"  # {_one_line(entry.comment)}" if entry.comment else ""
        if isinstance(entry.value, Block):
            yield f"{indent}{scalar(entry.key)}:{beside}"
            yield from _block(entry.value, indent + INDENT)
        else:
            yield from _value(f"{indent}{scalar(entry.key)}:", entry.value, indent, beside)


def _value(head: str, value: Any, indent: str, beside: str = "") -> Iterator[str]:
    """On one line where it fits, else one line for each of its parts, or filled up where these are plain."""
    if len(f"{head} {flow(value)}") <= WIDTH or not isinstance(value, Mapping | list):
        yield f"{head} {flow(value)}{beside}"
        return
    if not any(isinstance(part, Mapping | list) for part in (value.values() if isinstance(value, Mapping) else value)):
        filled = list(_filled(f"{head} ", value))
        yield from filled[:-1]
        yield filled[-1] + beside
        return
    yield head + beside
    inner = indent + INDENT
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _value(f"{inner}{scalar(key)}:", part, inner)
    else:
        for part in value:
            yield from _filled(f"{inner}- ", part) if isinstance(part, Mapping | list) else [f"{inner}- {flow(part)}"]


def _filled(head: str, value: Mapping[str, Any] | list[Any]) -> Iterator[str]:
    """Data in braces over as many lines as it needs."""
    whole = flow(value)
    if not value:
        yield head + whole
        return
    line, margin = head + whole[0], " " * (len(head) + 1)
    parts = _pairs(value) if isinstance(value, Mapping) else [flow(part) for part in value]
    for position, part in enumerate(parts):
        said = part + ("," if position < len(parts) - 1 else whole[-1])
        if position and len(line) + 1 + len(said) > WIDTH:
            yield line
            line = margin + said
        else:
            line += f"{' ' if position else ''}{said}"
    yield line


def _pairs(value: Mapping[str, Any]) -> list[str]:
    return [f"{scalar(key)}: {flow(part)}" for key, part in value.items()]


def flow(value: Any) -> str:
    """Data on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(_pairs(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in text.splitlines() or [""]:
        yield f"{indent}# {_one_line(line)}".rstrip() if line else ""


def _one_line(text: str) -> str:
    """What an org calls its stages may hold anything; a comment ends with its line."""
    return "".join(c if c.isprintable() else " " for c in text)
