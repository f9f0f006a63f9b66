"""Recommendations over real tables: each strategy, exclusions, determinism, and nothing of another shop."""

import random

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock, SystemClock
from core.model import Margin, ProductChoice
from core.model import ProductStrategy as Strategy
from creatives.product import FeedProduct
from creatives.products.choosing import Plan, Seen, Selection, Shopper
from creatives.products.fit import fit_model
from creatives.products.interactions import InteractionLog
from creatives.products.model import ModelError, pack_model, unpack_model
from creatives.products.models import ModelStore
from creatives.products.recommending import Recommender
from creatives.products.refresh import fit_advertiser
from tests.kit.feeds import google, item
from tests.kit.products import Shop, product_shop
from tests.kit.shoppers import DAY_S, baskets, visits

NOW_S = 1_790_000_000
CLOCK = ManualClock(NOW_S * 1000)


def product(
    name: str, *, price: float = 100, category: str = "shoes", brand: str = "Acme", size: str = "", sale: float = 0,
    margin: str = "", stock: str = "in_stock", group: str = "", title: str = "", color: str = "",
) -> str:  # fmt: skip
    more = [f"<g:product_type>{category}</g:product_type>", f"<g:brand>{brand}</g:brand>", f"<g:size>{size}</g:size>"]
    if color:
        more.append(f"<g:color>{color}</g:color>")
    if sale:
        more.append(f"<g:sale_price>{sale:.2f} PLN</g:sale_price>")
    if margin:
        more.append(f"<g:custom_label_0>{margin}</g:custom_label_0>")
    if group:
        more.append(f"<g:item_group_id>{group}</g:item_group_id>")
    return item(name, *more, price=f"{price:.2f} PLN", stock=stock, title=title)


FEED = google(
    product("A", price=100), product("B", price=110), product("C", price=115, brand="Other"), product("D", price=190),
    product("E", price=100, category="bags"), product("F", price=90, sale=70), product("G", stock="out_of_stock"),
    product("H", margin="low"), product("I", margin="high"), product("J", group="g1"), product("K", group="g1"),
    product("S86", size="86", category="kids"), product("S92", size="92", category="kids"),
    product("S92b", size="92", category="kids", brand="Other"), product("S98", size="98", category="kids"),
)  # fmt: skip


async def fitted(shop: Shop) -> Recommender:
    """The shop with its feed, visits and purchases."""
    log = InteractionLog(shop.store)
    log.add(shop.advertiser_id, visits(*["ABC"] * 20, *["AD"] * 5, *["EA"] * 3, "F", start_s=NOW_S - DAY_S, gap_s=60))
    log.add(shop.advertiser_id, baskets(*["AE"] * 12, "AB", start_s=NOW_S - DAY_S))
    await log.flush()
    run = await shop.load(FEED, mapping={"margin": "custom_label_0"})
    assert run.products == 15
    await fit_advertiser(shop.store, shop.advertiser_id, CLOCK)
    return Recommender(shop.store, ModelStore(shop.store, SystemClock()), CLOCK)


def seen(*names: str, ago_s: int = 600) -> tuple[Seen, ...]:
    return tuple(Seen(name, NOW_S - ago_s + place, 100_000_000) for place, name in enumerate(names))


def shown(selection: Selection) -> list[str]:
    return [one.id for one in selection.products]


def why_not(selection: Selection) -> dict[str, str]:
    return {choice.id: choice.left_out for choice in selection.choices if choice.left_out}


