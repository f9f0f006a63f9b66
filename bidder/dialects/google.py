"""Google Authorized Buyers: a bid names the billing id that pays for it, one of those that the impression offers.

https://developers.google.com/ad-exchange/rtb/adx-extensions-guide says that `cid` of a bid is the billing id of a
pretargeting configuration, one of `imp.ext.billing_id`. The exchange's seat is our billing id.
"""

from bidder.dialects.generic import Speaker
from bidder.openrtb.types import Imp
from core.errors import Fault


class Google(Speaker):
    """Speaks for an exchange of Authorized Buyers."""

    __slots__ = ()

    has_rules = True

    def refuses(self, imp: Imp) -> Fault | None:
        """A fault where an impression lists billing ids without ours; one that lists none is open to it."""
        offered = imp.ext.billing_id if imp.ext is not None else None
        if offered and self.exchange.seat not in offered:
            return Fault("/ext/billing_id", "billing_id", "does not offer the billing id that is our seat")
        return None
