"""From a HubSpot portal into the mirror: our pull, the least that a program can do, and the official client's own way.

    python benchmarks/pull_hubspot.py --records 100000

The work: all deals of a portal with 16 properties, 100 to a page, by the list of v3.

- *StageSync* goes the way of a run: what is missing is asked first, pages become typed frames, frames become a snapshot
  of the mirror on disk.
- *The least* holds one session, reads bytes, decodes them with msgspec, and makes one typed polars frame in memory. It
  keeps nothing on disk, retries nothing and counts nothing.
- *get_all* is ``client.crm.deals.get_all`` of hubspot-api-client, which makes an object of each record.

Each has a process of its own in each round, and the server another one. The server makes each answer once and gives the
same bytes from then on, so that what is measured is the reading. Seconds of the processor are those of the reading
process after its imports; memory is the most that it ever held.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import requests
from replayed_portal import Replay

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is loaded

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOKEN = "stagesync-demo-hubspot"  # noqa: S105  (a public demo credential)
STAGES = ["appointmentscheduled", "qualifiedtobuy", "contractsent", "closedwon", "closedlost"]
TYPES = {
    "dealname": "text",
    "amount": "number",
    "deal_currency_code": "text",
    "closedate": "datetime",
    "createdate": "datetime",
    "hs_lastmodifieddate": "datetime",
    "dealstage": "text",
    "pipeline": "text",
    "dealtype": "text",
    "hubspot_owner_id": "text",
    "hs_next_step": "text",
    "hs_is_closed": "boolean",
    "hs_is_closed_won": "boolean",
    "closed_lost_reason": "text",
    "hs_forecast_amount": "number",
    "hs_v2_date_entered_current_stage": "datetime",
}
CHECKS = {"priced": "amount > 0", "closed": "hs_is_closed"}
DISTINCT = 10_000
ENGINES = ("stagesync", "least", "get_all")


Work = Callable[[], tuple[int, float]]
"""Returns how many records there are, and the sum of their amounts."""

# ------------------------------------------------------------------------------------------------- the server


def deals(count: int, first: int) -> Iterator[dict[str, Any]]:
    """Made-up deals."""
    chance = random.Random(7)  # noqa: S311  (made-up records)
    for number in range(count):
        stage = chance.choice(STAGES)
        created = NOW - timedelta(days=chance.randrange(1, 400), seconds=chance.randrange(86_400))
        properties = {
            "dealname": f"Company {number // 3} – {chance.choice(['new business', 'renewal', 'expansion'])}",
            "amount": str(chance.randrange(400, 90_000)),
            "deal_currency_code": "EUR",
            "closedate": f"{created + timedelta(days=90):%Y-%m-%dT%H:%M:%S}.000Z",
            "dealstage": stage,
            "pipeline": "default",
            "dealtype": chance.choice(["newbusiness", "existingbusiness"]),
            "hubspot_owner_id": str(41_629_779 + chance.randrange(40)),
            "hs_next_step": chance.choice(["send the offer", "tbd", None, "meet the head of production"]),
            "closed_lost_reason": "price" if stage == "closedlost" else None,
            "hs_forecast_amount": str(chance.randrange(400, 90_000)) if chance.random() < 0.5 else None,
        }
        yield {"id": first + number * 7, "properties": properties, "createdAt": created, "updatedAt": created}


def serve(records: int, folder: Path) -> None:
    """The embedded portal with deals, and every answer kept once it was given. Prints its address."""
    import uvicorn
    from starlette.applications import Starlette

    from stagesync.sandbox.hubspot.portal import Portal
    from stagesync.sandbox.hubspot.server import routes
    from stagesync.sandbox.hubspot.standard import standard_metadata

    portal = Portal(folder / "hubspot.db", clock=lambda: NOW)
    standard_metadata(portal)
    portal.insert_many("deals", deals(records, 18_402_770_211))
    app = Starlette(routes=routes(portal))
    kept: dict[tuple[str, bytes, bool], list[Any]] = {}

    async def keeping(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await app(scope, receive, send)
            return
        packed = any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])
        place = (scope["path"], scope["query_string"], packed)
        if place not in kept:
            answer: list[Any] = []

            async def keep(message: Any) -> None:
                answer.append(message)

            await app(scope, receive, keep)
            kept[place] = answer
        for message in kept[place]:
            await send(message)

    server = uvicorn.Server(uvicorn.Config(Replay(keeping), log_level="error", date_header=False))
    # asyncio turns Nagle off only for sockets that say they are TCP; without it every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


@contextmanager
def served(records: int) -> Iterator[str]:
    """The server as a process of its own; its address."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", folder, "--records", str(records)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait()


