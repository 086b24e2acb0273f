"""The shapes of HubSpot's answers. Every field is optional, as HubSpot asks clients to assume, but for the results of
a list: what is something else altogether, and valid JSON, must not look like a list without records.

Source: https://developers.hubspot.com/docs/api-reference/latest/error-handling, read 2026-11-21. Unknown
fields are skipped, so a newer server does not break an older StageSync.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import GenericAlias
from typing import Annotated, Any, ClassVar, TypeVar, cast

import msgspec

from stagesync.connectors.absence import without_nulls

ABSENT = ("NOT_FOUND", "NO_ASSOCIATIONS", "VALIDATION_ERROR")
"""Words of categories that tell of ids without a record, and of records without what was asked for."""

_WORD = re.compile(r"[\w.-]+")

T = TypeVar("T")


class Undecodable(Exception):
    """An answer that is not the JSON that was promised: cut off, HTML, or another shape."""


class _Answer(msgspec.Struct, rename="camel"):
    pass


class Next(_Answer):
    """Where the next page starts."""

    after: str | int


class Paging(_Answer):
    """Present on all pages but the last."""

    next: Next | None = None


class PastValue(_Answer):
    """One entry of a property's history, newest first in the list."""

    value: Any = None
    timestamp: str | int | None = None
    source_type: str | None = None
    source_id: str | int | None = None


class Row(_Answer):
    """One record. Values are strings or null; absent properties do not exist in the portal."""

    id: str | int
    properties: dict[str, Any] = {}


class Values(msgspec.Struct, gc=False):
    """The values of the properties that were asked for, in slots: they are read and turned into columns in half the
    time that dictionaries take."""

    places: ClassVar[Mapping[str, int]] = {}

    def get(self, name: str) -> Any:
        """The value of a property; None where it is null or absent, or was not asked for."""
        place = self.places.get(name)
        return None if place is None else msgspec.structs.astuple(self)[place]


class AskedRow(_Answer):
    """One record, with nothing but what was asked for; :func:`asked_row` makes the class to read it with."""

    id: str | int
    properties: Values = msgspec.field(default_factory=Values)
    properties_with_history: dict[str, list[PastValue]] = {}


class Detail(_Answer):
    """What is wrong with one property value, or which scopes are missing."""

    message: str | None = None
    context: Any = None


class Rejection(_Answer):
    """An error: the body of a 4xx, or one entry of a 207's ``errors``. A 429 has a policy and no category."""

    message: str | None = None
    category: str | None = None
    policy_name: str | None = None
    context: Any = None
    errors: list[Detail] | None = None

    @property
    def wordless(self) -> bool:
        """Whether nothing is said, as in the page of something on the way."""
        return not self.message and not self.category and not self.errors

    @property
    def of_absence(self) -> bool:
        """Whether it says that something is not there, as far as it says what it is."""
        category = self.category or ABSENT[0]
        return any(word in category for word in ABSENT)

    def words(self) -> str:
        """HubSpot's own words. The details say more than the message, whose list is JSON within JSON."""
        details = [detail.message for detail in self.errors or () if detail.message]
        return "; ".join(dict.fromkeys(details)) or self.message or self.category or "no reason given"

    def named(self) -> frozenset[str]:
        """What the error names: among other things the ids of rows, in a list that is not always called alike."""
        return frozenset(text for found in self._contexts() for said in found.values() for text in _texts(said))

    def scopes(self) -> tuple[str, ...]:
        """The scopes that are said to be missing."""
        named = (_texts(found.get("requiredGranularScopes", ())) for found in self._contexts())
        return tuple(dict.fromkeys(name for names in named for name in names))

    def _contexts(self) -> list[Mapping[str, Any]]:
        """A map of lists; HubSpot's documents show one that is a text too, ``{missingScopes=[scope1, scope2]}``."""
        said = [self.context, *(detail.context for detail in self.errors or ())]
        found = [{"": _WORD.findall(one)} if isinstance(one, str) else one for one in said]
        return [one for one in found if isinstance(one, dict)]


class RowPage(_Answer):
    """A page of a list."""

    results: list[AskedRow]
    paging: Paging | None = None


class SearchPage(_Answer):
    """A page of a search. ``total`` counts what the filters let through, on this page and after it."""

    results: list[Row]
    total: int | None = None
    paging: Paging | None = None


class ReadBatch(_Answer):
    """Records that were asked for by id, in no particular order; absent ones are in a 207's errors."""

    results: list[AskedRow]
    errors: list[Rejection] = []


class BatchAnswer(_Answer):
    """The answer to a batch that writes, 200 or 207; results are in no particular order, absent ids in ``errors``."""

    results: list[Row]
    errors: list[Rejection] = []


class Associated(_Answer):
    """The other end of an association. The id is text in the specification and a number on the wire."""

    to_object_id: str | int


class AssociationSource(_Answer):
    """The near end of an association."""

    id: str | int


class AssociationRow(_Answer):
    """Some of the associations of one record; ``paging`` belongs to this record."""

    source: AssociationSource = msgspec.field(name="from")
    to: list[Associated] = []
    paging: Paging | None = None


class AssociationAnswer(_Answer):
    """Associations of many records; a record without any is absent or in a 207's errors."""

    results: list[AssociationRow]
    errors: list[Rejection] = []


class Made(_Answer):
    """The two ends of an association that stands now."""

    source: AssociationSource = msgspec.field(name="from")
    to: AssociationSource


class MadeAnswer(_Answer):
    """The answer to a batch of default associations."""

    results: list[Made]
    errors: list[Rejection] = []


class AssociationLabel(_Answer):
    """One type of association between two objects; the plain one has no label."""

    type_id: int
    category: str = ""
    label: str | None = None


