"""Logs: events with fields, JSON in a container and colour on a terminal, always on standard error.

Events carry ids and counts, never a record's values.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.stdlib import ProcessorFormatter


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
    if as_json:
        _take_over(shared, last)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def _take_over(shared: list[structlog.types.Processor], last: list[structlog.types.Processor]) -> None:
    """What libraries warn of through ``logging`` comes out as JSON too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared, _as_event],
            processors=[ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _as_event(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    event["message"], event["event"] = event["event"], "library_warned"
    return event
