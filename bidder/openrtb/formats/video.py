"""Videos of the protocol: what a player plays, and how long (OpenRTB 2.6 section 3.2.7)."""

from typing import Final

from msgspec.structs import astuple

from bidder.openrtb.formats import spots
from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.formats.remembered import RememberedOffers
from bidder.openrtb.types import Imp, Video
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.spots import SpotAd, SpotOffer, version_for

NAME: Final = "video"

MARKUP_TYPE: Final = 2
"""`mtype` (OpenRTB 2.6, section 4.2.3)."""

NOT_LINEAR: Final = 2
"""`linearity` of overlays: AdCOM list "Linearity Modes"."""


_offers: RememberedOffers[SpotOffer] = RememberedOffers()


def read(imp: Imp) -> SpotOffer | Fault | None:
    """The player that an impression offers."""
    video = imp.video
    if video is None:
        return None
    key = astuple(video)
    return _offers.known.get(key) or _offers.learn(key, video, offer_of(video))


def offer_of(video: Video) -> SpotOffer | Fault:
    """What a player offers, read anew."""
    if not video.mimes:
        return spots.no_types(NAME)
    if video.linearity == NOT_LINEAR:
        return Fault("/video/linearity", "not_linear", "asks for overlays, and spots are linear")
    shapes = spots.lengths(NAME, video)
    if isinstance(shapes, Fault):
        return shapes
    width, height = video.w or 0, video.h or 0
    offer = SpotOffer(
        NAME,
        shapes,
        ((width, height),) if width > 0 and height > 0 else (),
        video.pos,
        None,
        video.battr,
        video.api,
        video.mimes,
        protocols=video.protocols,
        skip=None if video.skip is None else bool(video.skip),
        deliveries=video.delivery or None,
        least_kbps=max(video.minbitrate or 0, 0),
        most_kbps=max(video.maxbitrate or 0, 0),
        companion_sizes=spots.companion_sizes(video) if video.companionad else (),
        companion_kinds=video.companiontype or None,
        fills_frame=video.boxingallowed == 0 and video.boxingallowed is not None,
    )
    if version_for(offer) is None:
        return Fault("/video/protocols", "no_protocol", "names no version of VAST that we write inline: 2.0 to 4.2")
    return offer


def write(ad: Ad) -> dict[str, object]:
    """What a bid says of its video; `w` and `h` are those of its largest file that fits the player."""
    members = spots.members(ad, MARKUP_TYPE)
    if isinstance(ad, SpotAd):
        members |= {"w": ad.size[0], "h": ad.size[1]}
    return members


CODEC = FormatCodec(name=NAME, member=NAME, read=read, write=write)
