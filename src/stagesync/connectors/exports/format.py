"""How the files of an export are written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """How the files of an export are written.

    ``dates`` and ``datetimes`` are formats of strptime, tried in order (``%.f`` is a fraction of a second).
    ``time_zone`` is an IANA name: moments without an offset are in it. ``empty`` are texts that mean blank, beside
    the empty cell itself, ``yes`` and ``no`` texts that mean true and false, beside the English ones; case and
    surrounding space do not matter. ``blank_is_false`` reads a blank boolean as
    false, as Salesforce's own exports mean it. ``several`` stands between the ids in a cell that names several.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    dates: tuple[str, ...] = ("%Y-%m-%d",)
    datetimes: tuple[str, ...] = ("%Y-%m-%dT%H:%M:%S%.f%z",)
    time_zone: str = "UTC"
    decimal: str = "."
    empty: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    blank_is_false: bool = False
    several: str | None = None
