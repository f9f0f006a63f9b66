"""Where the device is, as far as we may know: `device.geo`, else `user.geo` (OpenRTB 2.6 sections 3.2.18-3.2.20)."""

from bidder.auction import NOWHERE, Auction, Place
from bidder.openrtb.countries import alpha_3
from bidder.openrtb.types import Geo

# Two decimals are about a kilometre: what remains when precise location is not permitted (spec: openrtb 3.3), and
# fine enough that circles in cities still work while the memo of the radius dimension stays small.
COORDINATE_DECIMALS = 2


def locate(auction: Auction) -> None:
    """Set `auction.place`."""
    request = auction.request
    geo = request.device.geo if request.device is not None else None
    if geo is None:
        geo = request.user.geo if request.user is not None else None
    auction.place = NOWHERE if geo is None else _place(geo, child_directed=_is_child_directed(auction))


def _is_child_directed(auction: Auction) -> bool:
    regs = auction.request.regs
    return regs is not None and bool(regs.coppa)


def _place(geo: Geo, *, child_directed: bool) -> Place:
    country = alpha_3(geo.country)
    if child_directed:  # COPPA: nothing finer than the region (spec: openrtb 3.5)
        return Place(country, geo.region)
    return Place(country, geo.region, geo.city, geo.zip, _point(geo))


def _point(geo: Geo) -> tuple[float, float] | None:
    latitude, longitude = geo.lat, geo.lon
    # (0, 0) is what senders put when they do not know.
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return round(latitude, COORDINATE_DECIMALS), round(longitude, COORDINATE_DECIMALS)
