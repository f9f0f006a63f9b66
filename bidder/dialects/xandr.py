"""Xandr: creatives are registered before they are shown, and a bid names its own by our code.

https://learn.microsoft.com/en-us/xandr/bidders/submit-a-bid-response shows it as `ext.appnexus.crcode` of a bid; the
code that a creative was registered with is here its `crid`.
"""

from bidder.dialects.generic import Speaker
from creatives.formats.base import Ad


class Xandr(Speaker):
    """Speaks for a Xandr bidder."""

    __slots__ = ()

    def members(self, ad: Ad, advertiser_domain: str, campaign_id: int, track_url: str) -> dict[str, object]:
        """See `Speaker`."""
        members = super().members(ad, advertiser_domain, campaign_id, track_url)
        return members | {"ext": {"appnexus": {"crcode": members["crid"]}}}
