"""Bills are decided by what the bid's token says, whatever is configured when they come, and by Redis's clock."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.clock import ManualClock
from core.model import AuctionType, BillingEvent, Clearing, PriceEncryption, UnreadablePrice
from core.telemetry.metrics import Telemetry
from pacing.budgets.leases import LeaseBook
from pacing.budgets.server_time import ServerTime, TimeWatch
from pacing.ledger.rows import PriceSource
from pacing.notices.notices import NoticeDesk
from tests.kit.money import ADVERTISER, EXCHANGE, LINE_ITEM, USER, Shop, catalogue
from tests.kit.old_tokens import old_token
from tests.kit.settling import audited_shop, bid, leased_book, rows, spent


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    async with audited_shop(valkey, clock) as opened:
        yield opened


@pytest.fixture
async def book(shop: Shop) -> LeaseBook:
    return await leased_book(shop)


@pytest.mark.parametrize("price", ["1,5", "1.5 PLN", "${AUCTION_PRICE}", "1e12"])
async def test_an_exchange_may_be_settled_by_the_house_rule_where_its_price_cannot_be_read(
    shop: Shop, book: LeaseBook, price: str
) -> None:
    shop.present = catalogue(unreadable_price=UnreadablePrice.HOUSE)
    await shop.desk.bill(bid(shop, book, second_cpm=4_000_000), price, "PLN")
    (row,) = await rows(shop)
    assert (row.charge_micros, row.price_source) == (4_010, PriceSource.HOUSE)


@pytest.mark.parametrize("price", ["1,5", "${AUCTION_PRICE}"])
async def test_the_win_notice_s_price_stands_where_the_bill_s_cannot_be_read(
    shop: Shop, book: LeaseBook, price: str
) -> None:
    token = bid(shop, book)
    await shop.desk.win(token, "2.00", "PLN")
    await shop.desk.bill(token, price, "PLN")
    (row,) = await rows(shop)
    assert (row.charge_micros, row.price_source) == (2_000, PriceSource.WIN_NOTICE)


async def test_bids_on_equal_requests_are_billed_each(shop: Shop, book: LeaseBook) -> None:
    """Exchanges send one request id many times; a bid is named by its own nonce."""
    for price in ("1.00", "2.00", "3.00", "4.00"):
        assert (await shop.desk.bill(bid(shop, book), price, "PLN")).outcome == "billed"
    assert await spent(shop) == (10_000, 4)


@pytest.mark.parametrize("now", BillingEvent)
@pytest.mark.parametrize("then", BillingEvent)
async def test_a_bid_is_billed_by_the_event_that_its_exchange_had_when_it_was_made(
    shop: Shop, book: LeaseBook, then: BillingEvent, now: BillingEvent
) -> None:
    shop.present = catalogue(billing_event=then)
    token = bid(shop, book)
    shop.present = catalogue(billing_event=now, version=2)
    names = {BillingEvent.BILL: "bill", BillingEvent.WIN: "win", BillingEvent.IMPRESSION: "impression"}
    outcomes = {}
    for event in (BillingEvent.BILL, BillingEvent.IMPRESSION, BillingEvent.WIN):
        if event is not then:
            outcomes[event] = (await getattr(shop.desk, names[event])(token, "1.00", "PLN")).outcome
    assert "billed" not in outcomes.values()
    assert (await getattr(shop.desk, names[then])(token, "1.00", "PLN")).outcome == "billed"
    assert await spent(shop) == (1_000, 1)


@pytest.mark.parametrize(
    ("then", "now", "charge"),
    [
        ({"clearing": Clearing.REPORTED}, {"clearing": Clearing.HOUSE}, 2_000),
        ({"clearing": Clearing.HOUSE}, {"clearing": Clearing.REPORTED}, 4_010),
        ({}, {"price_encryption": PriceEncryption.RUBICON, "encryption_key": "k" * 16}, 2_000),
        ({"unreadable_price": UnreadablePrice.HOUSE}, {"price_encryption": PriceEncryption.GOOGLE}, 2_000),
        ({}, {"first_price": True}, 2_000),
        ({}, {"first_price": True, "clearing": Clearing.HOUSE}, 2_000),
        ({"clearing": Clearing.HOUSE}, {"first_price": True}, 4_010),
    ],
)
async def test_a_bid_is_charged_by_the_rule_that_its_exchange_had_when_it_was_made(
    shop: Shop, book: LeaseBook, then: dict[str, Any], now: dict[str, Any], charge: int
) -> None:
    shop.present = catalogue(**then)
    token = bid(shop, book, second_cpm=4_000_000)
    shop.present = catalogue(version=2, **now)
    await shop.desk.bill(token, "2.00", "PLN")
    (row,) = await rows(shop)
    assert row.charge_micros == charge


@pytest.mark.parametrize(
    ("auction_type", "charge"),
    [(AuctionType.FIRST_PRICE, 10_000), (AuctionType.SECOND_PRICE, 4_010), (AuctionType.FIXED_PRICE, 10_000)],
)
async def test_without_a_price_the_type_of_the_auction_decides(
    shop: Shop, book: LeaseBook, auction_type: AuctionType, charge: int
) -> None:
    await shop.desk.bill(bid(shop, book, second_cpm=4_000_000, auction_type=auction_type), None, None)
    (row,) = await rows(shop)
    assert row.charge_micros == charge


@pytest.mark.parametrize(("first_price", "charge"), [(None, 10_000), (True, 10_000), (False, 4_010)])
async def test_a_token_of_layout_2_is_settled_by_the_configuration_of_now(
    shop: Shop, book: LeaseBook, first_price: bool | None, charge: int
) -> None:
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    token = old_token(
        b"k" * 32, line_item_id=LINE_ITEM, advertiser_id=ADVERTISER, campaign_id=3, creative_id=9,
        exchange_id=EXCHANGE, request_id="r", issued_s=shop.clock.now_ms() // 1000, lease_id=lease,
        reserved_micros=10_000, bid_groszes=1_000, second_groszes=400, floor_groszes=100, user_id=USER,
    )  # fmt: skip
    shop.present = catalogue(billing_event=BillingEvent.WIN, first_price=first_price)
    assert (await shop.desk.bill(token, None, None)).outcome == "not_the_billing_event"
    assert (await shop.desk.win(token, None, None)).outcome == "billed"
    assert (await shop.desk.win(token, None, None)).outcome == "duplicate_bill"
    (row,) = await rows(shop)
    assert row.charge_micros == charge


@pytest.mark.parametrize("behind_s", [400, -7 * 3600])
async def test_a_tracker_whose_clock_is_off_judges_tokens_by_redis_s(
    shop: Shop, book: LeaseBook, behind_s: int
) -> None:
    clock = ManualClock(shop.clock.now_ms() - 1_000 * behind_s)
    server_time = ServerTime(clock)
    desk = NoticeDesk(
        shop.signer, shop.transitions, lambda: shop.present, clock, Telemetry(), shop.delivery,
        server_time=server_time,
    )  # fmt: skip
    token = bid(shop, book)
    assert (await desk.bill(token, "1.00", "PLN")).outcome == ("from_the_future" if behind_s > 0 else "expired")
    server_time.note(clock.now_ms(), shop.clock.now_ms())
    server_time.end_round()
    assert desk.look(token).status == 204, "HEAD is answered as GET is"
    assert (await desk.bill(token, "1.00", "PLN")).outcome == "billed"


async def test_the_tracker_learns_redis_s_time(shop: Shop) -> None:
    clock = ManualClock(round(time.time() * 1000) - 400_000)
    server_time = ServerTime(clock)
    await TimeWatch(server_time, shop.transitions, clock).look()
    assert server_time.offset_ms == pytest.approx(400_000, abs=5_000)
    assert server_time.is_off
