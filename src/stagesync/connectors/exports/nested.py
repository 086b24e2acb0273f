"""Values in values: what stands in the lists and objects of JSON, and in the lists and structs of Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

DEEPEST = 8


def text_of(value: object, several: str | None) -> str | None:
    """A list or an object as JSON; None for an empty one, which is blank.

    Where the export says what stands between several ids, a list of ids is what a cell of a CSV file would be.
    """
    if not value:
        return None
    if several is not None and isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return several.join(map(str, value))
    return msgspec.json.encode(value).decode()


def paths(row: Mapping[str, object], *, above: str = "", depth: int = 1) -> Iterator[str]:
    """The keys of an object, and those of the objects in it with the way to them: ``custom.pain``."""
    for key, value in row.items():
        yield above + key
        if isinstance(value, dict) and depth < DEEPEST:
            yield from paths(value, above=f"{above}{key}.", depth=depth + 1)


def at(row: Mapping[str, object], path: str) -> object:
    """The value at a path; a key that has the dot in its own name goes first. None where there is none."""
    if path in row:
        return row[path]
    for end, letter in enumerate(path):
        inner = row.get(path[:end]) if letter == "." else None
        if isinstance(inner, dict) and (found := at(inner, path[end + 1 :])) is not None:
            return found
    return None
