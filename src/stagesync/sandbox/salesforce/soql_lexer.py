"""SOQL text into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stagesync.sandbox.salesforce.errors import SoqlError

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:[^'\\]|\\.)*')
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    |(?P<symbol><=|>=|!=|<>|[=<>(),:])
    )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_CODE = re.compile("[0-9a-fA-F]{4}")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True)
class Token:
    """``kind`` is string, datetime, date, number, name, symbol or end; ``text`` as it was written."""

    kind: str
    text: str
    position: int


def tokens(soql: str) -> list[Token]:
    """All tokens, closed by one of kind ``end``.

    Raises:
        SoqlError: MALFORMED_QUERY for a character or a string that cannot be read.
    """
    found: list[Token] = []
    position, end = 0, len(soql.rstrip())
    while position < end:
        match = _TOKEN.match(soql, position)
        if match is None or match.lastgroup is None:
            start = position + len(soql[position:]) - len(soql[position:].lstrip())
            if soql[start] == "'":
                raise SoqlError("MALFORMED_QUERY", "unterminated string literal", start)
            raise SoqlError("MALFORMED_QUERY", f"line 1:{start} no viable alternative at character '{soql[start]}'")
        kind = match.lastgroup
        found.append(Token(kind, match.group(kind), match.start(kind)))
        position = match.end()
    found.append(Token("end", "<EOF>", end))
    return found


def unescape(raw: str, *, like: bool = False, position: int | None = None) -> str:
    r"""The text of a quoted literal. With ``like``, ``\%`` and ``\_`` stay escaped and ``\\`` becomes two.

    Raises:
        SoqlError: MALFORMED_QUERY for an escape that SOQL does not know.
    """
    body, out, i = raw[1:-1], [], 0
    while i < len(body):
        letter = body[i]
        if letter != "\\":
            out.append(letter)
            i += 1
            continue
        escaped = body[i + 1]
        i += 2
        if escaped in "%_":
            out.append("\\" + escaped if like else escaped)
        elif escaped == "\\":
            out.append("\\\\" if like else "\\")
        elif escaped in "'\"":
            out.append(escaped)
        elif escaped.lower() in _ESCAPES:
            out.append(_ESCAPES[escaped.lower()])
        elif escaped == "u" and _CODE.fullmatch(body[i : i + 4]):
            out.append(chr(int(body[i : i + 4], 16)))
            i += 4
        else:
            raise SoqlError("MALFORMED_QUERY", f"Illegal string literal: invalid escape '\\{escaped}'", position)
    return "".join(out)
