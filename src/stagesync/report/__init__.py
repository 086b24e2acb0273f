"""Findings and changes as JSON, CSV and Markdown. Every list says how many it left out.

``documents`` and ``plans`` hold the types of the JSON: they write it, and its JSON Schema is derived from them.
"""

from stagesync.report.documents import REPORT_VERSION, Report
from stagesync.report.plans import PlanDocument
from stagesync.report.schema import schema_of
from stagesync.report.writing import as_csv, as_json, as_markdown, lines_of_csv

__all__ = [
    "REPORT_VERSION",
    "PlanDocument",
    "Report",
    "as_csv",
    "as_json",
    "as_markdown",
    "lines_of_csv",
    "schema_of",
]
