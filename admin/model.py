"""What only the control plane knows: product feeds, conversions and webhooks. The bid path never reads them.

Same conventions as core.model. People and API keys are not documents: they live in admin.store.accounts.
"""

import enum

import msgspec

from core.model import Status


class FeedFormat(enum.StrEnum):
    CSV = "csv"
    TSV = "tsv"
    XML = "xml"


class CountUnique(enum.StrEnum):
    """Which of a user's conversions count."""

    ALL = "all"
    ONE_PER_DAY = "one_per_day"
    ONE_PER_ORDER = "one_per_order"


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a shop's product list is fetched from, and how often."""

    id: int
    advertiser_id: int
    name: str
    url: str
    status: Status = Status.ACTIVE
    format: FeedFormat = FeedFormat.XML
    refresh_s: int = 14_400
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the shop that counts as success of an ad, and for how long after the ad."""

    id: int
    advertiser_id: int
    name: str
    event: str = "purchase"
    status: Status = Status.ACTIVE
    click_window_s: int = 2_592_000
    view_window_s: int = 86_400
    default_value_micros: int = 0
    count: CountUnique = CountUnique.ONE_PER_ORDER
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where an advertiser is told that a user entered a segment; `secret` signs each call (HMAC-SHA256)."""

    id: int
    advertiser_id: int
    name: str
    url: str
    secret: str = ""
    status: Status = Status.ACTIVE
    external_id: str = ""
    notes: str = ""
    version: int = 1
