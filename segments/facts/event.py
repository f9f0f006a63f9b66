"""Shop events: the names, the wire payload, and the normalised event that travels through the stream to the worker.

Names and payload are those of GA4, which most shops have in their tag manager already; names of Criteo's OneTag are
accepted as aliases. docs/events.md is the reference.
"""

import enum
import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from segments.facts.facts import AttributeValue, ListedTime


class Kind(enum.StrEnum):
    """Events with a meaning of their own; any other well-formed name is a custom event."""

    PAGE_VIEW = "page_view"
    VIEW_ITEM = "view_item"
    VIEW_ITEM_LIST = "view_item_list"
    SEARCH = "search"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    VIEW_CART = "view_cart"
    BEGIN_CHECKOUT = "begin_checkout"
    ADD_SHIPPING_INFO = "add_shipping_info"
    ADD_PAYMENT_INFO = "add_payment_info"
    PURCHASE = "purchase"
    REFUND = "refund"
    ADD_TO_WISHLIST = "add_to_wishlist"
    LOGIN = "login"
    SIGN_UP = "sign_up"
    HEARTBEAT = "heartbeat"


# Kinds of events between our own processes: no shop may send a name with a leading underscore.
LINK: Final = "_link"  # "our visitor logged in as a person you know": carries a snapshot of facts
LINK_BACK: Final = "_link_back"  # the answer, with the other side's snapshot

LISTED: Final = "_listed"  # a customer list of the shop names the visitor now, or no longer

FORGET: Final = "_forget"  # the visitor wants this shop to know nothing of this browser

OWN_KINDS: Final = frozenset({LINK, LINK_BACK, LISTED, FORGET})

SERVER_ORIGIN: Final = "server"
"""`Event.origin` of an event that names a person, not a device: it is sent to every device and passed on by none."""

ALIASES: Final = {
    "viewHome": Kind.PAGE_VIEW,
    "viewPage": Kind.PAGE_VIEW,
    "viewList": Kind.VIEW_ITEM_LIST,
    "viewCategory": Kind.VIEW_ITEM_LIST,
    "viewSearch": Kind.SEARCH,
    "viewSearchResult": Kind.SEARCH,
    "viewItem": Kind.VIEW_ITEM,
    "addToCart": Kind.ADD_TO_CART,
    "viewBasket": Kind.VIEW_CART,
    "beginCheckout": Kind.BEGIN_CHECKOUT,
    "trackTransaction": Kind.PURCHASE,
    "setEmail": Kind.LOGIN,
    "setHashedEmail": Kind.LOGIN,
}
"""Criteo OneTag names."""

NEEDS_ITEMS: Final = frozenset({Kind.VIEW_ITEM, Kind.ADD_TO_CART, Kind.REMOVE_FROM_CART, Kind.ADD_TO_WISHLIST})

# A cart of a wholesaler has dozens of lines; GA4 itself takes 200 items. Beyond that the sender has a loop.
MAX_ITEMS: Final = 200
# One beacon carries what a page queued; a back office sends pages of its day.
MAX_BATCH: Final = 500
MAX_NAME_CHARS: Final = 40
# Criteo's bound on product ids is 240. Profiles keep them whole, so ids longer than any real catalogue's are refused.
MAX_ID_CHARS: Final = 100
MAX_TEXT_CHARS: Final = 200
MAX_URL_CHARS: Final = 2_048
# Ten million units of any currency: a price above is a fault of the sender (an id in the price field).
MAX_AMOUNT: Final = 10_000_000
MAX_SECONDS: Final = 3_600

# Patterns end in \Z: Python's $ alone also matches before a final line break.
ShortText = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
# Texts that are compared and shown as they are may have no control characters and line separators: no id has them.
_NO_CONTROL: Final = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]"
Identifier = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS, pattern=rf"\A{_NO_CONTROL}*\Z")]
OptionalIdentifier = Annotated[str, Meta(max_length=MAX_ID_CHARS, pattern=rf"\A{_NO_CONTROL}*\Z")]
Amount = Annotated[float, Meta(ge=0, le=MAX_AMOUNT)]
CurrencyCode = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]


class ItemIn(msgspec.Struct):
    """One product on the wire; only the id is required."""

    item_id: Identifier
    item_category: ShortText = ""
    price: Amount | None = None
    quantity: Annotated[int, Meta(ge=0, le=10_000)] = 1
    currency: CurrencyCode | None = None  # of the price; the event's where the item names none
    availability: ShortText = ""  # as in product feeds: in_stock, out_of_stock, preorder, backorder
    stock: Annotated[float, Meta(ge=0)] | None = None  # pieces; counts where no availability is told


class PlaceIn(msgspec.Struct):
    """Where the visitor is, as far as the sender knows."""

    country: Annotated[str, Meta(pattern=r"\A([A-Za-z]{3})?\Z")] = ""
    region: Annotated[str, Meta(max_length=20)] = ""
    city: Annotated[str, Meta(max_length=60)] = ""


