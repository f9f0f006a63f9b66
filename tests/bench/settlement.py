"""Settled notices a second of one tracker process over HTTP: `scripts/bench settlement [--notices N] [--rounds N]`.

A real tracker process is pinned to one core; this process, which sends, and the server have the others. Tokens are
signed and their leases granted beforehand; each bill is another bid, so each is settled, written to the ledger's
stream and noted for caps. On a busy machine the CPU a notice says more than the rate: it is what a quiet one would
need.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from core import keys
from core.catalogue.codec import encode_catalogue
from core.clock import SystemClock
from core.model import Budget, Catalogue
from core.redis.client import PipelinedRedis
from core.redis.embedded import EmbeddedServer
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import LeaseBank
from pacing.budgets.pools import PoolKey
from pacing.budgets.timing import Timing
from pacing.budgets.transitions import Transitions, Want
from pacing.ledger.audit import audit
from pacing.ledger.rows import LedgerWriter
from pacing.notices.claims import Claims, Terms
from pacing.notices.tokens import TokenSigner
from tests.bench.client import run_load
from tests.kit.fixtures import REPOSITORY, find_free_port
from tests.kit.ledger_store import MemoryLedgerStore
from tests.kit.money import ADVERTISER, CAMPAIGN, EXCHANGE, LINE_ITEM, catalogue, line_item
from tests.kit.processes import clean_environment

KEY = "6b" * 32
BID_MICROS = 4_000
USERS = 5_000
CORES = sorted(os.sched_getaffinity(0))


class Sums(msgspec.Struct, frozen=True):
    """What both sides used in a run."""

    settled: int
    seconds: float
    tracker_us: float
    server_us: float


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def lease(transitions: Transitions, notices: int) -> list[int]:
    """Leases that hold `notices` bids, of the size that a busy bidder has: two seconds of 1,000 bids."""
    epoch = (await transitions.witness(ADVERTISER)).epoch
    size = 2_000
    leases: list[int] = []
    while size * len(leases) < notices:
        want = Want(PoolKey(LINE_ITEM, 0), 0, size * BID_MICROS, size)
        reply = await transitions.grant(ADVERTISER, epoch, "bench", [want])
        leases.append(reply.leases[0].lease_id)
    return [leases[number // size] for number in range(notices)]


def requests_for(leases: list[int], host: str) -> list[bytes]:
    """One bill for each reservation, as an exchange sends it."""
    signer, issued_s = TokenSigner({1: bytes.fromhex(KEY)}), int(time.time())
    requests = []
    for number, lease_id in enumerate(leases):
        claims = Claims(
            share=0, line_item_id=LINE_ITEM, advertiser_id=ADVERTISER, campaign_id=CAMPAIGN, creative_id=9,
            exchange_id=EXCHANGE, lease_id=lease_id, reserved_micros=BID_MICROS, bid_cpm=BID_MICROS * 1_000,
            second_cpm=0, floor_cpm=1_000_000, currency="PLN", nonce=number, terms=Terms(),
            issued_s=issued_s, user_id=f"{number % USERS:022d}",
        )  # fmt: skip
        target = f"/n/bill/{signer.sign(claims).decode()}?p=2.5&c=PLN"
        requests.append(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: exchange/1.0\r\n\r\n".encode())
    return requests


def start_tracker(url: str, port: int) -> subprocess.Popen[bytes]:
    environ = clean_environment() | {
        "GROSZ_REDIS_URL": url,
        "GROSZ_TRACK_PORT": str(port),
        "GROSZ_MONEY_TOKEN_KEYS": f'{{"1": "{KEY}"}}',
        "GROSZ_TELEMETRY_LOG_LEVEL": "error",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "admin.cli", "tracker"], cwd=REPOSITORY, env=environ,
        preexec_fn=lambda: os.sched_setaffinity(0, CORES[:1]),
    )  # fmt: skip


async def until_ready(port: int) -> None:
    ready = b""
    while not ready.startswith(b"HTTP/1.1 200"):
        await asyncio.sleep(0.1)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            continue
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        ready = await reader.read()
        writer.close()


async def publish(redis: PipelinedRedis, present: Catalogue) -> None:
    commands: list[tuple[bytes | str | int, ...]] = [
        ("SET", keys.CATALOGUE_SNAPSHOT, encode_catalogue(present)),
        ("SET", keys.CATALOGUE_VERSION, present.version),
    ]
    await redis.batch(commands, time.monotonic() + 5)


async def measure(server: EmbeddedServer, notices: int, connections: int, profile: str) -> Sums:
    """Settle `notices` bills."""
    clock = SystemClock()
    redis = await PipelinedRedis.open(server.url, clock=clock)
    present = catalogue(line_item(total_budget=Budget(micros=10**12)))
    await publish(redis, present)
    transitions = Transitions(redis, clock, timing=Timing())
    store = MemoryLedgerStore()
    writer = LedgerWriter(transitions, store, lambda: [ADVERTISER], Telemetry())
    await LeaseBank(transitions, store, writer, lambda: present, clock, Telemetry()).tick()
    port = find_free_port()
    tracker = start_tracker(server.url, port)
    try:
        await until_ready(port)
        requests = requests_for(await lease(transitions, notices), f"127.0.0.1:{port}")
        profiler = start_profiler(tracker.pid, profile) if profile else None
        assert server.pid is not None
        before = cpu_seconds(tracker.pid), cpu_seconds(server.pid)
        result = await run_load(f"http://127.0.0.1:{port}", requests, connections=connections, seconds=3600, once=True)
        after = cpu_seconds(tracker.pid), cpu_seconds(server.pid)
        if profiler is not None:
            profiler.send_signal(signal.SIGINT)  # it writes its file then
            profiler.wait()
    finally:
        tracker.terminate()
        tracker.wait()
    assert result.statuses == {"204": notices}, result.statuses
    found = await audit(transitions, store, ADVERTISER)
    assert (found.rows_in_stream, found.differences) == (notices, []), found
    await redis.close()
    each = [(late - early) / notices * 1e6 for early, late in zip(before, after, strict=True)]
    return Sums(notices, result.seconds, *each)


def start_profiler(pid: int, file: str) -> subprocess.Popen[bytes]:
    """py-spy beside the run; it slows the tracker down, so no figures then."""
    command = [".venv/bin/py-spy", "record", "-p", str(pid), "-r", "500", "-f", "raw", "-o", file, "-d", "3600"]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notices", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="", help="file for py-spy's raw samples")
    options = parser.parse_args()
    os.sched_setaffinity(0, CORES[1:] or CORES)
    print("| settled | notices/s | tracker CPU, us a notice | server CPU, us a notice |")
    print("|---|---|---|---|")
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="grosz-bench-") as folder:
            server = EmbeddedServer(Path(folder))
            server.start()
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    sums = runner.run(measure(server, options.notices, options.connections, options.profile))
            finally:
                server.stop()
        cells = (f"{sums.settled:,}", f"{sums.settled / sums.seconds:,.0f}", f"{sums.tracker_us:.0f}")
        print(f"| {' | '.join(cells)} | {sums.server_us:.0f} |", flush=True)


if __name__ == "__main__":
    main()
