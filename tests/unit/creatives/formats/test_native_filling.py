"""A native ad of a template has the product's words, picture, price and link in the places that the page has."""

import json
from typing import Any

import msgspec
import pytest

from core.model import Creative, NativeAssets, Picture, ProductChoice, SegmentCall, TemplateUse
from creatives.formats.native import NativeRequest, WantedAsset
from creatives.formats.native_filling import NativeFiller, inert_json
from creatives.formats.table import check_creative
from creatives.macros import TOKEN, Tracker
from creatives.product import FeedProduct
from creatives.templates.library import template_of
from creatives.templates.samples import UGLY
from pacing.notices.tokens import TokenSigner
from tests.kit.catalogues import NATIVE, native_creative

SIGNER = TokenSigner({1: b"k" * 32})
HEELS = FeedProduct(
    "heels", "Red heels", "https://shop1.example/heels?v=1", "https://shop1.example/heels.jpg", 249_990_000, "PLN",
    sale_micros=199_990_000, sale_from_s=1_000, sale_to_s=2_000, shipping="free",
)  # fmt: skip
TITLE, PRICE, SALE = (
    WantedAsset(1, "titles", True, 25),
    WantedAsset(6, "price", False),
    WantedAsset(7, "sale_price", False),
)


def ad(**members: Any) -> Creative:  # noqa: ANN401 - members of several types
    use = TemplateUse(**{"name": "native", **members.pop("use", {})})
    fields = {"language": "pl", "products": ProductChoice(), "template": use, **members}
    return native_creative(1, 1, **fields)


