"""Binary layout of profiles in Redis (docs/profile-layout.md is the reference).

Two hashes a user, in one slot. `u:{uid}` is what the bid path reads with one HGETALL: per advertiser a *hot* field of a
fixed 40-byte header and 12-byte membership windows, which a whole batch decodes with two numpy calls. `f:{uid}` holds
the *cold* field, all facts, which only the worker reads (measurements:
docs/decisions/0007-profiles-in-two-halves.md).
"""

import itertools
import math
import operator
import struct
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from core.ids import product_reference
from segments.facts.derive import basket_cycle_s
from segments.facts.facts import DAY_S, Facts, Product, Traits

HOT_VERSION: Final = 3
"""The version that is written. 2 lacks the purchase cycle, 1 also product references; both are read, too."""

OLDEST_HOT_VERSION: Final = 1
COLD_VERSION: Final = 2
"""The version that is written if a product has traits; otherwise version 1, which lacks them."""

OLDEST_COLD_VERSION: Final = 1

HEADER: Final = np.dtype(
    [
        ("version", "u1"),
        ("stage", "u1"),  # CartStage in the low three bits, CYCLES_S in the others
        ("windows", "<u2"),
        ("last_visit_s", "<u4"),
        ("cart_micros", "<i8"),  # biddable value: lines outside a category cool-down
        ("cart_idle_s", "<u4"),  # abandonment is measured from here
        ("expires_s", "<u4"),  # the advertiser's retention: the field is void from here on
        ("last_purchase_s", "<u4"),
        ("visits", "<u4"),
        ("products", "<u4"),
        ("score", "<f4"),
    ]
)
HEADER_BYTES: Final = 40
COLD_HEADER_BYTES: Final = 3
# zlib's memLevel. The default 8 gives the same bytes, but its hash table is four times as large, and is cleared for
# every profile.
DEFLATE_MEMORY: Final = 6

# Deflate's preset dictionary: words that nearly every profile has. It is part of COLD_VERSION: never edit it in place.
COMMON_TEXT: Final = (
    b"sign_up\xcej\xabrefund\xcej\xablogin\xcej\xabadd_to_wishlist\xcej\xabremove_from_cart\xcej\xabheartbeat\xcej\xab"
    b"bing\xa7organicfacebook\xa6socialinstagramnewsletter\xa5emailreferral/category//product//search/checkout/cart"
    b"purchase\xcej\xabadd_payment_info\xcej\xabadd_shipping_info\xcej\xabbegin_checkout\xcej\xabview_cart\xcej\xab"
    b"view_item_list\xcej\xa6search\xcej\xabadd_to_cart\xcej\xa9view_item\xcej\xa9page_view\xcej\xb1POL\xa5"
    b"\xa6direct\xa4none\xa0\xa0\xa6google\xa3cpc\xa6google\xa7organic\xa0"
    b"\x00\x00\x00\x90\x00\x90\x90\x00\x90\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x90\x90\x00\x90\xcb\x00\x00\x00"
)

# The same layout for one field at a time: struct packs it in 1 us where a numpy row takes 30.
_pack_header = struct.Struct("<BBHIqIIIIIf").pack
_EXPIRES_AT: Final = 20

WINDOW: Final = np.dtype([("segment", "<u4"), ("enter_s", "<u4"), ("leave_s", "<u4")])
WINDOW_BYTES: Final = 12

# A user of one advertiser with thousands of windows would slow every bid on them; admin refuses rules far below this.
MAX_WINDOWS: Final = 1_000

# Purchase cycles that a header can hold: from three days to a year, each a sixth longer; 0 where no rhythm is known.
STAGE_BITS: Final = 3
CYCLES: Final = 32
_SHORTEST_CYCLE_S: Final = 3 * DAY_S
CYCLES_S: Final[npt.NDArray[np.float64]] = np.concatenate(
    ([0.0], np.geomspace(_SHORTEST_CYCLE_S, 365 * DAY_S, CYCLES - 1))
)
_CYCLES_A_LOG: Final = (CYCLES - 2) / math.log(365 * DAY_S / _SHORTEST_CYCLE_S)

