"""A task that StageSync itself closed: when its fault is there again it is asked for anew, and nobody ended it."""

from __future__ import annotations

import pytest

from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .office import Office
from .test_escalation import LATER, OFFICES, by_record, run, with_managers
from .test_run import open_tasks

BOTH = pytest.mark.parametrize("crm", ["salesforce", "hubspot"])


@BOTH
def test_what_a_waiver_excused_is_asked_for_anew_when_it_ends(sandbox: Sandbox, deploy: Deploy, crm: str) -> None:
    office: Office = OFFICES[crm](sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only(crm)
    with_managers(agent, sandbox, office, of_leaver="nobody")
    change = next(one for one in open_tasks(run(agent), crm) if one.object == office.deals)
    (first,) = by_record(office)[change.record]
    waive = ("waive", change.record, "--rule", "premature", "--until", "2099-01-01", "--reason", "so it is")
    assert agent.run(*waive).code == 0
    assert run(agent).exit_code == 0
    (closed,) = by_record(office)[change.record]
    assert closed.closed
    assert "A waiver was granted" in closed.body

    with agent.ledger() as ledger:
        (waiver,) = ledger.waivers()
    assert agent.run("waivers", "--withdraw", waiver.id, "--reason", "it was not").code == 0
    assert run(agent).exit_code == 0

    again = by_record(office)[change.record]
    assert again[0] == closed
    (made,) = again[1:]
    assert (made.closed, made.owner) == (False, first.owner)
    assert made.key != first.key
    # Nobody ended a task, so that no manager hears of one; and one task is enough.
    assert [one for one in run(agent, LATER).plan.changes if one.record == change.record] == []
    assert by_record(office)[change.record] == again


def test_what_a_revert_closed_is_not_told_of(sandbox: Sandbox, deploy: Deploy) -> None:
    office = OFFICES["salesforce"](sandbox)
    agent = deploy(sandbox, enforce=False)
    agent.only("salesforce")
    with_managers(agent, sandbox, office, of_leaver="nobody")
    assert run(agent).exit_code == 0
    done = agent.run("revert", "last", "--by", "Ana", "--note", "wrong quarter")
    assert done.code == 0, done.said
    closed = office.tasks()
    assert all(task.closed for task in closed)

    known = {task.record for task in closed}
    for after in (LATER * 0, LATER, LATER * 2):
        later = run(agent, after)
        assert later.exit_code == 0
        assert not known & {one.record for one in later.plan.changes}, "a limit counts what a plan says"
        assert known <= {one.record for one in later.plan.left_out if "closed by a revert" in one.reason}
    assert [task for task in office.tasks() if task.record in known] == closed
