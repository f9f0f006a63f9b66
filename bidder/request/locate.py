"""Where the device is, as far as we may know: `device.geo`, otherwise `user.geo` (OpenRTB 2.6, 3.2.18-3.2.20).

`user.geo` serves also where the device's has no country.
"""

from bidder.openrtb.countries import alpha_3
from bidder.openrtb.enums import LocationType
from bidder.openrtb.types import BidRequest, Geo
from bidder.request.auction import NOWHERE, Auction, Place

# Two decimals are about a kilometre: what remains when precise location is not permitted (docs/consent.md), and
# fine enough that circles in cities still work while the memo of the radius dimension stays small.
COORDINATE_DECIMALS = 2

# What a point found by the IP address is exact to where the sender does not say: databases of addresses know the city,
# and tell 5 to 50 km for one.
IP_ACCURACY_KM = 25.0

# Senders know places by databases of addresses, so the same ones come again; 300 bytes each.
REMEMBERED_PLACES = 16_384

# Country, region, city and postcode together. What is longer is no place and would fill the memory: it is read each
# time.
MAX_REMEMBERED_CHARS = 200


def locate(auction: Auction) -> None:
    """Set `auction.place`."""
    request = auction.request
    geo = request.device.geo if request.device is not None else None
    if geo is None or not geo.country:
        geo = _geo_of_user(request, geo)
    if geo is None:
        auction.place = NOWHERE
        return
    key = (geo.country, geo.region, geo.city, geo.zip, geo.lat, geo.lon, geo.type, geo.accuracy)
    place = _known.get(key) or _remember(key)
    regs = request.regs
    if regs is not None and regs.coppa:  # nothing finer than the region (docs/consent.md)
        place = Place(place.country, place.region)
    auction.place = place


def _geo_of_user(request: BidRequest, of_device: Geo | None) -> Geo | None:
    """Where the user is at home, used where the device has no country; a point of the device is kept."""
    of_user = request.user.geo if request.user is not None else None
    if of_user is None or of_device is None:
        return of_user or of_device
    if not of_user.country:
        return of_device
    if of_device.lat is None or of_device.lon is None:
        return of_user
    return Geo(
        country=of_user.country, region=of_user.region, city=of_user.city, zip=of_user.zip,
        lat=of_device.lat, lon=of_device.lon, type=of_device.type, accuracy=of_device.accuracy,
    )  # fmt: skip


_Key = tuple[str | None, str | None, str | None, str | None, float | None, float | None, int | None, float | None]
_known: dict[_Key, Place] = {}


def _remember(key: _Key) -> Place:
    country, region, city, postcode, latitude, longitude, found_by, accuracy_m = key
    point = _point(latitude, longitude)
    accuracy_km = _accuracy_km(found_by, accuracy_m) if point else None
    place = Place(alpha_3(country), region, city, postcode, point, accuracy_km)
    if sum(len(text) for text in (country, region, city, postcode) if text) <= MAX_REMEMBERED_CHARS:
        if len(_known) >= REMEMBERED_PLACES:
            _known.clear()
        _known[key] = place
    return place


def _accuracy_km(found_by: int | None, accuracy_m: float | None) -> float | None:
    if accuracy_m is not None and accuracy_m > 0:
        return accuracy_m / 1000
    return IP_ACCURACY_KM if found_by == LocationType.IP_ADDRESS else None


def _point(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    # (0, 0) is what senders put when they do not know.
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return round(latitude, COORDINATE_DECIMALS), round(longitude, COORDINATE_DECIMALS)
