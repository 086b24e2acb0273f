"""``stagesync check``: are the settings, definitions and mappings in order?"""

from __future__ import annotations

from pathlib import Path

import typer

from stagesync.settings import load_settings


def check(config: Path) -> int:
    """Load everything that the settings name. Raises ConfigurationError with all problems."""
    settings = load_settings(config)
    definition = settings.definition
    criteria = len(definition.criteria)
    typer.echo(
        f"{settings.file}: in order. '{definition.name}' has {len(definition.rungs)} stages, {criteria} criteria and "
        f"{len(definition.contradictions)} contradictions; {len(settings.mappings)} connections are mapped."
    )
    return 0
