"""``stagesync pause`` and ``stagesync resume``: whether anything is written to a CRM at all."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from stagesync.agent import brake
from stagesync.cli import hints, show
from stagesync.cli.waivers import this_user
from stagesync.errors import UsageError
from stagesync.ledger import Ledger
from stagesync.settings import load_settings
from stagesync.wiring import utc_now


def pause(config: Path, *, reason: str, by: str | None) -> int:
    """Note in the ledger that nobody writes."""
    if not reason.strip():
        raise UsageError("a pause needs a reason; whoever is refused will ask for it")
    settings = load_settings(config)
    with Ledger.open(settings.ledger_url) as ledger:
        brake.pause(ledger, by=(by or this_user()).strip(), reason=reason.strip(), at=utc_now())
    _say(f"Paused: nothing is written to a CRM until `{hints.command(config, 'resume')}`. Audits and plans go on.")
    return 0


def resume(config: Path, *, reason: str, by: str | None) -> int:
    """Take the pause back, whether it stands in the ledger or is a file."""
    settings = load_settings(config)
    name = (by or this_user()).strip()
    with Ledger.open(settings.ledger_url) as ledger:
        try:
            was = brake.resume(ledger, settings.pause_file, by=name, reason=reason.strip(), at=utc_now())
        except OSError as error:
            raise UsageError(f"{settings.pause_file} cannot be removed, so writing stays paused: {error}") from error
    _say("Resumed: agents write again." if was else "Nothing was paused.")
    return 0


def _say(text: str) -> None:
    show.out.print(Text(text), soft_wrap=True)
