"""Bids while the catalogue changes: latency percentiles and misses before, during and after bulk writes of 10,000.

    scripts/bench catalogue_swap [--line-items 100000] [--rate 200] [--bulk 10000] [--tmax 100] [--settle 60]

Starts `grosz up` with so many line items, sends bid requests at an even rate whatever the answers (open loop), creates
the line items in two bulk requests through the API, and waits each time until `effective-version` says that the bidders
have them. The second makes the bidders compile all of it anew. A miss is a request without an answer within tmax of the
moment when it was due.
"""

import argparse
import asyncio
import itertools
import re
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop

from admin.access.principal import command_line
from admin.api.api_keys import RESOURCE as API_KEYS
from admin.store.accounts import SHOWN_CHARS, new_key_secret, set_key_digest
from admin.store.catalogue import CatalogueStore
from admin.store.database import Database, database_url
from admin.store.migrate import migrate
from admin.validation.intake import build
from core.clock import SystemClock
from tests.bench.admin_api import document, fill
from tests.kit.processes import RunningGrosz

AFTER_S = 20.0
EFFECTIVE_POLL_S = 0.05
NOTHING_ABOVE = re.compile(r'^grosz_catalogue_positions\{.*layer="overlay".*\} 0(\.0)?$', re.MULTILINE)
CONNECTIONS = 64
# Some 300 of 100,000 line items are for the site of a request.
DOMAINS = 333

