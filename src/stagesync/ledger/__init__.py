"""The ledger: what StageSync saw, intended and did, append-only and hash-chained.

The only code that speaks SQL to the ledger. It may import ``stagesync.model`` and ``stagesync.errors`` and nothing
else of StageSync; it judges nothing and reads no clock.

==================  ==============================================================================
table               holds
==================  ==============================================================================
``entries``         the truth; database triggers refuse UPDATE, and DELETE of all that is not in ``dropped``
``head``            one row: number and hash of the newest entry, so that a cut-off end is noticed
``finding_lives``   derived: the newest entry of each finding, with its essence while it is open
``finding_owners``  derived: whose records' findings an entry tells, and how many
``stage_moves``     derived: corrections of stages that are so in the CRM
``open_intents``    derived: intents without a final outcome
``open_tasks``      derived: tasks that were opened and not closed
``dropped``         what is left of entries that were dropped after a time: their hashes
``holder``          one row while an agent may write to CRMs: who, since when
==================  ==============================================================================

The derived tables are written in the transaction of their entries, and :meth:`Ledger.rebuild` makes them again
from the entries. In SQLite a ledger is one file; in PostgreSQL it is the schema ``stagesync`` of the database
that the URL names.
"""

from stagesync.ledger.entry import (
    Entry,
    EntryKind,
    FindingChanges,
    PruneOrder,
    Pruning,
    RunRecord,
    StageMove,
    TrackedTask,
    Verification,
    Where,
)
from stagesync.ledger.ledger import Ledger

__all__ = [
    "Entry",
    "EntryKind",
    "FindingChanges",
    "Ledger",
    "PruneOrder",
    "Pruning",
    "RunRecord",
    "StageMove",
    "TrackedTask",
    "Verification",
    "Where",
]
