"""What may be done about each finding: the mode of its rule, narrowed by what the record is and since when.

Where an unknown leaves open which mode holds, the one that does least is taken.
"""

from __future__ import annotations

from datetime import UTC, datetime, time

import numpy as np
import polars as pl

from stagesync.audit.words import Population
from stagesync.model.kinds import Mode
from stagesync.policy.definitions import Rule

MODES = pl.Enum([str(mode) for mode in Mode])
"""From the least to the most that is done."""
MODE = pl.Series("mode", [str(mode) for mode in Mode], dtype=MODES)
_FORCE = {mode: force for force, mode in enumerate(Mode)}


def modes(population: Population, rule: Rule, rows: pl.Series) -> pl.Series:
    """The mode for each of these rows of the judged records."""
    if not rule.overrides and rule.starts is None:
        return MODE[_FORCE[rule.mode] : _FORCE[rule.mode] + 1].new_from_index(0, len(rows))
    force = np.full(len(rows), _FORCE[rule.mode], dtype=np.uint32)
    if len(rows):
        for override in reversed(rule.overrides):
            sure, maybe = (truth.to_numpy() for truth in population.holding(override.when, rows))
            own = _FORCE[override.mode]
            force = np.where(sure, own, np.where(maybe, np.minimum(force, own), force))
        if rule.starts is not None:
            began = datetime.combine(rule.starts, time.min, tzinfo=population.frame.time_zone).astimezone(UTC)
            since = population.records["since"][rows]
            after = (since >= pl.lit(began, dtype=pl.Datetime("us", "UTC"))).fill_null(value=False)
            force = np.where(pl.select(after).to_series().to_numpy(), force, _FORCE[Mode.AUDIT])
    return MODE[pl.Series(force, dtype=pl.UInt32)]
