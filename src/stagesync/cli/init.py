"""``stagesync init``: a starter configuration from what an org has."""

from __future__ import annotations

from pathlib import Path

from stagesync.cli import hints, show
from stagesync.onboarding.proposal import Proposal, pack, propose, template
from stagesync.onboarding.starter import SETTINGS, planned, starter, write
from stagesync.policy.definitions import load_definition
from stagesync.settings import ConnectionSettings, shipped_configuration
from stagesync.wiring import discovered

SHOWN = 12


def init(connection: ConnectionSettings, *, name: str, definitions: str, out: Path) -> int:
    """Read the org, write the files. Raises UsageError when some exist, ConnectionFailed when there is no org."""
    shipped = shipped_configuration()
    file = pack(shipped / "definitions", definitions)
    planned(out, name, file)
    found = template(shipped / "mappings", load_definition(file), connection.crm)
    with (
        show.err.status(f"asking {connection.crm} what it has"),
        discovered(Path.cwd(), name, connection, found.mapping.own_tasks) as discovery,
    ):
        discovery.service()
        proposal = propose(discovery, found, name)
        texts = starter(proposal, connection, discovery.organization(), file)
    write(out, texts)
    _tell(proposal, out, list(texts))
    return 0


def _tell(proposal: Proposal, out: Path, files: list[str]) -> None:
    identity = proposal.identity
    lines = [f"{identity.name} ({identity.key}) was read, and nothing was written to it.", "", "Written:"]
    lines += [f"  {out / file}" for file in files]
    if proposal.to_decide:
        lines += [
            "",
            f"Stages whose meaning was guessed; look for 'decide' in the mapping ({len(proposal.to_decide)}):",
        ]
        lines += _listed(proposal.to_decide)
    if proposal.gaps:
        lines += ["", f"Evidence that is unknown, because it cannot be read ({len(proposal.gaps)}):"]
        lines += _listed([f"{name}: {reason}" for name, reason in proposal.gaps.items()])
    config = out / SETTINGS
    lines += ["", "Next:"]
    lines += [f"  {hints.command(config, *words)}" for words in (("check", "--online"), ("audit",))]
    for line in lines:
        show.out.print(line, markup=False, soft_wrap=True)


def _listed(names: tuple[str, ...] | list[str]) -> list[str]:
    more = [f"  and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return [*(f"  {name}" for name in names[:SHOWN]), *more]
