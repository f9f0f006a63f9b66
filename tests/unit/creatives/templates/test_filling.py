"""Ads show what products cost now, and lead to their pages."""

import msgspec

from core.model import Creative, ImageSource, ProductChoice, SegmentCall, TemplateUse
from creatives.macros import TOKEN, Tracker
from creatives.product import Availability, FeedProduct
from creatives.templates.filling import AdFiller
from creatives.templates.fragments import AdFragment, AdFragments
from creatives.templates.library import template_of
from creatives.templates.parts import ProductParts, with_query
from pacing.notices.tokens import TokenSigner
from tests.kit.catalogues import creative

SIGNER = TokenSigner({1: b"k" * 32})
HEELS = FeedProduct(
    "heels", "Red heels", "https://shop1.example/heels?v=1#top", "https://shop1.example/heels.jpg", 100_000_000, "PLN",
    sale_micros=80_000_000, sale_from_s=1_000, sale_to_s=2_000, shipping="free",
)  # fmt: skip


def filler(tracker: str = "https://track.example", **use: object) -> AdFiller:
    template = template_of("single")
    assert template is not None
    ad = creative(5, 1, html="", language="pl", products=ProductChoice(), template=TemplateUse(name="single", **use))  # type: ignore[arg-type]
    layout = template.layout(300, 250)
    assert layout is not None
    return AdFiller(ad, template, layout, Tracker(tracker), 7)


def parts(**use: object) -> ProductParts:
    template = template_of("single")
    assert template is not None
    own = TemplateUse(name="single", **use)  # type: ignore[arg-type]
    return ProductParts(creative(5, 1, language="pl"), own, template, Tracker("https://track.example"), 7)


def test_a_sale_begins_and_ends_by_itself() -> None:
    one = filler()
    texts = [one.fill([HEELS], now_s, SIGNER, 1).replace("\u00a0", " ") for now_s in (999, 1_000, 2_000)]
    assert [text.count("80,00 zł") for text in texts] == [0, 1, 0]
    assert [text.count("\u221220&#37;") for text in texts] == [0, 1, 0]
    assert all("100,00 zł" in text for text in texts)


def test_a_product_that_changed_is_made_anew() -> None:
    one = filler()
    assert "80,00" in one.fill([HEELS], 1_500, SIGNER, 1)
    assert "70,00" in one.fill([msgspec.structs.replace(HEELS, sale_micros=70_000_000)], 1_500, SIGNER, 1)


def test_two_ads_of_one_product_do_not_share_what_was_made() -> None:
    assert "b&amp;B" not in filler(parameters={"call": "A"}).fill([HEELS], 1, SIGNER, 1)
    assert ">B<" in filler(parameters={"call": "B"}).fill([HEELS], 1, SIGNER, 1)


def test_a_click_leads_to_the_products_page_with_the_ads_query() -> None:
    page = parts().page_of(HEELS)
    assert page == (
        "https://shop1.example/heels?v=1&utm_source=grosz&utm_medium=display&utm_campaign=7&utm_content=5&utm_term=heels#top"
    )
    text = filler().fill([HEELS], 1, SIGNER, 99)
    signature = SIGNER.sign_click(99, "heels", page)
    assert f"i=heels&amp;s={signature}" in text
    assert text.count(TOKEN) == 2  # the shop's name leads to the landing page


def test_a_product_without_a_page_leads_to_the_landing_page() -> None:
    for link in ("", "javascript:alert(1)", f"https://shop1.example/{'x' * 2_000}", "https://shop1.example/@TOKEN@"):
        assert parts().page_of(msgspec.structs.replace(HEELS, link=link)) == "https://shop1.example/"
    gone = msgspec.structs.replace(HEELS, availability=Availability.OUT_OF_STOCK)
    assert parts().page_of(gone) == "https://shop1.example/"


def test_a_query_adds_what_is_not_there_yet() -> None:
    assert (
        with_query("https://a.example/?utm_source=own", "utm_source=grosz&b=1")
        == "https://a.example/?utm_source=own&b=1"
    )
    assert with_query("https://a.example/", "") == "https://a.example/"
    assert with_query("https://a.example/#x", "b=1") == "https://a.example/?b=1#x"


def test_members_of_a_segment_are_called_to_do_something_else() -> None:
    calls = (SegmentCall(4, "15% for you"), SegmentCall(5, "Come back"))
    one = filler(calls=calls)
    assert parts(calls=calls).call_for({5}) == "Come back"
    assert parts(calls=calls).call_for({4, 5}) == "15% for you"
    assert "15&#37; for you" in one.fill([HEELS], 1, SIGNER, 1, {4})
    assert "Zobacz" in one.fill([HEELS], 1, SIGNER, 1, {9})


def test_without_a_product_the_static_ad_is_left() -> None:
    one = filler(parameters={"shop": "Szpilka"})
    assert one.fill([], 1, SIGNER, 1) == one.static()
    assert "Szpilka" in one.static()
    assert 'class="product"' not in one.static()


def test_the_static_ad_of_a_shop_without_name_and_logo_says_whose_it_is() -> None:
    one = filler()
    assert one.creative.advertiser_domain
    assert f'<b class="shop" dir="auto">{one.creative.advertiser_domain}</b>' in one.static()
    assert f">{one.creative.advertiser_domain}</b>" not in one.fill([HEELS], 1, SIGNER, 1)


def test_pictures_of_the_tracker_are_signed() -> None:
    text = filler(images=ImageSource.TRACKER).fill([HEELS], 1, SIGNER, 1)
    token = text.partition('src="https://track.example/i/')[2].partition('"')[0]
    picture = SIGNER.read_picture(token)
    assert picture is not None
    assert picture.url == HEELS.image
    assert "shop1.example/heels.jpg" not in text


def test_an_exchange_that_counts_clicks_gets_its_macro_in_front() -> None:
    template = template_of("single")
    assert template is not None
    ad: Creative = filler().creative
    layout = template.layout(300, 250)
    assert layout is not None
    tracker = Tracker("https://track.example", click_macro="%%CLICK_URL_ESC%%", click_macro_encoded="%%C%%")
    text = AdFiller(ad, template, layout, tracker, 7).fill([HEELS], 1, SIGNER, 1)
    assert f'href="%%CLICK_URL_ESC%%https%3A%2F%2Ftrack.example%2Ft%2Fclick%2F{TOKEN}%3Fto%3D' in text


def test_fragments_are_bounded_and_those_in_use_stay() -> None:
    kept = AdFragments(most=4)
    made = AdFragment(HEELS, "", (), 0)
    kept.put(("used",), made)
    for number in range(20):
        kept.put((number,), made)
        assert kept.get(("used",)) is made
    assert kept.get((0,)) is None
