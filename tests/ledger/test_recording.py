"""What is recorded comes back as it was, and only differences are recorded."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from msgspec import structs

from stagesync.errors import LedgerError, UsageError
from stagesync.ledger import EntryKind, FindingChanges, Ledger
from stagesync.model.changes import ChangeKind, Result
from stagesync.model.crm import Identity
from stagesync.model.findings import Verdict

from .samples import CONNECTION, NOON, closing, finding, later, outcome, stage_change, task_change, told


def begin(ledger: Ledger, minutes: float = 0) -> str:
    return ledger.start_run(command="run", at=later(minutes), facts={"version": "0.1.0", "scope": {"deals": 3}})


def record(ledger: Ledger, run: str, findings: list, judged=None) -> FindingChanges:  # type: ignore[no-untyped-def,type-arg]
    return ledger.record_findings(run, at=NOON, connection=CONNECTION, findings=told(*findings), judged=judged)


def keys(ledger: Ledger, kind: EntryKind) -> list[str | None]:
    return [entry.key for entry in ledger.entries(kind=kind, newest_first=False)]


def test_a_run_has_a_sortable_id_and_an_end(ledger: Ledger) -> None:
    first, second = begin(ledger), begin(ledger, 1)
    assert first < second
    assert first.startswith("20261121T120000Z-")
    ledger.finish_run(first, at=later(2), result="done", facts={"evaluated": 3})

    newest, oldest = ledger.runs()
    assert (newest.id, newest.finished, newest.result) == (second, None, None)
    assert (oldest.id, oldest.started, oldest.finished) == (first, NOON, later(2))
    assert (oldest.command, oldest.result) == ("run", "done")
    assert (oldest.facts["scope"], oldest.summary) == ({"deals": 3}, {"evaluated": 3})
    assert ledger.runs(limit=1) == [newest]


def test_a_run_is_found_by_id_prefix_or_last(ledger: Ledger) -> None:
    first, second = begin(ledger), begin(ledger, 90)
    assert ledger.run(first).id == first
    assert ledger.run("20261121T12").id == first
    assert ledger.run("last").id == second
    with pytest.raises(UsageError, match="several runs begin with '2026'"):
        ledger.run("2026")
    for missing in ("1999", "%", "_", ""):
        with pytest.raises(UsageError, match="has no run"):
            ledger.run(missing)


def test_only_a_run_that_goes_on_can_be_finished(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no run 'nothing'"):
        ledger.finish_run("nothing", at=NOON, result="done", facts={})
    run = begin(ledger)
    ledger.finish_run(run, at=NOON, result="done", facts={})
    with pytest.raises(LedgerError, match="finished already"):
        ledger.finish_run(run, at=NOON, result="done", facts={})


def test_times_are_kept_as_utc_and_need_a_zone(ledger: Ledger) -> None:
    ledger.note("here", at=NOON.astimezone(timezone(timedelta(hours=5, minutes=30))))
    (entry,) = ledger.entries()
    assert entry.at == NOON
    assert entry.at.utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="zone"):
        ledger.note("there", at=datetime(2026, 11, 21))  # noqa: DTZ001


def test_findings_open_change_and_resolve(ledger: Ledger) -> None:
    run = begin(ledger)
    first = [finding(1), finding(2), finding(3)]
    assert record(ledger, run, first) == FindingChanges(opened=3, still_open=0, changed=0, resolved=0)
    assert record(ledger, run, first) == FindingChanges(opened=0, still_open=3, changed=0, resolved=0)

    second = [finding(1), finding(2, amount=9.0), finding(4)]
    assert record(ledger, run, second) == FindingChanges(opened=1, still_open=1, changed=1, resolved=1)
    assert keys(ledger, EntryKind.FINDING_OPENED) == [finding(number).key for number in (1, 2, 3, 4)]
    assert keys(ledger, EntryKind.FINDING_CHANGED) == [finding(2).key]
    (resolved,) = ledger.entries(kind="finding.resolved")
    assert (resolved.key, resolved.record, resolved.owner, resolved.rule) == (
        finding(3).key, finding(3).record, finding(3).owner, "premature",
    )  # fmt: skip

    assert record(ledger, run, [*second, finding(3)]).opened == 1  # it may come back
    assert ledger.verify().ok


def test_a_finding_keeps_everything(ledger: Ledger) -> None:
    record(ledger, begin(ledger), [finding(1)])
    (entry,) = ledger.entries(kind="finding.opened")
    body = entry.body["finding"]
    assert body["record_name"] == finding(1).record_name  # NUL and markup included
    assert body["since"] == "2026-10-01T08:30:00Z"
    assert [reason["verdict"] for reason in body["evidence"]] == ["not met", "unknown"]


def test_other_wording_is_no_change_but_another_verdict_is(ledger: Ledger) -> None:
    run = begin(ledger)
    blank, unknown = finding(1).evidence
    record(ledger, run, [finding(1)])
    tomorrow = finding(1, evidence=(structs.replace(blank, reason="blank for 16 days", value="16"), unknown))
    assert record(ledger, run, [tomorrow]).still_open == 1
    decided = finding(1, evidence=(blank, structs.replace(unknown, verdict=Verdict.NOT_MET)))
    assert record(ledger, run, [decided]).changed == 1


def test_findings_of_records_that_were_not_evaluated_stay_open(ledger: Ledger) -> None:
    run = begin(ledger)
    record(ledger, run, [finding(1), finding(2)])
    assert record(ledger, run, [], lambda _object, record: record == finding(2).record).resolved == 1
    assert record(ledger, run, [finding(1)]).still_open == 1


def test_connections_do_not_resolve_each_others_findings(ledger: Ledger) -> None:
    run = begin(ledger)
    record(ledger, run, [finding(1)])
    other = finding(1, connection="hubspot")
    ledger.record_findings(run, at=NOON, connection="hubspot", findings=told(other))
    assert ledger.record_findings(run, at=NOON, connection="hubspot", findings=()).resolved == 1
    assert record(ledger, run, [finding(1)]).still_open == 1


def test_a_finding_that_comes_twice_or_from_elsewhere_is_refused(ledger: Ledger) -> None:
    run = begin(ledger)
    with pytest.raises(LedgerError, match="comes twice"):
        record(ledger, run, [finding(1), finding(1)])
    elsewhere = told(finding(1, connection="hubspot"))
    with pytest.raises(LedgerError, match="are of connection 'hubspot'"):
        ledger.record_findings(run, at=NOON, connection=CONNECTION, findings=elsewhere)
    assert ledger.count(kind="finding.opened") == 0


def test_many_findings_are_recorded_in_chunks(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagesync.ledger.findings.ENTRY", 70)
    monkeypatch.setattr("stagesync.ledger.findings.TOGETHER", 4)
    monkeypatch.setattr("stagesync.ledger.findings.GONE", 700)  # more than one IN list, less than all
    run = begin(ledger)
    many = [finding(number) for number in range(1_500)]
    assert record(ledger, run, many).opened == 1_500
    assert record(ledger, run, many[:20]) == FindingChanges(opened=0, still_open=20, changed=0, resolved=1_480)
    verified = ledger.verify()
    assert (verified.ok, verified.entries) == (True, 1 + 22 + 3)


def test_owners_that_a_column_cannot_tell_apart_share_their_findings(ledger: Ledger) -> None:
    owners = ['a"\\\x00', 'a"\\\ufffd', None, "b’", "b’"]
    found = [finding(number, owner=owner) for number, owner in enumerate(owners)]
    assert record(ledger, begin(ledger), found).opened == 5
    assert ledger.count(owner='a"\\\x00') == len(list(ledger.entries(owner='a"\\\ufffd'))) == 2
    assert ledger.count(owner="b’") == 2
    assert ledger.verify().ok


@pytest.mark.parametrize("fails", ["stagesync.ledger.appending.hash_of", "stagesync.ledger.codec.encode"])
def test_of_a_rule_all_findings_are_recorded_or_none(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Whether the writing of an entry fails, or the making of one when others are written."""
    monkeypatch.setattr("stagesync.ledger.findings.ENTRY", 1)
    monkeypatch.setattr("stagesync.ledger.findings.TOGETHER", 2)
    run = begin(ledger)
    many = [finding(number) for number in range(12)]
    with monkeypatch.context() as once:
        turns = iter(range(7))

        def failing(*_: object) -> object:
            if next(turns, None) is None:
                raise LedgerError("no more of it")
            return sound(*_)

        sound = pkgutil.resolve_name(fails)
        once.setattr(fails, failing)
        with pytest.raises(LedgerError, match="no more of it"):
            record(ledger, run, many)
    assert ledger.count() == 1
    assert record(ledger, run, many).opened == 12
    assert ledger.verify().entries == 1 + 12


