"""What one shop knows about one visitor: the value that events change and that segment rules read.

Everything time-based is stored as the moment of an event, never as an age, so facts change only when an event happens;
what also depends on the clock (`lifecycle_at`, `recency_class_at`) is a function of facts and a time. Units: `*_s` is
unix seconds for a moment and seconds for a duration, `*_micros` an amount of the advertiser's currency, 0 or "" means
"never" or "unknown". Lists are bounded by the constants below and ordered oldest first; the newest entry is the last.

The structs are arrays on the wire (layout.py): append fields at the end, with a default, and never reorder them.
"""

import enum

import msgspec

# The bounds keep 20 segments and 50 products under 1 KiB; the oldest entry goes first when a list is full.
MAX_PRODUCTS = 50
MAX_BOUGHT = 20
MAX_CART_LINES = 30
MAX_ENTRIES = 6
MAX_SEARCHES = 8
MAX_PATHS = 16
MAX_ORDERS = 12
MAX_ATTRIBUTES = 16
MAX_DEVICES = 8
MAX_COOLDOWNS = 8
MAX_EVENT_KINDS = 24
MAX_LISTS = 32
MAX_KNOWN_AS = 4

DAY_S = 86_400
YEAR_S = 365 * DAY_S

FOREVER_S = 2**32 - 1
"""Stands for "never ends", in unix seconds of 32 bits."""

# Analytics tools have ended a visit after half an hour of silence for decades; shops compare our counts with theirs.
VISIT_GAP_S = 1_800

# A cart older than this has lost its value: the curve of docs/evidence.md, "Carts", is below 1% of its
# peak by then.
CART_LIFETIME_S = 14 * DAY_S

# Silence after which a visitor counts as leaving: twice a monthly shopping rhythm.
LIFECYCLE_EXIT_S = 60 * DAY_S

# Upper bounds of recency classes 5 (best) to 2; anything older is class 1. A day, a week, a month, a quarter.
RECENCY_BOUNDS_S = (DAY_S, 7 * DAY_S, 30 * DAY_S, 90 * DAY_S)

# Lower bounds of frequency classes 5 (best) to 2 in purchases; one purchase is class 1, none is class 0.
FREQUENCY_BOUNDS = (10, 5, 3, 2)

# Lower bounds of monetary classes 5 to 2 as a multiple of 100 units of the advertiser's currency; less is class 1.
MONETARY_BOUNDS_MICROS = (5_000_000_000, 2_000_000_000, 1_000_000_000, 300_000_000)


class CartStage(enum.IntEnum):
    """How far towards paying the current cart has got; it only grows until the cart ends."""

    NONE = 0
    CART = 1
    FORM = 2  # begin_checkout
    SHIPPING = 3  # add_shipping_info
    PAYMENT = 4  # add_payment_info


class Lifecycle(enum.IntEnum):
    """Where the visitor stands with the shop. EXIT is reached by silence alone: see `lifecycle_at`."""

    UNKNOWN = 0
    ACQUISITION = 1  # has come, has looked at no product
    NURTURE = 2  # looks at products
    SALES = 3  # has or had a cart since the last purchase
    RETENTION = 4  # has bought
    EXIT = 5


class Entry(msgspec.Struct, array_like=True):
    """How one visit began."""

    at_s: int
    source: str = ""  # utm_source, otherwise the referrer's name ("google", "facebook", host), otherwise "direct"
    medium: str = ""  # utm_medium, otherwise "organic", "social", "referral", "none"
    campaign: str = ""  # utm_campaign
    phrase: str = ""  # utm_term or the search engine's query, lower case
    path: str = ""  # landing page's path


class Traits(msgspec.Struct, array_like=True, frozen=True):
    """What the feed said of a product at the visitor's last event with it, as far as the shop's rules ask (traits.py).

    The reduction is the one exception: it is about the present, and is brought up to the feed in the background.
    """

    margin: str = ""  # low, medium or high; another label as the feed has it
    brand: str = ""
    labels: tuple[str, ...] = ()  # of the feed's custom labels those that are not empty
    on_sale: bool = False  # whether the reduced price held
    reduced_from_s: int = 0
    reduced_to_s: int = 0  # 0: no reduced price is known; FOREVER_S: one without end


class Product(msgspec.Struct, array_like=True):
    """A product that was looked at; one entry a product id, moved to the end when it is seen again."""

    id: str
    category: str = ""
    seen_s: int = 0  # last time
    price_micros: int = 0
    views: int = 1
    liked: bool = False  # add_to_wishlist
    traits: Traits | None = None  # None: no rule asked


class Bought(msgspec.Struct, array_like=True):
    """A product that was bought; one entry a product id."""

    id: str
    category: str = ""
    bought_s: int = 0  # last time
    quantity: int = 1  # over all purchases
    price_micros: int = 0  # of one piece; kept where a rule asks
    traits: Traits | None = None


class CartLine(msgspec.Struct, array_like=True):
    """One product in the cart."""

    id: str
    category: str = ""
    price_micros: int = 0  # of one piece
    quantity: int = 1
    since_s: int = 0
    traits: Traits | None = None


class Search(msgspec.Struct, array_like=True):
    """A phrase typed into the shop's own search; lower case, one entry a phrase."""

    phrase: str
    at_s: int = 0


class PathVisit(msgspec.Struct, array_like=True):
    """A page's path (no query), one entry a path."""

    path: str
    at_s: int = 0  # last time
    count: int = 1


