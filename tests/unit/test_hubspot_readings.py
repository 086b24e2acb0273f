"""A portal may page and spell its answers, and leave gaps in them, in many ways: all comes once, or it is a failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, product, repeat
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.hubspot.answers import (
    BatchAnswer,
    OwnerPage,
    Pipelines,
    Properties,
    Rejection,
    Undecodable,
    asked_row,
    decode,
)
from stagesync.connectors.hubspot.connection import HubSpotConnection
from stagesync.connectors.hubspot.definitions import Definitions
from stagesync.connectors.hubspot.faults import Fault, OutcomeUnknown, Refusal, ScopeMissing, refusals_told
from stagesync.connectors.hubspot.frames import history_frame
from stagesync.connectors.hubspot.reader import HubSpotReader
from stagesync.connectors.hubspot.records import (
    PAGES_REMEMBERED,
    list_records,
    read_associations,
    read_records,
    search_ids,
)
from stagesync.connectors.hubspot.stages import pipeline_stages
from stagesync.connectors.hubspot.transport import Client, ReadTransport, Request, WriteTransport
from stagesync.connectors.hubspot.writer import HubSpotWriter
from stagesync.connectors.lately import Lately
from stagesync.errors import ConnectionFailed, CredentialsRefused, LimitReached, StageSyncError
from stagesync.model.changes import ChangeKind, Result
from stagesync.model.tables import ColumnType, Table
from tests.unit.hubspot_changes import deal_change

Answer = Callable[[Request], Any]


CHANGE = deal_change(ChangeKind.SET_STAGE, before={"dealstage": "late"}, after={"dealstage": "early"})


class Wire:
    """A client whose portal is a function of the request."""

    connection = HubSpotConnection(connection="crm", access_token="t")
    place, server_time = "crm", None

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.calls = 0
        self.lately = Lately()

    def call(self, request: Request) -> bytes:
        self.calls += 1
        return json.dumps(self._answer(request)).encode()

    def sleep(self, _seconds: float) -> None:
        pass


def over(answer: Answer) -> tuple[ReadTransport, Wire]:
    wire = Wire(answer)
    return ReadTransport(cast(Client, wire)), wire


def found(transport: ReadTransport) -> list[int]:
    return [int(each) for page in search_ids(transport, "deals", ()) for each in page]


@given(
    ids=st.sets(st.integers(1, 10**6), max_size=700),
    most=st.sampled_from([1, 3, 100, 199, 200]),
    says=st.sets(st.sampled_from(["total", "more", "blank"])),
)
def test_a_search_that_gives_fewer_than_asked_for_loses_nothing(ids: set[int], most: int, says: set[str]) -> None:
    """Pages are as long as the portal likes, or empty; a total tells what is left, or a mark that something is."""
    ids = set(sorted(ids)[: most * 40])
    blank, more = "blank" in says, "more" in says or "blank" in says or ("total" not in says and most < 200)

    def answer(request: Request) -> Any:
        body = request.body or {}
        above = int(body["filterGroups"][0]["filters"][-1]["value"])
        left = sorted(one for one in ids if one > above)
        page = left[:most] if not blank or body.get("after") else []
        told: dict[str, Any] = {"results": [{"id": one if one % 2 else str(one)} for one in page]}
        told |= {"total": len(left)} if "total" in says else {}
        return told | ({"paging": {"next": {"after": "0x"}}} if more and len(page) < len(left) else {"paging": None})

    transport, wire = over(answer)
    assert found(transport) == sorted(ids)
    if not ids or (len(ids) <= most and not blank and len(ids) < 200):
        assert wire.calls == 1


@pytest.mark.parametrize(
    "page",
    [
        {"results": [{"id": "3"}, {"id": "1"}], "total": 9},
        {"results": [], "paging": {"next": {"after": "2"}}},
        {"results": [{"id": "1"}], "total": 9},
    ],
)
def test_a_search_that_cannot_be_followed_is_a_failure(page: Any) -> None:
    """Out of order, without an end, or the same again and again."""
    with pytest.raises(ConnectionFailed, match=r"^crm: the search of deals"):
        found(over(lambda _request: page)[0])


def row(record: str) -> dict[str, Any]:
    return {"id": record, "properties": {"a": record}}


def read(answer: Answer) -> tuple[list[str], int]:
    transport, wire = over(answer)
    return [str(one.id) for one in read_records(transport, "deals", ["1", "2", "3"], ["a"])], wire.calls


def asked(request: Request) -> list[str]:
    return [one["id"] for one in (request.body or {})["inputs"]]


def test_a_row_that_an_answer_leaves_out_without_a_word_is_asked_for_once_more() -> None:
    assert read(lambda request: {"results": [row(one) for one in asked(request)[-2:]]}) == (["2", "3", "1"], 2)


def test_a_row_that_is_said_to_be_absent_is_not_asked_for_again() -> None:
    absent = {"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["1"]}}
    assert read(lambda _request: {"results": [row("3"), row("2")], "errors": [absent]}) == (["3", "2"], 1)
    nameless = {"category": "OBJECT_NOT_FOUND", "message": "some are gone"}
    assert read(lambda _request: {"results": [row("3"), row("2")], "errors": [nameless]}) == (["3", "2"], 1)


def test_a_row_that_comes_twice_or_under_another_id_is_one_row() -> None:
    assert read(lambda _request: {"results": [row("9"), row("2"), row("3"), row("2")]}) == (["9", "2", "3"], 1)


LOST = {"status": "error", "category": "INTERNAL_ERROR", "message": "oops", "context": {"ids": ["1"]}}


def test_a_row_that_could_not_be_read_is_not_called_gone() -> None:
    answers = [{"results": [row("2"), row("3")], "errors": [LOST]}, {"results": [row("1"), row("2"), row("3")]}]
    assert read(lambda _request: answers.pop(0)) == (["1", "2", "3"], 2)
    with pytest.raises(ConnectionFailed, match="could not read all that was asked for: oops"):
        read(lambda _request: {"results": [row("2"), row("3")], "errors": [LOST]})


@given(most=st.integers(1, 60), again=st.integers(0, 60))
def test_a_record_that_is_on_two_pages_of_a_list_comes_once(most: int, again: int) -> None:
    """Each page begins with the end of the one before it."""

    def answer(request: Request) -> Any:
        start = int(request.query.get("after", 0))
        page = [row(str(one)) for one in range(max(start - again, 0), min(start + most, 200))]
        following = {"next": {"after": start + most}} if start + most < 200 else None
        return {"results": [*page, page[-1]], "paging": following}

    rows = [each for page in list_records(over(answer)[0], "deals", ["a"]) for each in page]
    came = [int(each.id) for each in rows]
    if again <= most * PAGES_REMEMBERED:
        assert sorted(came) == list(range(200))
    assert set(came) == set(range(200))


def linked(answer: Answer) -> list[tuple[str, str]]:
    return list(read_associations(over(answer)[0], "deals", "contacts", ["1", "2"]))


def test_pages_of_associations_may_be_empty_and_go_on() -> None:
    def answer(request: Request) -> Any:
        results = []
        for one in (request.body or {})["inputs"]:
            start = int(one.get("after", 0))
            ends = [] if start == 1 else [{"toObjectId": 70 + start}]
            following = {"next": {"after": str(start + 1)}} if start < 3 else None
            results.append({"from": {"id": int(one["id"])}, "to": ends, "paging": following})
        return {"results": results}

    assert linked(answer) == [(one, f"{70 + start}") for start in (0, 2, 3) for one in ("1", "2")]


@pytest.mark.parametrize("said", ["OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND", None])
def test_a_record_without_associations_may_be_told_as_an_error(said: str | None) -> None:
    none = {"category": said, "message": "none", "context": {"fromObjectId": ["1"]}}
    assert linked(
        lambda _request: {"results": [{"from": {"id": 2}, "to": [{"toObjectId": "7"}]}], "errors": [none]}
    ) == [("2", "7")]


@pytest.mark.parametrize(
    "page",
    [
        {"results": [], "errors": [LOST]},
        {"results": [{"from": {"id": "1"}, "to": [], "paging": {"next": {"after": "same"}}}]},
    ],
)
def test_associations_that_cannot_be_read_are_not_called_none(page: Any) -> None:
    with pytest.raises(ConnectionFailed):
        linked(lambda _request: page)


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_null_says_no_more_than_absence() -> None:
    named: Sequence[str] = ("label", "type", "options", "calculated", "modificationMetadata", "archived")
    properties = {"results": [{"name": "amount", **dict.fromkeys(named)}], "paging": None}
    (amount,) = decode(text(properties), Properties).results
    assert (amount.options, amount.calculated, amount.modification_metadata.read_only_value) == ([], False, False)
    batch = decode(text({"results": [{"id": 7, "properties": None}, row("8")], "errors": None}), BatchAnswer)
    assert [one.properties for one in batch.results] == [{}, {"a": "8"}]
    with pytest.raises(Undecodable, match="results"):
        decode(text({"results": None}), BatchAnswer)


def test_ids_are_numbers_or_texts() -> None:
    stages = [{"id": 139663273, "label": None, "displayOrder": None, "metadata": {"isClosed": True, "probability": 1}}]
    pipelines = decode(text({"results": [{"id": 139663272, "stages": stages}]}), Pipelines).results
    (stage,) = pipeline_stages(pipelines)
    assert (stage.pipeline, stage.value, stage.closed, stage.won) == ("139663272", "139663273", True, True)
    owners = {"results": [{"id": 5, "userIdIncludingInactive": "7"}]}
    assert decode(text(owners), OwnerPage).results[0].user_id_including_inactive == "7"


def test_past_values_may_have_numbers_for_times_and_sources() -> None:
    past = [{"value": "won", "timestamp": 1_730_000_000_000, "sourceType": "INTEGRATION", "sourceId": 2311}]
    made = decode(text({"id": 1, "propertiesWithHistory": {"dealstage": past}}), asked_row(("a",)))
    table = Table(name="deals.history", key="record", columns={"by": ColumnType.TEXT}, history_of="dealstage")
    (read_row,) = history_frame(table, [made]).rows(named=True)
    assert (read_row["by"], read_row["at"].year) == ("INTEGRATION:2311", 2024)


@pytest.mark.parametrize(
    "context", [{"ids": ["2"]}, {"ids": [2]}, {"ids": 2}, {"id": "2", "line": None}, "{ids=[1, 2]}"]
)
def test_what_an_error_names_may_be_a_list_or_not(context: Any) -> None:
    details: list[dict[str, Any]] = [{"message": None, "code": 7, "subCategory": {}, "context": "{missingScopes=[a]}"}]
    error = {"message": "no", "context": context, "errors": details, "subCategory": {}}
    answer = decode(text({"results": [], "errors": [error]}), BatchAnswer)
    assert "2" in answer.errors[0].named()


def test_the_page_of_something_on_the_way_is_no_proof_that_there_is_no_such_object() -> None:
    said = Rejection()

    def answer(_request: Request) -> Any:
        raise Refusal(404, said)

    with pytest.raises(ConnectionFailed, match="something answered for leads in HubSpot's place"):
        Definitions(over(answer)[0]).known("leads")
    said = Rejection(message="Unable to infer object type")
    assert "this portal has no leads" in str(Definitions(over(answer)[0]).known("leads"))


@pytest.mark.parametrize("refusal", [Refusal(404, Rejection()), ScopeMissing("crm: no", "no")])
def test_what_a_run_cannot_do_without_is_a_failure_that_names_it(refusal: Exception) -> None:
    def answer(_request: Request) -> Any:
        raise refusal

    reader = HubSpotReader(over(answer)[0])
    with pytest.raises(StageSyncError, match=r"^crm: HubSpot refused to list the owners: "):
        reader.owners()
    with pytest.raises(StageSyncError, match=r"^crm: HubSpot refused to read the pipelines of deals: "):
        reader.stages("deals", "dealstage")


def test_no_refusal_of_a_look_is_an_error_that_nobody_expects() -> None:
    def answer(request: Request) -> Any:
        if request.names.get("object") == "deals" and "properties" in request.path:
            return {"results": [{"name": "dealname"}]}
        raise Refusal(400, Rejection(message="odd"))

    reader = HubSpotReader(over(answer)[0])
    table = Table(name="deals", key="hs_object_id", columns={"dealname": ColumnType.TEXT})
    looks: list[Callable[[], Any]] = [
        lambda: reader.current(table, ["1"]),
        lambda: reader.increments.present(table, ["1"]),
        lambda: list(reader.increments.portion(table, "", 9)),
        lambda: reader.merged_into(table, ["1"]),
        lambda: reader.own_tasks(["key"], ["1"]),
        lambda: reader.task_states(["1"]),
        lambda: HubSpotWriter(WriteTransport(cast(Client, Wire(answer)))).look_at_tasks(
            [replace(CHANGE, kind=ChangeKind.CLOSE_TASK, crm_id="1")]
        ),
    ]
    for look in looks:
        with pytest.raises(ConnectionFailed, match=r"odd \(HTTP 400\)"):
            look()


IDS = [3, 5, 8, 12, 20, 21, 30, 44]


def marked(after: int) -> tuple[list[int], int | None]:
    """The mark is the id of a page's last record."""
    left = [one for one in IDS if one > after]
    return left[:3], left[2] if len(left) > 3 else None


