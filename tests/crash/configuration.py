"""The settings of the agents: a folder as an operator has it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parent / "config"
SETTINGS = "stagesync.yaml"
SECRETS = {
    "CRASH_ID": "stagesync-demo",
    "CRASH_SECRET": "stagesync-demo-secret",
    "CRASH_TOKEN": "stagesync-demo-hubspot",
}


def configure(folder: Path, crm: str, url: str, ledger: str, *, marked: bool) -> Path:
    """Settings for the CRM at ``url`` with its mapping and the definition; with ``marked`` no field holds our keys."""
    connection: dict[str, Any] = {"crm": crm, "mapping": f"{crm}.yaml"}
    if crm == "salesforce":
        secrets = {"client_id": {"env": "CRASH_ID"}, "client_secret": {"env": "CRASH_SECRET"}}
        connection |= {"login_url": url, **secrets}
    else:
        connection |= {"base_url": url, "token": {"env": "CRASH_TOKEN"}}
    words = {
        "definitions": "definition.yaml",
        "connections": {"crm": connection},
        "data": ".",
        "ledger": ledger,
        "guard": {"stage_changes": 1000, "share": 1.0, "tasks": 1000},
    }
    shutil.copy(CONFIG / "definition.yaml", folder)
    mapping = (CONFIG / f"{crm}.yaml").read_text(encoding="utf-8")
    if marked and crm == "salesforce":
        mapping = mapping.replace("key: StageSync_Key__c", "marker: Description")
        mapping = mapping.replace("StageSync_Key__c:", "Description:")
    (folder / f"{crm}.yaml").write_text(mapping, encoding="utf-8")
    settings = folder / SETTINGS
    settings.write_text(yaml.safe_dump(words), encoding="utf-8")
    return settings
