"""Who pays for an ad and how it was chosen: what `regs.ext.dsa` asks for and `bid.ext.dsa` tells.

Source: IAB Tech Lab, OpenRTB community extension "DSA Transparency"; Digital Services Act, article 26. Where the
publisher does not show the notice, ads that can do it themselves (`creatives.formats.notice`).
"""

import enum
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from bidder.openrtb.types import Dsa


class TargetingParameter(enum.IntEnum):
    """How an ad was chosen (`dsaparams`)."""

    PROFILING = 1
    BASIC = 2  # by what is neither of a profile nor of a precise place
    PRECISE_GEO = 3


REQUIRED: Final = 2
"""`dsarequired`: from here on bids without the object are not accepted (3: on an online platform)."""

CANNOT_RENDER: Final = 0
"""`pubrender` of a publisher who does not show the notice."""

DO_NOT_SEND: Final = 0
"""`datatopub` of a publisher who wants no such data."""


class TransparencyAsked(NamedTuple):
    """What a request asks for, and what its answer may have been chosen by."""

    required: bool
    publisher_renders: bool
    parameters: tuple[int, ...]
    """What the publisher is told of how the ad was chosen; none where it wants none."""
    chosen_by: tuple[int, ...] = ()
    """The same for the ad's own notice, which always says it."""


def asked_of(dsa: Dsa, *, profile: bool, precise_geo: bool) -> TransparencyAsked | None:
    """What a request's `dsa` asks for; None where it asks for nothing."""
    if not dsa.dsarequired:
        return None
    parameters = [TargetingParameter.BASIC]
    if profile:
        parameters.insert(0, TargetingParameter.PROFILING)
    if precise_geo:
        parameters.append(TargetingParameter.PRECISE_GEO)
    wanted = dsa.datatopub is None or dsa.datatopub != DO_NOT_SEND
    # What is neither 0 nor 1 means something, and it is not "no".
    required = not 0 <= dsa.dsarequired < REQUIRED
    chosen_by = tuple(map(int, parameters))
    return TransparencyAsked(required, bool(dsa.pubrender), chosen_by if wanted else (), chosen_by)


def transparency(
    asked: TransparencyAsked, behalf: str, paid: str, track_url: str, *, ad_shows: bool = False
) -> dict[str, Any] | None:
    """`bid.ext.dsa`; None where nobody has said who pays, or nobody would show it. `ad_shows`: the ad can show it."""
    if not behalf or not paid or not (asked.publisher_renders or ad_shows):
        return None
    told: dict[str, Any] = {"behalf": behalf, "paid": paid, "adrender": int(not asked.publisher_renders)}
    if asked.parameters:
        told["transparency"] = [{"domain": urlsplit(track_url).hostname or "", "dsaparams": list(asked.parameters)}]
    return told
