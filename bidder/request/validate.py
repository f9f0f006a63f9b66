"""Which impressions of a request can be bid on at all, in which currency and above which floors.

Whatever is wrong with one impression costs that impression alone: it is left out and the reason is kept as a `Fault`
for explain. Prices become CPM micros of the auction's currency here, once, so no later stage converts.
"""

import math

import msgspec

from bidder.dialects.generic import Speaker
from bidder.openrtb.formats.banner import interstitial
from bidder.openrtb.formats.spots import PodAsked, pod_of, without_clicks
from bidder.openrtb.formats.table import CODECS
from bidder.openrtb.types import Deal, Imp
from bidder.request.auction import ONE_IMPRESSION, Auction, Impression, Pod
from core.errors import Fault
from core.model import AuctionType
from core.money import MAX_CPM_MICROS, FxTable, MoneyError, cpm_from_float, cpm_not_below
from core.reasons import NoBid
from creatives.formats.offer import Offer
from creatives.formats.spot_check import MAX_DURATION_MS

UNBOUNDED_S = 2**31

MAX_SECONDS = MAX_DURATION_MS // 1_000  # of a spot

# The largest screens are seen by some thousand people at once; a play that is said to count as more is a mistake.
MAX_MULTIPLIER = 10_000

BY_DOMAIN_AND_CREATIVE = (1, 3)
"""How ads of a pod are kept apart where the request does not say: no advertiser twice, and no ad."""

DEFAULT_FLOOR_CURRENCY = "USD"  # OpenRTB 2.6, section 3.2.4; a deal's floor does not inherit the impression's currency

BAD_FLOOR = "bad_floor"
"""Code of the fault that makes an impression invalid, instead of one that we have nothing for."""
_read_banner = CODECS["banner"].read

NO_DEALS: dict[str, tuple[int, int]] = {}
"""Shared by every impression without deals; nobody writes to it."""


def check_request(auction: Auction, fx: FxTable) -> None:
    """Set `currency`, `is_test` and `impressions` of the auction, or its `no_bid`; add faults of impressions."""
    request = auction.request
    auction.is_test = request.test == 1
    speaker = auction.speaker
    currency = _choose_currency(request.cur, speaker, fx)
    if currency is None:
        auction.no_bid = NoBid.CURRENCY
        return
    auction.currency = currency
    if (request.wseat or request.bseat) and not speaker.may_bid(request.wseat, request.bseat):
        auction.no_bid = NoBid.SEAT_BLOCKED
        return
    has_rules = speaker.has_rules
    for position, imp in enumerate(request.imp):
        if has_rules and (fault := speaker.refuses(imp)) is not None:
            _report(auction, f"/imp/{position}{fault.pointer}", fault.code, fault.message)
            continue
        _check_impression(auction, imp, position, fx)
    if not auction.impressions:
        auction.no_bid = NoBid.NO_BIDDABLE_IMPRESSION
        if auction.faults and all(fault.code == BAD_FLOOR for fault in auction.faults):
            auction.no_bid = NoBid.INVALID_IMPRESSION


def _choose_currency(offered: tuple[str, ...] | None, speaker: Speaker, fx: FxTable) -> str | None:
    """The first offered currency that can be priced in: exchanges list the one they settle in first."""
    taken = speaker.dialect.currencies
    for currency in offered or (speaker.exchange.default_currency,):
        code = currency if currency.isupper() else currency.strip().upper()
        if fx.knows(code) and (not taken or code in taken):
            return code
    return None


