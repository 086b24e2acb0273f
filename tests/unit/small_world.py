"""A ladder of four rungs over one table of deals, small enough to reckon by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.history import past_stages
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)

DEFINITION: dict[str, Any] = {
    "definition": "small",
    "ladder": ["lead", "offer", "proposal", "customer"],
    "parking": {"lost": "lost"},
    "evidence": {
        "people": {"type": "integer"},
        "step": {"type": "text"},
        "budget": {"type": "boolean"},
        "won": {"type": "boolean"},
        "closed": {"type": "boolean"},
    },
    "stages": {
        name: {
            "means": name,
            "terminal": name == "customer",
            "requires": [{"id": f"for-{name}", "check": check, "because": "so", "ask": "do"}],
        }
        for name, check in {
            "lead": "people >= 1",
            "offer": "stated(step)",
            "proposal": "budget = true",
            "customer": "won = true",
        }.items()
    },
}

MAPPING: dict[str, Any] = {
    "mapping": "small",
    "definition": "small",
    "crm": "export",
    "tables": {"Past": {"Deal": "text", "Stage": "text", "At": "datetime"}},
    "objects": {
        "Deal": {
            "name": "Id",
            "owner": "Owner",
            "amount": "Amount",
            "stage": {
                "field": "Stage",
                "stages": {"O1": "offer", "O2": "offer", "P": "proposal", "Won": "customer", "Lost": "lost"},
                "history": {"table": "Past", "record": "Deal", "stage": "Stage", "at": "At"},
            },
            "evidence": {item: {"field": item} for item in DEFINITION["evidence"]},
        }
    },
}


@dataclass(frozen=True)
class Deal:
    """A deal with its past native stages, oldest first; ``unreadable`` are evidence items."""

    id: str
    stage: str
    amount: float | None = None
    owner: str | None = "ann"
    people: int | None = 1
    step: str | None = "call them"
    budget: bool | None = True
    won: bool | None = False
    closed: bool | None = False
    past: Sequence[str] = ()
    unreadable: frozenset[str] = frozenset()


def won(number: int, past: Sequence[str], **facts: Any) -> list[Deal]:
    """Deals that were won."""
    return [Deal(f"w{n}", "Won", won=True, closed=True, past=[*past, "Won"], **facts) for n in range(number)]


def lost(number: int, past: Sequence[str], **facts: Any) -> list[Deal]:
    """Deals that were lost."""
    return [Deal(f"l{n}", "Lost", closed=True, past=[*past, "Lost"], **facts) for n in range(number)]


def tables(deals: Sequence[Deal]) -> Tables:
    """What would have been read."""
    items = {"people": pl.Int64, "step": pl.String, "budget": pl.Boolean, "won": pl.Boolean, "closed": pl.Boolean}
    columns: dict[str, Any] = {
        "Id": pl.Series([deal.id for deal in deals], dtype=pl.String),
        "Stage": pl.Series([deal.stage for deal in deals], dtype=pl.String),
        "Owner": pl.Series([deal.owner for deal in deals], dtype=pl.String),
        "Amount": pl.Series([deal.amount for deal in deals], dtype=pl.Float64),
    }
    for item, kind in items.items():
        values = [None if item in deal.unreadable else getattr(deal, item) for deal in deals]
        columns[item] = pl.Series(values, dtype=kind)
        columns[f"{item}?unreadable"] = pl.Series([item in deal.unreadable for deal in deals], dtype=pl.Boolean)
    steps = [(deal.id, stage, START + timedelta(days=n)) for deal in deals for n, stage in enumerate(deal.past)]
    schema: dict[str, Any] = {"Deal": pl.String, "Stage": pl.String, "At": pl.Datetime("us", "UTC")}
    past = pl.DataFrame(steps, schema=schema, orient="row").with_columns(Id=pl.lit("h"))
    return Tables(rows={"Deal": pl.DataFrame(columns), "Past": past})


def written_as(
    folder: Path, definition: Mapping[str, Any], mapping: Mapping[str, Any]
) -> tuple[Definition, CrmMapping]:
    """Both, written as files and loaded; evidence that the mapping does not name is a gap."""
    (folder / "definition.yaml").write_text(json.dumps(definition), encoding="utf-8")
    (folder / "mapping.yaml").write_text(json.dumps(mapping), encoding="utf-8")
    loaded = load_definition(folder / "definition.yaml")
    return loaded, load_mapping(folder / "mapping.yaml", loaded, lenient_about_evidence=True)


def judged(
    folder: Path,
    deals: Sequence[Deal],
    definition: Mapping[str, Any] = DEFINITION,
    mapping: Mapping[str, Any] = MAPPING,
    read: Tables | None = None,
) -> tuple[Judgement, pl.DataFrame | None]:
    """The judgement of these deals, and their past stages."""
    loaded, checked = written_as(folder, definition, mapping)
    read = read or tables(deals)
    frame = Frame(now=NOW, time_zone=ZoneInfo("UTC"))
    (found,) = judge(connection="crm", definition=loaded, mapping=checked, tables=read, owners=[], frame=frame)
    return found, past_stages(found.mapped, read.rows, replace(frame, placeholders=loaded.placeholders))
