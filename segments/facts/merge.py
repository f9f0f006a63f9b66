"""Two devices of one person at one advertiser: one set of facts.

`merge` is commutative, and idempotent for what it has merged before: `merged` lists whose history is inside, and two
sides that share a device take the larger counter instead of the sum. Lists are united by their keys with the newest
moment; moments take the earliest or the latest as their name says. It is not associative for counters of overlapping
sides: devices that link in a ring within the same second may count a visit twice, never lose one.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from segments.facts.derive import settle_derived
from segments.facts.facts import (
    CART_LIFETIME_S,
    MAX_ATTRIBUTES,
    MAX_BOUGHT,
    MAX_COOLDOWNS,
    MAX_DEVICES,
    MAX_ENTRIES,
    MAX_EVENT_KINDS,
    MAX_KNOWN_AS,
    MAX_LISTS,
    MAX_ORDERS,
    MAX_PATHS,
    MAX_PRODUCTS,
    MAX_SEARCHES,
    Bought,
    Cooldown,
    Facts,
    ListedTime,
    Order,
    PathVisit,
    Product,
    Search,
)
from segments.facts.orders import remember_orders, united_digests
from segments.facts.repeats import united_events

Row = TypeVar("Row")
Key = TypeVar("Key")

_COUNTERS: Final = ("visits", "pages", "seconds_on_site", "products_count", "likes", "refunds")
_LATEST: Final = ("last_visit_s", "previous_visit_s", "cart_ended_s", "last_purchase_s", "lifecycle")
_EARLIEST: Final = ("first_visit_s", "first_purchase_s")
_CART: Final = ("cart", "cart_micros", "cart_stage", "cart_since_s", "cart_changed_s", "cart_idle_s")
_LATER_WINS: Final = ("country", "region", "city", "person")


def merge(mine: Facts, my_id: str, other: Facts, other_id: str) -> None:
    """Merge `other`, the facts of `other_id`, into `mine`, the facts of `my_id`; `other` is not changed."""
    theirs = {other_id, *other.merged}
    ours = {my_id, *mine.merged}
    overlap = not theirs.isdisjoint(ours)
    later, earlier = (mine, other) if _order(mine) >= _order(other) else (other, mine)
    _merge_cart(mine, other)
    for name in _COUNTERS:
        _set(mine, other, name, max if overlap else _add)
    _merge_purchases(mine, other, overlap)
    for name in _LATER_WINS:
        setattr(mine, name, getattr(later, name) or getattr(earlier, name))
    mine.attributes = _bounded({**earlier.attributes, **later.attributes}, MAX_ATTRIBUTES)
    mine.visit_start_s, mine.visit_pages = later.visit_start_s, later.visit_pages
    for name in _LATEST:
        _set(mine, other, name, max)
    for name in _EARLIEST:
        _set(mine, other, name, _earliest)
    _merge_lists(mine, other)
    mine.score = max(mine.score, other.score) if overlap else round(mine.score + other.score, 3)
    mine.merged = sorted((ours | theirs) - {my_id})[: 2 * MAX_DEVICES]
    settle_derived(mine)


def _order(facts: Facts) -> tuple[int, int, int, int, int, str]:
    """Orders two sides; ties go by the values that the later one decides, so that both devices merge alike."""
    decided = repr((sorted(facts.attributes.items()), [getattr(facts, name) for name in _LATER_WINS]))
    return (facts.last_visit_s, facts.visit_start_s, facts.pages, facts.last_purchase_s, facts.visit_pages, decided)


def _add(left: int, right: int) -> int:
    return left + right


def _earliest(left: int, right: int) -> int:
    return min(left, right) if left and right else left or right


def _set(mine: Facts, other: Facts, name: str, choose: Callable[[int, int], int]) -> None:
    setattr(mine, name, choose(getattr(mine, name), getattr(other, name)))


def _bounded(attributes: dict[str, Key], limit: int) -> dict[str, Key]:
    return {name: attributes[name] for name in sorted(attributes)[:limit]}


def _merge_cart(mine: Facts, other: Facts) -> None:
    """Take the cart that changed last, unless either device ended a cart later (by a purchase or by emptying it)."""
    ended_s = max(mine.cart_ended_s, other.cart_ended_s)
    sides = [side for side in (mine, other) if side.cart and side.cart_changed_s > ended_s]
    newest = max(sides, key=_cart_order, default=None)
    cart = newest if newest is not None else Facts()
    idle_s = max((side.cart_idle_s for side in sides), default=0)
    if newest is not None:  # activity on either device postpones abandonment
        last_visit_s = max(mine.last_visit_s, other.last_visit_s)
        idle_s = max(idle_s, min(last_visit_s, newest.cart_changed_s + CART_LIFETIME_S))
    values = {name: getattr(cart, name) for name in _CART}
    for name, value in values.items():
        setattr(mine, name, list(value) if name == "cart" else value)
    mine.cart_idle_s = idle_s


def _cart_order(facts: Facts) -> tuple[int, int, int, list[tuple[str, int]]]:
    return (
        facts.cart_changed_s, facts.cart_micros, facts.cart_since_s, [(line.id, line.quantity) for line in facts.cart]
    )  # fmt: skip


def _merge_purchases(mine: Facts, other: Facts, overlap: bool) -> None:
    """Count orders that both sides know once, with the value that refunds on either side have left."""
    known = [{order.key: order for order in side.orders if order.key} for side in (mine, other)]
    ours, theirs = ({key: order.value_micros for key, order in orders.items()} for orders in known)
    shared = {key: _same_order(known[0][key], known[1][key]).value_micros for key in ours.keys() & theirs.keys()}
    shared_count = sum(value > 0 for value in shared.values())
    counts = [
        side.purchases - sum(values[key] > 0 for key in shared) + shared_count
        for side, values in ((mine, ours), (other, theirs))
    ]
    amounts = [
        side.purchases_micros - sum(values[key] - left for key, left in shared.items())
        for side, values in ((mine, ours), (other, theirs))
    ]
    if overlap:
        mine.purchases, mine.purchases_micros = max(counts), max(amounts)
    else:
        mine.purchases = sum(counts) - shared_count
        mine.purchases_micros = sum(amounts) - sum(shared.values())
    if (other.last_purchase_s, other.last_purchase_micros) > (mine.last_purchase_s, mine.last_purchase_micros):
        mine.last_purchase_micros = other.last_purchase_micros


def _merge_lists(mine: Facts, other: Facts) -> None:
    mine.entries = _union([*mine.entries, *other.entries], lambda e: (e.at_s, e.source, e.path), _first, MAX_ENTRIES)
    mine.products = _union([*mine.products, *other.products], lambda p: p.id, _same_product, MAX_PRODUCTS)
    mine.products.sort(key=lambda product: (product.seen_s, product.id))
    mine.searches = _union([*mine.searches, *other.searches], lambda s: s.phrase, _later_search, MAX_SEARCHES)
    mine.paths = _union([*mine.paths, *other.paths], lambda p: p.path, _same_path, MAX_PATHS)
    orders = _union([*mine.orders, *other.orders], _order_identity, _same_order, 2 * MAX_ORDERS)
    remember_orders(mine, orders, united_digests(mine.older_orders, other.older_orders))
    mine.recent_events = united_events(mine.recent_events, other.recent_events)
    mine.bought = _union([*mine.bought, *other.bought], lambda b: b.id, _same_bought, MAX_BOUGHT)
    mine.cooldowns = _union([*mine.cooldowns, *other.cooldowns], lambda c: c.category, _later_cooldown, MAX_COOLDOWNS)
    kinds = {kind: max(mine.events.get(kind, 0), other.events.get(kind, 0)) for kind in {*mine.events, *other.events}}
    newest = sorted(kinds, key=lambda kind: (kinds[kind], kind))[-MAX_EVENT_KINDS:]
    mine.events = {kind: kinds[kind] for kind in newest}
    mine.known_as = sorted({*mine.known_as, *other.known_as})[:MAX_KNOWN_AS]
    mine.lists = _merged_lists(mine.lists, other.lists)


def _merged_lists(mine: dict[str, ListedTime], other: dict[str, ListedTime]) -> dict[str, ListedTime]:
    """The customer lists that name either: both devices are the same customer's."""
    found = dict(mine)
    for name, row in other.items():
        known = found.get(name, row)
        found[name] = ListedTime(min(known.since_s, row.since_s), max(known.until_s, row.until_s))
    return dict(sorted(found.items(), key=lambda item: item[1].since_s)[-MAX_LISTS:])