# ------------------------------------------------------------------------------------------------- the engines


def stagesync(url: str) -> tuple[Work, Work]:
    """Our pull into the mirror, and a look into it that is not measured."""
    import stagesync.cli  # noqa: F401  (sets when Python looks for garbage, as at the start of the program)
    from stagesync.agent.connection import Manner, silent
    from stagesync.agent.pull import pull
    from stagesync.connectors.hubspot import HubSpotConnection, connect
    from stagesync.mirror import Mirror
    from stagesync.policy.definitions import load_definition
    from stagesync.policy.mappings import load_mapping

    folder = TemporaryDirectory()
    home = Path(folder.name)
    evidence = {name: kind for name, kind in TYPES.items() if name not in ("dealname", "pipeline", "dealstage")}
    kinds = [f"  {name}: {{type: {kind}}}" for name, kind in evidence.items()]
    words = "because: it is what the stage means, ask: look at it with the buyer"
    asks = [f"requires: [{{id: {name}, check: {check}, {words}}}]" for name, check in CHECKS.items()]
    bench = ["definition: bench", "ladder: [open, won]", "parking: {lost: lost}", "evidence:", *kinds, "stages:"]
    bench += ["  open:", "    means: open", f"    {asks[0]}", "  won:", "    means: won", "    terminal: true"]
    (home / "bench.yaml").write_text("\n".join([*bench, f"    {asks[1]}"]))
    native = {"closedwon": "won", "closedlost": "lost"}
    lines = ["mapping: bench", "definition: bench", "crm: hubspot", "objects:", "  deals:", "    name: dealname"]
    lines += ["    stage:", "      field: dealstage", "      pipeline: pipeline", "      stages:", "        default:"]
    lines += [f"          {stage}: {native.get(stage, 'open')}" for stage in STAGES]
    lines += ["    evidence:", *(f"      {name}: {{field: {name}}}" for name in evidence)]
    (home / "mapping.yaml").write_text("\n".join(lines))
    mapping = load_mapping(home / "mapping.yaml", load_definition(home / "bench.yaml"))
    mirror = Mirror(home / "mirror")
    reader, _ = connect(HubSpotConnection(connection="crm", base_url=url, access_token=TOKEN))

    def work() -> tuple[int, float]:
        pull(
            name="crm",
            reader=reader,
            mapping=mapping,
            mirror=mirror,
            label="run",
            identity=reader.identity(),
            progress=silent,
            now=NOW,
            manner=Manner(),
        )
        return 0, 0.0

    def check() -> tuple[int, float]:
        rows = mirror.read("crm")[0]["deals"]
        folder.cleanup()
        return rows.height, float(rows["amount"].sum())

    return work, check


class Row(msgspec.Struct):
    """A record, for the least that a program can do."""

    id: str
    properties: dict[str, str | None]


class Next(msgspec.Struct):
    """Where the next page starts."""

    after: str


class Paging(msgspec.Struct):
    """On all pages but the last."""

    next: Next


class Answer(msgspec.Struct):
    """A page."""

    results: list[Row]
    paging: Paging | None = None


def least(url: str) -> tuple[Work, None]:
    """One session, bytes, msgspec, polars."""
    import polars as pl

    decoder = msgspec.json.Decoder(Answer)

    def work() -> tuple[int, float]:
        columns: dict[str, list[str | None]] = {"id": [], **{name: [] for name in TYPES}}
        query = {"limit": "100", "properties": ",".join(TYPES)}
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {TOKEN}"
            while True:
                answer = decoder.decode(session.get(f"{url}/crm/v3/objects/deals", params=query, timeout=60).content)
                columns["id"] += [row.id for row in answer.results]
                for name in TYPES:
                    columns[name] += [row.properties[name] for row in answer.results]
                if answer.paging is None:
                    break
                query["after"] = answer.paging.next.after
        frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        casts = {
            "number": lambda column: column.cast(pl.Float64),
            "boolean": lambda column: column == "true",
            "datetime": lambda column: column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
            "text": lambda column: column,
        }
        frame = frame.with_columns(casts[kind](pl.col(name)) for name, kind in TYPES.items())
        return frame.height, float(frame["amount"].sum())

    return work, None