async def test_every_strategy_proposes_what_it_says(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        recommender = await fitted(shop)

        async def by(strategy: Strategy, shopper: Shopper, **more: object) -> list[str]:
            plan = Plan(msgspec.convert({"strategies": [strategy], **more}, ProductChoice))
            return shown(await recommender.recommend(1, shopper, plan))

        looked = Shopper(seen=seen("D", "F", "A"), visit_start_s=NOW_S - 599)
        bought = Shopper(bought=seen("A", ago_s=40 * DAY_S))
        grown = Shopper(bought=seen("S86", ago_s=400 * DAY_S))
        assert await by(Strategy.CART, Shopper(cart=("B", "A"))) == ["B", "A"]
        assert await by(Strategy.LAST_VISIT, looked) == ["A", "F"]
        assert await by(Strategy.EVER_SEEN, looked) == ["A", "F", "D"]
        assert set((await by(Strategy.NEXT, Shopper(seen=seen("A"))))[:3]) == {"A", "B", "C"}
        assert await by(Strategy.BOUGHT, bought) == ["A"]
        assert await by(Strategy.BOUGHT, Shopper(bought=seen("A", ago_s=5 * DAY_S))) == []
        assert await by(Strategy.BOUGHT, Shopper(bought=seen("A", ago_s=5 * DAY_S), cycle_s=6 * DAY_S)) == ["A"]
        similar = await by(Strategy.SIMILAR, Shopper(seen=seen("A")))
        assert similar[0] == "B"  # same category and brand
        assert "D" not in similar  # 90 % dearer
        assert similar.index("B") < similar.index("C") < len(similar)
        assert await by(Strategy.COMPLEMENTARY, Shopper(cart=("A",))) == ["E", "B"]
        assert set(await by(Strategy.UPSELL, Shopper(seen=seen("A")), count=2)) == {"B", "C"}
        assert "D" in await by(Strategy.UPSELL, Shopper(seen=seen("A")))
        assert await by(Strategy.REDUCED, looked) == ["F"]
        assert await by(Strategy.SUCCESSOR, grown, successor_step=6) == ["S92", "S92b"]
        assert await by(Strategy.SUCCESSOR, grown, successor_step=1) == ["S92", "S92b"]  # the next larger there is
        assert await by(Strategy.SUCCESSOR, grown, successor_after_days=500) == []
        assert set((await by(Strategy.BESTSELLERS, Shopper()))[:3]) == {"A", "B", "C"}
        assert (await by(Strategy.BESTSELLERS, Shopper(seen=seen("S86")), count=2))[0].startswith("S")
        assert (await by(Strategy.TRENDING, Shopper()))[:1] == ["A"]


async def test_a_shirt_without_a_category_is_no_successor_of_a_shoe_without_one(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(google(
            product("SHOE37", size="37", category=""), product("SHIRT38", size="38", category="", title="Shirt"),
        ))  # fmt: skip
        await fit_advertiser(shop.store, shop.advertiser_id, CLOCK)
        recommender = Recommender(shop.store, ModelStore(shop.store, SystemClock()), CLOCK)
        plan = Plan(ProductChoice(strategies=(Strategy.SUCCESSOR,)))
        grown = Shopper(bought=seen("SHOE37", ago_s=400 * DAY_S))
        assert shown(await recommender.recommend(1, grown, plan)) == []


async def test_an_ad_lists_what_the_reasons_say(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        recommender = await fitted(shop)
        for shopper in (Shopper(), Shopper(cart=("B", "A"), seen=seen("D", "F", "A")), Shopper(bought=seen("A"))):
            for count in (1, 3, 8):
                plan = Plan(ProductChoice(count=count), "seed")
                chosen = await recommender.recommend(1, shopper, plan)
                assert await recommender.listed(1, shopper, plan) == chosen.products


async def test_exclusions_are_told_with_their_reasons(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        recommender = await fitted(shop)
        everything = Shopper(
            seen=seen("K", "J", "I", "H", "G", "E", "B", "A", "ZZ"), bought=seen("B", ago_s=3 * DAY_S),
            cooling=frozenset({"bags"}),
        )  # fmt: skip
        plan = Plan(ProductChoice(strategies=(Strategy.EVER_SEEN,)))
        chosen = await recommender.recommend(1, everything, plan)
        assert shown(chosen) == ["A", "H", "I", "J"]
        assert why_not(chosen) == {
            "ZZ": "is not in the feed", "B": "was bought 3 days ago", "E": "its category was just bought",
            "G": "is out of stock", "K": "another variant is in the list already",
        }  # fmt: skip
        margins = await recommender.recommend(
            1, everything, Plan(msgspec.structs.replace(plan.choice, least_margin=Margin.MEDIUM))
        )
        assert shown(margins) == ["I"]
        assert why_not(margins)["H"] == "has a margin below medium"


async def test_the_same_shopper_and_seed_give_the_same_list(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        recommender = await fitted(shop)
        shopper = Shopper(seen=seen("S86"))
        plan = Plan(ProductChoice(strategies=(Strategy.BESTSELLERS,)), seed="a")
        first = await recommender.recommend(1, shopper, plan)
        assert await recommender.recommend(1, shopper, plan) == first
        seeds = {tuple(shown(await recommender.recommend(1, shopper, Plan(plan.choice, seed=str(one)))))
                 for one in range(8)}  # fmt: skip
        assert len(seeds) > 1


async def test_stock_is_looked_at_when_the_ad_is_made(valkey: str) -> None:
    from creatives.product import Availability
    from creatives.products.changes import StockChange

    async with product_shop(valkey) as shop:
        recommender = await fitted(shop)
        plan = Plan(ProductChoice(strategies=(Strategy.EVER_SEEN,)))
        assert shown(await recommender.recommend(1, Shopper(seen=seen("A")), plan)) == ["A"]
        await shop.store.tell(1, [StockChange("A", availability=Availability.OUT_OF_STOCK)], 2**52)
        assert shown(await recommender.recommend(1, Shopper(seen=seen("A")), plan)) == []


async def test_products_that_nobody_saw_are_found_by_what_they_are(valkey: str) -> None:
    feed = google(
        product("old", title="Leather hiking boots brown", category="boots"),
        product("new", title="Leather hiking boots black", category="boots", price=105),
        *(product(f"x{number}", title=f"Garden chair {number}", category="garden") for number in range(20)),
    )
    async with product_shop(valkey) as shop:
        await shop.load(feed)
        await fit_advertiser(shop.store, 1, CLOCK)
        recommender = Recommender(shop.store, ModelStore(shop.store, SystemClock()), CLOCK)
        plan = Plan(ProductChoice(strategies=(Strategy.SIMILAR,)))
        assert shown(await recommender.recommend(1, Shopper(seen=seen("old")), plan)) == ["new"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(Strategy)))
@pytest.mark.parametrize("anchor", [None])
async def test_nothing_of_one_shop_is_ever_in_anothers_list(
    valkey_server: object, anchor: None, seed: int, strategy: Strategy
) -> None:
    chance = random.Random(seed)
    url: str = valkey_server.url  # type: ignore[attr-defined]  # an EmbeddedServer
    async with product_shop(url, advertiser_id=3) as own, product_shop(url, advertiser_id=4) as rival:
        for shop, letters in ((own, "abcdefgh"), (rival, "efghijkl")):  # four ids are in both shops
            await shop.store.commands([("DEL", *map(str, [f"{{p:{shop.advertiser_id}}}:touches"]))])
            log = InteractionLog(shop.store)
            sessions = ["".join(chance.choices(letters, k=4)) for _ in range(12)]
            log.add(shop.advertiser_id, visits(*sessions, start_s=NOW_S - DAY_S))
            log.add(shop.advertiser_id, baskets(*sessions[:4], start_s=NOW_S - 400 * DAY_S))
            await log.flush()
            feed = google(*(
                product(letter, price=chance.randint(90, 110), title=f"shop {shop.advertiser_id}", size=str(place))
                for place, letter in enumerate(letters)
            ))  # fmt: skip
            await shop.load(feed, force=True)
            await fit_advertiser(shop.store, shop.advertiser_id, CLOCK)
        recommender = Recommender(own.store, ModelStore(own.store, SystemClock()), CLOCK)
        shopper = Shopper(
            seen=seen(*chance.choices("abcdefghijkl", k=5)), cart=tuple(chance.choices("aehl", k=2)),
            bought=seen(*chance.choices("aehl", k=2), ago_s=400 * DAY_S),
        )  # fmt: skip
        selection = await recommender.recommend(3, shopper, Plan(ProductChoice(strategies=(strategy,), count=50)))
        assert {one.title for one in selection.products} <= {"shop 3"}
        assert not {one.id for one in selection.products} & set("ijkl")


async def test_similar_ones_with_the_same_attributes_come_first(valkey: str) -> None:
    feed = google(
        product("seen", title="Running shoes", category="shoes", color="red", size="42"),
        product("plain", title="Running shoes", category="shoes"),
        product("red", title="Running shoes", category="shoes", color="Red"),
        product("twin", title="Running shoes", category="shoes", color="red", size="42"),
        product("near", title="Running shoes", category="shoes", color="red", size="42", price=119),
        product("dear", title="Running shoes", category="shoes", color="red", size="42", price=121),
        product("cap", title="Running shoes cap", category="caps", color="red", size="42"),
        *(product(f"x{number}", title=f"Garden chair {number}", category="garden") for number in range(20)),
    )
    async with product_shop(valkey) as shop:
        await shop.load(feed)
        await fit_advertiser(shop.store, 1, CLOCK)
        recommender = Recommender(shop.store, ModelStore(shop.store, SystemClock()), CLOCK)
        plan = Plan(ProductChoice(strategies=(Strategy.SIMILAR,)))
        chosen = await recommender.recommend(1, Shopper(seen=seen("seen")), plan)
        assert set(shown(chosen)[:2]) == {"twin", "near"}
        assert shown(chosen)[2:] == ["red", "plain"]
        reasons = {choice.id: choice.reason for choice in chosen.choices}
        assert reasons["red"] == "like seen: same category, brand, color, price within 20 %"
        wider = await recommender.recommend(1, Shopper(seen=seen("seen")), Plan(
            ProductChoice(strategies=(Strategy.SIMILAR,), price_within_percent=25)
        ))  # fmt: skip
        assert set(shown(wider)[:3]) == {"twin", "near", "dear"}


def test_a_model_of_the_release_before_is_read() -> None:
    model = fit_model([*visits("ABC", "AB", "CA"), *baskets("AB", "AB")], [FeedProduct("A", color="red")], NOW_S * 1000)
    stored = msgspec.msgpack.decode(zstandard.decompress(pack_model(model)))
    stored[0], stored[-1] = 1, stored[-1][:-1]
    old = unpack_model(zstandard.compress(msgspec.msgpack.encode(stored)))
    assert old.ids == model.ids
    assert (old.attributes == -1).all()
    assert (model.attributes[model.ids.index("A")] >= 0).any()
    stored[0] = 3
    with pytest.raises(ModelError, match="version 3"):
        unpack_model(zstandard.compress(msgspec.msgpack.encode(stored)))


def test_a_model_comes_back_from_its_stored_form() -> None:
    model = fit_model([*visits("ABC", "AB", "CA"), *baskets("AB", "AB")], [], NOW_S * 1000)
    again = unpack_model(pack_model(model))
    assert again.ids == model.ids
    assert again.interactions == model.interactions
    number = model.ids.index("A")
    assert again.tables.following.row(number)[0].tolist() == model.tables.following.row(number)[0].tolist()
    assert again.blend.rank([number], 5).numbers.tolist() == model.blend.rank([number], 5).numbers.tolist()
