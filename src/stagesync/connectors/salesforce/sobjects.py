"""What describe shows of an org, and what is remembered of it. Data alone: nothing here makes a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import msgspec


class PicklistValue(msgspec.Struct, frozen=True):
    value: str
    label: str | None = None
    active: bool = True


class Field(msgspec.Struct, frozen=True):
    """A field as describe shows it; ``type`` is Salesforce's own name of the type."""

    name: str
    type: str = "string"
    label: str = ""
    custom: bool = False
    createable: bool = False
    updateable: bool = False
    unique: bool = False
    externalId: bool = False
    calculated: bool = False
    relationshipName: str | None = None
    referenceTo: tuple[str, ...] = ()
    picklistValues: tuple[PicklistValue, ...] = ()

    @property
    def marked(self) -> bool:
        """A long text may hold anything: our key is a line in it, and no query can filter by it."""
        return self.type == "textarea"


class SObject(msgspec.Struct, frozen=True, dict=True):
    """An object as describe shows it."""

    name: str
    fields: tuple[Field, ...]
    label: str = ""
    queryable: bool = True
    createable: bool = False
    updateable: bool = False
    keyPrefix: str | None = None

    def field(self, name: str) -> Field | None:
        """A field by its name, which SOQL reads without regard to case."""
        return self._by_name.get(name.lower())

    @cached_property
    def _by_name(self) -> Mapping[str, Field]:
        return {field.name.lower(): field for field in reversed(self.fields)}

    def relationship(self, name: str) -> Field | None:
        """The reference field behind a relationship name (``Account`` of ``Account.Name``)."""
        lowered = name.lower()
        return next((field for field in self.fields if (field.relationshipName or "").lower() == lowered), None)


@dataclass(frozen=True)
class Seen:
    """An object as it was described ``whole``, and when the org last said that it is so; None is not there."""

    sobject: SObject | None
    at: datetime
    whole: datetime


@dataclass
class Described:
    """What one user of one org was shown, kept from run to run by who makes sessions. Moments are the org's own."""

    to: object = None
    seen: dict[str, Seen] = field(default_factory=dict)

    def now_for(self, to: object) -> Described:
        """The same, emptied where it was shown to another user or by another org."""
        if self.to != to:
            self.to = to
            self.seen.clear()
        return self
