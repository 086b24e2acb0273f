"""Salesforce record ids: 15 case-sensitive characters and a 3-character suffix that encodes their case."""

from __future__ import annotations

import re
from functools import lru_cache

# In ASCII order, so that ids made in sequence also sort in sequence.
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
POD = "Ss0"
SERIAL_WIDTH = 9
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}


@lru_cache(maxsize=4096)
def _case_of(five: str) -> str:
    return SUFFIX[sum(1 << i for i, letter in enumerate(five) if "A" <= letter <= "Z")]


def checksum(id15: str) -> str:
    """The three characters that make a 15-character id safe where case is ignored."""
    return _case_of(id15[:5]) + _case_of(id15[5:10]) + _case_of(id15[10:15])


def make_id(key_prefix: str, serial: int) -> str:
    """The 18-character id number ``serial`` (0-based) of an object with this three-character prefix."""
    digits = ""
    for _ in range(SERIAL_WIDTH):
        serial, remainder = divmod(serial, 62)
        digits = DIGITS[remainder] + digits
    id15 = f"{key_prefix}{POD}{digits}"
    return id15 + checksum(id15)


def serial_of(record_id: str) -> int | None:
    """The number inside an id made by :func:`make_id`; None for an id from elsewhere."""
    if record_id[3:6] != POD:
        return None
    serial = 0
    for digit in record_id[6:15]:
        serial = serial * 62 + _VALUES[digit]
    return serial


def to18(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; None if it is not an id (wrong shape or checksum)."""
    if not _SHAPE.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    return text if checksum(text[:15]) == text[15:] else None
