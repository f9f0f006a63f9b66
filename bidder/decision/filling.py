"""Bids that carry their products: the parts of an ad that belong to one bid alone, filled into its prepared JSON."""

import struct

import msgspec

from bidder.decision.request_macros import MACRO
from creatives.formats.banner import BannerAd
from creatives.formats.base import Ad
from creatives.formats.dynamic import FILLING, filler_for
from creatives.formats.native import HOLE, NativeAd
from creatives.formats.native_filling import NativeFiller, in_string
from creatives.macros import TOKEN
from creatives.products.on_bid import BidProducts
from creatives.templates.filling import AdFiller
from creatives.templates.fragments import AdSigner, as_is
from creatives.templates.library import template_of

_TOKEN = TOKEN.encode()
_FILLING = FILLING.encode()
_OBJECT, _STRING = HOLE.encode(), in_string(HOLE).encode()


class Filling:
    """Fills one prepared ad on one exchange."""

    __slots__ = ("_after", "_before", "_filler", "asks", "most")

    def __init__(self, filler: AdFiller | NativeFiller, static: bytes, hole: bytes) -> None:
        """`static` is the JSON object of the bid without what differs between auctions, with `hole` in it."""
        self._filler = filler
        self.most = filler.most  # products that the ad has room for
        self.asks = MACRO.search(filler.static().encode()) is not None  # as in PreparedBid
        self._before, _, self._after = (b"," + static[1:]).partition(hole)

    def around(
        self, products: BidProducts | None, signer: AdSigner, nonce: int, segments: bytes | None, now_s: int
    ) -> list[bytes]:
        """The parts of one bid around its token. `segments` are those of its visitor, as little-endian uint32."""
        filler = self._filler
        known = struct.unpack(f"<{len(segments) // 4}I", segments) if segments and filler.has_calls else ()
        shown = products.products if products is not None else ()
        page = filler.fill(shown, now_s, signer, nonce, known)
        return b"".join((self._before, page.encode(), self._after)).split(_TOKEN)


def filling_of(ad: Ad, campaign_id: int, static: bytes) -> Filling | None:
    """What fills an ad of a template when the bid is made, None for other ads; `static` is as in `Filling`."""
    if isinstance(ad, BannerAd) and ad.filled_for is not None:
        filler = filler_for(ad.creative, ad.filled_for, campaign_id)
        return None if filler is None else Filling(filler, static, _FILLING)
    if isinstance(ad, NativeAd) and ad.filled_for is not None and ad.creative.template is not None:
        template = template_of(ad.creative.template.name)
        if template is None or not template.assets:
            return None
        tracker, wanted, privacy_url = ad.filled_for
        creative = msgspec.structs.replace(ad.creative, privacy_url=privacy_url)
        # Exchanges take the object as a text or as it is (bidder.dialects).
        hole, escape = (_STRING, in_string) if _STRING in static else (_OBJECT, as_is)
        return Filling(NativeFiller(creative, template, wanted, tracker, campaign_id, escape), static, hole)
    return None
