"""A native bid shows its visitor's product, in the form that each exchange takes the object in."""

import json
from typing import Any

import msgspec
import pytest

from bidder.openrtb.judge_native import faults_of_native
from bidder.openrtb.types import Native
from core.dialects import DIALECTS
from core.ids import product_reference
from core.model import Advertiser, Exchange, ProductChoice, ProductStrategy, TemplateUse
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.cache import ProductCache
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of
from tests.kit.catalogues import EXCHANGE, catalogue, line_item, native_creative
from tests.kit.openrtb import native_imp, raw_request

REQUEST = {
    "ver": "1.2",
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 25}},
        {"id": 2, "required": 1, "img": {"type": 3, "w": 600, "h": 600}},
        {"id": 3, "required": 1, "data": {"type": 6}},
        {"id": 4, "data": {"type": 7, "len": 20}},
    ],
    "eventtrackers": [{"event": 1, "methods": [1]}],
}
HOSTILE = 'Heels "2" <b>${AUCTION_PRICE}</b> @TOKEN@ @FILLED@'
VISITOR = Shopper(shops={1: ShopState(cart_micros=1, cart=("A",), seen=("B",))})


KEPT: list[Exchange] = []
"""Who speaks for an exchange is remembered by its identity, which no other may take over after a test."""


def bidder(name: str, payer: str = "") -> TestBidder:
    """Of an exchange of this name, whose advertiser names who pays."""
    cache = ProductCache(Telemetry(), size=100)
    for product_id, title in (("A", HOSTILE), ("B", "Boots")):
        product = FeedProduct(
            product_id,
            title,
            f"https://shop1.example/{product_id}",
            "https://shop1.example/i.png",
            20_000_000,
            "PLN",
            sale_micros=9_990_000,
        )
        cache.put((1, product_reference(product_id)), product)
    choice = ProductChoice(strategies=(ProductStrategy.CART, ProductStrategy.LAST_VISIT))
    ad = native_creative(1, 1, language="pl", products=choice, template=TemplateUse(name="native"))
    exchange = msgspec.structs.replace(EXCHANGE, name=name)
    KEPT.append(exchange)
    shop = Advertiser(id=1, name="Szpilka", domain="shop1.example", dsa_behalf=payer, dsa_paid=payer)
    of_shop = catalogue(line_item(1), creatives=(ad,), exchanges=(exchange,))
    return TestBidder(msgspec.structs.replace(of_shop, advertisers=(shop,)), products=cache)


def markup(who: TestBidder, visitor: Shopper) -> Any:  # noqa: ANN401 - a text or an object
    (bid,) = bids_of(
        who.answer(
            raw_request(imp=[{"id": "1", "native": native_imp(REQUEST), "secure": 1}], regs={"gdpr": 0}), visitor
        )
    )
    return bid["adm"]


@pytest.mark.parametrize("form", [{}, {"native_root": True}, {"native_as_object": True}])
def test_a_native_bid_carries_the_product(form: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DIALECTS, "generic", msgspec.structs.replace(DIALECTS["generic"], **form))
    who = bidder(f"exchange of {sorted(form)}")
    said = markup(who, VISITOR)
    text = said if isinstance(said, str) else json.dumps(said)
    assert "@TOKEN@" not in text
    if isinstance(said, str):  # an exchange looks for its macros in it
        assert "${AUCTION_PRICE}" not in text
    root = json.loads(text)
    native = root.get("native", root)
    told = {each["id"]: each for each in native["assets"]}
    assert told[1]["title"]["text"] == 'Heels "2"…'
    assert told[2]["img"]["url"].startswith("https://track.example/i/")
    assert told[3]["data"]["value"].replace("\u00a0", " ") == "20,00 zł"
    assert told[4]["data"]["value"].replace("\u00a0", " ") == "9,99 zł"
    assert "&i=A&s=" in native["link"]["url"]
    assert native["eventtrackers"][0]["url"].startswith("https://track.example/t/imp/")
    asked = msgspec.convert(native_imp(REQUEST), Native)
    assert list(faults_of_native(asked, native)) == []


def test_a_stranger_sees_the_creatives_own_ad() -> None:
    native = json.loads(markup(bidder("plain exchange"), Shopper()))
    assert [each["id"] for each in native["assets"]] == [1, 2, 3]
    assert native["assets"][2]["data"]["value"] == "219,00 zł"


@pytest.mark.parametrize("visitor", [VISITOR, Shopper()])
def test_the_privacy_link_leads_to_who_paid_where_the_page_does_not_show_it(visitor: Shopper) -> None:
    dsa = {"dsarequired": 2, "pubrender": 0}
    who = bidder("regulated exchange", payer="Agencja")
    imp = {"id": "1", "native": native_imp({**REQUEST, "privacy": 1})}
    (bid,) = bids_of(who.answer(raw_request(imp=[imp], regs={"gdpr": 0, "dsa": dsa}), visitor))
    assert json.loads(str(bid["adm"]))["privacy"].startswith("https://track.example/why/")