def marked_next(after: int) -> tuple[list[int], int | None]:
    """The mark is where the next page begins."""
    left = [one for one in IDS if one >= after]
    return left[:3], left[3] if len(left) > 3 else None


def newest_first(after: int) -> tuple[list[int], int | None]:
    """The list is in another order."""
    left = [one for one in reversed(IDS) if not after or one < after]
    return left[:3], left[2] if len(left) > 3 else None


def deaf(_after: int) -> tuple[list[int], int | None]:
    """The mark is not looked at."""
    return IDS[:3], 8


def lost(after: int) -> tuple[list[int], int | None]:
    """The mark is a place, and nothing comes from one that there is not."""
    return IDS[after:][:3] if after < 3 else [], 3 if not after else None


def broken(after: int) -> tuple[list[int], int | None]:
    if after:
        raise Fault(OutcomeUnknown("HTTP 500"), landed=True)
    return marked(after)


PORTIONS = [("", 9), ("", 4), ("8", 9), ("8", 2), ("7", 3), ("44", 9)]


@pytest.mark.parametrize(
    ("paging", "portion"),
    [
        *product([marked, marked_next, newest_first, broken, None], PORTIONS),
        *product([deaf, lost], [("8", 9), ("8", 2)]),
    ],
)
def test_a_portion_goes_on_from_an_id_in_whatever_way_the_list_is_marked(
    paging: Callable[[int], tuple[list[int], int | None]] | None, portion: tuple[str, int]
) -> None:
    """By searches where the list will not."""
    after, rows = portion
    searches = 0

    def answer(request: Request) -> Any:
        nonlocal searches
        if "properties" in request.path:
            return {"results": [{"name": "dealname"}]}
        body = request.body or {}
        if request.search:
            searches += 1
            above = int(body["filterGroups"][0]["filters"][-1]["value"])
            return {"results": [{"id": str(one)} for one in IDS if one > above]}
        if "inputs" in body:
            return {"results": [{"id": each["id"], "properties": {"dealname": each["id"]}} for each in body["inputs"]]}
        if paging is None:
            raise Refusal(400, Rejection(message="not a valid after"))
        page, mark = paging(int(request.query.get("after", 0)))
        told: dict[str, Any] = {"results": [{"id": str(one), "properties": {"dealname": str(one)}} for one in page]}
        return told | ({"paging": {"next": {"after": str(mark)}}} if mark is not None else {})

    reader = HubSpotReader(over(answer)[0])
    table = Table(name="deals", key="hs_object_id", columns={"dealname": ColumnType.TEXT})
    came = [name for changed in reader.increments.portion(table, after, rows) for name in changed.rows["dealname"]]
    assert came == [str(one) for one in IDS if one > int(after or 0)][:rows]
    assert searches == (paging not in (marked, marked_next))


