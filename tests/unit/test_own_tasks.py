"""StageSync's own tasks are no activity, whichever way they are told from others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from msgspec import structs

from stagesync.audit.evidence import Tables, gather
from stagesync.audit.masks import Frame
from stagesync.errors import ConfigurationError
from stagesync.model.changes import mark
from stagesync.model.tables import ColumnType
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping
from stagesync.settings import shipped_configuration

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEYED = "tasks: {table: Task, key: StageSync_Key__c}"


def mapping(folder: Path, tasks: str, column: str, crm: str = "salesforce") -> CrmMapping:
    """The shipped mapping with other words for our own tasks, and one count of tasks as evidence."""
    shipped = shipped_configuration()
    text = (shipped / "mappings" / "salesforce.yaml").read_text(encoding="utf-8")
    assert KEYED in text
    text = text.replace(KEYED, tasks).replace("StageSync_Key__c: text", f"{column}: text")
    file = folder / "salesforce.yaml"
    file.write_text(text.replace("crm: salesforce", f"crm: {crm}"), encoding="utf-8")
    definition = load_definition(shipped / "definitions" / "recommended.yaml")
    return load_mapping(file, definition)


def calls(checked: CrmMapping, texts: list[str | None]) -> list[int]:
    """How many calls the evidence of one lead shows, whose completed calls have these texts."""
    lead = next(mapped for mapped in checked.objects if mapped.name == "Lead")
    count = len(texts)
    assert checked.own_tasks is not None
    tasks = pl.DataFrame(
        {
            "Id": [f"t{number}" for number in range(count)],
            "WhoId": ["lead"] * count,
            "TaskSubtype": ["Call"] * count,
            "CallDurationInSeconds": [300] * count,
            "IsClosed": [True] * count,
            "CompletedDateTime": [NOW] * count,
            checked.own_tasks[1]: pl.Series(texts, dtype=pl.String),
        }
    )
    found = gather(
        mapping=checked,
        mapped=structs.replace(lead, evidence={"calls": lead.evidence["calls"]}),
        records=pl.DataFrame({lead.table.key: ["lead"]}),
        tables=Tables(rows={"Task": tasks}),
        types={"calls": ColumnType.INTEGER},
        frame=Frame(now=NOW, time_zone=ZoneInfo("UTC")),
    )
    return found.rows["calls"].to_list()


def test_a_task_with_our_key_is_no_activity(tmp_path: Path) -> None:
    keyed = mapping(tmp_path, KEYED, "StageSync_Key__c")
    assert calls(keyed, [None, "stagesync-1", None]) == [2]


def test_a_task_with_our_line_is_no_activity(tmp_path: Path) -> None:
    marked = mapping(tmp_path, "tasks: {table: Task, marker: Description}", "Description")
    ours = "Please write down the pain.\n\n" + mark("stagesync-0123456789abcdef0123")
    assert calls(marked, [None, "talked about StageSync", ours, ""]) == [3]


@pytest.mark.parametrize(
    ("tasks", "column", "crm", "said"),
    [
        ("tasks: {table: Task}", "Description", "salesforce", "one of key and marker"),
        ("tasks: {table: Task, key: A__c, marker: Description}", "Description", "salesforce", "one of key and marker"),
        ("tasks: {table: Task, key: Description}", "Description", "salesforce", "write marker: Description"),
        ("tasks: {table: Task, marker: Notes__c}", "Description", "salesforce", "list 'Notes__c' under tables: Task"),
        ("tasks: {table: Task, marker: Description}", "Description", "hubspot", "a marker is for Salesforce"),
    ],
)
def test_words_for_our_tasks_that_would_not_tell_them(
    tmp_path: Path, tasks: str, column: str, crm: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mapping(tmp_path, tasks, column, crm)
    assert said in str(caught.value)
