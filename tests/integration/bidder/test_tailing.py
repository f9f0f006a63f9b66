"""From who watches, over a real Redis, to the bidder and back; the bid path has no tap while nobody does."""

import random
from pathlib import Path

import pytest
from redis.asyncio import Redis

from admin.diagnosis.tailing import TailDesk
from bidder.decision.recording import AuctionRecorder
from bidder.decision.tailing import AuctionTap, Watching
from bidder.door.tail import MAX_WATCHES, WATCH_S, TailSender
from core import keys
from core.clock import ManualClock, SystemClock
from core.errors import ConflictError
from core.redis.client import PipelinedRedis
from core.telemetry.metrics import Telemetry
from journal.people import Pseudonyms
from journal.writing import JournalWriter
from segments.profiles.store import ProfileStore
from tests.kit.bidding import NOW_MS, TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request


def tap_of(recorder: AuctionRecorder) -> AuctionTap | None:
    """What the bid path sees now."""
    return recorder.tap


async def test_a_watch_begins_shows_and_ends(tmp_path: Path, valkey: str) -> None:
    clock = ManualClock(NOW_MS)
    pipelined, plain = await PipelinedRedis.open(valkey, clock=SystemClock()), Redis.from_url(valkey)
    writer = JournalWriter(tmp_path, "p1", clock, Telemetry(), max_bytes=2**30)
    recorder = AuctionRecorder(writer, Pseudonyms(b"k" * 32), random.Random(1), a_second=0)
    sender, desk = TailSender(recorder, plain, clock), TailDesk(ProfileStore(pipelined, SystemClock()), clock)
    try:
        await sender.poll()
        assert tap_of(recorder) is None
        watching = Watching(no_bids=True)
        begun = await desk.take("user:1", watching, "")
        assert begun.auctions == []
        await sender.poll()
        nobody = TestBidder(catalogue(line_item(1))).screened(
            raw_request(imp=[{"id": "1", "banner": {"w": 1, "h": 1}}])
        )
        tap = tap_of(recorder)
        assert tap is not None
        tap.silent(nobody, NOW_MS)
        await sender.send()
        page = await desk.take("user:1", watching, begun.next)
        assert [one.reason for one in page.auctions] == ["not_targeted"]
        assert (await desk.take("user:1", watching, page.next)).auctions == []
        assert (await desk.take("user:2", Watching(), begun.next)).auctions == []
        assert await plain.ttl(keys.TAIL_AUCTIONS) > 0
        clock.advance(WATCH_S + 1)
        await sender.poll()
        assert tap_of(recorder) is None
    finally:
        await pipelined.close()
        await plain.aclose()


async def test_only_so_many_watch_at_once(valkey: str) -> None:
    clock = ManualClock(NOW_MS)
    pipelined = await PipelinedRedis.open(valkey, clock=SystemClock())
    desk = TailDesk(ProfileStore(pipelined, SystemClock()), clock)
    try:
        for number in range(MAX_WATCHES):
            await desk.take(f"user:{number}", Watching(), "")
        await desk.take("user:1", Watching(), "0-0")
        with pytest.raises(ConflictError):
            await desk.take("another", Watching(), "")
        clock.advance(WATCH_S + 1)
        await desk.take("another", Watching(), "")
    finally:
        await pipelined.close()