def test_an_object_without_pipelines_has_no_stages() -> None:
    def answer(_request: Request) -> Any:
        raise Refusal(404, Rejection(message="no pipelines"))

    assert HubSpotReader(over(answer)[0]).stages("deals", "dealstage") == ()


def test_what_a_missing_scope_keeps_from_being_read_is_named() -> None:
    with (
        pytest.raises(ScopeMissing, match=r"^crm: HubSpot refused to list deals: lacks the scope x; add it") as caught,
        refusals_told("crm", "list deals"),
    ):
        raise ScopeMissing("crm: lacks the scope x; add it", "lacks the scope x")
    assert caught.value.reason == "lacks the scope x"


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (404, Rejection(), OutcomeUnknown),
        (400, Rejection(), OutcomeUnknown),
        (413, Rejection(), Refusal),
        (404, Rejection(message="resource not found"), Refusal),
        (400, Rejection(category="VALIDATION_ERROR"), Refusal),
    ],
)
def test_a_write_that_something_on_the_way_answers_is_not_refused(
    status: int, said: Rejection, kind: type[Exception]
) -> None:
    def answer(_request: Request) -> Any:
        raise Refusal(status, said)

    transport = WriteTransport(cast(Client, Wire(answer)))
    with pytest.raises(kind):
        transport.send(BatchAnswer, Request(path="/x", body={}), idempotent=True)


