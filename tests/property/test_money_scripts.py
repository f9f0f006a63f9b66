"""The Lua scripts against the plain model: any order of anything, the same counters to the micro after each step.

Two drivers: hypothesis, which shrinks what it finds, and seeded storms, which get deep into the protocol fast.
"""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import TypeVar

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core import keys
from core.clock import ManualClock, SystemClock
from core.redis.client import PipelinedRedis
from pacing.budgets.leases import Sealed
from pacing.budgets.levels import broken_invariants
from pacing.budgets.pools import NO_LIMIT, Limit, PoolKey
from pacing.budgets.timing import MS_PER_DAY, Timing
from pacing.budgets.transitions import Calendar, NoticeKind, PoolLimits, Settlement, Transitions, Want
from pacing.ledger.rows import PriceSource, RowHead, RowKind, encode_head
from tests.kit.money_model import POOL_CAMPAIGN, ModelBid, MoneyModel

ADVERTISER = 1
POOLS = (PoolKey(7, 0), PoolKey(7, 1), PoolKey(8, 0))
PROCESSES = ("p1", "p2", "p3")
TIMING = Timing(reservation_ms=60_000, win_hold_ms=120_000)

Result = TypeVar("Result")

# Mostly room to spend: a rule that finds no money tests nothing.
LIMITS = (
    NO_LIMIT, NO_LIMIT, NO_LIMIT, Limit(90_000, -1), Limit(60_000, 500), Limit(8_000, 60), Limit(800, -1), Limit(-1, 9)
)  # fmt: skip
limits = st.sampled_from(LIMITS)
numbers = st.integers(0, 10_000)
fractions = st.none() | st.integers(0, 10)  # of the bid that the notice names as price


