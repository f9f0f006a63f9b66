"""A creative's template filled with products: the same for a bid that carries the ad and for one that is loaded later.

What an ad consists of is made once and kept: its frame for each number of products, and the part of each product. Then
an ad is a handful of joins, in which only the token of its bid and the signatures of its clicks are new.
"""

import html
import urllib.parse
from collections.abc import Callable, Container, Sequence
from typing import Final

from core.model import Creative, ImageSource
from creatives.macros import TOKEN_MARK, Tracker
from creatives.product import FeedProduct
from creatives.templates.engine import Escaped
from creatives.templates.fitting import price_class, shortened
from creatives.templates.fragments import AdFragment, AdFragments, AdSigner, ProductFiller, as_is
from creatives.templates.library import BASE_CSS, AdTemplate, SizeLayout
from creatives.templates.page import AdColours, page_around
from creatives.templates.parts import SIGNATURE, true_until


def inert(text: str) -> Escaped:
    """A text that is nothing but text: neither markup, nor a place of ours, nor a macro of an exchange."""
    return Escaped(html.escape(text).translate(_INERT))


_INERT: Final = {ord(mark): f"&#{ord(mark)};" for mark in "@$%[]{}"}


class AdFiller(ProductFiller):
    """One creative's banner, in one of its template's sizes."""

    kept = AdFragments()

    def __init__(
        self,
        creative: Creative,
        template: AdTemplate,
        layout: SizeLayout,
        tracker: Tracker,
        campaign_id: int,
        escape: Callable[[str], str] = as_is,
    ) -> None:
        if creative.template is None or template.frame is None or template.product is None:
            raise ValueError(f"creative {creative.id} has no template of banners")
        super().__init__(creative, creative.template, template, tracker, campaign_id, escape)
        self._frame, self._product = template.frame, template.product
        self._layout = layout
        self._css = template.css
        values = self._parts.values
        self._colours = AdColours.of(values)
        self._given = {name: inert(value) if isinstance(value, str) else value for name, value in values.items()}
        self._frames: dict[tuple[int, str], tuple[str, str]] = {}

    @property
    def most(self) -> int:
        """Products that the ad has room for."""
        return self._layout.products

    def fill(
        self, products: Sequence[FeedProduct], now_s: int, signer: AdSigner, nonce: int, segments: Container[int] = ()
    ) -> str:
        """The ad with as many products as it has room for, `TOKEN` where the token goes; without any, the static ad."""
        call = self._parts.call_for(segments)
        shown = [self._fragment(product, now_s, call, signer) for product in products[: self._layout.products]]
        head, tail = self._around(len(shown), call)
        parts = [head]
        for fragment in shown:
            signature = signer.sign_click(nonce, fragment.product.id, fragment.page)
            parts.append(signature.join(fragment.parts))
        parts.append(tail)
        return "".join(parts)

    def static(self) -> str:
        """The ad without a product, `TOKEN` where the token goes."""
        return "".join(self._around(0, self._parts.call))

    def _around(self, count: int, call: str) -> tuple[str, str]:
        found = self._frames.get((count, call))
        if found is None:
            found = self._frames[count, call] = self._framed(count, call)
        return found

    def _framed(self, count: int, call: str) -> tuple[str, str]:
        creative, layout = self.creative, self._layout
        given, shop = self._given, str(self._parts.values.get("shop", ""))
        if not count and not shop and not given.get("logo"):  # without a product there would be nothing but a button
            shop = creative.advertiser_domain
            given = {**given, "shop": inert(shop)}
        place = Escaped("\0")
        text = self._frame.fill({
            **given, "width": creative.width, "height": creative.height,
            "size": f"{creative.width}x{creative.height}", "language": self._parts.language, "count": count,
            "call": inert(call),
            "landing": self._click(creative.landing_url, ""), "products": place,
            "advertisement": self._parts.words.advertisement,
        })  # fmt: skip
        page = page_around(
            text, f"{BASE_CSS}{self._css}", creative, layout, self._colours, self._parts.language, count,
            shop,
        )  # fmt: skip
        head, _, tail = page.partition(place)
        return self._escape(head), self._escape(tail)

    def _made(self, product: FeedProduct, now_s: int, call: str, signer: AdSigner) -> AdFragment:
        page = self._parts.page_of(product)
        markup = self._product.fill({
            **self._given, **{name: inert(text) for name, text in self._texts(product, now_s).items()},
            "call": inert(call),
            "click": self._click(page, product.id), "image": inert(self._image(product, signer)),
        })  # fmt: skip
        return AdFragment(product, page, tuple(self._escape(markup).split(SIGNATURE)), true_until(product, now_s))

    def _texts(self, product: FeedProduct, now_s: int) -> dict[str, str]:
        layout, texts = self._layout, self._parts.texts(product, now_s)
        texts["price_class"] = price_class(texts["price"])
        texts["title"] = shortened(texts["title"], layout.title_width, layout.font, max(1, layout.title_lines))
        return texts

    def _image(self, product: FeedProduct, signer: AdSigner) -> str:
        room = self._layout.picture
        if room is None or not product.image.startswith(("https://", "http://")):
            return ""
        if self._parts.use.images is ImageSource.SHOP:
            return product.image
        # Twice as many pixels as the ad has points: most screens are that fine.
        return f"{self._parts.tracker.url}/i/{signer.sign_picture(2 * room[0], 2 * room[1], product.image)}"

    def _click(self, page: str, product_id: str) -> str:
        url, macro = self._parts.click(page, product_id), self._parts.tracker.click_macro
        return macro + urllib.parse.quote(url, safe=TOKEN_MARK) if macro else url


def in_attribute(markup: str) -> str:
    """As the value of an attribute in double quotes."""
    return html.escape(markup)