@pytest.mark.parametrize("end", [ConnectionFailed("cannot connect"), CredentialsRefused("no"), LimitReached("enough")])
def test_what_may_have_been_carried_out_once_stays_unknown(end: ConnectionFailed) -> None:
    """The answer to a write is lost, and then the portal is not there, or takes no calls."""
    ends = chain([Fault(OutcomeUnknown("no answer"), landed=True)], repeat(Fault(end, landed=False)))

    def answer(_request: Request) -> Any:
        fault = next(ends)
        raise fault.error if isinstance(fault.error, (CredentialsRefused, LimitReached)) else fault

    transport = WriteTransport(cast(Client, Wire(answer)))
    with pytest.raises(OutcomeUnknown, match="may have been carried out"):
        transport.send(BatchAnswer, Request(path="/x", body={}), idempotent=True)
    with pytest.raises(type(end)) as caught:
        transport.send(BatchAnswer, Request(path="/x", body={}), idempotent=True)
    assert caught.value is end


def test_a_look_that_is_refused_leaves_the_change_for_another_run() -> None:
    def answer(_request: Request) -> Any:
        raise Refusal(400, Rejection(message="odd"))

    (outcome,) = HubSpotWriter(WriteTransport(cast(Client, Wire(answer)))).set_stage([CHANGE])
    assert (outcome.result, outcome.detail) == (
        Result.FAILED,
        "not sent, because HubSpot refused the look before: odd (HTTP 400)",
    )
