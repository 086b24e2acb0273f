"""What is read from a CRM: tables with typed columns. How their rows travel stands in ``frames``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

UNREADABLE = "?unreadable"


class ColumnType(StrEnum):
    """The types of evidence and of columns."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


class Table(Struct, frozen=True, kw_only=True):
    """A table to read, with only the columns that some rule needs.

    ``name`` is the CRM's own: ``Opportunity``, ``deals``, or a file's stem in an export. ``key`` is the column
    of the record id, always read. ``links`` are the tables to which the CRM's associations must be read as
    well (HubSpot); they come as a table named ``<name>~<link>`` with the text columns ``from`` and ``to``.
    ``history_of`` is set for a table of past values of one property (HubSpot's ``deals.history``, or
    ``deals.closedate.history`` for another property of the same object): it names the property; the columns are then
    ``record``, that property, ``before`` (its value until then), ``at`` and ``by``. ``headers`` names, for columns
    that an export has under another header, that header.
    """

    name: str
    key: str
    columns: Mapping[str, ColumnType]
    links: tuple[str, ...] = ()
    history_of: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> str:
        """The column that says which record a row is of: the key, or ``record`` in a table of past values."""
        return self.key if self.history_of is None else "record"


class Missing(Struct, frozen=True, kw_only=True):
    """Columns of a table that cannot be read, each with the reason in words ("this token may not read it")."""

    table: str
    columns: Mapping[str, str] = field(default_factory=dict)
