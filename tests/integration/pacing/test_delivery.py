"""What notices leave in the funnel's counters, through a real server."""

from collections.abc import AsyncIterator

import pytest

from core import keys
from core.clock import ManualClock, SystemClock
from core.errors import UnavailableError
from core.model import BillingEvent
from core.redis.client import PipelinedRedis
from pacing.budgets.leases import LeaseBook
from pacing.budgets.transitions import Transitions
from pacing.notices.delivery import (
    CLICKS,
    FIVE_MINUTES_S,
    HOUR_S,
    IMPRESSIONS,
    SPEND_MICROS,
    WINS,
    DeliveryWriter,
    delivery_by_line_item,
)
from tests.kit.money import LANDING, LINE_ITEM, Shop, catalogue


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock)
    yield shop
    await shop.close()


@pytest.fixture
async def book(shop: Shop) -> LeaseBook:
    return (await shop.bidder())[0]


def token(shop: Shop, book: LeaseBook) -> str:
    lease = book.reserve(0, 1_000, shop.clock.now_ms())
    assert lease
    return shop.token(lease, 1_000)


async def counted(shop: Shop, length_s: int = FIVE_MINUTES_S) -> dict[str, int]:
    bucket = shop.clock.now_ms() // 1000 // length_s
    (processes,) = await shop.transitions.commands([("SMEMBERS", keys.delivery_processes(length_s, bucket))])
    assert isinstance(processes, list)
    names = [keys.delivery_block(length_s, bucket, process.decode()) for process in processes]
    blocks = await shop.transitions.commands([("GET", name) for name in names])
    return delivery_by_line_item(block for block in blocks if isinstance(block, bytes)).get(LINE_ITEM, {})


async def test_each_notice_counts_once_and_by_what_it_says(shop: Shop, book: LeaseBook) -> None:
    writer = DeliveryWriter(shop.delivery, shop.transitions)
    won, lost, other = token(shop, book), token(shop, book), token(shop, book)
    for _repetition in range(2):
        await shop.desk.win(won, "1.00", "PLN")
        await shop.desk.bill(won, "1.00", "PLN")
        await shop.desk.loss(lost, "102")
        await shop.desk.loss(other, "what")
    await shop.desk.click(won, LANDING)
    await writer.write()
    expected = {WINS: 1, IMPRESSIONS: 1, SPEND_MICROS: 1_000, CLICKS: 1, "loss.102": 1, "loss.other": 1}
    assert await counted(shop) == expected
    assert await counted(shop, HOUR_S) == expected


async def test_a_win_that_bills_is_a_win_and_an_impression(shop: Shop, book: LeaseBook) -> None:
    shop.present = catalogue(billing_event=BillingEvent.WIN)
    await shop.desk.win(token(shop, book), "1.00", "PLN")
    await DeliveryWriter(shop.delivery, shop.transitions).write()
    assert await counted(shop) == {WINS: 1, IMPRESSIONS: 1, SPEND_MICROS: 1_000}


async def test_test_bids_and_forgeries_count_nothing(shop: Shop, book: LeaseBook) -> None:
    lease = book.reserve(0, 1_000, shop.clock.now_ms())
    await shop.desk.win(shop.token(lease, 1_000, is_test=True), "1.00", "PLN")
    await shop.desk.loss("forged", "102")
    await DeliveryWriter(shop.delivery, shop.transitions).write()
    assert await counted(shop) == {}


async def test_processes_add_up_and_a_restarted_one_keeps_what_it_wrote(shop: Shop, book: LeaseBook) -> None:
    await shop.desk.win(token(shop, book), "1.00", "PLN")
    await DeliveryWriter(shop.delivery, shop.transitions).write()
    shop.delivery.take_changed()
    second = Shop(shop.redis, shop.clock, shop.present, shop.url)
    await second.desk.win(token(shop, book), "1.00", "PLN")
    await DeliveryWriter(second.delivery, second.transitions).write()
    assert await counted(shop) == {WINS: 2}


async def test_counts_wait_while_redis_is_away(shop: Shop, book: LeaseBook, valkey: str) -> None:
    closed = await PipelinedRedis.open(valkey, clock=SystemClock())
    await closed.close()
    writer = DeliveryWriter(shop.delivery, Transitions(closed, SystemClock()))
    await shop.desk.win(token(shop, book), "1.00", "PLN")
    with pytest.raises(UnavailableError):
        await writer.write()
    await writer.close()
    writer._transitions = shop.transitions  # Redis is back
    await writer.write()
    assert await counted(shop) == {WINS: 1}
