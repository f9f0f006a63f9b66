"""No title, price, link or address of a product, page or shop becomes markup, in any template and way of delivery."""

import functools
import html
import json
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import AdDelivery, Creative, Format, ImageSource, SegmentCall
from creatives.formats.banner import FORMAT
from creatives.formats.dynamic import filler_for
from creatives.formats.native import NativeRequest
from creatives.formats.native_filling import NativeFiller, in_string
from creatives.formats.offer import Offer
from creatives.macros import TOKEN, Tracker
from creatives.product import FeedProduct
from creatives.templates.filling import AdFiller
from creatives.templates.library import AdTemplate, templates
from creatives.templates.native_samples import PLACES, native_creative_of
from creatives.templates.samples import sample_creative
from pacing.notices.tokens import TokenSigner

TRACKER = Tracker("https://track.example")
SIGNER = TokenSigner({1: b"k" * 32})
BANNERS = {name: each for name, each in templates().items() if each.schema.format is Format.BANNER}
HOSTILE = st.one_of(
    st.text(max_size=200),
    st.sampled_from((
        '"><script>alert(1)</script>', "'><img src=x onerror=alert(1)>", "</style><script>", "</title><b>",
        "{{ shop }}", "{% if price %}", "@TOKEN@", "@SIGNED@", "@FILLED@", "${GDPR}", "${AUCTION_PRICE}",
        "%%CLICK_URL%%", "\\u003cscript", "&lt;script&gt;", "&#60;b&#62;", 'x" onmouseover="alert(1)',
        "javascript:alert(1)", "data:text/html,<script>", "\u202e\u2066", "\0", "]]>", "-->", "<!--", "\\",
        '\\"', "`${1}`",
    )),
)  # fmt: skip
LINKS = st.one_of(HOSTILE, HOSTILE.map(lambda text: f"https://shop.example/{text}"))
PRODUCTS = st.builds(
    FeedProduct, id=HOSTILE, title=HOSTILE, link=LINKS, image=LINKS, price_micros=st.integers(0, 10**13),
    currency=st.one_of(st.sampled_from(("PLN", "JPY", "")), HOSTILE.map(lambda text: text[:3])),
    sale_micros=st.integers(0, 10**13), brand=HOSTILE, shipping=st.sampled_from(("free", "")),
    loyalty_micros=st.integers(0, 10**13), labels=st.lists(HOSTILE, max_size=2).map(tuple),
)  # fmt: skip


