"""The bid port alone, with a handler that gives a fixed answer, against a bare aiohttp handler that does the same.

`python -m tests.bench.bid_port [--rounds 6] [--no-bid]`: starts both servers on the first core and the client on the
second, and prints requests a second and CPU a request. What is left of a bid after this is the bid itself.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop
from aiohttp import web

from bidder.door.port import Reply, Sender
from bidder.door.server import BidServer
from core.clock import SystemClock
from tests.bench.interleave import Contender, compare, table

# About what one banner bid has: markup, notice URLs, a few ids.
ANSWER = json.dumps({"id": "8" * 36, "seatbid": [{"bid": [{"id": "1", "impid": "1", "adm": "x" * 600}]}]}).encode()


class FixedHandler:
    """Answers each request at once."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._answer = ANSWER if status == 200 else b""

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, sender: Sender) -> None:
        reply(self._status, self._answer)


def request_bodies() -> list[bytes]:
    """Two impressions, 2 kB: the size of ordinary banner traffic."""
    imps = [{"id": str(n), "banner": {"format": [{"w": 300, "h": 250}]}, "bidfloor": 0.4, "secure": 1} for n in (1, 2)]
    return [
        json.dumps(
            {
                "id": f"{n:036d}",
                "imp": imps,
                "site": {"page": "https://shop.example/" + "a" * 900, "domain": "shop.example"},
                "device": {"ua": "Mozilla/5.0 (X11; Linux x86_64) " + "b" * 300, "ip": "192.0.2.0"},
                "user": {"id": f"user-{n}", "consent": "c" * 300},
            }
        ).encode()
        for n in range(200)
    ]


async def serve_bid_port(port: int, status: int) -> None:
    """Run the bid port until killed."""
    server = BidServer(FixedHandler(status), clock=SystemClock())
    await server.start("127.0.0.1", port)
    print(server.address[1], flush=True)
    await asyncio.Event().wait()


async def serve_aiohttp(port: int, status: int) -> None:
    """Run the peer until killed: the body is read and thrown away, the answer is fixed."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=ANSWER if status == 200 else None, content_type="application/json")

    application = web.Application()
    application.router.add_post("/openrtb2/{exchange}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def _start(kind: str, status: int, core: int) -> tuple[subprocess.Popen[str], Contender]:
    command = ["taskset", "-c", str(core), sys.executable, "-m", "tests.bench.bid_port", "--serve", kind]
    process = subprocess.Popen([*command, "--status", str(status)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    return process, Contender(name=kind, url=f"http://127.0.0.1:{port}/openrtb2/bench", pids=(process.pid,))


def main() -> None:
    """Compare, or (`--serve`) be one of the two servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=("bid-port", "aiohttp"))
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--no-bid", action="store_true", help="answer 204")
    arguments = parser.parse_args()
    if arguments.serve:
        serve = serve_bid_port if arguments.serve == "bid-port" else serve_aiohttp
        uvloop.run(serve(arguments.port, arguments.status))
        return
    cores = sorted(os.sched_getaffinity(0))
    status = 204 if arguments.no_bid else 200
    with tempfile.TemporaryDirectory() as directory:
        bodies = Path(directory) / "bodies.jsonl"
        bodies.write_bytes(b"\n".join(request_bodies()))
        started = [_start(kind, status, cores[0]) for kind in ("bid-port", "aiohttp")]
        first, second = started[0][1], started[1][1]
        try:
            comparison = compare(
                first, second, bodies, rounds=arguments.rounds, seconds=arguments.seconds,
                connections=arguments.connections, core=cores[-1],
            )  # fmt: skip
            print(table(first, second, comparison))
        finally:
            for process, _ in started:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
