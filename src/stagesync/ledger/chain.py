"""The hash chain over the entries: each hash covers the hash before it and everything its entry says.

It shows that something was changed, removed or re-ordered by somebody who does not rewrite all that follows.
Somebody who rewrites the whole ledger is found only with a head that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

GENESIS = bytes(32)
_ENCODE = msgspec.json.Encoder().encode


class Draft(NamedTuple):
    """An entry before it has its number and hash. ``at`` and ``body`` are texts as ``codec`` makes them."""

    at: str
    run: str | None
    kind: str
    body: str
    connection: str | None = None
    object: str | None = None
    record: str | None = None
    rule: str | None = None
    owner: str | None = None
    key: str | None = None
    findings: int | None = None


class Link(NamedTuple):
    """What is hashed, in this order, as a JSON array in UTF-8 without spaces; ``findings`` only where there are any."""

    seq: int
    at: str
    run: str | None
    kind: str
    connection: str | None
    object: str | None
    record: str | None
    rule: str | None
    owner: str | None
    key: str | None
    body: str
    findings: int | None = None


def hash_of(previous: bytes, link: Link) -> bytes:
    """The 32 bytes that stand beside an entry: SHA-256 of the previous 32 and of the entry."""
    return hashlib.sha256(previous + _ENCODE(link if link.findings is not None else link[:-1])).digest()


def numbered(seq: int, draft: Draft) -> Link:
    """A draft with its place in the chain."""
    return Link(seq, *draft[:3], *draft[4:10], draft.body, draft.findings)


class DroppedDigest:
    """SHA-256 over the number (8 bytes, the highest first) and the hash of each entry that a checkpoint drops, in
    order."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def take(self, seq: int, digest: bytes) -> None:
        """The next that is dropped."""
        self.count += 1
        self._hash.update(seq.to_bytes(8, "big") + digest)

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()
