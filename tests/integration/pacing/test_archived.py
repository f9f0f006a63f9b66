"""Counters of what was archived leave Redis once no bill can come for it, and only then."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from core.clock import ManualClock
from core.model import Budget, Status
from pacing.bank.bank import CHECK_S
from pacing.budgets.timing import DAYS_KEPT, MS_PER_DAY
from pacing.budgets.transitions import NO_LEDGER_ROWS
from pacing.ledger.audit import audit
from tests.kit.money import ADVERTISER, Shop, catalogue, line_item


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock, catalogue(line_item(daily_budget=Budget(micros=1_000_000))))
    yield shop
    await shop.close()


async def test_counters_of_what_was_archived_go_when_no_bill_can_come_any_more(shop: Shop) -> None:
    book, client = await shop.bidder()
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    assert (await shop.desk.bill(shop.token(lease), "1.00", "PLN")).outcome == "billed"
    await client.close()
    everything = shop.present
    shop.present = msgspec.structs.replace(everything, version=2, campaigns=(), line_items=())
    for _ in range(DAYS_KEPT + 3):
        names = {name[0] for name in (await shop.transitions.snapshot(ADVERTISER, NO_LEDGER_ROWS)).levels}
        assert "a" in names
        shop.clock.advance(MS_PER_DAY / 1000)
        for _ in range(3):  # first the last leases, then the days, then what has no day left
            shop.clock.advance(CHECK_S)
            await shop.bank.tick()
        assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
        await shop.writer.drain(ADVERTISER)
    assert set((await shop.transitions.snapshot(ADVERTISER, NO_LEDGER_ROWS)).levels) == {"a"}
    await shop.transitions.command("FLUSHALL")
    await shop.bank.tick()
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


async def test_counters_of_what_is_paused_or_still_billed_for_stay(shop: Shop) -> None:
    book, client = await shop.bidder()
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    token = shop.token(lease)
    everything = shop.present
    shop.present = msgspec.structs.replace(everything, version=2, campaigns=(), line_items=())
    for _ in range(3):
        shop.clock.advance(CHECK_S)
        await shop.bank.tick()
    assert {"l", "p", "c", "d"} <= {name[0] for name in (await shop.transitions.snapshot(ADVERTISER, "")).levels}
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "billed"
    await client.close()
    paused = tuple(msgspec.structs.replace(one, status=Status.PAUSED) for one in everything.line_items)
    shop.present = msgspec.structs.replace(everything, version=3, line_items=paused)
    for _ in range(DAYS_KEPT + 3):
        shop.clock.advance(MS_PER_DAY / 1000)
        await shop.bank.tick()
        await shop.bank.tick()
    assert {"l", "p", "c"} <= {name[0] for name in (await shop.transitions.snapshot(ADVERTISER, "")).levels}
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


async def test_nothing_stays_of_an_advertiser_who_was_archived(shop: Shop) -> None:
    book, client = await shop.bidder()
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    late = shop.token(book.reserve(0, 10_000, shop.clock.now_ms()))
    assert (await shop.desk.bill(shop.token(lease), "1.00", "PLN")).outcome == "billed"
    await client.close()
    archived = shop.present.advertisers
    shop.present = msgspec.structs.replace(
        shop.present, version=2, advertisers=(), archived_advertisers=archived, campaigns=(), line_items=()
    )
    shop.clock.advance(CHECK_S)
    await shop.bank.tick()
    assert (await shop.desk.bill(late, "1.00", "PLN")).status == 204, "a bid that was out is billed"
    for _ in range(DAYS_KEPT + 3):
        shop.clock.advance(MS_PER_DAY / 1000)
        for _ in range(4):  # leases, days, line items and campaigns, the advertiser
            shop.clock.advance(CHECK_S)
            await shop.bank.tick()
        assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
        await shop.writer.drain(ADVERTISER)
    assert (await shop.transitions.snapshot(ADVERTISER, NO_LEDGER_ROWS)).levels == {}
    await shop.transitions.command("FLUSHALL")
    lost = await audit(shop.transitions, shop.store, ADVERTISER)
    assert lost.differences, "lost counters are not taken for those that are no longer needed"
    for _ in range(4):
        shop.clock.advance(CHECK_S)
        await shop.bank.tick()
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
    assert (await shop.transitions.snapshot(ADVERTISER, NO_LEDGER_ROWS)).levels == {}
