"""Programs of independent Node.js clients: ``make node`` installs them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def printed(folder: str, package: str, script: str, *arguments: str, given: str = "") -> Any:
    """What a script in a folder beside this file printed, read as JSON; skips the test where it cannot run."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node 18+ is not installed (apt-get install nodejs npm), then: make node")
    place = HERE / folder
    if not (place / "node_modules" / package).is_dir():
        pytest.skip(f"{package} is not installed in tests/sandbox/{folder}, run: make node")
    command = [node, str(place / script), *arguments]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
