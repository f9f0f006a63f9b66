"""Which impressions of a request can be bid on at all, in which currency and above which floors.

Whatever is wrong with one impression costs that impression alone: it is left out and the reason is kept as a `Fault`
for explain. Prices become CPM micros of the auction's currency here, once, so no later stage converts.
"""

import functools

from bidder.openrtb.types import Banner, Deal, Format, Imp
from bidder.request.auction import Auction, Impression, Size
from core.errors import Fault
from core.model import Exchange
from core.money import MAX_CPM_MICROS, FxTable, MoneyError, cpm_from_float
from core.reasons import NoBid

DEFAULT_FLOOR_CURRENCY = "USD"  # OpenRTB 2.6, section 3.2.4; a deal's floor does not inherit the impression's currency

NO_DEALS: dict[str, tuple[int, int]] = {}
"""Shared by every impression without deals; nobody writes to it."""

# Sizes worth looking for in the ranges of OpenRTB 2.3 and before: the fixed sizes of the IAB's portfolio.
KNOWN_SIZES: tuple[Size, ...] = (
    (300, 250), (336, 280), (728, 90), (970, 90), (970, 250), (160, 600), (120, 600), (300, 600), (300, 1050),
    (320, 50), (320, 100), (320, 480), (480, 320), (468, 60), (234, 60), (250, 250), (200, 200), (180, 150),
    (300, 50), (300, 100), (216, 36), (168, 28), (120, 20), (750, 100), (750, 200), (750, 300), (930, 180),
)  # fmt: skip


def check_request(auction: Auction, fx: FxTable) -> None:
    """Set `currency`, `is_test` and `impressions` of the auction, or its `no_bid`; add faults of impressions."""
    request, exchange = auction.request, auction.exchange
    auction.is_test = request.test == 1
    currency = _choose_currency(request.cur, exchange, fx)
    if currency is None:
        auction.no_bid = NoBid.CURRENCY
        return
    auction.currency = currency
    if (request.wseat and exchange.seat not in request.wseat) or (request.bseat and exchange.seat in request.bseat):
        auction.no_bid = NoBid.SEAT_BLOCKED
        return
    impressions = auction.impressions
    for position, imp in enumerate(request.imp):
        impression = _check_impression(auction, imp, position, fx)
        if impression is not None:
            impressions.append(impression)
    if not impressions:
        auction.no_bid = NoBid.NO_BIDDABLE_IMPRESSION


def _choose_currency(offered: tuple[str, ...] | None, exchange: Exchange, fx: FxTable) -> str | None:
    """The first offered currency that can be priced in: exchanges list the one they settle in first."""
    for currency in offered or (exchange.default_currency,):
        code = currency if currency.isupper() else currency.strip().upper()
        if fx.knows(code):
            return code
    return None


def _check_impression(auction: Auction, imp: Imp, position: int, fx: FxTable) -> Impression | None:
    banner = imp.banner
    if banner is None:
        _report(auction, f"/imp/{position}", "no_banner", "offers no banner: other formats are not bid on")
        return None
    sizes = banner_sizes(banner)
    if not sizes:
        _report(
            auction, f"/imp/{position}/banner", "no_size", "has no exact size above zero, in `format` or `w` and `h`"
        )
        return None
    try:
        floor = _floor(imp.bidfloor, imp.bidfloorcur, auction.currency, fx)
    except MoneyError as error:
        _report(auction, f"/imp/{position}/bidfloor", "bad_floor", error.args[0])
        return None
    pmp = imp.pmp
    if pmp is None:
        return Impression(imp, position, floor, sizes, NO_DEALS, private_auction=False)
    deals = _deal_floors(auction, pmp.deals, position, fx) if pmp.deals else NO_DEALS
    return Impression(imp, position, floor, sizes, deals, private_auction=bool(pmp.private_auction))


def _report(auction: Auction, pointer: str, code: str, message: str) -> None:
    auction.faults.append(Fault(pointer=pointer, code=code, message=message))


def banner_sizes(banner: Banner) -> tuple[Size, ...]:
    """The exact sizes a banner offers.

    `format` decides where it holds a size (OpenRTB 2.6, section 3.2.6); otherwise `w` and `h`, and, where all four
    bounds of 2.3 are there, the known sizes between them. Flexible sizes (`wratio`, `hratio`) are not offered: they
    need a creative that says that it flexes.
    """
    if banner.format:
        offered = []
        for item in banner.format:
            width, height = item.w, item.h
            if width and height and width > 0 and height > 0:
                flexes = item.wratio is not None or item.hratio is not None or item.wmin is not None
                if not flexes or not _is_unsound(item):
                    offered.append((width, height))
        if offered:
            return tuple(offered)
    width, height = banner.w or 0, banner.h or 0
    sizes: tuple[Size, ...] = ((width, height),) if width > 0 and height > 0 else ()
    if banner.wmin and banner.wmax and banner.hmin and banner.hmax:
        between = _known_sizes_between(banner.wmin, banner.wmax, banner.hmin, banner.hmax)
        sizes += tuple([size for size in between if size not in sizes])
    return sizes


def _is_unsound(item: Format) -> bool:
    """A negative ratio or minimum says that the sender's numbers cannot be relied upon."""
    return min(item.wratio or 0, item.hratio or 0, item.wmin or 0) < 0


@functools.lru_cache(maxsize=1024)  # publishers repeat a handful of ranges
def _known_sizes_between(wmin: int, wmax: int, hmin: int, hmax: int) -> tuple[Size, ...]:
    return tuple([(w, h) for w, h in KNOWN_SIZES if wmin <= w <= wmax and hmin <= h <= hmax])


def _floor(bidfloor: float | None, bidfloorcur: str | None, currency: str, fx: FxTable) -> int:
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
    seat = auction.exchange.seat
    floors = {}
    for number, deal in enumerate(deals):
        if not deal.id:
            _report(auction, f"/imp/{position}/pmp/deals/{number}", "no_deal_id", "has no id, so no bid can name it")
        elif not deal.wseat or seat in deal.wseat:
            try:
                floor = _floor(deal.bidfloor, deal.bidfloorcur, auction.currency, fx)
            except MoneyError as error:
                _report(auction, f"/imp/{position}/pmp/deals/{number}/bidfloor", "bad_floor", error.args[0])
            else:
                floors[deal.id] = (floor, deal.at or 0)
    return floors
