"""Clicks that do not count: told apart, in no rate, credited with nothing; and who clicks arrives all the same."""

from collections.abc import AsyncIterator

import pytest

from core import keys
from core.clock import ManualClock
from pacing.budgets.leases import LeaseBook
from pacing.budgets.timing import lease_day
from pacing.notices.clicks import MOST_A_DAY, ClickFault
from tests.kit.money import ADVERTISER, LANDING, LINE_ITEM, USER, Shop


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    made = await Shop.open(valkey, clock)
    yield made
    await made.close()


@pytest.fixture
async def book(shop: Shop) -> LeaseBook:
    made, _client = await shop.bidder()
    return made


def bid(shop: Shop, book: LeaseBook) -> str:
    return shop.signer.sign(shop.claims(book.reserve(0, 10_000, shop.clock.now_ms()))).decode()


async def counted(shop: Shop, book: LeaseBook, field: str) -> int:
    day = lease_day(book.lease_id(0))
    found = await shop.transitions.command("HGET", keys.delivery(ADVERTISER, day), f"{LINE_ITEM}:{field}")
    return int(found) if isinstance(found, bytes) else 0


async def touches(shop: Shop) -> int:
    found = await shop.transitions.command("LLEN", keys.user_touches(USER))
    assert isinstance(found, int)
    return found


async def test_a_click_within_a_second_of_the_impression_does_not_count(shop: Shop, book: LeaseBook) -> None:
    soon, later = bid(shop, book), bid(shop, book)
    for token in (soon, later):
        assert (await shop.desk.impression(token, None, None)).outcome == "seen"
    shop.clock.advance(0.9)
    result = await shop.desk.click(soon, LANDING)
    assert (result.outcome, result.location) == ("click_too_soon", LANDING)
    shop.clock.advance(0.2)
    assert (await shop.desk.click(later, LANDING)).outcome == "clicked"
    assert (await shop.desk.click(soon, LANDING)).outcome == "duplicate_click"
    assert (await counted(shop, book, "clicks"), await counted(shop, book, "invalid_clicks")) == (1, 1)
    assert await touches(shop) == 1


async def test_clicks_of_bots_do_not_count(shop: Shop, book: LeaseBook) -> None:
    result = await shop.desk.click(bid(shop, book), LANDING, ClickFault.BOT)
    assert (result.status, result.outcome, result.location) == (302, "click_bot", LANDING)
    assert (await counted(shop, book, "clicks"), await touches(shop)) == (0, 0)
    assert shop.counted("grosz_notices_total", "click", "click_bot") == 1


async def test_more_clicks_of_a_browser_than_people_make_do_not_count(shop: Shop, book: LeaseBook) -> None:
    outcomes = [(await shop.desk.click(bid(shop, book), LANDING)).outcome for _ in range(MOST_A_DAY + 2)]
    assert outcomes == ["clicked"] * MOST_A_DAY + ["click_too_many"] * 2
    shop.clock.advance(86_400)
    day = shop.clock.now_ms() // 86_400_000
    life = await shop.transitions.command("TTL", keys.clicks_of_browsers(ADVERTISER, day - 1))
    assert isinstance(life, int)
    assert life > 0
