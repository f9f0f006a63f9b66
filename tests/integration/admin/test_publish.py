"""From a commit to Redis: versions only rise, nothing is lost, and roles beside the bidder get what they need."""

import asyncio
from typing import Any

from core import keys
from core.catalogue.follower import read_catalogue
from core.catalogue.version_report import FORGOTTEN_MS
from core.clock import ManualClock
from core.model import Catalogue
from core.redis.client import control_redis
from tests.integration.admin.conftest import Shop
from tests.kit.api import Api


async def _published(valkey: str) -> Catalogue:
    redis = control_redis(valkey)
    try:
        catalogue = await read_catalogue(redis)
        assert int(await redis.get(keys.CATALOGUE_VERSION) or 0) == catalogue.version
        return catalogue
    finally:
        await redis.aclose()


async def test_a_commit_wakes_the_publisher(api: Api, shop: Shop, valkey: str) -> None:
    publishing = asyncio.create_task(api.publisher.run())
    try:
        made = await shop.caller.post("/v1/line-items", shop.line_item())
        wanted = int(made.headers["Grosz-Catalogue-Version"])
        async with asyncio.timeout(20):
            while api.publisher.published_version < wanted:  # noqa: ASYNC110 - what is awaited is in another task
                await asyncio.sleep(0.01)
    finally:
        publishing.cancel()
    assert [item.id for item in (await _published(valkey)).line_items] == [made.body["id"]]


async def test_a_version_in_redis_from_an_older_database_is_passed(api: Api, shop: Shop, valkey: str) -> None:
    redis = control_redis(valkey)
    await redis.set(keys.CATALOGUE_VERSION, 5_000)
    await redis.aclose()
    assert await api.publisher.start() > 5_000
    assert (await _published(valkey)).version > 5_000
    assert await api.store.version() == (await _published(valkey)).version


async def test_archived_objects_are_not_published_and_paused_ones_are(api: Api, shop: Shop, valkey: str) -> None:
    first = await shop.caller.made("/v1/line-items", shop.line_item())
    second = await shop.caller.made("/v1/line-items", shop.line_item())
    await api.publisher.start()
    await shop.caller.post(f"/v1/line-items/{first['id']}/archive")
    await shop.caller.post(f"/v1/line-items/{second['id']}/pause")
    await api.publisher.publish()
    (left,) = (await _published(valkey)).line_items
    assert (left.id, left.status.value) == (second["id"], "paused")


async def test_archived_advertisers_and_exchanges_are_named_for_their_last_bills(
    api: Api, shop: Shop, valkey: str
) -> None:
    owner = await api.caller()
    exchange = await owner.made("/v1/exchanges", {"key": "gone", "billing_event": "win"})
    await api.publisher.start()
    await owner.post(f"/v1/exchanges/{exchange['id']}/archive")
    await owner.post(f"/v1/advertisers/{shop.advertiser['id']}/archive")
    await api.publisher.publish()
    for catalogue in (await _published(valkey), await api.store.catalogue(0)):
        assert [each.id for each in catalogue.archived_advertisers] == [shop.advertiser["id"]]
        assert [each.billing_event for each in catalogue.archived_exchanges] == ["win"]
        assert exchange["id"] not in [each.id for each in catalogue.exchanges]
        assert catalogue.advertisers == ()


async def test_keys_for_events_and_webhooks_are_published(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    owner = await api.caller()
    advertiser = shop.advertiser["id"]
    hook = {"advertiser_id": advertiser, "name": "mail", "url": "https://szpilka.example/hook", "secret": "abc"}
    await shop.caller.made("/v1/webhooks", hook)
    await owner.made("/v1/api-keys", {"name": "only reads", "scopes": ["read"]})
    ending = {"name": "ends", "scopes": ["trade"], "advertiser_ids": [advertiser], "expires": "2026-12-01T00:00:00Z"}
    await owner.made("/v1/api-keys", ending)
    await api.publisher.start()
    before = await _published(valkey)
    assert [(one.url, one.secret) for one in before.webhooks] == [("https://szpilka.example/hook", "abc")]
    assert [one.advertiser_ids for one in before.event_keys].count((advertiser,)) == 2
    clock.advance(100 * 86_400)
    await api.publisher.start()
    after = await _published(valkey)
    assert [one.advertiser_ids for one in after.event_keys].count((advertiser,)) == 1


async def test_windows_of_conversions_are_published_while_active(api: Api, shop: Shop, valkey: str) -> None:
    rule = {"advertiser_id": shop.advertiser["id"], "name": "order", "click_window_s": 3_600}
    made = await shop.caller.made("/v1/conversions", rule)
    await api.publisher.start()
    (published,) = (await _published(valkey)).conversions
    assert (published.event, published.click_window_s, published.view_window_s) == ("purchase", 3_600, 86_400)
    await shop.caller.post(f"/v1/conversions/{made['id']}/archive")
    await api.publisher.publish()
    assert (await _published(valkey)).conversions == ()


async def test_the_effective_version_is_the_lowest_of_the_living_bidders(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    version = await api.publisher.start()
    silent = (await shop.caller.get("/v1/effective-version")).body
    assert (silent["effective_version"], silent["is_effective"]) == (None, False)
    redis = control_redis(valkey)
    now = clock.now_ms()
    reports: dict[Any, Any] = {"b1": f"{version} {now}", "b2": f"{version - 1} {now}", "gone": f"1 {now - 60_000}"}
    await redis.hset(keys.CATALOGUE_EFFECTIVE, mapping=reports)
    behind = (await shop.caller.get("/v1/effective-version")).body
    assert (behind["effective_version"], behind["is_effective"]) == (version - 1, False)
    assert (await shop.caller.get(f"/v1/effective-version?version={version - 1}")).body["is_effective"]
    await redis.hset(keys.CATALOGUE_EFFECTIVE, "b2", f"{version - 1} {now} {version} no such campaign")
    refusing = (await shop.caller.get("/v1/effective-version")).body["bidders"][1]
    assert (refusing["refused_version"], refusing["refused_because"]) == (version, "no such campaign")
    await redis.hset(keys.CATALOGUE_EFFECTIVE, "b2", f"{version} {now}")
    assert (await shop.caller.get("/v1/effective-version")).body["is_effective"]
    await redis.hset(keys.CATALOGUE_EFFECTIVE, mapping={"killed": f"1 {now - 2 * FORGOTTEN_MS}", "odd": "no report"})
    assert len((await shop.caller.get("/v1/effective-version")).body["bidders"]) == 2
    await api.publisher.tidy()
    assert set(await redis.hkeys(keys.CATALOGUE_EFFECTIVE)) == {b"b1", b"b2", b"gone"}
    await redis.aclose()
