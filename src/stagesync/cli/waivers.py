"""``stagesync waive`` and ``stagesync waivers``: exceptions with a reason, a name and an end; no CRM is asked."""

from __future__ import annotations

import getpass
import secrets
import shlex
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from msgspec import structs
from rich.text import Text

from stagesync.audit.explain import find
from stagesync.audit.judgement import Judgement
from stagesync.cli import hints, listing, show
from stagesync.cli.explain import judged_from_mirror
from stagesync.cli.options import Format
from stagesync.errors import UsageError
from stagesync.ledger import EntryKind, Ledger
from stagesync.model.counting import counted
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import waivable
from stagesync.policy.document import nearest
from stagesync.settings import Settings, load_settings
from stagesync.wiring import utc_now

COLUMNS = ("id", "state", "until", "rule", "connection", "object", "record", "by", "reason", "from")

ASKING = ("connection", "object", "record", "name", "owner", "rules", "words")


def waive(config: Path, wanted: str, *, rule: str, until: str, reason: str, by: str | None) -> int:
    """Let one record off a rule until a day (the last one on which it holds)."""
    settings = load_settings(config)
    _check_rule(settings, rule)
    last = _last_day(until, _today(settings))
    if not reason.strip():
        raise UsageError("a waiver needs a reason; whoever reads the report will ask for it")
    judgement, record = _the_one(judged_from_mirror(settings), wanted)
    waiver = Waiver(
        id=f"w-{secrets.token_hex(4)}",
        rule=rule,
        connection=judgement.connection,
        object=judgement.mapped.name,
        record=record,
        reason=reason.strip(),
        by=(by or this_user()).strip(),
        until=last,
    )
    with Ledger.open(settings.ledger_url) as ledger:
        ledger.waive(waiver, utc_now())
    name = judgement.name_of(record)
    said = f"{waiver.connection} {waiver.object} {record} ({name}) is let off {rule} until {last}, that day included."
    _say(f"Waiver {waiver.id}: {said} Granted by {waiver.by}: {waiver.reason}")
    _say(f"To take it back: {hints.command(config, 'waivers', '--withdraw', waiver.id)}")
    return 0


def withdraw(config: Path, waiver_id: str, *, reason: str, by: str | None) -> int:
    """Take a waiver of the ledger back before its end."""
    settings = load_settings(config)
    written = [waiver.id for waiver in settings.definition.waivers]
    if waiver_id in written:
        raise UsageError(f"waiver '{waiver_id}' stands in {settings.definition.file}; remove it there")
    with Ledger.open(settings.ledger_url) as ledger:
        waiver = ledger.withdraw_waiver(waiver_id, at=utc_now(), by=by or this_user(), reason=reason)
    place = " ".join(part for part in (waiver.connection, waiver.object, waiver.record) if part)
    _say(f"Waiver {waiver.id} is withdrawn: {waiver.rule} counts again for {place or 'all records'}.")
    return 0


def refuse(config: Path, wanted: str, *, reason: str, by: str | None) -> int:
    """Refuse the waiver for which a rep asks by the status of a task: the next run puts the task back and says why."""
    settings = load_settings(config)
    if not reason.strip():
        raise UsageError("a refusal needs a reason; the rep reads it in the task")
    judgement, record = _the_one(judged_from_mirror(settings), wanted)
    if record not in judgement.asked:
        field = judgement.mapped.waiver_request
        raise UsageError(
            f"it is asked for in the field {field} of {record}; have the field emptied"
            if record in judgement.requests
            else f"no task of {record} asks for a waiver, as far as was last pulled; "
            f"`stagesync waivers --requests` lists who does"
        )
    name = (by or this_user()).strip()
    with Ledger.open(settings.ledger_url) as ledger:
        ledger.note(
            reason.strip(),
            at=utc_now(),
            kind=EntryKind.WAIVER_REFUSED,
            facts={"by": name, "words": judgement.asked[record]},
            connection=judgement.connection,
            object=judgement.mapped.name,
            record=record,
        )
    place = f"{judgement.connection} {judgement.mapped.name} {record} ({judgement.name_of(record)})"
    _say(
        f"Refused by {name}: {place}. The next run puts its task back, tells the rep why, and goes on with the record."
    )
    return 0


def list_waivers(config: Path, *, output: Format, limit: int, expired: bool) -> int:
    """Those of the definitions, then those of the ledger; without ``expired`` only those in force."""
    settings = load_settings(config)
    with Ledger.open(settings.ledger_url) as ledger:
        granted = [("ledger", waiver) for waiver in ledger.waivers()]
    written = [("definitions", waiver) for waiver in settings.definition.waivers]
    today = _today(settings)
    every = [_row(waiver, source, today) for source, waiver in (*written, *granted)]
    asked = [row for row in every if expired or row["state"] == "in force"]
    shown = asked[:limit] if limit else asked
    listing.write(
        shown, COLUMNS, output, _line, title="Waivers", left=len(asked) - len(shown), one="waiver", many="waivers"
    )
    if len(asked) < len(every):
        hidden = counted(len(every) - len(asked), "expired one is", "expired ones are")
        show.err.print(f"{hidden} not shown; --expired shows them.", markup=False)
    return 0