MAX_REFERENCES: Final = 8
# Ads leave out what was bought for so long, unless their creative says otherwise (core.model.ProductChoice).
BOUGHT_S: Final = 30 * DAY_S
REFERENCE_BYTES: Final = 8

Window = tuple[int, int, int]
"""(segment id, enter at, leave at): unsigned 32-bit; unix seconds; a member while `enter <= now < leave`."""

_encoder = msgspec.msgpack.Encoder()

MICROS_PER_HUNDREDTH: Final = 10_000


class LayoutError(ValueError):
    """A packed profile of an unknown version, or one that is cut short."""


def biddable_cart_micros(facts: Facts, now_s: int) -> int:
    """The cart's value without the lines whose category was bought so recently that it still cools down."""
    if not facts.cart:
        return 0
    cooling = {cooldown.category for cooldown in facts.cooldowns if cooldown.until_s > now_s}
    cooled = sum(line.price_micros * line.quantity for line in facts.cart if line.category in cooling)
    return max(0, facts.cart_micros - cooled)


def stored_windows(windows: Sequence[Window], now_s: int, expires_s: int) -> list[Window]:
    """The windows that the hot field keeps: those that have not ended, cut at `expires_s` (unix seconds)."""
    return [
        (segment, max(0, enter), min(expires_s, leave))
        for segment, enter, leave in windows
        if leave > now_s and enter < leave and enter < expires_s
    ][:MAX_WINDOWS]


def pack_hot(facts: Facts, windows: Sequence[Window], now_s: int, expires_s: int) -> bytes:
    """The hot field: header, `stored_windows`, references to products."""
    kept = stored_windows(windows, now_s, expires_s)
    header = _pack_header(
        HOT_VERSION, facts.cart_stage | cycle_class(basket_cycle_s(facts)) << STAGE_BITS, len(kept), facts.last_visit_s,
        biddable_cart_micros(facts, now_s),
        facts.cart_idle_s, expires_s, facts.last_purchase_s, facts.visits, products_viewed(facts), facts.score,
    )  # fmt: skip
    windows_part = struct.pack(f"<{3 * len(kept)}I", *itertools.chain.from_iterable(kept))
    return header + windows_part + _pack_references(*referred_products(facts, now_s))


def cycle_class(cycle_s: int) -> int:
    """The nearest of CYCLES_S; 0 for an unknown cycle."""
    if cycle_s <= 0:
        return 0
    return min(1 + max(0, round(math.log(cycle_s / _SHORTEST_CYCLE_S) * _CYCLES_A_LOG)), CYCLES - 1)


def referred_products(facts: Facts, now_s: int) -> tuple[list[str], int]:
    """Ids of the products that an ad may show, dearest cart lines first, then last seen; how many are of the cart.

    Left out are lines whose category cools down after a purchase, products that were bought since they were seen, and
    those that were bought in the last BOUGHT_S.
    """
    cooling = {cooldown.category for cooldown in facts.cooldowns if cooldown.until_s > now_s}
    lines = sorted(facts.cart, key=lambda line: (line.price_micros * line.quantity, line.since_s), reverse=True)
    chosen = list(dict.fromkeys(line.id for line in lines if line.category not in cooling))[:MAX_REFERENCES]
    of_cart, taken = len(chosen), {line.id for line in facts.cart}
    bought = {each.id: each.bought_s for each in facts.bought}
    for product in reversed(facts.products):
        if len(chosen) == MAX_REFERENCES:
            break
        bought_s = bought.get(product.id, -BOUGHT_S)
        if product.id not in taken and bought_s < product.seen_s and now_s - bought_s >= BOUGHT_S:
            chosen.append(product.id)
    return chosen, of_cart


def _pack_references(product_ids: Sequence[str], of_cart: int) -> bytes:
    """Packed references of 8 bytes each, then how many of them are of the cart (u8); b"" without a product."""
    if not product_ids:
        return b""
    return struct.pack(f"<{len(product_ids)}QB", *map(product_reference, product_ids), of_cart)


def unpack_references(hot: bytes) -> tuple[tuple[int, ...], int]:
    """`product_reference`s in a hot field, and how many of them are of the cart. None in a field of version 1."""
    rest = hot[windows_end(hot) :] if len(hot) >= HEADER_BYTES and hot[0] > 1 else b""
    count, odd = divmod(len(rest), REFERENCE_BYTES)
    if odd != 1 or not 0 < count <= MAX_REFERENCES:
        return (), 0
    *references, of_cart = struct.unpack(f"<{count}QB", rest)
    return tuple(references), min(of_cart, count)


