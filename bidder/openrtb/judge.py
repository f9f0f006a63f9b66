"""Whether an answer keeps to the request that it answers, judged from both alone.

The stages make an answer right; this reads it as its exchange will and says what is wrong, by rules of its own: nothing
here is shared with what chose the bid. `bidder.door.checking` asks it about every answer in tests, about some in life.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from bidder.openrtb.enums import EVERYBODY
from bidder.openrtb.judge_native import faults_of_native
from bidder.openrtb.judge_vast import faults_of_spot
from bidder.openrtb.types import Audio, Banner, BidRequest, Deal, Device, Imp, Native, Video
from bidder.openrtb.violation import Violation
from core.money import GROSZ_CPM_MICROS, MICROS_PER_UNIT, FxTable, MoneyError, cpm_from_float
from creatives.macros import TOKEN

Json = Mapping[str, Any]

FIXED_PRICE: Final = 3
FORMAT_OF_MARKUP: Final = {1: "banner", 2: "video", 3: "audio", 4: "native"}
"""By `mtype` of a bid (OpenRTB 2.6 section 4.2.3)."""

_HARMLESS = r"(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?:[:/\"'?#<\s]|$)|www\.w3\.org/|www\.iab\.com/VAST"
_INSECURE = re.compile(rf"http://(?!{_HARMLESS})", re.IGNORECASE)

# Before VAST 4.1 a document does not say what it is: sounds are files of that type, and playlists without a picture.
_SOUND = re.compile(r'adType="audio"|<MediaFile\b[^>]* (?:type="audio/|width="0")')


class AnswerTerms(NamedTuple):
    """What the request leaves to the exchange's configuration."""

    currency: str
    """The currency of bids where the request names none."""
    seats: frozenset[str]
    """The seats that are ours."""
    price_macro: str
    """The macro that must be in a notice or in the markup."""
    deal_floor_else_impression: bool = False
    """Whether a deal that names no floor has the impression's."""


def faults_of_answer(request: BidRequest, answer: Json, terms: AnswerTerms) -> Iterator[Violation]:
    """What is wrong with an answer besides its bids."""
    if answer.get("id") != request.id:
        yield Violation("id", f"answers {answer.get('id')!r}")
    if answer.get("cur") not in [code.strip().upper() for code in request.cur or (terms.currency,)]:
        yield Violation("currency", f"{answer.get('cur')!r} was not asked for")
    ids = [bid.get("id") for seat in answer.get("seatbid", ()) for bid in seat.get("bid", ())]
    if len(set(ids)) < len(ids) or not all(ids):
        yield Violation("bid_id", "ids of bids are missing or repeated")
    yield from _pods(request, answer)


def _pods(request: BidRequest, answer: Json) -> Iterator[Violation]:
    """What is wrong with all bids on one pod together (OpenRTB 2.6, dynamic pods)."""
    bids = [bid for seat in answer.get("seatbid", ()) for bid in seat.get("bid", ())]
    for imp in request.imp if len(bids) > 1 else ():
        own = [bid for bid in bids if bid.get("impid") == imp.id]
        spot = imp.audio if any(_kind(bid) == "audio" for bid in own) else imp.video
        if spot is None or (spot.poddur or 0) <= 0:
            continue
        ends = [bid["slotinpod"] for bid in own if bid.get("slotinpod")]
        if len(ends) > 2 or max(ends.count(1), ends.count(-1)) > 1:
            yield Violation("pod_place", f"places {ends} of one pod")
        length = sum(bid.get("dur", 0) for bid in own)
        if length > spot.poddur or 0 < (spot.maxseq or 0) < len(own):
            yield Violation("pod", f"{len(own)} ads of {length} s in {spot.maxseq} allowed in {spot.poddur} s")
        if len({bid.get("crid") for bid in own}) < len(own):
            yield Violation("pod", "an ad is twice in a pod")
        domains = [name for bid in own for name in bid.get("adomain", ())]
        if (spot.poddedupe is None or 1 in spot.poddedupe) and len(set(domains)) < len(domains):
            yield Violation("pod", "an advertiser is twice in a pod")


def faults_of_bid(
    request: BidRequest, bid: Json, seat: str, currency: str, terms: AnswerTerms, fx: FxTable
) -> Iterator[Violation]:
    """What is wrong with one bid."""
    imp = next((imp for imp in request.imp if imp.id == bid.get("impid")), None)
    if imp is None:
        yield Violation("impression", f"bids on {bid.get('impid')!r}")
        return
    yield from _seat(request, seat, terms)
    deal, deals = None, imp.pmp.deals or () if imp.pmp is not None else ()
    if bid.get("dealid") is not None:
        deal = next((deal for deal in deals if deal.id == bid["dealid"]), None)
        if deal is None:
            yield Violation("deal", f"{bid['dealid']!r} was not offered")
            return
    yield from _deal(imp, deal, bid, seat)
    is_fixed = deal is not None and (deal.at or request.at) == FIXED_PRICE
    has_none = deal is not None and deal.bidfloor is None and not is_fixed
    owner = None if has_none and terms.deal_floor_else_impression else deal
    yield from _price(imp, owner, bid, currency, fx, is_fixed=is_fixed)
    yield from _format(request, imp, bid)
    yield from _blocked(request, imp, bid)
    yield from _transparency(request, bid)
    yield from _markup(imp, bid, terms)


