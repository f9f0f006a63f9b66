"""Places in a pod that line items ask for: the first, the last (AdCOM list "Slot Position in Pod").

An impression that takes one ad is the place that it says. A dynamic pod takes several, and says which of its places the
seller can guarantee: a bid that wants one of them has to say so (`slotinpod`), and no other bid may (OpenRTB 2.6,
implementation notes 7.6).
"""

from collections.abc import Iterable
from typing import Final

from bidder.openrtb.types import Audio, Video

ANY: Final = 0
FIRST: Final = 1
LAST: Final = -1
EITHER: Final = 2  # the first or the last

_GUARANTEED: Final = {EITHER: (FIRST, LAST, EITHER)}


def sold(slot: int | None, pod_s: int | None) -> tuple[int, ...]:
    """The places that an impression sells; `pod_s` are the seconds of a dynamic pod."""
    if slot is None:
        return ()
    return _GUARANTEED.get(slot, (slot,)) if pod_s and pod_s > 0 else (slot,)


def insisted(wanted: Iterable[int]) -> int:
    """One value for the places that a line item is targeted at; `ANY` where other places will do, too."""
    places = set(wanted)
    if not places or ANY in places:
        return ANY
    if EITHER in places or {FIRST, LAST} <= places:
        return EITHER
    return FIRST if FIRST in places else LAST if LAST in places else ANY


def said(insists: int, spot: Video | Audio | None) -> int:
    """`slotinpod` of a bid of a line item that insists on a place; `ANY` where it says nothing."""
    if spot is None or (spot.poddur or 0) <= 0:
        return ANY
    slot = spot.slotinpod or ANY
    if slot == EITHER or insists == slot:
        return insists
    return slot if insists == EITHER else ANY


def taken(place: int) -> tuple[int, ...]:
    """The places of which a bid that says `place` takes one; `ANY` stands for all the others."""
    return (FIRST, LAST) if place == EITHER else (place,)