class AssociationLabels(_Answer):
    """All types of association from one object to another."""

    results: list[AssociationLabel]


class StageAnswer(_Answer):
    """A stage of a pipeline. The values of ``metadata`` are strings: "false" is not false in Python."""

    id: str | int
    label: str = ""
    display_order: int = 0
    archived: bool = False
    metadata: dict[str, Any] = {}
    write_permissions: str | None = None


class PipelineAnswer(_Answer):
    """A pipeline with its stages."""

    id: str | int
    label: str = ""
    display_order: int = 0
    archived: bool = False
    stages: list[StageAnswer] = []


class Pipelines(_Answer):
    """All pipelines of an object; HubSpot does not page them."""

    results: list[PipelineAnswer]


class OptionAnswer(_Answer):
    """One value of an enumeration."""

    value: str
    label: str = ""
    display_order: int = 0
    hidden: bool = False


class Modification(_Answer):
    """What may be changed of a property, by anybody."""

    read_only_value: bool = False


class PropertyAnswer(_Answer):
    """The definition of a property."""

    name: str
    label: str = ""
    type: str = ""
    options: list[OptionAnswer] = []
    has_unique_value: bool = False
    calculated: bool = False
    hubspot_defined: bool = False
    modification_metadata: Modification = msgspec.field(default_factory=Modification)
    archived: bool = False


class Properties(_Answer):
    """All properties of an object; HubSpot does not page them."""

    results: list[PropertyAnswer]


class OwnerAnswer(_Answer):
    """An owner. Records hold ``id``, never the user id, which stands in histories and stays when the user has left."""

    id: str | int
    email: str | None = None
    type: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    user_id_including_inactive: str | int | None = None


class OwnerPage(_Answer):
    """A page of owners."""

    results: list[OwnerAnswer]
    paging: Paging | None = None


class Account(_Answer):
    """Which portal a token belongs to."""

    portal_id: str | int
    ui_domain: str = "app.hubspot.com"
    time_zone: str | None = None
    account_type: str | None = None


class UsedCalls(_Answer):
    """The calls of a day."""

    usage_limit: int | None = None
    current_usage: int | None = None


class Usage(_Answer):
    """How many calls of the day are used, by kind of app."""

    results: list[UsedCalls] = []


class Disposition(_Answer):
    """An outcome that a call may have."""

    id: str
    label: str = ""
    deleted: bool = False


class TokenInfo(_Answer):
    """What a private app's token is good for."""

    hub_id: str | int
    scopes: list[str] = []


class Granted(msgspec.Struct):
    """An access token of OAuth, good for ``expires_in`` seconds."""

    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+\Z")]
    expires_in: float
    hub_id: str | int | None = None
    scopes: list[str] = []


class TokenRefusal(msgspec.Struct):
    """Why there is no token; ``status`` is a word such as BAD_REFRESH_TOKEN, and so is ``error`` in newer versions."""

    status: str | None = None
    error: str | None = None
    message: str | None = None
    error_description: str | None = None

    def words(self) -> str:
        """HubSpot's own words."""
        said = (self.status or self.error, self.message or self.error_description)
        return ": ".join(part for part in said if part) or "no reason given"


@lru_cache(maxsize=64)
def asked_row(names: tuple[str, ...]) -> type[AskedRow]:
    """The class of rows that have these properties; one that is named twice is one."""
    once = list(dict.fromkeys(names))
    slots = [(f"slot{place}", Any, msgspec.field(name=name, default=None)) for place, name in enumerate(once)]
    places = {"places": {name: place for place, name in enumerate(once)}}
    values = msgspec.defstruct("Values", slots, bases=(Values,), namespace=places, gc=False)
    properties = ("properties", values, msgspec.field(default_factory=values))
    return cast("type[AskedRow]", msgspec.defstruct("AskedRow", [properties], bases=(AskedRow,), gc=False))


@lru_cache(maxsize=64)
def asked_page(names: tuple[str, ...]) -> type[RowPage]:
    """The class of pages of such rows."""
    results = ("results", GenericAlias(list, (asked_row(names),)))
    return cast("type[RowPage]", msgspec.defstruct("RowPage", [results], bases=(RowPage,), kw_only=True))


@lru_cache(maxsize=64)
def asked_batch(names: tuple[str, ...]) -> type[ReadBatch]:
    """The class of batches of such rows."""
    results = ("results", GenericAlias(list, (asked_row(names),)))
    return cast("type[ReadBatch]", msgspec.defstruct("ReadBatch", [results], bases=(ReadBatch,), kw_only=True))


def decode(body: bytes, shape: type[T]) -> T:
    """Read JSON as ``shape``; raises :class:`Undecodable`.

    HubSpot cuts texts by UTF-16 units, which can leave half of an emoji. Python's own reader takes such a
    text; the half becomes a question mark. And a field may be null where it could be absent: it says as much.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _decode_leniently(body, shape, error)


def unread(answer: ReadBatch | AssociationAnswer) -> str:
    """What an answer to a reading says of records that are there and did not come; empty where all came."""
    return "; ".join(dict.fromkeys(error.words() for error in answer.errors if not error.of_absence))


def _decode_leniently(body: bytes, shape: type[T], error: Exception) -> T:
    try:
        plain = json.dumps(without_nulls(json.loads(body)), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        raise Undecodable(f"{len(body)} bytes that are not the JSON that was promised") from error
    try:
        return msgspec.json.decode(plain, type=shape)
    except msgspec.DecodeError as still:
        raise Undecodable(str(still)) from still


def _texts(said: Any) -> list[str]:
    """A list of texts, where HubSpot says one, or says something else."""
    return [str(each) for each in (said if isinstance(said, (list, tuple)) else [said])]
