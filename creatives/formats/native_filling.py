"""Native ads of a template: the product's title, picture, price and link in the places that a page has for them.

What the page asks for and the product has not is the creative's own asset; without a product, or where the page must
have something that this product cannot give, the ad is the creative's own altogether.
"""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final

import msgspec

from core.model import Creative, NativeAssets
from creatives.formats.native import NativeRequest, WantedAsset, answer, answers, native_json, text_answer
from creatives.formats.offer import takes_mime
from creatives.macros import Tracker, click_url
from creatives.product import FeedProduct
from creatives.templates.engine import Escaped, Value
from creatives.templates.fitting import ELLIPSIS
from creatives.templates.fragments import AdFragment, AdFragments, AdSigner, ProductFiller, as_is
from creatives.templates.library import AdTemplate
from creatives.templates.parts import FOREVER_S, SIGNATURE, true_until

PRICES: Final = ("price", "sale_price")
WEBP: Final = "image/webp"
USUAL_PICTURE: Final = (1200, 627)
"""The size of a picture where a page names none: what Native 1.2 recommends for main images."""

MOST_PIXELS: Final = 2_000
"""The longest side of a picture that a page can ask for."""

# The kinds of texts that are shortened to the room that a page has, where even the shortest text is too long.
_SHORTENED: Final = ("titles", "texts")
_MIME_OF: Final = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": WEBP}
_INERT: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "@$%[]{}<>&"}


def inert_json(text: str) -> msgspec.Raw:
    """A text as JSON with all signs escaped that could be taken for one of our placeholders or an exchange's macro."""
    return msgspec.Raw(msgspec.json.encode(_whole(text)).decode().translate(_INERT).encode())


