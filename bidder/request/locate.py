"""Where the device is, as far as we may know: `device.geo`, otherwise `user.geo` (OpenRTB 2.6, 3.2.18-3.2.20)."""

import functools

from bidder.openrtb.countries import alpha_3
from bidder.request.auction import NOWHERE, Auction, Place

# Two decimals are about a kilometre: what remains when precise location is not permitted (docs/consent.md), and
# fine enough that circles in cities still work while the memo of the radius dimension stays small.
COORDINATE_DECIMALS = 2

# Senders know places by databases of addresses, so the same ones come again; 300 bytes each.
REMEMBERED_PLACES = 16_384

# Country, region, city and postcode together. What is longer is no place and would fill the memory: it is read each
# time.
MAX_REMEMBERED_CHARS = 200


def locate(auction: Auction) -> None:
    """Set `auction.place`."""
    request = auction.request
    geo = request.device.geo if request.device is not None else None
    if geo is None:
        geo = request.user.geo if request.user is not None else None
    if geo is None:
        auction.place = NOWHERE
        return
    length = len(geo.country or "") + len(geo.region or "") + len(geo.city or "") + len(geo.zip or "")
    read = _place if length <= MAX_REMEMBERED_CHARS else _place.__wrapped__
    place = read(geo.country, geo.region, geo.city, geo.zip, geo.lat, geo.lon)
    regs = request.regs
    if regs is not None and regs.coppa:  # nothing finer than the region (docs/consent.md)
        place = Place(place.country, place.region)
    auction.place = place


@functools.lru_cache(maxsize=REMEMBERED_PLACES)
def _place(
    country: str | None,
    region: str | None,
    city: str | None,
    postcode: str | None,
    latitude: float | None,
    longitude: float | None,
) -> Place:
    return Place(alpha_3(country), region, city, postcode, _point(latitude, longitude))


def _point(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    # (0, 0) is what senders put when they do not know.
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return round(latitude, COORDINATE_DECIMALS), round(longitude, COORDINATE_DECIMALS)
