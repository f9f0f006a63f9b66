"""HEAD on the addresses that are in ads and notices: what scanners of mails, link checkers and previews send."""

from urllib.parse import quote

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from core.clock import ManualClock
from pacing.notices.web import routes
from tests.kit.money import ADVERTISER, LANDING, Shop


async def test_a_look_is_answered_alike_and_has_no_effect(valkey: str, clock: ManualClock) -> None:
    shop = await Shop.open(valkey, clock)
    book, client = await shop.bidder()
    await shop.reserve_all(book, client, 10_000, ticks=3)
    lease = book.reserve(0, 10_000, clock.now_ms())
    assert lease
    token = shop.token(lease, 10_000)
    app = web.Application()
    app.add_routes(routes(shop.desk))
    async with TestClient(TestServer(app)) as http:
        answers = {
            f"/n/win/{token}": 204, f"/n/bill/{token}?p=1": 204, f"/n/loss/{token}?r=1": 204, f"/t/imp/{token}": 200,
            f"/t/click/{token}?to={quote(LANDING, safe='')}": 302, f"/t/click/{token}?to=x": 400,
        }  # fmt: skip
        for path, status in answers.items():
            async with http.head(path, allow_redirects=False) as looked:
                assert (looked.status, await looked.read()) == (status, b""), path
                assert looked.headers.get("Location", LANDING) == LANDING
        for path in ("/n/win/x", "/n/bill/x", "/n/loss/x", "/t/imp/x", "/t/click/x?to=y"):
            async with http.head(path) as looked, http.get(path) as asked:
                assert looked.status == asked.status
        assert shop.counted("grosz_notices_total", "click", "clicked") == 0
        assert await _impressions(shop) == 0
        async with http.get(f"/n/bill/{token}?p=1.00&c=PLN") as billed:
            assert billed.status == 204
        assert await _impressions(shop) == 1, "the loss that was looked at has released nothing"
    await shop.close()


async def _impressions(shop: Shop) -> int:
    levels = (await shop.transitions.snapshot(ADVERTISER, "")).levels
    return levels["a"].impressions.spent
