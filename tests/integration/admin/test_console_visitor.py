"""The contact card of a visitor whose profile is in Redis."""

import html
import re

from core import keys
from core.clock import ManualClock
from core.redis.client import control_redis
from segments.facts.facts import CartLine, Facts
from segments.facts.layout import pack_cold, pack_hot
from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.kit.console import person


async def test_the_card_tells_what_is_known_in_words(api: Api, shop: Shop, clock: ManualClock, valkey: str) -> None:
    user, now_s, advertiser = "V" * 22, clock.now_ms() // 1000, shop.advertiser["id"]
    rule = {"advertiser_id": advertiser, "name": "abandoned carts", "rule": "cart.age > 1h"}
    segment = await shop.caller.made("/v1/segments", rule)
    facts = Facts(
        visits=4, last_visit_s=now_s - 60, cart_since_s=now_s - 60, cart_changed_s=now_s - 60, cart_stage=2,
        cart=[CartLine("boot-7", "shoes", 349_000_000)], cart_micros=349_000_000,
    )  # fmt: skip
    hot = pack_hot(facts, [(segment["id"], now_s - 50, now_s + 50)], now_s, now_s + 86_400)
    async with control_redis(valkey) as redis:
        await redis.hset(keys.user_profile(user), str(advertiser), hot)
        await redis.hset(keys.user_facts(user), str(advertiser), pack_cold(facts))
    browser = await person(api)
    english = (await browser.get(f"/visitors?id={user}")).text
    browser.cookies["grosz_language"] = "pl"
    polish = html.unescape((await browser.get(f"/visitors?id={user}")).text)
    for told in (shop.advertiser["name"], "abandoned carts", "visits, ever; a visit ends", "boot-7", "349.00"):
        assert told in english, told
    assert "wizyty, od początku" in polish
    assert "Produkty w koszyku" in polish
    for shown in (english, polish):
        assert not re.search(r"visits\.count|cart_micros|since_s|\{", shown.partition("<main")[2])