class Order(msgspec.Struct, array_like=True):
    """A purchase that was counted, so that the same order sent twice is counted once and a refund finds it."""

    key: int  # 48-bit digest of the transaction id
    at_s: int = 0
    value_micros: int = 0
    refunded: bool = False  # whole: it counts as no purchase until it is corrected
    corrected_s: int = 0  # when its value was last replaced; 0: never


class Cooldown(msgspec.Struct, array_like=True):
    """A category that was just bought: until `until_s`, its products do not count as an abandoned cart."""

    category: str
    until_s: int = 0


class ListedTime(msgspec.Struct, array_like=True, frozen=True):
    """From when to when a customer list of the shop names the visitor; `until_s` is 0 for a list that they left."""

    since_s: int
    until_s: int = 0


AttributeValue = str | bool | int | float


class Facts(msgspec.Struct, array_like=True):
    """All facts of one visitor at one advertiser. `changed` sets name these fields."""

    # Visits
    first_visit_s: int = 0
    last_visit_s: int = 0  # last event of any kind from the visitor (not an offline purchase)
    visit_start_s: int = 0  # start of the current or last visit
    previous_visit_s: int = 0  # start of the visit before it
    visits: int = 0
    pages: int = 0
    visit_pages: int = 0  # pages of the current or last visit
    seconds_on_site: int = 0
    entries: list[Entry] = []
    # Interest
    products: list[Product] = []  # ever, bounded; those of the last visit have seen_s >= visit_start_s
    products_count: int = 0  # product views that were of a product not in `products`
    searches: list[Search] = []
    paths: list[PathVisit] = []
    likes: int = 0
    # Cart
    cart: list[CartLine] = []
    cart_micros: int = 0  # value of all lines
    cart_stage: int = 0  # CartStage
    cart_since_s: int = 0  # when the cart got its first line; 0: no cart
    cart_changed_s: int = 0  # last change of lines or stage
    cart_idle_s: int = 0  # last event of the visitor while the cart had lines: abandonment is measured from here
    cart_ended_s: int = 0  # when the last cart ended by purchase or emptying
    # Purchases
    purchases: int = 0
    purchases_micros: int = 0
    first_purchase_s: int = 0
    last_purchase_s: int = 0
    last_purchase_micros: int = 0
    orders: list[Order] = []
    bought: list[Bought] = []
    refunds: int = 0
    cooldowns: list[Cooldown] = []
    # Derived at event time; constant until the next event
    score: float = 0.0  # points per event, halved by every 7 days between events
    engagement: int = 0  # 0..100
    lifecycle: int = 0  # Lifecycle without EXIT; read it through lifecycle_at
    frequency_class: int = 0  # 0..5
    monetary_class: int = 0  # 0..5
    lifetime_value_micros: int = 0  # a year's worth at this visitor's rhythm
    # Identity and what the shop tells
    person: bytes = b""  # digest of the hashed e-mail at this advertiser
    devices: list[str] = []  # user ids of the same person that each event here is passed on to
    attributes: dict[str, AttributeValue] = {}
    country: str = ""  # ISO 3166 alpha-3
    region: str = ""
    city: str = ""  # lower case
    events: dict[str, int] = {}  # last time of each kind of event, custom ones too
    forwarded: dict[str, bytes] = {}  # per linked device, stream id of its last event that reached these facts
    merged: list[str] = []  # user ids whose history is in these facts, besides this one
    older_orders: bytes = b""  # digests of orders that fell off `orders` (orders.py)
    recent_events: bytes = b""  # digests of the last events that had an id (repeats.py)
    known_as: list[bytes] = []  # digests of the person's phone and customer id at this advertiser
    lists: dict[str, ListedTime] = {}  # the shop's customer lists that name the person

    @property
    def average_basket_micros(self) -> int:
        """Mean value of a purchase; 0 without purchases."""
        return self.purchases_micros // self.purchases if self.purchases > 0 else 0

    @property
    def cycle_s(self) -> int:
        """Mean time between two purchases in seconds; 0 before the second one."""
        if self.purchases < 2:
            return 0
        return (self.last_purchase_s - self.first_purchase_s) // (self.purchases - 1)


def digests_of(facts: Facts) -> list[bytes]:
    """The digests (e-mail, phone, customer id) by which the shop knows the person."""
    return [*([facts.person] if facts.person else []), *facts.known_as]


FACT_NAMES = frozenset(Facts.__struct_fields__)


def lifecycle_at(facts: Facts, now_s: int) -> Lifecycle:
    """The lifecycle stage at a moment: the stored one, or EXIT after `LIFECYCLE_EXIT_S` of silence."""
    if facts.lifecycle and now_s - max(facts.last_visit_s, facts.last_purchase_s) >= LIFECYCLE_EXIT_S:
        return Lifecycle.EXIT
    return Lifecycle(facts.lifecycle)


def recency_class_at(facts: Facts, now_s: int) -> int:
    """5 (bought within a day) to 1 (over a quarter ago) at a moment; 0 for a visitor who never bought."""
    if not facts.last_purchase_s:
        return 0
    age = now_s - facts.last_purchase_s
    return 5 - sum(age >= bound for bound in RECENCY_BOUNDS_S)


def has_cart_at(facts: Facts, now_s: int) -> bool:
    """Whether the cart has lines and is younger than `CART_LIFETIME_S` since its last change."""
    return bool(facts.cart) and now_s - facts.cart_changed_s < CART_LIFETIME_S
