"""How a stage of a new account is guessed for a stage that an admin made: by words in its label, by its probability."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stagesync.model.crm import Likeness, NativeStage

Words = Sequence[tuple[str, str]]
"""Patterns with the stage that each stands for; the first that is found decides."""


def by_words(stage: NativeStage, words: Words) -> str | None:
    """From the label, which people read; the value may be left from before a renaming."""
    return next((value for pattern, value in words if re.search(pattern, stage.label.casefold())), None)


def by_probability(stage: NativeStage, open_stages: Mapping[str, float]) -> Likeness | None:
    """The last of the open stages, with their probability in percent, that is no more probable."""
    if stage.probability is None:
        return None
    below = [name for name, percent in open_stages.items() if percent <= stage.probability]
    value = below[-1] if below else next(iter(open_stages))
    return Likeness(value=value, sure=False, why=f"its probability of {stage.probability:g} %")
