"""The Lua scripts against the plain model: any order of anything, and after each step the same counters to the micro."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import hypothesis.strategies as st
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
from core.redis import PipelinedRedis
from pacing.leases import Sealed
from pacing.ledger import PriceSource, RowHead, RowKind, encode_head
from pacing.levels import broken_invariants
from pacing.pools import NO_LIMIT, Limit, PoolKey
from pacing.timing import MS_PER_DAY, Timing
from pacing.transitions import Calendar, PoolLimits, Settlement, Transitions, Want
from tests.kit.money_model import POOL_CAMPAIGN, ModelBid, MoneyModel

ADVERTISER = 1
POOLS = (PoolKey(7, 0), PoolKey(7, 1), PoolKey(8, 0))
PROCESSES = ("p1", "p2", "p3")
TIMING = Timing(reservation_ms=60_000, win_hold_ms=120_000)

Result = TypeVar("Result")

limits = st.builds(Limit, st.just(-1) | st.integers(0, 5_000), st.just(-1) | st.integers(0, 30))


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
        self.sync(NO_LIMIT, Limit(10_000, -1), Limit(8_000, 50), Limit(2_000, -1), True, True)

    @rule(a=limits, c=limits, line=limits, daily=limits, first=st.booleans(), second=st.booleans())
    def sync(self, a: Limit, c: Limit, line: Limit, daily: Limit, first: bool, second: bool) -> None:
        budgets = {"a": Limit(a.micros, -1), f"c{POOL_CAMPAIGN}": c, "l7": line, "l8": NO_LIMIT}
        budgets |= {"p7.0": Limit(line.micros * 4 // 5, -1) if line.micros > 0 else NO_LIMIT, "p7.1": NO_LIMIT}
        budgets |= {"p8.0": NO_LIMIT}
        pools = {key: (daily, NO_LIMIT) for key in POOLS if (first if key.line_item_id == 7 else second)}
        self.model.sync(budgets, pools)
        day = self.model.day
        calendar = Calendar(day, (day + 1000) * MS_PER_DAY, day + 1000, (day + 2000) * MS_PER_DAY, day - 2)
        rows = [PoolLimits(key, POOL_CAMPAIGN, *limit) for key, limit in pools.items()]
        assert self.run(self.scripts.sync(ADVERTISER, self.epoch, calendar, list(budgets.items()), rows))

    @rule(
        process=st.sampled_from(PROCESSES), key=st.sampled_from(POOLS), micros=st.integers(1, 3_000),
        count=st.integers(1, 9),
    )  # fmt: skip
    def grant(self, process: str, key: PoolKey, micros: int, count: int) -> None:
        held = self.local.get((process, key))
        want = Want(key, held[0] if held else 0, micros, count)
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
    @rule(data=st.data(), prices=st.lists(st.integers(1, 500), min_size=1, max_size=5))
    def reserve(self, data: st.DataObject, prices: list[int]) -> None:
        (_process, key), held = data.draw(st.sampled_from(sorted(self.local.items())))
        for price in prices:
            micros = min(price, held[1] - held[3])
            if micros > 0 and held[2] > held[4]:
                held[3] += micros
                held[4] += 1
                self.bids.append(ModelBid(held[0], key, held[0] >> 36, micros))

    @precondition(lambda self: self.local)
    @rule(data=st.data(), twice=st.booleans(), silent=st.booleans())
    def seal_or_crash(self, data: st.DataObject, twice: bool, silent: bool) -> None:
        owner = data.draw(st.sampled_from(sorted(self.local)))
        held = self.local.pop(owner)
        for _ in range(0 if silent else 1 + twice):
            self.run(self.scripts.seal(ADVERTISER, self.epoch, [Sealed(ADVERTISER, held[0], held[3], held[4])]))
            self.model.seal(held[0], (held[3], held[4]), self.clock.now_ms())

    def _settlement(self, kind: str, number: int, charge: int | None) -> Settlement:
        bid = self.bids[number]
        row = RowHead(
            RowKind.BILL, f"{number:036x}", POOL_CAMPAIGN, bid.key.line_item_id, bid.key.share, bid.day, 1, 1, bid.lease,
            0, "PLN", "PLN", bid.micros * 1000, bid.micros, PriceSource.REPORTED,
        )  # fmt: skip
        price = -1 if charge is None else charge
        return Settlement(
            ADVERTISER, kind, number.to_bytes(18, "big"), 0, bid.lease, bid.key, POOL_CAMPAIGN, bid.micros,
            price, price, bid.micros, bid.micros, 86_400, encode_head(row),
        )  # fmt: skip

    @precondition(lambda self: self.bids)
    @rule(data=st.data(), kind=st.sampled_from("wbl"), fraction=st.none() | st.integers(0, 10))
    def notice(self, data: st.DataObject, kind: str, fraction: int | None) -> None:
        number = data.draw(st.integers(0, len(self.bids) - 1))
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

    @rule()
    def new_epoch(self) -> None:
        self.epoch = str(int(self.epoch) + 1)
        self.run(self.scripts.take_over(ADVERTISER, self.epoch))
        self.model.take_over(self.clock.now_ms(), everyone=True)
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
        levels, leases, rows = self.run(self.scripts.snapshot(ADVERTISER, ""))
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
