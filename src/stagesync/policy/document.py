"""Strict YAML with positions: every value knows its line and column, so that every error can name them.

YAML 1.2's core schema decides what a plain scalar is (``on``, ``yes`` and ``2026-01-01`` are text). Duplicate
keys, anchors and aliases, tags, tabs and several documents in one file are errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Never

import yaml

from stagesync.errors import ConfigurationError, Problem

Position = tuple[int, int]
KeyPath = tuple[str | int, ...]

LARGEST_FILE = 4 * 1024 * 1024
DEEPEST = 40
MANY = 40
"""Names that are no longer listed."""
INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
WORDS: dict[str, object] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}


@dataclass
class Document:
    """A YAML file as plain data, with the position (1-based line, column) of every key path.

    ``keys`` holds where the key of a mapping entry stands, ``values`` where its value starts, ``scalars`` from and
    up to which character of the source a text is written, without the header of a block.

    ``data`` may be put together of other documents, or of a part of one: ``origins`` then says for a key path from
    which document and path all below it comes. ``doubtful`` are names in parts that were left out: that they are
    missing elsewhere is no problem of its own.
    """

    file: Path
    source: str = ""
    data: Any = None
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)
    scalars: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    origins: dict[KeyPath, tuple[Document, KeyPath]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)

    def origin(self, path: KeyPath) -> tuple[Document, KeyPath]:
        """The document in which the entry of this path is written, and its path there."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                document, start = self.origins[path[:length]]
                return document.origin((*start, *path[length:]))
        return self, path

    def at(self, path: KeyPath, *, key: bool = False) -> Position:
        """Where the entry at this path stands, or its nearest parent that is written in the file."""
        written, path = self.origin(path)
        if written is not self:
            return written.at(path, key=key)
        chosen = self.keys if key else self.values
        while path and path not in chosen:
            path = path[:-1]
        return chosen.get(path, (1, 1))

    def problem(self, path: KeyPath, message: str, *, key: bool = False) -> None:
        """Note a problem at the entry of this path."""
        self._note(self.said(path, message, key=key))

    def said(self, path: KeyPath, message: str, *, key: bool = False) -> Problem:
        """A problem at the entry of this path, which is not noted yet."""
        written, path = self.origin(path)
        line, column = written.at(path, key=key)
        return Problem(file=written.file, line=line, column=column, message=message)

    def problem_inside(self, path: KeyPath, message: str, offset: int, token: str) -> None:
        """Note a problem inside a text value: at ``token``, which starts at ``offset`` of the value.

        The value may be quoted or folded over lines in the file, so the token is looked for there: it is the
        same occurrence of it, counted from the start of the value.
        """
        written, there = self.origin(path)
        value, source = written._value(there), written.source
        start, end = written.scalars.get(there, (0, 0))
        if not token or not isinstance(value, str):
            return self.problem(path, message)
        # Offsets count from the first character that is no space: the words of a file are read without margins.
        before = value[: offset + len(value) - len(value.lstrip())].count(token)
        token = _as_quoted(token, source[start : start + 1])
        index = start - 1
        for _ in range(before + 1):
            index = source.find(token, index + 1, end)
            if index < 0:
                return self.problem(path, message)
        line = source.count("\n", 0, index) + 1
        column = index - (source.rfind("\n", 0, index) + 1) + 1
        return self._note(Problem(file=written.file, line=line, column=column, message=message))

    def _note(self, problem: Problem) -> None:
        if not any(f"'{name}'" in problem.message for name in self.doubtful):
            self.problems.append(problem)

    def _value(self, path: KeyPath) -> Any:
        value = self.data
        for step in path:
            value = value[step]
        return value

    def without(self, places: Set[KeyPath], instead: Mapping[KeyPath, Any]) -> Document:
        """The document without the entries at these paths, and with others; it notes problems as this one does."""
        rest = Document(file=self.file, source=self.source, problems=self.problems, origins={(): (self, ())})
        rest.doubtful = self.doubtful | {str(path[-1]) for path in places if path}

        def left(value: Any, path: KeyPath, at: KeyPath) -> Any:
            if isinstance(value, dict):
                kept = {
                    key: left(one, (*path, key), (*at, key)) for key, one in value.items() if (*path, key) not in places
                }
                return kept | {last: one for (*start, last), one in instead.items() if tuple(start) == path}
            if not isinstance(value, list):
                return value
            numbers = [number for number in range(len(value)) if (*path, number) not in places]
            for position, number in enumerate(numbers):
                if position != number:
                    rest.origins[(*at, position)] = (self, (*path, number))
            return [left(value[n], (*path, n), (*at, position)) for position, n in enumerate(numbers)]

        rest.data = left(self.data, (), ())
        return rest

    @property
    def sources(self) -> tuple[str, ...]:
        """The text of every file that the data comes from, this one first."""
        others = {id(document): document for document, _ in self.origins.values() if document is not self}
        found = dict.fromkeys(text for document in others.values() for text in document.sources)
        return (self.source, *(text for text in found if text != self.source))

    def raise_problems(self) -> None:
        """Raise one error that lists everything noted, in the order of the file."""
        if self.problems:
            raise problems_error(self.problems)