def _seat(request: BidRequest, seat: str, terms: AnswerTerms) -> Iterator[Violation]:
    if seat not in terms.seats:
        yield Violation("seat", f"{seat!r} is none of ours")
    if (request.wseat and seat not in request.wseat) or not {seat, EVERYBODY}.isdisjoint(request.bseat or ()):
        yield Violation("seat", f"{seat!r} may not bid")


def _deal(imp: Imp, deal: Deal | None, bid: Json, seat: str) -> Iterator[Violation]:
    if deal is None:
        if imp.pmp is not None and imp.pmp.private_auction:
            yield Violation("private_auction", "a bid without a deal")
        return
    if deal.wseat and seat not in deal.wseat:
        yield Violation("deal", f"{deal.id} is for other seats")
    if deal.wadomain and not any(_is_under(own, deal.wadomain) for own in bid.get("adomain", ())):
        yield Violation("deal", f"{deal.id} is for other advertisers")


def _price(
    imp: Imp, deal: Deal | None, bid: Json, currency: str, fx: FxTable, *, is_fixed: bool
) -> Iterator[Violation]:
    price = bid.get("price")
    if not isinstance(price, (int, float)) or isinstance(price, bool) or not (math.isfinite(price) and price > 0):
        yield Violation("price", f"{price!r} is no price")
        return
    cpm, owner = round(price * MICROS_PER_UNIT), deal or imp  # of any size: how dear a bid may be is not judged here
    if cpm % GROSZ_CPM_MICROS and not is_fixed:
        yield Violation("price", f"{price} is finer than a hundredth")
    said = _said_floor(owner, imp, bid)
    if said is None or said <= 0:
        return
    try:
        floor = fx.floor_cpm(cpm_from_float(said), (owner.bidfloorcur or "USD").strip().upper(), currency)
    except MoneyError as error:
        yield Violation("floor", str(error))
        return
    is_below = price < said if owner.bidfloorcur == currency and not is_fixed else cpm < floor
    if is_below:
        yield Violation("floor", f"{price} {currency} is below {max(floor / 1e6, said)}")
    if is_fixed and cpm != floor:
        yield Violation("deal_price", f"{price} {currency} where {floor / 1e6} is fixed")


def _said_floor(owner: Imp | Deal, imp: Imp, bid: Json) -> float | None:
    """The floor of an impression or deal, which may depend on how long the ad is."""
    spot = {"video": imp.video, "audio": imp.audio}.get(_kind(bid))
    says = owner if isinstance(owner, Deal) else spot
    if spot is None or says is None:
        return owner.bidfloor
    length = bid.get("dur") or 0
    fitting = [each for each in says.durfloors or () if (each.mindur or 0) <= length <= (each.maxdur or math.inf)]
    if fitting:
        return max(each.bidfloor or 0 for each in fitting)
    return says.mincpmpersec * length if says.mincpmpersec else owner.bidfloor


def _format(request: BidRequest, imp: Imp, bid: Json) -> Iterator[Violation]:
    offered = [name for name in FORMAT_OF_MARKUP.values() if getattr(imp, name) is not None]
    kind = _kind(bid)
    if kind not in offered:
        yield Violation("format", f"markup of type {bid.get('mtype')} where {', '.join(offered)} is offered")
    if kind == "native" and imp.native is not None:
        yield from (Violation("native", fault) for fault in faults_of_native(imp.native, bid.get("adm")))
    if kind == "banner" and imp.banner is not None and not _has_size(imp.banner, bid, request.device):
        yield Violation("size", f"{bid.get('w')}x{bid.get('h')} is not offered")
    spot = imp.video if kind == "video" else imp.audio if kind == "audio" else None
    if spot is not None:
        yield from faults_of_spot(spot, bid)
    place, sold = bid.get("slotinpod"), spot.slotinpod if spot is not None and (spot.poddur or 0) > 0 else None
    if place is not None and not (place and (place == sold or (sold == 2 and place in (1, -1)))):
        yield Violation("pod_place", f"{place} where {sold} is guaranteed")


def _offered(imp: Imp, bid: Json) -> Banner | Video | Audio | Native | None:
    """The object of the impression for the format that a bid fills."""
    by_name = {"banner": imp.banner, "video": imp.video, "audio": imp.audio, "native": imp.native}
    return by_name.get(_kind(bid))


def _kind(bid: Json) -> str:
    """The format of a bid. Versions before 2.6 have no `mtype`: the exchange looks at the markup."""
    if bid.get("mtype"):
        return FORMAT_OF_MARKUP.get(bid["mtype"], "")
    markup = bid.get("adm", "")
    if not isinstance(markup, str) or markup.lstrip().startswith("{"):
        return "native"
    if not re.search(r"<VAST\b", markup[:1_000]):
        return "banner"
    return "audio" if _SOUND.search(markup) else "video"


