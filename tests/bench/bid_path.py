"""The whole bid path against a bare aiohttp handler: the ratios of the design, from interleaved rounds of one run.

`scripts/bench bid_path [--line-items 1000 --eligible 60] [--no-bid] [--rounds 6] [--realtime]` starts a real server for
profiles and money, a real bidder process on the first core, and everything else (Valkey, the lease bank, the peer's
client) on the second. The peer parses with orjson and gives a fixed answer; it runs on the bidder's core in its rounds.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from core import keys
from core.catalogue.codec import encode_catalogue
from core.clock import SystemClock
from core.redis.client import PipelinedRedis, control_redis
from core.redis.embedded import EmbeddedServer
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import LeaseBank
from pacing.budgets.transitions import Transitions
from pacing.ledger.rows import DayLine, LedgerRow, LedgerWriter, Totals
from segments.facts.facts import Facts
from segments.facts.layout import pack_hot
from tests.bench.interleave import Comparison, Contender, compare, table
from tests.kit.catalogues import large_catalogue

USERS = 20_000
BODIES = 2_000
READY_TIMEOUT_S = 120.0
FIXED_ANSWER = json.dumps(
    {"id": "8" * 36, "seatbid": [{"bid": [{"id": "1", "impid": "1", "adm": "x" * 1600}]}]}
).encode()
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Mobile Safari/537.36",
)  # fmt: skip


class EmptyLedger:
    """A ledger store without a row: nothing is billed in this bench."""

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None: ...

    async def last_stream_id(self, advertiser_id: int) -> str:
        return ""

    async def totals(self, advertiser_id: int, since_day: int = 0) -> Totals:
        return Totals("", [])

    async def notices_since(self, advertiser_id: int, issued_s: int) -> list[tuple[str, int]]:
        return []

    async def days(self) -> list[int]:
        return []

    async def check(self, advertiser_id: int) -> list[str]:
        return []

    async def day_lines(self, day: int) -> list[DayLine]:
        return []


def user_id(number: int) -> str:
    """A user id of the right shape."""
    return f"{number:022d}"


def request_body(number: int, chance: random.Random, *, wanted: bool, at: int = 2) -> bytes:
    """A 2 kB request with two impressions; one that nobody wants comes from a country that nobody targets.

    `at` is the auction type: 1 is first price, 2 second price.
    """
    sizes = [{"w": 300, "h": 250}, {"w": 336, "h": 280}]
    domain = f"news{chance.randrange(500)}.example"
    body = {
        "id": f"{number:032d}-bid",
        "at": at,
        "tmax": 300,
        "cur": ["PLN"],
        "imp": [
            {"id": "1", "banner": {"format": sizes, "pos": 1, "btype": [4]}, "bidfloor": 0.5, "bidfloorcur": "PLN",
             "secure": 1, "tagid": "top-300x250", "ext": {"gpid": "/1234/news/top"}},
            {"id": "2", "banner": {"w": 728, "h": 90, "pos": 3}, "bidfloor": 0.3, "bidfloorcur": "PLN", "secure": 1,
             "tagid": "bottom-728x90"},
        ],
        "site": {
            "id": "4711", "domain": domain, "page": f"https://{domain}/article/{number}/" + "a" * 200,
            "cat": ["IAB12", "IAB12-1"], "keywords": "wiadomosci, sport, kultura", "publisher": {"id": "815"},
            "ref": "https://search.example/?q=" + "b" * 150,
        },
        "device": {
            "ua": chance.choice(AGENTS).format(chance.randrange(100, 130)), "ip": "192.0.2.0", "devicetype": 2,
            "language": "pl", "geo": {"country": "POL" if wanted else "BRA", "region": "MZ", "city": "Warszawa",
                                      "zip": "00-950", "lat": 52.23, "lon": 21.01},
        },
        "user": {"id": "x" * 40, "buyeruid": user_id(chance.randrange(USERS)), "consent": ""},
        "regs": {"gdpr": 0, "ext": {"note": "c" * 200}},
        "source": {"tid": "f" * 36, "schain": {"ver": "1.0", "complete": 1,
                                                "nodes": [{"asi": "exchange.example", "sid": "815", "hp": 1}]}},
    }  # fmt: skip
    return json.dumps(body).encode()


async def serve_peer() -> None:
    """The bare aiohttp handler, until killed."""

    async def answer(request: web.Request) -> web.Response:
        orjson.loads(await request.read())
        return web.Response(body=FIXED_ANSWER, content_type="application/json")

    application = web.Application()
    application.router.add_post("/openrtb2/{exchange}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def serve_bank(url: str, line_items: int, eligible: int) -> None:
    """What the admin and worker roles do for a bidder: a published catalogue and a lease bank, until killed."""
    clock, control = SystemClock(), control_redis(url)
    catalogue = large_catalogue(line_items, eligible / line_items)
    await control.set(keys.CATALOGUE_SNAPSHOT, encode_catalogue(catalogue))
    await control.set(keys.CATALOGUE_VERSION, catalogue.version)
    connection = await PipelinedRedis.open(url, clock=clock)
    transitions = Transitions(connection, clock)
    ledger, telemetry = EmptyLedger(), Telemetry()
    writer = LedgerWriter(transitions, ledger, lambda: (), telemetry)
    bank = LeaseBank(transitions, ledger, writer, lambda: catalogue, clock, telemetry)
    running = asyncio.create_task(bank.run())
    while not running.done():
        await control.set(keys.CATALOGUE_ALIVE, clock.now_ms())
        await asyncio.sleep(1)
    running.result()


async def seed_profiles(url: str) -> None:
    """Users with visits at three shops, a cart and five segments at one of them."""
    clock = SystemClock()
    connection = await PipelinedRedis.open(url, clock=clock)
    chance, now_s = random.Random(7), int(time.time())
    for number in range(USERS):
        command: list[str | bytes] = ["HSET", keys.user_profile(user_id(number))]
        for shop in chance.sample(range(1, 51), 3):
            facts = Facts()
            windows = [(shop * 10 + kind, now_s - 100, now_s + 10**6) for kind in range(1, 3)]
            command += [str(shop), pack_hot(facts, windows, now_s, now_s + 10**7)]
        await connection.batch([tuple(command)], clock.monotonic() + 5)
    await connection.close()


def _python(core: int, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = ["taskset", "-c", str(core), sys.executable, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})})


def _wait_for_bids(url: str, body: bytes, deadline: float) -> None:
    """Wait until the bidder has leases: until a request that must be bid on is."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    while time.monotonic() < deadline:
        # A bidder that still takes a large catalogue over may keep a request for longer than this.
        refusals = (urllib.error.URLError, TimeoutError)
        with contextlib.suppress(*refusals), urllib.request.urlopen(request, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("the bidder does not bid: look at what it logs")


@contextlib.contextmanager
def contenders(line_items: int, eligible: int, directory: Path) -> Iterator[tuple[Contender, Contender]]:
    """The bidder and its peer, running on the first core, with everything that the bidder needs on the second."""
    cores = sorted(os.sched_getaffinity(0))
    server = EmbeddedServer(directory / "redis")
    server.start()
    if server.pid is not None:
        os.sched_setaffinity(server.pid, {cores[-1]})
    uvloop.run(seed_profiles(server.url))
    port = _free_port()
    bank = _python(cores[-1], "-m", "tests.bench.bid_path", "--serve-bank", server.url, "--line-items", str(line_items),
                   "--eligible", str(eligible))  # fmt: skip
    environ = {
        "GROSZ_REDIS_URL": server.url, "GROSZ_BID_PORT": str(port),
        "GROSZ_MONEY_TOKEN_KEYS": json.dumps({"1": "ab" * 32}),
        "GROSZ_TRACK_PUBLIC_URL": "https://track.example", "GROSZ_TELEMETRY_LOG_LEVEL": "warning",
    }  # fmt: skip
    bidder = _python(cores[0], "-m", "admin.cli", "bidder", environ=environ)
    peer = _python(cores[0], "-m", "tests.bench.bid_path", "--serve-peer")
    try:
        assert peer.stdout is not None
        peer_port = int(peer.stdout.readline())
        url = f"http://127.0.0.1:{port}/openrtb2/demo"
        chance = random.Random(3)
        _wait_for_bids(url, request_body(0, chance, wanted=True), time.monotonic() + READY_TIMEOUT_S)
        time.sleep(3)  # leases grow to the demand, the memos fill
        yield (
            Contender("bid path", url, (bidder.pid,)),
            Contender("bare aiohttp", f"http://127.0.0.1:{peer_port}/openrtb2/demo", (peer.pid,)),
        )
    finally:
        for process in (bidder, peer, bank):
            process.kill()
            process.wait()
        server.stop()


def _take_precedence() -> None:
    """Real-time scheduling for this process and all that it starts; both contenders have it. Linux, as root."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        sys.exit("--realtime needs the right to set real-time priorities: run it as root, or leave it out")


def _free_port() -> int:
    from tests.kit.fixtures import find_free_port

    return find_free_port()


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def run(line_items: int, eligible: int, *, no_bid: bool, rounds: int, seconds: float, connections: int) -> Comparison:
    """One comparison, printed as a table."""
    chance = random.Random(11)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        bodies = directory / "bodies.jsonl"
        bodies.write_bytes(b"\n".join(request_body(n, chance, wanted=not no_bid or n % 10 == 0) for n in range(BODIES)))
        with contenders(line_items, eligible, directory) as (bidder, peer):
            core = max(os.sched_getaffinity(0))
            found = compare(bidder, peer, bodies, rounds=rounds, seconds=seconds, connections=connections, core=core)
            kind = "no-bid mix" if no_bid else "answering bids"
            print(f"\n{line_items:,} line items, {kind}, {resident_mib(bidder.pids[0]):.0f} MiB resident\n")
            print(table(bidder, peer, found), flush=True)
            return found


def main() -> None:
    """Compare, or (`--serve-...`) be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve-peer", action="store_true")
    parser.add_argument("--serve-bank", metavar="URL")
    parser.add_argument("--line-items", type=int, default=1_000)
    parser.add_argument("--eligible", type=int, default=60)
    parser.add_argument("--no-bid", action="store_true", help="nine of ten requests that nobody wants")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--realtime", action="store_true", help="before all other programs of the machine, for a machine that is in use"
    )
    given = parser.parse_args()
    if given.realtime:
        _take_precedence()
    if given.serve_peer:
        uvloop.run(serve_peer())
    elif given.serve_bank:
        uvloop.run(serve_bank(given.serve_bank, given.line_items, given.eligible))
    else:
        run(given.line_items, given.eligible, no_bid=given.no_bid, rounds=given.rounds, seconds=given.seconds,
            connections=given.connections)  # fmt: skip


if __name__ == "__main__":
    main()