def get_all(url: str) -> tuple[Work, None]:
    """The official client, its models."""
    from hubspot import HubSpot

    client = HubSpot(access_token=TOKEN, host=url, base_url=url)
    assert client.crm.deals

    def work() -> tuple[int, float]:
        found = client.crm.deals.get_all(properties=list(TYPES))
        return len(found), sum(float(deal.properties["amount"]) for deal in found)

    return work, None


def one(engine: str, url: str) -> None:
    """Run an engine in this process and print what it took."""
    engines: dict[str, Callable[[str], tuple[Work, Work | None]]]
    engines = {"stagesync": stagesync, "least": least, "get_all": get_all}
    work, check = engines[engine](url)
    wall, processor = time.perf_counter(), time.process_time()
    rows, amount = work()
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - processor}
    # Not ru_maxrss: Linux lets a process inherit that of its parent.
    said = Path("/proc/self/status").read_text(encoding="ascii")
    took["peak"] = int(said.partition("VmHWM:")[2].split()[0]) / 1024
    if check is not None:
        rows, amount = check()
    print(json.dumps({**took, "rows": rows, "amount": amount}))


def measured(engine: str, url: str) -> dict[str, float]:
    """An engine in a process of its own."""
    command = [sys.executable, __file__, "--engine", engine, "--url", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peaks", action="store_true", help="measure the memory of stagesync alone")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.records, options.serve)
    elif options.engine:
        one(options.engine, options.url)
    elif options.peaks:
        peaks(options.records)
    else:
        compare(options.records, options.rounds)


def compare(records: int, rounds: int) -> None:
    """All engines in turn, after one round that nobody counts: the server makes its answers in it."""
    found: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    with served(records) as url:
        for engine in ENGINES:  # each asks in its own words, with or without compression
            measured(engine, url)
        for number in range(rounds):
            first = number % len(ENGINES)  # the last of the three runs long, and who follows it finds a hot machine
            for engine in ENGINES[first:] + ENGINES[:first]:
                found[engine].append(measured(engine, url))
    print(f"{records:,} records of {len(TYPES)} properties; median of {rounds} rounds")
    results = {(round(one["rows"]), round(one["amount"])) for each in found.values() for one in each}
    print(f"all read the same; agree: {len(results) == 1 and next(iter(results))[0] == records}")
    print(f"{'':12} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")
    medians = {
        engine: {what: statistics.median(one[what] for one in each) for what in ("wall", "cpu", "peak")}
        for engine, each in found.items()
    }
    for engine, took in medians.items():
        print(f"{engine:12} {took['wall']:8.2f} {took['cpu']:8.2f} {took['peak']:8.0f}")
    ours = medians["stagesync"]
    print(f"stagesync / least, CPU: {ours['cpu'] / medians['least']['cpu']:.2f}")
    for what in ("wall", "cpu"):
        print(f"get_all / stagesync, {what}: {medians['get_all'][what] / ours[what]:.1f}")
    peaks(records)


def peaks(records: int) -> None:
    """The most memory that StageSync ever held, for a tenth of the records, for all, and for ten times as many."""
    # More than StageSync remembers of a list, in which a record may stand on two pages near each other.
    with served(min(max(records, 500), DISTINCT)) as url:
        found = []
        for size in (max(100, records // 10), records, 10 * records):
            requests.get(f"{url}/records/{size}", timeout=60)
            took = measured("stagesync", url)
            assert round(took["rows"]) == size
            found.append(f"{size:,}: {took['peak']:.0f} MB")
    print(f"peak memory of stagesync: {', '.join(found)}")


if __name__ == "__main__":
    main()