def windows_end(hot: bytes) -> int:
    """Where the windows of a hot field end and its references begin."""
    return HEADER_BYTES + WINDOW_BYTES * int.from_bytes(hot[2:4], "little")


def unpack_windows(hot: bytes) -> list[Window]:
    """All windows of one hot field, ended ones too. For the worker and tools; the bid path decodes batches."""
    _check_hot(hot)
    rows: list[Window] = np.frombuffer(hot[HEADER_BYTES : windows_end(hot)], dtype=WINDOW).tolist()
    return rows


def _check_hot(hot: bytes) -> None:
    known = len(hot) >= HEADER_BYTES and OLDEST_HOT_VERSION <= hot[0] <= HOT_VERSION
    if not known or len(hot) < windows_end(hot):
        raise LayoutError("not a hot profile field of a version that is read here: rebuild it from the cold field")


def expires_of(hot: bytes) -> int:
    """The end of retention (unix seconds) in a hot field that `unpack_windows` accepts."""
    return int.from_bytes(hot[_EXPIRES_AT : _EXPIRES_AT + 4], "little")


def unpack_header(hot: bytes) -> npt.NDArray[np.void]:
    """The header of one hot field as a one-row structured array of dtype HEADER."""
    _check_hot(hot)
    return np.frombuffer(hot, dtype=HEADER, count=1)


def products_viewed(facts: Facts) -> int:
    """How many different products were viewed ever, those that fell off the bounded list included."""
    return facts.products_count + len(facts.products)


class PackedProducts(msgspec.Struct, frozen=True):
    """The viewed products of a cold field as they are stored: most events change none, and unpack none."""

    ids: list[str]
    categories: list[str]
    liked: list[int]  # positions
    widths: list[int]  # bits of each column: gap to the one before, price, category, views, and traits where there are
    columns: bytes
    traits: list[Traits | None]  # the different ones; empty where no product has any


def pack_products(products: Sequence[Product]) -> PackedProducts:
    """Pack numbers bit by bit outside of what is deflated: 5 bytes a product, where msgpack rows take 9.

    Prices keep hundredths of the currency's unit.
    """
    rows = sorted(products, key=_seen_s)  # gaps between neighbours are small and never negative
    categories = list(dict.fromkeys(product.category for product in rows))
    traits = list(dict.fromkeys(product.traits for product in rows))
    if traits == [None]:
        traits = []
    columns, widths = _pack_columns(rows, categories, traits)
    liked = [index for index, product in enumerate(rows) if product.liked]
    return PackedProducts([product.id for product in rows], categories, liked, widths, columns, traits)


# `known_as` and `lists`, which most visitors have not.
_BEFORE_LISTS: Final = len(Facts.__struct_fields__) - 2


def pack_cold(facts: Facts, packed: PackedProducts | None = None) -> bytes:
    """The cold field: version, length of the product columns (u16), bit-packed product columns, deflated msgpack.

    `packed` are the facts' products if they are still as they were stored.
    """
    kept = facts.products
    packed = pack_products(kept) if packed is None else packed
    facts.products = []
    try:
        body = _encoder.encode(_cold_of(facts, packed))
    finally:
        facts.products = kept
    compressor = zlib.compressobj(1, zlib.DEFLATED, -12, DEFLATE_MEMORY, zlib.Z_DEFAULT_STRATEGY, COMMON_TEXT)
    header = _pack_cold_header(COLD_VERSION if packed.traits else OLDEST_COLD_VERSION, len(packed.columns))
    return header + packed.columns + compressor.compress(body) + compressor.flush()


def unpack_cold(cold: bytes) -> Facts:
    """Facts of a cold field. Raises LayoutError for another version or damaged bytes."""
    return unpack_cold_parts(cold)[0]


