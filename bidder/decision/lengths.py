"""Floors that depend on how long a spot is: `mincpmpersec` and `durfloors` of a player or of a deal.

They are asked when a bid is about to be made, since only then it is known which spot it shows. OpenRTB 2.6 sections
3.2.7, 3.2.8, 3.2.12 and 3.2.35; implementation notes 7.11: a bid on a deal meets the deal's, any other one the
player's. Here both these and the plain floor have to be met, whichever is higher.
"""

import math
from collections.abc import Sequence
from typing import Final

from bidder.decision.creatives import Showable
from bidder.openrtb.types import Audio, Deal, DurationFloor, Video
from bidder.request.auction import Impression
from bidder.request.validate import floor_of
from core.money import MAX_CPM_MICROS, FxTable, MoneyError
from creatives.formats.spots import SpotAd

SPOTS: Final = frozenset({"video", "audio"})
"""Formats whose ads have a length."""

UNREACHABLE: Final = MAX_CPM_MICROS + 1
"""Stands for a floor that cannot be read, or compared with: no price reaches it."""

# Ranges of a player or deal that are read; real requests have a handful.
MAX_RANGES: Final = 32


def floors_by_length(
    impression: Impression, deal: Deal | None, fitting: Sequence[Showable], currency: str, fx: FxTable
) -> list[int]:
    """What each ad costs at least by its length, in CPM micros of `currency`; 0 where nobody says."""
    imp = impression.imp
    player: Video | Audio | None = imp.video if impression.offer.format == "video" else imp.audio
    says: Deal | Video | Audio | None = deal if deal is not None else player
    named = (deal.bidfloorcur if deal is not None else imp.bidfloorcur) or None
    if says is None or (says.mincpmpersec is None and not says.durfloors):
        return [0] * len(fitting)
    found = []
    for each in fitting:
        seconds = each.prepared.ad.seconds if isinstance(each.prepared.ad, SpotAd) else 0
        try:
            found.append(_floor(says.mincpmpersec, says.durfloors or (), seconds, named, currency, fx))
        except MoneyError:
            found.append(UNREACHABLE)
    return found


def _floor(
    per_second: float | None,
    ranges: Sequence[DurationFloor],
    seconds: float,
    named: str | None,
    currency: str,
    fx: FxTable,
) -> int:
    prices = [each.bidfloor for each in ranges[:MAX_RANGES] if each.bidfloor is not None and _covers(each, seconds)]
    if per_second is not None:
        prices.append(per_second * seconds)
    highest = max(prices, default=0.0)
    if not math.isfinite(highest):
        return UNREACHABLE
    return floor_of(highest, named, currency, fx)


def _covers(each: DurationFloor, seconds: float) -> bool:
    """Whether a length lies in a range, both ends included; an end that is missing is open."""
    return (each.mindur is None or each.mindur <= seconds) and (each.maxdur is None or seconds <= each.maxdur)
