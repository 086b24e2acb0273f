"""What a field and an object are: the types behind ``describe``, the tables and the SOQL checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

TEXT_TYPES = frozenset({"string", "textarea", "picklist", "email", "phone", "url", "combobox"})
NUMBER_TYPES = frozenset({"currency", "double", "int", "percent"})
ID_TYPES = frozenset({"id", "reference"})


@dataclass(frozen=True)
class Field:
    """One field. ``type`` is a Salesforce describe type; ``length`` is in characters, 0 where it has none.

    ``computed`` is an SQL expression over ``{t}`` (the row), ``{today}`` and ``{now}``: such a field has no
    column. ``children`` names the relationship from the parent's side, where there is one. ``feature`` names what must
    be turned on in the org before it has the field.
    """

    name: str
    type: str
    label: str = ""
    length: int = 0
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    children: str | None = None
    createable: bool = True
    updateable: bool = True
    nillable: bool = True
    external_id: bool = False
    unique: bool = False
    indexed: bool = False
    filterable: bool = True
    picklist: tuple[str, ...] = ()
    default: Any = None
    computed: str | None = None
    feature: str | None = None

    @property
    def custom(self) -> bool:
        """Whether an administrator made it."""
        return self.name.endswith("__c")

    @property
    def polymorphic(self) -> bool:
        """Whether it may point to more than one object."""
        return len(self.reference_to) > 1


@dataclass(frozen=True)
class SObject:
    """One object: its fields and what the API may do with it. ``required`` lists what a create must state."""

    name: str
    key_prefix: str
    fields: tuple[Field, ...]
    label: str = ""
    plural: str = ""
    required: tuple[str, ...] = ()
    writable: bool = True
    soft_delete: bool = True

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """Fields by lower-case name: Salesforce ignores the case of names."""
        return {field.name.lower(): field for field in self.fields}

    @cached_property
    def by_relationship(self) -> Mapping[str, Field]:
        """Reference fields by lower-case relationship name."""
        return {field.relationship.lower(): field for field in self.fields if field.relationship}

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """The fields that are stored."""
        return tuple(field for field in self.fields if field.computed is None)

    def field(self, name: str) -> Field | None:
        """A field by name in any case, or None."""
        return self.by_name.get(name.lower())


@dataclass(frozen=True)
class Child:
    """A relationship from a parent to its children, such as ``Tasks`` of a Lead."""

    relationship: str
    sobject: str
    field: str


def text(name: str, length: int = 255, **more: Any) -> Field:
    """A one-line text field."""
    return Field(name, "string", length=length, **more)


def long_text(name: str, length: int = 32_000, **more: Any) -> Field:
    """A long text area, which SOQL can neither filter nor sort."""
    return Field(name, "textarea", length=length, filterable=False, **more)


def pick(name: str, *values: str, **more: Any) -> Field:
    """An unrestricted picklist: the values are offered, others are stored all the same."""
    return Field(name, "picklist", length=255, picklist=values, **more)


def ref(name: str, *targets: str, **more: Any) -> Field:
    """A lookup; the relationship is the name without ``Id``."""
    more.setdefault("relationship", name.removesuffix("Id"))
    return Field(name, "reference", length=18, reference_to=targets, **more)


def flag(name: str, **more: Any) -> Field:
    """A checkbox: never null, false unless said otherwise."""
    more.setdefault("default", 0)
    return Field(name, "boolean", nillable=False, **more)


def of(kind: str, name: str, **more: Any) -> Field:
    """A field of a type that needs nothing else."""
    lengths = {"email": 80, "phone": 40, "url": 255}
    return Field(name, kind, length=lengths.get(kind, 0), **more)


def fixed(field_type: str, name: str, **more: Any) -> Field:
    """A field that the API may read but never write."""
    if field_type == "reference":
        return ref(name, *more.pop("reference_to"), createable=False, updateable=False, **more)
    if field_type == "boolean":
        return flag(name, createable=False, updateable=False, **more)
    if field_type in {"string", "picklist"}:
        more.setdefault("length", 255)
    return Field(name, field_type, createable=False, updateable=False, **more)


MULTI_CURRENCY, PERSON_ACCOUNTS = "multi-currency", "person accounts"


def currency_code() -> Field:
    """The currency of a record's amounts, in an org that has several."""
    return pick("CurrencyIsoCode", "EUR", "USD", "GBP", "JPY", default="EUR", feature=MULTI_CURRENCY)


def record_id() -> Field:
    """The primary key."""
    return Field("Id", "id", label="Record ID", length=18, createable=False, updateable=False, nillable=False)


def system_fields() -> tuple[Field, ...]:
    """The audit fields of an ordinary object."""
    return (
        fixed("boolean", "IsDeleted"),
        fixed("datetime", "CreatedDate", nillable=False),
        fixed("reference", "CreatedById", reference_to=("User",), nillable=False),
        fixed("datetime", "LastModifiedDate", nillable=False),
        fixed("reference", "LastModifiedById", reference_to=("User",), nillable=False),
        fixed("datetime", "SystemModstamp", nillable=False, indexed=True),
    )
