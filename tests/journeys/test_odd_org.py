"""An org full of odd values: whole runs judge what can be judged, write what is right, and lose nothing."""

from __future__ import annotations

from typing import Any

from stagesync.agent import cycle
from stagesync.agent.running import RunResult
from stagesync.model.changes import Result
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment
from .office import SalesforceOffice

NAMES = (
    "O'Hara \\' OR Id != '",
    'say "hello" \\\\ \\n',
    "😀 \u202eevil\u202c \u2028 \u0000",
    "<script>alert(1)</script>{{ 7*7 }}${HOME}",
    '=HYPERLINK("https://evil.example")',
    "https://evil.example/006000000000001AAA",
    "x" * 100_000,
    " ",
)
STAGE = "Negotiation/Review"


def run(agent: Deployment) -> RunResult:
    with agent.agent() as opened:
        return cycle.run(opened, command="run", write=True)


def seed(sandbox: Sandbox) -> list[str]:
    """Deals and leads whose every text is odd, or which hold nothing at all."""
    org, made = sandbox.org, []
    owner = SalesforceOffice(sandbox).rep
    for name in NAMES:
        deal, lead = org.new_id("Opportunity"), org.new_id("Lead")
        made += [deal, lead]
        common: dict[str, Any] = {"OwnerId": owner, "Pain__c": name, "Description": name}
        values = {**common, "Id": deal, "Name": name, "StageName": STAGE, "CloseDate": "2026-12-31", "NextStep": name}
        org.insert_many("Opportunity", [values])
        org.insert_many("Lead", [{**common, "Id": lead, "LastName": name, "Company": name, "Status": "Qualified"}])
    strange = org.new_id("Opportunity")
    org.insert_many("Opportunity", [{"Id": strange, "Name": "?", "StageName": name, "CloseDate": "2215-01-01"}])
    for table in ("Opportunity", "Lead"):
        described = org.database.rows(f'PRAGMA table_info("{table}")')
        columns = [row["name"] for row in described if not row["notnull"]]
        blank = org.new_id(table)
        made.append(blank)
        org.insert_many(table, [{"Id": blank}])
        nulls = ", ".join(f'"{name}" = NULL' for name in columns if name not in {"Id", "IsDeleted", "SystemModstamp"})
        org.database.execute(f'UPDATE "{table}" SET {nulls} WHERE "Id" = ?', (blank,))
    return [*made, strange]


def test_odd_values_are_judged_and_written_once(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("salesforce")
    agent.words["guard"] = {"stage_changes": 10_000, "share": 1.0, "tasks": 10_000}
    agent.save()
    odd = seed(sandbox)
    office = SalesforceOffice(sandbox)
    before = office.rows()

    first = run(agent)

    assert first.errors == {}
    assert {outcome.result for outcome in first.applied or ()} <= {Result.APPLIED, Result.REFUSED}
    after = office.rows()
    moved = {change.record: change for change in first.plan.changes if change.after}
    for table in ("Opportunity", "Lead"):
        for record, row in before[table].items():
            kept = {name for name in row if row[name] == after[table][record][name]}
            assert {"Name", "Pain__c", "Description", "OwnerId"} <= kept
            stage = office.stage_fields[table]
            assert stage in kept or after[table][record][stage] == moved[record].after[stage]
    tasks = office.tasks()
    assert len({task.key for task in tasks}) == len(tasks)
    assert {task.record for task in tasks} & set(odd)

    again = run(agent)
    assert again.errors == {}
    assert office.tasks() == tasks
    with agent.ledger() as ledger:
        assert ledger.verify().ok
