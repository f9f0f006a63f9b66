"""Whose profile may be looked up, and the removal of every identifier that may not be used.

Our own cookie's id comes back as `user.buyeruid` where the exchange keeps the match table. Otherwise the exchange's id
of the user is the key of our table, which cookie sync fills: `user.id`, or where the exchange's settings say that
requests have it (`bidder.request.synced_ids`). A placeholder (`$UID`, zeros, "null") is nobody's id.
"""

from bidder.openrtb.types import NO_DATA, BidRequest
from bidder.request.auction import Auction
from bidder.request.synced_ids import is_usable, synced_id
from core.ids import is_user_id


def identify(auction: Auction) -> None:
    """Set `user_id` or `exchange_user` where consent allows identifiers; otherwise remove all of them."""
    consent, request = auction.consent, auction.request
    if consent is None or not consent.identifiers:
        strip_identifiers(request)
        return
    user, sources = request.user, auction.exchange.user_id_sources
    if user is not None and user.buyeruid is not None and is_user_id(user.buyeruid):
        auction.user_id = user.buyeruid
    elif sources:
        auction.exchange_user = synced_id(request, sources)
    elif user is not None and is_usable(user.id):
        auction.exchange_user = user.id


def strip_identifiers(request: BidRequest) -> None:
    """Remove what names the user or device, so that no later stage or log can use it by mistake."""
    user, device = request.user, request.device
    if user is not None:
        user.id = user.buyeruid = user.buyerid = user.eids = user.ext = None
        user.data = NO_DATA
    if device is not None:
        device.ifa = device.ip = device.ipv6 = None
