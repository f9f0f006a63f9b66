"""Which requests are recorded: a fair sample that keeps whole persons, everything of what is watched, and no tests."""

import random
from pathlib import Path
from typing import Any

import pytest

from bidder.decision.bids_out import BidsOut
from bidder.decision.noting import BidNotes
from bidder.decision.pipeline import look_up, respond
from bidder.decision.recorded import CAPPED, HELD, LACKING, unpack_bids, unpack_conditions
from bidder.decision.recording import LEVELS, AuctionRecorder
from core.clock import ManualClock
from core.ids import UserId, new_user_id
from core.model import FrequencyCap
from core.telemetry.metrics import Telemetry
from journal.people import Pseudonyms
from journal.rows import REQUEST
from journal.segment import Codec
from journal.writing import JournalWriter
from segments.profiles.recording import unpack_profile
from tests.kit.bidding import NOW_MS, Shopper, ShopState, TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

USER = "u" * 22


class Recording:
    """A bidder that records; `a_second` as in the settings."""

    def __init__(self, bidder: TestBidder, folder: Path, a_second: int, **watched: Any) -> None:  # noqa: ANN401
        self.bidder, self.folder = bidder, folder
        self.writer = JournalWriter(folder, "p1", ManualClock(NOW_MS), Telemetry(), max_bytes=2**30)
        people = Pseudonyms(b"k" * 32)
        self.recorder = AuctionRecorder(self.writer, people, random.Random(1), a_second=a_second, **watched)
        self.recorder.adjust(1.0)  # no traffic yet: everything is recorded
        self.notes = BidNotes(self.writer, people, lambda: NOW_MS, self.recorder)

    async def bid(self, *raws: dict[str, object], unsent: set[int] | None = None) -> dict[int, bytes]:
        """Decide requests as the door does."""
        auctions = [self.bidder.screened(raw) for raw in raws]
        unwanted = [auction for auction in auctions if auction.no_bid is not None]
        wanted = [auction for auction in auctions if auction.no_bid is None]
        if unwanted:
            self.notes.unwanted([(auction, None) for auction in unwanted], self.bidder.snapshot)
        if not wanted:
            return {}
        profiles = await look_up(wanted, self.bidder.profiles, NOW_MS, 1e9)
        answers = respond(wanted, profiles, self.bidder.snapshot, self.bidder.signer, NOW_MS, self.notes)
        self.notes.sent(unsent or ())
        return answers

    def rows(self) -> list[dict[str, Any]]:
        self.writer.flush()
        return [
            dict(zip(frame.columns, row, strict=True))
            for path in sorted(self.folder.iterdir())
            for frame in Codec().frames(path.read_bytes())
            if frame.kind == REQUEST.name
            for row in frame.rows
        ]


def of_user(user_id: str, **changes: object) -> dict[str, object]:
    return raw_request(user={"buyeruid": user_id}, regs={"gdpr": 0}, **changes)


