"""Large requests take turns of the event loop with everybody else."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from bidder.door.large import MAX_WAITING, LargeRequests
from bidder.door.port import STRANGER
from bidder.request.auction import Auction
from bidder.request.bounds import MAX_PLACES
from tests.kit.bid_port import until
from tests.kit.bidding import bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import auction_of, body_of, raw_request
from tests.unit.bidder.door.test_handler import Desk


class Queue:
    """Large requests of so many steps each; `done` has the ids of those that are ready, in their order."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.late: set[str] = set()
        self.done: list[str] = []
        self.large = LargeRequests(
            self._prepare,
            lambda waiting: self.done.append(waiting[0].request.id),
            lambda auction: auction.request.id in self.late,
        )

    def _prepare(self, _auction: Auction) -> Iterator[None]:
        yield from [None] * self.steps

    def add(self, name: str) -> None:
        self.large.add((auction_of(id=name), lambda _status, _body: None))


async def test_each_step_leaves_a_turn_to_others() -> None:
    desk, turns = Queue(steps=40), 0
    desk.add("a")
    while not desk.done:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 40
    assert desk.large.steps == 40


async def test_they_are_ready_in_their_order() -> None:
    desk = Queue(steps=3)
    for name in "abc":
        desk.add(name)
    await desk.large.drain()
    assert desk.done == ["a", "b", "c"]
    desk.add("d")
    await desk.large.drain()
    assert desk.done[-1] == "d"


async def test_what_is_late_is_handed_on_at_once() -> None:
    desk = Queue(steps=1_000)
    desk.late = {"a"}
    desk.add("a")
    await desk.large.drain()
    assert (desk.done, desk.large.steps) == (["a"], 1)


async def test_only_so_many_wait() -> None:
    desk = Queue(steps=1)
    for number in range(MAX_WAITING):
        assert not desk.large.is_full
        desk.add(str(number))
    assert desk.large.is_full
    await desk.large.drain()
    assert not desk.large.is_full


def large_body(number: int = 500, **members: object) -> bytes:
    imps = [{"id": str(at), "banner": {"w": 300, "h": 250}} for at in range(number)]
    return body_of(raw_request(id="large", imp=imps, regs={"gdpr": 0}, **members))


async def test_a_large_request_lets_others_go_first() -> None:
    desk, order = Desk(), list[str]()
    blocked = [f"other{at}.example" for at in range(5_000)]
    desk.handler.submit(
        "demo", large_body(badv=blocked), 0.0, lambda *_reply: order.append("large"), STRANGER
    )  # fmt: skip
    desk.handler.submit(
        "demo", body_of(raw_request(regs={"gdpr": 0})), 0.0, lambda *_reply: order.append("small"), STRANGER
    )  # fmt: skip
    await until(lambda: len(order) == 2)
    assert order == ["small", "large"]


async def test_impressions_beyond_what_fits_are_left_out_and_counted() -> None:
    line = line_item(1, several_per_request=True)
    desk = Desk(configured=catalogue(line))
    desk.submit(large_body())
    assert await desk.statuses() == [200]
    bids = bids_of(json.loads(desk.replies[0][0][1]))
    assert [bid["impid"] for bid in bids] == [str(at) for at in range(MAX_PLACES)]
    assert desk.count("grosz_bid_left_out_total") == 500 - MAX_PLACES


async def test_a_large_request_has_its_reason_too() -> None:
    desk = Desk()
    desk.submit(large_body(badv=["shop1.example"]))
    desk.submit(large_body(), late_s=1.0)
    for _ in range(MAX_WAITING):
        desk.submit(large_body())
    statuses = await desk.statuses()
    assert statuses[:2] == [204, 204]
    assert statuses[-1] == 204, "more would wait than may"
    assert desk.count("grosz_no_bids_total") == statuses.count(204)


async def test_a_fault_in_preparing_costs_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("bidder.decision.pipeline.check_request", broken)
    desk = Desk()
    desk.submit(large_body())
    assert await desk.statuses() == [204]
    assert desk.count("grosz_bid_faults_total") == 1