def _has_size(banner: Banner, bid: Json, device: Device | None) -> bool:
    width, height = bid.get("w", 0), bid.get("h", 0)
    offered = [(each.w, each.h) for each in banner.format or ()] + [(banner.w, banner.h)]
    if (width, height) in offered:
        return True
    ratio = (bid.get("wratio"), bid.get("hratio"))
    flexible = [each for each in banner.format or () if each.wratio and (each.wratio, each.hratio) == ratio]
    if any(width >= (each.wmin or 0) for each in flexible):
        return True
    bounds = (banner.wmin or 0, banner.wmax or 0, banner.hmin or 0, banner.hmax or 0)
    if all(bounds) and bounds[0] <= width <= bounds[1] and bounds[2] <= height <= bounds[3]:
        return True
    return _fills_screen(offered, width, height, device)


def _fills_screen(offered: list[tuple[int | None, int | None]], width: int, height: int, device: Device | None) -> bool:
    """Whether a full-screen ad fills as much of the largest size as Prebid's extension of the device asks for."""
    ext = device.ext if device is not None else None
    told = ext.prebid.interstitial if ext is not None and ext.prebid is not None else None
    if told is None or device is None:
        return False
    most = next((size for size in offered if size[0] and size[1] and size != (1, 1)), (device.w, device.h))
    least = ((most[0] or 0) * (told.minwidthperc or 0), (most[1] or 0) * (told.minheightperc or 0))
    return least[0] <= 100 * width <= 100 * (most[0] or 0) and least[1] <= 100 * height <= 100 * (most[1] or 0)


def _blocked(request: BidRequest, imp: Imp, bid: Json) -> Iterator[Violation]:
    if EVERYBODY in (*(request.badv or ()), *(request.bcat or ())):
        yield Violation("blocked_advertiser", "everybody is blocked")
    for own in bid.get("adomain", ()):
        if _is_under(own, request.badv or ()):
            yield Violation("blocked_advertiser", f"{own} is blocked")
    for category in bid.get("cat", ()):
        if any(category == blocked or category.startswith(f"{blocked}-") for blocked in request.bcat or ()):
            yield Violation("blocked_category", f"{category} is blocked")
    offered = _offered(imp, bid)
    if offered is not None and set(bid.get("attr", ())) & set(offered.battr or ()):
        yield Violation("blocked_attribute", f"{bid['attr']} are blocked")
    if offered is not None and not set(bid.get("apis", ())) <= set(offered.api or ()):
        yield Violation("framework", f"{bid['apis']} are not supported")
    wanted = request.wlang or request.wlangb
    language = bid.get("language")
    if wanted and language and language.partition("-")[0] not in [tag.partition("-")[0].lower() for tag in wanted]:
        yield Violation("language", f"{language} is not asked for")


def _transparency(request: BidRequest, bid: Json) -> Iterator[Violation]:
    """Faults in telling who pays for the ad, and in who shows that (OpenRTB's extension "DSA Transparency")."""
    dsa = request.regs.dsa if request.regs is not None else None
    if dsa is None or dsa.dsarequired not in (2, 3):
        return
    told = bid.get("ext", {}).get("dsa", {})
    if not told.get("behalf") or not told.get("paid"):
        yield Violation("transparency", "nobody is named who pays")
    elif not dsa.pubrender and not told.get("adrender"):
        yield Violation("transparency", "nobody shows who pays")
    elif dsa.datatopub == 2 and not told.get("transparency"):
        yield Violation("transparency", "the parameters are not told")


def _markup(imp: Imp, bid: Json, terms: AnswerTerms) -> Iterator[Violation]:
    markup = bid.get("adm", "")
    if not isinstance(markup, str):  # a native ad may be an object
        markup = json.dumps(markup)
    if not markup:
        yield Violation("markup", "there is none")
    if imp.secure and _INSECURE.search(markup.replace("\\/", "/")):
        yield Violation("secure", "the markup loads http on a secure page")
    texts = [markup, *(bid.get(name, "") for name in ("nurl", "burl", "lurl"))]
    if any(TOKEN in text for text in texts):
        yield Violation("macro", "a token is missing")
    if not any(terms.price_macro in text for text in texts):
        yield Violation("macro", f"{terms.price_macro} is nowhere")
    if not bid.get("iurl", "https://").startswith(("https://", "http://")):
        yield Violation("sample_image", "iurl is no absolute address")


def _is_under(domain: str, names: tuple[str, ...]) -> bool:
    """Whether a domain is one of some, or under one of them."""
    own = "." + _plain(domain)
    return any(own.endswith("." + _plain(name)) for name in names if name.strip())


def _plain(name: str) -> str:
    name = name.strip().lower()
    host = urlsplit(name).hostname or "" if "//" in name else name.partition("/")[0]
    return host.removeprefix("*.").removeprefix("www.").strip(".")
