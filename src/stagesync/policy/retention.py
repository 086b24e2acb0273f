"""How long an admin wants what is past to be kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from stagesync.policy.durations import Unit
from stagesync.policy.schema import Length, Strict

LEAST = timedelta(days=30)
"""Whoever looks into last week, limits of a day and pauses need what is younger."""


class Retention(Strict):
    """How long what is past is kept; everything, if left out."""

    ledger: (
        Annotated[Length, Field(description="entries of the ledger that no later run needs, 30 days or more")] | None
    ) = None

    @property
    def length(self) -> timedelta | None:
        """``ledger`` as a length of time."""
        return None if self.ledger is None else timedelta(**{str(self.ledger.unit): self.ledger.count})

    @model_validator(mode="after")
    def _long_enough(self) -> Retention:
        if self.ledger is not None and self.ledger.unit is Unit.BUSINESS_DAYS:
            raise ValueError(f"ledger is '{self.ledger}'; it counts calendar days")
        if self.length is not None and self.length < LEAST:
            raise ValueError(f"ledger is '{self.ledger}'; it keeps {LEAST.days} days at least")
        return self
