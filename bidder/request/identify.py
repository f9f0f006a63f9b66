"""Whose profile may be looked up, and the removal of every identifier that may not be used.

Our own cookie's id comes back as `user.buyeruid` where the exchange keeps the match table. Otherwise the exchange's own
id of the user (`user.id`) is the key of our table, which cookie sync fills. Device ids (`ifa`) and extended ids
(`eids`) are not looked up: nothing that shops tell us carries them, so they would find no profile, and two ids for one
person that the person did not link are not ours to link. A placeholder (`$UID`, zeros, "null") is nobody's id.
"""

from bidder.openrtb.types import BidRequest
from bidder.request.auction import Auction
from core.ids import is_user_id, means_nobody

# Keys of the match table are bounded; the longest id of a known exchange has 64 characters.
MAX_EXCHANGE_USER_CHARS = 128


def identify(auction: Auction) -> None:
    """Set `user_id` or `exchange_user` where consent allows identifiers; otherwise remove all of them."""
    consent, request = auction.consent, auction.request
    if consent is None or not consent.identifiers:
        strip_identifiers(request)
        return
    user = request.user
    if user is None:
        return
    if user.buyeruid is not None and is_user_id(user.buyeruid):
        auction.user_id = user.buyeruid
    elif user.id and len(user.id) <= MAX_EXCHANGE_USER_CHARS and not means_nobody(user.id):
        auction.exchange_user = user.id


def strip_identifiers(request: BidRequest) -> None:
    """Remove what names the user or device, so that no later stage or log can use it by mistake."""
    user, device = request.user, request.device
    if user is not None:
        user.id = user.buyeruid = user.buyerid = user.eids = user.ext = None
    if device is not None:
        device.ifa = device.ip = device.ipv6 = None
