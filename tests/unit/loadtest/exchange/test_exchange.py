import asyncio
import math
import random
from collections.abc import Sequence
from functools import partial

import orjson
import pytest

from core.clock import ManualClock
from loadtest.exchange.exchange import ExchangeProcess, shape_of
from loadtest.measure.series import Series
from loadtest.measure.tally import LATENCY, SERVICE
from loadtest.traffic.arrival import arrivals
from loadtest.traffic.scenario import ArrivalPlan, NoticePlan, Scenario, TrafficPlan
from tests.kit.fake_bidder import NO_BID, FakeBidder, json_answer, until

PERCENTS = (10.0, 50.0, 90.0, 99.0, 99.9, 100.0)


def scenario(url: str, **changes: object) -> Scenario:
    values = {
        "name": "self-test",
        "url": f"{url}/bid",
        "rate": 100.0,
        "duration_s": 3.0,
        "connections": 1,
        "patience_s": 1_000.0,
        "traffic": TrafficPlan(templates=8, users=50),
        "notices": NoticePlan(send=False),
    } | changes
    return Scenario(**values)  # type: ignore[arg-type]  # the values are those of the test


def schedule(plan: Scenario) -> list[float]:
    """When the only process of the plan sends, seconds from the start."""
    shape = shape_of(plan, plan.rate)
    chunks = arrivals(shape, plan.duration_s, poisson=plan.arrival.poisson, seed=plan.seed * 1_000)
    return [time for chunk in chunks for time in chunk]


def latencies_behind_one_connection(due: Sequence[float], delays: Sequence[float]) -> list[float]:
    """Exact: each request starts when it is due or when the one before is done, and takes its delay."""
    free, found = 0.0, []
    for moment, delay in zip(due, delays, strict=True):
        free = max(free, moment) + delay
        found.append(free - moment)
    return found


def exact_percentile(values: Sequence[float], percent: float) -> float:
    return sorted(values)[max(1, math.ceil(percent / 100 * len(values) - 1e-9)) - 1]


async def measure(plan: Scenario, bidder: FakeBidder, clock: ManualClock, due: Sequence[float]) -> Series:
    """Run a plan in manual time: it moves to the next send when nothing is on its way, and in the bidder's delays."""
    series = Series()
    process = ExchangeProcess(plan, 0, series.add, monotonic=clock.monotonic, now_ms=clock.now_ms)
    await process.connect()
    stop = asyncio.Event()
    run = asyncio.create_task(process.run(clock.monotonic(), stop))

    def is_done(requests: int) -> bool:
        return len(bidder.heads) >= requests and process.open_requests == 0

    for number, moment in enumerate(due):
        clock.advance(max(0.0, moment + 1e-9 - clock.monotonic()))
        await until(partial(is_done, number + 1))
    stop.set()
    await run
    return series


