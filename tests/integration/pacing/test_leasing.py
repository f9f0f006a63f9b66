"""Bank, bidder processes and Redis together: how budgets become leases and come back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest

from core import keys
from core.clock import ManualClock
from core.model import Budget, BudgetShare, Status
from core.money import MAX_BUDGET_MICROS
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import CHECK_S, RESYNC_S
from pacing.budgets.lease_client import TICK_S, LeaseClient
from pacing.budgets.leases import LeaseBook
from pacing.budgets.levels import Level, broken_invariants
from pacing.budgets.pools import NO_LIMIT, Limit, PoolKey, active_pools
from pacing.budgets.timing import MS_PER_DAY
from pacing.budgets.transitions import SYNC_PART, Calendar, GrantReply, PoolLimits, Transitions, Want
from tests.kit.money import ADVERTISER, CAMPAIGN, LINE_ITEM, TIMING, Shop, catalogue, line_item

DAILY = 20717  # the manual clock's day
DEAD_S = TIMING.dead_after_ms / 1000
RESERVATION_S = TIMING.reservation_ms / 1000


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock, catalogue(line_item(daily_budget=Budget(micros=1_000_000))))
    yield shop
    snapshot = await shop.transitions.snapshot(ADVERTISER, "")
    assert broken_invariants(snapshot.levels, snapshot.leases.values()) == []
    await shop.close()


async def level(shop: Shop, name: str) -> Level:
    return (await shop.transitions.snapshot(ADVERTISER, "")).levels[name]


async def publish(shop: Shop, *lines: object, **changes: object) -> None:
    shop.present = catalogue(*lines, version=shop.present.version + 1, **changes)  # type: ignore[arg-type]  # test data
    await shop.bank.tick()


async def test_a_first_lease_holds_one_maximum_bid(shop: Shop) -> None:
    book, _client = await shop.bidder()
    assert book.remaining.tolist() == [10_000]
    assert (await level(shop, f"d7@{DAILY}")).micros == (1_000_000, 0, 10_000, 990_000, 0)


async def test_leases_follow_the_rate_of_spending(shop: Shop) -> None:
    book, client = await shop.bidder()
    await shop.reserve_all(book, client, 1_000, ticks=3)
    assert book.remaining[0] > 100_000


async def test_processes_together_never_hold_more_than_the_budget(shop: Shop) -> None:
    reserved = 0
    bidders = [await shop.bidder(f"p{number}") for number in range(3)]
    for _ in range(12):
        for book, client in bidders:
            while book.reserve(0, 7_000, shop.clock.now_ms()):
                reserved += 7_000
            shop.clock.advance(TICK_S)
            await client.tick()
    assert 1_000_000 - 3 * 7_000 <= reserved <= 1_000_000
    assert (await level(shop, f"d7@{DAILY}")).micros.free < 7_000


async def test_a_refused_pool_is_asked_for_again(shop: Shop) -> None:
    await publish(shop, line_item(daily_budget=Budget(micros=0)))
    book, client = await shop.bidder()
    assert not book.open[0]
    await publish(shop, line_item(daily_budget=Budget(micros=50_000)))
    shop.clock.advance(1.0)
    await client.tick()
    assert book.reserve(0, 10_000, shop.clock.now_ms())


async def test_every_budget_must_allow_a_spend(shop: Shop) -> None:
    await publish(shop, line_item(), balance_micros=3_000)
    book, client = await shop.bidder("balance")
    assert book.remaining[0] == 3_000
    await client.close()
    await publish(shop, line_item(), total=Budget(micros=4_000))
    book, client = await shop.bidder("campaign")
    assert book.remaining[0] == 4_000
    await client.close()
    await publish(shop, line_item(total_budget=Budget(impressions=2)))
    book, client = await shop.bidder("impressions")
    reserved = 0
    for _ in range(8):
        reserved += bool(book.reserve(0, 1, shop.clock.now_ms()))
        shop.clock.advance(TICK_S)
        await client.tick()
    assert reserved == 2


async def test_a_share_is_kept_for_its_segment(shop: Shop) -> None:
    shares = (BudgetShare(segment_id=1, percent=20),)
    await publish(shop, line_item(total_budget=Budget(micros=10_000), budget_shares=shares))
    book, _client = await shop.bidder()
    assert book.remaining.tolist() == [8_000, 2_000]


async def test_a_pause_takes_leases_back_at_the_next_tick(shop: Shop) -> None:
    book, client = await shop.bidder()
    assert book.reserve(0, 1_000, shop.clock.now_ms())
    await publish(shop, line_item(status=Status.PAUSED, daily_budget=Budget(micros=1_000_000)))
    shop.clock.advance(TICK_S)
    await client.tick()
    assert not book.reserve(0, 1, shop.clock.now_ms())
    assert (await level(shop, "l7")).micros.exposure == 1_000  # the bid that is out


async def test_a_cut_below_what_is_out_stops_at_once(shop: Shop) -> None:
    book, client = await shop.bidder()
    assert book.reserve(0, 6_000, shop.clock.now_ms())
    await publish(shop, line_item(daily_budget=Budget(micros=5_000)))
    await client.tick()
    assert not book.reserve(0, 1, shop.clock.now_ms())
    assert (await level(shop, f"d7@{DAILY}")).micros == (5_000, 0, 6_000, -1_000, 0)


async def test_a_snapshot_that_comes_between_a_tick_and_its_calls_is_not_taken_for_the_old_one(shop: Shop) -> None:
    book, client = await shop.bidder()
    assert book.reserve(0, 10_000, shop.clock.now_ms())
    shop.clock.advance(TICK_S)
    asyncio.get_running_loop().call_soon(book.bind, [])  # runs before the calls that the tick is about to schedule
    await client.tick()
    await client.tick()
    assert (await level(shop, "a")).micros.exposure == 10_000, "what was reserved, and no lease that nobody knows"


async def test_a_pool_keeps_its_lease_where_it_moves_and_nothing_is_asked_for_where_it_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, client = await shop.bidder()
    assert book.reserve(0, 1_000, shop.clock.now_ms())
    asked, grant = list[int](), Transitions.grant

    async def noted(self: Transitions, advertiser_id: int, *arguments: Any) -> GrantReply:  # noqa: ANN401 - as they are
        asked.append(advertiser_id)
        return await grant(self, advertiser_id, *arguments)

    monkeypatch.setattr(Transitions, "grant", noted)
    lease = book.lease_id(0)
    book.bind(book.pools.above(book.pools, np.array([0])))
    for _ in range(2):
        shop.clock.advance(TICK_S)
        await client.tick()
    assert (set(asked), book.open.tolist(), book.lease_id(1)) == ({ADVERTISER}, [False, True], lease)
    assert book.reserved().tolist() == [0, 1_000]
    await client.close()
    assert (await level(shop, "a")).micros.exposure == 1_000


async def test_a_new_snapshot_without_the_pool_returns_its_lease(shop: Shop) -> None:
    book, client = await shop.bidder()
    book.bind([])
    await client.tick()
    assert (await level(shop, "a")).micros.exposure == 0


async def test_a_lease_with_reservations_is_exchanged_so_that_it_can_close(shop: Shop) -> None:
    book, client = await shop.bidder()
    first = book.reserve(0, 1_000, shop.clock.now_ms())
    for _ in range(3):
        shop.clock.advance(4)
        await client.tick()
    assert book.reserve(0, 1_000, shop.clock.now_ms()) != first
    leases = (await shop.transitions.snapshot(ADVERTISER, "")).leases
    assert leases[str(first)].closes_ms == shop.clock.now_ms() + TIMING.reservation_ms
    assert leases[str(first)].held_micros == 1_000


async def test_an_open_lease_that_is_billed_to_the_last_micro_stays_open(shop: Shop) -> None:
    epoch, key = (await shop.transitions.witness(ADVERTISER)).epoch, PoolKey(LINE_ITEM, 0)
    first = (await shop.transitions.grant(ADVERTISER, epoch, "p1", [Want(key, 0, 1_000, 1)])).leases[0]
    assert (await shop.desk.bill(shop.token(first.lease_id, 1_000), "1.00", "PLN")).outcome == "billed"
    again = await shop.transitions.grant(ADVERTISER, epoch, "p1", [Want(key, first.lease_id, 1_000, 1)])
    assert again.leases[0] == first
    assert (await level(shop, "a")).micros[1:3] == (1_000, 1_000)


async def test_a_closed_lease_returns_what_nobody_billed(shop: Shop) -> None:
    book, client = await shop.bidder()
    assert book.reserve(0, 4_000, shop.clock.now_ms())
    await client.close()
    shop.clock.advance(RESERVATION_S - 0.001)
    await shop.bank.tick()
    assert (await level(shop, "a")).micros.exposure == 4_000
    shop.clock.advance(0.001)
    await shop.bank.tick()
    assert (await level(shop, "a")).micros.exposure == 0


async def test_leases_of_a_dead_process_wait_for_its_last_bill(shop: Shop) -> None:
    book, _client = await shop.bidder()
    assert book.reserve(0, 4_000, shop.clock.now_ms())
    shop.clock.advance(DEAD_S)
    await shop.bank.tick()
    assert shop.counted("grosz_lease_processes_dead_total") == 1
    assert (await level(shop, "a")).micros.exposure == 10_000
    shop.clock.advance(RESERVATION_S - 0.001)
    await shop.bank.tick()
    assert (await level(shop, "a")).micros.exposure == 10_000
    shop.clock.advance(0.001)
    await shop.bank.tick()
    assert (await level(shop, "a")).micros.exposure == 0


async def test_a_process_cut_off_from_redis_stops_before_it_is_taken_for_dead(shop: Shop) -> None:
    book, client = await shop.bidder()
    shop.clock.advance(TIMING.lease_valid_ms / 1000 - 0.001)
    assert book.reserve(0, 1_000, shop.clock.now_ms())
    shop.clock.advance(0.001)
    assert not book.reserve(0, 1_000, shop.clock.now_ms())
    first = book.lease_id(0)
    await client.tick()  # reaches Redis again: the old lease may have been taken over and is not used any more
    await client.tick()
    assert book.lease_id(0) not in (0, first)


@pytest.mark.parametrize("offset_s", [-59, 59])
async def test_a_bidder_whose_clock_is_off_within_the_tolerance_leases_and_stops_at_the_right_moments(
    shop: Shop, offset_s: int
) -> None:
    own = ManualClock(shop.clock.now_ms() + 1_000 * offset_s)
    book = LeaseBook()
    book.bind(active_pools(shop.present))
    client = LeaseClient(book, shop.transitions, own, Telemetry(), process="p1")

    async def advance(seconds: float) -> None:
        shop.clock.advance(seconds)
        own.advance(seconds)

    await client.tick()
    await client.tick()
    before = book.reserve(0, 1_000, own.now_ms())
    assert before
    await advance(TIMING.lease_valid_ms / 1000)
    assert not book.reserve(0, 1_000, own.now_ms())  # cut off from Redis: it was not asked since
    await client.tick()
    await client.tick()
    after = book.reserve(0, 1_000, own.now_ms())
    assert after not in (0, before)  # others may have taken it for dead: it does not go on with what it had
    day_ends_ms = (DAILY + 1) * 86_400_000
    await advance((day_ends_ms - shop.clock.now_ms()) / 1000 - 1)
    await shop.bank.tick()
    await client.tick()
    await client.tick()
    assert book.reserve(0, 1_000, own.now_ms())
    await advance(1)
    assert not book.reserve(0, 1_000, own.now_ms())


async def test_a_process_that_was_cut_off_does_not_go_on_with_the_lease_that_it_had(shop: Shop) -> None:
    book, client = await shop.bidder()
    before = book.lease_id(0)
    shop.clock.advance(TIMING.lease_valid_ms / 1000)
    await client.tick()
    await client.tick()
    assert book.lease_id(0) not in (0, before)


async def test_a_day_ends_with_its_leases(shop: Shop) -> None:
    book, client = await shop.bidder()
    midnight_ms = (DAILY + 1) * 86_400_000
    shop.clock.advance((midnight_ms - shop.clock.now_ms()) / 1000 - 5)
    await client.tick()
    await client.tick()
    assert book.reserve(0, 1_000, midnight_ms - 1)
    assert not book.reserve(0, 1_000, midnight_ms)
    shop.clock.advance(5)
    await client.tick()
    await client.tick()
    assert book.lease_id(0) >> 36 == DAILY + 1
    assert (await level(shop, f"d7@{DAILY + 1}")).micros.budget == 1_000_000
    assert (await level(shop, f"d7@{DAILY}")).micros.exposure == 1_000


async def test_days_roll_without_the_worker_for_one_day(shop: Shop) -> None:
    shop.clock.advance(86_400)
    book, _client = await shop.bidder()
    assert book.open[0]
    shop.clock.advance(86_400)
    other, _client = await shop.bidder("p2")
    assert not other.open[0]
    await shop.bank.tick()
    third, _client = await shop.bidder("p3")
    assert third.open[0]


async def test_a_change_writes_only_what_changed(shop: Shop) -> None:
    lines = [line_item(id=number, daily_budget=Budget(micros=1_000)) for number in range(1, 5)]
    await publish(shop, *lines)
    written: list[tuple[int, int, int]] = []
    sync = shop.transitions.sync

    async def noted(*arguments: object) -> bool:
        written.append(tuple(map(len, arguments[3:])))  # type: ignore[arg-type]  # lists
        return await sync(*arguments)  # type: ignore[arg-type]  # as given

    shop.transitions.sync = noted  # type: ignore[method-assign, assignment]  # to look over its shoulder
    await publish(shop, *lines)
    await publish(shop, *lines[:3], line_item(id=4, daily_budget=Budget(micros=1_001)))
    await publish(shop, *lines[:3], line_item(id=4, status=Status.PAUSED))
    await publish(shop, *lines[:3], line_item(id=4, total_budget=Budget(micros=9)))
    assert written == [(0, 1, 0), (0, 0, 1), (1, 1, 0)]
    shop.clock.advance(RESYNC_S)
    await shop.bank.tick()
    assert written[-1] == (10, 4, 0)


async def test_many_line_items_are_written_in_parts(shop: Shop) -> None:
    many = [line_item(id=number, daily_budget=Budget(micros=9_000)) for number in range(1, SYNC_PART + 50)]
    await publish(shop, *many)
    assert len(await shop.transitions.known_pools(ADVERTISER)) == len(many)
    book, client = await shop.bidder()
    assert book.remaining.tolist() == [9_000] * len(many)
    await publish(shop, many[7])
    assert await shop.transitions.known_pools(ADVERTISER) == {(many[7].id, 0)}
    for _ in range(3):
        await client.tick()
        shop.clock.advance(1.0)  # who was refused asks again after this
    assert book.remaining.tolist() == [9_000 * (number == 7) for number in range(len(many))]
    await client.close()


async def test_an_archived_advertisers_leases_still_close(shop: Shop) -> None:
    book, _client = await shop.bidder()
    assert book.reserve(0, 1_000, shop.clock.now_ms())
    everything = shop.present
    shop.present = msgspec.structs.replace(
        everything, version=2, advertisers=(), campaigns=(), line_items=(), archived_advertisers=everything.advertisers
    )
    shop.clock.advance(DEAD_S)
    await shop.bank.tick()
    assert await shop.transitions.known_pools(ADVERTISER) == set()
    assert (await level(shop, "a")).micros.exposure == 10_000
    shop.clock.advance(RESERVATION_S + CHECK_S)
    await shop.bank.tick()
    assert (await level(shop, "a")).micros.exposure == 0


async def test_the_largest_budget_is_counted_to_the_micro(shop: Shop) -> None:
    line = line_item(total_budget=Budget(micros=10**18))
    await publish(shop, line, balance_micros=10**18)  # a store may have it from before such budgets were refused
    book, client = await shop.bidder()
    await shop.reserve_all(book, client, 9_999, ticks=5)
    for name in ("a", "l7"):
        budget, spent, exposure, free, _ = (await level(shop, name)).micros
        assert (budget, spent + exposure + free) == (MAX_BUDGET_MICROS, MAX_BUDGET_MICROS)


async def test_a_level_that_a_lease_stands_on_is_not_dropped(shop: Shop) -> None:
    book, client = await shop.bidder()
    await shop.transitions.forget(ADVERTISER, [f"d7@{DAILY}", f"q7.0@{DAILY}"])
    assert (await level(shop, f"d7@{DAILY}")).micros.exposure == 10_000
    assert book.open[0]
    await client.close()
    await shop.transitions.forget(ADVERTISER, [f"d7@{DAILY}", f"q7.0@{DAILY}"])
    assert f"d7@{DAILY}" not in (await shop.transitions.snapshot(ADVERTISER, "")).levels


async def test_a_worker_whose_clock_is_a_day_behind_limits_the_day_that_is_being_spent(shop: Shop) -> None:
    await shop.bidder()
    epoch = (await shop.transitions.witness(ADVERTISER)).epoch
    behind = Calendar(DAILY - 1, DAILY * MS_PER_DAY, DAILY, (DAILY + 1) * MS_PER_DAY, DAILY - 3)
    pool = PoolLimits(PoolKey(LINE_ITEM, 0), CAMPAIGN, Limit(70_000, -1), NO_LIMIT)
    assert await shop.transitions.sync(ADVERTISER, epoch, behind, [], [pool])
    assert (await level(shop, f"d7@{DAILY}")).micros.budget == 70_000
    # Days that were dropped are not kept again.
    assert await shop.transitions.command("HGET", keys.money_meta(ADVERTISER), "keep") == b"%d" % (DAILY - 2)


async def test_budgets_of_another_epoch_are_not_written(shop: Shop) -> None:
    days = Calendar(DAILY, (DAILY + 1) * MS_PER_DAY, DAILY + 1, (DAILY + 2) * MS_PER_DAY, DAILY - 2)
    assert not await shop.transitions.sync(ADVERTISER, "1", days, [("a", Limit(5, -1))], [])
    assert (await level(shop, "a")).micros.budget == -1


async def test_only_the_worker_that_announced_itself_last_rebuilds(shop: Shop) -> None:
    epoch = (await shop.transitions.witness(ADVERTISER)).epoch
    assert not await shop.transitions.rebuild(ADVERTISER, "77", 0, "", [("a", 9, 9)])
    assert (await shop.transitions.witness(ADVERTISER)).epoch == epoch
    assert (await level(shop, "a")).micros.spent == 0


async def test_levels_of_past_days_are_dropped(shop: Shop) -> None:
    await shop.bidder()
    shop.clock.advance(DEAD_S)
    await shop.bank.tick()
    shop.clock.advance(4 * 86_400)
    await shop.bank.tick()
    shop.clock.advance(RESYNC_S)
    await shop.bank.tick()
    assert f"d7@{DAILY}" not in (await shop.transitions.snapshot(ADVERTISER, "")).levels


async def test_a_lost_answer_leaves_no_lease_behind(shop: Shop) -> None:
    book, client = await shop.bidder()
    await client.close()
    epoch = (await shop.transitions.witness(ADVERTISER)).epoch
    await shop.transitions.grant(ADVERTISER, epoch, client.process, [Want(book.pools[0].key, 0, 5_000, 5)])
    client._advertisers[ADVERTISER].uncertain = True
    await client.tick()
    await client.close()
    assert (await level(shop, "a")).micros.exposure == 0


async def test_an_emptied_redis_ends_the_epoch_for_everybody(shop: Shop) -> None:
    book, client = await shop.bidder()
    await shop.transitions.command("FLUSHALL")
    await client.tick()
    assert not book.open[0]  # there is no epoch, so there is no lease
    await shop.bank.tick()
    await client.tick()
    await client.tick()
    assert book.open[0]
    assert shop.counted("grosz_money_rebuilds_total", "lost") == 2


async def test_another_server_ends_the_epoch_but_keeps_what_is_out(shop: Shop) -> None:
    book, client = await shop.bidder()
    assert book.reserve(0, 1_000, shop.clock.now_ms())
    await shop.transitions.command("HSET", keys.money_meta(ADVERTISER), "server", "somebody else")
    await shop.bank.tick()
    await client.tick()
    assert not book.open[0]
    assert (await level(shop, "a")).micros.exposure == 10_000
    assert shop.counted("grosz_money_rebuilds_total", "restarted") == 1


async def test_bound_pools_are_those_that_may_spend(shop: Shop) -> None:
    present = catalogue(line_item(), line_item(id=8, status=Status.PAUSED))
    assert [pool.line_item_id for pool in active_pools(present)] == [7]


class OffClock(ManualClock):
    """A clock that is off from the server's by so many seconds, from one moment on."""

    off_s = 0.0

    def now_ms(self) -> int:
        return super().now_ms() + round(self.off_s * 1000)


