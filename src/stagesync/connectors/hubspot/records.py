"""Reading records by id, associations and definitions: what both the reader and the writer ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlencode

from stagesync.connectors.hubspot.answers import (
    AskedRow,
    AssociationAnswer,
    AssociationRow,
    Properties,
    PropertyAnswer,
    ReadBatch,
    SearchPage,
    asked_batch,
    asked_page,
    unread,
)
from stagesync.connectors.hubspot.frames import ID
from stagesync.connectors.hubspot.transport import ReadTransport, Request
from stagesync.errors import ConnectionFailed

BATCH = 100  # records of a list's page; inputs of batch/read, batch/update, batch/upsert
HISTORY_BATCH = 50  # the same with past values
LONGEST_QUERY = 12_000  # characters; HubSpot answers 414 somewhere above 15,000
SEARCH_PAGE = 200
PAGES_REMEMBERED = 3
ASSOCIATION_BATCH = 1000  # inputs of associations batch/read

MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")
"""Properties with the ids of the records that a record was made of; contacts have both."""

T = TypeVar("T")


def pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items, in order."""
    source = iter(items)
    while piece := list(islice(source, size)):
        yield piece


def list_query(properties: Sequence[str], history: Sequence[str] = ()) -> dict[str, str | int]:
    """What a list asks for. A page has 100 records at most, 50 with history.

    Source: https://developers.hubspot.com/docs/api-reference/crm-objects, read 2026-11-21.
    """
    query: dict[str, str | int] = {"limit": HISTORY_BATCH if history else BATCH, "properties": ",".join(properties)}
    return {**query, "propertiesWithHistory": ",".join(history)} if history else query


def is_listable(properties: Sequence[str], history: Sequence[str] = ()) -> bool:
    """Whether a list may ask for so many properties: a URL has an end."""
    return len(urlencode(list_query(properties, history))) <= LONGEST_QUERY


def list_records(
    transport: ReadTransport, object_name: str, properties: Sequence[str], history: Sequence[str] = (), mark: str = ""
) -> Iterator[list[AskedRow]]:
    """All records of an object, page by page, strongly consistent and without search's cap of 10,000; from ``mark`` on,
    the one of an earlier page, where it is not empty."""
    shape, query = asked_page(tuple(properties)), list_query(properties, history)
    after: dict[str, str] = {"after": mark} if mark else {}
    steps, until = 0, 1
    seen: deque[set[str | int]] = deque(maxlen=PAGES_REMEMBERED)
    while True:
        request = Request(path=transport.paths.list, names={"object": object_name}, query={**query, **after})
        page = transport.ask(shape, request)
        yield _not_seen(page.results, seen)
        if page.paging is None or page.paging.next is None:
            return
        cursor = str(page.paging.next.after)
        if cursor == mark:
            raise ConnectionFailed(f"{transport.place}: the list of {object_name} repeats itself; try again later")
        steps += 1
        if steps == until:  # a mark that moves on twice as late each time meets every loop, whatever its length
            mark, steps, until = cursor, 0, until * 2
        after = {"after": cursor}


def _not_seen(rows: list[AskedRow], seen: deque[set[str | int]]) -> list[AskedRow]:
    """The records of a page that were not on the last few: when records come and go meanwhile, one may be on two."""
    ids = {row.id for row in rows}
    if len(ids) == len(rows) and all(ids.isdisjoint(page) for page in seen):
        seen.append(ids)
        return rows
    fresh = {row.id: row for row in rows if not any(row.id in page for page in seen)}
    seen.append(ids)
    return list(fresh.values())


def search_ids(
    transport: ReadTransport, object_name: str, filters: Sequence[Mapping[str, str]], after: str = ""
) -> Iterator[list[str]]:
    """The ids of records that pass all filters, above ``after``, ascending as numbers; at least one page.

    Each page is a search of its own for ids above the last one, so that neither the cap of 10,000 results for a search
    nor records that come and go meanwhile lose a row. The index may lag behind: an id may be gone, or a newer state
    not be found yet.
    """
    last, mark = int(after or 0), ""
    while True:
        above = {"propertyName": ID, "operator": "GT", "value": str(last)}
        body = {
            "filterGroups": [{"filters": [*filters, above]}],
            "sorts": [{"propertyName": ID, "direction": "ASCENDING"}],
            "properties": [ID],
            "limit": SEARCH_PAGE,
            **({"after": mark} if mark else {}),
        }
        request = Request(path=transport.paths.search, names={"object": object_name}, body=body, search=True)
        page = transport.ask(SearchPage, request)
        ids = [int(row.id) for row in page.results]
        yield [str(each) for each in sorted(set(ids))]
        following = _following(page)
        if _is_last(page, following):
            return
        if (ids and min(ids) <= last) or (not ids and following == mark):
            raise ConnectionFailed(f"{transport.place}: the search of {object_name} repeats itself; try again later")
        if ids != sorted(ids):
            raise ConnectionFailed(f"{transport.place}: the search of {object_name} is not in the order asked for")
        last, mark = (ids[-1], "") if ids else (last, following)


