"""What rules beside consent ask of an answer: ads fit for children, and who pays for an ad (docs/consent.md)."""

from bidder.openrtb.transparency import asked_of
from bidder.openrtb.types import Regs
from bidder.request.auction import Auction


def note_regulations(auction: Auction, regs: Regs) -> None:
    """Set `is_child` and `transparency` of an auction whose user, place and consent are known."""
    ext, consent = regs.ext, auction.consent
    auction.is_child = bool(regs.coppa or (ext is not None and ext.s22580))
    if regs.dsa is None or consent is None:
        return
    is_known = auction.user_id is not None or auction.exchange_user is not None
    auction.transparency = asked_of(
        regs.dsa,
        profile=consent.segments and is_known,
        precise_geo=consent.precise_geo and auction.place.point is not None,
    )
