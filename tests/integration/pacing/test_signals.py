"""What pages and players tell of a shown ad, over HTTP and against a real server: each event counts once a bid."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from core import keys
from core.clock import ManualClock, SystemClock
from core.redis.client import PipelinedRedis
from pacing.budgets.leases import LeaseBook
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, lease_day
from pacing.budgets.transitions import Transitions
from pacing.notices.signals import ERROR_CODES, QUARTILES, VIEWS, Signal, SignalDesk
from pacing.notices.signals_web import signal_routes
from pacing.notices.web import PIXEL
from tests.kit.money import ADVERTISER, LINE_ITEM, Shop
from tests.kit.settling import audited_shop, bid, leased_book, spent

Http = TestClient[web.Request, web.Application]
PATHS = ("/t/quartile/{}?e=start", "/t/view/{}", "/t/error/{}?e=405")


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    async with audited_shop(valkey, clock) as opened:
        yield opened


@pytest.fixture
async def book(shop: Shop) -> LeaseBook:
    return await leased_book(shop)


@pytest.fixture
def desk(shop: Shop) -> SignalDesk:
    return SignalDesk(shop.signer, shop.transitions, shop.clock, shop.telemetry)


@pytest.fixture
async def http(desk: SignalDesk) -> AsyncIterator[Http]:
    app = web.Application()
    app.add_routes(signal_routes(desk))
    async with TestClient(TestServer(app)) as client:
        yield client


async def counts(shop: Shop, book: LeaseBook) -> dict[str, int]:
    """What reports find of the line item."""
    found = await shop.transitions.command("HGETALL", keys.delivery(ADVERTISER, lease_day(book.lease_id(0))))
    assert isinstance(found, list)
    pairs = zip(found[::2], found[1::2], strict=True)
    return {key.decode().removeprefix(f"{LINE_ITEM}:"): int(value) for key, value in pairs}


async def test_each_event_of_a_video_is_counted_once_a_bid(shop: Shop, book: LeaseBook, http: Http) -> None:
    tokens = [bid(shop, book) for _ in range(2)]
    paths = [f"/t/quartile/{{}}?e={event}" for event in QUARTILES] + [f"/t/view/{{}}?e={event}" for event in VIEWS]
    paths.append("/t/error/{}?e=405")
    for token in (*tokens, *tokens):
        for path in paths:
            async with http.get(path.format(token)) as response:
                assert (response.status, await response.read()) == (200, PIXEL)
    assert await counts(shop, book) == dict.fromkeys(map(str, Signal), 2)
    assert await spent(shop) == (0, 0)
    assert shop.counted("grosz_signals_total", "complete", "counted") == 2
    assert shop.counted("grosz_signals_total", "complete", "duplicate") == 2
    assert shop.counted("grosz_creative_errors_total", "405") == 2


async def test_reports_at_the_same_time_are_one(shop: Shop, book: LeaseBook, desk: SignalDesk) -> None:
    token = bid(shop, book)
    results = await asyncio.gather(*(desk.take(token, Signal.MIDPOINT) for _ in range(30)))
    assert sorted(result.outcome for result in results) == ["counted"] + ["duplicate"] * 29
    assert await counts(shop, book) == {"midpoint": 1}


async def test_an_answer_is_for_every_page_and_kept_by_nobody(shop: Shop, book: LeaseBook, http: Http) -> None:
    for path in PATHS:
        async with http.post(path.format(bid(shop, book))) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in response.headers


async def test_a_view_without_a_word_is_a_view(shop: Shop, book: LeaseBook, http: Http) -> None:
    async with http.get(f"/t/view/{bid(shop, book)}"):
        assert await counts(shop, book) == {"viewable": 1}


@pytest.mark.parametrize("path", ["/t/quartile/{}", "/t/quartile/{}?e=", "/t/quartile/{}?e=half", "/t/view/{}?e=no"])
async def test_an_event_that_nobody_knows_is_refused(shop: Shop, book: LeaseBook, http: Http, path: str) -> None:
    async with http.get(path.format(bid(shop, book))) as response:
        assert response.status == 400
    assert await counts(shop, book) == {}
    assert shop.counted("grosz_signals_total", "unknown", "unknown_event") == 1


@pytest.mark.parametrize("code", ["", "[ERRORCODE]", "0", "99999999", "4o5", "-1", "${code}"])
async def test_a_code_of_nobody_s_list_is_an_error_of_another_kind(
    shop: Shop, book: LeaseBook, desk: SignalDesk, code: str
) -> None:
    assert (await desk.take(bid(shop, book), Signal.ERROR, code)).outcome == "counted"
    assert shop.counted("grosz_creative_errors_total", "other") == 1
    assert code not in ERROR_CODES


async def test_only_a_genuine_token_in_time_counts(shop: Shop, book: LeaseBook, http: Http) -> None:
    token, test = bid(shop, book), bid(shop, book, is_test=True)
    forged = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for path in PATHS:
        for sent, status in ((forged, 403), ("x", 400), (test, 200)):
            async with http.get(path.format(sent)) as response:
                assert response.status == status, (path, sent)
    shop.clock.advance(DEFAULT_MAX_AGE_S + 400)
    for path in PATHS:
        async with http.get(path.format(token)) as response:
            assert response.status == 410
    assert await counts(shop, book) == {}


async def test_a_look_has_no_effect(shop: Shop, book: LeaseBook, http: Http) -> None:
    token = bid(shop, book)
    for path in PATHS:
        async with http.head(path.format(token)) as looked, http.head(path.format("x")) as wrong:
            assert (looked.status, wrong.status) == (200, 400)
    assert await counts(shop, book) == {}


async def test_what_a_bid_told_is_forgotten_with_its_token(shop: Shop, book: LeaseBook, desk: SignalDesk) -> None:
    await desk.take(bid(shop, book), Signal.START)
    (names,) = [await shop.transitions.command("KEYS", "*notices*")]
    assert isinstance(names, list)
    lives = [await shop.transitions.command("TTL", name) for name in names]
    assert all(isinstance(life, int) and 0 < life < DEFAULT_MAX_AGE_S + 3_600 for life in lives), lives


async def test_without_redis_nothing_is_counted_and_nobody_is_asked_to_repeat_it(shop: Shop, book: LeaseBook) -> None:
    away = await PipelinedRedis.open(shop.url, clock=SystemClock())
    await away.close()
    desk = SignalDesk(shop.signer, Transitions(away, SystemClock()), shop.clock, shop.telemetry)
    result = await desk.take(bid(shop, book), Signal.START)
    assert (result.status, result.outcome) == (200, "not_counted")
    assert shop.counted("grosz_signals_total", "start", "not_counted") == 1


async def test_in_whatever_order_they_come_each_counts_once(shop: Shop, book: LeaseBook, desk: SignalDesk) -> None:
    draw, expected = random.Random(1), dict.fromkeys(map(str, Signal), 0)
    for _ in range(20):
        token, order = bid(shop, book), draw.choices(list(Signal), k=12)
        for signal in order:
            await desk.take(token, signal)
        for signal in set(order):
            expected[signal] += 1
    assert await counts(shop, book) == {name: count for name, count in expected.items() if count}