async def bidder_with(shop: Shop, clock: ManualClock) -> tuple[LeaseBook, LeaseClient]:
    book = LeaseBook()
    book.bind(active_pools(shop.present))
    client = LeaseClient(book, shop.transitions, clock, shop.telemetry, process="off")
    await client.tick()
    await client.tick()
    return book, client


@pytest.mark.parametrize("off_s", [400.0, -400.0, 61.0, -61.0])
async def test_a_bidder_whose_clock_is_off_leases_nothing_and_says_so(shop: Shop, off_s: float) -> None:
    """Its bids would be refused as from the future, or live shorter than is promised."""
    clock = OffClock(shop.clock.now_ms())
    clock.off_s = off_s
    book, client = await bidder_with(shop, clock)
    assert not book.open[0]
    way = "ahead of" if off_s > 0 else "behind"
    assert client.server_time.fault() == (
        f"this machine's clock is {abs(off_s):.0f} s {way} Redis's (at most 60 s): set it"
    )
    assert shop.counted("grosz_clock_offset_seconds") == pytest.approx(-off_s, abs=0.1)
    clock.off_s = 0.0
    await client.tick()
    await client.tick()
    assert client.server_time.fault() is None
    assert book.open[0]


@pytest.mark.parametrize("off_s", [59.0, -59.0, 0.0])
async def test_a_clock_within_a_fifth_of_the_tolerance_stops_nobody(shop: Shop, off_s: float) -> None:
    clock = OffClock(shop.clock.now_ms())
    clock.off_s = off_s
    book, client = await bidder_with(shop, clock)
    assert (bool(book.open[0]), client.server_time.fault()) == (True, None)


async def test_leases_are_handed_back_when_a_clock_jumps(shop: Shop) -> None:
    clock = OffClock(shop.clock.now_ms())
    book, client = await bidder_with(shop, clock)
    assert book.reserve(0, 1_000, clock.now_ms())
    clock.off_s = 400.0
    for _ in range(2):
        await client.tick()
    assert not book.open[0]
    assert book.reserve(0, 1_000, clock.now_ms()) == 0
    assert (await level(shop, f"d7@{DAILY}")).micros.exposure == 1_000, "what is out stays reserved"
