"""Whatever an impression says, and whatever a feed says: a bid keeps to its request, and its markup to itself."""

import html
import random
import re

import msgspec
import pytest

from admin.seed.catalogue import demo_catalogue
from bidder.openrtb.codec import Malformed
from core.ids import product_reference
from core.model import AdDelivery, Catalogue, Creative, Targeting
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.cache import ProductCache
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of
from tests.kit.odd_impressions import HOSTILE, OddImpressions
from tests.kit.openrtb import raw_request

REQUESTS, SHOPS, PRODUCTS = 120, 7, 6
SLOTS = ((), (), (), (1,), (-1,), (2,), (1, -1), (0,))
PATHS = (
    '?x="><script>alert(1)</script>',
    "b c",
    "%zz",
    "@TOKEN@",
    "${AUCTION_PRICE}",
    "?a=1&b=2#f",
    "'onload='alert(1)",
)
PLANTED = ("<script>alert(1)", "@TOKEN@", "@FILLED@", "${AUCTION_PRICE}", "%%CLICK_URL", "{clickurl}")


def inline(creative: Creative) -> Creative:
    """An ad of a template whose products are in the bid."""
    use = creative.template
    return creative if use is None else msgspec.structs.replace(
        creative, template=msgspec.structs.replace(use, delivery=AdDelivery.INLINE)
    )  # fmt: skip


def catalogue(chance: random.Random) -> Catalogue:
    """The demo's, with every kind of places in pods and all products in the bids."""
    demo = demo_catalogue()
    lines = tuple(
        msgspec.structs.replace(line, targeting=Targeting(pod_slots=chance.choice(SLOTS)), caps=())
        for line in demo.line_items
    )
    return msgspec.structs.replace(demo, creatives=tuple(map(inline, demo.creatives)), line_items=lines)


def feeds(chance: random.Random) -> ProductCache:
    cache = ProductCache(Telemetry(), size=100)
    for shop in range(1, SHOPS + 1):
        for number in range(PRODUCTS):
            product = FeedProduct(
                f"p{number}", chance.choice(HOSTILE) + chance.choice(HOSTILE), f"https://shop.example/{chance.choice(PATHS)}",
                f"https://cdn.example/{chance.choice(PATHS)}.jpg", chance.choice((0, 1, 999, 2**60)), "PLN",
                sale_micros=chance.choice((0, 1)),
            )  # fmt: skip
            cache.put((shop, product_reference(product.id)), product)
    return cache


@pytest.mark.parametrize("seed", range(3))
def test_bids_on_odd_impressions_keep_their_rules_and_products_stay_texts(seed: int) -> None:
    odd = OddImpressions(seed)
    demo = catalogue(odd.chance)
    bidder = TestBidder(demo, products=feeds(odd.chance))
    cart = ShopState(cart_micros=250_000_000, cart=("p0", "p1", "p2"), seen=("p3", "p4", "p5"))
    visitor = Shopper(tuple(each.id for each in demo.segments), dict.fromkeys(range(1, SHOPS + 1), cart))
    formats = set[object]()
    for _ in range(REQUESTS):
        try:
            bids = bids_of(bidder.answer(raw_request(**odd.request()), visitor))
        except Malformed:
            continue
        for bid in bids:
            formats.add(bid["mtype"])
            markup = str(bid["adm"])
            for text in (markup, *map(html.unescape, re.findall(r'srcdoc="([^"]*)"', markup))):
                assert [each for each in PLANTED if each in text] == [], text
    assert formats == {1, 2, 3, 4}
