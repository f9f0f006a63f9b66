"""Why there is no bid on an impression, for exchanges that ask: the community extension "Seat Non Bid Response".

https://github.com/InteractiveAdvertisingBureau/openrtb/blob/main/extensions/community_extensions/seat-non-bid.md has
the members and the codes, of which those up to 17 are those of `nbr`. Prebid Server asks by
`ext.prebid.returnallbidstatus`.
"""

import msgspec

from bidder.openrtb.types import BidRequest

NO_BID = 0
INVALID = 2


def are_asked_for(request: BidRequest) -> bool:
    """Whether the request asks why there is no bid on an impression."""
    ext = request.ext
    return ext is not None and ext.prebid is not None and bool(ext.prebid.returnallbidstatus)


def with_non_bids(answer: bytes, request: BidRequest, seat: str, nbr: int, invalid: frozenset[int]) -> bytes:
    """An answer with the reason of each impression that it has no bid on.

    The reason is `nbr` where there is no bid at all; `invalid` are the indices of impressions that no bid could be on.
    """
    told = msgspec.json.decode(answer)
    bids = {bid["impid"] for each in told.get("seatbid", ()) for bid in each["bid"]}
    other = NO_BID if bids else nbr
    non_bids = [
        {"impid": imp.id, "statuscode": INVALID if position in invalid else other}
        for position, imp in enumerate(request.imp)
        if imp.id not in bids
    ]
    if non_bids:
        named = {"seat": seat} if seat else {}
        told["ext"] = {**told.get("ext", {}), "seatnonbid": [{**named, "nonbid": non_bids}]}
    return msgspec.json.encode(told)
