"""What two runs of the same command may differ in, taken out of their output."""

from __future__ import annotations

import re

DOTS = "..."

_VARIES = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{4}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b"), "HASH"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?UTC|Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|seconds?)\b"), "DURATION"),
    (re.compile(r"\b(?:127\.0\.0\.1|localhost):\d+"), "ADDRESS"),
    # The invented company lives up to today, so its dates move with the day.
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DATE"),
    # Where the product or its temporary folders lie; columns behind it move with its length.
    (re.compile(r"(?:/[\w.-]+)*/(?:stagesync|tmp|config)[\w.-]*(?:/[\w.-]+)*(?P<gap> {2,})?"), "PATH "),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


def same_each_time(text: str) -> str:
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return text.strip("\n")


def shows(expected: str, actual: str) -> bool:
    """Whether ``actual`` is what the document shows; a line of dots stands for any number of lines."""
    lines = same_each_time(actual).splitlines()
    parts = _parts(same_each_time(expected).splitlines())
    at = 0
    for number, part in enumerate(parts):
        # What stands before the first dots is at the start, what stands behind the last is at the end.
        first, last = number == 0, number == len(parts) - 1
        earliest = max(at, len(lines) - len(part)) if last else at
        latest = 0 if first else len(lines) - len(part)
        starts = (start for start in range(earliest, latest + 1) if lines[start : start + len(part)] == part)
        found = next(starts, None)
        if found is None:
            return False
        at = found + len(part)
    return True


def refreshed(shown: str, actual: str) -> str:
    """``shown`` as the product prints it now: the same excerpts, each from its first line to its last.

    A line is known again by its words; its numbers may have changed. Raises ValueError where one is gone.
    """
    lines = [line.rstrip() for line in actual.strip("\n").splitlines()]
    known = [_words(line) for line in lines]
    at, kept = 0, list[str]()
    parts = _parts(shown.splitlines())
    for number, part in enumerate(parts):
        if number:
            kept.append(DOTS)
        if part or len(parts) == 1:
            # What begins or ends the text is shown from the first line or to the last, even if lines were added.
            start = 0 if number == 0 else _place(known, part[0], at)
            end = _place(known, part[-1], start) if number < len(parts) - 1 else len(lines) - 1
            at = end + 1
            kept += lines[start:at]
    return "\n".join(kept)


def _place(known: list[str], line: str, at: int) -> int:
    try:
        return known.index(_words(line), at)
    except ValueError as error:
        raise ValueError(f"no longer printed here: {line}") from error


def _parts(lines: list[str]) -> list[list[str]]:
    """What stands before, between and behind lines of dots; an empty part where the dots begin or end the text."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == DOTS:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _words(line: str) -> str:
    return re.sub(r"\d[\d,.]*", "0", re.sub(r" {2,}", " ", same_each_time(line))).strip()