def shown(
    *assets: WantedAsset, product: FeedProduct | None = HEELS, now_s: int = 1_500, creative: Creative | None = None,
    segments: tuple[int, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    """What the page reads."""
    template = template_of("native")
    assert template is not None
    filler = NativeFiller(creative or ad(), template, NativeRequest(assets), Tracker("https://track.example"), 7)
    text = filler.fill([product] if product is not None else [], now_s, SIGNER, 9, segments)
    found: dict[str, Any] = json.loads(text)
    return found


def answer(asset: WantedAsset, **more: Any) -> Any:  # noqa: ANN401 - of several shapes
    (found,) = shown(asset, **more)["assets"] or [{}]
    return found


def test_the_product_is_what_the_ad_says_and_leads_to() -> None:
    found = shown(TITLE, PRICE, SALE, WantedAsset(4, "texts", False), WantedAsset(5, "sponsored", False))
    values = [(each.get("title") or each.get("data")) for each in found["assets"]]
    said = [str(next(iter(each.values()))).replace("\u00a0", " ") for each in values]
    assert said == ["Red heels", "249,99 zł", "199,99 zł", "Darmowa dostawa", "Szpilka"]
    page = "https://shop1.example/heels?v=1&utm_source=grosz&utm_medium=display&utm_campaign=7&utm_content=1&utm_term=heels"
    link = found["link"]["url"]
    assert link.startswith(
        f"https://track.example/t/click/{TOKEN}?to=https%3A%2F%2Fshop1.example%2Fheels%3Fv%3D1%26utm"
    )
    assert link.endswith(f"&i=heels&s={SIGNER.sign_click(9, 'heels', page)}")


def test_a_page_with_one_place_for_a_price_gets_that_of_today() -> None:
    texts = [answer(PRICE, now_s=now_s)["data"]["value"].replace("\u00a0", " ") for now_s in (999, 1_500, 2_000)]
    assert texts == ["249,99 zł", "199,99 zł", "249,99 zł"]
    assert shown(PRICE, SALE, now_s=999)["assets"][1:] == []
    needed = shown(PRICE, SALE._replace(is_required=True), now_s=999)["assets"]
    assert needed[0]["data"] == needed[1]["data"]


def test_a_price_is_the_products_or_none() -> None:
    short = PRICE._replace(length=5)
    assert answer(short) == {}
    assert shown(TITLE, short._replace(is_required=True))["assets"][0] == {"id": 1, "title": {"text": NATIVE.titles[0]}}


def test_a_title_that_is_too_long_loses_its_last_words() -> None:
    for product in UGLY:
        text = answer(TITLE, product=product)["title"]["text"]
        assert 1 <= len(text) <= 25
        assert text == product.title or (text.endswith("…") and product.title.startswith(text[:-1]))
    word = msgspec.structs.replace(HEELS, title="x" * 80)
    assert answer(TITLE, product=word)["title"]["text"] == "x" * 24 + "…"


@pytest.mark.parametrize(
    ("asked", "measures"),
    [
        ({"width": 600, "height": 400}, (600, 400)),
        ({"least_width": 200, "least_height": 200}, (600, 600)),
        ({"least_width": 900, "least_height": 300}, (900, 300)),
        ({"width": 2, "least_width": 700}, (700, 366)),
        ({"width": 2, "least_width": 700, "least_height": 700}, (700, 700)),
        ({"width": 1200}, (1200, 627)),
        ({}, (1200, 627)),
        ({"width": 300, "height": 250, "mimes": ("image/webp", "image/png")}, (300, 250)),
    ],
)
def test_a_picture_has_the_size_that_the_page_asks_for(asked: dict[str, Any], measures: tuple[int, int]) -> None:
    image = answer(WantedAsset(2, "images", True, type=3, **asked))["img"]
    token = image["url"].removeprefix("https://track.example/i/")
    signed = SIGNER.read_picture(token)
    assert signed is not None
    assert (signed.width, signed.height, signed.url) == (*measures, HEELS.image)
    assert (image["w"], image["h"], image["type"]) == (*measures, 3)


def test_a_page_that_takes_no_webp_gets_the_shops_own_picture_or_the_creatives() -> None:
    asset = WantedAsset(2, "images", True, mimes=("image/jpg", "image/png"))
    assert answer(asset)["img"] == {"url": HEELS.image}
    own = {"url": "https://cdn.example/square.jpg", "w": 600, "h": 600}
    for product in (
        msgspec.structs.replace(HEELS, image="https://shop1.example/heels.webp"),
        msgspec.structs.replace(HEELS, image="http://shop1.example/heels.jpg"),
        msgspec.structs.replace(HEELS, image=""),
    ):
        assert answer(asset, product=product)["img"] == own
    least = asset._replace(least_width=100, least_height=100)
    assert answer(least)["img"] == own
    too_large = WantedAsset(2, "images", True, least_width=9_000, least_height=9_000)
    assert (
        answer(too_large, creative=ad(native=NativeAssets(images=(Picture("x", 9_000, 9_000),))))["img"]["url"] == "x"
    )


def test_what_the_product_has_not_is_the_creatives_own() -> None:
    found = shown(TITLE, WantedAsset(3, "icon", True), WantedAsset(8, "rating", False), product=HEELS)
    assert found["assets"][1]["img"]["url"] == "https://cdn.example/icon.png"
    assert len(found["assets"]) == 2
    static = shown(TITLE, PRICE, product=None)
    assert static["assets"][1]["data"]["value"] == NATIVE.price
    assert static["link"]["url"].endswith("?to=https%3A%2F%2Fshop1.example%2F")


def test_members_of_a_segment_are_called_to_do_something_else() -> None:
    button = WantedAsset(9, "call_to_action", False)
    calls = ad(use={"calls": (SegmentCall(4, "15% for you"),)})
    assert answer(button, creative=calls, segments=(4,))["data"]["value"] == "15% for you"
    assert answer(button, creative=calls, segments=(5,))["data"]["value"] == NATIVE.call_to_action
    own = ad(use={"parameters": {"call": "Weź"}})
    assert answer(button, creative=own)["data"]["value"] == "Weź"


def test_texts_in_json_hold_no_macro_until_they_are_read() -> None:
    text = "${AUCTION_PRICE} %%CLICK%% @TOKEN@ [x] {clickurl} </script><script>&amp;"
    raw = bytes(inert_json(text)).decode()
    assert not set("$@%[]{}<>&") & set(raw), "nor markup, where a page has the JSON in a script"
    assert json.loads(raw) == text


def test_a_native_creative_of_a_template_is_sound_and_one_that_is_filled_later_is_told() -> None:
    assert check_creative(ad()) == []
    later = ad(use={"delivery": "impression"})
    later = msgspec.convert(msgspec.to_builtins(later), Creative)
    assert [fault.pointer for fault in check_creative(later)] == ["/template/delivery"]
    assert [fault.pointer for fault in check_creative(ad(use={"name": "grid"}))] == ["/template/name"]
    assert [fault.pointer for fault in check_creative(ad(native=None))] == ["/native"]