def _union(rows: Iterable[Row], key: Callable[[Row], Key], join: Callable[[Row, Row], Row], limit: int) -> list[Row]:
    """Rows by key, joined where they meet; the newest `limit` of them, oldest first."""
    found: dict[Key, Row] = {}
    for row in rows:
        identity = key(row)
        found[identity] = join(found[identity], row) if identity in found else row
    return sorted(found.values(), key=_moment)[-limit:]


def _moment(row: object) -> tuple[int, str]:
    for name in ("at_s", "seen_s", "bought_s", "until_s"):
        moment = getattr(row, name, None)
        if moment is not None:
            return moment, repr(row)
    raise TypeError(f"{type(row).__name__} has no moment to be ordered by")


def _first(left: Row, right: Row) -> Row:  # noqa: ARG001 equal by key
    return left


def _same_product(left: Product, right: Product) -> Product:
    newer, older = (left, right) if _moment(left) >= _moment(right) else (right, left)
    return Product(
        newer.id, newer.category or older.category, newer.seen_s, newer.price_micros or older.price_micros,
        max(left.views, right.views), left.liked or right.liked, newer.traits or older.traits,
    )  # fmt: skip


def _later_search(left: Search, right: Search) -> Search:
    return max(left, right, key=_moment)


def _same_path(left: PathVisit, right: PathVisit) -> PathVisit:
    return PathVisit(left.path, max(left.at_s, right.at_s), max(left.count, right.count))


def _order_identity(order: Order) -> tuple[int, int]:
    return (order.key, 0 if order.key else order.at_s)


def _same_order(left: Order, right: Order) -> Order:
    """The side that was corrected last; otherwise a refund on either side has taken value back."""
    return min(left, right, key=lambda order: (-order.corrected_s, order.value_micros, not order.refunded, order.at_s))


def _same_bought(left: Bought, right: Bought) -> Bought:
    newer, older = (left, right) if _moment(left) >= _moment(right) else (right, left)
    return Bought(
        newer.id, newer.category or older.category, newer.bought_s, max(left.quantity, right.quantity),
        newer.price_micros or older.price_micros, newer.traits or older.traits,
    )  # fmt: skip


def _later_cooldown(left: Cooldown, right: Cooldown) -> Cooldown:
    return max(left, right, key=_moment)
