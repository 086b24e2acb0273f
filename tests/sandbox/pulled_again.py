"""A mirror of a CRM that is pulled again and again, whatever happened in between."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

import polars as pl

from stagesync.agent.connection import Manner, silent
from stagesync.agent.pull import NOTHING, Pulled, pull
from stagesync.errors import Interrupted
from stagesync.mirror import Mirror
from stagesync.model.crm import Identity
from stagesync.model.tables import UNREADABLE
from stagesync.policy.mappings import CrmMapping
from tests.conformance.world import World

CHANGES_ALONE = Manner(recheck_runs=0)
PAUSES = (0, 1, 59, 600, 3_600)
"""Seconds."""


class PulledAgain:
    """A mirror beside one that is always read whole, and a company that draws its lots from a seed."""

    def __init__(self, world: World, folder: Path, mapping: CrmMapping, seed: int = 0) -> None:
        self.crm, self.clock, self.mapping = world, world.clock, mapping
        self.mirror = Mirror(folder / "mirror")
        self.fresh = Mirror(folder / "fresh")
        self.random = random.Random(seed)
        self.runs = 0

    def pull(
        self,
        manner: Manner = CHANGES_ALONE,
        mirror: Mirror | None = None,
        stop: Event | None = None,
        watched: Mapping[str, Collection[str]] = NOTHING,
    ) -> Pulled:
        self.runs += 1
        reader = self.crm.reader
        return pull(
            name="crm",
            reader=reader,
            mapping=self.mapping,
            mirror=mirror or self.mirror,
            label=f"run-{self.runs}",
            identity=Identity(crm=reader.crm, key="7", name="Acme", url="https://acme.example"),
            progress=silent,
            now=self.clock(),
            manner=manner,
            stop=stop,
            watched=watched,
        )

    def rows(self, mirror: Mirror) -> dict[str, pl.DataFrame]:
        return {name: plain(rows) for name, rows in mirror.read("crm")[0].items()}

    def assert_same(self) -> None:
        """The mirror holds what a whole pull at this moment brings, no record twice."""
        self.pull(Manner(full=True), self.fresh)
        ours, fresh = self.rows(self.mirror), self.rows(self.fresh)
        assert list(ours) == list(fresh)
        for table in self.mapping.tables:
            if table.history_of is None:
                assert fresh[table.name][table.key].is_unique().all()
        for name, rows in fresh.items():
            assert ours[name].equals(rows), f"{name}: {ours[name].rows()} is not {rows.rows()}"

    def time_passes(self) -> None:
        self.clock.advance(seconds=self.random.choice(PAUSES))

    def be_cut_off(self) -> None:
        """A pull that ends between two pages."""
        reads = [self.random.randrange(9)]

        class Cutting(Event):
            def is_set(self) -> bool:
                reads[0] -= 1
                return reads[0] < 0

        with suppress(Interrupted):
            self.pull(Manner(recheck_runs=3), stop=Cutting())


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Without marks that mark nothing, in an order of its own."""
    found = rows.drop(name for name in rows.columns if name.endswith(UNREADABLE) and not rows[name].any())
    return found.sort(found.columns)
