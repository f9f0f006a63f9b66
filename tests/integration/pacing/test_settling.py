"""Notices against a real server: every way in which they arrive, and what each does to the money."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from core import keys
from core.clock import ManualClock
from core.model import BillingEvent, Budget, Clearing, Exchange, PriceEncryption
from core.money import MAX_CPM_MICROS
from pacing.budgets.leases import LeaseBook
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S, NOTICE_BUCKET_S, lease_day, notice_bucket
from pacing.ledger.rows import PriceSource
from pacing.notices.web import PIXEL, routes
from tests.kit.money import ADVERTISER, EXCHANGE, LANDING, LINE_ITEM, TIMING, USER, Shop, catalogue, line_item
from tests.kit.settling import audited_shop, bid, leased_book, rows, spent


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    async with audited_shop(valkey, clock) as opened:
        yield opened


@pytest.fixture
async def book(shop: Shop) -> LeaseBook:
    return await leased_book(shop)


async def test_a_bill_charges_the_reported_price(shop: Shop, book: LeaseBook) -> None:
    result = await shop.desk.bill(bid(shop, book), "1.23", "PLN")
    assert (result.status, result.outcome) == (204, "billed")
    assert await spent(shop) == (1_230, 1)
    (row,) = await rows(shop)
    assert (row.charge_micros, row.price_cpm, row.late, row.price_source) == (
        1_230,
        1_230_000,
        False,
        PriceSource.REPORTED,
    )


@pytest.mark.parametrize(
    ("told", "charge"),
    [
        (None, 7_500), ("5", 7_500), ("2", 3_000), ("0.5", 750), ("9", 7_500), ("${AUCTION_MULTIPLIER}", 7_500),
        ("nan", 7_500), ("-1", 7_500), ("0", 7_500),
    ],
)  # fmt: skip
async def test_a_play_that_counts_as_several_costs_the_price_of_one_for_each(
    shop: Shop, book: LeaseBook, told: str | None, charge: int
) -> None:
    lease = book.reserve(0, 50_000, shop.clock.now_ms())
    token = shop.token(lease, 50_000, bid_cpm=10_000_000, multiplier_milli=5_000)
    assert (await shop.desk.bill(token, "1.50", "PLN", told)).outcome == "billed"
    assert await spent(shop) == (charge, 1)
    (row,) = await rows(shop)
    assert (row.charge_micros, row.price_cpm) == (charge, 1_500_000)


@pytest.mark.parametrize("times", [2, 50])
async def test_concurrent_duplicates_charge_once(shop: Shop, book: LeaseBook, times: int) -> None:
    token = bid(shop, book)
    results = await asyncio.gather(*(shop.desk.bill(token, "1.23", "PLN") for _ in range(times)))
    assert sorted(result.outcome for result in results) == ["billed"] + ["duplicate_bill"] * (times - 1)
    assert {result.status for result in results} == {204}
    assert await spent(shop) == (1_230, 1)


@pytest.mark.parametrize(
    ("price", "currency", "charge", "source"),
    [
        ("10.00", "PLN", 10_000, PriceSource.REPORTED),
        ("10.01", "PLN", 10_000, PriceSource.ABOVE_BID),
        ("0", "PLN", 0, PriceSource.REPORTED),
        ("0.50", "USD", 2_000, PriceSource.REPORTED),
        ("0.50", "XYZ", 10_000, PriceSource.UNREADABLE),
        (None, None, 1_010, PriceSource.HOUSE),
        ("", "", 1_010, PriceSource.HOUSE),
        ("${AUCTION_PRICE}", "${AUCTION_CURRENCY}", 10_000, PriceSource.UNREADABLE),
        ("-3", "PLN", 10_000, PriceSource.UNREADABLE),
        ("nan", "PLN", 10_000, PriceSource.UNREADABLE),
        ("1,5", "PLN", 10_000, PriceSource.UNREADABLE),
        ("1.5 PLN", "PLN", 10_000, PriceSource.UNREADABLE),
        ("1e12", "PLN", 10_000, PriceSource.UNREADABLE),
    ],
)
async def test_each_price_has_its_charge(
    shop: Shop, book: LeaseBook, price: str | None, currency: str | None, charge: int, source: PriceSource
) -> None:
    await shop.desk.bill(bid(shop, book), price, currency)
    (row,) = await rows(shop)
    assert (row.charge_micros, row.price_source) == (charge, source)


async def test_a_review_of_the_creative_books_nothing(shop: Shop, book: LeaseBook) -> None:
    assert (await shop.desk.bill(bid(shop, book), "AUDIT", "PLN")).outcome == "audit"
    assert await spent(shop) == (0, 0)


async def test_a_test_auction_books_nothing(shop: Shop, book: LeaseBook) -> None:
    assert (await shop.desk.bill(bid(shop, book, is_test=True), "1.00", "PLN")).outcome == "test"
    assert await spent(shop) == (0, 0)


async def test_the_house_rule_clears_at_the_rival_plus_one_grosz(shop: Shop, book: LeaseBook) -> None:
    shop.present = catalogue(clearing=Clearing.HOUSE)
    await shop.desk.bill(bid(shop, book, second_cpm=4_000_000), "1.00", "PLN")
    (row,) = await rows(shop)
    assert (row.charge_micros, row.price_source) == (4_010, PriceSource.HOUSE)


async def test_another_currency_is_settled_at_the_rate_of_the_bid(shop: Shop, book: LeaseBook) -> None:
    await shop.desk.bill(bid(shop, book, bid_cpm=2_500_000, currency="USD"), "1.00", "USD")
    assert (await spent(shop))[0] == 4_000


async def test_a_win_keeps_the_money_for_a_later_bill_and_names_its_price(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    assert (await shop.desk.win(token, "2.00", "PLN")).outcome == "won"
    shop.clock.advance(TIMING.reservation_ms / 1000 + 60)
    await shop.bank.tick()
    assert (await shop.desk.win(token, "3.00", "PLN")).outcome == "duplicate_win"
    assert (await shop.desk.bill(token, None, None)).outcome == "billed"
    (row,) = await rows(shop)
    assert (row.charge_micros, row.late, row.price_source) == (2_000, False, PriceSource.WIN_NOTICE)


async def test_a_win_that_is_never_billed_comes_back(shop: Shop, book: LeaseBook) -> None:
    await shop.desk.win(bid(shop, book), "2.00", "PLN")
    for _ in range(3):
        shop.clock.advance(TIMING.win_hold_ms / 1000)
        await shop.bank.tick()
    assert (await shop.transitions.snapshot(ADVERTISER, "")).levels["a"].micros == (-1, 0, 0, 0, 0)


async def test_a_bill_before_its_win_counts_once(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    await shop.desk.bill(token, "1.00", "PLN")
    assert (await shop.desk.win(token, "1.00", "PLN")).outcome == "win_after_bill"
    assert (await shop.desk.loss(token, "102")).outcome == "loss_after_bill"
    assert await spent(shop) == (1_000, 1)


async def test_a_loss_gives_the_reservation_back_once(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    before = (await shop.transitions.snapshot(ADVERTISER, "")).levels["a"].micros.exposure
    results = await asyncio.gather(*(shop.desk.loss(token, "102") for _ in range(5)))
    assert sorted(result.outcome for result in results) == ["duplicate_loss"] * 4 + ["lost"]
    assert (await shop.transitions.snapshot(ADVERTISER, "")).levels["a"].micros.exposure == before - 10_000
    assert shop.counted("grosz_losses_total", "102") == 1


async def test_a_bill_after_a_loss_is_late_and_still_charged(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    await shop.desk.loss(token, "102")
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "late_bill"
    assert await spent(shop) == (1_000, 1)


async def test_a_bill_after_its_lease_closed_is_charged_from_what_is_free(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    shop.clock.advance((TIMING.dead_after_ms + TIMING.reservation_ms) / 1000)
    await shop.bank.tick()
    await shop.bank.tick()
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "late_bill"
    (row,) = await rows(shop)
    assert (row.late, row.over_micros) == (True, 0)


async def test_a_late_bill_that_no_budget_covers_is_recorded_as_over_budget(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    shop.clock.advance((TIMING.dead_after_ms + TIMING.reservation_ms) / 1000)
    shop.present = catalogue(line_item(total_budget=Budget(micros=600)), version=2)
    await shop.bank.tick()
    await shop.bank.tick()
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "over_budget"
    (row,) = await rows(shop)
    assert (row.late, row.over_micros) == (True, 400)
    assert shop.counted("grosz_over_budget_micros_total", "PLN") == 400


async def test_an_expired_notice_is_gone(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    shop.clock.advance(DEFAULT_MAX_AGE_S + 1)
    assert (await shop.desk.bill(token, "1.00", "PLN"))[:2] == (410, "expired")
    assert await spent(shop) == (0, 0)


@pytest.mark.parametrize("token", ["", "x", "é" * 148, "A" * 148])
async def test_a_token_that_is_not_ours_is_the_senders_fault(shop: Shop, token: str) -> None:
    assert (await shop.desk.bill(token, "1.00", "PLN")).status in (400, 403)


@pytest.mark.parametrize(
    ("event", "billed_by"),
    [(BillingEvent.BILL, "bill"), (BillingEvent.WIN, "win"), (BillingEvent.IMPRESSION, "impression")],
)
async def test_only_the_billing_event_of_the_exchange_charges(
    shop: Shop, book: LeaseBook, event: BillingEvent, billed_by: str
) -> None:
    shop.present = catalogue(billing_event=event)
    token = bid(shop, book)
    for name in ("impression", "bill", "win"):
        if name != billed_by:
            await getattr(shop.desk, name)(token, "1.00", "PLN")
    assert await spent(shop) == (0, 0)
    assert (await getattr(shop.desk, billed_by)(token, "1.00", "PLN")).outcome == "billed"
    assert await spent(shop) == (1_000, 1)


async def test_a_billed_impression_enters_the_users_ring_once(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    for _ in range(3):
        await shop.desk.bill(token, "1.00", "PLN")
    ring = await shop.transitions.command("HGET", keys.user_profile(USER), "i")
    assert ring == LINE_ITEM.to_bytes(4, "little") + (shop.clock.now_ms() // 1000).to_bytes(4, "little")


async def test_a_user_who_may_not_be_identified_leaves_no_trace(shop: Shop, book: LeaseBook) -> None:
    await shop.desk.bill(bid(shop, book, user_id=""), "1.00", "PLN")
    assert await shop.transitions.command("KEYS", "u:*") == []
    assert await shop.transitions.command("KEYS", "at:*") == []


async def test_every_encrypted_price_is_charged_as_what_it_hides(shop: Shop, corpus: Path) -> None:
    vectors = json.loads((corpus / "price_encryption.json").read_text(encoding="utf-8"))["google_openx"]
    keys_by_name = {each["name"]: each for each in vectors["keys"]}
    bid_cpm = 2_000_000_000
    for number, vector in enumerate(vectors["vectors"] + vectors["invalid"]):
        pair = keys_by_name[vector["keys"]]
        names = ("i_key", "e_key") if vector.get("swap_keys") else ("e_key", "i_key")
        shop.present = msgspec.structs.replace(
            shop.present,
            exchanges=(
                Exchange(
                    id=EXCHANGE, key="demo", price_encryption=PriceEncryption.GOOGLE,
                    encryption_key=pair[names[0]], integrity_key=pair[names[1]],
                ),
            ),
        )  # fmt: skip
        before = (await spent(shop))[0]
        result = await shop.desk.bill(shop.token(1, bid_cpm // 1000), quote(vector["cipher"]), "PLN")
        assert result.status == 204, number
        hidden = vector.get("value")
        # A price beyond a million CPM is none; none, and one that was touched, is unreadable and charges the bid; where
        # nothing stands it is settled by the house rule.
        known = hidden is not None and hidden * 1000 <= MAX_CPM_MICROS
        charge = min(hidden, bid_cpm // 1000) if known else bid_cpm // 1000 if vector["cipher"] else 1_010
        assert (await spent(shop))[0] - before == charge, vector


async def test_a_bid_of_an_archived_advertiser_is_billed_in_its_currency(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    present = shop.present
    shop.present = msgspec.structs.replace(
        present, version=2, advertisers=(), campaigns=(), line_items=(), archived_advertisers=present.advertisers
    )
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "billed"
    assert [row.head.currency for row in await rows(shop)] == ["PLN"]


async def test_a_bid_on_an_archived_exchange_is_billed_by_its_event(shop: Shop, book: LeaseBook) -> None:
    present = catalogue(billing_event=BillingEvent.WIN, version=2)
    shop.present = msgspec.structs.replace(present, exchanges=(), archived_exchanges=present.exchanges)
    assert (await shop.desk.win(bid(shop, book), "1.00", "PLN")).outcome == "billed"


async def test_a_bid_is_remembered_for_as_long_as_any_token_of_its_bucket_is_good(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    await shop.desk.bill(token, "1.00", "PLN")
    key = keys.money_notices(ADVERTISER, notice_bucket(shop.clock.now_ms() // 1000))
    life = await shop.transitions.command("TTL", key)
    # The first notice came from a bidder ahead of the tracker; another bid of the bucket is made at its end.
    assert isinstance(life, int)
    assert life > DEFAULT_MAX_AGE_S + NOTICE_BUCKET_S + MAX_CLOCK_SKEW_S


async def test_while_the_counters_are_lost_notices_are_sent_back(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    await shop.desk.bill(token, "1.00", "PLN")
    await rows(shop)
    await shop.transitions.command("FLUSHALL")
    assert (await shop.desk.bill(token, "1.00", "PLN")).status == 503
    await shop.bank.tick()
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "duplicate_bill"
    assert (await shop.desk.bill(bid(shop, book), "1.00", "PLN")).outcome == "late_bill"
    assert await spent(shop) == (2_000, 2)


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    app.add_routes(routes(shop.desk))
    async with TestClient(TestServer(app)) as client:
        yield client


Http = TestClient[web.Request, web.Application]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/n/win/{}?p=1.00&c=PLN", "/n/bill/{}?p=1.00&c=PLN", "/n/loss/{}?r=102&m=1.5"])
async def test_notices_come_by_get_and_post(shop: Shop, book: LeaseBook, http: Http, method: str, path: str) -> None:
    async with http.request(method, path.format(bid(shop, book))) as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_a_tampered_token_is_refused(shop: Shop, book: LeaseBook, http: Http) -> None:
    token = bid(shop, book)
    forged = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for path in ("/n/win/", "/n/bill/", "/n/loss/", "/t/imp/", "/t/click/"):
        async with http.get(f"{path}{forged}?p=1.00", allow_redirects=False) as response:
            assert response.status == 403
    assert await spent(shop) == (0, 0)


async def test_the_pixel_is_an_uncached_gif(shop: Shop, book: LeaseBook, http: Http) -> None:
    async with http.get(f"/t/imp/{bid(shop, book)}") as response:
        assert (response.status, await response.read()) == (200, PIXEL)
        assert (response.content_type, response.headers["Cache-Control"]) == ("image/gif", "no-store")
    day = lease_day(book.lease_id(0))
    assert await shop.transitions.command("HGET", keys.delivery(ADVERTISER, day), f"{LINE_ITEM}:seen") == b"1"


async def test_a_click_goes_to_the_landing_page_of_the_token_and_nowhere_else(
    shop: Shop, book: LeaseBook, http: Http
) -> None:
    token = bid(shop, book)
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    async with http.get(
        f"/t/click/{token}?to={quote(LANDING, safe='')}", allow_redirects=False, headers=agent
    ) as response:
        assert (response.status, response.headers["Location"]) == (302, LANDING)
    for other in ("", f"?to={quote('https://evil.example/', safe='')}", f"?to={quote(LANDING + '#', safe='')}"):
        async with http.get(f"/t/click/{token}{other}", allow_redirects=False) as response:
            assert response.status == 400
            assert "Location" not in response.headers
    assert shop.counted("grosz_notices_total", "click", "clicked") == 1


async def test_a_link_that_is_followed_again_and_again_is_one_click(shop: Shop, book: LeaseBook) -> None:
    token = bid(shop, book)
    results = await asyncio.gather(*(shop.desk.click(token, LANDING) for _ in range(20)))
    assert {(result.status, result.location) for result in results} == {(302, LANDING)}
    assert sorted(result.outcome for result in results) == ["clicked"] + ["duplicate_click"] * 19
    day = lease_day(book.lease_id(0))
    assert await shop.transitions.command("HGET", keys.delivery(ADVERTISER, day), f"{LINE_ITEM}:clicks") == b"1"
    assert len(await touches(shop)) == 1
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "billed"
    bucket = keys.money_notices(ADVERTISER, notice_bucket(shop.clock.now_ms() // 1000))
    life = await shop.transitions.command("TTL", bucket)
    assert isinstance(life, int)
    assert life > DEFAULT_MAX_AGE_S


async def touches(shop: Shop) -> list[object]:
    """What attribution knows of the user."""
    found = await shop.transitions.command("LRANGE", keys.user_touches(USER), 0, -1)
    assert isinstance(found, list)
    return found


async def test_a_click_on_an_old_page_still_arrives(shop: Shop, book: LeaseBook, http: Http) -> None:
    token = bid(shop, book)
    shop.clock.advance(DEFAULT_MAX_AGE_S + 1)
    async with http.get(f"/t/click/{token}?to={quote(LANDING, safe='')}", allow_redirects=False) as response:
        assert response.status == 302


async def test_without_redis_notices_are_sent_back_and_clicks_arrive(shop: Shop, book: LeaseBook, http: Http) -> None:
    token = bid(shop, book)
    connection = shop.transitions.redis
    await shop.redis.close()
    async with http.get(f"/n/bill/{token}?p=1.00") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
    async with http.get(f"/t/click/{token}?to={quote(LANDING, safe='')}", allow_redirects=False) as response:
        assert response.status == 302
    again = await Shop.open(shop.url, shop.clock)
    shop.redis, shop.transitions.redis = again.redis, again.redis
    assert connection is not again.redis
    assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "billed"


async def test_an_unknown_exchange_is_settled_by_the_house_rule_without_a_price(shop: Shop, book: LeaseBook) -> None:
    assert (await shop.desk.bill(bid(shop, book, exchange_id=EXCHANGE + 1), None, None)).outcome == "billed"
    assert (await spent(shop))[0] == 1_010
