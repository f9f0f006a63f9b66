"""Rules that ask what a product was like, with a worker, a real feed and a real server."""

import contextlib
from collections.abc import AsyncIterator

import msgspec

from admin.roles.product_traits import FeedTraits, SwapsOfFeeds
from core.clock import ManualClock
from core.ids import new_user_id
from core.keys import SEGMENT_SWEEP
from core.model import Segment
from core.redis.client import control_redis
from core.telemetry.metrics import Telemetry
from segments.facts.event import Event, Item, Kind
from segments.facts.layout import HOT_VERSION
from segments.profiles.scanning import ServerScanner
from segments.worker.reindex import SETTLE_S, SegmentReindexer
from tests.kit.feeds import google, item
from tests.kit.products import Shop, product_shop
from tests.kit.profiles import EventRig, catalogue, event_rig

RULES = {
    1: 'viewed margin "high"', 2: 'viewed brand "gino*"', 3: "viewed price >= 200 PLN", 4: "viewed on_sale",
    5: 'bought label "outlet"', 6: 'added margin "low"', 7: "products.reduced >= 1",
}  # fmt: skip
SEGMENTS = [Segment(id=number, advertiser_id=1, name="", rule=rule) for number, rule in RULES.items()]


def feed(*, margin: str = "wysoka", sale: str = "", price: str = "300 PLN") -> str:
    more = [f"<g:custom_label_1>{margin}</g:custom_label_1>", "<g:brand>Gino Rossi</g:brand>",
            "<g:custom_label_0>Outlet</g:custom_label_0>"]  # fmt: skip
    if sale:
        more.append(f"<g:sale_price>{sale}</g:sale_price>")
    return google(item("shoe", *more, price=price), item("sock", "<g:custom_label_1>low</g:custom_label_1>"))


@contextlib.asynccontextmanager
async def rig_with_feed(
    url: str, clock: ManualClock, segments: list[Segment]
) -> AsyncIterator[tuple[EventRig, Shop, SegmentReindexer, SwapsOfFeeds]]:
    """A worker as its composition root builds it, with the shop's product tables."""
    async with product_shop(url, clock) as shop:
        traits = FeedTraits(shop.store, clock)
        async with event_rig(url, clock, published=catalogue(segments), ask_products=traits.of_products) as rig:
            client = control_redis(url)
            await client.hset(SEGMENT_SWEEP, "layout", HOT_VERSION)
            swaps = SwapsOfFeeds(shop.store, rig.planner.asked)
            reindexer = SegmentReindexer(
                rig.store, ServerScanner(client), rig.planner,
                lambda: swaps.with_feeds(rig.directory.rule_versions()), rig.sizes, clock, Telemetry(),
                ask_products=traits.of_products,
            )  # fmt: skip
            try:
                yield rig, shop, reindexer, swaps
            finally:
                await client.aclose()


async def load(shop: Shop, text: str) -> None:
    run = await shop.load(text, mapping={"margin": "custom_label_1"})
    assert run.products == 2, run


async def inside(rig: EventRig, user: str) -> list[int]:
    (found,) = await rig.segments_of(user)
    return [int.from_bytes(found[at : at + 4], "little") for at in range(0, len(found), 4)]


async def happen(rig: EventRig, user: str, kind: str, *ids: str, order: int = 0) -> None:
    at_ms = rig.clock.now_ms()
    await rig.send(Event(kind, 1, user, at_ms, items=tuple(Item(one) for one in ids), order=order))
    await rig.settle()


async def run_pass(reindexer: SegmentReindexer, swaps: SwapsOfFeeds, clock: ManualClock, rig: EventRig) -> int:
    await swaps.look(rig.directory.rule_versions())
    total = await reindexer.step() or 0
    clock.advance(SETTLE_S)
    while (looked_at := await reindexer.step()) is not None:
        total += looked_at
    return total


