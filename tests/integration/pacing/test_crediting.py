"""Orders meet what the tracker noted about their user."""

from collections.abc import AsyncIterator

import pytest

from core import keys
from core.clock import ManualClock
from core.ring import RING_RECORDS
from pacing.budgets.timing import lease_day
from pacing.notices.conversions import ConversionDesk, Credit, Windows
from pacing.notices.touches import MAX_TOUCHES, Touch, TouchKind, record_touch
from tests.kit.money import ADVERTISER, LANDING, LINE_ITEM, USER, Shop

DAY = 86_400


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock)
    yield shop
    await shop.close()


@pytest.fixture
def desk(shop: Shop) -> ConversionDesk:
    return ConversionDesk(shop.transitions, shop.telemetry)


def seconds(shop: Shop) -> int:
    return shop.clock.now_ms() // 1000


async def clicked(shop: Shop) -> int:
    """A click on a bid; the day that it is booked on."""
    book, _client = await shop.bidder()
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    assert (await shop.desk.click(shop.token(lease), LANDING)).outcome == "clicked"
    return lease_day(lease)


async def test_an_order_is_credited_to_the_click_and_counted_once(shop: Shop, desk: ConversionDesk) -> None:
    day = await clicked(shop)
    shop.clock.advance(60)
    first = await desk.record_conversion([USER], ADVERTISER, "order-1", 120_000_000, seconds(shop))
    again = await desk.record_conversion([USER], ADVERTISER, "order-1", 120_000_000, seconds(shop))
    assert (first.credit, again.credit) == (Credit.CLICK, Credit.DUPLICATE)
    counts = shop.transitions.command("HGETALL", keys.delivery(ADVERTISER, day))
    assert await counts == [
        b"7:clicks", b"1", b"7:click_conversions", b"1", b"7:click_value_micros", b"120000000"
    ]  # fmt: skip


async def test_orders_of_two_shops_may_have_one_number(shop: Shop, desk: ConversionDesk) -> None:
    await clicked(shop)
    shop.clock.advance(60)
    assert (await desk.record_conversion([USER], 2, "order-1", 1, seconds(shop))).credit is Credit.NOBODY
    assert (await desk.record_conversion([USER], ADVERTISER, "order-1", 1, seconds(shop))).credit is Credit.CLICK


async def test_an_order_of_somebody_unknown_is_credited_to_nobody(shop: Shop, desk: ConversionDesk) -> None:
    assert (await desk.record_conversion([], ADVERTISER, "order-1", 1, seconds(shop))).credit is Credit.NOBODY
    assert shop.counted("grosz_conversions_total", "nobody") == 1


async def note(shop: Shop, kind: TouchKind, window_s: int = DAY) -> None:
    touch = Touch(kind, ADVERTISER, 3, LINE_ITEM, 9, 5, 20_717, seconds(shop))
    await record_touch(shop.transitions, USER, touch, window_s, touch.at_s)


async def ring_length(shop: Shop) -> int:
    ring = await shop.transitions.command("HGET", keys.user_profile(USER), "i")
    assert isinstance(ring, bytes)
    return len(ring) // 8


async def test_rings_and_touches_stay_bounded(shop: Shop) -> None:
    for _ in range(RING_RECORDS + 5):
        await note(shop, TouchKind.VIEW)
    assert await ring_length(shop) == RING_RECORDS
    assert await shop.transitions.command("LLEN", keys.user_touches(USER)) == MAX_TOUCHES


async def test_records_that_no_cap_can_ask_for_leave_the_ring(shop: Shop) -> None:
    await note(shop, TouchKind.VIEW)
    shop.clock.advance(DAY / 2)
    await note(shop, TouchKind.VIEW)
    shop.clock.advance(DAY / 2)
    await note(shop, TouchKind.VIEW)
    assert await ring_length(shop) == 2


async def test_a_ring_of_a_user_without_a_profile_expires_with_its_last_window(shop: Shop) -> None:
    await note(shop, TouchKind.VIEW, window_s=500)
    assert await shop.transitions.command("TTL", keys.user_profile(USER)) == 500


async def test_a_profile_that_does_not_expire_is_left_so(shop: Shop) -> None:
    await shop.transitions.command("HSET", keys.user_profile(USER), "1", "facts")
    await note(shop, TouchKind.VIEW, window_s=500)
    assert await shop.transitions.command("TTL", keys.user_profile(USER)) == -1


async def test_a_click_does_not_enter_the_ring(shop: Shop) -> None:
    await note(shop, TouchKind.CLICK)
    assert await shop.transitions.command("HGET", keys.user_profile(USER), "i") is None


async def test_a_click_on_another_device_of_the_buyer_counts(shop: Shop, desk: ConversionDesk) -> None:
    await clicked(shop)
    shop.clock.advance(60)
    found = await desk.record_conversion(["x" * 22, USER], ADVERTISER, "order-1", 1, seconds(shop))
    assert found.credit is Credit.CLICK


async def test_the_advertisers_own_windows_are_used(shop: Shop) -> None:
    desk = ConversionDesk(shop.transitions, shop.telemetry, {ADVERTISER: Windows(click_s=30)}.__getitem__)
    await clicked(shop)
    shop.clock.advance(60)
    assert (await desk.record_conversion([USER], ADVERTISER, "order-1", 1, seconds(shop))).credit is Credit.NOBODY


async def test_a_correction_goes_to_what_the_order_was_credited_to_once(shop: Shop, desk: ConversionDesk) -> None:
    day = await clicked(shop)
    shop.clock.advance(60)
    made_s = seconds(shop)
    await desk.record_conversion([USER], ADVERTISER, "order-1", 100_000_000, made_s)
    shop.clock.advance(60)
    await clicked(shop)  # a later click has nothing to do with that order
    for _ in range(2):
        await desk.correct_conversion([USER], ADVERTISER, "order-1 corrected", 20_000_000, made_s)
    await desk.correct_conversion([USER], ADVERTISER, "order-1 corrected to the same", 0, made_s)
    key = keys.delivery(ADVERTISER, day)
    counts = await shop.transitions.command("HMGET", key, "7:click_conversions", "7:click_value_micros")
    assert counts == [b"1", b"120000000"]
