"""Who pays for an ad and how it was chosen: what `regs.ext.dsa` asks for and `bid.ext.dsa` tells.

Source: IAB Tech Lab, OpenRTB community extension "DSA Transparency"; Digital Services Act, article 26. An ad of ours
does not show the notice itself, so it answers only publishers who can.
"""

import enum
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from bidder.openrtb.types import Dsa


class Parameter(enum.IntEnum):
    """How an ad was chosen (`dsaparams`)."""

    PROFILING = 1
    BASIC = 2  # by what is neither of a profile nor of a precise place
    PRECISE_GEO = 3


REQUIRED: Final = 2
"""`dsarequired`: from here on bids without the object are not accepted (3: on an online platform)."""

CANNOT_RENDER: Final = 0
"""`pubrender` of a publisher who does not show the notice."""

DO_NOT_SEND: Final = 0
"""`datatopub` of a publisher who wants no data for it."""


class TransparencyAsked(NamedTuple):
    """What a request asks for, and what its answer may have been chosen by."""

    required: bool
    publisher_renders: bool
    parameters: tuple[int, ...]
    """None where the publisher wants none."""


def asked_of(dsa: Dsa, *, profile: bool, precise_geo: bool) -> TransparencyAsked | None:
    """What a request's `dsa` asks for; None where it asks for nothing."""
    if not dsa.dsarequired:
        return None
    parameters = [Parameter.BASIC]
    if profile:
        parameters.insert(0, Parameter.PROFILING)
    if precise_geo:
        parameters.append(Parameter.PRECISE_GEO)
    wanted = dsa.datatopub is None or dsa.datatopub != DO_NOT_SEND
    # What is neither 0 nor 1 means something, and it is not "no".
    required = not 0 <= dsa.dsarequired < REQUIRED
    return TransparencyAsked(required, bool(dsa.pubrender), tuple(map(int, parameters)) if wanted else ())


def transparency(asked: TransparencyAsked, behalf: str, paid: str, track_url: str) -> dict[str, Any] | None:
    """`bid.ext.dsa`; None where nobody has said who pays, or nobody would show it."""
    if not behalf or not paid or not asked.publisher_renders:
        return None
    told: dict[str, Any] = {"behalf": behalf, "paid": paid, "adrender": 0}
    if asked.parameters:
        told["transparency"] = [{"domain": urlsplit(track_url).hostname or "", "dsaparams": list(asked.parameters)}]
    return told
