"""Everything that can go wrong, grouped by what the caller does next.

StageSyncError
├── UsageError           the command line asks for something that cannot be; fix it, exit 2
├── ConfigurationError   settings, definitions or mappings are wrong; fix the file, exit 2
├── IncompleteError      something in scope was not evaluated or written; look at the record, exit 3
├── RefusedError         the guard said no; let a person decide, exit 4
├── ConnectionFailed     a CRM cannot be reached or refuses the credentials; wait or fix, exit 5
│   ├── CredentialsRefused  the credentials are wrong; waiting does not help
│   └── LimitReached     a CRM wants to be left alone, mostly because its calls are used up; go on later, exit 3
├── Busy                 another agent is writing with the same ledger; wait and try again, exit 3
├── LedgerError          the ledger cannot be trusted or opened; stop before writing, exit 3
└── Interrupted          a person or the system asked to stop; what was begun is finished, exit 3
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self


class StageSyncError(Exception):
    """A failure with a message for a person: what is wrong, where, and what to do."""

    exit_code = 3


class UsageError(StageSyncError):
    """The command asks for something that cannot be."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a file: where, what, and the nearest right name if there is one."""

    file: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigurationError(StageSyncError):
    """Settings, definitions or mappings are wrong. All problems that could be found are listed."""

    exit_code = 2

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        self.problems = problems
        super().__init__("\n".join([message, *(str(problem) for problem in problems)]))


class IncompleteError(StageSyncError):
    """Something in scope was not evaluated, or a change was not made."""

    exit_code = 3


class RefusedError(StageSyncError):
    """The guard refused before the first write."""

    exit_code = 4


class ConnectionFailed(StageSyncError):
    """A CRM cannot be reached, or went on failing after the retries."""

    exit_code = 5


class CredentialsRefused(ConnectionFailed):
    """A CRM refused the credentials or their permissions; trying again does not help.

    ``wait`` is how long what runs by itself leaves the CRM alone: too many failed logins lock a user out.
    """

    wait = timedelta(hours=1)


class LimitReached(ConnectionFailed):
    """The calls that a CRM allows are used up, or the share of them that StageSync may use; nothing was sent.

    ``wait`` is how long to leave the CRM alone, an hour where nobody can say when it is enough: a pool that fills up as
    calls of a day ago stop counting.
    """

    exit_code = 3
    wait = timedelta(hours=1)

    def waiting(self, wait: timedelta) -> Self:
        """The same error of a CRM that says when it can be asked again."""
        self.wait = wait
        return self


class Busy(StageSyncError):
    """Another agent writes to the CRMs with the same ledger; nothing was read or written."""

    exit_code = 3


class LedgerError(StageSyncError):
    """The ledger cannot be opened, is locked, or its chain is broken."""

    exit_code = 3


class Interrupted(StageSyncError):
    """A person or the system asked to stop; the current batch was finished and recorded."""

    exit_code = 3