def a_bidder(**members: Any) -> TestBidder:  # noqa: ANN401 - members of a line item
    shopper = Shopper(segments=(7,), shops={1: ShopState(visits=3.0)}, shown=((1, NOW_MS // 1000 - 60),))
    return TestBidder(catalogue(line_item(1, **members), line_item(2, advertiser=2)), shoppers={USER: shopper})


async def test_a_row_has_what_decided_and_what_was_bid(tmp_path: Path) -> None:
    recording = Recording(a_bidder(bid_micros=4_000_000), tmp_path, 1_000)
    (answer,) = (await recording.bid(of_user(USER))).values()
    (row,) = recording.rows()
    assert (row["at_ms"], row["exchange_id"], row["sampled"], row["catalogue"], row["reason"]) == (
        NOW_MS,
        1,
        1.0,
        1,
        "",
    )
    (bid,) = unpack_bids(row["bids"])
    assert bid.line_item_id == 1
    assert f'"price":{bid.bid_cpm / 1e6:g}'.encode() in answer.replace(b".00", b"").replace(b".0,", b",")
    assert list(memoryview(row["line_items"]).cast("I")) == [1]
    conditions = unpack_conditions(row["conditions"])
    assert sorted(conditions.table["line_item"].tolist()) == [1, 2]
    assert set(conditions.table["state"].tolist()) == {0}
    profile = unpack_profile(row["profile"])
    assert profile.is_known
    assert profile.segments == (7).to_bytes(4, "little")
    assert [advertiser for advertiser, _field in profile.shops] == [1]
    assert USER.encode() not in row["profile"] + row["request"]
    assert row["person"] == Pseudonyms(b"k" * 32).of(USER, NOW_MS)


async def test_what_money_held_back_is_told(tmp_path: Path) -> None:
    bidder = a_bidder()
    recording = Recording(bidder, tmp_path, 1_000)
    at = bidder.book.position(1)
    assert at is not None
    bidder.book.remaining[at] = 0
    await recording.bid(of_user(USER))  # priced: the lease is asked for
    bidder.book.refused_until_ms[at] = NOW_MS + 1
    bidder.refresh()
    await recording.bid(of_user(USER))
    first, second = (unpack_conditions(row["conditions"]).table for row in recording.rows())
    assert {int(row["line_item"]): int(row["state"]) for row in first} == {1: LACKING, 2: 0}
    assert {int(row["line_item"]): int(row["state"]) for row in second} == {1: HELD, 2: 0}


async def test_held_back_alone_is_told_of_requests_that_nobody_wants(tmp_path: Path) -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    bidder.book.multiplier[:] = 0.0
    bidder.refresh()
    recording = Recording(bidder, tmp_path, 1_000)
    await recording.bid(of_user(USER))
    (row,) = recording.rows()
    assert row["reason"] == "paced_out"
    assert unpack_conditions(row["conditions"]).table["state"].tolist() == [HELD]


async def test_half_of_the_users_are_recorded_whole_when_half_of_the_traffic_is(tmp_path: Path) -> None:
    recording = Recording(a_bidder(), tmp_path, 100)
    for _ in range(60):
        recording.recorder._seen = 200
        recording.recorder.adjust(1.0)
    assert recording.recorder.rate == 0.5
    users = [new_user_id() for _ in range(400)]
    for _ in range(3):
        await recording.bid(*(of_user(user) for user in users[:64]))
    persons: dict[int, int] = {}
    for row in recording.rows():
        assert row["sampled"] == 0.5
        persons[row["person"]] = persons.get(row["person"], 0) + 1
    assert set(persons.values()) == {3}, "a person is recorded always or never"
    assert 15 < len(persons) < 49


async def test_requests_without_a_user_are_each_recorded_with_the_same_chance(tmp_path: Path) -> None:
    recording = Recording(a_bidder(), tmp_path, 100)
    recording.recorder._seen = 400
    recording.recorder.adjust(1.0)
    assert recording.recorder.rate == 0.25
    for _ in range(50):
        await recording.bid(*[raw_request(user=None, regs={"gdpr": 0})] * 20)
    assert 190 < len(recording.rows()) < 310


def test_who_is_in_a_smaller_sample_is_in_every_larger_one(tmp_path: Path) -> None:
    recording = Recording(a_bidder(), tmp_path, 1)
    users = [new_user_id() for _ in range(5_000)]
    kept: set[UserId] = set()
    for power in range(12, -1, -1):
        recording.recorder._set_rate(2.0**-power)
        now = {users[number] for number in recording.recorder._picked(users)}
        assert kept <= now
        assert len(now) == pytest.approx(5_000 * 2.0**-power, abs=4 * (5_000 * 2.0**-power) ** 0.5)
        kept = now
    assert kept == set(users)
    assert LEVELS == 4_096


async def test_tests_and_what_was_withheld_are_not_recorded(tmp_path: Path) -> None:
    recording = Recording(a_bidder(), tmp_path, 1_000)
    await recording.bid(of_user(USER, test=1))
    assert recording.rows() == []
    await recording.bid(of_user(USER), unsent={0})
    assert recording.rows() == []


@pytest.mark.parametrize("watched", [{"watched_exchanges": ("demo",)}, {"watched_line_items": (1,)}])
async def test_what_is_watched_is_recorded_whole(tmp_path: Path, watched: dict[str, Any]) -> None:
    recording = Recording(a_bidder(), tmp_path, 0, **watched)
    await recording.bid(*[of_user(new_user_id()) for _ in range(5)])
    assert [row["sampled"] for row in recording.rows()] == [1.0] * 5
    await recording.bid(of_user(USER, imp=[{"id": "1", "banner": {"w": 1, "h": 1}}]))
    assert len(recording.rows()) == (6 if "watched_exchanges" in watched else 5)


async def test_nothing_is_recorded_where_nothing_is_to_be(tmp_path: Path) -> None:
    recording = Recording(a_bidder(), tmp_path, 0)
    await recording.bid(of_user(USER), raw_request(user=None))
    assert list(tmp_path.iterdir()) == [] or recording.rows() == []


async def test_what_another_bid_of_the_moment_caps_is_told(tmp_path: Path) -> None:
    bidder = a_bidder(bid_micros=9_000_000, caps=(FrequencyCap(impressions=2, window_s=3600),))
    bidder.snapshot.out = BidsOut()
    recording = Recording(bidder, tmp_path, 1_000)
    answers = await recording.bid(of_user(USER), of_user(USER))
    assert len(answers) == 2
    first, second = (unpack_conditions(row["conditions"]).table for row in recording.rows())
    assert {int(row["line_item"]): int(row["state"]) for row in first}[1] == 0
    assert {int(row["line_item"]): int(row["state"]) for row in second}[1] == CAPPED
