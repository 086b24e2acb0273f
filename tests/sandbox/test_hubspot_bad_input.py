"""What portals hold that nobody would have chosen, read as it is or said to be unreadable."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from msgspec import structs

from stagesync.agent.pull import check_stages
from stagesync.errors import ConfigurationError
from stagesync.model.tables import ColumnType, Table
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.sandbox.hubspot.definitions import PropertyDefinition, Stage

from .hubspot_office import Office, office, seed

__all__ = ["office"]

CONFIG = Path(__file__).parents[2] / "config"
UUID = "54bf5b9c-2198-4ba9-9292-e87c926ffdca"


def read(office: Office, name: str, **columns: ColumnType) -> pl.DataFrame:
    table = Table(name=name, key="id", columns=columns)
    assert office.reader.missing([table]) == ()
    return pl.concat([page.rows for page in office.reader.pull(table)], how="diagonal").sort("id")


def test_one_column_in_every_form(office: Office) -> None:
    """Imports and old integrations write what they like; the property's type in the mapping decides."""
    for name in ("signed_on", "seats", "trial"):
        office.portal.add_property("deals", PropertyDefinition(name=name, label=name))
    values = [
        {"signed_on": "2026-11-20T10:00:00.000Z", "seats": " 12 ", "trial": "false"},
        {"signed_on": "1795168800000", "seats": "1e3", "trial": "TRUE"},
        {"signed_on": "2026-11-20", "seats": "12 seats", "trial": "no"},
        {"signed_on": "soon", "seats": "1,200", "trial": " "},
    ]
    for one in values:
        seed(office.portal, "deals", 1, **one)
    rows = read(office, "deals", signed_on=ColumnType.DATETIME, seats=ColumnType.INTEGER, trial=ColumnType.BOOLEAN)
    assert rows["signed_on"].to_list() == [
        datetime(2026, 11, 20, 10, tzinfo=UTC),
        datetime(2026, 11, 20, 10, tzinfo=UTC),
        datetime(2026, 11, 20, tzinfo=UTC),
        None,
    ]
    assert rows["signed_on?unreadable"].to_list() == [False, False, False, True]
    assert rows["seats"].to_list() == [12, 1_000, None, None]
    assert rows["seats?unreadable"].to_list() == [False, False, True, True]
    assert rows["trial"].to_list() == [False, True, None, None]
    assert rows["trial?unreadable"].to_list() == [False, False, True, False]
    assert read(office, "deals", signed_on=ColumnType.DATE)["signed_on"].to_list() == [date(2026, 11, 20)] * 3 + [None]


def test_a_contact_without_an_email_and_a_task_full_of_html(office: Office) -> None:
    seed(office.portal, "contacts", 1, lastname="Okafor")
    body = '<div style="x"><p>Call &amp; ask<br></p><script>alert(1)</script></div>'
    seed(office.portal, "tasks", 1, hs_task_body=body)
    assert read(office, "contacts", email=ColumnType.TEXT, lastname=ColumnType.TEXT)["email"].to_list() == [None]
    assert read(office, "tasks", hs_task_body=ColumnType.TEXT)["hs_task_body"].to_list() == [body]


def test_stages_are_told_apart_by_their_ids(office: Office) -> None:
    """Two pipelines with one label, and stages with numbers and UUIDs for ids."""
    for pipeline, stages in (("777", ("900", "901")), (UUID, (f"{UUID[:-1]}0", f"{UUID[:-1]}1"))):
        made = [Stage(id=one, label=label, metadata={}) for one, label in zip(stages, ("New", "Won"), strict=True)]
        office.portal.add_pipeline("deals", pipeline, "Sales Pipeline", made)
    found = {(stage.pipeline, stage.label): stage.value for stage in office.reader.stages("deals", "dealstage")}
    assert found["777", "New"] == "900"
    assert found[UUID, "New"] == f"{UUID[:-1]}0"
    seed(office.portal, "deals", 1, pipeline=UUID, dealstage=f"{UUID[:-1]}1")
    rows = read(office, "deals", dealstage=ColumnType.TEXT, pipeline=ColumnType.TEXT)
    assert rows.rows()[0][1:] == (f"{UUID[:-1]}1", UUID)


@pytest.fixture
def mapping() -> CrmMapping:
    definition = load_definition(CONFIG / "definitions" / "recommended.yaml")
    return load_mapping(CONFIG / "mappings" / "hubspot.yaml", definition)


def test_a_label_where_a_value_belongs(office: Office, mapping: CrmMapping) -> None:
    deals = next(one for one in mapping.objects if one.name == "deals")
    place = ("default", "Qualified To Buy")
    written = structs.replace(
        deals, stages={**deals.stages, place: "opportunity"}, stage_lines={**deals.stage_lines, place: (40, 11)}
    )
    stages = {"deals": office.reader.stages("deals", "dealstage")}
    with pytest.raises(ConfigurationError, match=r"hubspot\.yaml:40:11: 'Qualified To Buy' .* qualifiedtobuy"):
        check_stages(structs.replace(mapping, objects=(written,)), stages)
