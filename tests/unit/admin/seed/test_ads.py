"""The demo shops' ads."""

import json
from typing import Any

import msgspec
import pytest

from admin.seed.catalogue import demo_catalogue
from admin.seed.products import demo_products
from admin.seed.shops import SHOPS
from core.ids import product_reference
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.cache import ProductCache
from loadtest.traffic.templates import NATIVE_REQUEST
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of
from tests.kit.openrtb import raw_request


def native_of(bidder: TestBidder, visitor: Shopper) -> dict[str, Any]:
    """The native ad that the demo's exchange gets."""
    imp = {"id": "1", "native": {"request": NATIVE_REQUEST, "ver": "1.2"}, "secure": 1}
    (bid,) = bids_of(bidder.answer(raw_request(imp=[imp], regs={"gdpr": 0}), visitor))
    root: dict[str, Any] = json.loads(str(bid["adm"]))
    native: dict[str, Any] = root.get("native", root)
    return native


@pytest.mark.parametrize("number", range(1, len(SHOPS) + 1))
def test_a_native_ad_shows_what_its_visitor_left_in_the_cart(number: int) -> None:
    shop, cache = SHOPS[number - 1], ProductCache(Telemetry(), size=10)
    header, first, *_rest = demo_products(
        number, shop.name, shop.look.domain, shop.currency, shop.keywords, shop.high_cart
    ).splitlines()
    row = dict(zip(header.decode().split(","), first.decode().split(","), strict=True))
    price, currency = row["price"].split()
    product = FeedProduct(row["id"], row["title"], row["link"], row["image_link"], round(float(price) * 1e6), currency)
    cache.put((number, product_reference(product.id)), product)
    published = demo_catalogue()
    own = tuple(line for line in published.line_items if line.advertiser_id == number)
    bidder = TestBidder(msgspec.structs.replace(published, line_items=own), products=cache)
    segments = tuple(each.id for each in published.segments if each.advertiser_id == number)
    carts = Shopper(segments, {number: ShopState(cart_micros=product.price_micros, cart=(product.id,))})
    shown, strange = native_of(bidder, carts), native_of(bidder, Shopper(segments))
    titles = [asset["title"]["text"] for ad in (shown, strange) for asset in ad["assets"] if "title" in asset]
    assert titles[0] == product.title
    assert titles[1].startswith(shop.look.shop)
    assert "&i=p0&s=" in shown["link"]["url"]
