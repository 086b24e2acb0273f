"""Names of files and headers as they are looked for: what looks alike to people is alike."""

from __future__ import annotations

import unicodedata

UNSEEN = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff\u00ad")
"""Characters without width, which spreadsheets and web pages leave in a text."""


def plain(name: str) -> str:
    """A name with single spaces for whatever white space it has (no-break spaces, line breaks), without what nobody
    sees, and with its letters composed as most programs write them."""
    return " ".join(unicodedata.normalize("NFC", name.translate(UNSEEN)).split())


def alike(name: str) -> str:
    """What names that mean the same have in common: their plain form, whatever its case."""
    return plain(name).lower()
