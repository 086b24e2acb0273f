"""A portal full of odd values: whole runs judge what can be judged, write what is right, and lose nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.model.changes import ChangeKind, Result
from stagesync.sandbox.hubspot.definitions import Stage
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import HubSpotOffice

UUID = "54bf5b9c-2198-4ba9-9292-e87c926ffdc"
NUMBER = "2071474924"
FIRST, SECOND = f"{UUID}0", f"{UUID}1"
MADE = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = (
    '<script>alert(1)</script>{{ 7*7 }}${HOME} & "more"',
    "O'Hara <b>\\' OR 1=1",
    "😀 \u202eevil\u202c \u2028",
    "x" * 10_000,
    " ",
    "[stagesync:0000]",
)
KEPT = ("dealname", "pain", "amount", "closedate", "lastname", "email", "hs_next_step", "hubspot_owner_id")


def run(agent: Deployment) -> RunResult:
    with agent.agent() as opened:
        return cycle.run(opened, command="run", write=True)


def put(sandbox: Sandbox, table: str, **properties: str | None) -> str:
    """A record as an old import left it, unchecked."""
    record = sandbox.portal.new_id(table)
    row = {"id": record, "properties": properties, "createdAt": MADE, "updatedAt": MADE}
    sandbox.portal.insert_many(table, [row])
    return str(record)


def two_pipelines_of_one_name(sandbox: Sandbox, agent: Deployment) -> None:
    """Their stages have the same labels, numbers and UUIDs for ids, and mean other things."""
    for pipeline, ids in ((NUMBER, ("31", "32")), (UUID, (FIRST, SECOND))):
        stages = [Stage(id=one, label=label, metadata={}) for one, label in zip(ids, ("New", "Offer"), strict=True)]
        sandbox.portal.add_pipeline("deals", pipeline, "Sales", stages)
    mapping = agent.copy_of("mappings/hubspot.yaml")
    text = mapping.read_text(encoding="utf-8")
    more = f"""        "{NUMBER}": {{"31": opportunity, "32": proposal}}
        {UUID}: {{{FIRST}: opportunity, {SECOND}: proposal}}
"""
    told = text.replace('        "139663272":\n', f'{more}        "139663272":\n')
    assert told != text
    mapping.write_text(told, encoding="utf-8")


def test_odd_values_are_judged_and_written_once(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("hubspot")
    agent.words["guard"] = {"stage_changes": 10_000, "share": 1.0, "tasks": 10_000}
    agent.save()
    two_pipelines_of_one_name(sandbox, agent)
    office = HubSpotOffice(sandbox)
    owner = next(record for record, body in office.rows()["owners"].items() if not body.get("archived"))
    odd = {name: put(sandbox, "contacts", lastname=name, lifecyclestage="opportunity", pain=name) for name in NAMES}
    for name in NAMES:
        put(sandbox, "deals", dealname=name, pipeline=NUMBER, dealstage="32", pain=name, hubspot_owner_id=owner)
    by_uuid = put(sandbox, "deals", dealname="UUID", pipeline=UUID, dealstage=SECOND, hubspot_owner_id=owner)
    by_number = put(sandbox, "deals", dealname="Number", pipeline=NUMBER, dealstage="32", hubspot_owner_id=owner)
    label = put(sandbox, "deals", dealname="Label", pipeline="default", dealstage="Contract Sent")
    stranger = put(sandbox, "deals", dealname="Stage of another", pipeline=UUID, dealstage="32")
    forms = put(
        sandbox,
        "deals",
        dealname="Forms",
        pipeline="default",
        dealstage="contractsent",
        hubspot_owner_id="1",
        **{"amount": " 1250.00 ", "closedate": "1795168800000", "hs_is_closed": "false", "budget_confirmed": "FALSE"},
    )
    nothing = [put(sandbox, table) for table in ("deals", "contacts", "emails", "calls", "meetings", "companies")]
    before = office.rows()

    first = run(agent)

    assert first.errors == {}
    assert {outcome.result for outcome in first.applied or ()} <= {Result.APPLIED, Result.REFUSED}
    after = office.rows()
    moved = {change.record: change for change in first.plan.changes if change.after}
    for table, stage in office.stage_fields.items():
        for record, row in before[table].items():
            now = after[table][record]
            assert {name: now.get(name) for name in KEPT} == {name: row.get(name) for name in KEPT}
            assert now.get(stage) == (moved[record].after[stage] if record in moved else row.get(stage))
    # A stage moves within its own pipeline, whatever others are called alike.
    assert (after["deals"][by_uuid]["dealstage"], after["deals"][by_uuid]["pipeline"]) == (FIRST, UUID)
    assert (after["deals"][by_number]["dealstage"], after["deals"][by_number]["pipeline"]) == ("31", NUMBER)
    assert not {label, stranger, *nothing} & moved.keys()
    [deals] = [one.scope for one in first.judgements if one.mapped.name == "deals"]
    assert sum(deals.skipped.values()) >= 3  # the label, the stage of another pipeline, and no stage at all
    assert deals.evaluated + sum(deals.skipped.values()) == deals.in_scope
    assert forms in {change.record for change in first.plan.changes}
    tasks = office.tasks()
    assert len({task.key for task in tasks}) == len(tasks)
    assert {task.record for task in tasks} & {by_uuid, by_number, *odd.values()}
    assert all("<" not in task.body.replace("<br>", "") for task in tasks)

    again = run(agent)
    assert again.errors == {}
    assert not [one for one in again.plan.changes if one.kind is ChangeKind.SET_STAGE]
    assert office.tasks() == tasks
    with agent.ledger() as ledger:
        assert ledger.verify().ok
