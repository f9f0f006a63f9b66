"""The load generator's own cost: requests per CPU second and sustained rate of one process, whole and bare.

`scripts/bench generator [--seconds S]`. On the first core a peer answers at once, with bids for a share of requests;
on the last one the generator, as a scenario runs it: schedule, templates, users, checks of every answer, auctions, no
notices. "bare" is its HTTP client alone with one fixed request. The target is 30,000 requests/s from one core.
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple, cast

import orjson
import uvloop

from loadtest.exchange.exchange import ExchangeProcess
from loadtest.measure.series import Series
from loadtest.traffic.scenario import NoticePlan, Scenario
from loadtest.wire.client import Pool, parse_target, request_head

TARGET = 30_000.0

# Offered above what one core sends, so that the generator is saturated and its rate is its own.
OFFERED = 45_000.0
CONNECTIONS = 64

SHARES = (0.0, 0.3, 1.0)

NO_BID = b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
_ID = "@" * 20
_TRACKER = "http://127.0.0.1:9"


class Peer(asyncio.Protocol):
    """Answers at once: with 204, or with a bid on each banner. Answers are made once for each template."""

    answers: dict[bytes, list[bytes]] = {}  # shared by all connections on purpose
    share = 0.0
    debt = 0.0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods, not by inheritance

    def data_received(self, data: bytes) -> None:
        data, self._buffer = self._buffer + data, b""
        end = data.find(b"\r\n\r\n")
        start = data.find(b"ontent-Length: ") + 15
        if end < 0 or len(data) < end + 4 + int(data[start : data.find(b"\r", start)]):
            self._buffer = data
            return
        Peer.debt += Peer.share
        if Peer.debt < 1:
            self._transport.write(NO_BID)
            return
        Peer.debt -= 1
        body = data[end + 4 :]
        # the body begins with its id; what follows up to the device is the template's own
        pieces = self.answers.get(body[27 : body.find(b'"device"')])
        if pieces is None:
            pieces = self.answers[body[27 : body.find(b'"device"')]] = bid_answer(body)
        self._transport.write(body[7:27].join(pieces))


def bid_answer(body: bytes) -> list[bytes]:
    """A whole answer, cut where the request's id goes."""
    bids = []
    for imp in orjson.loads(body)["imp"]:
        if "banner" not in imp:
            continue
        size = imp["banner"]["format"][0]
        markup = f'<a href="{_TRACKER}/t/click/{"c" * 200}"><img src="{_TRACKER}/t/imp/{"i" * 200}"></a>'
        bids.append(
            {
                "id": imp["id"], "impid": imp["id"], "price": round(imp["bidfloor"] + 1, 2), "adid": "3", "cid": "7",
                "crid": "3-1", "w": size["w"], "h": size["h"], "mtype": 1, "adomain": ["shop.example"],
                "cat": ["IAB22"], "adm": markup, **{name: f"{_TRACKER}/{name}/{'n' * 200}" for name in
                                                   ("nurl", "burl", "lurl")},
            }
        )  # fmt: skip
    if not bids:
        return [NO_BID]
    content = orjson.dumps({"id": _ID, "cur": "PLN", "seatbid": [{"seat": "grosz", "bid": bids}]})
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    return (head + content).split(_ID.encode())


async def serve(share: float) -> None:
    Peer.share = share
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def peer(share: float, core: int) -> Iterator[str]:
    """A peer on a core; its URL."""
    command = [sys.executable, "-m", "tests.bench.generator", "--serve", str(share)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/bid"
        finally:
            process.terminate()


class Cost(NamedTuple):
    """What one run cost: requests, CPU seconds and seconds of it."""

    requests: int
    cpu_s: float
    seconds: float
    bids: int = 0

    @property
    def per_cpu_second(self) -> float:
        return self.requests / self.cpu_s


async def whole(url: str, seconds: float) -> Cost:
    """The generator as a scenario runs it."""
    series = Series()
    plan = Scenario(
        name="generator", url=url, rate=OFFERED, duration_s=seconds, connections=CONNECTIONS, patience_s=60,
        notices=NoticePlan(send=False),
    )  # fmt: skip
    process = ExchangeProcess(plan, 0, series.add)
    await process.connect()
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    cpu, start = time.process_time(), time.monotonic()
    await process.run(start, stop)
    counts = series.total.counts
    if series.total.violations:
        raise SystemExit(f"the peer's answers are wrong: {series.total.examples[0]}")
    return Cost(counts["answered"], time.process_time() - cpu, time.monotonic() - start, counts["bids"])


async def bare(url: str, seconds: float) -> Cost:
    """The HTTP client with one request, again and again."""
    target = parse_target(url)
    body = orjson.dumps({"id": _ID, "imp": [], "device": {"ua": "x" * 3000}})
    request = request_head(target, "POST", (("Content-Type", "application/json"),), len(body)) + body
    answered = 0

    def on_answer(tag: bool, status: int, head: bytes, answer: bytes) -> None:
        nonlocal answered
        answered += 1
        if time.monotonic() < end:
            pool.submit(tag, request)

    pool: Pool[bool] = Pool(target, CONNECTIONS, on_answer, time.monotonic)
    await pool.open()
    cpu, start = time.process_time(), time.monotonic()
    end = start + seconds
    for _ in range(CONNECTIONS):
        pool.submit(True, request)
    while pool.outstanding:  # noqa: ASYNC110  # an event on every answer would be measured too
        await asyncio.sleep(0.02)
    cost = Cost(answered, time.process_time() - cpu, time.monotonic() - start)
    await pool.close()
    return cost


def row(name: str, cost: Cost) -> str:
    verdict = "held" if cost.per_cpu_second >= TARGET else "missed"
    return (
        f"{name:28} {cost.per_cpu_second:14,.0f} {1e6 * cost.cpu_s / cost.requests:10.1f} "
        f"{cost.requests / cost.seconds:12,.0f} {cost.bids / cost.requests:14.2f}  {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--serve", type=float, metavar="SHARE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        uvloop.run(serve(options.serve))
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    print(f"{'':28} {'per CPU second':>14} {'us each':>10} {'requests/s':>12} {'bids a request':>14}")
    with peer(0.0, cores[0]) as url:
        print(row("bare client", uvloop.run(bare(url, options.seconds))))
    for share in SHARES:
        with peer(share, cores[0]) as url:
            print(row(f"whole, {share:.0%} answered 200", uvloop.run(whole(url, options.seconds))), flush=True)


if __name__ == "__main__":
    main()
