"""The answer: prepared bytes around the few values that belong to one bid.

Everything of a bid that does not change between auctions (markup, notice URLs, advertiser, size) is encoded to JSON
once per creative and exchange and cut at the places of the token; a bid is then a handful of joins.
"""

import functools
import html
import operator

import msgspec

from bidder.openrtb.response import MARKUP_BANNER, encode_response, quote
from bidder.request.auction import Auction, Impression
from bidder.targeting.normalise import normal_domain
from core.model import BillingEvent, Creative, Exchange
from core.money import cpm_to_text
from creatives.formats.banner import TOKEN, banner_markup, is_secure
from pacing.notices.claims import landing_digest

# How long we wait for the impression, told to the exchange as `exp` (OpenRTB 2.6 section 4.2.3): implementation notes
# 7.2 say 60 s for web, 300 s for app banners. Leases outlast it (docs/money.md).
BID_EXPIRY_S = 300

CREATIVE_TYPE_IFRAME, CREATIVE_TYPE_SCRIPT, CREATIVE_TYPE_HTML = 4, 3, 2  # AdCOM "Creative Subtypes - Display"

_to_json = msgspec.json.Encoder().encode


class PreparedBid:
    """One creative on one exchange: JSON of everything but id, impression, price, deal and token, in parts."""

    __slots__ = ("creative", "domain", "landing", "parts", "secure", "types")

    def __init__(
        self, creative: Creative, exchange: Exchange, advertiser_domain: str, campaign_id: int, track: str
    ) -> None:
        self.creative = creative
        self.domain = normal_domain(creative.advertiser_domain or advertiser_domain)
        self.landing = landing_digest(creative.landing_url)
        self.secure = is_secure(creative, track)
        self.types = _creative_types(creative)
        static = _to_json(_static_members(creative, exchange, advertiser_domain, campaign_id, track))
        # A comma for the opening brace: what is static follows the variable members. At odd places the token goes in.
        cut = (b"," + static[1:]).split(TOKEN.encode())
        self.parts = [part for each in cut for part in (each, b"")][:-1]


def _static_members(
    creative: Creative, exchange: Exchange, advertiser_domain: str, campaign_id: int, track: str
) -> dict[str, object]:
    price = f"p={exchange.price_macro}&c=${{AUCTION_CURRENCY}}"
    members: dict[str, object] = {
        "adid": str(creative.id),
        "nurl": f"{track}/n/win/{TOKEN}?{price}",
        "burl": f"{track}/n/bill/{TOKEN}?{price}",
        "lurl": f"{track}/n/loss/{TOKEN}?r=${{AUCTION_LOSS}}&m=${{AUCTION_MIN_TO_WIN}}",
        "adm": banner_markup(creative, track),
        "adomain": [creative.advertiser_domain or advertiser_domain],
        "iurl": creative.sample_url or creative.image_url,
        "cid": str(campaign_id),
        "crid": f"{creative.id}-{creative.version}",
        "cat": creative.categories,
        "attr": creative.attributes,
        "apis": creative.apis,
        "language": creative.language,
        "w": creative.width,
        "h": creative.height,
        "mtype": MARKUP_BANNER,
        "exp": BID_EXPIRY_S,
    }
    if exchange.billing_event is not BillingEvent.BILL:
        del members["burl"]
    return {name: value for name, value in members.items() if value not in ("", (), [""])}


def _creative_types(creative: Creative) -> frozenset[int]:
    """What `banner.btype` may block."""
    markup = html.unescape(creative.html).lower()
    kinds = {CREATIVE_TYPE_HTML}
    if "<script" in markup or "javascript:" in markup:
        kinds.add(CREATIVE_TYPE_SCRIPT)
    if "<iframe" in markup:
        kinds.add(CREATIVE_TYPE_IFRAME)
    return frozenset(kinds)


def creative_rules(auction: Auction, impression: Impression) -> tuple[object, ...]:
    """All of a request that `may_show` depends on, as a part of a key."""
    request, imp = auction.request, impression.imp
    banner = imp.banner
    return (imp.secure, request.wlang or request.wlangb, *(_rules_of_banner(banner) if banner is not None else ()))


_rules_of_banner = operator.attrgetter("btype", "battr", "api", "mimes")


def may_show(prepared: PreparedBid, auction: Auction, impression: Impression) -> bool:
    """Whether the request's rules for creatives admit this one (OpenRTB 2.6 sections 3.2.1, 3.2.4, 3.2.6)."""
    creative, imp, request = prepared.creative, impression.imp, auction.request
    banner = imp.banner
    if banner is None or (imp.secure and not prepared.secure):
        return False
    if banner.btype and not prepared.types.isdisjoint(banner.btype):
        return False
    if creative.attributes and banner.battr and not set(creative.attributes).isdisjoint(banner.battr):
        return False
    if creative.apis and not set(creative.apis).issubset(banner.api or ()):
        return False
    if banner.mimes and "text/html" not in banner.mimes and "application/javascript" not in banner.mimes:
        return False
    languages = request.wlang or request.wlangb
    return not (languages and creative.language and not _speaks(creative.language, languages))


def _speaks(language: str, wanted: tuple[str, ...]) -> bool:
    primary = language.partition("-")[0].lower()
    return any(tag.partition("-")[0].lower() == primary for tag in wanted)


def tactic_json(line_item_id: int) -> bytes:
    """The member by which a bid names its line item to the exchange (OpenRTB 2.6 section 4.2.3, `tactic`)."""
    return b',"tactic":"%d"' % line_item_id


def bid_parts(
    prepared: PreparedBid, *, impression: Impression, cpm: int, deal_id: str, tactic: bytes, token: bytes
) -> list[bytes]:
    """JSON of one bid in parts, to be joined with the rest of the answer.

    `cpm` is CPM micros on the grosz grid, `tactic` comes from `tactic_json`.
    """
    parts = [_bid_start(impression.position, impression.imp.id), _price(cpm), tactic, *prepared.parts]
    parts[4::2] = [token] * (len(prepared.parts) // 2)
    if deal_id:
        parts.insert(2, b',"dealid":' + quote(deal_id))
    return parts


# Exchanges number their impressions, or name them by places that come again and again.
@functools.lru_cache(maxsize=1024)
def _bid_start(position: int, impression_id: str) -> bytes:
    return b'{"id":"%d","impid":%b,"price":' % (position + 1, quote(impression_id))


@functools.lru_cache(maxsize=4096)  # prices lie on the grosz grid: this is all of them up to 40 a thousand
def _price(cpm: int) -> bytes:
    return cpm_to_text(cpm).encode()


def response_json(auction: Auction, bids: list[list[bytes]], bid_id: str) -> bytes:
    """JSON of the whole answer (OpenRTB 2.6 section 4.2.1); `bids` come from `bid_parts`."""
    return encode_response(auction.request.id, [(auction.exchange.seat, bids)], auction.currency, bid_id)
