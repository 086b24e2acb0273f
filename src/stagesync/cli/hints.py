"""Commands that are printed for people to run next: with the settings file that was used, ready to be pasted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from stagesync.cli.options import DEFAULT_CONFIG

_COMMAND = re.compile(r"`stagesync ([^`]+)`")


def program() -> str:
    """How to call this program: in a virtual environment that is not active, the plain name would not be found."""
    called = sys.argv[0]
    if shutil.which("stagesync") or not os.access(called, os.X_OK):
        return "stagesync"
    return shlex.quote(os.path.relpath(called))


def command(config: Path, *words: str) -> str:
    """``stagesync WORDS -c CONFIG``; the settings file is left out where it is the one that is taken anyway."""
    return " ".join([program(), *map(shlex.quote, words), *_chosen(config)])


def completed(message: str, config: Path) -> str:
    """A message whose commands in backticks name no settings file, because who wrote it knows none."""
    return _COMMAND.sub(lambda found: f"`{' '.join([program(), found[1], *_chosen(config)])}`", message)


def _chosen(config: Path) -> list[str]:
    return [] if config == DEFAULT_CONFIG else ["-c", shlex.quote(str(config))]