class Seen(HTMLParser):
    """Elements with their attributes, and where they lead."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[tuple[str, ...]] = set()
        self.addresses: set[tuple[str, str]] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, *sorted(name for name, _ in attrs)))
        self.addresses |= {(tag, value or "") for name, value in attrs if name in ("href", "src", "srcdoc")}

    def handle_comment(self, data: str) -> None:
        self.elements.add(("comment", data))


@functools.cache
def harmless(template: AdTemplate, size: str, language: str) -> set[tuple[str, ...]]:
    """All elements that an ad of the template can have."""
    looks: tuple[dict[str, str], ...] = ({"shop": "a", "headline": "b"}, {})
    full = FeedProduct(
        "a", "b", "https://shop.example/", "https://shop.example/i", 2, "PLN", sale_micros=1, shipping="free"
    )
    found: set[tuple[str, ...]] = set()
    for product in (
        full,
        FeedProduct("a", "b", price_micros=2),
        msgspec.structs.replace(full, labels=("last_pieces",)),
    ):
        for products in ((product,) * 5, (product,), ()):
            for look in looks:
                found |= Seen(filled(sample_creative(template, size, look, language), template, products)).elements
    return found


def filled(creative: Creative, template: AdTemplate, products: tuple[FeedProduct, ...]) -> str:
    layout = template.layout(creative.width, creative.height)
    assert layout is not None
    return AdFiller(creative, template, layout, TRACKER, 7).fill(products, 5, SIGNER, 1, (3,))


@pytest.mark.parametrize("name", BANNERS)
@settings(max_examples=25, deadline=None)
@given(
    products=st.lists(PRODUCTS, max_size=5).map(tuple), size=st.sampled_from(("300x250", "320x50", "160x600")),
    texts=st.tuples(HOSTILE, HOSTILE, HOSTILE), landing=LINKS, images=st.sampled_from(ImageSource),
    language=st.sampled_from(("pl", "ar", "x-<b>")),
)  # fmt: skip
def test_nothing_that_a_shop_says_becomes_markup(
    name: str, products: tuple[FeedProduct, ...], size: str, texts: tuple[str, str, str], landing: str,
    images: ImageSource, language: str,
) -> None:  # fmt: skip
    template = BANNERS[name]
    plain = sample_creative(template, size, {"shop": texts[0], "headline": texts[1], "call": texts[2]}, language)
    assert plain.template is not None
    use = msgspec.structs.replace(plain.template, images=images, calls=(SegmentCall(3, texts[2] or "x"),))
    landing = landing.replace("@TOKEN@", "").encode("utf-8", "replace").decode()  # as the API takes it
    creative = msgspec.structs.replace(plain, template=use, landing_url=landing, name=texts[0], alt_text=texts[1])
    page = filled(creative, template, products)
    seen = Seen(page)
    assert seen.elements <= harmless(template, size, language)
    for tag, address in seen.addresses:
        if tag == "a":
            assert address.startswith(f"https://track.example/t/click/{TOKEN}?to=")
            assert address.count(TOKEN) == 1
        else:
            assert address.startswith(("https://", "http://"))
    # In a bid the page is the value of an attribute in JSON, and comes out of it as it was.
    bid = filler_for(creative, TRACKER, 7)
    assert bid is not None
    text = json.loads(f'"{bid.fill(products, 5, SIGNER, 1, (3,))}"')
    assert '"' not in text
    assert html.unescape(text) == page


@settings(max_examples=100, deadline=None)
@given(
    product=PRODUCTS, texts=st.tuples(HOSTILE, HOSTILE, HOSTILE), landing=LINKS, place=st.sampled_from(sorted(PLACES)),
    mimes=st.sampled_from(((), ("image/jpeg",), ("image/webp",))), length=st.sampled_from((0, 1, 2, 25, 90)),
)  # fmt: skip
def test_nothing_that_a_shop_says_becomes_more_than_a_text_of_a_native_ad(
    product: FeedProduct, texts: tuple[str, str, str], landing: str, place: str, mimes: tuple[str, ...], length: int
) -> None:
    template = templates()["native"]
    plain = native_creative_of(template, {"shop": texts[0], "headline": texts[1]})
    assert plain.template is not None
    use = msgspec.structs.replace(plain.template, calls=(SegmentCall(3, texts[2] or "x"),))
    landing = landing.replace("@TOKEN@", "").encode("utf-8", "replace").decode()
    creative = msgspec.structs.replace(plain, template=use, landing_url=landing)
    assets = tuple(
        each._replace(
            mimes=mimes if each.kind == "images" else (), length=length if each.kind == "titles" else each.length
        )
        for each in PLACES[place].assets
    )
    raw = NativeFiller(creative, template, NativeRequest(assets), TRACKER, 7).fill((product,), 5, SIGNER, 1, (3,))
    assert raw.count(TOKEN) == 2  # the click and the impression
    assert not any(macro in raw for macro in ("${", "%%", "@SIGNED@", "@FILLED@"))
    native = json.loads(raw)
    assert native.keys() == {"ver", "link", "assets", "imptrackers"}
    assert native["link"].keys() == {"url"}
    assert native["link"]["url"].startswith(f"https://track.example/t/click/{TOKEN}?to=")
    wanted = {each.id: each for each in assets}
    for asset in native["assets"]:
        (kind,) = asset.keys() - {"id"}
        if kind == "img":
            assert asset["img"]["url"].startswith(("https://", "http://"))
        else:
            text = asset[kind]["text" if kind == "title" else "value"]
            assert len(text) > 0
            assert len(text) <= (wanted[asset["id"]].length or len(text))
    # In a bid it is a string of JSON, and comes out of it as it was.
    bid = NativeFiller(creative, template, NativeRequest(assets), TRACKER, 7, in_string)
    assert json.loads(f'"{bid.fill((product,), 5, SIGNER, 1, (3,))}"') == raw


@settings(max_examples=50, deadline=None)
@given(texts=st.tuples(HOSTILE, HOSTILE, HOSTILE), landing=LINKS, delivery=st.sampled_from(AdDelivery))
def test_nor_does_it_around_the_frame(texts: tuple[str, str, str], landing: str, delivery: AdDelivery) -> None:
    def elements(shop: str, call: str, name: str, page: str) -> set[tuple[str, ...]]:
        plain = sample_creative(BANNERS["grid"], "300x250", {"shop": shop, "call": call})
        assert plain.template is not None
        use = msgspec.structs.replace(plain.template, delivery=delivery)
        creative = msgspec.structs.replace(plain, template=use, name=name, landing_url=page)
        return Seen(FORMAT.render(creative, Offer("banner", ((300, 250),)), TRACKER).markup).elements

    page = landing.replace("@TOKEN@", "").encode("utf-8", "replace").decode()
    assert elements(*texts, page) == elements("a", "b", "c", "https://shop.example/")