def _is_last(page: SearchPage, following: str) -> bool:
    """Whether nothing comes after a page. A page may hold fewer records than asked for, or none, and not be the last:
    HubSpot sets its own limits, and what was deleted a moment ago leaves gaps."""
    if following:
        return False
    if not page.results:
        return True
    return len(page.results) < SEARCH_PAGE if page.total is None else page.total <= len(page.results)


def _following(page: SearchPage) -> str:
    return str(page.paging.next.after) if page.paging is not None and page.paging.next is not None else ""


def read_records(
    transport: ReadTransport,
    object_name: str,
    ids: Iterable[str],
    properties: Sequence[str],
    *,
    key: str | None = None,
    history: Sequence[str] = (),
) -> list[AskedRow]:
    """These records as they are now, in no particular order; absent ones are left out (HTTP 207).

    ``key`` names a property with unique values that ``ids`` are values of, ``history`` properties whose past values
    are wanted. Strongly consistent, unlike search. A merged record comes as the one that it became, with its id.
    """
    shape = asked_batch(tuple(properties))
    found: dict[str, AskedRow] = {}
    for piece in pieces(dict.fromkeys(ids), HISTORY_BATCH if history else BATCH):
        body: dict[str, Any] = {"properties": list(properties), "propertiesWithHistory": list(history)}
        if key is not None:
            body["idProperty"] = key
        answer = _batch(transport, object_name, shape, piece, body)
        found |= {str(row.id): row for row in answer.results}
        if key is None and (untold := _untold(answer, piece)):
            found |= {str(row.id): row for row in _batch(transport, object_name, shape, untold, body).results}
    return list(found.values())


def _batch(
    transport: ReadTransport, object_name: str, shape: type[ReadBatch], ids: Sequence[str], body: Mapping[str, Any]
) -> ReadBatch:
    inputs = {"inputs": [{"id": value} for value in ids], **body}
    request = Request(path=transport.paths.batch_read, names={"object": object_name}, body=inputs)
    return transport.ask(shape, request, unread)


def _untold(answer: ReadBatch, ids: Sequence[str]) -> list[str]:
    """Records that an answer neither holds nor says to be absent: they may have been left out, and are asked for once
    more. A merged one comes under the id of another."""
    came = {str(row.id) for row in answer.results}
    if came.issuperset(ids):
        return []
    absent = {name for error in answer.errors for name in error.named()}
    untold = [each for each in ids if each not in came and each not in absent]
    nameless = any(not error.named() for error in answer.errors)
    return [] if nameless or len(untold) <= len(came - set(ids)) else untold


def read_followed(
    transport: ReadTransport, object_name: str, ids: Iterable[str], properties: Sequence[str]
) -> dict[str, AskedRow]:
    """These records as they are now, by the id asked for; one that was merged is the record that it became.

    Absent ones are left out. A merged record names those that it was made of.
    """
    wanted = set(ids)
    rows = read_records(transport, object_name, sorted(wanted), sorted({*properties, *MERGED}))
    found = {old: row for row in rows for old in former_ids(row) if old in wanted}
    return found | {str(row.id): row for row in rows if str(row.id) in wanted}


def former_ids(row: AskedRow) -> Iterator[str]:
    """The ids of records that this one was made of; HubSpot lists them with semicolons, some with a time behind."""
    for name in MERGED:
        parts = str(row.properties.get(name) or "").split(";")
        yield from (old for part in parts if (old := part.partition(":")[0].strip()))


def read_associations(
    transport: ReadTransport, source: str, target: str, ids: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Pairs of ids, from ``source`` records to ``target`` records; a record may have more than one page."""
    names = {"source": source, "target": target}
    for piece in pieces(dict.fromkeys(ids), ASSOCIATION_BATCH):
        inputs: list[dict[str, str]] = [{"id": value} for value in piece]
        while inputs:
            request = Request(path=transport.paths.associations_read, names=names, body={"inputs": inputs})
            answer = transport.ask(AssociationAnswer, request, unread)
            for row in answer.results:
                yield from ((str(row.source.id), str(end.to_object_id)) for end in row.to)
            more = [following for row in answer.results if (following := _next_input(row))]
            if any(each in inputs for each in more):
                what = f"the associations of {source} with {target} repeat themselves"
                raise ConnectionFailed(f"{transport.place}: {what}; try again later")
            inputs = more


def read_properties(transport: ReadTransport, object_name: str) -> dict[str, PropertyAnswer]:
    """The properties that an object has, by name. Raises what :meth:`ReadTransport.ask` raises."""
    answer = transport.ask(Properties, Request(path=transport.paths.properties, names={"object": object_name}))
    return {found.name: found for found in answer.results if not found.archived}


def known_properties(transport: ReadTransport, object_name: str) -> dict[str, PropertyAnswer]:
    """The properties that an object had within the last minute."""
    return transport.lately.told(("properties", object_name), lambda: read_properties(transport, object_name))


def _next_input(row: AssociationRow) -> dict[str, str] | None:
    if row.paging is None or row.paging.next is None:
        return None
    return {"id": str(row.source.id), "after": str(row.paging.next.after)}
