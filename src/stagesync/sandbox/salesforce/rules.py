"""What an org's own administrators, approvals and limits refuse: switches for tests and rehearsals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stagesync.sandbox.salesforce.errors import RowError


@dataclass
class Refused:
    """An answer to the writes of one record. ``times`` counts down; None means each time."""

    code: str
    message: str
    times: int | None = None


@dataclass
class Rules:
    """What is refused, beside validation rules. Ids have 18 characters, fields are (object, field)."""

    refusals: dict[str, Refused] = field(default_factory=dict)
    """Writes of a record, and of new records that refer to it, fail like this: a trigger, a flow, a policy."""
    approval_locks: set[str] = field(default_factory=set)
    """Records in an approval process: ENTITY_IS_LOCKED."""
    restricted: set[tuple[str, str]] = field(default_factory=set)
    """Restricted picklists: what is no active value of theirs is refused. The standard ones are not restricted."""
    loose_keys: set[tuple[str, str]] = field(default_factory=set)
    """External ids that are not unique; set by ``Org.loosen_key``."""
    storage_full: bool = False
    """New records answer STORAGE_LIMIT_EXCEEDED."""

    def check_record(self, record_ids: Iterable[str | None]) -> None:
        """Refuse what a switch of one of these records refuses.

        Raises:
            RowError: in the words of the switch.
        """
        for record_id in record_ids:
            if record_id in self.approval_locks:
                raise RowError("ENTITY_IS_LOCKED", "the entity is locked for editing")
            refused = self.refusals.get(record_id or "")
            if refused is None or refused.times == 0:
                continue
            if refused.times is not None:
                refused.times -= 1
            raise RowError(refused.code, refused.message)

    def check_storage(self) -> None:
        """Refuse a new record when there is no room.

        Raises:
            RowError: STORAGE_LIMIT_EXCEEDED.
        """
        if self.storage_full:
            raise RowError("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", status=403)
