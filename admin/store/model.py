"""What only the control plane knows: feeds, conversions, webhooks, people and API keys. The bid path never reads them.

Same conventions as core.model. Password hashes and key digests are not here: admin.store.accounts keeps them apart, so
that no list, export or change log can carry them.
"""

import enum

import msgspec

from core.model import Status


class FeedFormat(enum.StrEnum):
    """`auto` tells the form by the feed itself; xml by its root element."""

    AUTO = "auto"
    CSV = "csv"
    TSV = "tsv"
    XML = "xml"
    GOOGLE = "google"
    CENEO = "ceneo"
    YML = "yml"
    HEUREKA = "heureka"


class CountUnique(enum.StrEnum):
    """Which of a user's conversions count."""

    ALL = "all"
    ONE_PER_DAY = "one_per_day"
    ONE_PER_ORDER = "one_per_order"


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a shop's product list is fetched from, how often, and how it is read (docs/feeds.md).

    `url` is shown with password and keys masked; the whole address is `secret_url` then, which nobody can read back.
    """

    id: int
    advertiser_id: int
    name: str
    url: str = ""  # "": only uploads
    secret_url: str = ""
    status: Status = Status.ACTIVE
    format: FeedFormat = FeedFormat.AUTO
    refresh_s: int = 14_400
    price_currency: str = ""  # of prices without one
    encoding: str = ""  # "": as the feed says, otherwise UTF-8, otherwise told by its bytes
    item_element: str = ""  # of XML that is of no known form
    mapping: dict[str, str] = {}  # field of products -> column, or path of an element
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
    """Where an advertiser is told that a user entered a segment: at a URL, or at a mail address.

    `secret` signs each call (HMAC-SHA256).
    """

    id: int
    advertiser_id: int
    name: str
    url: str = ""
    mail: str = ""
    secret: str = ""
    status: Status = Status.ACTIVE
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Scope(enum.StrEnum):
    """What a person or a key may do. Everyone needs READ; ADMIN includes all others."""

    READ = "read"
    TRADE = "trade"  # campaigns, line items, creatives, segments, feeds, conversions, webhooks
    FINANCE = "finance"  # balances and the ledger
    ADMIN = "admin"  # exchanges, people, keys


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who logs in. An empty `advertiser_ids` is all advertisers."""

    id: int
    email: str
    name: str
    scopes: tuple[Scope, ...] = (Scope.READ,)
    advertiser_ids: tuple[int, ...] = ()
    status: Status = Status.ACTIVE
    external_id: str = ""
    notes: str = ""
    version: int = 1


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a program. `prefix` is the part of the secret that is shown, to tell keys apart."""

    id: int
    name: str
    prefix: str
    scopes: tuple[Scope, ...] = (Scope.READ,)
    advertiser_ids: tuple[int, ...] = ()
    requests_per_minute: int = 600
    expires_ms: int | None = None
    status: Status = Status.ACTIVE
    external_id: str = ""
    notes: str = ""
    version: int = 1