async def test_products_are_judged_as_they_were_at_the_event(valkey: str, clock: ManualClock) -> None:
    async with rig_with_feed(valkey, clock, SEGMENTS) as (rig, shop, reindexer, swaps):
        await load(shop, feed(sale="250 PLN"))
        early, late = new_user_id(), new_user_id()
        await happen(rig, early, Kind.VIEW_ITEM, "shoe")
        assert await inside(rig, early) == [1, 2, 3, 4, 7]
        await load(shop, feed(margin="niska", price="150 PLN"))
        await happen(rig, late, Kind.VIEW_ITEM, "shoe")
        assert await inside(rig, late) == [2]
        assert await run_pass(reindexer, swaps, clock, rig) >= 2
        assert await inside(rig, early) == [1, 2, 3, 4]  # what was is not undone; what is reduced now is
        await happen(rig, late, Kind.ADD_TO_CART, "sock", "nowhere")
        await happen(rig, late, Kind.PURCHASE, "shoe", order=5)
        assert await inside(rig, late) == [2, 5]


async def test_a_feed_that_reduces_what_was_seen_reaches_silent_visitors(valkey: str, clock: ManualClock) -> None:
    async with rig_with_feed(valkey, clock, SEGMENTS[6:]) as (rig, shop, reindexer, swaps):
        await load(shop, feed())
        user, other = new_user_id(), new_user_id()
        await happen(rig, user, Kind.VIEW_ITEM, "shoe")
        await happen(rig, other, Kind.VIEW_ITEM, "sock")
        await run_pass(reindexer, swaps, clock, rig)
        assert await run_pass(reindexer, swaps, clock, rig) == 0  # nothing has changed since
        assert (await inside(rig, user), await inside(rig, other)) == ([], [])
        await load(shop, feed(sale="199 PLN"))
        assert await run_pass(reindexer, swaps, clock, rig) >= 2
        assert (await inside(rig, user), await inside(rig, other)) == ([7], [])
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.products[0].traits is not None
        assert facts.products[0].traits.margin == ""  # no rule asks for it


async def test_a_new_rule_gets_what_was_seen_before_from_the_feed_of_now(valkey: str, clock: ManualClock) -> None:
    async with rig_with_feed(valkey, clock, []) as (rig, shop, reindexer, swaps):
        await load(shop, feed())
        user = new_user_id()
        await happen(rig, user, Kind.VIEW_ITEM, "shoe")
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.products[0].traits is None
        rig.directory.replace(catalogue(SEGMENTS[:3]))
        await run_pass(reindexer, swaps, clock, rig)
        assert await inside(rig, user) == [1, 2, 3]


async def test_another_shops_feed_says_nothing(valkey: str, clock: ManualClock) -> None:
    segments = [msgspec.structs.replace(one, id=one.id + 10, advertiser_id=2) for one in SEGMENTS[:1]]
    async with rig_with_feed(valkey, clock, [*SEGMENTS[:1], *segments]) as (rig, shop, _, __):
        await load(shop, feed())
        user = new_user_id()
        for advertiser_id in (1, 2):
            await rig.send(Event(Kind.VIEW_ITEM, advertiser_id, user, clock.now_ms(), items=(Item("shoe"),)))
        await rig.settle()
        assert await inside(rig, user) == [1]


async def test_a_damaged_feed_does_not_stop_events(valkey: str, clock: ManualClock) -> None:
    async with rig_with_feed(valkey, clock, SEGMENTS) as (rig, shop, _, __):
        await load(shop, feed())
        await shop.store.commands([("HSET", "{p:1}:heads", 1, b"rubbish"), ("HINCRBY", "{p:1}:model", "swaps", 1)])
        user = new_user_id()
        await happen(rig, user, Kind.VIEW_ITEM, "shoe")
        facts = await rig.facts(user)
        assert facts is not None
        assert [one.id for one in facts.products] == ["shoe"]