@pytest.mark.parametrize("stall_s", [0.0, 2.0], ids=["steady", "with a stall"])
async def test_percentiles_are_those_of_an_exact_computation(stall_s: float) -> None:
    chance, clock = random.Random(11), ManualClock()
    async with FakeBidder() as bidder:
        plan = scenario(bidder.url)
        due = schedule(plan)
        delays = [chance.expovariate(1 / 0.004) for _ in due]
        delays[len(due) // 3] += stall_s
        pending = iter(delays)

        def answer_after_its_delay(body: bytes) -> bytes:
            clock.advance(next(pending))
            return NO_BID

        bidder.reply = answer_after_its_delay
        series = await measure(plan, bidder, clock, due)
    exact = latencies_behind_one_connection(due, delays)
    total = series.total
    assert total.counts["offered"] == total.counts["answered"] == len(due)
    for percent in PERCENTS:
        expected = exact_percentile(exact, percent)
        assert expected - 2e-6 <= total.histograms[LATENCY].percentile(percent) <= expected * 1.01 + 2e-6
        service = exact_percentile(delays, percent)
        assert service - 2e-6 <= total.histograms[SERVICE].percentile(percent) <= service * 1.01 + 2e-6


class OneByOne:
    """A bidder that answers requests in their order, one at a time, each after a delay; in manual time."""

    def __init__(self, bidder: FakeBidder, delays: Sequence[float]) -> None:
        self.bidder = bidder
        self.delays = delays
        self.answered = 0
        self.free_at = 0.0
        self.next_at = math.inf

    def answer(self) -> None:
        """The time has come: answer, and begin with the next request that is there."""
        self.bidder.held.popleft().write(NO_BID)
        self.answered += 1
        self.free_at, self.next_at = self.next_at, math.inf

    def look(self, now: float) -> None:
        """Begin with a request if there is one and nothing else to do."""
        if self.bidder.held and self.next_at == math.inf:
            self.next_at = max(now, self.free_at) + self.delays[self.answered]


def latencies_behind(
    connections: int, due: Sequence[float], delays: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Exact, of a bidder that answers one by one: from when each request is due, and from when it is sent, which is
    once a connection is free."""
    ends: list[float] = []
    from_due, from_sent = [], []
    for number, (moment, delay) in enumerate(zip(due, delays, strict=True)):
        sent = max(moment, ends[number - connections]) if number >= connections else moment
        ends.append(max(sent, ends[-1] if ends else 0.0) + delay)
        from_due.append(ends[-1] - moment)
        from_sent.append(ends[-1] - sent)
    return from_due, from_sent


@pytest.mark.parametrize("connections", [1, 3, 40])
async def test_percentiles_are_exact_with_any_number_of_connections_and_stalls(connections: int) -> None:
    chance, clock = random.Random(12), ManualClock()
    async with FakeBidder(lambda _: b"") as bidder:
        plan = scenario(bidder.url, connections=connections)
        due = schedule(plan)
        delays = [chance.expovariate(1 / 0.006) for _ in due]
        for place, stall_s in ((0.2, 0.5), (0.6, 0.9)):
            delays[int(place * len(due))] += stall_s
        server = OneByOne(bidder, delays)
        series = Series()
        process = ExchangeProcess(plan, 0, series.add, monotonic=clock.monotonic, now_ms=clock.now_ms)
        await process.connect()
        stop = asyncio.Event()
        run = asyncio.create_task(process.run(0.0, stop))
        asked = 0
        while server.answered < len(due):
            moment = due[asked] + 1e-9 if asked < len(due) else math.inf
            clock.advance(max(0.0, min(moment, server.next_at) - clock.monotonic()))
            if server.next_at <= moment:
                server.answer()
            else:
                asked += 1
            sent = min(asked, server.answered + connections)
            await until(partial(is_reached, process, bidder, asked - server.answered, sent))
            server.look(clock.monotonic())
        stop.set()
        await run
    exact, service = latencies_behind(connections, due, delays)
    for percent in PERCENTS:
        for name, values in ((LATENCY, exact), (SERVICE, service)):
            expected = exact_percentile(values, percent)
            assert expected - 2e-6 <= series.total.histograms[name].percentile(percent) <= expected * 1.01 + 2e-6


def is_reached(process: ExchangeProcess, bidder: FakeBidder, open_requests: int, sent: int) -> bool:
    return process.open_requests == open_requests and len(bidder.heads) == sent


async def test_a_stall_shows_in_the_latency_of_every_request_that_it_delayed() -> None:
    clock = ManualClock()
    async with FakeBidder() as bidder:
        plan = scenario(bidder.url, arrival=ArrivalPlan(poisson=False))
        due = schedule(plan)

        def stall_once(body: bytes) -> bytes:
            clock.advance(1.0 if len(bidder.heads) == 100 else 0.0001)
            return NO_BID

        bidder.reply = stall_once
        series = await measure(plan, bidder, clock, due)
    # 100 requests a second were due during the second in which nothing was answered
    assert series.total.histograms[LATENCY].share_above(0.05) == pytest.approx(96 / len(due), abs=2 / len(due))
    assert series.total.counts["blocked_sends"] >= 95


async def test_requests_that_never_got_a_connection_are_reported_with_the_time_they_waited() -> None:
    clock = ManualClock()
    async with FakeBidder(lambda _: b"") as silent:
        plan = scenario(silent.url, patience_s=0.2, arrival=ArrivalPlan(poisson=False), rate=10.0, duration_s=1.0)
        series = Series()
        process = ExchangeProcess(plan, 0, series.add, monotonic=clock.monotonic, now_ms=clock.now_ms)
        await process.connect()
        stop = asyncio.Event()
        run = asyncio.create_task(process.run(clock.monotonic(), stop))
        await asyncio.sleep(0)
        while not run.done():
            clock.advance(0.01)
            await asyncio.sleep(0.002)
            if clock.monotonic() > 1.0:
                stop.set()
        await run
    counts = series.total.counts
    assert counts["offered"] == 10
    assert counts["answered"] == 0
    assert counts["unanswered"] + counts["unsent"] == 10
    assert series.total.histograms[LATENCY].total == 10
    assert series.total.histograms[LATENCY].percentile(10) >= 0.19


def bid_answer(body: bytes) -> bytes:
    """A good answer to a made banner request: the first size, a zloty above the floor."""
    request = orjson.loads(body)
    imp = request["imp"][0]
    if "banner" not in imp:
        return NO_BID
    size = imp["banner"]["format"][0]
    bid = {
        "id": "1", "impid": imp["id"], "price": round(imp["bidfloor"] + 1, 2), "adm": "<b>ad</b>", "crid": "1-1",
        "cid": "7", "tactic": "70", "w": size["w"], "h": size["h"], "mtype": 1, "adomain": ["sklep.example"],
    }  # fmt: skip
    return json_answer(orjson.dumps({"id": request["id"], "cur": "PLN", "seatbid": [{"seat": "grosz", "bid": [bid]}]}))


async def test_bids_are_checked_and_sold_and_a_planted_fault_is_found_with_its_request() -> None:
    clock = ManualClock()

    def wrong_every_tenth(body: bytes) -> bytes:
        answer = bid_answer(body)
        return answer.replace(b'"PLN"', b'"CHF"') if len(bidder.heads) % 10 == 0 else answer

    async with FakeBidder(wrong_every_tenth) as bidder:
        plan = scenario(
            bidder.url, traffic=TrafficPlan(templates=40, users=50, native_share=0, video_share=0, deal_share=0)
        )
        series = await measure(plan, bidder, clock, schedule(plan))
    total = series.total
    assert total.violations["currency"] == total.counts["offered"] // 10
    assert set(total.violations) == {"currency"}
    assert (
        total.counts["bids"]
        == total.counts["won"] + total.counts["lost"]
        == total.counts["offered"] - total.violations["currency"]
    )
    assert total.counts["won"] > 0 < total.counts["lost"]
    assert orjson.loads(total.examples[0].request)["cur"] == ["PLN"]
    assert orjson.loads(total.examples[0].answer)["cur"] == "CHF"


async def test_errors_of_the_server_are_violations() -> None:
    clock = ManualClock()
    async with FakeBidder(lambda _: json_answer(b"", 500 if len(bidder.heads) % 2 else 400)) as bidder:
        plan = scenario(bidder.url, duration_s=0.5)
        series = await measure(plan, bidder, clock, schedule(plan))
    offered = series.total.counts["offered"]
    assert series.total.violations == {"server-error": (offered + 1) // 2, "refused-request": offered // 2}


async def test_no_auction_has_the_id_of_another_run_or_process() -> None:
    ids: list[str] = []

    def note_the_id(body: bytes) -> bytes:
        ids.append(orjson.loads(body)["id"])
        return NO_BID

    async with FakeBidder(note_the_id) as bidder:
        plan = scenario(bidder.url, duration_s=0.1)
        for moment in (1_790_000_000_000, 1_790_000_000_001):
            for index in range(2):
                clock = ManualClock(moment)
                process = ExchangeProcess(plan, index, Series().add, monotonic=clock.monotonic, now_ms=clock.now_ms)
                await process.connect()
                run = asyncio.create_task(process.run(clock.monotonic() - 0.2, asyncio.Event()))
                await run
    assert len(ids) == len(set(ids)) > 20
    assert {len(name) for name in ids} == {20}


async def test_a_204_with_a_body_is_a_violation() -> None:
    clock = ManualClock()
    async with FakeBidder(lambda _: b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}") as bidder:
        plan = scenario(bidder.url, duration_s=0.2)
        series = await measure(plan, bidder, clock, schedule(plan))
    assert series.total.violations == {"204-with-body": series.total.counts["offered"]}


async def test_an_answer_that_nobody_asked_for_is_a_violation() -> None:
    clock = ManualClock()
    async with FakeBidder(lambda _: NO_BID * (2 if len(bidder.heads) == 3 else 1)) as bidder:
        plan = scenario(bidder.url, duration_s=0.2)
        series = await measure(plan, bidder, clock, schedule(plan))
    assert series.total.violations == {"unsolicited-answer": 1}
