"""Frozen data that every step passes on: tables, records, findings, changes, runs. No behaviour, no I/O."""
