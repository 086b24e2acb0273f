"""How much it costs to read a whole table from Salesforce: by REST pages, and by Bulk API 2.0.

    make bench            (or: python benchmarks/pull_salesforce.py --records 100000)

The work: opportunities with 26 fields (texts with quotes and lines, numbers, truths, days, moments, parents), from an
org in another process (replayed_org.py) whose cost is left out. In every round each has its turn:

* stagesync: its reader and its mirror, as in the first run: describe, pages, checks, Parquet files
* bare minimum: a requests session, and polars reads the bytes of each page to a typed frame; nothing is checked or kept
* simple-salesforce: ``query_all_iter``, and ``bulk2`` with csv.DictReader, into dictionaries

One thread. Prints the processor's seconds in user mode (medians), and medians of the ratios of each round; then the
peak memory of StageSync's process for a tenth of the records, for all, and for ten times as many.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is loaded

import polars as pl
import requests
from replayed_org import DATA, FIELDS, PAGE
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from stagesync.connectors.salesforce import SalesforceConnection, connect
from stagesync.mirror import Mirror
from stagesync.model.tables import ColumnType, Table

NUMBERS = ("Amount", "Probability", "TotalOpportunityQuantity")
TRUTHS = ("IsClosed", "IsWon", "Budget_Confirmed__c")
DAYS = ("CloseDate", "LastActivityDate")
MOMENTS = ("CreatedDate", "LastModifiedDate", "LastStageChangeDate")
WHOLE = "Account.NumberOfEmployees"
KINDS = (
    dict.fromkeys(FIELDS, ColumnType.TEXT)
    | dict.fromkeys(NUMBERS, ColumnType.NUMBER)
    | dict.fromkeys(TRUTHS, ColumnType.BOOLEAN)
    | dict.fromkeys(DAYS, ColumnType.DATE)
    | dict.fromkeys(MOMENTS, ColumnType.DATETIME)
    | {WHOLE: ColumnType.INTEGER}
)
DEALS = Table(name="Opportunity", key="Id", columns=KINDS)
SOQL = f"SELECT {', '.join(FIELDS)} FROM Opportunity"  # noqa: S608
WIRE = (
    dict.fromkeys(FIELDS, pl.String) | dict.fromkeys((*NUMBERS, WHOLE), pl.Float64) | dict.fromkeys(TRUTHS, pl.Boolean)
)
TYPED = [
    *(pl.col(name).str.to_date("%Y-%m-%d") for name in DAYS),
    *(
        pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S.000+0000", time_unit="us").dt.replace_time_zone("UTC")
        for name in MOMENTS
    ),
    pl.col(WHOLE).cast(pl.Int64),
]
MOST = 1.5
"""How many times the bare minimum StageSync may take."""
GOALS = {False: 2.5, True: 6.0}
"""How many times as fast as ``query_all_iter`` into dictionaries StageSync is to be, by REST and by Bulk."""


@contextmanager
def org() -> Iterator[tuple[str, str]]:
    """URL and token of an org in another process."""
    command = [sys.executable, str(Path(__file__).with_name("replayed_org.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, token = process.stdout.readline().split()
        yield url, token
        assert process.stdin is not None
        process.stdin.close()


def stagesync(url: str, token: str, folder: Path, *, bulk: bool) -> pl.DataFrame:
    """The whole table into the mirror; its rows are read back after the clock has stopped."""
    connection = SalesforceConnection(
        connection="bench", login_url=url, instance_url=url, access_token=token, bulk_above=0 if bulk else 10**9
    )
    reader, _ = connect(connection, sleep=lambda _: None)
    assert reader.increments is not None
    with Mirror(folder).replace("bench", "run", "org") as snapshot:
        snapshot.expect([DEALS], reader.missing([DEALS]))
        cursor = reader.increments.cursor(DEALS)
        with closing(reader.pull(DEALS)) as pages:
            for page in pages:
                snapshot.add(page)
        snapshot.mark("Opportunity", cursor=cursor, read="2026-11-21T12:00:00+00:00")
    reader.close()
    return pl.DataFrame()


def session(token: str) -> requests.Session:
    """A plain session."""
    made = requests.Session()
    made.headers["Authorization"] = f"Bearer {token}"
    return made


def bare_pages(url: str, token: str) -> pl.DataFrame:
    """Typed frames of REST pages, nothing checked."""
    tree: dict[str, object] = {}
    for name, kind in WIRE.items():
        parent, _, leaf = name.rpartition(".")
        (tree.setdefault(parent, {}) if parent else tree)[leaf] = kind  # type: ignore[index]
    record = pl.Struct({name: pl.Struct(kind) if isinstance(kind, dict) else kind for name, kind in tree.items()})
    schema = {"nextRecordsUrl": pl.String, "records": pl.List(record)}
    parts = [name.split(".") for name in FIELDS]
    flat = [
        (pl.col(part[0]) if len(part) == 1 else pl.col(part[0]).struct.field(part[1])).alias(".".join(part))
        for part in parts
    ]
    with session(token) as plain:
        frames = []
        path: str | None = f"{DATA}/query/?q={SOQL} ORDER BY Id"
        while path:
            page = pl.read_json(io.BytesIO(plain.get(url + path).content), schema=schema)
            path = page["nextRecordsUrl"][0]
            frames.append(page.select("records").explode("records").unnest("records").select(flat).with_columns(TYPED))
        return pl.concat(frames)


def bare_results(url: str, token: str) -> pl.DataFrame:
    """Typed frames of pages of bulk results, nothing checked."""
    with session(token) as plain:
        job = plain.post(f"{url}{DATA}/jobs/query", json={"operation": "query", "query": SOQL}).json()["id"]
        while plain.get(f"{url}{DATA}/jobs/query/{job}").json()["state"] != "JobComplete":
            time.sleep(1)
        frames, text = [], pl.col(pl.String)
        locator = ""
        while locator != "null":
            params = {"maxRecords": "20000"} | ({"locator": locator} if locator else {})
            answer = plain.get(f"{url}{DATA}/jobs/query/{job}/results", params=params)
            locator = answer.headers["Sforce-Locator"]
            frame = pl.read_csv(io.BytesIO(answer.content), schema=WIRE)
            frames.append(frame.with_columns(pl.when(text != "").then(text).name.keep()).with_columns(TYPED))
        return pl.concat(frames)


class PlainHTTP(HTTPAdapter):
    """simple-salesforce says https; the org is on this machine and speaks http."""

    def send(self, request: requests.PreparedRequest, *args: object, **more: object) -> requests.Response:
        request.url = "http://" + str(request.url).removeprefix("https://")
        return super().send(request, *args, **more)  # type: ignore[arg-type]


def library(url: str, token: str) -> Salesforce:
    """The rival."""
    plain, https = requests.Session(), url.replace("http://", "https://")
    plain.mount(https, PlainHTTP())
    return Salesforce(session_id=token, instance_url=https, session=plain, version="67.0")


def library_pages(url: str, token: str) -> int:
    """Dictionaries of REST pages."""
    return sum(1 for _ in library(url, token).query_all_iter(f"{SOQL} ORDER BY Id"))


def library_results(url: str, token: str) -> int:
    """Dictionaries of bulk results."""
    texts = library(url, token).bulk2.Opportunity.query(SOQL, max_records=20_000, wait=1)
    return sum(1 for text in texts for _ in csv.DictReader(io.StringIO(text, newline="")))


def user_seconds(work: Callable[[], object]) -> tuple[float, object]:
    """The processor's seconds in user mode of some work, and what it gave."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    result = work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before, result