class Scripts(RuleBasedStateMachine):
    """Drives both sides; `url` is set by the test."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.direct = redis.Redis.from_url(self.url)
        self.direct.flushall()
        self.clock = ManualClock()
        system = SystemClock()
        self.connection = self.run(PipelinedRedis.open(self.url, clock=system))
        self.scripts = Transitions(self.connection, system, timing=TIMING, time_ms=self.clock.now_ms)
        self.model = MoneyModel(self.clock.now_ms() // MS_PER_DAY, TIMING)
        self.bids: list[ModelBid] = []
        self.local: dict[tuple[str, PoolKey], list[int]] = {}  # lease id, granted and reserved micros and impressions
        self.epoch = "1"

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.connection.close())
        self.direct.close()
        self.loop.close()

    @initialize()
    def begin(self) -> None:
        self.direct.hset(keys.money_meta(ADVERTISER), "rebuilding", self.epoch)
        assert self.run(self.scripts.rebuild(ADVERTISER, self.epoch, 0, "", []))
        self.sync(NO_LIMIT, Limit(10_000, -1), Limit(8_000, 50), Limit(2_000, -1), 0)

    @rule(a=limits, c=limits, line=limits, daily=limits, paused=st.sampled_from((0, 0, 0, 0, 7, 8)))
    def sync(self, a: Limit, c: Limit, line: Limit, daily: Limit, paused: int) -> None:
        budgets = {"a": Limit(a.micros, -1), f"c{POOL_CAMPAIGN}": c, "l7": line, "l8": NO_LIMIT}
        budgets |= {"p7.0": Limit(line.micros * 4 // 5, -1) if line.micros > 0 else NO_LIMIT, "p7.1": NO_LIMIT}
        budgets |= {"p8.0": NO_LIMIT}
        pools = {key: (daily, NO_LIMIT) for key in POOLS if key.line_item_id != paused}
        removed = sorted(self.model.pools.keys() - pools.keys())
        self.model.sync(budgets, pools)
        day = self.model.day
        calendar = Calendar(day, (day + 1000) * MS_PER_DAY, day + 1000, (day + 2000) * MS_PER_DAY, day - 2)
        rows = [PoolLimits(key, POOL_CAMPAIGN, *limit) for key, limit in pools.items()]
        assert self.run(self.scripts.sync(ADVERTISER, self.epoch, calendar, list(budgets.items()), rows, removed))
        assert self.run(self.scripts.known_pools(ADVERTISER)) == pools.keys()

    @rule(
        process=st.sampled_from(PROCESSES), key=st.sampled_from(POOLS), micros=st.integers(1, 3_000),
        count=st.integers(1, 9), other=st.none() | numbers,
    )  # fmt: skip
    def grant(self, process: str, key: PoolKey, micros: int, count: int, other: int | None = None) -> None:
        """With `other` it asks for more on somebody else's lease, or on one of another pool."""
        held = self.local.get((process, key))
        leases = sorted(lease[0] for lease in self.local.values())
        asked = leases[other % len(leases)] if other is not None and leases else held[0] if held else 0
        want = Want(key, asked, micros, count)
        reply = self.run(self.scripts.grant(ADVERTISER, self.epoch, process, [want]))
        expected = self.model.grant(process, key, want.lease_id, (micros, count), self.clock.now_ms())
        assert tuple(reply.leases[0]) == expected
        assert reply.recall == self.model.recall
        if expected[0]:
            if held is None or held[0] != expected[0]:
                held = self.local[(process, key)] = [expected[0], 0, 0, 0, 0]
            held[1] += expected[1]
            held[2] += expected[2]

    @precondition(lambda self: self.local)
    @rule(which=numbers, prices=st.lists(st.integers(1, 500), min_size=1, max_size=6))
    def reserve(self, which: int, prices: list[int]) -> None:
        (_process, key), held = sorted(self.local.items())[which % len(self.local)]
        for price in prices:
            micros = min(price, held[1] - held[3])
            if micros > 0 and held[2] > held[4]:
                held[3] += micros
                held[4] += 1
                self.bids.append(ModelBid(held[0], key, held[0] >> 36, micros))

    @rule(process=st.sampled_from(PROCESSES), key=st.sampled_from(POOLS), which=numbers)
    def grant_and_reserve(self, process: str, key: PoolKey, which: int) -> None:
        self.grant(process, key, 2_000, 9)
        if (process, key) in self.local:
            self.reserve(sorted(self.local).index((process, key)), [which % 500 + 1, 100, 200])

    @precondition(lambda self: self.bids)
    @rule(which=numbers, pool=st.sampled_from((None, *POOLS)), micros=st.integers(1, 900), count=st.integers(1, 12))
    def bid_without_reserving(self, which: int, pool: PoolKey | None, micros: int, count: int) -> None:
        """What a bidder with a fault could send: the lease of another bid, with any amount and any pool."""
        other = self.bids[which % len(self.bids)]
        self.bids += [ModelBid(other.lease, pool or other.key, other.day, micros) for _ in range(count)]

    @precondition(lambda self: self.local)
    @rule(which=numbers, times=st.sampled_from((1, 1, 2, 0)))
    def seal_or_crash(self, which: int, times: int) -> None:
        """Times 0 is a process that died."""
        owner = sorted(self.local)[which % len(self.local)]
        held = self.local.pop(owner)
        for _ in range(times):
            self.run(self.scripts.seal(ADVERTISER, self.epoch, [Sealed(ADVERTISER, held[0], held[3], held[4])]))
            self.model.seal(held[0], (held[3], held[4]), self.clock.now_ms())

    def _settlement(self, kind: str, number: int, charge: int | None) -> Settlement:
        bid = self.bids[number]
        row = RowHead(
            RowKind.BILL, f"{number:036x}", POOL_CAMPAIGN, bid.key.line_item_id, bid.key.share, bid.day, 1, 1,
            bid.lease, 0, "PLN", "PLN", bid.micros * 1000, bid.micros, PriceSource.REPORTED,
        )  # fmt: skip
        price = -1 if charge is None else charge
        return Settlement(
            ADVERTISER, NoticeKind(kind), number.to_bytes(18, "big"), 0, bid.lease, bid.key, POOL_CAMPAIGN, bid.micros,
            price, price, bid.micros, bid.micros, 86_400, encode_head(row),
        )  # fmt: skip

    @precondition(lambda self: self.bids)
    @rule(notices=st.lists(st.tuples(st.sampled_from("wbl"), numbers, fractions), min_size=1, max_size=6))
    def notify(self, notices: list[tuple[str, int, int | None]]) -> None:
        for kind, which, fraction in notices:
            self.notice(kind, which % len(self.bids), fraction)

    def notice(self, kind: str, number: int, fraction: int | None) -> None:
        bid = self.bids[number]
        charge = None if fraction is None else bid.micros * fraction // 10
        reply = self.run(self.scripts.settle(self._settlement(kind, number, charge)))
        if kind == "w":
            assert reply.outcome == self.model.win(bid, charge, self.clock.now_ms())
        elif kind == "l":
            assert reply.outcome == self.model.loss(bid)
        else:
            assert (reply.outcome, reply.charge_micros) == self.model.bill(bid, charge, bid.micros)

    @rule(seconds=st.sampled_from((1, 14, 15, 59, 61, 130)), closing=st.booleans(), taking=st.booleans())
    def wait(self, seconds: int, closing: bool, taking: bool) -> None:
        self.clock.advance(seconds)
        now_ms = self.clock.now_ms()
        if taking:
            self.run(self.scripts.take_over(ADVERTISER))
            self.model.take_over(now_ms, everyone=False)
        if closing:
            assert self.run(self.scripts.close(ADVERTISER, 1_000)) == self.model.close(now_ms)

    @rule(sure=st.integers(0, 5))
    def new_epoch(self, sure: int) -> None:
        if sure:  # seldom: it ends every lease
            return
        old, self.epoch = self.epoch, str(int(self.epoch) + 1)
        self.run(self.scripts.take_over(ADVERTISER, self.epoch))
        self.model.take_over(self.clock.now_ms(), everyone=True)
        for lease, *_, micros, impressions in self.local.values():  # too late: what they hold stays counted
            assert not self.run(self.scripts.seal(ADVERTISER, old, [Sealed(ADVERTISER, lease, micros, impressions)]))
        self.local.clear()

    @rule(key=st.sampled_from(POOLS), micros=st.integers(-100, 100), impressions=st.integers(-1, 1))
    def correct(self, key: PoolKey, micros: int, impressions: int) -> None:
        name = f"c{len(self.model.spends)}"
        for expected in ("corrected", "duplicate"):
            work = self.scripts.correct(
                ADVERTISER, name, key, POOL_CAMPAIGN, self.model.day, micros, impressions, b"\xc0"
            )
            assert self.run(work) == expected
        self.model.correct(key, micros, impressions)

    @invariant()
    def counters_agree(self) -> None:
        levels, leases, rows, _ = self.run(self.scripts.snapshot(ADVERTISER, ""))
        assert broken_invariants(levels, leases.values()) == []
        assert levels == self.model.levels()
        held = {name: [each.held_micros, each.held_impressions, each.closes_ms] for name, each in leases.items()}
        assert held == {name: [*each.held, each.closes_ms] for name, each in self.model.leases.items()}
        assert sum(int(fields[b"charge"]) for _, fields in rows) == sum(spend.micros for spend in self.model.spends)


