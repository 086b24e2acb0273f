"""Reads a folder of exported files as if it were a CRM: one file a table, CSV, JSON lines or Parquet.

Nothing here knows a mapping or judges a value: a cell is read as the type that is asked for, or counted as
unreadable. There is no Writer; an export cannot be changed.
"""

from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.problems import RowProblem
from stagesync.connectors.exports.reader import ExportReader

__all__ = ["ExportFormat", "ExportReader", "RowProblem"]
