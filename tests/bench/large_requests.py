"""What requests with long lists cost those that come meanwhile: the latency of ordinary ones beside each kind of them.

`python -m tests.bench.large_requests [--seconds 3]`: one process without sockets; ordinary requests come every 5 ms,
large ones every 100 ms, none of them seen before. Prints p50, p99 and the worst of the ordinary ones, by the kind of
large request that came beside them; and the longest piece of work that one of those is cut into, in CPU time, which
says more where the machine is not quiet. What was left out of them comes last.
"""

import argparse
import asyncio
import functools
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable

import uvloop

from admin.seed.catalogue import demo_catalogue
from bidder.decision.pipeline import prepare, respond, screen
from bidder.dialects.table import speaker_of
from bidder.door.handler import BidderHandler
from bidder.door.metrics import BidMetrics
from bidder.door.port import STRANGER, Reply
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.bounds import keep_what_fits
from core.clock import SystemClock
from core.telemetry.metrics import Telemetry
from tests.kit.bidding import KnownProfiles, TestBidder, profile_batch

EVERY_S = 0.005
LARGE_EVERY_S = 0.1

_numbers = itertools.count()


def word() -> str:
    """Never seen before."""
    return f"{next(_numbers):x}" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=6))


def request(**members: object) -> dict[str, object]:
    """An ordinary request of one banner."""
    banner = {"format": [{"w": 300, "h": 250}, {"w": 728, "h": 90}]}
    return {
        "id": word(), "tmax": 400, "imp": [{"id": "1", "banner": banner, "bidfloor": 0.1}], "regs": {"gdpr": 0},
        "site": {"domain": "news.example", "page": "https://news.example/a"}, **members,
    }  # fmt: skip


def impressions(number: int) -> list[dict[str, object]]:
    return [{"id": word(), "tagid": word(), "banner": {"w": 300, "h": 250}} for _ in range(number)]


KINDS: dict[str, Callable[[], dict[str, object]] | None] = {
    "nothing": None,
    "5,000 badv": lambda: request(badv=[f"{word()}.example" for _ in range(5_000)]),
    "5,000 bcat": lambda: request(bcat=[f"IAB{word()}" for _ in range(5_000)]),
    "5,000 keywords": lambda: request(site={"domain": "a.example", "kwarray": [word() for _ in range(5_000)]}),
    "500 impressions": lambda: request(imp=impressions(500)),
    "5,000 deals": lambda: request(
        imp=[{**impressions(1)[0], "pmp": {"deals": [{"id": word()} for _ in range(5_000)]}}]
    ),
    "5,000 sizes": lambda: request(
        imp=[{"id": "1", "banner": {"format": [{"w": 1 + at, "h": 1 + next(_numbers)} for at in range(5_000)]}}]
    ),
    "5,000 labels": lambda: request(site={"domain": ".".join(word() for _ in range(5_000))}),
}


async def measure(bidder: TestBidder, kind: str, seconds: float, piece_s: float) -> str:
    """A line of the table."""
    clock, telemetry = SystemClock(), Telemetry()
    handler = BidderHandler(
        profiles=KnownProfiles(), signer=bidder.signer, policy=bidder.policy, clock=clock,
        metrics=BidMetrics(telemetry), tmax_cap_ms=400, fresh=lambda: True,
    )  # fmt: skip
    handler.install(bidder.snapshot)
    make, latencies, bodies = KINDS[kind], list[float](), list[bytes]()
    if make is not None:
        bodies = [json.dumps(make()).encode() for _ in range(int(seconds / LARGE_EVERY_S))]
    loop, started = asyncio.get_running_loop(), time.monotonic()
    for number, body in enumerate(bodies, 1):
        loop.call_later(number * LARGE_EVERY_S, _submit, handler, body, _ignore)
    for number in range(int(seconds / EVERY_S)):
        # From when it should have been sent: a loop that is held delays the sender too.
        due = started + number * EVERY_S
        await asyncio.sleep(max(due - time.monotonic(), 0))
        _submit(handler, json.dumps(request()).encode(), functools.partial(_note, latencies, due))
    await handler.drain()
    latencies.sort()
    left_out = {
        sample.labels["kind"]: int(sample.value)
        for family in telemetry.families() if family.name == "grosz_bid_left_out_total" for sample in family.samples
    }  # fmt: skip
    places = [latencies[int(len(latencies) * share)] for share in (0.5, 0.99)] + [latencies[-1], piece_s]
    return f"{kind:16} {' '.join(f'{place * 1000:8.2f}' for place in places)}  {left_out or ''}"


def longest_piece(bidder: TestBidder, kind: str, seconds: float) -> float:
    """The CPU seconds of the longest piece of work that the event loop does at once for requests of a kind; median."""
    make, longest = KINDS[kind] or request, list[float]()
    for _ in range(max(int(seconds * 5), 1)):
        body, spent = json.dumps(make()).encode(), [time.thread_time()]
        exchange = bidder.snapshot.index.exchanges["demo"]
        auction = Auction(decode_request(body, Tolerances()), exchange, 0.4, speaker_of(exchange))
        spent.append(time.thread_time())
        keep_what_fits(auction.request, 0.4)
        spent += [time.thread_time() for _pause in prepare(auction, bidder.snapshot, bidder.policy)]
        spent.append(time.thread_time())
        wanted = screen(auction, bidder.snapshot, bidder.policy)
        spent.append(time.thread_time())
        if wanted:
            respond([auction], profile_batch([None]), bidder.snapshot, bidder.signer, bidder.clock.now_ms())
            spent.append(time.thread_time())
        longest.append(max(later - earlier for earlier, later in itertools.pairwise(spent)))
    return statistics.median(longest)


def _submit(handler: BidderHandler, body: bytes, reply: Reply) -> None:
    handler.submit("demo", body, time.monotonic(), reply, STRANGER)


def _note(latencies: list[float], due: float, _status: int, _body: bytes) -> None:
    latencies.append(time.monotonic() - due)


def _ignore(_status: int, _body: bytes) -> None:
    return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each kind")
    seconds = parser.parse_args().seconds
    bidder = TestBidder(demo_catalogue(), now_ms=SystemClock().now_ms())
    print(f"{'beside':16} {'p50 ms':>8} {'p99 ms':>8} {'worst ms':>8} {'piece ms':>8}  left out")
    for kind in KINDS:
        piece_s = longest_piece(bidder, kind, seconds)
        print(uvloop.run(measure(bidder, kind, seconds, piece_s)), flush=True)


if __name__ == "__main__":
    main()
