"""Model data to canonical JSON text and back, without loss; times to text of a fixed width.

Canonical: keys sorted, no spaces, times of UTC with ``Z``. The same data gives the same bytes, so hashes compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from stagesync.model.changes import Change, Outcome
from stagesync.model.findings import Coded, Finding, Findings
from stagesync.model.waivers import Waiver

_ENCODER = msgspec.json.Encoder(order="sorted")


Before = tuple[int, int | None]
"""The entry that told a finding before, and its place there; None where that entry was about it alone."""


class FindingBody(msgspec.Struct, frozen=True):
    """Body of ``finding.opened`` and ``finding.changed`` where the entry is about one finding."""

    finding: Finding


class FindingsBody(msgspec.Struct, frozen=True):
    """Body of ``finding.opened`` and ``finding.changed``: findings of one rule, and what told each before, if any."""

    findings: Findings
    before: list[Before | None]


class CarriedBody(msgspec.Struct, frozen=True):
    """Body of ``finding.carried``: findings that are still open when what told them is dropped, and when that was.

    ``told`` is None where the body of another entry is read as one.
    """

    findings: Findings
    before: list[Before | None]
    told: list[str] | None = None


class Gone(msgspec.Struct, frozen=True):
    """Findings of one rule that are no more, in columns."""

    record: list[str]
    owner: Coded[str | None]


class GoneBody(msgspec.Struct, frozen=True):
    """Body of ``finding.resolved``."""

    gone: Gone
    before: list[Before | None]


class Said(msgspec.Struct, frozen=True):
    """Of findings in columns the records and owners alone."""

    records: list[str] = msgspec.field(name="record")
    owners: Coded[str | None] = msgspec.field(name="owner")


class SaidBody(msgspec.Struct, frozen=True):
    """The same of the body of any entry that tells many findings."""

    findings: Said | None = None
    gone: Said | None = None

    @property
    def told(self) -> Said:
        """Whichever it tells."""
        return self.findings or self.gone or Said([], Coded([], []))


class BeforeBody(msgspec.Struct, frozen=True):
    """Of such a body what told each finding before, alone."""

    before: list[Before | None]


class Move(msgspec.Struct, frozen=True):
    """Of a change what a stage's history needs."""

    rule: str
    reason: str
    before: dict[str, str | None]
    after: dict[str, str | None]


class MoveBody(msgspec.Struct, frozen=True):
    """The same of the body of an ``intent``."""

    change: Move


class Written(msgspec.Struct, frozen=True):
    """Of a change what it writes, alone."""

    after: dict[str, str | None]


class WrittenBody(msgspec.Struct, frozen=True):
    """The same of the body of an ``intent``."""

    change: Written


class IntentBody(msgspec.Struct, frozen=True):
    """Body of ``intent``."""

    change: Change


class OutcomeBody(msgspec.Struct, frozen=True):
    """Body of ``outcome``. ``intent`` is the number of its intent, ``task`` the CRM's id of the task it is about."""

    intent: int
    change_kind: str
    outcome: Outcome
    task: str | None = None


class WaiverBody(msgspec.Struct, frozen=True):
    """Body of ``waiver.granted``."""

    waiver: Waiver


FINDING = msgspec.json.Decoder(FindingBody)
FINDINGS = msgspec.json.Decoder(FindingsBody)
CARRIED = msgspec.json.Decoder(CarriedBody)
GONE = msgspec.json.Decoder(GoneBody)
SAID = msgspec.json.Decoder(SaidBody)
BEFORE = msgspec.json.Decoder(BeforeBody)
MOVE = msgspec.json.Decoder(MoveBody)
WRITTEN = msgspec.json.Decoder(WrittenBody)
INTENT = msgspec.json.Decoder(IntentBody)
OUTCOME = msgspec.json.Decoder(OutcomeBody)
WAIVER = msgspec.json.Decoder(WaiverBody)
ANY = msgspec.json.Decoder(dict[str, object])


def encode(body: object) -> str:
    """Canonical JSON text of model data or plain data."""
    return _ENCODER.encode(body).decode()


def facts_body(**parts: str | Mapping[str, object]) -> str:
    """Canonical JSON text of a body that holds plain facts."""
    return encode(parts)


def time_text(at: datetime) -> str:
    """``2026-11-21T21:38:00.000000Z``. A time without a zone is a mistake of the caller: ValueError."""
    if at.tzinfo is None:
        raise ValueError(f"the ledger takes times with a zone, not {at.isoformat()}")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_of(text: str) -> datetime:
    """The time (UTC) of a text made by :func:`time_text`."""
    return datetime.fromisoformat(text)


def column_text(value: str | None) -> str | None:
    """A text as a column can hold it: PostgreSQL has no NUL in texts. The body keeps the original."""
    if value is None or "\x00" not in value:
        return value
    return value.replace("\x00", "\ufffd")


def column_texts(values: list[str]) -> list[str]:
    """Texts as a column can hold them."""
    return values if "\x00" not in "".join(values) else [value.replace("\x00", "\ufffd") for value in values]