def list_requests(config: Path, *, output: Format, limit: int) -> int:
    """The records with findings of which a rep asks for a waiver, from what was last pulled."""
    settings = load_settings(config)
    rows = [row for judgement in judged_from_mirror(settings) for row in _requests(judgement)]
    shown = rows[:limit] if limit else rows
    left = len(rows) - len(shown)
    listing.write(shown, ASKING, output, _asking, title="Waiver requests", left=left, one="request", many="requests")
    if rows and output is Format.TABLE:
        granting = hints.command(config, "waive", "RECORD", "--rule", "RULE", "--until", "DAY", "--reason", "WHY")
        show.err.print(f"To grant one: {granting}", markup=False, soft_wrap=True)
        refusing = hints.command(config, "waivers", "--refuse", "RECORD", "--reason", "WHY")
        show.err.print(f"To refuse one that a task asks for: {refusing}", markup=False, soft_wrap=True)
    return 0


def _requests(judgement: Judgement) -> Iterator[dict[str, Any]]:
    rules: dict[int, list[str]] = {}
    for row, rule in judgement.findings.select("row", "rule").iter_rows() if judgement.requests else ():
        rules.setdefault(row, []).append(rule)
    for record, words in sorted(judgement.requests.items()):
        row = judgement.row_of(record)
        if row is not None and row in rules:
            facts = judgement.records.row(row, named=True)
            yield {
                "connection": judgement.connection,
                "object": judgement.mapped.name,
                "record": record,
                "name": facts["name"],
                "owner": facts["owner_name"] or facts["owner"] or "",
                "rules": ", ".join(sorted(rules[row])),
                "words": words,
            }


def _asking(row: dict[str, Any]) -> str:
    place = f"{row['connection']} {row['object']} {row['record']} ({row['name']})"
    return f"{place}, {row['owner'] or 'nobody'}, for {row['rules']}: {row['words']}"


def _check_rule(settings: Settings, rule: str) -> None:
    known = waivable(settings.definition)
    if rule not in known:
        hint = nearest(rule, known) or f"; there are {', '.join(known)}"
        raise UsageError(f"unknown rule or criterion '{rule}'{hint}")


def _last_day(text: str, today: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until '{text}' is no day; write it as {today.year + 1}-01-31") from None
    if day < today:
        raise UsageError(f"--until {day} has passed (today is {today}); a waiver holds up to and with its last day")
    return day


def _the_one(judgements: Sequence[Judgement], wanted: str) -> tuple[Judgement, str]:
    found = find(list(judgements), wanted)
    if not found:
        raise UsageError(
            f"no judged record has the id or the name '{wanted}'; it may be newer than the last pull, "
            f"or left out of the audit: `stagesync explain {shlex.quote(wanted)}` says more"
        )
    if len({(judgement.connection, judgement.mapped.name, record) for judgement, record in found}) > 1:
        places = [f"{one.connection} {one.mapped.name} {record}" for one, record in found[:5]]
        more = f", and {len(found) - 5:,} more" if len(found) > 5 else ""
        raise UsageError(f"{len(found)} records are called '{wanted}'; give the id of one: {', '.join(places)}{more}")
    return found[0]


def _today(settings: Settings) -> date:
    return utc_now().astimezone(settings.time_zone).date()


def this_user() -> str:
    """The user of this machine. Raises UsageError where that is nobody."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        raise UsageError("nobody knows who you are here; say it with --by") from None


def _row(waiver: Waiver, source: str, today: date) -> dict[str, Any]:
    facts = {name: value for name, value in structs.asdict(waiver).items() if name in COLUMNS}
    scope = {name: facts[name] or "" for name in ("connection", "object", "record")}
    state = "in force" if waiver.holds_on(today) else "expired"
    return {**facts, **scope, "until": str(waiver.until), "state": state, "from": source}


def _line(row: dict[str, Any]) -> str:
    place = " ".join(row[name] for name in ("connection", "object", "record") if row[name]) or "records by condition"
    end = f"until {row['until']}" if row["state"] == "in force" else f"expired on {row['until']}"
    return f"{row['id']}  {row['rule']} for {place}, {end}, by {row['by']}: {row['reason']} (from the {row['from']})"


def _say(text: str) -> None:
    show.out.print(Text(text), soft_wrap=True)
