"""Floors of a deal that depend on how long a spot is: `mincpmpersec` and `durfloors`.

They are asked when a bid on the deal is about to be made, since only then it is known which spot it shows. OpenRTB 2.6
sections 3.2.12 and 3.2.35; implementation notes 7.11. Here both these and the deal's plain floor have to be met,
whichever is higher; those of a player are `bidder.decision.pods`' business.
"""

import math
from collections.abc import Sequence
from typing import Final

from bidder.decision.creatives import Showable
from bidder.openrtb.types import Deal, DurationFloor
from bidder.request.auction import Impression
from bidder.request.validate import floor_of
from core.money import MAX_CPM_MICROS, FxTable, MoneyError
from creatives.formats.spots import SpotAd

UNREACHABLE: Final = MAX_CPM_MICROS + 1
"""Stands for a floor that cannot be read, or compared with: no price reaches it."""

# Ranges of a deal that are read; real requests have a handful.
MAX_RANGES: Final = 32


def named_deal(impression: Impression, deal_id: str) -> Deal | None:
    """The deal that a bid names; None without one."""
    pmp = impression.imp.pmp
    deals = (pmp.deals or ()) if pmp is not None and deal_id else ()
    return next((deal for deal in deals if deal.id == deal_id), None)


def floors_by_length(deal: Deal, fitting: Sequence[Showable], currency: str, fx: FxTable) -> list[int]:
    """The least price of each ad on a deal by its length, in CPM micros of `currency`; 0 for an ad without one."""
    found = []
    for each in fitting:
        ad = each.prepared.ad
        try:
            found.append(_floor(deal, ad.seconds, currency, fx) if isinstance(ad, SpotAd) else 0)
        except MoneyError:
            found.append(UNREACHABLE)
    return found


def _floor(deal: Deal, seconds: float, currency: str, fx: FxTable) -> int:
    ranges = (deal.durfloors or ())[:MAX_RANGES]
    prices = [each.bidfloor for each in ranges if each.bidfloor is not None and _covers(each, seconds)]
    if deal.mincpmpersec is not None:
        prices.append(deal.mincpmpersec * seconds)
    highest = max(prices, default=0.0)
    return floor_of(highest, deal.bidfloorcur, currency, fx) if math.isfinite(highest) else UNREACHABLE


def _covers(each: DurationFloor, seconds: float) -> bool:
    """Whether a length lies in a range, both ends included; an end that is missing is open."""
    return (each.mindur is None or each.mindur <= seconds) and (each.maxdur is None or seconds <= each.maxdur)
