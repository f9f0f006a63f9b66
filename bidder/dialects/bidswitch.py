"""BidSwitch: an answer says which version of its protocol it speaks, and native markup is an object of its own.

https://protocol.bidswitch.com/standards/bsw-ortb-diff.html lists what differs from OpenRTB 2.5: `ext.protocol` is
required, a request's native part and the markup for it are objects. In which member of a bid the markup belongs is not
said there, so impressions that offer native ads are left out.
"""

from collections.abc import Sequence
from typing import Final

from bidder.dialects.generic import Speaker
from bidder.openrtb.types import Imp
from core.errors import Fault

PROTOCOL: Final = b',"ext":{"protocol":"5.3"}}'
"""The end of every answer: the version that the page above describes."""


class BidSwitch(Speaker):
    """Speaks for BidSwitch."""

    __slots__ = ()

    has_rules = True

    def refuses(self, imp: Imp) -> Fault | None:
        """See `Speaker`."""
        if imp.native is not None:
            return Fault("/native", "native", "wants native markup in a member that is not known")
        return None

    def answer(self, request_id: str, bids: Sequence[tuple[str, Sequence[bytes]]], currency: str, bid_id: str) -> bytes:
        """See `Speaker`."""
        return super().answer(request_id, bids, currency, bid_id)[:-1] + PROTOCOL