REQUESTS = [
    {
        "id": str(number),
        "imp": [
            {"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.1},
            {"id": "2", "banner": {"w": 728, "h": 90}, "bidfloor": 0.1},
        ],
        "cur": ["PLN"],
        "tmax": 100,
        "site": {"domain": f"news{number}.example", "page": f"https://news{number}.example/"},
        "device": {"ua": "Mozilla/5.0 (Windows NT 10.0)", "ip": "192.0.2.7", "geo": {"country": "POL"}},
        "regs": {"gdpr": 0},
    }
    for number in range(50)
]


class Sample(msgspec.Struct):
    """One request: when it was due (seconds), how long its answer took, and its status, 0 for none."""

    due: float
    latency_s: float
    status: int


async def prepare(data: Path, count: int) -> str:
    """Fills the database of a data directory; the secret of a key for all."""
    database = Database.open(database_url("", data))
    await migrate(database)
    store = CatalogueStore(database, SystemClock())
    await fill(store, count, domains=DOMAINS)
    secret = new_key_secret()
    async with store.write(command_line().actor) as writer:
        (key_id,) = await writer.reserve_ids(API_KEYS.kind, 1)
        raw = {"name": "bench", "scopes": ["read", "trade", "admin"], "requests_per_minute": 1_000_000}
        key = build(API_KEYS.kind, raw, lambda _: None, id=key_id, version=1, prefix=secret[:SHOWN_CHARS])
        await writer.insert(API_KEYS.kind, [key])
        await set_key_digest(writer.connection, key_id, secret)
    await database.close()
    return secret


class Load:
    """Sends requests at an even rate until told to stop."""

    def __init__(self, url: str, rate: float, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._rate = rate
        self._session = session
        self._stop = asyncio.Event()
        self.samples: list[Sample] = []

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        bodies = itertools.cycle([msgspec.json.encode(one) for one in REQUESTS])
        due = time.perf_counter()
        sending: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            task = asyncio.create_task(self._send(due, next(bodies)))
            sending.add(task)
            task.add_done_callback(sending.discard)
            due += 1 / self._rate
        await asyncio.gather(*sending)

    async def _send(self, due: float, body: bytes) -> None:
        try:
            async with self._session.post(self._url, data=body) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.samples.append(Sample(due, time.perf_counter() - due, status))


def show(title: str, samples: list[Sample], tmax_s: float) -> None:
    """Prints the percentiles and misses of a part of the run."""
    if not samples:
        print(f"{title:<38} nothing was sent")
        return
    latencies = sorted(sample.latency_s for sample in samples)
    marks = [latencies[min(len(latencies) - 1, int(len(latencies) * part))] * 1000 for part in (0.5, 0.99, 0.999, 1.0)]
    missed = sum(sample.latency_s > tmax_s or sample.status not in (200, 204) for sample in samples)
    bids = sum(sample.status == 200 for sample in samples)
    p50, p99, p999, most = marks
    print(f"{title:<38} {len(samples):6} sent {bids:6} bids {missed:4} missed   "
          f"p50 {p50:6.1f}  p99 {p99:6.1f}  p99.9 {p999:6.1f}  max {most:6.1f} ms")  # fmt: skip


async def call(session: aiohttp.ClientSession, method: str, url: str, body: object = None) -> tuple[Any, Any]:
    async with session.request(method, url, json=body) as response:
        answer = await response.json()
        assert response.status < 300, answer
        return answer, response.headers


async def effective(session: aiohttp.ClientSession, admin: str, version: str) -> None:
    """Waits until all bidders run the version."""
    question = f"{admin}/v1/effective-version?version={version}"
    while not (await call(session, "GET", question))[0]["is_effective"]:  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(EFFECTIVE_POLL_S)


async def bulk_create(session: aiohttp.ClientSession, admin: str, body: bytes) -> str:
    """Sends a bulk request; the version of the catalogue that has it."""
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{admin}/v1/line-items/bulk", data=body, headers=headers) as response:
        answer = await response.read()
        assert b'"failed":0' in answer, answer[:1000]
        return response.headers["Grosz-Catalogue-Version"]


async def merged(session: aiohttp.ClientSession, bid: str) -> None:
    """Waits until no bidder has an overlay."""
    while True:
        async with session.get(f"{bid}/metrics") as response:
            if re.search(
                r'^grosz_catalogue_positions\{.*layer="overlay".*\} 0(\.0)?$', await response.text(), re.MULTILINE
            ):
                return
        await asyncio.sleep(EFFECTIVE_POLL_S)


async def measure(urls: dict[str, str], secret: str, arguments: argparse.Namespace) -> None:
    """The run itself; prints what it saw."""
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    key = {"Authorization": f"Bearer {secret}"}
    async with (
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5), connector=connector) as exchange,
        aiohttp.ClientSession(headers=key, timeout=aiohttp.ClientTimeout(total=120)) as program,
    ):
        # Encoded beforehand: what holds up this process would look like a bidder that is late.
        operations = [{"action": "create", "document": document(f"bulk {n}")} for n in range(arguments.bulk)]
        bulk = msgspec.json.encode({"operations": operations})
        load = Load(f"{urls['bid']}/openrtb2/demo", arguments.rate, exchange)
        running = asyncio.create_task(load.run())
        marks = [await _mark(asyncio.sleep(arguments.settle))]
        _, answered = await call(program, "POST", f"{urls['admin']}/v1/line-items", document("one"))
        marks.append(await _mark(effective(program, urls["admin"], answered["Grosz-Catalogue-Version"])))
        print(f"{'one line item to effective':<38} {marks[1] - marks[0]:6.2f} s")
        for turn in ("first", "second"):
            begun = time.perf_counter()
            version = await bulk_create(program, urls["admin"], bulk)
            marks.append(time.perf_counter())
            print(f"{f'{turn} bulk create of {arguments.bulk:,}':<38} {marks[-1] - begun:6.2f} s   target < 20 s")
            marks.append(await _mark(effective(program, urls["admin"], version)))
            print(f"{'from there to effective':<38} {marks[-1] - marks[-2]:6.2f} s   target < 5 s")
        marks.append(await _mark(merged(program, urls["bid"])))
        print(f"{'from there to a new base':<38} {marks[-1] - marks[-2]:6.2f} s   target < 10 s")
        marks.append(await _mark(asyncio.sleep(AFTER_S)))
        load.stop()
        await running
    ends = [0.0, *marks]
    titles = (
        "before",
        "while one line item became effective",
        "during the first bulk request",
        "until the first was effective",
        "during the second bulk request",
        "until the second was effective",
        "until the base was compiled anew",
        "after",
    )
    for title, start, end in zip(titles, ends[:-1], ends[1:], strict=True):
        show(title, [sample for sample in load.samples if start <= sample.due < end], arguments.tmax / 1000)
    show("all", load.samples, arguments.tmax / 1000)


async def _mark(waiting: Awaitable[None]) -> float:
    await waiting
    return time.perf_counter()


def main() -> None:
    """Runs the bench in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--line-items", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--bulk", type=int, default=10_000)
    parser.add_argument("--settle", type=float, default=60.0, help="seconds before the first change")
    parser.add_argument("--tmax", type=float, default=100.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="grosz-swap-") as directory:
        data = Path(directory)
        secret = uvloop.run(prepare(data, arguments.line_items))
        started = time.perf_counter()
        with RunningGrosz(data, environ={"GROSZ_TELEMETRY_OWN_LISTENER": "false"}) as running:
            print(f"{'grosz up with so many line items':<38} {time.perf_counter() - started:6.2f} s")
            uvloop.run(measure(running.urls, secret, arguments))


if __name__ == "__main__":
    main()
