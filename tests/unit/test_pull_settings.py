"""How much a run reads, as the settings say it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from stagesync.errors import ConfigurationError
from stagesync.settings import load_settings
from stagesync.wiring import opened

CONFIG = Path(__file__).parents[2] / "config"
CONNECTION = {
    "crm": "hubspot",
    "mapping": str(CONFIG / "mappings" / "hubspot.yaml"),
    "token": {"env": "TOKEN_OF_THIS_TEST"},
}


def settings_file(tmp_path: Path, **pull: object) -> Path:
    file = tmp_path / "stagesync.yaml"
    words = {
        "definitions": str(CONFIG / "definitions" / "recommended.yaml"),
        "connections": {"crm": CONNECTION},
        "data": str(tmp_path / "data"),
        **({"pull": pull} if pull else {}),
    }
    file.write_text(yaml.safe_dump(words))
    return file


@pytest.mark.parametrize(
    ("pull", "every", "runs"),
    [
        ({}, timedelta(days=7), 24),
        ({"full_every": "2 weeks", "recheck_runs": 0}, timedelta(days=14), 0),
        ({"full_every": "36 hours"}, timedelta(hours=36), 24),
        ({"full_every": "5 minutes", "recheck_runs": 5}, timedelta(minutes=5), 5),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_an_agent_pulls_as_the_settings_say(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pull: dict[str, object],
    every: timedelta,
    runs: int,
    *,
    full: bool,
) -> None:
    monkeypatch.setenv("TOKEN_OF_THIS_TEST", "pat-eu1-0000")
    (tmp_path / "data").mkdir()
    with opened(load_settings(settings_file(tmp_path, **pull)), write=False, full=full) as agent:
        assert (agent.manner.full, agent.manner.full_every, agent.manner.recheck_runs) == (full, every, runs)


@pytest.mark.parametrize(
    ("pull", "said"),
    [
        ({"full_every": "3 business days"}, "it counts minutes, hours or days"),
        ({"full_every": "often"}, "not a length of time"),
        ({"recheck_runs": -1}, "0 is the least"),
    ],
)
def test_what_cannot_be_counted_is_named(tmp_path: Path, pull: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(settings_file(tmp_path, **pull))
    (problem,) = caught.value.problems
    assert said in problem.message
