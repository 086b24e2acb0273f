"""``stagesync check``: are the settings, definitions and mappings in order?"""

from __future__ import annotations

from pathlib import Path

import click

from stagesync.model.counting import counted
from stagesync.settings import load_settings


def check(config: Path) -> int:
    """Load everything that the settings name. Raises ConfigurationError with all problems."""
    settings = load_settings(config)
    definition = settings.definition
    click.echo(
        f"{settings.file}: in order. '{definition.name}' has {counted(len(definition.rungs), 'stage')}, "
        f"{counted(len(definition.criteria), 'criterion', 'criteria')} and "
        f"{counted(len(definition.contradictions), 'contradiction')}; "
        f"{counted(len(settings.mappings), 'connection is', 'connections are')} mapped."
    )
    return 0
