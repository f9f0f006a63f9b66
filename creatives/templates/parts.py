"""What an ad of a template says of a product, whatever its format: texts, the page of its click, its call to action."""

import urllib.parse
from collections.abc import Container
from typing import Final

from core.model import Creative, TemplateUse
from creatives.formats.landing import MAX_LANDING_CHARS
from creatives.macros import TOKEN_MARK, Tracker, click_url
from creatives.product import Availability, FeedProduct
from creatives.templates.library import AdTemplate
from creatives.templates.wording import discount_text, language_of, price_text, words_of

SIGNATURE: Final = "@SIGNED@"
"""Stands for the signature of a product's click, which differs from bid to bid."""

FOREVER_S: Final = 2**62


class ProductParts:
    """The parts of one creative's ads, for one tracker and campaign."""

    def __init__(
        self, creative: Creative, use: TemplateUse, template: AdTemplate, tracker: Tracker, campaign_id: int
    ) -> None:
        self.creative = creative
        self.use = use
        self.tracker = tracker
        self._campaign_id = campaign_id
        self.language = language_of(creative.language)
        self.words = words_of(self.language)
        self.values = template.values(use.parameters)
        self.call = str(self.values.get("call", "")) or self.words.call
        self._calls = tuple((each.segment_id, each.text) for each in use.calls)

    @property
    def has_calls(self) -> bool:
        """Whether the call to action depends on the visitor's segments."""
        return bool(self._calls)

    def call_for(self, segments: Container[int]) -> str:
        """The call to action for a member of these segments: that of the first one that has its own."""
        for segment_id, text in self._calls:
            if segment_id in segments:
                return text
        return self.call

    def texts(self, product: FeedProduct, now_s: int) -> dict[str, str]:
        """The texts that a template can name, empty where the product has none; its title whole."""
        words, language, wants = self.words, self.language, self.values.get
        price, before = product.current_micros(now_s), product.price_micros
        loyalty = ""
        if 0 < product.loyalty_micros < price and wants("show_loyalty"):
            loyalty = words.loyalty.format(price=price_text(product.loyalty_micros, product.currency, language))
        last = str(wants("last_pieces_label") or "")
        title = " ".join(product.title.split()) or product.brand or product.id
        return {
            "title": title,
            "brand": product.brand,
            "initial": next((letter for letter in product.brand or title if letter.isalnum()), "•").upper(),
            "price": price_text(price, product.currency, language),
            "old_price": price_text(before, product.currency, language) if price < before else "",
            "discount": discount_text(price, before) if wants("show_discount") else "",
            "delivery": words.delivery if product.shipping.lower() == "free" and wants("show_delivery") else "",
            "last_pieces": words.last_pieces if last and last in product.labels else "",
            "loyalty": loyalty,
        }

    def page_of(self, product: FeedProduct) -> str:
        """Where a click on a product leads: its page with the ad's query; the creative's where it has none."""
        if product.availability is Availability.OUT_OF_STOCK or not product.link.startswith(("https://", "http://")):
            return self.creative.landing_url
        page = with_query(product.link, self._query(product.id))
        fits = len(urllib.parse.quote(page, safe="")) <= MAX_LANDING_CHARS
        return page if fits and TOKEN_MARK not in page else self.creative.landing_url

    def _query(self, product_id: str) -> str:
        text = self.use.query
        for name, value in (
            ("{campaign}", str(self._campaign_id)), ("{creative}", str(self.creative.id)), ("{product}", product_id),
        ):  # fmt: skip
            text = text.replace(name, urllib.parse.quote(value, safe=""))
        return text

    def click(self, page: str, product_id: str) -> str:
        """The counted address of a page, with `SIGNATURE` where that of the product goes."""
        url = click_url(self.tracker, page)
        if product_id:
            url += f"&i={urllib.parse.quote(product_id, safe='')}&s={SIGNATURE}"
        return url


def with_query(link: str, query: str) -> str:
    """A link with more parameters; those that it has already keep their values, and its fragment stays last."""
    if not query:
        return link
    bare, mark, fragment = link.partition("#")
    page, _, own = bare.partition("?")
    named = {each.partition("=")[0] for each in own.split("&")}
    more = [each for each in query.split("&") if each and each.partition("=")[0] not in named]
    together = "&".join([each for each in (own, *more) if each])
    return f"{page}?{together}{mark}{fragment}" if together else link


def true_until(product: FeedProduct, now_s: int) -> int:
    """When the price of a product changes by itself (unix seconds)."""
    moments = [each for each in (product.sale_from_s, product.sale_to_s) if each > now_s]
    return min(moments, default=FOREVER_S) if product.sale_micros else FOREVER_S
