"""Findings of one rule in portions that are small enough to be read for the sake of one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from msgspec import structs

from stagesync.model.findings import OF_EACH, Findings, Told

ENTRY = 1_000
"""How many findings an entry tells: 0.4 MB, of which one is found in about a millisecond."""


def portions(findings: Findings, size: int = ENTRY) -> Iterator[tuple[slice, Findings]]:
    """The findings in their order, at most ``size`` at once, each with where they stood."""
    count = len(findings.record)
    if count <= size:
        yield slice(0, count), findings
        return
    for start in range(0, count, size):
        part = slice(start, min(start + size, count))
        columns = {name: getattr(findings, name)[part] for name in OF_EACH}
        told = [_portion(one, part) for one in findings.evidence]
        yield part, structs.replace(findings, evidence=[one for one in told if one.of], **columns)


def _portion(told: Told, part: slice) -> Told:
    rows = _rows(told.of, part)
    return Told(
        cited=told.cited,
        of=[place - part.start for place in told.of[rows]],
        reason=told.reason[rows],
        value=told.value[rows],
    )


def _rows(places: Sequence[int], part: slice) -> slice:
    # What is told stands in the order of the findings.
    return slice(bisect_left(places, part.start), bisect_left(places, part.stop))
