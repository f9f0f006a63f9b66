"""Which impressions of a request can be bid on at all, in which currency and above which floors.

Whatever is wrong with one impression costs that impression alone: it is left out and the reason is kept as a `Fault`
for explain. Prices become CPM micros of the auction's currency here, once, so no later stage converts.
"""

from collections.abc import Iterable

from bidder.dialects.generic import Speaker
from bidder.openrtb.formats.banner import interstitial
from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.formats.spots import PodAsked, pod_of, without_clicks
from bidder.openrtb.formats.table import CODECS
from bidder.openrtb.types import Deal, Imp
from bidder.request.auction import Auction, Impression, Pod
from core.errors import Fault
from core.money import MAX_CPM_MICROS, FxTable, MoneyError, cpm_from_float
from core.reasons import NoBid
from creatives.formats.offer import Offer
from creatives.formats.spot_check import MAX_DURATION_MS

UNBOUNDED_S = 2**31

MAX_SECONDS = MAX_DURATION_MS // 1_000  # of a spot

BY_DOMAIN_AND_CREATIVE = (1, 3)
"""How ads of a pod are kept apart where the request does not say: no advertiser twice, and no ad."""

DEFAULT_FLOOR_CURRENCY = "USD"  # OpenRTB 2.6, section 3.2.4; a deal's floor does not inherit the impression's currency

BAD_FLOOR = "bad_floor"
"""Code of the fault that makes an impression invalid, instead of one that we have nothing for."""
_BANNER_ALONE = (CODECS["banner"],)

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
    for position, imp in enumerate(request.imp):
        if speaker.has_rules and (fault := speaker.refuses(imp)) is not None:
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
    offers = _offers(auction, imp, position)
    if imp.qty is not None and imp.qty.multiplier not in (None, 1):
        # How many of its impressions are billed, and at which price, each exchange says for itself.
        _report(
            auction, f"/imp/{position}/qty", "multiplier", "counts as several impressions: how they bill is not known"
        )
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
        deals = _deal_floors(auction, pmp.deals, position, fx) if pmp.deals else NO_DEALS
        is_private = bool(pmp.private_auction)
    _add(auction, offers, (imp, position, floor, deals, is_private), fx)


def _add(
    auction: Auction, offers: list[Offer], common: tuple[Imp, int, int, dict[str, tuple[int, int]], bool], fx: FxTable
) -> None:
    """Add an impression in each of its formats; `common` is the same in all (see Impression)."""
    imp, position, floor, deals, is_private = common
    if auction.request.dooh is not None:
        offers = [without_clicks(offer) for offer in offers]
    has_rivals = len(offers) > 1
    has_spots = imp.video is not None or imp.audio is not None
    for offer in offers:
        if has_spots and (asked := pod_of(imp, offer.format)) is not None:
            alone = Impression(imp, position, floor, offer, deals, is_private, has_rivals)
            _add_pod(auction, alone, asked, fx)
            continue
        auction.impressions.append(Impression(imp, position, floor, offer, deals, is_private, has_rivals))


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
    if impression.has_rivals:
        impression.floor_cpm = max([per_second * MAX_SECONDS or floor, *(each[2] for each in floors)])
        auction.impressions.append(impression)
        return
    pod = Pod(asked.id, asked.seconds, asked.most_ads, separation, floor, per_second, floors)
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
    if imp.native is None and imp.video is None and imp.audio is None:  # as nearly all are: nothing else to ask
        codecs: Iterable[FormatCodec] = _BANNER_ALONE
    else:
        codecs = [codec for codec in CODECS.values() if getattr(imp, codec.member) is not None]
    offers = []
    for codec in codecs:
        found = codec.read(imp)
        if found is not None and isinstance(found, Offer):
            offers.append(found)
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


def floor_of(bidfloor: float | None, bidfloorcur: str | None, currency: str, fx: FxTable) -> int:
    """A floor in CPM micros of `currency`, rounded up. Raises MoneyError for one that no price can be compared with."""
    if bidfloor is None or bidfloor <= 0:  # a negative floor is below any price, as none is
        return 0
    if bidfloorcur == currency:  # no conversion, and nothing to tidy
        return cpm_from_float(bidfloor)
    source = bidfloorcur.strip().upper() if bidfloorcur else DEFAULT_FLOOR_CURRENCY
    floor = fx.floor_cpm(cpm_from_float(bidfloor), source, currency)
    if floor > MAX_CPM_MICROS:
        raise MoneyError(f"floor {bidfloor} {source} is out of range: a CPM goes up to a million")
    return floor


def _deal_floors(auction: Auction, deals: tuple[Deal, ...], position: int, fx: FxTable) -> dict[str, tuple[int, int]]:
    """Floor and auction type by deal id, of the deals that our seat may use.

    A bid on a deal has the deal's floor alone to clear (implementation notes, 7.11), which is 0 if it names none.
    """
    seats = auction.speaker.seats
    floors = {}
    for number, deal in enumerate(deals):
        if not deal.id:
            _report(auction, f"/imp/{position}/pmp/deals/{number}", "no_deal_id", "has no id, so no bid can name it")
        elif not deal.wseat or not seats.isdisjoint(deal.wseat):
            try:
                floor = floor_of(deal.bidfloor, deal.bidfloorcur, auction.currency, fx)
            except MoneyError as error:
                _report(auction, f"/imp/{position}/pmp/deals/{number}/bidfloor", BAD_FLOOR, error.args[0])
            else:
                floors[deal.id] = (floor, deal.at or 0)
    return floors