OURS = {False: "stagesync, REST pages", True: "stagesync, Bulk API 2.0"}
BARE = {False: "bare minimum, REST pages", True: "bare minimum, Bulk API 2.0"}
RIVAL, RIVAL_BULK = "simple-salesforce, query_all_iter", "simple-salesforce, bulk2"


def one_round(url: str, token: str) -> tuple[dict[str, float], bool]:
    """The seconds of each, and whether StageSync's mirror holds what the bare minimum found."""
    seconds: dict[str, float] = {}
    agree = True
    seconds[RIVAL], count = user_seconds(lambda: library_pages(url, token))
    for bulk, bare in ((False, bare_pages), (True, bare_results)):
        with TemporaryDirectory() as name:
            folder = Path(name)
            seconds[OURS[bulk]], _ = user_seconds(partial(stagesync, url, token, folder, bulk=bulk))
            seconds[BARE[bulk]], frame = user_seconds(partial(bare, url, token))
            assert isinstance(frame, pl.DataFrame)
            held = Mirror(folder).read("bench")[0]["Opportunity"].select(FIELDS)
            agree &= held.equals(frame.select(FIELDS)) and held.height == count
    seconds[RIVAL_BULK], also = user_seconds(lambda: library_results(url, token))
    return seconds, agree and also == count


def show(rounds: list[dict[str, float]], records: int) -> None:
    """Medians and ratios."""
    print(f"{'':34} {'CPU s':>8} {'µs/record':>10}")
    for name in (OURS[False], BARE[False], RIVAL, OURS[True], BARE[True], RIVAL_BULK):
        median = statistics.median(one[name] for one in rounds)
        print(f"{name:34} {median:8.2f} {1e6 * median / records:10.1f}")
    for bulk, goal in GOALS.items():
        over = statistics.median(one[OURS[bulk]] / one[BARE[bulk]] for one in rounds)
        faster = statistics.median(one[RIVAL] / one[OURS[bulk]] for one in rounds)
        print(f"{OURS[bulk]} / bare minimum {over:.2f} (goal: at most {MOST})")
        print(f"query_all_iter / {OURS[bulk]} {faster:.2f} (goal: at least {goal})")


def peak(url: str, token: str, records: int, *, bulk: bool) -> float:
    """The peak memory, in MB, of a process that does nothing but StageSync's pull."""
    requests.get(f"{url}/records/{records}", timeout=60)
    command = [sys.executable, __file__, "--only", url, token, str(int(bulk))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def only(url: str, token: str, bulk: str) -> None:
    """StageSync's pull alone; prints its peak memory in MB."""
    with TemporaryDirectory() as name:
        stagesync(url, token, Path(name), bulk=bulk == "1")
    # Not ru_maxrss: Linux lets a process inherit that of its parent.
    said = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(said.partition("VmHWM:")[2].split()[0]) / 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        only(*options.only)
        return
    records = -(-options.records // PAGE) * PAGE
    with org() as (url, token):
        print(f"{records:,} records, {len(FIELDS)} fields; {options.rounds} rounds, one thread")
        requests.get(f"{url}/records/{records}", timeout=60)
        found = [one_round(url, token) for _ in range(options.rounds)]
        show([seconds for seconds, _ in found], records)
        print(f"the same rows: agree: {all(same for _, same in found)}")
        sizes = sorted({max(PAGE, records // 10), records, 10 * records})
        for title, bulk in (("REST pages", False), ("Bulk API 2.0", True)):
            peaks = ", ".join(f"{size:,}: {peak(url, token, size, bulk=bulk):.0f} MB" for size in sizes)
            print(f"peak memory by {title}: {peaks}")


if __name__ == "__main__":
    main()
