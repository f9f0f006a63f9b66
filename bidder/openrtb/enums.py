"""The AdCOM and OpenRTB lists that code refers to by name. A value outside its list is legal (2.6, section 2.6)."""

import enum
from typing import Final

CONTENT_1_0: Final = 1
"""Content Taxonomy 1.0 (AdCOM list "Category Taxonomies"): that in which advertisers write, and OpenRTB's default."""

UNKNOWN_TAXONOMY: Final = -1
"""Stands for a `cattax` that is there and cannot be read: no number of that list, so nobody's categories fit it."""

EVERYBODY: Final = "*"
"""In a list of who or what may not bid: all. Some senders write it; it also stands for entries that cannot be read."""


class GppSection(enum.IntEnum):
    """Sections of the Global Privacy Platform that `gpp_sid` may list; 7 to 27 are the United States and its states."""

    TCF_EU = 2
    TCF_CANADA = 5
    US_PRIVACY = 6
    US_NATIONAL = 7
    LAST_US_STATE = 27


class TrackingStatus(enum.IntEnum):
    """`device.ext.atts`: what the user answered to Apple's App Tracking Transparency."""

    NOT_DETERMINED = 0
    RESTRICTED = 1
    DENIED = 2
    AUTHORIZED = 3


class LocationType(enum.IntEnum):
    """`geo.type`: how a place was found (AdCOM "Location Types")."""

    GPS = 1
    IP_ADDRESS = 2
    USER_PROVIDED = 3


class Purpose(enum.IntEnum):
    """Purposes of the TCF that a retargeting bidder asks for."""

    STORE_AND_ACCESS = 1
    BASIC_ADS = 2
    PROFILE_FOR_ADS = 3
    PERSONALISED_ADS = 4
    MEASURE_ADS = 7