class NativeFiller(ProductFiller):
    """One creative's native ad for one list of assets."""

    kept = AdFragments()

    most = 1
    """Products that the ad has room for."""

    def __init__(
        self,
        creative: Creative,
        template: AdTemplate,
        wanted: NativeRequest,
        tracker: Tracker,
        campaign_id: int,
        escape: Callable[[str], str] = as_is,
    ) -> None:
        if creative.template is None or not template.assets:
            raise ValueError(f"creative {creative.id} has no template of native ads")
        super().__init__(creative, creative.template, template, tracker, campaign_id, escape)
        self._own = creative.native or NativeAssets()
        if not self._parts.values.get("call") and self._own.call_to_action:
            self._parts.call = self._own.call_to_action
        self._assets = template.assets
        self._given: dict[str, Value] = {
            name: Escaped(value) if isinstance(value, str) else value for name, value in self._parts.values.items()
        }
        self._wanted = wanted
        assets, _is_complete = answers(self._own, wanted.assets)
        static = native_json(creative, wanted, tracker, assets, click_url(tracker, creative.landing_url))
        self._static = escape(static)

    def fill(
        self, products: Sequence[FeedProduct], now_s: int, signer: AdSigner, nonce: int, segments: Container[int] = ()
    ) -> str:
        """The ad with the first product, `TOKEN` where the token goes; without any, the creative's own."""
        if not products:
            return self.static()
        fragment = self._fragment(products[0], now_s, self._parts.call_for(segments), signer)
        return signer.sign_click(nonce, fragment.product.id, fragment.page).join(fragment.parts)

    def static(self) -> str:
        """The creative's own ad, `TOKEN` where the token goes."""
        return self._static

    def _made(self, product: FeedProduct, now_s: int, call: str, signer: AdSigner) -> AdFragment:
        texts = self._parts.texts(product, now_s)
        names: dict[str, Value] = {**self._given, "call": Escaped(call)}
        names |= {name: Escaped(text) for name, text in texts.items()}
        found: list[dict[str, object]] = []
        for asset in self._wanted.assets:
            one = self._answer(asset, product, names, texts, signer)
            if one is not None:
                found.append({"id": asset.id, **one})
            elif asset.is_required:
                return AdFragment(product, "", (self._static,), FOREVER_S)
        page = self._parts.page_of(product)
        link = self._parts.click(page, product.id)
        markup = native_json(self.creative, self._wanted, self._parts.tracker, found, link)
        return AdFragment(product, page, tuple(self._escape(markup).split(SIGNATURE)), true_until(product, now_s))

    def _answer(
        self, asset: WantedAsset, product: FeedProduct, names: Mapping[str, Value], texts: Mapping[str, str],
        signer: AdSigner,
    ) -> dict[str, object] | None:  # fmt: skip
        if asset.kind == "images":
            return self._picture(asset, product, signer) or answer(self._own, asset)
        if asset.kind in PRICES:  # the creative's own price would be wrong for the product
            price = self._price(asset.kind, texts)
            return text_answer(asset, inert_json(price)) if price and _fits(price, asset) else None
        text = self._text(asset, names)
        return answer(self._own, asset) if text is None else text_answer(asset, inert_json(text))

    def _text(self, asset: WantedAsset, names: Mapping[str, Value]) -> str | None:
        """The longest text that the page has room for; a title that is too long loses its last words."""
        filled = (" ".join(each.fill(names).split()) for each in self._assets.get(asset.kind, ()))
        known = [text for text in filled if text]
        fitting = [text for text in known if _fits(text, asset)]
        if fitting:
            return max(fitting, key=len)
        return _shortened(min(known, key=len), asset.length) if known and asset.kind in _SHORTENED else None

    def _price(self, kind: str, texts: Mapping[str, str]) -> str:
        """A page that has places for two prices gets the old one as price; one with a single place gets today's."""
        if kind == "sale_price":
            is_needed = any(asset.kind == kind and asset.is_required for asset in self._wanted.assets)
            return texts["price"] if texts["old_price"] or is_needed else ""
        has_both = any(asset.kind == "sale_price" for asset in self._wanted.assets)
        return texts["old_price"] if texts["old_price"] and has_both else texts["price"]

    def _picture(self, asset: WantedAsset, product: FeedProduct, signer: AdSigner) -> dict[str, object] | None:
        """The picture in the size asked for, through the tracker; the shop's own where the page takes no WebP."""
        tracker = self._parts.tracker.url
        if not product.image.startswith(("https://", "http://")):
            return None
        if takes_mime(asset.mimes, WEBP):
            width, height = _measures(asset)
            if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
                return None
            url = f"{tracker}/i/{signer.sign_picture(width, height, product.image)}"
            return {"img": {**asset.told, "url": url, "w": width, "h": height}}
        mime = _MIME_OF.get(product.image.partition("?")[0].rpartition(".")[2].lower(), "")
        is_sure = mime and takes_mime(asset.mimes, mime) and not (asset.least_width or asset.least_height)
        if not is_sure or not product.image.startswith(("https://", tracker[: tracker.index("/")])):
            return None
        return {"img": {**asset.told, "url": inert_json(product.image)}}


def _fits(text: str, asset: WantedAsset) -> bool:
    return not asset.length or len(text) <= asset.length


def _measures(asset: WantedAsset) -> tuple[int, int]:
    width, height = max(asset.width, asset.least_width), max(asset.height, asset.least_height)
    if asset.width and asset.height:
        return width, height
    if width and height:
        scale = max(1, -(-600 // width))  # a least size is a thumbnail's
        return width * scale, height * scale
    usual_width, usual_height = USUAL_PICTURE
    if width:
        return width, round(width * usual_height / usual_width)
    return (round(height * usual_width / usual_height), height) if height else USUAL_PICTURE


def _shortened(text: str, length: int) -> str | None:
    """As many whole words as there is room for, with an ellipsis; of one long word its beginning."""
    if length < len(ELLIPSIS) + 1:
        return None
    kept = text[:length]
    words = kept.rpartition(" ")[0] or kept[: length - len(ELLIPSIS)]
    return f"{words}{ELLIPSIS}"


def _whole(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 can have."""
    return text.encode("utf-8", "replace").decode()


def in_string(markup: str) -> str:
    """The markup escaped for a string of JSON."""
    return json.dumps(markup, ensure_ascii=False)[1:-1]
