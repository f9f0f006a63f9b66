"""The words in which settings are written and formats named; part of the model (`core.model`), which passes them on."""

import enum
from typing import Final


class Format(enum.StrEnum):
    BANNER = "banner"
    NATIVE = "native"
    VIDEO = "video"
    AUDIO = "audio"


FORMATS_BY_NUMBER: Final = ("", "banner", "video", "audio", "native")
"""Formats by the number that tokens and rings of impressions have for them: OpenRTB's `mtype`. Append only."""


class Clearing(enum.StrEnum):
    """Where the price of a won impression comes from."""

    REPORTED = "reported"  # the exchange, in its notice
    HOUSE = "house"  # nobody: settled by our rule over the bids we know


class BillingEvent(enum.StrEnum):
    """Which notice of an exchange makes a bid billable."""

    BILL = "bill"  # burl
    WIN = "win"  # nurl
    IMPRESSION = "impression"  # our own pixel


class AuctionType(enum.IntEnum):
    """What the winner of an auction pays. The numbers are OpenRTB's `at`, of a request (1, 2) or of a deal (also 3)."""

    FIRST_PRICE = 1
    SECOND_PRICE = 2
    FIXED_PRICE = 3  # what was agreed in the deal


class PriceEncryption(enum.StrEnum):
    NONE = "none"
    GOOGLE = "google"  # also OpenX and others
    RUBICON = "rubicon"


class UnreadablePrice(enum.StrEnum):
    """What is charged for a bill whose price cannot be read: not a number, not genuine, an unfilled macro."""

    BID = "bid"  # the bid, the most that the exchange may ask
    HOUSE = "house"  # by our rule over the bids we know


class SellerCheck(enum.StrEnum):
    """What the local table of ads.txt files decides (docs/supply.md)."""

    OFF = "off"
    KNOWN = "known"  # a seller is refused if its file is known and does not name it
    REQUIRED = "required"  # the same, and impressions whose file is not known are refused


class ListKind(enum.StrEnum):
    """What the values of a reusable list are."""

    DOMAINS = "domains"
    APPS = "apps"
    PUBLISHERS = "publishers"
    SELLERS = "sellers"
    WORDS = "words"


class ReviewPolicy(enum.StrEnum):
    """Whether an exchange looks at each ad before it is shown (docs/approvals.md)."""

    NONE = "none"  # the exchange tells nobody of its decisions
    AFTER = "after"  # an ad may bid until it is rejected
    BEFORE = "before"  # an ad may bid once it is approved


class NoBidStyle(enum.StrEnum):
    """The form in which an exchange wants a no-bid."""

    NO_CONTENT = "204"
    REASON_CODE = "nbr"  # 200 {"id": ..., "nbr": n}
    EMPTY = "empty"  # 200 {"id": ..., "seatbid": []}


class RefusalStyle(enum.StrEnum):
    """What an exchange is answered when it sends more than its cap."""

    NO_CONTENT = "204"
    TOO_MANY = "429"
