"""The mirror: what was last read of each CRM, as Parquet. Columnar and rebuildable, never the truth."""

from stagesync.mirror.store import Held, Mirror, Snapshot

__all__ = ["Held", "Mirror", "Snapshot"]
