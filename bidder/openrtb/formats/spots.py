"""What the video and audio objects of the protocol have in common (OpenRTB 2.6 sections 3.2.7 and 3.2.8)."""

from typing import Final, NamedTuple

import msgspec

from bidder.openrtb.formats.banner import banner_sizes
from bidder.openrtb.types import Audio, DurationFloor, Imp, Video
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.offer import DurationRange, Offer, Shape, Size
from creatives.formats.spots import SpotAd

UNBOUNDED_MS: Final = 2**31
"""The length of a spot where a request sets no limit."""

ANY_EXTENSION: Final = -1
"""`maxextended`: a spot may be longer than `maxduration` without a limit (OpenRTB 2.6 section 3.2.7)."""

# So many required lengths are read; real pods name up to six.
MAX_LENGTHS: Final = 16

# Ads of one pod that are bid, and floors by length that are read; real requests have fewer.
MAX_ADS: Final = 6
MAX_FLOORS: Final = 16

# Companions of one player; real requests have one or two.
MAX_COMPANIONS: Final = 8


def lengths(name: str, spot: Video | Audio) -> tuple[Shape, ...] | Fault:
    """The lengths that a player has room for. Exact ones are whole seconds, which a spot fills to the second."""
    room = 1000 * spot.poddur if spot.poddur and spot.poddur > 0 else UNBOUNDED_MS
    exact = [each for each in dict.fromkeys(spot.rqddurs or ()) if each > 0][:MAX_LENGTHS]
    if exact:
        fitting = [DurationRange(name, 1000 * (each - 1) + 1, 1000 * each) for each in exact if 1000 * each <= room]
        return tuple(fitting) or Fault(f"/{name}/rqddurs", "durations", "are above poddur: no length fits")
    least = 1000 * max(spot.minduration or 0, 0)
    most = 1000 * spot.maxduration if spot.maxduration and spot.maxduration > 0 else UNBOUNDED_MS
    if least > min(most, room):
        return Fault(f"/{name}/maxduration", "durations", "is below minduration: no length fits")
    if spot.maxextended and spot.maxextended > 0:
        most += 1000 * spot.maxextended
    elif spot.maxextended == ANY_EXTENSION:
        most = UNBOUNDED_MS
    return (DurationRange(name, least, min(most, room)),)


def no_types(name: str) -> Fault:
    """The fault of a player that does not say what it plays."""
    return Fault(f"/{name}/mimes", "no_mimes", "names no MIME type, so that no file can be chosen")


def companion_sizes(spot: Video | Audio) -> tuple[Size, ...]:
    """Sizes of the places beside the player."""
    return tuple(
        dict.fromkeys(size for each in (spot.companionad or ())[:MAX_COMPANIONS] for size in banner_sizes(each))
    )


class PodAsked(NamedTuple):
    """The pod that an impression is part of, or is (OpenRTB 2.6 section 7.6 of the implementation notes)."""

    id: str  # "" where it has none: then it is one of its own
    seconds: int  # of a dynamic one; 0 for a single ad
    most_ads: int
    separation: tuple[int, ...] | None
    """AdCOM list "Pod Deduplication"; None where the request names none."""
    per_second: float | None
    """Floor CPM of each second."""
    floors: tuple[DurationFloor, ...]


def spot_in(imp: Imp, name: str) -> Video | Audio | None:
    """The player that an impression offers for a format; None for other formats."""
    return imp.video if name == "video" else imp.audio if name == "audio" else None


def pod_of(imp: Imp, name: str) -> PodAsked | None:
    """The pod of an impression's player of a format; None where it takes one ad by itself, at one floor."""
    spot = spot_in(imp, name)
    if spot is None:
        return None
    seconds = spot.poddur if spot.poddur and spot.poddur > 0 else 0
    if not (seconds or spot.podid or spot.mincpmpersec or spot.durfloors):
        return None
    most = min(max(spot.maxseq or MAX_ADS, 1), MAX_ADS) if seconds else 1
    name = str(spot.podid) if spot.podid else ""
    return PodAsked(name, seconds, most, spot.poddedupe, spot.mincpmpersec, (spot.durfloors or ())[:MAX_FLOORS])


def without_clicks(offer: Offer) -> Offer:
    """An offer of a screen in a public place (OpenRTB 2.6, `dooh`): nobody can click there."""
    return msgspec.structs.replace(offer, can_click=False)


def members(ad: Ad, markup_type: int) -> dict[str, object]:
    """Members of a bid that tell of a spot (OpenRTB 2.6 section 4.2.3)."""
    if not isinstance(ad, SpotAd):
        return {"mtype": markup_type}
    return {
        "mtype": markup_type,
        "dur": ad.seconds,
        "protocol": ad.protocol,
        "attr": ad.attributes,
        "apis": ad.frameworks,
    }
