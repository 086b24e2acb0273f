"""Stages and tasks as HubSpot writes them."""

from __future__ import annotations

from datetime import UTC, date

from stagesync.connectors.hubspot.answers import Pipelines, Properties, decode
from stagesync.connectors.hubspot.stages import option_stages, pipeline_stages
from stagesync.connectors.hubspot.tasks import html, marked, task_properties
from stagesync.model.changes import TaskText

PIPELINES = b"""{"results": [
  {"id": "2", "label": "Partners", "displayOrder": 1, "stages": [
    {"id": "z", "label": "Old", "displayOrder": -1, "archived": true, "metadata": {"isClosed": "false"}},
    {"id": "y", "label": "Locked", "displayOrder": 3, "writePermissions": "READ_ONLY", "metadata": {}}]},
  {"id": "default", "label": "Sales", "displayOrder": 0, "stages": [
    {"id": "lost", "label": "Lost", "displayOrder": 2, "metadata": {"isClosed": "true", "probability": "0.0"}},
    {"id": "open", "label": "Open", "displayOrder": 0, "metadata": {"isClosed": "false", "probability": "1.0"}},
    {"id": "won", "label": "Won", "displayOrder": 1, "metadata": {"isClosed": "true", "probability": "1.0"}}]}
]}"""


def test_stages_are_ordered_by_display_order_and_closed_by_words() -> None:
    stages = pipeline_stages(decode(PIPELINES, Pipelines).results)
    assert [(one.pipeline, one.value, one.position) for one in stages] == [
        ("default", "open", 0),
        ("default", "won", 1),
        ("default", "lost", 2),
        ("2", "y", 0),
        ("2", "z", 1),
    ]
    assert [(one.closed, one.won) for one in stages[:3]] == [(False, False), (True, True), (True, False)]
    assert [(one.active, one.writable) for one in stages[3:]] == [(True, False), (False, True)]


def test_options_are_stages_too() -> None:
    body = b"""{"results": [{"name": "lifecyclestage", "options": [
      {"value": "lead", "label": "Lead", "displayOrder": 1},
      {"value": "7", "label": "Fan", "displayOrder": 2, "hidden": true},
      {"value": "subscriber", "label": "Subscriber", "displayOrder": 0}]}]}"""
    stages = option_stages(decode(body, Properties).results[0])
    assert [(one.value, one.position, one.active) for one in stages] == [
        ("subscriber", 0, True),
        ("lead", 1, True),
        ("7", 2, False),
    ]


def test_a_task_is_due_at_nine_and_its_text_is_text() -> None:
    task = TaskText(subject="Say why", body="<b>no</b>\nask & tell", due=date(2026, 11, 25), owner="41")
    properties = task_properties(task, UTC)
    assert properties["hs_timestamp"] == "2026-11-25T09:00:00.000Z"
    assert properties["hs_task_body"] == "&lt;b&gt;no&lt;/b&gt;<br>ask &amp; tell"
    assert properties["hubspot_owner_id"] == "41"
    assert marked(properties, "k1")["hs_task_body"].endswith("<br>[stagesync:k1]")
    assert html("") == ""
