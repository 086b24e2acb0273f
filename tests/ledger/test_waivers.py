"""Waivers are entries like all others: granted, withdrawn, and those that stand come back as they were."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from msgspec import structs

from stagesync.errors import LedgerError, UsageError
from stagesync.ledger import EntryKind, Ledger
from stagesync.model.waivers import Waiver

from .rawsql import drop_triggers, execute
from .samples import NOON, finding, later, told


def waiver(number: int, **other: Any) -> Waiver:
    """A waiver of the rule ``premature``; every field has a value."""
    plain = Waiver(
        id=f"w-{number}",
        rule="premature",
        connection="salesforce",
        object="Opportunity",
        record=f"006{number:012}",
        reason="Müller & Söhne <b> signs in “January”\nso says Ana",
        by="Ana",
        until=date(2026, 12, 31),
    )
    return structs.replace(plain, **other)


def test_granted_waivers_come_back_in_order(ledger: Ledger) -> None:
    granted = [waiver(3), waiver(1, connection="hubspot", object="deals"), waiver(2, until=date(2020, 1, 1))]
    for number, one in enumerate(granted):
        ledger.waive(one, later(number))
    assert ledger.waivers() == granted  # the expired one too: only its reader knows the day
    assert ledger.waivers("salesforce") == [granted[0], granted[2]]
    assert ledger.waivers("elsewhere") == []
    assert ledger.verify().ok


def test_a_waiver_of_all_connections_is_one_of_each(ledger: Ledger) -> None:
    wide = waiver(1, connection=None, object=None, record=None)
    ledger.waive(wide, NOON)
    ledger.waive(waiver(2, connection="hubspot"), NOON)
    assert ledger.waivers("salesforce") == [wide]
    assert ledger.withdraw_waiver("w-1", at=NOON, by="Bo") == wide


def test_a_withdrawn_waiver_counts_no_longer(ledger: Ledger, url: str) -> None:
    ledger.waive(waiver(1), NOON)
    ledger.waive(waiver(2), NOON)
    assert ledger.withdraw_waiver("w-1", at=later(5), by="Bo", reason="signed") == waiver(1)
    assert ledger.waivers() == [waiver(2)]
    with Ledger.open(url) as again:
        assert again.waivers("salesforce") == [waiver(2)]


def test_what_happened_to_a_waiver_stands_in_the_ledger(ledger: Ledger) -> None:
    run = ledger.start_run(command="run", at=NOON, facts={})
    ledger.waive(waiver(1), later(1))
    ledger.withdraw_waiver("w-1", at=later(5), by="Bo", reason="signed", run=run)

    withdrawn, granted = ledger.entries(record=waiver(1).record)
    assert (granted.kind, granted.at, granted.run) == (EntryKind.WAIVER_GRANTED, later(1), None)
    assert granted.body["waiver"]["until"] == "2026-12-31"
    assert granted.body["waiver"]["reason"] == waiver(1).reason
    assert (withdrawn.kind, withdrawn.at, withdrawn.run) == (EntryKind.WAIVER_WITHDRAWN, later(5), run)
    assert withdrawn.body == {"by": "Bo", "reason": "signed"}
    for entry in (granted, withdrawn):
        assert (entry.connection, entry.object, entry.record) == ("salesforce", "Opportunity", waiver(1).record)
        assert (entry.rule, entry.key) == ("premature", "w-1")
    assert ledger.count(kind="waiver.granted", rule="premature") == 1


def test_an_id_names_one_waiver_for_ever(ledger: Ledger) -> None:
    ledger.waive(waiver(1), NOON)
    with pytest.raises(LedgerError, match=r"waiver 'w-1' in the ledger .* already"):
        ledger.waive(waiver(1, rule="stalled"), NOON)
    ledger.withdraw_waiver("w-1", at=NOON, by="Bo")
    with pytest.raises(LedgerError, match="already"):
        ledger.waive(waiver(1), NOON)
    with pytest.raises(UsageError, match="w-1 was withdrawn already"):
        ledger.withdraw_waiver("w-1", at=NOON, by="Bo")
    with pytest.raises(UsageError, match="has no waiver 'w-2'; `stagesync waivers` shows"):
        ledger.withdraw_waiver("w-2", at=NOON, by="Bo")
    assert ledger.count() == 2


def test_the_id_of_a_waiver_is_no_key_of_a_finding(ledger: Ledger) -> None:
    """Both stand in the column ``key``; neither takes the other for its own."""
    run = ledger.start_run(command="run", at=NOON, facts={})
    ledger.record_findings(run, at=NOON, connection="salesforce", findings=told(finding(1)))
    ledger.waive(waiver(1, id="f-1"), NOON)
    ledger.withdraw_waiver("f-1", at=NOON, by="Bo")
    assert ledger.record_findings(run, at=NOON, connection="salesforce", findings=told(finding(1))).still_open == 1
    with pytest.raises(UsageError, match="no waiver 'f-2'"):
        ledger.withdraw_waiver("f-2", at=NOON, by="Bo")
    ledger.rebuild()
    assert ledger.verify().ok


def test_texts_that_a_column_cannot_hold(ledger: Ledger) -> None:
    odd = waiver(1, id="w\x001", record="a\x00b", connection="x\x00")
    ledger.waive(odd, NOON)
    assert ledger.waivers("x\x00") == [odd]
    assert ledger.withdraw_waiver("w\x001", at=NOON, by="Bo") == odd
    assert ledger.waivers() == []


def test_a_waiver_that_somebody_edited_is_noticed(ledger: Ledger, url: str) -> None:
    ledger.waive(waiver(1), NOON)
    ledger.waive(waiver(2), NOON)
    drop_triggers(url)
    execute(url, "UPDATE entries SET body = replace(body, '2026-12-31', '2036-12-31') WHERE seq = 1")
    verified = ledger.verify()
    assert (verified.ok, verified.at_seq) == (False, 1)
    assert "entry 1 (waiver.granted," in (verified.problem or "")