def test_changes_come_back_as_they_were(ledger: Ledger) -> None:
    run = begin(ledger)
    changes = [stage_change(1), task_change(2), closing(3, "00T3"), stage_change(4, record="a\x00b", amount=None)]
    ledger.record_intents(run, at=NOON, changes=changes)
    assert ledger.unsettled(CONNECTION) == changes
    assert ledger.unsettled("hubspot") == []
    assert ledger.changes(run) == [(change, None) for change in changes]
    assert ledger.count(record="a\x00b") == 1


def test_only_a_final_outcome_settles_a_change(ledger: Ledger) -> None:
    run = begin(ledger)
    changes = [stage_change(number) for number in range(len(Result))]
    ledger.record_intents(run, at=NOON, changes=changes)
    outcomes = [
        outcome(change, result, detail="they said", seen={"StageName": None})
        for change, result in zip(changes, Result, strict=True)
    ]
    ledger.record_outcomes(run, at=NOON, connection=CONNECTION, outcomes=outcomes)
    assert ledger.changes(run) == list(zip(changes, outcomes, strict=True))
    (unknown,) = ledger.unsettled(CONNECTION)

    settled = outcome(unknown, Result.ALREADY_SO)
    ledger.record_outcomes(begin(ledger, 1), at=later(1), connection=CONNECTION, outcomes=[settled])
    assert ledger.unsettled(CONNECTION) == []
    assert ledger.changes(run)[-1] == (unknown, settled)  # settled by a later run, shown with the run that meant it


