"""An admin's first day: a folder that is empty but for what `init` writes into it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.server import Sandbox

from .terminal import Finished, run_here

READS = ("GET /", "POST /services/oauth2/token", "POST /composite/sobjects/", "POST /composite of GETs")
"""How the calls of a reader begin; records are fetched by id with a POST that names one object."""


@dataclass
class Admin:
    """Somebody at a terminal in ``folder``, with the credentials of the sandbox in the environment."""

    folder: Path
    sandbox: Sandbox
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "config" / "stagesync.yaml"

    @property
    def mapping(self) -> Path:
        return self.folder / "config" / "mappings" / "salesforce.yaml"

    def types(self, *arguments: str, **environment: str) -> Finished:
        """``stagesync ARGUMENTS``."""
        self.folder.mkdir(exist_ok=True)
        known = {
            "SALESFORCE_CLIENT_ID": self.sandbox.client_id,
            "SALESFORCE_CLIENT_SECRET": self.sandbox.client_secret,
            "HUBSPOT_TOKEN": self.sandbox.hubspot_token,
        }
        values = {**os.environ, **known, "COLUMNS": "200", **self.environment, **environment}
        return run_here(*arguments, folder=self.folder, environment=values)

    def init(self, *more: str, **environment: str) -> Finished:
        """``stagesync init`` for the Salesforce of the sandbox."""
        return self.types("init", "--crm", "salesforce", "--login-url", self.sandbox.url, *more, **environment)

    def mapped(self) -> dict[str, Any]:
        """The mapping that was written."""
        data: dict[str, Any] = yaml.load(self.mapping.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        return data

    def files(self) -> dict[str, str]:
        """Every file in the folder, with its text."""
        return {
            str(file.relative_to(self.folder)): file.read_text(encoding="utf-8")
            for file in sorted(self.folder.rglob("*"))
            if file.is_file()
        }


def records_of(org: Org) -> str:
    """A digest of every record of an org."""
    digest = hashlib.sha256()
    for name in sorted(SOBJECTS):
        for row in org.database.rows(f'SELECT * FROM "{name}" ORDER BY 1'):
            digest.update(repr(sorted(row.items())).encode())
    return digest.hexdigest()


def writes_to(org: Org) -> list[str]:
    """The calls that were no reader's."""
    return [call for call in org.calls if not call.startswith(READS)]
