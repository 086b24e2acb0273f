"""SOQL text, built only here. Names come from the org's own describe, values are quoted, ids are checked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from urllib.parse import quote_plus

ID = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?")
PLAIN = re.compile(r"[\w.-]*", re.ASCII)
"""Ids and keys: what needs no escape in a query, and none in a URL."""
IN_ITEMS = 200
# URI and headers together may have 16,384 bytes: help.salesforce.com, article 000386264. The headers have ours.
IN_BYTES = 8_000
ESCAPES = {"\\": r"\\", "'": r"\'", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}
# Ends of lines and controls are written by their code, so that a query is one line whatever a value holds:
# developer.salesforce.com/docs, "Quoted String Escape Sequences"
BY_CODE = frozenset({"Cc", "Zl", "Zp"})


def is_id(text: str) -> bool:
    """Whether a text is a record id of 15 or 18 characters; nothing else may reach a path or a query."""
    return ID.fullmatch(text) is not None


def same(record_id: str) -> str:
    """The part of an id that names the record; the last three of 18 characters are a checksum of its case."""
    return record_id[:15]


def quoted(text: str) -> str:
    """A text literal."""
    return f"'{text}'" if PLAIN.fullmatch(text) else "'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    return f"\\u{ord(character):04x}" if unicodedata.category(character) in BY_CODE else character


def select(fields: Sequence[str], table: str, where: str = "", order: str = "", limit: int | None = None) -> str:
    """A flat query."""
    parts = [f" WHERE {where}" if where else "", f" ORDER BY {order}" if order else ""]
    tail = "".join([*parts, "" if limit is None else f" LIMIT {limit}"])
    return f"SELECT {', '.join(fields)} FROM {table}{tail}"  # noqa: S608  # described names and quoted values only


def is_one_of(name: str, values: Sequence[str]) -> str:
    """``name IN (...)``."""
    return f"{name} IN ({','.join(quoted(value) for value in values)})"


def portions(values: Sequence[str]) -> Iterator[list[str]]:
    """The values, each once and in order, in lists that fit into a query's URL."""
    portion: list[str] = []
    size = 0
    for value in dict.fromkeys(values):
        length = len(value) + 9 if PLAIN.fullmatch(value) else len(quote_plus(quoted(value))) + 3
        if portion and (len(portion) == IN_ITEMS or size + length > IN_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(value)
        size += length
    if portion:
        yield portion
