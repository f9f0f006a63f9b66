"""Audio of the protocol (OpenRTB 2.6 section 3.2.8)."""

from typing import Final

from bidder.openrtb.formats import spots
from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.types import Imp
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.spots import SpotOffer, version_for

NAME: Final = "audio"

MARKUP_TYPE: Final = 3
"""`mtype` (OpenRTB 2.6, section 4.2.3)."""


def read(imp: Imp) -> SpotOffer | Fault | None:
    """The player that an impression offers."""
    audio = imp.audio
    if audio is None:
        return None
    if not audio.mimes:
        return spots.no_types(NAME)
    shapes = spots.lengths(NAME, audio)
    if isinstance(shapes, Fault):
        return shapes
    offer = SpotOffer(
        NAME,
        shapes,
        blocked_attributes=audio.battr,
        frameworks=audio.api,
        mimes=audio.mimes,
        protocols=audio.protocols,
        deliveries=audio.delivery or None,
        least_kbps=max(audio.minbitrate or 0, 0),
        most_kbps=max(audio.maxbitrate or 0, 0),
        companion_sizes=spots.companion_sizes(audio) if audio.companionad else (),
        companion_kinds=audio.companiontype or None,
    )
    if version_for(offer) is None:
        return Fault("/audio/protocols", "no_protocol", "names no version of VAST that we write for sound: 3.0 to 4.2")
    return offer


def write(ad: Ad) -> dict[str, object]:
    """What a bid says of its sound."""
    return spots.members(ad, MARKUP_TYPE)


CODEC = FormatCodec(name=NAME, member=NAME, read=read, write=write)
