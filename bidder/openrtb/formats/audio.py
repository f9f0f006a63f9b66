"""Audio of the protocol (OpenRTB 2.6 section 3.2.8)."""

from typing import Final

from msgspec.structs import astuple

from bidder.openrtb.formats import spots
from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.formats.remembered import RememberedOffers
from bidder.openrtb.types import Audio, Imp
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.spots import SpotOffer, version_for

NAME: Final = "audio"

MARKUP_TYPE: Final = 3
"""`mtype` (OpenRTB 2.6, section 4.2.3)."""


_offers: RememberedOffers[SpotOffer] = RememberedOffers()


def read(imp: Imp) -> SpotOffer | Fault | None:
    """The player that an impression offers."""
    audio = imp.audio
    if audio is None:
        return None
    key = astuple(audio)
    return _offers.known.get(key) or _offers.learn(key, audio, offer_of(audio))


def offer_of(audio: Audio) -> SpotOffer | Fault:
    """What a player offers, read anew."""
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
