"""Auctions as they happen, and calls that were given up, at the console."""

import re

import msgspec
from redis.asyncio import Redis

from bidder.decision.tailing import TailedAuction, TailedBid
from bidder.door.tail import AUCTION_FIELD
from core import keys
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api
from tests.kit.console import Browser, person


def auction(place: str, *bids: tuple[int, int]) -> bytes:
    made = tuple(TailedBid("1", "banner", shop, line_item, 0, "2.00", "1.00", 5) for shop, line_item in bids)
    reason = "" if bids else "not_targeted"
    return msgspec.json.encode(TailedAuction(1, "demo", "r1", place, "POL", 2, ("300x250",), "PLN", reason, made))


async def rows_of(browser: Browser, begun: str) -> str:
    following = re.search(r'hx-get="(/live/rows\?[^"]*)"', begun)
    assert following
    answer = await browser.get(following[1].replace("&amp;", "&"))
    assert answer.status == 200, answer.text
    return answer.text


async def test_auctions_come_as_rows_and_nobody_sees_bids_of_others(api: Api, shop: Shop, valkey: str) -> None:
    rival = await make_shop(api, "rival")
    mine = await shop.caller.made("/v1/line-items", shop.line_item(name="Abandoned <carts>"))
    owner = await person(api)
    restricted = await person(api, "read", advertisers=(shop.advertiser["id"],), email="bea@szpilka.example")
    begun = [(await browser.get("/live?nobid=1")).text for browser in (owner, restricted)]
    redis = Redis.from_url(valkey)
    of_both = ((shop.advertiser["id"], mine["id"]), (rival.advertiser["id"], 77))
    for place, bids in (("both.example", of_both), ("theirs.example", of_both[1:]), ("nobody.example", ())):
        await redis.xadd(keys.TAIL_AUCTIONS, {AUCTION_FIELD: auction(place, *bids)})
    await redis.aclose()
    whole, own = [await rows_of(browser, text) for browser, text in zip((owner, restricted), begun, strict=True)]
    assert re.findall(r">(\w+\.example)", whole) == ["nobody.example", "theirs.example", "both.example"]
    assert "Abandoned &lt;carts&gt;" in own
    assert re.findall(r">(\w+\.example)", own) == ["both.example"]
    assert "/line-items/77/" not in own
    assert 'name="nobid"' not in begun[1]
    (link,) = re.findall(r'href="(/explain[^"]*)"', own)
    explaining = dict((await restricted.get(link.replace("&amp;", "&"))).fields)
    assert (explaining["line_item_id"], '"domain": "both.example"' in explaining["request"]) == (str(mine["id"]), True)
    assert "both.example" not in await rows_of(owner, whole)  # the next look goes on from there


async def test_calls_that_were_given_up_are_seen_by_administrators_of_all(api: Api, shop: Shop) -> None:
    owner = await person(api)
    assert "every call came through" in (await owner.get("/given-up")).text
    sent = await owner.post("/given-up", {"csrf": await owner.csrf()})
    assert sent.headers["Location"] == "/given-up?sent=0"
    restricted = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],), email="bea@szpilka.example")
    assert (await restricted.get("/given-up")).status == 403
    assert (await restricted.post("/given-up", {"csrf": await restricted.csrf()})).status == 403
