"""Loaded in the fork server after all the rest: what each run would do anew is done once.

Modules that are loaded late are loaded here, and settings, clients and a ledger are made. Nothing is sent, and nothing
is started that has threads, which a fork would not take along.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy.ma  # noqa: F401
import psycopg  # noqa: F401
import pytest  # noqa: F401 - multiprocessing looks at the main module in every child

from stagesync.settings import load_settings
from stagesync.wiring import opened

from .child import COMPANIES
from .company import START
from .configuration import SECRETS, configure


def warm_up() -> None:
    """Open and close an agent for each CRM."""
    os.environ.update(SECRETS)
    for crm in COMPANIES:
        with TemporaryDirectory() as name:
            folder = Path(name)
            settings = configure(folder, crm, "http://127.0.0.1:9", f"sqlite:///{folder / 'ledger.db'}", marked=False)
            with opened(load_settings(settings), write=True) as agent:
                run = agent.ledger.start_run(command="run", at=START, facts=agent.facts)
                agent.ledger.finish_run(run, at=START, result="done", facts={})


warm_up()
# No child looks through what is loaded here, and so none copies it.
gc.collect()
gc.freeze()
