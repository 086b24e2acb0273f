"""What people mostly mean by what is in no expression: other languages, and what word processors make of quotes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from stagesync.model.tables import ColumnType

INSTEAD: Mapping[str, str] = {
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "!": "not",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "–": "-",
    "−": "-",
    "×": "*",
    "÷": "/",
}
WORDS: Mapping[str, str] = {
    "contains": "like '%x%'",
    "includes": "like '%x%'",
    "startswith": "like 'x%'",
    "begins": "like 'x%'",
    "endswith": "like '%x'",
    "ends": "like '%x'",
    "equals": "=",
    "matches": "like '%x%'",
    "ilike": "like 'x%', where case matters",
}
QUOTES = "‘’‚“”„«»‹›`´"
MONEY = "€$£¥"
TRUTHS: Mapping[str, str] = {"yes": "true", "ja": "true", "oui": "true", "no": "false", "nein": "false", "non": "false"}
CALLED = ("today", "now")
NUMBERS = (ColumnType.INTEGER, ColumnType.NUMBER)
MOMENTS = (ColumnType.DATE, ColumnType.DATETIME)


def by_sign(sign: str) -> str:
    """`` (write: >=)`` for a sign that no condition has, or an empty string."""
    if sign in INSTEAD:
        return f" (write: {INSTEAD[sign]})"
    if sign in QUOTES:
        return " (a text stands in straight quotes: 'x')"
    return " (write the number alone)" if sign in MONEY else ""


def by_word(word: str) -> str:
    """`` (write: like '%x%')`` for a word that stands where an operator belongs, or an empty string."""
    return f" (write: {WORDS[word]})" if word in WORDS else ""


def by_name(name: str, *, quoted: bool, compared: bool) -> str:
    """What may have been meant by a name that is not known. ``compared``: it stands behind an operator."""
    if name.lower() in TRUTHS:
        return f" (write: {TRUTHS[name.lower()]})"
    if name.lower() in CALLED:
        return f" (write: {name.lower()}())"
    if quoted:
        return " (in double quotes stands a name; a text stands in single ones)"
    odd = next((letter for letter in name if not letter.isascii()), None)
    if odd is not None and not compared:
        return f" (its '{odd}' is the {unicodedata.name(odd, 'letter').lower()})"
    return f" (a text stands in quotes: '{name}')" if compared else ""


def by_types(one: ColumnType, other: ColumnType) -> str:
    """How two values of these types might be compared after all."""
    both = {one, other}
    if both <= {*MOMENTS}:
        return " (today() is a date, now() a datetime)"
    if ColumnType.BOOLEAN in both:
        return " (write true or false, without quotes)"
    if both & {*MOMENTS} and both & {*NUMBERS}:
        return " (a day stands in quotes: '2026-01-31')"
    return " (a number stands without quotes)" if ColumnType.TEXT in both and both & {*NUMBERS} else ""
