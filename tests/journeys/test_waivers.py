"""An admin lets a record off a rule: the finding is gone until the day, everybody can see why, and it can be undone."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stagesync.sandbox.company.answers import Answer, read_answers
from stagesync.sandbox.server import Sandbox

from .deployment import Deployment, deployment

LATER = str((datetime.now(UTC) + timedelta(days=40)).date())


@pytest.fixture(scope="module")
def audited(still: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that has audited the shared CRMs once; its secrets are not needed after that."""
    made = deployment(tmp_path_factory.mktemp("waived"), still)
    assert made.run("audit", "--format", "json").code == 0
    yield made
    made.end()


@pytest.fixture(scope="module")
def premature(still: Sandbox) -> Answer:
    return next(answer for answer in read_answers(still.answers_path) if answer.rule == "premature")


def rules_of(made: Deployment, record: str) -> list[str]:
    [explained] = json.loads(made.run("explain", record, "--format", "json").out)
    return [finding["rule"] for finding in explained["findings"]]


def test_a_record_is_let_off_and_called_back(audited: Deployment, premature: Answer) -> None:
    assert "premature" in rules_of(audited, premature.record)
    words = ("--rule", "premature", "--until", LATER, "--reason", "signs “next week”", "--by", "Ana")
    done = audited.run("waive", premature.record, *words, environment=dict.fromkeys(audited.secrets))
    assert done.code == 0, done.said
    assert f"is let off premature until {LATER}, that day included" in done.out
    assert premature.record in done.out
    assert "premature" not in rules_of(audited, premature.record)
    [explained] = json.loads(audited.run("explain", premature.record, "--format", "json").out)
    [aside] = explained["waived"]
    assert (aside["finding"]["rule"], aside["waiver"]["by"], aside["waiver"]["until"]) == ("premature", "Ana", LATER)
    shown = audited.run("explain", premature.record).out
    assert "Waived: premature (earned:" in shown
    assert f"waived by Ana until {LATER}: signs “next week” (waiver {aside['waiver']['id']})" in shown
    assert "stands where it has earned" not in shown
    assert ("No finding but what is waived." in shown) == (not explained["findings"])

    [listed] = json.loads(audited.run("waivers", "--format", "json").out)
    assert (listed["record"], listed["rule"], listed["until"]) == (premature.record, "premature", LATER)
    assert (listed["state"], listed["by"], listed["reason"]) == ("in force", "Ana", "signs “next week”")
    entries = json.loads(audited.run("log", "list", "--kind", "waiver.granted", "--format", "json").out)
    assert [entry["record"] for entry in entries] == [premature.record]
    assert f"until {LATER}, by Ana: signs" in audited.run("log", "record", premature.record).out

    [hint] = re.findall("To take it back: stagesync (.+)", done.out)
    assert shlex.split(hint) == ["waivers", "--withdraw", listed["id"], "-c", str(audited.config)]
    back = audited.run("waivers", "--withdraw", listed["id"], "--by", "Bo", "--reason", "lost")
    assert back.code == 0, back.said
    assert "premature" in rules_of(audited, premature.record)
    assert json.loads(audited.run("waivers", "--expired", "--format", "json").out) == []
    assert f"waiver {listed['id']} withdrawn by Bo: lost" in audited.run("log", "record", premature.record).out
    assert audited.run("waivers", "--withdraw", listed["id"]).code == 2
    assert audited.run("log", "verify").code == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--rule": "prematur"}, "unknown rule or criterion 'prematur' (did you mean 'premature'?)"),
        ({"--until": "2020-01-31"}, "--until 2020-01-31 has passed"),
        ({"--until": "soon"}, "--until 'soon' is no day"),
        ({"--reason": " "}, "needs a reason"),
        ({"record": "nobody knows me"}, "no judged record has the id or the name 'nobody knows me'"),
    ],
)
def test_what_cannot_be_waived_is_refused(
    audited: Deployment, premature: Answer, changed: dict[str, str], said: str
) -> None:
    words = {"--rule": "premature", "--until": LATER, "--reason": "x", "--by": "Ana", **changed}
    record = words.pop("record", premature.record)
    with audited.ledger() as ledger:
        before = ledger.count()
    done = audited.run("waive", record, *(part for pair in words.items() for part in pair))
    assert done.code == 2, done.said
    assert said in done.err
    with audited.ledger() as ledger:
        assert ledger.count() == before


def test_the_definitions_own_waivers_are_listed_and_the_expired_ones_counted(tmp_path: Path, still: Sandbox) -> None:
    made = deployment(tmp_path / "own", still)
    file = made.copy_of("definitions/recommended.yaml")
    own = [
        f"  - {{id: pilot, rule: stalled, record: '1', reason: a pilot, by: Ana, until: {LATER}}}",
        "  - {id: old, rule: premature, record: '2', reason: it was late, by: Bo, until: 2020-01-31}",
    ]
    file.write_text("\n".join([file.read_text(encoding="utf-8"), "waivers:", *own, ""]), encoding="utf-8")
    done = made.run("waivers", "--format", "csv")
    assert done.code == 0, done.said
    [row] = csv.DictReader(io.StringIO(done.out))
    assert (row["id"], row["state"], row["from"]) == ("pilot", "in force", "definitions")
    assert "1 expired one is not shown" in done.err
    assert "old  premature for 2, expired on 2020-01-31, by Bo" in made.run("waivers", "--expired").out
    assert "1 more waiver is not shown" in made.run("waivers", "--expired", "--limit", "1").err
    refused = made.run("waivers", "--withdraw", "pilot")
    assert refused.code == 2
    assert "remove it there" in refused.err
    made.end()