def test_a_change_that_is_made_again_has_an_outcome_of_its_own(ledger: Ledger) -> None:
    change = stage_change(1)
    first, second = begin(ledger), begin(ledger, 1)
    ledger.record_intents(first, at=NOON, changes=[change])
    ledger.record_outcomes(first, at=NOON, connection=CONNECTION, outcomes=[outcome(change, Result.FAILED)])
    ledger.record_intents(second, at=NOON, changes=[change])
    assert ledger.unsettled(CONNECTION) == [change]
    ledger.record_outcomes(second, at=NOON, connection=CONNECTION, outcomes=[outcome(change)])
    assert ledger.changes(first) == [(change, outcome(change, Result.FAILED))]
    assert ledger.changes(second) == [(change, outcome(change))]


def test_an_outcome_needs_an_intent_and_nothing_is_half_recorded(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.record_intents(run, at=NOON, changes=[stage_change(1)])
    stray = [outcome(stage_change(1)), outcome(stage_change(2))]
    with pytest.raises(LedgerError, match="never intended"):
        ledger.record_outcomes(run, at=NOON, connection=CONNECTION, outcomes=stray)
    with pytest.raises(LedgerError, match="comes twice"):
        ledger.record_intents(run, at=NOON, changes=[stage_change(5), stage_change(5)])
    assert ledger.count() == 2
    assert ledger.unsettled(CONNECTION) == [stage_change(1)]


def test_a_task_is_tracked_from_its_opening_to_its_closing(ledger: Ledger) -> None:
    run = begin(ledger)
    opened = [task_change(1), task_change(2), task_change(3)]
    ledger.record_intents(run, at=NOON, changes=opened)
    assert ledger.tasks(CONNECTION) == []
    outcomes = [
        outcome(opened[0], crm_id="00T1"),
        outcome(opened[1], Result.ALREADY_SO, crm_id="00T2"),
        outcome(opened[2], Result.REFUSED),
    ]
    ledger.record_outcomes(run, at=later(1), connection=CONNECTION, outcomes=outcomes)
    first, second = ledger.tasks(CONNECTION)
    assert (first.key, first.crm_id, first.told, first.owner) == ("t-1", "00T1", NOON, "0059")
    assert (first.object, first.record, first.findings) == ("Opportunity", opened[0].record, (finding(1).key,))
    assert first.text == opened[0].task
    assert second.crm_id == "00T2"

    close = [closing(1, "00T1"), closing(2, "00T2")]
    ledger.record_intents(run, at=later(2), changes=close)
    done = [outcome(close[0], Result.SUPERSEDED), outcome(close[1], Result.FAILED)]
    ledger.record_outcomes(run, at=later(2), connection=CONNECTION, outcomes=done)
    assert [task.crm_id for task in ledger.tasks(CONNECTION)] == ["00T2"]


def test_a_connection_stays_with_its_org(ledger: Ledger) -> None:
    org = Identity(crm="salesforce", key="00D1", name="Acme", url="https://acme.example")
    ledger.pin("salesforce", org, NOON)
    ledger.pin("salesforce", structs.replace(org, name="Acme Inc."), NOON)
    assert ledger.count(kind="connection.pinned") == 1
    with pytest.raises(LedgerError, match="connection 'salesforce' was org 00D1, the token is for 00D2"):
        ledger.pin("salesforce", structs.replace(org, key="00D2"), NOON)
    ledger.pin("sandbox", structs.replace(org, key="00D2"), NOON)
    ledger.pin("hub", Identity(crm="hubspot", key="77", name="Acme", url=""), NOON)
    with pytest.raises(LedgerError, match="was portal 77"):
        ledger.pin("hub", Identity(crm="hubspot", key="78", name="Acme", url=""), NOON)


def test_entries_are_listed_and_counted_by_what_they_are_about(ledger: Ledger) -> None:
    run, other = begin(ledger), begin(ledger, 1)
    record(ledger, run, [finding(number) for number in range(9)])
    ledger.note("paused", at=later(60), run=other, rule="stalled", owner="0051", facts={"by": "ana"})

    def numbers(**where: object) -> list[str]:
        found = [entry.number for entry in ledger.entries(**where)]  # type: ignore[arg-type]
        assert ledger.count(**where) == len(found)  # type: ignore[arg-type]
        return found

    told_ = [f"3.{number}" for number in range(9, 0, -1)]
    assert numbers() == ["4", *told_, "2", "1"]
    assert numbers(run=other) == ["4", "2"]
    assert numbers(owner="0051") == ["4", "3.8", "3.5", "3.2"]
    assert numbers(owner="0051", rule="premature") == ["3.8", "3.5", "3.2"]
    assert numbers(connection=CONNECTION, object="Opportunity", record=finding(0).record) == ["3.1"]
    assert numbers(record=finding(0).record, rule="stalled") == []
    assert numbers(record=finding(0).record, owner="0051") == []
    assert numbers(key=finding(3).key) == ["3.4"]
    assert numbers(key=finding(3).key, record=finding(3).record) == ["3.4"]
    assert numbers(key=finding(3).key, record=finding(4).record) == []
    assert numbers(since=later(1)) == ["4", "2"]
    assert numbers(since=later(1), until=later(60)) == ["2"]
    assert numbers(kind="note", run=None) == ["4"]
    assert [entry.number for entry in ledger.entries(limit=2)] == ["4", "3.9"]
    assert [entry.number for entry in ledger.entries(limit=4, newest_first=False)] == ["1", "2", "3.1", "3.2"]
    assert list(ledger.entries(limit=0)) == []


def test_the_life_of_a_finding_is_told_from_its_opening_on(ledger: Ledger) -> None:
    run = begin(ledger)
    others = [finding(number) for number in range(2, 6)]
    for found in ([finding(1)], [finding(1, amount=9.0)], [], [finding(1, amount=1.0)]):
        record(ledger, run, [*others, *found])
    (first, changed, gone, again) = ledger.entries(record=finding(1).record, newest_first=False)
    kinds = ["finding.opened", "finding.changed", "finding.resolved", "finding.opened"]
    assert [one.kind for one in (first, changed, gone, again)] == kinds
    assert [one.body["finding"]["amount"] for one in (first, changed, again)] == [1234.5, 9.0, 1.0]
    assert gone.body == {"last": changed.seq}
    assert {(one.record, one.key, one.owner) for one in (first, gone)} == {
        (finding(1).record, finding(1).key, finding(1).owner)
    }
    assert [one.number for one in ledger.entries(key=finding(1).key, kind="finding.changed")] == [changed.number]
    for number in range(2, 6):
        assert ledger.count(record=finding(number).record) == 1
    ledger.rebuild()
    assert record(ledger, run, [finding(1, amount=1.0)]) == FindingChanges(
        opened=0, still_open=1, changed=0, resolved=4
    )
    assert ledger.count(record=finding(2).record) == 2
    assert ledger.verify().ok


def test_a_list_longer_than_a_page_is_whole_while_others_append(ledger: Ledger) -> None:
    run = begin(ledger)
    record(ledger, run, [finding(number) for number in range(2_500)])
    listed = ledger.entries(kind="finding.opened", newest_first=False, limit=2_200)
    first = next(listed)
    record(ledger, run, [finding(9_999)], lambda *_: False)
    assert [first.key, *(entry.key for entry in listed)] == [finding(number).key for number in range(2_200)]


def test_the_ledger_knows_the_stage_that_it_gave_a_record_last(ledger: Ledger) -> None:
    run = begin(ledger)

    def corrected(number: int, record_: int, stage: str, result: Result, detail: str = "") -> None:
        change = stage_change(record_, key=f"s-{number}", after={"StageName": stage, "pipeline": None})
        ledger.record_intents(run, at=later(number), changes=[change])
        what = outcome(change, result, detail=detail)
        ledger.record_outcomes(run, at=later(number), connection=CONNECTION, outcomes=[what])

    assert (ledger.last_moves(CONNECTION), ledger.moves(CONNECTION)) == ([], [])
    corrected(1, 1, "Prospecting", Result.APPLIED)
    corrected(2, 2, "Prospecting", Result.ALREADY_SO)
    corrected(3, 1, "Qualification", Result.APPLIED)
    # What did not come to be is no place where a record was put, whatever its words say.
    corrected(4, 1, "Lost", Result.SUPERSEDED, 'it said "result":"applied","seen":{}')
    corrected(5, 3, "Lost", Result.REFUSED)
    corrected(6, 4, "Lost", Result.UNKNOWN)
    task = task_change(5)
    ledger.record_intents(run, at=later(7), changes=[task])
    ledger.record_outcomes(run, at=later(7), connection=CONNECTION, outcomes=[outcome(task, crm_id="00T1")])
    assert sorted(ledger.last_moves(CONNECTION)) == [
        ("Opportunity", "006000000000001", {"StageName": "Qualification", "pipeline": None}),
        ("Opportunity", "006000000000002", {"StageName": "Prospecting", "pipeline": None}),
    ]
    of_both = ledger.moves(CONNECTION)
    assert [(one.record, one.after["StageName"], one.applied) for one in of_both] == [
        ("006000000000001", "Prospecting", True),
        ("006000000000002", "Prospecting", False),
        ("006000000000001", "Qualification", True),
    ]
    assert {(one.rule, one.reason, one.before["StageName"]) for one in of_both} == {
        ("premature", "pain is not stated", "Proposal")
    }
    first = [("Opportunity", "006000000000001"), ("Lead", "006000000000002")]
    assert ledger.moves(CONNECTION, first) == [of_both[0], of_both[2]]
    others = [("Opportunity", f"x{number}") for number in range(600)]
    assert ledger.moves(CONNECTION, [*first, *others]) == [of_both[0], of_both[2]]
    assert (ledger.last_moves("another"), ledger.moves("another")) == ([], [])


@pytest.mark.parametrize("result", [Result.APPLIED, Result.SUPERSEDED, Result.FAILED])
def test_a_task_that_was_told_anew_is_about_what_it_says_now(ledger: Ledger, result: Result) -> None:
    run = ledger.start_run(command="run", at=NOON, facts={})
    opened = [task_change(number) for number in (1, 2)]
    before = opened[0].task
    assert before is not None
    text = replace(before, body="another text")
    again = task_change(
        1, key="u-1", kind=ChangeKind.UPDATE_TASK, findings=("f-1", "f-9"), task=text, told=before, crm_id="00T1"
    )
    ledger.record_intents(run, at=NOON, changes=opened)
    made = [outcome(one, crm_id=f"00T{number}") for number, one in enumerate(opened, start=1)]
    ledger.record_outcomes(run, at=NOON, connection=CONNECTION, outcomes=made)
    ledger.record_intents(run, at=later(5), changes=[again])
    ledger.record_outcomes(run, at=later(5), connection=CONNECTION, outcomes=[outcome(again, result, crm_id="00T1")])

    found = {task.key: (task.crm_id, task.findings, task.text) for task in ledger.tasks(CONNECTION)}

    told = (again.findings, text) if result is not Result.FAILED else (opened[0].findings, before)
    assert found == {"t-1": ("00T1", *told), "t-2": ("00T2", opened[1].findings, opened[1].task)}
    assert ledger.verify().ok
    ledger.rebuild()
    assert {task.key: (task.crm_id, task.findings, task.text) for task in ledger.tasks(CONNECTION)} == found
    ended = closing(1, "00T1")
    ledger.record_intents(run, at=later(6), changes=[ended])
    ledger.record_outcomes(run, at=later(6), connection=CONNECTION, outcomes=[outcome(ended)])
    assert [task.key for task in ledger.tasks(CONNECTION)] == ["t-2"]
