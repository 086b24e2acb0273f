"""A parsed SOQL query. ``position`` is always a 0-based offset into the text, for error messages."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Path:
    """A field, maybe through parents: ``Owner.IsActive`` is ``("Owner", "IsActive")``."""

    parts: tuple[str, ...]
    position: int

    @property
    def text(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Call:
    """A function: an aggregate (``COUNT(Id)``) or a date part (``CALENDAR_YEAR(CloseDate)``)."""

    name: str
    path: Path | None
    position: int


Operand = Path | Call


@dataclass(frozen=True)
class Column:
    """A field or function in SELECT, with its alias if it has one."""

    what: Operand
    alias: str | None = None


@dataclass(frozen=True)
class Fields:
    """``FIELDS(ALL)``, ``FIELDS(STANDARD)`` or ``FIELDS(CUSTOM)``."""

    group: str
    position: int


@dataclass(frozen=True)
class TypeOf:
    """``TYPEOF What WHEN Account THEN Name ELSE Id END``."""

    path: Path
    branches: tuple[tuple[str, tuple[Path, ...]], ...]
    otherwise: tuple[Path, ...]


@dataclass(frozen=True)
class Literal:
    """A value. ``kind``: string (raw, still escaped), number, boolean, null, date, datetime or period.

    A period is a date literal such as ``LAST_N_DAYS``; ``count`` is its number, None where it has none.
    """

    kind: str
    text: str
    position: int
    count: int | None = None


@dataclass(frozen=True)
class Compare:
    """``operand op value`` with op one of ``= != < <= > >= LIKE``."""

    operand: Operand
    op: str
    value: Literal


@dataclass(frozen=True)
class Membership:
    """``IN``, ``NOT IN`` (values or a sub-query), ``INCLUDES`` and ``EXCLUDES``."""

    operand: Operand
    op: str
    values: tuple[Literal, ...]
    query: Query | None
    position: int


@dataclass(frozen=True)
class Both:
    """Conditions joined by one operator, ``AND`` or ``OR``."""

    op: str
    items: tuple[Condition, ...]


@dataclass(frozen=True)
class Negation:
    """``NOT condition``."""

    item: Condition


Condition = Compare | Membership | Both | Negation


@dataclass(frozen=True)
class Order:
    """One key of ORDER BY; SOQL puts nulls first unless told otherwise."""

    what: Operand
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A whole query, or a sub-query (whose ``source`` is then a relationship name)."""

    columns: tuple[Selected, ...]
    source: str
    source_position: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Operand, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    offset_position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Nested:
    """A child sub-query in SELECT."""

    query: Query


Selected = Column | Fields | TypeOf | Nested
