"""The HubSpot writer against the embedded portal: what the portal holds afterwards is what counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stagesync.connectors.base import Writer
from stagesync.connectors.hubspot import HubSpotConnection, connect
from stagesync.errors import ConnectionFailed, CredentialsRefused
from stagesync.model.changes import Change, ChangeKind, Outcome, Result, TaskText
from stagesync.model.kinds import Mode
from stagesync.sandbox.hubspot.definitions import PropertyDefinition

from .conftest import Serve
from .hubspot_office import Office, office, seed

__all__ = ["office"]

OWNER = "41629779"
UPDATES = "POST /crm/v3/objects/{object_type}/batch/update"
Values = Mapping[str, str | None]


def change(record: str, before: Values, after: Values, *, object_name: str = "deals", key: str = "") -> Change:
    return Change(
        key=key or f"key-{record}",
        kind=ChangeKind.SET_STAGE,
        connection="acme",
        object=object_name,
        record=record,
        record_name="X",
        rule="premature",
        mode=Mode.ENFORCE,
        reason="",
        before=before,
        after=after,
    )


def task_for(record: str, *, object_name: str = "deals", owner: str = OWNER, key: str = "") -> Change:
    text = TaskText(subject="Say why", body="Where is <the pain>?\nThanks", due=date(2026, 11, 25), owner=owner)
    return replace(change(record, {}, {}, object_name=object_name, key=key), kind=ChangeKind.OPEN_TASK, task=text)


def move(record: str, before: str | None, after: str | None) -> Change:
    return change(record, {"lifecyclestage": before}, {"lifecyclestage": after}, object_name="contacts")


def held(office: Office, name: str, record: str) -> Values:
    found = office.portal.records.get(office.portal.kind(name), int(record))
    assert found is not None
    return found.properties


def tasks_of(office: Office, name: str, record: str) -> list[str]:
    source, tasks = office.portal.kind(name), office.portal.kind("tasks")
    found, _ = office.portal.associations.linked(source, int(record), tasks, limit=500)
    return [str(task) for task, _ in found]


def results(outcomes: object) -> list[Result]:
    assert isinstance(outcomes, list)
    return [outcome.result for outcome in outcomes if isinstance(outcome, Outcome)]


@pytest.fixture(autouse=True)
def _owner(office: Office) -> None:
    office.portal.add_owners([{"id": int(OWNER), "email": "ann@example.com", "userId": 7}])


def test_it_is_a_writer(office: Office) -> None:
    writer: Writer = office.writer
    assert writer.batch_size == 100


# --------------------------------------------------------------------------------------------------- stages


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_a_stage_is_set_and_read_back(office: Office, version: str) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="contractsent")
    _, writer = office.again(api_version=version)
    (outcome,) = writer.set_stage([change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"})])
    assert outcome.result is Result.APPLIED
    assert outcome.seen == {"dealstage": "qualifiedtobuy"}
    assert held(office, "deals", deal)["dealstage"] == "qualifiedtobuy"


def test_a_stage_moves_across_pipelines_with_its_pipeline(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="contractsent")
    after = {"pipeline": "139663272", "dealstage": "139663273"}
    (outcome,) = office.writer.set_stage([change(deal, {"dealstage": "contractsent"}, after)])
    assert outcome.result is Result.APPLIED
    assert outcome.seen == after


def test_a_stage_that_changed_meanwhile_is_left_alone(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="closedwon")
    (outcome,) = office.writer.set_stage([change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"})])
    assert outcome.result is Result.SUPERSEDED
    assert "dealstage is closedwon, not contractsent" in outcome.detail
    assert office.portal.calls[UPDATES] == 0


def test_a_stage_that_is_right_already_is_not_written(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="qualifiedtobuy")
    same = [change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"})]
    assert results(office.writer.set_stage(same)) == [Result.ALREADY_SO]
    assert office.portal.calls[UPDATES] == 0


def test_a_record_that_is_gone_is_superseded(office: Office) -> None:
    (outcome,) = office.writer.set_stage([change("999", {"dealstage": "a"}, {"dealstage": "b"})])
    assert outcome.result is Result.SUPERSEDED


def test_one_bad_row_does_not_block_the_others(office: Office) -> None:
    deals = seed(office.portal, "deals", 40, pipeline="default", dealstage="contractsent")
    changes = [change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"}) for deal in deals]
    for place in (3, 17):
        changes[place] = replace(changes[place], after={"dealstage": "139663273"})  # a stage of another pipeline
    outcomes = office.writer.set_stage(changes)
    assert [outcome.key for outcome in outcomes] == [one.key for one in changes]
    assert [place for place, outcome in enumerate(outcomes) if outcome.result is not Result.APPLIED] == [3, 17]
    assert outcomes[3].result is Result.REFUSED
    assert "139663273 was not one of the allowed options" in outcomes[3].detail
    assert held(office, "deals", deals[3])["dealstage"] == "contractsent"


def test_more_than_a_batch_and_the_same_record_twice(office: Office) -> None:
    deals = seed(office.portal, "deals", 120, pipeline="default", dealstage="contractsent")
    changes = [change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"}) for deal in deals]
    changes.append(
        replace(changes[0], key="again", before={"dealstage": "qualifiedtobuy"}, after={"dealstage": "closedlost"})
    )
    outcomes = office.writer.set_stage(changes)
    assert set(results(outcomes)) == {Result.APPLIED}
    assert held(office, "deals", deals[0])["dealstage"] == "closedlost"


def test_a_token_that_may_only_read_writes_nothing(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="contractsent")
    office.portal.faults.read_only_token = True
    (outcome,) = office.writer.set_stage([change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"})])
    assert outcome.result is Result.REFUSED
    assert "crm.objects.deals.write" in outcome.detail
    assert held(office, "deals", deal)["dealstage"] == "contractsent"


def test_nothing_was_written_is_an_exception(office: Office) -> None:
    office.portal.faults.token_revoked = True
    with pytest.raises(CredentialsRefused):
        office.writer.set_stage([change("1", {}, {"dealstage": "x"})])


def test_a_rule_of_the_portal_refuses_in_its_own_words(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="contractsent")
    office.portal.require_properties("deals", ["amount"], stage="closedwon")
    _, writer = office.again(api_version="2026-09")
    (outcome,) = writer.set_stage([change(deal, {"dealstage": "contractsent"}, {"dealstage": "closedwon"})])
    assert outcome.result is Result.REFUSED
    assert "amount" in outcome.detail


# ---------------------------------------------------------------------------------------- lifecycle stages


def test_a_lifecycle_stage_goes_back_by_way_of_blank(office: Office) -> None:
    (contact,) = seed(office.portal, "contacts", 1, lifecyclestage="opportunity")
    (outcome,) = office.writer.set_stage([move(contact, "opportunity", "lead")])
    assert outcome.result is Result.APPLIED
    assert held(office, "contacts", contact)["lifecyclestage"] == "lead"
    assert office.portal.calls[UPDATES] == 2


def test_a_lifecycle_stage_goes_forward_at_once(office: Office) -> None:
    (contact,) = seed(office.portal, "contacts", 1, lifecyclestage="lead")
    assert results(office.writer.set_stage([move(contact, "lead", "opportunity")])) == [Result.APPLIED]
    assert office.portal.calls[UPDATES] == 1


def test_a_lifecycle_stage_that_is_gone_does_not_cost_the_old_one(office: Office) -> None:
    (contact,) = seed(office.portal, "contacts", 1, lifecyclestage="opportunity")
    (outcome,) = office.writer.set_stage([move(contact, "opportunity", "retired")])
    assert outcome.result is Result.REFUSED
    assert held(office, "contacts", contact)["lifecyclestage"] == "opportunity"


def test_a_lifecycle_stage_cleared_in_vain_is_put_back(office: Office) -> None:
    good, bad = seed(office.portal, "contacts", 2, lifecyclestage="opportunity")
    after = {"lifecyclestage": "lead", "no_such_property": "x"}
    changes = [move(good, "opportunity", "lead"), replace(move(bad, "opportunity", "lead"), after=after)]
    outcomes = office.writer.set_stage(changes)
    assert results(outcomes) == [Result.APPLIED, Result.REFUSED]
    assert "the old stage was put back" in outcomes[1].detail
    assert held(office, "contacts", bad)["lifecyclestage"] == "opportunity"


def test_a_stop_between_clearing_and_setting_is_finished(office: Office) -> None:
    (contact,) = seed(office.portal, "contacts", 1)
    half_done = [move(contact, "opportunity", "lead")]
    assert results(office.writer.set_stage(half_done)) == [Result.SUPERSEDED]
    assert results(office.writer.finish_stage(half_done)) == [Result.APPLIED]
    assert held(office, "contacts", contact)["lifecyclestage"] == "lead"
    assert results(office.writer.finish_stage(half_done)) == [Result.ALREADY_SO]


def test_finishing_does_not_touch_a_stage_that_somebody_set(office: Office) -> None:
    (contact,) = seed(office.portal, "contacts", 1, lifecyclestage="customer")
    assert results(office.writer.finish_stage([move(contact, "opportunity", "lead")])) == [Result.SUPERSEDED]


# ---------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("name", ["deals", "contacts", "leads"])
@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("version", ["v3", "2026-09"])
def test_a_task_is_opened_once_and_attached(office: Office, name: str, unique: bool, version: str) -> None:
    if not unique:
        office.portal.metadata.remove_property("tasks", "stagesync_key")
    (record,) = seed(office.portal, name, 1)
    reader, writer = office.again(api_version=version)
    (first,) = writer.open_tasks([task_for(record, object_name=name)])
    (second,) = writer.open_tasks([task_for(record, object_name=name)])
    assert (first.result, second.result) == (Result.APPLIED, Result.ALREADY_SO)
    assert tasks_of(office, name, record) == [first.crm_id] == [second.crm_id]
    task = held(office, "tasks", str(first.crm_id))
    assert task["hs_task_subject"] == "Say why"
    assert str(task["hs_task_body"]).startswith("Where is &lt;the pain&gt;?<br>Thanks")
    assert task["hs_timestamp"] == "2026-11-25T09:00:00.000Z"
    assert (task["hs_task_status"], task["hubspot_owner_id"]) == ("NOT_STARTED", OWNER)
    assert reader.own_tasks([f"key-{record}"]) == {f"key-{record}": first.crm_id}


@pytest.mark.parametrize("unique", [True, False])
def test_a_task_whose_answer_was_lost_is_not_made_twice(office: Office, unique: bool) -> None:
    if not unique:
        office.portal.metadata.remove_property("tasks", "stagesync_key")
    deals = seed(office.portal, "deals", 3)
    office.portal.faults.drop_after_task_create = 1
    outcomes = office.writer.open_tasks([task_for(deal) for deal in deals])
    assert results(outcomes) == [Result.APPLIED] * 3
    assert [len(tasks_of(office, "deals", deal)) for deal in deals] == [1, 1, 1]
    assert len(office.portal.records.select(office.portal.kind("tasks"), (), "")) == 3


def test_a_task_that_lost_its_record_is_attached_again(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1)
    (task,) = seed(office.portal, "tasks", 1, stagesync_key=f"key-{deal}", hs_task_subject="X")
    assert results(office.writer.open_tasks([task_for(deal)])) == [Result.ALREADY_SO]
    assert tasks_of(office, "deals", deal) == [task]


@pytest.mark.parametrize("unique", [True, False])
def test_an_owner_who_left_is_refused_for_that_task_alone(office: Office, unique: bool) -> None:
    if not unique:
        office.portal.metadata.remove_property("tasks", "stagesync_key")
    deals = seed(office.portal, "deals", 5)
    changes = [task_for(deal, owner="1" if place == 2 else OWNER) for place, deal in enumerate(deals)]
    outcomes = office.writer.open_tasks(changes)
    assert [outcome.result for outcome in outcomes].count(Result.APPLIED) == 4
    assert outcomes[2].result is Result.REFUSED
    assert "owner" in outcomes[2].detail


def test_no_task_is_made_for_a_record_that_is_gone(office: Office) -> None:
    (outcome,) = office.writer.open_tasks([task_for("999")])
    assert outcome.result is Result.SUPERSEDED
    assert len(office.portal.records.select(office.portal.kind("tasks"), (), "")) == 0


def test_a_property_that_is_not_unique_is_not_relied_on(office: Office) -> None:
    office.portal.add_property("tasks", PropertyDefinition(name="stagesync_key", label="Key"))
    (deal,) = seed(office.portal, "deals", 1)
    (outcome,) = office.writer.open_tasks([task_for(deal)])
    assert "[stagesync:" in str(held(office, "tasks", str(outcome.crm_id))["hs_task_body"])


def test_tasks_are_closed_once(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1)
    (opened,) = office.writer.open_tasks([task_for(deal)])
    closing = [replace(change(deal, {}, {}), kind=ChangeKind.CLOSE_TASK, crm_id=opened.crm_id)]
    assert results(office.writer.close_tasks(closing)) == [Result.APPLIED]
    assert held(office, "tasks", str(opened.crm_id))["hs_task_status"] == "COMPLETED"
    assert results(office.writer.close_tasks(closing)) == [Result.ALREADY_SO]


def test_a_task_that_a_rep_deleted_is_left_alone(office: Office) -> None:
    closing = replace(change("1", {}, {}), kind=ChangeKind.CLOSE_TASK, crm_id="999")
    nameless = replace(closing, key="other", crm_id=None)
    assert results(office.writer.close_tasks([closing, nameless])) == [Result.ALREADY_SO, Result.FAILED]


# --------------------------------------------------------------------------------------------------- faults


def test_a_limit_in_the_middle_of_writing_is_waited_for(office: Office) -> None:
    (deal,) = seed(office.portal, "deals", 1, pipeline="default", dealstage="contractsent")
    changes = [change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"})]
    office.portal.faults.fail_next(2, 423)
    assert results(office.writer.set_stage(changes)) == [Result.APPLIED]
    assert all(wait >= 2 for wait in office.waits)


class Script:
    """A server that holds one deal, and answers writes as told."""

    def __init__(self, *, update_status: int = 200, takes: bool = True, read_limit: int = 100) -> None:
        self.stage = "old"
        self.update_status = update_status
        self.takes = takes
        self.reads_left = read_limit

    async def __call__(self, request: Request) -> Response:
        if request.url.path.endswith("batch/update"):
            body = await request.json()
            self.stage = body["inputs"][0]["properties"]["dealstage"] if self.takes else self.stage
            return Response('{"status": "COMPLETE", "results": []}', status_code=self.update_status)
        self.reads_left -= 1
        if self.reads_left < 0:
            return Response(status_code=503)
        row = {"id": "1", "properties": {"dealstage": self.stage}}
        return Response(json.dumps({"results": [row]}), media_type="application/json")

    def write(self, serve: Serve) -> Outcome:
        async def endpoint(request: Request) -> Response:
            return await self(request)

        url = serve([Route("/{rest:path}", endpoint, methods=["POST"])])
        connection = HubSpotConnection(connection="acme", base_url=url, access_token="t")
        _, writer = connect(connection, sleep=lambda _wait: None)
        (outcome,) = writer.set_stage([change("1", {"dealstage": "old"}, {"dealstage": "new"})])
        return outcome


def test_a_write_that_was_ignored_with_200_has_failed(serve: Serve) -> None:
    outcome = Script(takes=False).write(serve)
    assert outcome.result is Result.FAILED
    assert "dealstage is old, not new" in outcome.detail


def test_a_write_that_never_answered_but_took_is_applied(serve: Serve) -> None:
    assert Script(update_status=504).write(serve).result is Result.APPLIED


def test_a_write_that_never_answered_is_unknown(serve: Serve) -> None:
    assert Script(update_status=504, takes=False).write(serve).result is Result.UNKNOWN


def test_a_write_that_cannot_be_read_back_is_unknown(serve: Serve) -> None:
    assert Script(read_limit=1).write(serve).result is Result.UNKNOWN


def test_a_failure_after_the_first_batch_is_told_row_by_row(office: Office) -> None:
    deals = seed(office.portal, "deals", 100, pipeline="default", dealstage="contractsent")
    (contact,) = seed(office.portal, "contacts", 1, lifecyclestage="opportunity")
    office.portal.faults.missing_scopes.add("crm.objects.contacts.read")
    changes = [change(deal, {"dealstage": "contractsent"}, {"dealstage": "qualifiedtobuy"}) for deal in deals]
    outcomes = office.writer.set_stage([*changes, move(contact, "opportunity", "lead")])
    assert set(results(outcomes[:100])) == {Result.APPLIED}
    assert outcomes[100].result is Result.FAILED
    with pytest.raises(ConnectionFailed):
        office.writer.set_stage([move(contact, "opportunity", "lead")])
