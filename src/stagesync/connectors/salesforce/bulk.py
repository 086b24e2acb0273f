"""Whole readings of large tables by Bulk API 2.0: a job of the org writes the result, which is then fetched as CSV.

developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/queries.htm

A page of results that does not come whole is asked for again before a row of it is handed out. Whatever keeps the job
from giving all of its rows ends in :class:`NotByBulk`, so that the table can be read by REST instead.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import msgspec
import polars as pl
import structlog

from stagesync.connectors.salesforce.decode import decode_rows
from stagesync.connectors.salesforce.failures import EXPIRED_LOCATOR, CutOff, DailyLimitReached, Refusal
from stagesync.connectors.salesforce.paging import fields
from stagesync.connectors.salesforce.results import decode_results
from stagesync.connectors.salesforce.schema import COMPOUND, Column
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.soql import select
from stagesync.errors import ConnectionFailed
from stagesync.model.frames import Page

log = structlog.get_logger(__name__)

UNFIT = COMPOUND | {"base64"}
"""Kinds of fields that a bulk query refuses."""
RESULT_ROWS = 20_000
"""How many rows a page of results has: some 12 MB of ordinary records."""
LARGE, FEWEST_ROWS = 32_000_000, 1_000
"""A page of more bytes is followed by one of half as many rows."""
WAITS = (1, 2, 3, 5, 8, 13, 20)
"""Seconds between two looks at a job, the last one again and again: each look is a call of the org's pool."""
LONGEST_JOB = 3_600
"""Seconds of waiting after which a job is given up."""
READINGS = 3
"""How often the results are read from their beginning because a locator ended."""


class NotByBulk(Exception):
    """Why a table cannot be read by Bulk API 2.0 now; in words for people."""


class TooSlow(NotByBulk):
    """The org has no time for jobs: the next one would be waited for as long."""


class Job(msgspec.Struct, frozen=True):
    """A query job as the org shows it."""

    id: str
    state: str
    errorMessage: str | None = None
    numberRecordsProcessed: int | None = None


class Limit(msgspec.Struct, frozen=True):
    Max: int
    Remaining: int


class Limits(msgspec.Struct, frozen=True):
    DailyBulkV2QueryJobs: Limit | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """A page of results: its rows, the locator of the next one, and how many bytes it took."""

    rows: pl.DataFrame
    locator: str | None
    size: int


def bulk_pages(session: OrgSession, table: str, columns: Sequence[Column]) -> Generator[Page, None, None]:
    """All rows of a table, in any order, with empty pages while the job runs. ``anew`` where the results begin again.

    The job is deleted afterwards, and aborted when the caller stops before it is done.

    Errors: :class:`NotByBulk`; ``Unreachable``, ``CredentialsRefused`` and ``LimitReached`` as every call.
    """
    unfit = [column.name for column in columns if column.kind in UNFIT]
    if unfit:
        raise NotByBulk(f"{', '.join(unfit)}: fields of this kind cannot be read by a bulk query")
    _check_room(session)
    job = _created(session, select(fields(columns), table))
    done = False
    try:
        nothing = decode_rows([], columns)
        for wait in _waits():
            yield from (Page(table=table, rows=nothing) for _ in _naps(session, wait))
            job = _asked(session, job.id)
            done = job.state == "JobComplete"
            if done:
                break
        yield from _read(session, job, table, columns)
    finally:
        _removed(session, job, done=done)


def _check_room(session: OrgSession) -> None:
    """Leave the last jobs of the day to others, by the same share as calls. Not everybody may ask for the limits."""
    try:
        limits = session.call(Call(method="GET", path="limits", reads=True), msgspec.json.Decoder(Limits).decode)
    except Refusal as error:
        _pass_on(error)
        return
    daily, share = limits.DailyBulkV2QueryJobs, session.connection.budget
    if daily is not None and daily.Max - daily.Remaining + 1 > daily.Max * share:
        raise NotByBulk(
            f"{daily.Max - daily.Remaining:,} of the {daily.Max:,} bulk queries that the org allows in 24 hours are "
            f"used, and budget.share is {share:g}"
        )


