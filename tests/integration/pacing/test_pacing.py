"""Bank, bidders, notices and the pacer together on a real server: budgets last until their day ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core import keys
from core.clock import ManualClock
from core.model import Budget, BudgetShare, Catalogue, Pacing
from pacing.budgets.pools import SPEND_ALL_MULTIPLIER
from pacing.ledger.audit import audit
from pacing.pace.controller import LEAST_MULTIPLIER
from pacing.pace.messages import Multipliers, decode_multipliers
from pacing.pace.pacer import READ_WORDS, Pacer
from pacing.pace.targets import decode_targets
from tests.bench.pacing import data_folder, read_stream, replay, stream_file, table
from tests.kit.fixtures import skip_or_fail
from tests.kit.money import ADVERTISER, LINE_ITEM, Shop, catalogue, line_item
from tests.kit.paced_day import NOTICE_DELAY_S, PacedBidder, end_of_day, new_pacer, run_seconds

# What the last 150 seconds of the day may spend; the traffic could spend about ten times as much.
SECONDS = 150
BUDGET = 2_500_000


def paced(budget: int = BUDGET, version: int = 1, **changes: object) -> Catalogue:
    return catalogue(
        line_item(pacing=Pacing.EVEN, daily_budget=Budget(micros=budget), **changes), version=version
    )  # fmt: skip


@pytest.fixture
def clock() -> ManualClock:
    return end_of_day(SECONDS)


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock, paced())
    yield shop
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
    await shop.close()


async def multipliers(shop: Shop) -> Multipliers:
    packed = await shop.transitions.command("GET", keys.PACING_MULTIPLIERS)
    assert isinstance(packed, bytes)
    found = decode_multipliers(packed)
    assert found is not None
    return found


async def multiplier(shop: Shop) -> float:
    return float((await multipliers(shop)).records["multiplier"][0])


async def test_two_bidders_spend_a_shortened_day_evenly_and_no_more_than_the_budget(shop: Shop) -> None:
    bidders = [await PacedBidder.open(shop, f"p{number}", number) for number in range(2)]
    spent = await run_seconds(shop, new_pacer(shop), bidders, SECONDS - 2)
    billed = np.array(spent[NOTICE_DELAY_S:])  # of bids made so long ago
    plan = BUDGET * np.arange(1, len(billed) + 1) / SECONDS
    distance = float(np.sqrt((((billed - plan) / BUDGET) ** 2).mean()))
    assert distance <= 0.03
    assert 0.93 * BUDGET <= spent[-1] <= BUDGET


async def test_without_pacing_the_same_traffic_spends_the_budget_in_the_first_half(shop: Shop) -> None:
    shop.present = catalogue(line_item(pacing=Pacing.ASAP, daily_budget=Budget(micros=BUDGET)), version=2)
    bidder = await PacedBidder.open(shop)
    spent = await run_seconds(shop, new_pacer(shop), [bidder], SECONDS // 2)
    assert bidder.book.multiplier[0] == 1.0
    assert spent[-1] > 0.9 * BUDGET


@pytest.mark.parametrize("words_at_once", [READ_WORDS, 1])
async def test_a_cut_of_the_budget_slows_the_spending_at_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, words_at_once: int
) -> None:
    monkeypatch.setattr("pacing.pace.pacer.READ_WORDS", words_at_once)
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    before = await run_seconds(shop, pacer, [bidder], 50)
    shop.present = paced(before[-1] + BUDGET // 20, version=2)
    after = await run_seconds(shop, pacer, [bidder], 60)
    assert after[-1] <= before[-1] + BUDGET // 20
    assert after[-1] - after[30] < (before[-1] - before[19]) / 2


async def test_a_restarted_worker_goes_on_with_its_multiplier(shop: Shop) -> None:
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 30)
    before = await multiplier(shop)
    await pacer.close()
    restarted = new_pacer(shop)
    await restarted.tick()
    assert before > 0.2
    assert await multiplier(shop) == pytest.approx(before)
    await run_seconds(shop, restarted, [bidder], 3)
    assert await multiplier(shop) == pytest.approx(before, rel=0.5)


async def test_a_killed_worker_costs_a_few_windows(shop: Shop) -> None:
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 30)
    before = await multiplier(shop)
    await shop.transitions.command("DEL", keys.PACING_OWNER)  # as it expires by itself
    successor = new_pacer(shop)
    await successor.tick()
    # What was saved is five seconds old at most; from the cold start it would be less than half.
    assert before > 0.2
    assert await multiplier(shop) == pytest.approx(before, rel=0.5)


async def test_only_one_worker_paces_at_a_time(shop: Shop) -> None:
    first, second = new_pacer(shop), new_pacer(shop)
    await first.tick()
    made_ms = (await multipliers(shop)).made_ms
    shop.clock.advance(1.0)
    await second.tick()
    assert (await multipliers(shop)).made_ms == made_ms
    await first.close()
    await second.tick()
    assert (await multipliers(shop)).made_ms == shop.clock.now_ms()


async def test_multipliers_reach_each_pool_of_each_line_item(shop: Shop) -> None:
    shares = (BudgetShare(segment_id=1, percent=20),)
    shop.present = catalogue(
        line_item(pacing=Pacing.EVEN, daily_budget=Budget(micros=BUDGET), budget_shares=shares),
        line_item(id=8),
        version=2,
    )
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await pacer.tick()
    bidder.book.multiplier[:] = 0.5
    await bidder.follower.tick()
    assert [pool.key for pool in bidder.book.pools] == [(LINE_ITEM, 0), (LINE_ITEM, 1), (8, 0)]
    assert bidder.book.multiplier.tolist() == pytest.approx([0.1, 0.1, 1.0])


async def test_a_line_item_that_is_to_spend_all_is_bid_above_its_value(shop: Shop) -> None:
    shop.present = paced(10**9, version=2, spend_all=True)  # more than the traffic can spend
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 60)
    assert bidder.book.multiplier[0] == pytest.approx(SPEND_ALL_MULTIPLIER)
    shop.present = paced(10**9, version=3)
    await run_seconds(shop, pacer, [bidder], 3)
    assert bidder.book.multiplier[0] == 1.0


async def test_a_line_item_without_conversions_is_held_back_by_its_target(shop: Shop) -> None:
    shop.present = paced(10**9, version=2, target_cpa_micros=1_000)
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 20)
    free = await multiplier(shop)
    shop.clock.advance(60.0)
    await run_seconds(shop, pacer, [bidder], 5)
    assert await multiplier(shop) < free


async def test_a_conversion_counts_for_the_line_item_it_is_credited_to(shop: Shop) -> None:
    shop.present = paced(10**9, version=2, target_cpa_micros=100)
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 30)
    shop.clock.advance(60.0)
    await pacer.tick()
    held = await multiplier(shop)
    day = shop.clock.now_ms() // 86_400_000
    await shop.transitions.command("HSET", keys.delivery(ADVERTISER, day), f"{LINE_ITEM}:click_conversions", 10**6)
    shop.clock.advance(60.0)
    await pacer.tick()
    assert held < 0.9
    assert await multiplier(shop) > held


async def stopped(shop: Shop) -> bool:
    packed = await shop.transitions.command("GET", keys.PACING_TARGETS)
    assert isinstance(packed, bytes)
    return decode_targets(packed)[LINE_ITEM].stopped_ms > 0


async def run_into_its_target(shop: Shop) -> Pacer:
    """A line item that has spent far above its target, a day later."""
    shop.present = paced(10**9, version=2, target_cpa_micros=10)
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 30)
    shop.clock.advance(86_400.0)
    await pacer.tick()
    assert await stopped(shop)
    assert await multiplier(shop) == LEAST_MULTIPLIER
    return pacer


async def test_a_person_lets_a_line_item_go_on_that_its_target_stopped(shop: Shop) -> None:
    pacer = await run_into_its_target(shop)
    await pacer.close()
    pacer = new_pacer(shop)  # a worker that was started meanwhile knows of the stop
    await pacer.tick()
    assert await stopped(shop)
    await shop.transitions.command("HSET", keys.PACING_RESUMED, LINE_ITEM, shop.clock.now_ms())
    await pacer.tick()
    assert not await stopped(shop)
    assert await shop.transitions.command("HLEN", keys.PACING_RESUMED) == 0


async def test_a_late_conversion_lets_a_line_item_go_on_that_its_target_stopped(shop: Shop) -> None:
    pacer = await run_into_its_target(shop)
    yesterday = shop.clock.now_ms() // 86_400_000 - 1
    await shop.transitions.command("HSET", keys.delivery(ADVERTISER, yesterday), f"{LINE_ITEM}:view_conversions", 1)
    await pacer.tick()
    assert await stopped(shop), "conversions are looked at once a minute"
    shop.clock.advance(60.0)
    await pacer.tick()
    assert not await stopped(shop)


async def test_costs_that_the_release_before_kept_are_taken_over(shop: Shop) -> None:
    shop.present = paced(10**9, version=2, target_cpa_micros=10)
    day = shop.clock.now_ms() // 86_400_000
    before = msgspec.msgpack.encode([{}, {LINE_ITEM: {day - 2: 1e9, day: 1e9}}])
    await shop.transitions.command("HSET", keys.PACING_STATE, ADVERTISER, before)
    pacer = new_pacer(shop)
    await pacer.tick()
    assert await multiplier(shop) < 0.001
    assert not await stopped(shop), "what was paid is not known of them"


async def test_a_server_that_is_away_is_counted_and_multipliers_stay(shop: Shop, clock: ManualClock) -> None:
    bidder, pacer = await PacedBidder.open(shop), new_pacer(shop)
    await run_seconds(shop, pacer, [bidder], 15)
    before = bidder.book.multiplier.copy()
    await shop.redis.close()
    await bidder.follower.tick()
    await pacer.tick()
    assert bidder.book.multiplier.tolist() == before.tolist()
    shop.redis = (await Shop.open(shop.url, clock, shop.present)).redis
    shop.transitions.redis = shop.redis


def test_recorded_auctions_buy_what_the_best_fixed_multiplier_buys() -> None:
    path: Path = stream_file(data_folder())
    if not path.is_file():
        skip_or_fail(f"no data in {path}: set GROSZ_DATA to the folder that has ipinyou-theta-2997")
    outcomes = replay(read_stream(path), step_s=120, candidates=300)
    assert [each.holds for each in outcomes] == [True] * 6, table(outcomes)