def unpack_cold_parts(cold: bytes) -> tuple[Facts, PackedProducts]:
    """Facts of a cold field, and their products as they are stored. Raises LayoutError as `unpack_cold`."""
    if len(cold) < COLD_HEADER_BYTES or not OLDEST_COLD_VERSION <= cold[0] <= COLD_VERSION:
        raise LayoutError("not a cold profile field of a version that is read here")
    body_at = COLD_HEADER_BYTES + int.from_bytes(cold[1:COLD_HEADER_BYTES], "little")
    try:
        parts = _cold_decoder.decode(zlib.decompressobj(-15, COMMON_TEXT).decompress(cold[body_at:]))
        columns = cold[COLD_HEADER_BYTES:body_at]
        parts.facts.products = _unpack_products(parts, columns)
    except (zlib.error, msgspec.DecodeError, ValueError, IndexError) as error:
        raise LayoutError(f"damaged cold profile field: {error}") from error
    packed = PackedProducts(parts.product_ids, parts.categories, parts.liked, parts.widths, columns, parts.traits)
    return parts.facts, packed


class _Cold(msgspec.Struct, array_like=True):
    """What is deflated: facts without products, then the parts of products that are not numbers."""

    facts: Facts
    product_ids: list[str]
    categories: list[str]
    liked: list[int]  # positions
    widths: list[int]  # as PackedProducts has them


class _ColdWithTraits(_Cold, array_like=True):
    """What version 2 deflates: the same, and traits."""

    traits: list[Traits | None] = []


def _cold_of(facts: Facts, packed: PackedProducts) -> tuple[object, ...]:
    """The members of `_Cold`. A visitor on no customer list gets the members of before there were lists."""
    known: object = facts if facts.known_as or facts.lists else msgspec.structs.astuple(facts)[:_BEFORE_LISTS]
    parts = (known, packed.ids, packed.categories, packed.liked, packed.widths)
    return (*parts, packed.traits) if packed.traits else parts


_seen_s = operator.attrgetter("seen_s")
_cold_decoder = msgspec.msgpack.Decoder(_ColdWithTraits)
_pack_cold_header = struct.Struct("<BH").pack


def _pack_columns(
    products: list[Product], categories: list[str], traits: list[Traits | None]
) -> tuple[bytes, list[int]]:
    if not products:
        return b"", []
    position = {category: index for index, category in enumerate(categories)}
    seen = [product.seen_s for product in products]
    columns = [
        [*(later - earlier for earlier, later in itertools.pairwise(seen)), 0],
        [product.price_micros // MICROS_PER_HUNDREDTH for product in products],
        [position[product.category] for product in products],
        [product.views for product in products],
    ]
    if traits:
        place = {one: index for index, one in enumerate(traits)}
        columns.append([place[product.traits] for product in products])
    widths = [max(column).bit_length() for column in columns]
    packed = seen[0].to_bytes(4, "little")
    for column, width in zip(columns, widths, strict=True):
        bits = 0
        for number in reversed(column):
            bits = bits << width | number
        packed += bits.to_bytes((width * len(column) + 7) // 8, "little")
    return packed, widths


def _unpack_products(parts: _ColdWithTraits, packed: bytes) -> list[Product]:
    count = len(parts.product_ids)
    if not count:
        return []
    columns, offset = [], 4
    for width in parts.widths:
        size = (width * count + 7) // 8
        bits, mask = int.from_bytes(packed[offset : offset + size], "little"), (1 << width) - 1
        columns.append([bits >> shift & mask for shift in range(0, width * count, width)] if width else [0] * count)
        offset += size
    gaps, prices, categories, views = columns[:4]
    traits = [parts.traits[place] for place in columns[4]] if parts.traits else [None] * count
    seen = itertools.accumulate(gaps[:-1], initial=int.from_bytes(packed[:4], "little"))
    liked = frozenset(parts.liked)
    return [
        Product(
            product_id,
            parts.categories[category],
            seen_s,
            price * MICROS_PER_HUNDREDTH,
            view_count,
            index in liked,
            told,
        )
        for index, (product_id, category, seen_s, price, view_count, told) in enumerate(
            zip(parts.product_ids, categories, seen, prices, views, traits, strict=True)
        )
    ]


def expiry_s(facts: Facts, retention_days: int) -> int:
    """When the advertiser's retention ends for these facts: unix seconds after the last event or purchase."""
    return max(facts.last_visit_s, facts.last_purchase_s) + retention_days * DAY_S
