"""The two spellings of an id in Salesforce: reports and old exports write 15 characters, the API 18.

developer.salesforce.com/docs/atlas.en-us.api.meta/api/field_types.htm, "ID Field Type"
"""

from __future__ import annotations

import re

SHORT = re.compile(r"[a-zA-Z0-9]{15}")
CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
GROUP = 5


def long_id(text: str) -> str:
    """The 18 characters of an id that is given in 15: three more say which of the letters are capitals. Any other text
    stays as it is; no id of HubSpot is so long."""
    if not SHORT.fullmatch(text):
        return text
    groups = (text[start : start + GROUP] for start in range(0, len(text), GROUP))
    return text + "".join(
        CHECKSUM[sum(1 << place for place, letter in enumerate(group) if letter.isupper())] for group in groups
    )
