"""Logs: events with fields, JSON in a container and colour on a terminal, always on standard error.

Events carry ids and counts, never a record's values.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure(*, verbose: bool = False, as_json: bool = False) -> None:
    """Set up structlog. Commands say what went wrong themselves and log only when ``verbose``; a daemon logs JSON."""
    level = logging.INFO if verbose or as_json else logging.CRITICAL
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        last: list[structlog.types.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
