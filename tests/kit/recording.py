"""Random traffic that is decided, recorded, and written as a worker would: for replays and forecasts."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidder.decision.noting import BidNotes
from bidder.decision.pipeline import look_up, respond
from bidder.decision.recording import AuctionRecorder
from bidder.diagnosis.replaying import RecordedRequest, unpack_request
from core.clock import ManualClock
from core.ring import pack_record
from core.telemetry.metrics import Telemetry
from journal.people import Pseudonyms
from journal.rows import REQUEST
from journal.segment import Codec
from journal.writing import JournalWriter
from segments.facts.layout import HEADER, HOT_VERSION, WINDOW
from segments.profiles.reading import ProfileBatch, ProfileReader, UserLookup, decode
from tests.kit.bidding import Shopper, TestBidder


class StoredProfiles(ProfileReader):
    """A profile store with profiles in Redis's bytes; user id -> shopper."""

    __slots__ = ("shoppers",)

    def __init__(self) -> None:
        self.shoppers: dict[str, Shopper | None] = {}

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        batch = ProfileBatch([user[0] for user in users])
        known = [(at, self.shoppers.get(user[0] or "")) for at, user in enumerate(users)]
        asked = [(at, shopper) for at, shopper in known if shopper is not None]
        decode(batch, [at for at, _ in asked], [stored(shopper, now_ms) for _, shopper in asked], now_ms)
        return batch


def stored(shopper: Shopper, now_ms: int) -> list[bytes]:
    """An HGETALL of a shopper's hot profile; all segments are of the first shop that knows them."""
    now_s, reply = now_ms // 1000, list[bytes]()
    if shopper.shown:
        ring = b"".join(pack_record(*shown) for shown in sorted(shopper.shown, key=lambda pair: pair[1]))
        reply += [b"i", ring]
    for number, (advertiser, state) in enumerate(shopper.shops.items()):
        header = np.zeros(1, HEADER)
        header["version"], header["expires_s"], header["stage"] = HOT_VERSION, 2**32 - 1, state.cart_stage
        header["cart_micros"], header["visits"], header["products"] = (
            state.cart_micros, state.visits, state.products_viewed,
        )  # fmt: skip
        for name, age in (
            ("cart_idle_s", state.cart_age_s), ("last_visit_s", state.last_visit_age_s),
            ("last_purchase_s", state.last_purchase_age_s),
        ):  # fmt: skip
            header[name] = int(now_s - age) if np.isfinite(age) else 0
        windows = np.zeros(len(shopper.segments) if number == 0 else 0, WINDOW)
        if len(windows):
            windows["segment"], windows["leave_s"] = sorted(shopper.segments), 2**32 - 1
        header["windows"] = len(windows)
        reply += [b"%d" % advertiser, header.tobytes() + windows.tobytes()]
    return reply


class RecordingBidder:
    """A bidder that records all that it decides into one segment folder."""

    def __init__(self, bidder: TestBidder, folder: Path, seed: int = 1, *, clock: ManualClock | None = None) -> None:
        self.bidder, self.folder, self.profiles = bidder, folder, StoredProfiles()
        self.clock = clock or bidder.clock
        self.writer = JournalWriter(folder, f"p{seed}", self.clock, Telemetry(), max_bytes=2**30)
        people = Pseudonyms(b"k" * 32)
        recorder = AuctionRecorder(self.writer, people, random.Random(seed), a_second=10_000)
        recorder.adjust(1.0)
        self.notes = BidNotes(self.writer, people, self.clock.now_ms, recorder)

    async def decide(self, *raws: dict[str, Any], exchange: str = "demo") -> dict[int, bytes]:
        """The answers to a batch, by the position of the request."""
        now_ms, snapshot = self.clock.now_ms(), self.bidder.snapshot
        auctions = [self.bidder.screened(raw, exchange) for raw in raws]
        unwanted = [auction for auction in auctions if auction.no_bid is not None]
        if unwanted:
            self.notes.unwanted([(auction, None) for auction in unwanted], snapshot)
        numbers = [number for number, auction in enumerate(auctions) if auction.no_bid is None]
        wanted = [auctions[number] for number in numbers]
        if not wanted:
            return {}
        profiles = await look_up(wanted, self.profiles, now_ms, 1e9)
        answers = respond(wanted, profiles, snapshot, self.bidder.signer, now_ms, self.notes)
        self.notes.sent()
        return {numbers[at]: answer for at, answer in answers.items()}

    def recorded(self) -> list[RecordedRequest]:
        """The recorded requests, in the order of the files."""
        self.writer.flush()
        rows = [
            dict(zip(frame.columns, row, strict=True))
            for path in sorted(self.folder.iterdir())
            for frame in Codec().frames(path.read_bytes())
            if frame.kind == REQUEST.name
            for row in frame.rows
        ]
        return [
            unpack_request(
                row["record_id"], row["at_ms"], row["exchange_id"], row["sampled"], row["catalogue"], row["request"],
                row["profile"], row["bids"], row["conditions"], row["reason"], row["person"],
            )
            for row in (dict[str, Any](each) for each in rows)
        ]  # fmt: skip
