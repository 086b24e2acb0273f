"""The answer key: what an audit of the seeded company must find, and what it must leave alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One expected finding, or with ``fine`` a decoy: a record that looks bad and is not.

    ``rule`` is the finding's rule (``premature``, ``contradiction.close-date-passed``, ``placeholder.pain``)
    and ``kind`` its first part. ``stage`` is the rung that the record stands on; ``earned`` the rung that it
    could have earned (premature) or surely has (ready), None where there is none.
    """

    crm: str
    object: str
    record: str
    why: str
    kind: str | None = None
    rule: str | None = None
    stage: str | None = None
    earned: str | None = None
    fine: bool = False

    def line(self) -> str:
        """The answer as one line of JSON, with its line end."""
        found: dict[str, Any] = {"crm": self.crm, "object": self.object, "record": self.record}
        if self.fine:
            found |= {"fine": True}
        else:
            found |= {"kind": self.kind, "rule": self.rule, "stage": self.stage, "earned": self.earned}
        return json.dumps(found | {"why": self.why}, ensure_ascii=False) + "\n"


def read_answers(path: Path | str) -> Iterator[Answer]:
    """The answers of a key, one by one, in the order in which the records were seeded."""
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            yield Answer(**json.loads(line))