class EventIn(msgspec.Struct):
    """One event on the wire, aliases resolved."""

    event: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"\A[a-z][a-z0-9_]*\Z")]
    url: Annotated[str, Meta(max_length=MAX_URL_CHARS)] = ""
    referrer: Annotated[str, Meta(max_length=MAX_URL_CHARS)] = ""
    items: Annotated[list[ItemIn], Meta(max_length=MAX_ITEMS)] = []
    value: Amount | None = None
    currency: CurrencyCode | None = None
    transaction_id: OptionalIdentifier = ""
    event_id: OptionalIdentifier = ""
    search_term: ShortText = ""
    seconds: Annotated[float, Meta(ge=0, le=MAX_SECONDS)] = 0
    time: str | int | float | None = None  # unix seconds or milliseconds, or ISO 8601 with an offset
    user_id: str = ""
    email_sha256: Annotated[str, Meta(pattern=r"\A([0-9a-fA-F]{64})?\Z")] = ""
    phone_sha256: Annotated[str, Meta(pattern=r"\A([0-9a-fA-F]{64})?\Z")] = ""
    customer_id: OptionalIdentifier = ""
    attributes: Annotated[dict[str, AttributeValue | None], Meta(max_length=16)] = {}
    place: PlaceIn | None = None
    consent: Annotated[str, Meta(max_length=4_096)] = ""
    gdpr: int | None = None
    ad_personalization: str = ""
    offline: bool = False
    replace: bool = False


class Item(msgspec.Struct, array_like=True, frozen=True):
    """One product; price of a piece in micros of the advertiser's currency, 0 for unknown."""

    id: str
    category: str = ""
    price_micros: int = 0
    quantity: int = 1
    availability: str = ""  # as told; "" where nothing was


class Source(msgspec.Struct, array_like=True, frozen=True):
    """How a page was reached from outside the shop."""

    source: str
    medium: str = ""
    campaign: str = ""
    phrase: str = ""
    explicit: bool = False  # said by utm or click ids, not only by the referrer


class Event(msgspec.Struct, array_like=True, frozen=True):
    """A validated event as it lies in the stream. Amounts are micros of the advertiser's currency, times unix ms."""

    kind: str
    advertiser_id: int
    user_id: str
    at_ms: int
    path: str = ""
    source: Source | None = None
    items: tuple[Item, ...] = ()
    value_micros: int | None = None
    order: int = 0  # order_key of the transaction id; 0: none given
    phrase: str = ""
    seconds: int = 0
    person: bytes = b""  # person_digest of a hashed e-mail
    attributes: dict[str, AttributeValue | None] = {}
    country: str = ""
    region: str = ""
    city: str = ""
    offline: bool = False  # happened at a till: no visit
    origin: str = ""  # the device where it happened, when it was passed on to a linked one
    origin_id: bytes = b""  # its stream id there
    snapshot: bytes = b""  # packed facts of LINK and LINK_BACK
    once: int = 0  # event_key of the sender's event id; 0: none given
    replaces: bool = False  # corrects the order, if it is known
    known_as: tuple[bytes, ...] = ()  # digests of the person's phone and customer id
    lists: dict[str, ListedTime] = {}  # of LISTED, and what the worker has looked up of a login


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Event)


def pack_event(event: Event) -> bytes:
    """Stream form."""
    return _encoder.encode(event)


def unpack_event(blob: bytes) -> Event:
    """An event from its stream form; raises msgspec.DecodeError."""
    return _decoder.decode(blob)


def order_key(transaction_id: str) -> int:
    """48-bit digest of a shop's order number: what a profile remembers of it; never 0 for a non-empty one."""
    if not transaction_id:
        return 0
    digest = hashlib.blake2b(transaction_id.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") or 1


def event_key(event_id: str) -> int:
    """32-bit digest of a sender's event id: what a profile remembers of it; never 0 for a non-empty one."""
    if not event_id:
        return 0
    digest = hashlib.blake2b(event_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") or 1


def person_digest(advertiser_id: int, email_sha256: str) -> bytes:
    """16 bytes that stand for one person at one advertiser.

    The advertiser is part of what is hashed, so the same address at two shops gives two unrelated values and neither
    the keys nor the profiles of one shop can be joined with another's.
    """
    text = f"{advertiser_id}:{email_sha256.lower()}"
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"grosz-person").digest()


def phone_digest(advertiser_id: int, phone_sha256: str) -> bytes:
    """As `person_digest`, of a phone number."""
    return person_digest(advertiser_id, f"tel:{phone_sha256}")


def customer_digest(advertiser_id: int, customer_id: str) -> bytes:
    """As `person_digest`, of the shop's own id of a customer, which is not kept."""
    digest = hashlib.blake2b(f"{advertiser_id}:{customer_id}".encode(), digest_size=16, person=b"grosz-customer")
    return digest.digest()