def problems_error(problems: list[Problem]) -> ConfigurationError:
    """One error for all problems, sorted by file and place."""
    unique = sorted(set(problems))
    count = f"{len(unique)} problem{'s' if len(unique) > 1 else ''}"
    return ConfigurationError(f"{count} in the configuration:", tuple(unique))


def read_document(file: Path) -> Document:
    """Read a YAML file. Raises ConfigurationError with file, line and column for whatever is not strict YAML."""
    document = Document(file=file)
    text = document.source = _read_text(document)
    try:
        _refuse_references(document, text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        document.data = _construct(document, node, (), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        _fail(document, line, column, _plain(error, text, mark))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        _fail(document, line, column, f"a control character (U+{error.character:04X}) cannot stand in the file")
    except yaml.YAMLError as error:
        _fail(document, 1, 1, f"is not YAML: {error}".splitlines()[0])
    except RecursionError:
        _fail(document, 1, 1, f"is nested deeper than {DEEPEST} levels")
    return document


def _read_text(document: Document) -> str:
    file = document.file
    # A pipe of the shell (``<(...)``) is under /dev; any other would be waited for, perhaps for ever.
    if file.is_fifo() and not file.is_relative_to("/dev"):
        raise ConfigurationError(f"{file}: cannot be read: it is a pipe and no file")
    try:
        with file.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{document.file}: no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{document.file}: cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST_FILE:
        _fail(document, 1, 1, f"is larger than {LARGEST_FILE // 1024 // 1024} MB; definitions are written by people")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return _fail(document, line, 1, "is not UTF-8 text; save the file as UTF-8")


def _refuse_references(document: Document, text: str) -> None:
    for depth, event in _events_with_depth(text):
        line, column = (event.start_mark.line + 1, event.start_mark.column + 1) if event.start_mark else (1, 1)
        if depth > DEEPEST:
            _fail(document, line, column, f"is nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            _fail(document, line, column, "anchors and aliases (& and *) are not allowed here")
        if getattr(event, "tag", None):
            _fail(document, line, column, "tags (!) are not allowed here")


def _events_with_depth(text: str) -> Iterator[tuple[int, yaml.Event]]:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield depth, event


def _construct(document: Document, node: yaml.Node | None, path: KeyPath, depth: int) -> Any:
    if node is None:
        return None
    document.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        return _construct_mapping(document, node, path, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(document, item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode):
        return None
    document.scalars[path] = (_first_character(document.source, node), node.end_mark.index)
    return _scalar(node)


def _construct_mapping(document: Document, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, yaml.ScalarNode):
            _fail(document, line, column, "a key must be a word, not a list or a mapping")
        key = str(key_node.value)
        if key in result:
            message = f"'{key}' stands twice in the same mapping"
            document.problems.append(Problem(file=document.file, line=line, column=column, message=message))
            continue
        document.keys[(*path, key)] = (line, column)
        result[key] = _construct(document, value_node, (*path, key), depth + 1)
    return result


def _as_quoted(token: str, quote: str) -> str:
    return {"'": token.replace("'", "''"), '"': token.replace('"', '\\"')}.get(quote, token)


def _first_character(source: str, node: yaml.ScalarNode) -> int:
    start: int = node.start_mark.index
    # The header of a block, such as ``>-``, holds characters that expressions hold as well.
    return source.find("\n", start) + 1 if node.style in ("|", ">") else start


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    # A plain scalar has the style None in yaml's own loader and "" in that of libyaml.
    if node.style:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text) and math.isfinite(value := float(text)):
        return value
    return text


def _plain(error: yaml.MarkedYAMLError, text: str, mark: yaml.Mark | None) -> str:
    words = " ".join(part for part in (error.context, error.problem) if part)
    if "a tab" in words or (mark is not None and text[mark.index : mark.index + 1] == "\t"):
        return "a tab cannot be used for indentation; use spaces"
    inside = (
        " (inside { } and [ ], a text with a comma, a colon or a bracket stands in quotes)" if " flow " in words else ""
    )
    return f"is not YAML: {words}{inside}"


def _fail(document: Document, line: int, column: int, message: str) -> Never:
    raise problems_error([*document.problems, Problem(file=document.file, line=line, column=column, message=message)])


def nearest(name: str, known: Iterator[str] | list[str] | tuple[str, ...] | set[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest known name, or an empty string."""
    lower = {one.lower(): one for one in sorted(known, reverse=True)}
    matches = get_close_matches(name.lower(), sorted(lower), n=1, cutoff=0.6)
    return f" (did you mean '{lower[matches[0]]}'?)" if matches else ""


def among(name: str, known: Sequence[str]) -> str:
    """The nearest known name as ``nearest`` says it, or all there are, unless these are many."""
    if hint := nearest(name, list(known)):
        return hint
    names = list(dict.fromkeys(known))
    if not names:
        return "; there is none"
    return f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if len(names) < MANY else ""