def _check_impression(auction: Auction, imp: Imp, position: int, fx: FxTable) -> None:
    """Add the impression in each format that it can be filled with, or a fault where there is no such."""
    # A banner and nothing else, as nearly all are.
    alone = _read_banner(imp) if imp.native is None and imp.video is None and imp.audio is None else None
    offers = [alone] if type(alone) is Offer else _offers(auction, imp, position)
    counted = ONE_IMPRESSION
    if imp.qty is not None and imp.qty.multiplier not in (None, 1):
        counted = _multiplier(auction, imp.qty.multiplier or 0.0, position)
        if not counted:
            return
    if imp.instl and (device := auction.request.device) is not None and device.ext is not None:
        offers = [interstitial(offer, device) for offer in offers]
    try:
        floor = floor_of(imp.bidfloor, imp.bidfloorcur, auction.currency, fx)
    except MoneyError as error:
        _report(auction, f"/imp/{position}/bidfloor", BAD_FLOOR, error.args[0])
        return
    pmp, deals, is_private = imp.pmp, NO_DEALS, False
    if pmp is not None:
        deals = _deal_floors(auction, pmp.deals, position, floor, fx) if pmp.deals else NO_DEALS
        is_private = bool(pmp.private_auction)
    if offers:
        _add(auction, Impression(imp, position, floor, offers[0], deals, is_private), offers, fx, alone)
    if counted != ONE_IMPRESSION:
        _multiply(auction, position, counted)


def _multiplier(auction: Auction, multiplier: float, position: int) -> int:
    """Impressions that one counts as, in thousandths rounded up; 0, with a fault, for what is not bid on."""
    if not auction.speaker.dialect.bills_multiplier:
        # How many of its impressions are billed, and at which price, each exchange says for itself.
        message = "counts as several impressions: how they bill is not known"
    elif not 0 < multiplier <= MAX_MULTIPLIER:
        message = f"counts as {multiplier:g} impressions; more than none and up to {MAX_MULTIPLIER} can be billed"
    else:
        return math.ceil(round(multiplier * ONE_IMPRESSION, 6))
    _report(auction, f"/imp/{position}/qty", "multiplier", message)
    return 0


def _multiply(auction: Auction, position: int, counted: int) -> None:
    auction.has_multipliers = True
    for impression in auction.impressions:
        if impression.position == position:
            impression.multiplier_milli = counted


def _add(
    auction: Auction, impression: Impression, offers: list[Offer], fx: FxTable, alone: Offer | Fault | None
) -> None:
    """Add an impression, which has the first of its offers, in each of its formats.

    `alone` is what it offers where it is a banner and nothing else.
    """
    if alone is not None and auction.request.dooh is None:
        auction.impressions.append(impression)
        return
    imp = impression.imp
    if auction.request.dooh is not None:
        offers = [without_clicks(offer) for offer in offers]
    has_rivals = len(offers) > 1
    for offer in offers:
        each = msgspec.structs.replace(impression, offer=offer, has_rivals=has_rivals)
        if (asked := pod_of(imp, offer.format)) is not None:
            _add_pod(auction, each, asked, fx)
        else:
            auction.impressions.append(each)


def _add_pod(auction: Auction, impression: Impression, asked: PodAsked, fx: FxTable) -> None:
    """Add an impression that is a pod, or part of one: once for each ad that it takes.

    One that may be filled with other formats instead takes one ad, which pays the dearest floor of all lengths.
    """
    imp, floor = impression.imp, impression.floor_cpm
    try:
        named, currency = imp.bidfloorcur, auction.currency
        per_second = floor_of(asked.per_second, named, currency, fx)
        floors = tuple(
            (each.mindur or 0, each.maxdur or UNBOUNDED_S, floor_of(each.bidfloor, named, currency, fx))
            for each in asked.floors
        )
    except MoneyError as error:
        _report(auction, f"/imp/{impression.position}/{impression.offer.format}", BAD_FLOOR, error.args[0])
        return
    separation = frozenset(BY_DOMAIN_AND_CREATIVE if asked.separation is None else asked.separation)
    pod = Pod(asked.id, asked.seconds, asked.most_ads, separation, floor, per_second, floors)
    if impression.has_rivals:
        impression.floor_cpm = max([per_second * MAX_SECONDS or floor, *(each[2] for each in floors)])
        impression.pod_beside = pod if pod.id else None
        auction.impressions.append(impression)
        return
    least = min(
        [per_second or floor, *(each[2] for each in floors)]
    )  # what each ad has to pay is known with its length
    for index in range(asked.most_ads):
        auction.impressions.append(
            Impression(
                imp, impression.position, least, impression.offer, impression.deal_floors, impression.private_auction,
                pod=pod, pod_index=index,
            )
        )  # fmt: skip


