"""Definitions put together of several files: ``extends`` names files whose parts a definition takes over.

Mappings are merged key by key, and lists of things with an id by their ids: a definition adds to what it extends, or
says one thing of it otherwise. Every part still knows the file and line where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stagesync.policy.document import Document, KeyPath, nearest, read_document

BY_ID = ("requires", "contradictions", "waivers")
ADDED_UP = ("placeholders",)
ITS_OWN = ("fragment", "definition", "extends", "without")
"""What a file says of itself, and nobody takes over."""
LADDERS = ("ladder", "ladders")


@dataclass(frozen=True)
class _Part:
    """A value with the place where it is written; mappings and lists hold parts."""

    value: Any
    document: Document
    path: KeyPath

    @property
    def id(self) -> str | None:
        """The text under ``id``, if this is a mapping that has one."""
        name = self.value.get("id") if isinstance(self.value, dict) else None
        return name.value if isinstance(name, _Part) and isinstance(name.value, str) else None


def read_definition(file: Path) -> Document:
    """A definition file with all that it extends, as one document.

    What is wrong with ``extends`` and ``without`` is noted in it. Raises ConfigurationError for a file that is not
    strict YAML, and for a fragment.
    """
    document = read_document(file)
    if isinstance(document.data, dict) and "fragment" in document.data:
        message = "this is a fragment, made to be named under 'extends' of a definition; it cannot judge by itself"
        document.problem(("fragment",), message, key=True)
        document.raise_problems()
    if not isinstance(document.data, dict) or "extends" not in document.data:
        if isinstance(document.data, dict) and document.data.get("without"):
            document.problem(("without",), "nothing can be left out: no file is named under 'extends'", key=True)
        return document
    whole = Document(file=document.file, source=document.source, problems=document.problems)
    whole.data = _written(_extended(document, (file.resolve(),), document), (), whole)
    return whole


def _extended(document: Document, files: tuple[Path, ...], notes: Document) -> _Part:
    """A document with what it extends under it. ``files`` are those that led here, ``notes`` takes the problems."""
    own = _part(document, document.data, ())
    if not isinstance(own.value, dict):
        return own
    base: _Part | None = None
    for path, name in _named(document):
        file = document.file.parent / name
        if file.resolve() in files:
            chain = " -> ".join([*(one.name for one in files), file.name])
            notes.problems.append(document.said(path, f"extends itself: {chain}"))
        elif not file.is_file():
            near = [str(one.relative_to(document.file.parent)) for one in document.file.parent.rglob("*.yaml")]
            notes.problems.append(document.said(path, f"there is no file {file}{nearest(name, near)}"))
        else:
            part = _extended(read_document(file), (*files, file.resolve()), notes)
            if not isinstance(part.value, dict):
                notes.problems.append(
                    document.said(path, f"{file} is empty or not a mapping; it holds nothing to extend")
                )
                continue
            base = part if base is None else _merged(base, part)
    if base is None or not isinstance(base.value, dict):
        return own
    without = own.value.get("without")
    left_out = without.value if without is not None and isinstance(without.value, list) else []
    known = set(_ids(base))
    for name in left_out:
        if isinstance(name.value, str) and name.value not in known:
            message = f"nothing that is extended has the id '{name.value}'{nearest(name.value, known)}"
            notes.problems.append(document.said(name.path, message))
    base = _without(base, {name.value for name in left_out if isinstance(name.value, str)})
    other_ladders = LADDERS if any(name in own.value for name in LADDERS) else ()
    taken = {key: part for key, part in base.value.items() if key not in (*ITS_OWN, *other_ladders)}
    return _merged(replace(base, value=taken), own)


def _named(document: Document) -> Iterator[tuple[KeyPath, str]]:
    extends = document.data.get("extends")
    if isinstance(extends, str):
        yield ("extends",), extends
    for number, name in enumerate(extends if isinstance(extends, list) else ()):
        if isinstance(name, str):
            yield ("extends", number), name


def _part(document: Document, value: Any, path: KeyPath) -> _Part:
    if isinstance(value, dict):
        value = {key: _part(document, one, (*path, key)) for key, one in value.items()}
    elif isinstance(value, list):
        value = [_part(document, one, (*path, number)) for number, one in enumerate(value)]
    return _Part(value, document, path)


def _merged(base: _Part, over: _Part, key: str = "") -> _Part:
    match base.value, over.value:
        case dict(), dict():
            added = {
                name: _merged(base.value[name], part, name) if name in base.value else part
                for name, part in over.value.items()
            }
            return replace(over, value={**base.value, **added})
        case list(), list() if key in BY_ID:
            changed = {part.id: part for part in over.value if part.id is not None}
            kept = [_merged(part, changed[part.id]) if part.id in changed else part for part in base.value]
            ids = {part.id for part in base.value} - {None}
            return replace(over, value=[*kept, *(part for part in over.value if part.id not in ids)])
        case list(), list() if key in ADDED_UP:
            return replace(over, value=[*base.value, *over.value])
    return over


def _ids(part: _Part, key: str = "") -> Iterator[str]:
    """The ids of all that a file that extends this one may do without."""
    if isinstance(part.value, dict):
        for name, one in part.value.items():
            yield from _ids(one, name)
    elif isinstance(part.value, list) and key in BY_ID:
        yield from (one.id for one in part.value if one.id is not None)


def _without(part: _Part, names: set[str], key: str = "") -> _Part:
    if isinstance(part.value, dict):
        return replace(part, value={name: _without(one, names, name) for name, one in part.value.items()})
    if isinstance(part.value, list) and key in BY_ID:
        return replace(part, value=[one for one in part.value if one.id not in names])
    return part


def _written(part: _Part, path: KeyPath, whole: Document) -> Any:
    """The plain data of a part; the whole learns where each entry is written."""
    whole.origins[path] = (part.document, part.path)
    if isinstance(part.value, dict):
        return {key: _written(one, (*path, key), whole) for key, one in part.value.items()}
    if isinstance(part.value, list):
        return [_written(one, (*path, number), whole) for number, one in enumerate(part.value)]
    return part.value


def fragments_among(files: Sequence[Path]) -> set[Path]:
    """Which of these files are fragments. Raises ConfigurationError for a file that is not strict YAML."""
    found = ((file, read_document(file).data) for file in files)
    return {file for file, data in found if isinstance(data, dict) and "fragment" in data}
