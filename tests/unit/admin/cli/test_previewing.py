import json

import pytest

from admin.cli.previewing import in_size, markup_for, page_with, products_of
from admin.products.documents import view_of
from core.errors import InputError
from core.model import AdDelivery, ProductChoice, TemplateUse
from creatives.preview.page import ad_page
from creatives.templates.samples import USUAL
from tests.kit.catalogues import creative, native_creative
from tests.kit.openrtb import body_of, raw_request
from tests.kit.spots import video_creative

DYNAMIC = creative(
    1,
    1,
    html="",
    language="pl",
    products=ProductChoice(),
    template=TemplateUse(name="grid", parameters={"shop": "Szpilka"}),
)


def test_the_products_of_a_user_are_shown_as_the_ad_shows_them() -> None:
    page = page_with(DYNAMIC, products_of([view_of(each, 1) for each in USUAL[:4]]), 1)
    for word in ("Szpilki lakierowane", "199,99", "249,99", "Botki"):
        assert word in page
    assert "@" not in page.replace("@media", "").replace("@font-face", "").replace("@keyframes", "")


def test_without_a_product_it_is_the_shop_s_name() -> None:
    for page in (page_with(DYNAMIC, (), 1), ad_page(DYNAMIC)):
        assert "Szpilka" in page
        assert "<img" not in page


def test_an_ad_that_is_the_same_for_everybody_has_no_user() -> None:
    with pytest.raises(InputError, match="shows the same to everybody"):
        page_with(creative(1, 1), (), 1)


NATIVE = native_creative(2, 1, language="pl", products=ProductChoice(), template=TemplateUse(name="native"))
ASSETS = {"ver": "1.2", "assets": [{"id": 1, "required": 1, "title": {"len": 60}}, {"id": 2, "data": {"type": 6}}]}


def native_request(assets: object) -> bytes:
    return body_of(raw_request(imp=[{"id": "1", "native": {"request": json.dumps(assets)}}]))


def test_a_native_ad_of_a_template_shows_the_product_of_a_user() -> None:
    (product,) = products_of([view_of(USUAL[0], 1)])
    page = page_with(NATIVE, (product,), 1)
    assert product.title in page
    assert f'src="{product.image}"' in page
    assert page_with(NATIVE, (), 1) == ad_page(NATIVE)


def test_the_markup_for_a_request_has_the_products_or_what_is_seen_without_any() -> None:
    request = native_request(ASSETS)
    product = USUAL[0]
    with_product = json.loads(markup_for(NATIVE, request, "https://track.example", (product,)))
    assert with_product["assets"][0]["title"]["text"] == product.title
    assert "unsigned" in with_product["link"]["url"]
    without = json.loads(markup_for(NATIVE, request, "https://track.example"))
    assert without["assets"][0]["title"]["text"] == "Szpilki czerwone, ostatnie sztuki"
    inline = TemplateUse(name="grid", parameters={"shop": "Szpilka"}, delivery=AdDelivery.INLINE)
    banner = creative(1, 1, html="", language="pl", products=ProductChoice(), template=inline)
    markup = markup_for(banner, body_of(raw_request()), "https://track.example", (product,))
    assert "Szpilki lakierowane" in markup
    assert "@FILLED@" not in markup


def test_a_request_that_takes_no_such_ad_writes_nothing_and_says_so() -> None:
    player = {"id": "1", "video": {"mimes": ["video/ogg"], "protocols": [3], "maxduration": 60}}
    for ad, request in (
        (video_creative(), body_of(raw_request(imp=[player]))),
        (creative(1, 1), body_of(raw_request(imp=[{"id": "1", "banner": {"w": 300, "h": 250, "btype": [2, 3, 4]}}]))),
        (NATIVE, native_request({"assets": [{"id": 1, "required": 1, "title": {"len": 2}}]})),
    ):
        with pytest.raises(InputError, match="does not fit"):
            markup_for(ad, request, "https://track.example")


def test_a_banner_is_looked_at_in_another_size_that_its_template_has() -> None:
    assert "728px" in ad_page(in_size(DYNAMIC, (728, 90)))
    assert in_size(DYNAMIC, None) is DYNAMIC
    assert in_size(NATIVE, (728, 90)) is NATIVE
    with pytest.raises(InputError, match="grid has no 17x3"):
        in_size(DYNAMIC, (17, 3))