def test_scripts_and_model_agree_in_any_order_of_events(valkey: str) -> None:
    Scripts.url = valkey
    run_state_machine_as_test(
        Scripts,
        settings=settings(
            max_examples=25, stateful_step_count=40, deadline=None, derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )  # fmt: skip


def storm(machine: Scripts, random: Random, steps: int) -> None:
    """What a busy advertiser lives through, in the proportions that reach every branch."""
    machine.begin()
    for _ in range(steps):
        chance = random.random()
        if chance < 0.07:
            machine.grant(random.choice(PROCESSES), random.choice(POOLS), 900, 3, random.randrange(99))
        elif chance < 0.35:
            machine.grant_and_reserve(random.choice(PROCESSES), random.choice(POOLS), random.randrange(10_000))
        elif chance < 0.75 and machine.bids:
            count = len(machine.bids)
            recent = random.sample(range(max(0, count - 20), count), min(3, count))
            fractions = [random.choice((None, random.randrange(11))) for _ in recent]
            machine.notify([(random.choice("wbbl"), *pair) for pair in zip(recent, fractions, strict=True)])
        elif chance < 0.85 and machine.local:
            machine.seal_or_crash(random.randrange(10_000), random.choice((0, 1, 2)))
        elif chance < 0.87 and machine.bids:
            bid_and_report_without_reserving(machine, random)
        elif chance < 0.94:
            machine.wait(random.choice((1, 15, 59, 61, 130)), random.random() < 0.6, random.random() < 0.6)
        elif chance < 0.97:
            machine.sync(*random.choices(LIMITS, k=4), random.choice((0, 0, 7, 8)))
        elif chance < 0.99:
            machine.correct(random.choice(POOLS), random.randrange(-50, 50), 0)
        else:
            machine.new_epoch(0)
        machine.counters_agree()


def bid_and_report_without_reserving(machine: Scripts, random: Random) -> None:
    micros, count = random.choice(((1, 12), (1, 12), (300, 1)))
    machine.bid_without_reserving(len(machine.bids) - 1, random.choice((None, *POOLS)), micros, count)
    for number in range(len(machine.bids) - count, len(machine.bids)):
        machine.notice(random.choice("wbbl"), number, None)


@pytest.mark.parametrize("seed", range(4))
def test_scripts_and_model_agree_through_a_storm(valkey: str, seed: int) -> None:
    Scripts.url = valkey
    machine = Scripts()
    try:
        storm(machine, Random(seed), 250)
    finally:
        machine.teardown()
    assert {bid.state for bid in machine.bids} >= {"billed", "lost"}
