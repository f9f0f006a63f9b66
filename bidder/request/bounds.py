"""How much of an oversized request is looked at, so that no single one holds the event loop for long.

Impressions are left out from the end, and so are deals and sizes beyond what any exchange sends; what is blocked, who
is excluded and what a page says is never cut. Requests of the usual size are not looked at at all (`is_large`).
"""

from collections import Counter

import msgspec

from bidder.openrtb.formats.spots import MAX_ADS
from bidder.openrtb.types import BidRequest, Imp, Pmp

# 99 of 100 recorded requests have up to 6.3 kB and three impressions.
LARGE_BODY_BYTES = 12 * 1024
MANY_IMPRESSIONS = 16

# Places for ads of one request that are priced, and what one takes, in seconds: 85 us on a machine with two cores.
MAX_PLACES = 64
PLACE_COST_S = 0.0001
# Share of what is left of a request's time that pricing may use up.
PRICING_SHARE = 0.5

# Of one request together. A deal is read, converted and looked up in 2 us, a size several times in 10.
MAX_DEALS = 1_000
MAX_SIZES = 250

LeftOut = Counter[str]
"""How many `impressions`, `deals` and `sizes` were left out."""


def is_large(body_bytes: int, request: BidRequest) -> bool:
    """Whether a request may take so long that it is looked at in slices."""
    return body_bytes > LARGE_BODY_BYTES or len(request.imp) > MANY_IMPRESSIONS


def keep_what_fits(request: BidRequest, left_s: float) -> LeftOut:
    """Leave out of a request what there is no time for in `left_s` seconds, or in one go of the event loop."""
    left_out = LeftOut()
    places = min(MAX_PLACES, int(left_s * PRICING_SHARE / PLACE_COST_S))
    kept: list[Imp] = []
    for imp in request.imp:
        places -= _places(imp)
        if places < 0:
            break
        kept.append(imp)
    left_out["impressions"] = len(request.imp) - len(kept)
    request.imp = tuple(kept)
    deals, sizes = MAX_DEALS, MAX_SIZES
    for imp in kept:
        if imp.pmp is not None and imp.pmp.deals:
            deals -= _keep_deals(imp.pmp, deals, left_out)
        if imp.banner is not None and imp.banner.format:
            sizes -= _keep_sizes(imp, sizes, left_out)
    return left_out


def _places(imp: Imp) -> int:
    """How many places of an impression are priced: each format by itself, and each ad of a pod."""
    spots = [each for each in (imp.video, imp.audio) if each is not None]
    return sum(
        (imp.banner is not None, imp.native is not None, *(MAX_ADS if each.poddur else 1 for each in spots)), start=0
    )


def _keep_deals(pmp: Pmp, most: int, left_out: LeftOut) -> int:
    """Cut the deals of an impression to `most`. Returns how many are left."""
    deals = pmp.deals or ()
    left_out["deals"] += max(len(deals) - most, 0)
    pmp.deals = deals[:most]
    return len(pmp.deals)


def _keep_sizes(imp: Imp, most: int, left_out: LeftOut) -> int:
    """Cut the sizes of a banner to `most`, but not to none: then it would offer another. Returns how many are left."""
    banner = imp.banner
    if banner is None or not banner.format:
        return 0
    kept = banner.format[: max(most, 1)]
    left_out["sizes"] += len(banner.format) - len(kept)
    imp.banner = msgspec.structs.replace(banner, format=kept)
    return len(kept)
