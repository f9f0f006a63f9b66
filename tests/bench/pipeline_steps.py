"""CPU of one bid request by step, in one process without sockets: decode, screen, profile, evaluate, choose, answer.

`python -m tests.bench.pipeline_steps [--line-items 1000 --eligible 60 --batch 16 --rounds 12]` prints the best round of
each step in microseconds a request. On a machine that is not quiet, count instructions instead:

    valgrind --tool=callgrind python -m tests.bench.pipeline_steps --iterations 30     (then 230: the difference counts)

`--instructions` does both runs, with the same seed of hashes, and prints the difference a request; with and without
`--first-price` it tells what the shading of bids costs, with and without `--journal` what writing down each bid does.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bidder.decision import pipeline
from bidder.decision.answer import answer
from bidder.decision.bids_out import BatchCaps, BidsOut
from bidder.decision.choose import choose
from bidder.decision.model_file import load_model
from bidder.decision.noting import BidNotes
from bidder.decision.recording import AuctionRecorder
from bidder.decision.snapshot import Snapshot
from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy
from bidder.targeting.compiled import Compiled
from core.clock import SystemClock
from core.collector import collect_rarely, exempt_what_exists
from core.config import ConsentSettings
from core.model import Catalogue, Creative, Format
from core.reasons import NoBid
from core.telemetry.metrics import Telemetry
from journal.people import Pseudonyms
from journal.writing import JournalWriter
from pacing.budgets.leases import LeaseBook
from pacing.notices.tokens import TokenSigner
from segments.facts.facts import Facts
from segments.facts.layout import pack_hot
from segments.profiles.reading import ProfileBatch, decode
from tests.bench.bid_path import request_body
from tests.kit.catalogues import EXCHANGE, large_catalogue, native_creative
from tests.kit.spots import audio_creative, video_creative

BODIES = 512
ROUND_BATCHES = 30
COUNTED = (30, 230)  # iterations of the two counted runs; what starting costs cancels out


class Bench:
    """One snapshot with leases that never end, bodies and profile replies; `run` is one batch through all steps.

    With a `journal` every bid is written to segment files there. The impressions and the ads are all of one `kind`.
    """

    def __init__(
        self,
        line_items: int,
        eligible: int,
        batch: int,
        *,
        no_bid: bool,
        journal: Path | None = None,
        at: int = 2,
        kind: Format = Format.BANNER,
        alike: bool = False,
    ) -> None:
        self.now_ms = SystemClock().now_ms()
        self.batch = batch
        compiled = Compiled(of_kind(large_catalogue(line_items, eligible / line_items), kind))
        book = LeaseBook()
        book.bind(compiled.index.pools)
        for position in range(len(compiled.index.pools)):
            book.grant(position, position + 1, 10**12, 10**9, self.now_ms + 10**9)
        self.out = BidsOut()
        self.snapshot = Snapshot(compiled, load_model(), book, "https://track.example", out=self.out)
        self.snapshot.live.refresh(self.now_ms, book)
        self.policy = ConsentPolicy(ConsentSettings())
        self.signer = TokenSigner({1: b"k" * 32})
        self.tolerances = Tolerances()
        self.notes: BidNotes | None = None
        if journal is not None:
            clock = SystemClock()
            self.writer = JournalWriter(journal, "bench", clock, Telemetry(), max_bytes=2**62)
            people = Pseudonyms(b"k" * 32)
            recorder = AuctionRecorder(self.writer, people, random.Random(6), a_second=5)
            for _ in range(100):  # of a process that answers a thousand a second
                recorder._seen = batch
                recorder.adjust(batch / 1_000)
            self.notes = BidNotes(self.writer, people, clock.now_ms, recorder)
        chance = random.Random(5)
        self.bodies = [
            asking_for(request_body(n, chance, wanted=not no_bid or n % 10 == 0, at=at), kind, alike=alike)
            for n in range(BODIES)
        ]
        self.replies = [_profile(chance, self.now_ms // 1000) for _ in range(BODIES)]
        self.spent: dict[str, float] = {}
        self.match_and_price_s: list[float] = []  # one a batch
        self._next = 0
        collect_rarely()  # both as the bidder role does
        exempt_what_exists()

    def _timed(self, name: str, started: float) -> float:
        now = time.perf_counter()
        self.spent[name] = self.spent.get(name, 0.0) + now - started
        return now

    def run(self) -> int:
        """One batch; how many requests were answered with a bid."""
        start = self._next
        self._next = (start + self.batch) % (BODIES - self.batch)
        at = time.perf_counter()
        auctions = [
            Auction(decode_request(body, self.tolerances), EXCHANGE, 1e9, speaker_of(EXCHANGE))
            for body in self.bodies[start : start + self.batch]
        ]
        at = self._timed("decode", at)
        decoded = at
        auctions = [auction for auction in auctions if pipeline.screen(auction, self.snapshot, self.policy)]
        at = self._timed("screen", at)
        screen_s = at - decoded
        if not auctions:
            return 0
        profiles = ProfileBatch([auction.user_id for auction in auctions])
        decode(profiles, range(len(auctions)), self.replies[start : start + len(auctions)], self.now_ms)
        at = self._timed("profiles", at)
        fetched = at
        pipeline.count_bids_out(profiles, self.snapshot, self.now_ms)
        found = pipeline.evaluate(auctions, profiles, self.snapshot, self.now_ms)
        at = self._timed("evaluate", at)
        self.match_and_price_s.append(screen_s + at - fetched)
        assert found is not None
        chosen = choose(
            found, self.snapshot, self.now_ms, BatchCaps(self.out, self.snapshot.caps, profiles, self.now_ms)
        )
        at = self._timed("choose", at)
        self.snapshot.counts.count_pairs(found.positions, found.verdict)
        at = self._timed("count", at)
        answers = answer(found, chosen, self.snapshot, profiles, self.signer, self.now_ms)
        at = self._timed("answer", at)
        if self.notes is not None:
            self.notes.hold(auctions, found, chosen, self.snapshot, profiles, self.now_ms)
            for number, auction in enumerate(auctions):
                if number not in answers:
                    self.notes.silent(auction, NoBid.NOBODY_BIDS)
            self.notes.sent()
            self._timed("journal", at)
        return len(answers)


_ASSETS = [
    {"id": 1, "required": 1, "title": {"len": 90}},
    {"id": 2, "required": 1, "img": {"type": 3, "w": 1200, "h": 627}},
    {"id": 3, "data": {"type": 1, "len": 25}},
]
_PLAYER = {"mimes": ["video/mp4", "audio/mpeg"], "protocols": [2, 3, 7, 13], "maxduration": 60, "api": [7]}
IMPRESSIONS: dict[Format, dict[str, Any]] = {
    Format.NATIVE: {"request": json.dumps({"ver": "1.2", "privacy": 1, "assets": _ASSETS,
                                           "eventtrackers": [{"event": 1, "methods": [1]}]})},
    Format.VIDEO: {**_PLAYER, "w": 1280, "h": 720},
    Format.AUDIO: _PLAYER,
}  # fmt: skip
"""What an impression asks for, by format."""


def of_kind(published: Catalogue, kind: Format) -> Catalogue:
    """The catalogue with ads of one format instead of banners of 300x250, so that about as many fit an impression."""
    if kind is Format.BANNER:
        return published
    makers: dict[Format, Callable[[int, int], Creative]] = {
        Format.NATIVE: native_creative, Format.VIDEO: video_creative, Format.AUDIO: audio_creative,
    }  # fmt: skip
    make = makers[kind]
    ads = tuple(
        make(each.id, each.advertiser_id) if (each.width, each.height) == (300, 250) else each
        for each in published.creatives
    )
    return msgspec.structs.replace(published, creatives=ads)


def asking_for(body: bytes, kind: Format, *, alike: bool) -> bytes:
    """The request with impressions of one format instead of banners; with two banners of equal sizes where `alike`."""
    if kind is Format.BANNER and not alike:
        return body
    request = json.loads(body)
    if kind is Format.BANNER:
        request["imp"][1]["banner"] = request["imp"][0]["banner"]
        return json.dumps(request).encode()
    for imp in request["imp"]:
        del imp["banner"]
        imp[kind.value] = IMPRESSIONS[kind]
    return json.dumps(request).encode()


def _profile(chance: random.Random, now_s: int) -> list[bytes]:
    """An HGETALL reply: three shops, two segments at each."""
    reply: list[bytes] = []
    for shop in chance.sample(range(1, 51), 3):
        windows = [(shop * 10 + kind, now_s - 100, now_s + 10**6) for kind in range(1, 3)]
        reply += [b"%d" % shop, pack_hot(Facts(), windows, now_s, now_s + 10**7)]
    return reply


def measure(bench: Bench, rounds: int) -> dict[str, float]:
    """Best microseconds a request of each step: other work of the machine only ever adds."""
    for _ in range(max(ROUND_BATCHES, BODIES // bench.batch)):  # every body once: the memos are full from then on
        bench.run()
    bench.match_and_price_s.clear()
    best: dict[str, float] = {}
    for _ in range(rounds):
        bench.spent = {}
        for _ in range(ROUND_BATCHES):
            bench.run()
        for name, seconds in bench.spent.items():
            cost = seconds / ROUND_BATCHES / bench.batch * 1e6
            best[name] = min(best.get(name, cost), cost)
    return best


def count_instructions(arguments: list[str]) -> Callable[[int], int]:
    """Instructions of a whole run of so many iterations, by callgrind."""

    def run(iterations: int) -> int:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m",
                   "tests.bench.pipeline_steps", *arguments, "--iterations", str(iterations)]  # fmt: skip
        seeded = {
            **os.environ,
            "PYTHONHASHSEED": "0",
        }  # where a key lies in a dictionary moves the count by some percent
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=seeded).stderr
        found = re.search(r"Collected : (\d+)", printed)
        if found is None:
            raise ValueError("callgrind has printed no count")
        return int(found[1])

    return run


def main() -> None:
    """Print the table, or only iterate for callgrind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--line-items", type=int, default=1_000)
    parser.add_argument("--eligible", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--no-bid", action="store_true")
    parser.add_argument("--journal", action="store_true", help="with every bid written to the journal")
    parser.add_argument("--first-price", action="store_true", help="auctions at first price, where bids are shaded")
    parser.add_argument("--format", type=Format, default=Format.BANNER, help="of all impressions and ads")
    parser.add_argument(
        "--alike",
        action="store_true",
        help="two banners of equal sizes, of which one line item wins both first",
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--iterations", type=int, default=0, help="run so many batches and print nothing")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--percentiles", action="store_true", help="of matching and pricing, a batch")
    given = parser.parse_args()
    if given.instructions:
        run = count_instructions([argument for argument in sys.argv[1:] if argument != "--instructions"])
        few, many = COUNTED
        print(f"{(run(many) - run(few)) / (many - few) / given.batch:,.0f} instructions a request")
        return
    folder = Path(tempfile.mkdtemp(prefix="grosz-journal-")) if given.journal else None
    try:
        at = 1 if given.first_price else 2
        bench = Bench(
            given.line_items,
            given.eligible,
            given.batch,
            no_bid=given.no_bid,
            journal=folder,
            at=at,
            kind=given.format,
            alike=given.alike,
        )
        _run(given, bench)
    finally:
        if folder is not None:
            shutil.rmtree(folder)


def _run(given: argparse.Namespace, bench: Bench) -> None:
    """Iterate, or print the table."""
    if given.iterations:
        # Every body once before: parsing its user agent for the first time would outweigh everything else.
        for _ in range(BODIES // given.batch + given.iterations):
            bench.run()
        return
    best = measure(bench, given.rounds)
    if given.percentiles:
        in_order = sorted(bench.match_and_price_s)
        shown = {share: in_order[int(share * (len(in_order) - 1))] * 1e3 for share in (0.5, 0.99, 0.999)}
        print(f"match and price, ms a batch of {given.batch}: "
              + ", ".join(f"p{share * 100:g} {milliseconds:.2f}" for share, milliseconds in shown.items()))  # fmt: skip
    for name, cost in best.items():
        print(f"{name:<10} {cost:7.1f} us a request")
    print(f"{'sum':<10} {sum(best.values()):7.1f}")


if __name__ == "__main__":
    main()
