"""Bids of creatives that show products carry them; others are left as they were."""

from bidder.decision.choose import Chosen, choose
from bidder.decision.pipeline import evaluate
from bidder.decision.products import attach_products
from core.ids import product_reference
from core.model import ProductChoice, ProductStrategy
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.cache import ProductCache
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of, profile_batch
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.openrtb import raw_request

SHOWN = ProductChoice(strategies=(ProductStrategy.CART, ProductStrategy.LAST_VISIT))
VISITOR = Shopper(shops={1: ShopState(cart_micros=1, cart=("A",), seen=("B", "C")), 2: ShopState(seen=("D",))})
REQUEST = raw_request(imp=[{"id": "1", "banner": {"w": 300, "h": 250}}], regs={"gdpr": 0})


def bidder(*, dynamic: bool) -> tuple[TestBidder, ProductCache]:
    cache = ProductCache(Telemetry(), size=100)
    for advertiser_id, name in ((1, "A"), (1, "B"), (2, "A"), (2, "D")):
        title = f"{name} of shop {advertiser_id}"
        product = FeedProduct(name, title, image="https://shop.example/i.png", price_micros=1)
        cache.put((advertiser_id, product_reference(name)), product)
    ad = creative(1, 1, products=SHOWN if dynamic else None)
    return TestBidder(catalogue(line_item(1), creatives=(ad, creative(2, 2))), products=cache), cache


def bid(who: TestBidder, cache: ProductCache, visitor: Shopper) -> Chosen:
    """The chosen bid on REQUEST, as the pipeline makes it."""
    auction, profiles = who.screened(REQUEST), profile_batch([visitor])
    found = evaluate([auction], profiles, who.snapshot, who.clock.now_ms())
    assert found is not None
    chosen = choose(found, who.snapshot, who.clock.now_ms())
    attach_products(chosen, found, cache, profiles, who.clock.now_ms())
    return chosen[0]


def test_a_dynamic_bid_has_the_products_of_its_visitor_at_its_own_shop() -> None:
    who, cache = bidder(dynamic=True)
    products = bid(who, cache, VISITOR).products
    assert products is not None
    assert [one.title for one in products.products] == ["A of shop 1", "B of shop 1"]
    assert products.strategies == SHOWN.strategies
    assert products.unknown == 1  # C is fetched now
    assert cache.waiting() == [(1, product_reference("C"))]


def test_a_visitor_whose_cart_has_lost_its_value_still_saw_its_products() -> None:
    who, cache = bidder(dynamic=True)
    products = bid(who, cache, Shopper(shops={1: ShopState(cart=("A",), seen=("B",))})).products
    assert products is not None
    assert set(products.strategies) == {ProductStrategy.LAST_VISIT}


def test_a_stranger_gets_none_and_nobody_is_asked_for() -> None:
    who, cache = bidder(dynamic=True)
    products = bid(who, cache, Shopper()).products
    assert products is not None
    assert (products.products, products.unknown, products.is_full) == ((), 0, False)
    assert cache.waiting() == []


def test_the_bid_path_asks_for_products_only_where_an_ad_shows_some() -> None:
    who, cache = bidder(dynamic=True)
    assert bids_of(who.answer(REQUEST, VISITOR))
    assert cache.waiting() == [(1, product_reference("C"))]
    static, unasked = bidder(dynamic=False)
    assert bids_of(static.answer(REQUEST, VISITOR))
    assert bid(static, unasked, VISITOR).products is None
    assert not unasked.is_used


def test_a_rehearsal_asks_for_nothing() -> None:
    who, cache = bidder(dynamic=True)
    who.snapshot = who.snapshot.rehearsal()
    assert bids_of(who.answer(REQUEST, VISITOR))
    assert not cache.is_used
