"""What two runs of the same command may differ in, taken out of their output."""

from __future__ import annotations

import re
from itertools import groupby

_VARIES = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{4}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b"), "HASH"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?UTC|Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|seconds?)\b"), "DURATION"),
    (re.compile(r"\b(?:127\.0\.0\.1|localhost):\d+"), "ADDRESS"),
    (re.compile(r"(?:/[\w.-]+)*/(?:stagesync|tmp|pytest)[\w.-]*(?:/[\w.-]+)*"), "PATH"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


def same_each_time(text: str) -> str:
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return text.strip("\n")


def shows(expected: str, actual: str) -> bool:
    """Whether ``actual`` is what the document shows; a line of dots stands for any number of lines."""
    wanted, lines = same_each_time(expected).splitlines(), same_each_time(actual).splitlines()
    parts = [list(part) for dots, part in groupby(wanted, key=lambda line: line.strip() in ("...", "…")) if not dots]
    open_start = bool(wanted) and wanted[0].strip() in ("...", "…")
    open_end = bool(wanted) and wanted[-1].strip() in ("...", "…")
    at = 0
    for number, part in enumerate(parts):
        first, last = number == 0 and not open_start, number == len(parts) - 1 and not open_end
        starts = range(at, len(lines) - len(part) + 1)
        if last:
            starts = range(max(at, len(lines) - len(part)), len(lines) - len(part) + 1)
        found = next((start for start in starts if lines[start : start + len(part)] == part), None)
        if found is None or (first and found != 0):
            return False
        at = found + len(part)
    return bool(parts) or not lines or open_start
