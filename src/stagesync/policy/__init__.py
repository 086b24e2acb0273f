"""Stage definitions as code: what an admin writes, read strictly and checked before a record is seen.

No I/O but reading the named files, no clock, and no knowledge of any CRM.
"""
