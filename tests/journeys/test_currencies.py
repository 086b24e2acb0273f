"""An org with several currencies: no report, plan or limit adds amounts that are not of one kind."""

from __future__ import annotations

import json
from collections import Counter

from stagesync.sandbox.salesforce.fields import MULTI_CURRENCY
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .office import SalesforceOffice

CODES = ("EUR", "JPY", "USD")


def test_sums_of_several_currencies_stay_apart_from_report_to_guard(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("salesforce")
    org, office = sandbox.org, SalesforceOffice(sandbox)
    org.features.add(MULTI_CURRENCY)
    deals = sorted(office.rows()["Opportunity"])
    currency_of = {deal: CODES[number % len(CODES)] for number, deal in enumerate(deals)}
    with org.database.transaction():
        for deal, code in currency_of.items():
            org.database.execute('UPDATE "Opportunity" SET "CurrencyIsoCode" = ? WHERE "Id" = ?', (code, deal))
    agent.words["guard"] = {"stage_changes": 10_000, "share": 1.0, "tasks": 10_000}
    agent.save()

    told = json.loads(agent.run("audit", "--format", "json").out)
    (forecast,) = [one for one in told["forecast"] if one["object"] == "Opportunity"]
    assert forecast["currencies"] == list(CODES)
    assert forecast["total"]["face"] is None
    shown = agent.run("audit").out
    assert "amounts are in EUR and JPY and USD, so they are not added" in shown.replace("\n", " ")

    planned = json.loads(agent.run("plan", "--format", "json").out)["changes"]
    moves = [one for one in planned if one["kind"] == "set-stage" and one["object"] == "Opportunity"]
    assert len({one["currency"] for one in moves}) > 1
    assert all(one["currency"] == currency_of[one["record"]] for one in planned if one["object"] == "Opportunity")
    sums: Counter[str] = Counter()
    for one in moves:
        sums[one["currency"]] += abs(one["amount"] or 0.0)

    # The largest of the sums passes by itself; all of them added would not.
    before = office.rows()
    agent.words["guard"]["money"] = max(sums.values()) - 1
    agent.save()
    refused = agent.run("run")
    assert refused.code == 4
    largest = max(sums, key=lambda code: sums[code])
    assert f"{sums[largest]:,.0f} {largest} in amounts of deals would change their stage" in refused.err + refused.out
    assert office.rows() == before

    agent.words["guard"]["money"] = max(sums.values())
    agent.save()
    assert sum(sums.values()) > max(sums.values())
    assert agent.run("run").code == 0
    after = office.rows()["Opportunity"]
    assert all(after[one["record"]]["StageName"] == one["after"]["StageName"] for one in moves)
    assert all(after[deal]["CurrencyIsoCode"] == code for deal, code in currency_of.items())