def _offers(auction: Auction, imp: Imp, position: int) -> list[Offer]:
    """What the impression may be filled with, of the formats that we have; why with nothing is reported."""
    codecs = [codec for codec in CODECS.values() if getattr(imp, codec.member) is not None]
    offers = [found for codec in codecs if isinstance(found := codec.read(imp), Offer)]
    if not offers:
        _report_formats(auction, imp, position)
    return offers


def _report_formats(auction: Auction, imp: Imp, position: int) -> None:
    faults = [found for codec in CODECS.values() if isinstance(found := codec.read(imp), Fault)]
    if not faults:
        _report(auction, f"/imp/{position}", "no_format", f"offers none of the formats {', '.join(CODECS)}")
    for fault in faults:
        _report(auction, f"/imp/{position}{fault.pointer}", fault.code, fault.message)


def _report(auction: Auction, pointer: str, code: str, message: str) -> None:
    auction.faults.append(Fault(pointer=pointer, code=code, message=message))


def floor_of(
    bidfloor: float | None, bidfloorcur: str | None, currency: str, fx: FxTable, *, is_price: bool = False
) -> int:
    """A floor in CPM micros of `currency`, rounded up. Raises MoneyError for one that no price can be compared with.

    A fixed price (`is_price`) in the auction's currency is rounded to the nearest micro.
    """
    if bidfloor is None or bidfloor <= 0:  # a negative floor is below any price, as none is
        return 0
    if bidfloorcur == currency:  # no conversion, and nothing to tidy
        return cpm_from_float(bidfloor) if is_price else cpm_not_below(bidfloor)
    source = bidfloorcur.strip().upper() if bidfloorcur else DEFAULT_FLOOR_CURRENCY
    floor = fx.floor_cpm(cpm_from_float(bidfloor) if is_price else cpm_not_below(bidfloor), source, currency)
    if floor > MAX_CPM_MICROS:
        raise MoneyError(f"floor {bidfloor} {source} is out of range: a CPM goes up to a million")
    return floor


def _deal_floors(
    auction: Auction, deals: tuple[Deal, ...], position: int, floor_of_imp: int, fx: FxTable
) -> dict[str, tuple[int, int]]:
    """Floor and auction type by deal id, of the deals that our seat may use.

    A deal that names no type has the request's, a fixed price too. A bid on a deal has the deal's floor alone to clear
    (implementation notes, 7.11). If it names none that is 0, or the impression's where the dialect says so.
    """
    seats, of_none = auction.speaker.seats, 0
    if auction.speaker.dialect.deal_floor_else_impression:
        of_none = floor_of_imp
    floors: dict[str, tuple[int, int]] = {}
    unclear: set[str] = set()
    for number, deal in enumerate(deals):
        if not deal.id:
            _report(auction, f"/imp/{position}/pmp/deals/{number}", "no_deal_id", "has no id, so no bid can name it")
        elif not deal.wseat or not seats.isdisjoint(deal.wseat):
            kind = deal.at or auction.request.at or 0
            is_price = kind == AuctionType.FIXED_PRICE
            try:
                floor = floor_of(deal.bidfloor, deal.bidfloorcur, auction.currency, fx, is_price=is_price)
            except MoneyError as error:
                _report(auction, f"/imp/{position}/pmp/deals/{number}/bidfloor", BAD_FLOOR, error.args[0])
            else:
                if deal.bidfloor is None and not is_price:  # a floor is no price that was agreed
                    floor = of_none
                if floors.setdefault(deal.id, (floor, kind)) != (floor, kind):
                    unclear.add(deal.id)
                    message = "is offered before at another price, so no bid can say which it accepts"
                    _report(auction, f"/imp/{position}/pmp/deals/{number}", "unclear_deal", message)
    for deal_id in unclear:
        del floors[deal_id]
    return floors