def _created(session: OrgSession, soql: str) -> Job:
    """A job. One that is made twice because its answer was lost harms nobody: the org forgets it after days."""
    body = {"operation": "query", "query": soql, "columnDelimiter": "COMMA", "lineEnding": "LF"}
    call = Call(method="POST", path="jobs/query", reads=True, body=body)
    return _told(session, call)


def _asked(session: OrgSession, job_id: str) -> Job:
    job = _told(session, Call(method="GET", path=f"jobs/query/{job_id}", reads=True))
    if job.state in {"Failed", "Aborted"}:
        why = f": {job.errorMessage}" if job.errorMessage else ""
        said = "failed" if job.state == "Failed" else "was aborted by somebody"
        raise NotByBulk(f"the bulk query {job.id} {said}{why}")
    return job


def _told(session: OrgSession, call: Call) -> Job:
    try:
        return session.call(call, msgspec.json.Decoder(Job).decode)
    except Refusal as error:
        _pass_on(error)
        raise NotByBulk(str(error)) from error


def _pass_on(error: Refusal) -> None:
    """Raise what another way of reading would meet as well."""
    if isinstance(error, DailyLimitReached) or error.status == 401 or error.busy:
        raise error


def _waits() -> Iterator[int]:
    waited = 0
    for look in range(LONGEST_JOB):
        wait = WAITS[min(look, len(WAITS) - 1)]
        if waited + wait > LONGEST_JOB:
            break
        waited += wait
        yield wait
    raise TooSlow(f"the bulk query was not done after {LONGEST_JOB // 60} minutes")


def _naps(session: OrgSession, seconds: int) -> Iterator[None]:
    """Wait a second at a time: whoever waits for a page may stop in between."""
    for _ in range(seconds):
        session.sleep(1)
        yield


def _read(session: OrgSession, job: Job, table: str, columns: Sequence[Column]) -> Iterator[Page]:
    """The results. A locator that ended is no loss: the job keeps its results, and they are read once more."""
    for reading in range(1, READINGS + 1):
        came = 0
        try:
            for number, page in enumerate(_results(session, job.id, columns)):
                came += page.height
                yield Page(table=table, rows=page, anew=reading > 1 and number == 0)
        except Refusal as error:
            _pass_on(error)
            if error.error.code != EXPIRED_LOCATOR or reading == READINGS:
                raise NotByBulk(str(error)) from error
            log.info("salesforce.bulk.again", connection=session.connection.connection, table=table, reading=reading)
            continue
        except CutOff as error:
            raise NotByBulk(str(error)) from error
        if job.numberRecordsProcessed not in {None, came}:
            raise NotByBulk(
                f"the bulk query found {job.numberRecordsProcessed:,} records, and its results hold {came:,}"
            )
        return


def _results(session: OrgSession, job_id: str, columns: Sequence[Column]) -> Iterator[pl.DataFrame]:
    locator: str | None = None
    known: set[str] = set()
    most = RESULT_ROWS
    while locator is None or locator not in known:
        params = {"maxRecords": str(most)}
        if locator is not None:
            known.add(locator)
            params["locator"] = locator
        path = f"jobs/query/{job_id}/results"
        call = Call(method="GET", path=path, reads=True, params=params, headers={"Accept": "text/csv"})
        page = session.answer(call, partial(_decoded, columns=columns, first=locator is None))
        yield page.rows
        if page.locator is None:
            return
        locator = page.locator
        most = max(most // 2, FEWEST_ROWS) if page.size > LARGE else most
    raise NotByBulk(f"the results of the bulk query {job_id} run in a circle")


def _decoded(body: bytes, headers: Mapping[str, str], *, columns: Sequence[Column], first: bool) -> Results:
    locator, count = headers.get("Sforce-Locator", "null"), headers.get("Sforce-NumberOfRecords", "")
    rows = decode_results(body, columns, first=first, rows=int(count) if count.isdigit() else None)
    return Results(rows=rows, locator=None if locator in {"null", ""} else locator, size=len(body))


def _removed(session: OrgSession, job: Job, *, done: bool) -> None:
    """Give the org its room back; a job that is under way must be aborted first."""
    path = f"jobs/query/{job.id}"
    if not done:
        with suppress(ConnectionFailed):
            session.call(Call(method="PATCH", path=path, reads=True, body={"state": "Aborted"}), bytes)
    with suppress(ConnectionFailed):
        session.call(Call(method="DELETE", path=path, reads=True), bytes)
