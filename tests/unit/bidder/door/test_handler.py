"""Every request gets exactly one answer, on every way through."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

import bidder.door.batching
from bidder.decision.pipeline import screen
from bidder.decision.snapshot import Snapshot
from bidder.door.batching import ENOUGH, MAX_BATCH
from bidder.door.handler import BidderHandler
from bidder.door.load import BUSY_TURN
from bidder.door.metrics import BidMetrics
from bidder.door.port import STRANGER, Sender
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy
from core.clock import ManualClock
from core.model import Catalogue, NoBidStyle
from core.telemetry.metrics import Telemetry
from segments.profiles.reading import ProfileBatch, ProfileReader, UserLookup
from tests.kit.bid_port import until
from tests.kit.bidding import KnownProfiles, TestBidder, bids_of, profile_batch
from tests.kit.catalogues import EXCHANGE, catalogue, line_item
from tests.kit.openrtb import body_of, corpus_lines, raw_request


class HeldProfiles(ProfileReader):
    """Answers when told to; meanwhile time passes."""

    __slots__ = ("asked", "go")

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        self.asked += len(users)
        await self.go.wait()
        return profile_batch([None] * len(users))


class CountingProfiles(HeldProfiles):
    """Remembers the size of each batch."""

    __slots__ = ("batches", "second")

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.second = asyncio.Event()

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        self.batches.append(len(users))
        if len(self.batches) == 2:
            self.second.set()
        return await super().fetch(users, now_ms, deadline)


class BrokenProfiles(ProfileReader):
    """Has a fault of its own."""

    __slots__ = ()

    def __init__(self) -> None:
        return

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        raise ZeroDivisionError("a fault of ours")


class Desk:
    """A handler with everything it needs; `replies` has all answers by request."""

    def __init__(self, *, profiles: ProfileReader | None = None, configured: Catalogue | None = None) -> None:
        self.bidder = TestBidder(configured or catalogue(line_item(1)))
        self.clock: ManualClock = self.bidder.clock
        self.telemetry = Telemetry()
        self.is_fresh = True
        self.replies: dict[int, list[tuple[int, bytes]]] = {}
        self.handler = BidderHandler(
            profiles=profiles or KnownProfiles(),
            signer=self.bidder.signer,
            policy=self.bidder.policy,
            clock=self.clock,
            metrics=BidMetrics(self.telemetry),
            tmax_cap_ms=100,
            fresh=lambda: self.is_fresh,
        )
        self.handler.install(self.bidder.snapshot)

    def submit(
        self, body: bytes | None = None, *, exchange: str = "demo", authorization: bytes = b"", late_s: float = 0.0
    ) -> int:
        number = len(self.replies)
        self.replies[number] = []
        raw = body if body is not None else body_of(raw_request(id=f"r{number}", regs={"gdpr": 0}))
        self.handler.submit(
            exchange,
            raw,
            self.clock.monotonic() - late_s,
            lambda *reply: self.replies[number].append(reply),
            Sender(authorization),
        )
        return number

    async def statuses(self) -> list[int]:
        """The status of each request's only answer, in the order of submission."""
        await self.handler.drain()
        assert all(len(replies) == 1 for replies in self.replies.values())
        return [replies[0][0] for replies in self.replies.values()]

    def count(self, family: str) -> float:
        return sum(sample.value for each in self.telemetry.families() if each.name == family for sample in each.samples)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are held for longer than any machine is busy: by the event loop's clock, which goes on while a test waits
    for the processor."""
    monkeypatch.setattr(bidder.door.batching, "HOLD_S", 60.0)


async def desk_with_a_look_up() -> tuple[Desk, CountingProfiles]:
    """A desk whose first request has its look-up under way, until `go` is set."""
    profiles = CountingProfiles()
    desk = Desk(profiles=profiles)
    desk.submit()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return desk, profiles


SHORT = body_of(raw_request(id="short", tmax=EXCHANGE.network_margin_ms + 3, regs={"gdpr": 0}))
"""Has 3 ms for us: enough to begin with, not enough after a while of being held."""


def with_exchange(**members: object) -> Catalogue:
    return catalogue(line_item(1), exchanges=(msgspec.structs.replace(EXCHANGE, **members),))


async def test_a_wanted_request_is_answered_with_a_bid() -> None:
    desk = Desk()
    desk.submit()
    assert desk.replies[0] == [], "the batch leaves at the end of the turn"
    assert await desk.statuses() == [200]
    assert json.loads(desk.replies[0][0][1])["id"] == "r0"


async def test_without_a_snapshot_there_is_no_bid() -> None:
    desk = Desk()
    desk.is_fresh = False
    desk.submit()
    bare = BidderHandler(
        profiles=KnownProfiles(),
        signer=desk.bidder.signer,
        policy=desk.bidder.policy,
        clock=desk.clock,
        metrics=BidMetrics(Telemetry()),
        tmax_cap_ms=100,
        fresh=lambda: True,
    )
    answers: list[tuple[int, bytes]] = []
    bare.submit("demo", b"{}", 0.0, lambda *reply: answers.append(reply), STRANGER)
    assert answers == [(204, b"")]
    assert await desk.statuses() == [204]


async def test_unknown_exchanges_and_wrong_tokens_are_refused() -> None:
    desk = Desk(configured=with_exchange(bearer_token="secret"))
    desk.submit(exchange="nobody")
    desk.submit()
    desk.submit(authorization=b"Bearer wrong")
    desk.submit(authorization=b"Bearer secret")
    assert await desk.statuses() == [404, 401, 401, 200]


async def test_what_is_not_a_request_is_malformed_and_does_not_disturb_its_batch() -> None:
    desk = Desk()
    for body in (b"", b"{", b"[]", b"{}", b"\xff", b"null", b'{"id":"1","imp":[]}'):
        desk.submit(body)
    desk.submit()
    assert await desk.statuses() == [400] * 7 + [200]
    assert desk.count("grosz_malformed_requests_total") == 7


async def test_invalid_bodies_are_answered_as_the_corpus_says(corpus: Path) -> None:
    desk = Desk()
    expected: list[set[int]] = []
    for line in corpus_lines(corpus / "invalid.jsonl"):
        desk.submit(line["body"].encode("utf-8", "surrogatepass"))
        expected.append({400} if line["severity"] == "hard" else {200, 204})
    statuses = await desk.statuses()
    assert all(status in allowed for status, allowed in zip(statuses, expected, strict=True))


async def test_a_fault_while_pricing_is_a_no_bid_for_the_batch() -> None:
    desk = Desk(profiles=BrokenProfiles())
    desk.submit()
    desk.submit()
    assert await desk.statuses() == [204, 204]
    assert desk.count("grosz_bid_faults_total") == 1


async def test_a_fault_while_screening_costs_its_own_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    def stumbling(auction: Auction, snapshot: Snapshot, policy: ConsentPolicy) -> bool:
        if auction.request.id == "r1":
            raise KeyError("a fault of ours")
        return screen(auction, snapshot, policy)

    monkeypatch.setattr("bidder.door.handler.screen", stumbling)
    for _ in range(3):
        desk.submit()
    assert await desk.statuses() == [200, 204, 200]
    assert desk.count("grosz_bid_faults_total") == 1


async def test_an_answer_after_the_deadline_is_not_sent() -> None:
    profiles = HeldProfiles()
    desk = Desk(profiles=profiles)
    desk.submit()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert profiles.asked == 1
    desk.clock.advance(0.2)
    profiles.go.set()
    assert await desk.statuses() == [204]


async def test_a_request_without_time_left_is_not_looked_up() -> None:
    profiles = HeldProfiles()
    desk = Desk(profiles=profiles)
    desk.submit(late_s=0.0795)
    desk.submit(body_of(raw_request(tmax=21, regs={"gdpr": 0})))
    assert await desk.statuses() == [204, 204]
    assert profiles.asked == 0


async def test_requests_that_cannot_be_in_time_are_shed_before_decoding() -> None:
    desk = Desk()
    desk.submit(b"not even JSON", late_s=0.2)
    assert await desk.statuses() == [204]
    assert desk.count("grosz_malformed_requests_total") == 0


async def test_a_crowd_that_waits_is_shed_and_the_handler_recovers() -> None:
    profiles = HeldProfiles()
    desk = Desk(profiles=profiles)
    for _ in range(2_000):
        desk.submit()
    await asyncio.sleep(0)
    shed = sum(replies == [(204, b"")] for replies in desk.replies.values())
    assert 0 < shed < 2_000
    profiles.go.set()
    await desk.handler.drain()
    later = desk.submit()
    assert (await desk.statuses())[later] == 200


async def test_requests_that_waited_unread_through_a_long_turn_are_shed() -> None:
    desk = Desk()
    desk.submit()
    desk.clock.advance(0.1)  # it took so long, while others came that nobody read
    await asyncio.sleep(0)
    unread = desk.submit()
    assert desk.replies[unread] == [(204, b"")]
    await desk.statuses()
    await asyncio.sleep(0)  # the turn ends
    desk.clock.advance(0.09)  # nothing to do: who comes now is read at once
    later = desk.submit()
    assert (await desk.statuses())[later] == 200


async def test_full_batches_leave_at_once_and_all_are_answered() -> None:
    profiles = HeldProfiles()
    desk = Desk(profiles=profiles)
    profiles.go.set()
    for _ in range(3 * MAX_BATCH + 1):
        desk.submit()
    assert await desk.statuses() == [200] * (3 * MAX_BATCH + 1)


@pytest.mark.usefixtures("patient")
async def test_requests_that_come_during_a_look_up_leave_together_after_it() -> None:
    desk, profiles = await desk_with_a_look_up()
    for _ in range(3):
        desk.submit()
        await asyncio.sleep(0)  # each in a turn of its own
    assert profiles.batches == [1]
    profiles.go.set()
    assert await desk.statuses() == [200] * 4
    assert profiles.batches == [1, 3]


UNWANTED = body_of(raw_request(imp=[{"id": "1", "video": {}}]))


@pytest.mark.usefixtures("patient")
async def test_a_busy_process_collects_what_is_wanted_before_it_asks() -> None:
    profiles = CountingProfiles()
    profiles.go.set()
    desk = Desk(profiles=profiles)
    for _ in range(ENOUGH // 2):
        for _ in range(BUSY_TURN):
            desk.submit(UNWANTED)
        desk.submit()
        desk.submit()
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # a turn for the look-up, which could have been made
    assert (await desk.statuses()).count(200) == ENOUGH
    assert profiles.batches == [ENOUGH]


async def test_a_busy_process_that_falls_silent_answers_what_it_has_collected() -> None:
    profiles = CountingProfiles()
    profiles.go.set()
    desk = Desk(profiles=profiles)
    for _ in range(BUSY_TURN):
        desk.submit(UNWANTED)
    number = desk.submit()
    await asyncio.sleep(0)
    assert profiles.batches == []
    await until(lambda: bool(desk.replies[number]))
    assert desk.replies[number][0][0] == 200


async def test_a_look_up_that_hangs_holds_nobody_up() -> None:
    desk, profiles = await desk_with_a_look_up()
    desk.submit()
    await profiles.second.wait()  # the first never ends
    assert profiles.batches == [1, 1]
    profiles.go.set()
    assert await desk.statuses() == [200, 200]


@pytest.mark.usefixtures("patient")
async def test_a_request_that_ran_out_of_time_while_it_was_held_takes_nobody_else_s() -> None:
    desk, profiles = await desk_with_a_look_up()
    desk.submit()
    desk.submit(SHORT)
    await asyncio.sleep(0)
    desk.clock.advance(0.0015)
    profiles.go.set()
    assert await desk.statuses() == [200, 200, 204]
    assert profiles.batches == [1, 1]


@pytest.mark.usefixtures("patient")
async def test_a_batch_that_ran_out_of_time_while_it_was_held_is_answered() -> None:
    desk, profiles = await desk_with_a_look_up()
    desk.submit(SHORT)
    await asyncio.sleep(0)
    desk.clock.advance(0.0015)
    profiles.go.set()
    assert await desk.statuses() == [200, 204]
    later = desk.submit()
    assert (await desk.statuses())[later] == 200


async def test_drain_answers_what_is_pending_and_under_way() -> None:
    profiles = HeldProfiles()
    desk = Desk(profiles=profiles)
    desk.submit()
    await asyncio.sleep(0)
    desk.submit()
    draining = asyncio.create_task(desk.handler.drain())
    await asyncio.sleep(0.01)
    assert not draining.done()
    profiles.go.set()
    await draining
    assert await desk.statuses() == [200, 200]


async def test_batches_finish_although_another_catalogue_is_installed() -> None:
    profiles = HeldProfiles()
    desk = Desk(profiles=profiles)
    desk.submit()
    await asyncio.sleep(0)
    other = TestBidder(catalogue(line_item(2), version=2))
    desk.handler.install(other.snapshot)
    profiles.go.set()
    assert await desk.statuses() == [200]
    assert desk.handler.snapshot is other.snapshot


async def test_exchanges_that_want_a_reason_get_it() -> None:
    desk = Desk(configured=with_exchange(no_bid_style=NoBidStyle.REASON_CODE))
    desk.submit(body_of(raw_request(id="x", imp=[{"id": "1", "banner": {"w": 1, "h": 1}}], regs={"gdpr": 0})))
    desk.submit(late_s=0.0795)
    assert await desk.statuses() == [200, 200]
    assert json.loads(desk.replies[0][0][1]) == {"id": "x", "seatbid": [], "nbr": 0}
    assert json.loads(desk.replies[1][0][1])["nbr"] == 15


async def test_an_older_exchange_hears_no_code_that_its_version_does_not_have() -> None:
    desk = Desk(configured=with_exchange(no_bid_style=NoBidStyle.REASON_CODE, openrtb_version="2.5"))
    desk.submit(late_s=0.0795)
    assert await desk.statuses() == [200]
    assert json.loads(desk.replies[0][0][1])["nbr"] == 0


async def test_tolerated_oddities_are_counted_by_exchange() -> None:
    desk = Desk()
    desk.submit(body_of(raw_request(tmax="80", regs={"gdpr": 0})))
    assert await desk.statuses() == [200]
    assert set(desk.handler.tolerances) == {"demo"}


async def test_a_slow_first_batch_does_not_shed_the_crowd_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    def slow(auction: Auction, snapshot: Snapshot, policy: ConsentPolicy) -> bool:
        desk.clock.advance(0.04)  # an agent parsed for the first time, a core taken away
        return screen(auction, snapshot, policy)

    monkeypatch.setattr("bidder.door.handler.screen", slow)
    desk.submit()
    await desk.statuses()
    monkeypatch.undo()
    for _ in range(2 * MAX_BATCH):
        desk.submit()
    assert (await desk.statuses())[1:] == [200] * (2 * MAX_BATCH)


async def test_a_test_spends_teaches_and_counts_nothing() -> None:
    desk = Desk()
    snapshot, book = desk.bidder.snapshot, desk.bidder.book
    arrays = book.remaining, book.impressions_left, book.scored
    before, hits = [array.copy() for array in arrays], snapshot.live.hits
    desk.submit(body_of(raw_request(test=1, at=1, regs={"gdpr": 0})))
    assert await desk.statuses() == [200]
    ((_status, body),) = desk.replies[0]
    (bid,) = bids_of(json.loads(body))
    assert desk.bidder.claims(bid).is_test
    assert all(np.array_equal(one, other) for one, other in zip(before, arrays, strict=True))
    assert snapshot.live.hits == hits
    assert snapshot.shading.take_sent() == []
    desk.submit()
    assert await desk.statuses() == [200, 200]
    assert (book.remaining < before[0]).any(), "what is no test spends"
    assert snapshot.live.hits > hits


async def test_a_test_and_others_of_one_turn_are_all_answered() -> None:
    desk = Desk()
    for number in range(6):
        desk.submit(body_of(raw_request(id=str(number), test=number % 2, regs={"gdpr": 0})))
    assert await desk.statuses() == [200] * 6
    assert desk.bidder.book.scored.sum() == 3


async def test_who_asks_hears_why_there_is_no_bid() -> None:
    desk = Desk()
    asking = {"ext": {"prebid": {"returnallbidstatus": 1}}, "regs": {"gdpr": 0}}
    imps = [{"id": "1", "banner": {"w": 300, "h": 250}}, {"id": "2", "banner": {"w": 1, "h": 1}}]
    dear = {"id": "3", "banner": {"w": 300, "h": 250}, "bidfloor": "99,50"}
    desk.submit(body_of(raw_request(imp=[*imps, dear], **asking)))
    desk.submit(body_of(raw_request(cur=["XXX"], **asking)))
    assert await desk.statuses() == [200, 200]
    bid, silent = (json.loads(desk.replies[number][0][1]) for number in (0, 1))
    assert len(bids_of(bid)) == 1
    assert [(each["impid"], each["statuscode"]) for each in bid["ext"]["seatnonbid"][0]["nonbid"]] == [
        ("2", 0),
        ("3", 2),
    ]
    assert silent["seatbid"] == []
    assert silent["ext"]["seatnonbid"][0]["nonbid"] == [{"impid": "1", "statuscode": 0}]
