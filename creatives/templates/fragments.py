"""Products in ads, each made once and kept: what a filler of banners and one of native ads have in common."""

import abc
import itertools
from collections.abc import Callable
from typing import ClassVar, Final, NamedTuple, Protocol

from core.model import Creative, TemplateUse
from creatives.macros import Tracker
from creatives.product import FeedProduct
from creatives.templates.library import AdTemplate
from creatives.templates.parts import ProductParts

FRAGMENTS: Final = 4_000
"""How many fragments a process keeps for its banners, and again for its native ads; some 2 KiB each."""


class AdSigner(Protocol):
    """What signs addresses in ads (pacing.notices.tokens.TokenSigner)."""

    def sign_click(self, nonce: int, product_id: str, url: str) -> str: ...

    def sign_picture(self, width: int, height: int, url: str) -> str: ...


class AdFragment(NamedTuple):
    """One product in one ad: markup around the places of its signature, and until when it is true (unix seconds)."""

    product: FeedProduct
    page: str
    parts: tuple[str, ...]
    until_s: int


class AdFragments:
    """AdFragments of all ads of a process; two generations, as in `creatives.products.cache`."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, most: int = FRAGMENTS) -> None:
        self._half = max(1, most // 2)
        self._young: dict[tuple[object, ...], AdFragment] = {}
        self._old: dict[tuple[object, ...], AdFragment] = {}

    def get(self, key: tuple[object, ...]) -> AdFragment | None:
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: tuple[object, ...], fragment: AdFragment) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = fragment


_serials: Final = itertools.count(1)


def as_is(text: str) -> str:
    """For ads that are pages of their own."""
    return text


class ProductFiller(abc.ABC):
    """One creative's ad with products, for one tracker and campaign; a subclass says what a product becomes.

    `escape` says what becomes of the markup: a bid has it in an attribute, in JSON. Neither token nor signatures have
    characters that it changes.
    """

    kept: ClassVar[AdFragments]
    """The fragments of all ads that one subclass makes."""

    def __init__(
        self,
        creative: Creative,
        use: TemplateUse,
        template: AdTemplate,
        tracker: Tracker,
        campaign_id: int,
        escape: Callable[[str], str],
    ) -> None:
        self.creative = creative
        self._serial = next(_serials)
        self._parts = ProductParts(creative, use, template, tracker, campaign_id)
        self._escape = escape

    @property
    def has_calls(self) -> bool:
        """Whether the call to action depends on the visitor's segments."""
        return self._parts.has_calls

    def _fragment(self, product: FeedProduct, now_s: int, call: str, signer: AdSigner) -> AdFragment:
        key = (self._serial, product.id, call)
        found = self.kept.get(key)
        if found is None or found.product is not product or now_s >= found.until_s:
            found = self._made(product, now_s, call, signer)
            self.kept.put(key, found)
        return found

    @abc.abstractmethod
    def _made(self, product: FeedProduct, now_s: int, call: str, signer: AdSigner) -> AdFragment:
        """The product in this ad, anew."""
