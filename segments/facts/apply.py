"""What an event does to facts: plain functions, no I/O, no clock. The event brings its own time.

`apply_event` changes the facts it is given (the worker has just decoded them and owns them) and returns the names of
the fields that changed, so that only rules that read one of them are evaluated again. Events may come late (a till's
day is sent in the evening): what has happened since is never undone by an older event.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from segments.facts.carts import drop_stale_cart, end_cart, fill_cart, put_in_cart, raise_stage, take_from_cart
from segments.facts.derive import derive
from segments.facts.event import Event, Item, Kind
from segments.facts.facts import (
    DAY_S,
    MAX_ATTRIBUTES,
    MAX_BOUGHT,
    MAX_COOLDOWNS,
    MAX_ENTRIES,
    MAX_EVENT_KINDS,
    MAX_KNOWN_AS,
    MAX_LISTS,
    MAX_PATHS,
    MAX_PRODUCTS,
    MAX_SEARCHES,
    VISIT_GAP_S,
    Bought,
    CartLine,
    CartStage,
    Cooldown,
    Entry,
    Facts,
    ListedTime,
    Order,
    PathVisit,
    Product,
    Search,
)
from segments.facts.orders import is_counted, known_order, remember_orders
from segments.facts.repeats import remember_event
from segments.facts.traits import NO_DETAILS, Details


class ApplyPolicy(msgspec.Struct, frozen=True):
    """`cooldown_s`: how long after a purchase its categories do not count as an abandoned cart (seconds)."""

    cooldown_s: int = 14 * DAY_S


DEFAULT_POLICY: Final = ApplyPolicy()

_STAGES: Final = {
    Kind.VIEW_CART: CartStage.CART,
    Kind.BEGIN_CHECKOUT: CartStage.FORM,
    Kind.ADD_SHIPPING_INFO: CartStage.SHIPPING,
    Kind.ADD_PAYMENT_INFO: CartStage.PAYMENT,
}


def apply_event(
    facts: Facts, event: Event, policy: ApplyPolicy = DEFAULT_POLICY, details: Details = NO_DETAILS
) -> frozenset[str]:
    """Change `facts` by `event`; returns the names of the fields of Facts that changed.

    `details` tell of the event's products, where rules ask what a product was like (traits.py).
    """
    if event.once:
        remember_event(facts, event.once)
    at_s = event.at_ms // 1000
    changed: set[str] = set()
    is_repeated = event.kind == Kind.PURCHASE and is_counted(facts, event.order)
    elapsed_s = max(0, at_s - max(facts.last_visit_s, facts.last_purchase_s))
    drop_stale_cart(facts, at_s, changed)
    if not event.offline:
        _visit(facts, event, at_s, changed)
    handler = _HANDLERS.get(event.kind)
    if handler is not None:
        handler(facts, event, at_s, changed)
    if event.kind == Kind.PURCHASE:
        _purchase(facts, event, at_s, policy, changed)
    if details and event.items:
        _detail(facts, event, at_s, details, changed)
    _remember_kind(facts, event.kind, at_s, changed)
    _learn(facts, event, changed)
    if facts.cart and not event.offline and at_s > facts.cart_idle_s:
        facts.cart_idle_s = at_s
        changed.add("cart_idle_s")
    derive(facts, "" if is_repeated else event.kind, elapsed_s, changed)
    return frozenset(changed)


def apply_lists(facts: Facts, lists: Mapping[str, ListedTime]) -> frozenset[str]:
    """Note which customer lists name the visitor, and which no longer; returns the names of the fields that changed."""
    kept = {name: listed for name, listed in {**facts.lists, **lists}.items() if listed.until_s}
    newest = dict(sorted(kept.items(), key=lambda item: item[1].since_s)[-MAX_LISTS:])
    if newest == facts.lists:
        return frozenset()
    facts.lists = newest
    return frozenset({"lists"})


def forget_lists(facts: Facts) -> frozenset[str]:
    """Forget the lists of the person who logged in before: another one logs in now. Returns the fields that changed."""
    if not facts.person:
        return frozenset()
    facts.lists, facts.known_as = {}, []
    return frozenset({"lists", "known_as"})


def category_of(facts: Facts, item: Item) -> str:
    """The item's category; if the event names none, the one named when it was viewed or put into the cart."""
    if item.category:
        return item.category
    for product in facts.products:
        if product.id == item.id and product.category:
            return product.category
    return next((line.category for line in facts.cart if line.id == item.id), "")


def _visit(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    first = facts.last_visit_s == 0
    if first or at_s - facts.last_visit_s > VISIT_GAP_S:
        facts.previous_visit_s, facts.visit_start_s = facts.visit_start_s, at_s
        facts.visits += 1
        facts.visit_pages = 0
        changed.update(("previous_visit_s", "visit_start_s", "visits", "visit_pages"))
        _enter(facts, event, at_s, changed)
    elif event.source is not None and event.source.explicit and not _same_source(facts, event):
        _enter(facts, event, at_s, changed)
    if first or at_s < facts.first_visit_s:
        facts.first_visit_s = at_s
        changed.add("first_visit_s")
    if at_s > facts.last_visit_s:
        facts.last_visit_s = at_s
        changed.add("last_visit_s")
    if event.seconds:
        facts.seconds_on_site += event.seconds
        changed.add("seconds_on_site")
    if event.path and event.kind != Kind.HEARTBEAT:
        _page(facts, event, at_s, changed)


def _same_source(facts: Facts, event: Event) -> bool:
    if not facts.entries or event.source is None:
        return False
    last, source = facts.entries[-1], event.source
    return (last.source, last.campaign, last.phrase) == (source.source, source.campaign, source.phrase)


def _enter(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    source = event.source
    if source is None:
        entry = Entry(at_s, "direct", "none", path=event.path)
    else:
        entry = Entry(at_s, source.source, source.medium, source.campaign, source.phrase, event.path)
    facts.entries = [*facts.entries, entry][-MAX_ENTRIES:]
    changed.add("entries")


def _page(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    """Every event that names a page keeps its path; only page_view counts as a page."""
    counts = event.kind == Kind.PAGE_VIEW
    known = next((visit for visit in facts.paths if visit.path == event.path), None)
    if known is None:
        facts.paths = [*facts.paths, PathVisit(event.path, at_s)][-MAX_PATHS:]
    else:
        known.at_s = max(known.at_s, at_s)
        known.count += counts
        facts.paths.remove(known)
        facts.paths.append(known)
    changed.add("paths")


def _page_view(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:  # noqa: ARG001 handlers share a shape
    facts.pages += 1
    facts.visit_pages += 1
    changed.update(("pages", "visit_pages"))


def _view_items(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    for item in event.items:
        _see(facts, item, at_s, changed).views += 1


def _like_items(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    for item in event.items:
        product = _see(facts, item, at_s, changed)
        if not product.liked:
            product.liked = True
            facts.likes += 1
            changed.add("likes")


def _see(facts: Facts, item: Item, at_s: int, changed: set[str]) -> Product:
    """The viewed product's entry, moved to the end; a new one has no views yet."""
    product = next((known for known in facts.products if known.id == item.id), None)
    if product is None:
        product = Product(item.id, views=0)
    else:
        facts.products.remove(product)
    product.category = item.category or product.category
    product.price_micros = item.price_micros or product.price_micros
    product.seen_s = max(product.seen_s, at_s)
    facts.products.append(product)
    if len(facts.products) > MAX_PRODUCTS:
        del facts.products[0]
        facts.products_count += 1
        changed.add("products_count")
    changed.add("products")
    return product


def _detail(facts: Facts, event: Event, at_s: int, details: Details, changed: set[str]) -> None:
    """Note what the feed says of the event's products, where the event was about them."""
    ids = {item.id for item in event.items}
    for product in facts.products:
        if product.id in ids and product.id in details and product.seen_s == at_s:
            product.traits = details[product.id].traits
            product.price_micros = product.price_micros or details[product.id].price_micros
    for line in facts.cart:
        if line.id in ids and line.id in details and (line.traits is None or event.kind == Kind.ADD_TO_CART):
            line.traits = details[line.id].traits
            changed.add("cart")
    prices = {item.id: item.price_micros for item in event.items}
    for bought in facts.bought:
        if bought.id in ids and bought.id in details and bought.bought_s == at_s:
            bought.traits = details[bought.id].traits
            bought.price_micros = prices[bought.id] or details[bought.id].price_micros


def _search(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    if event.phrase:
        others = [search for search in facts.searches if search.phrase != event.phrase]
        facts.searches = [*others, Search(event.phrase, at_s)][-MAX_SEARCHES:]
        changed.add("searches")


def _add_to_cart(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    for item in event.items:
        put_in_cart(facts, item, category_of(facts, item), event.value_micros, len(event.items), at_s, changed)


def _remove_from_cart(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    for item in event.items:
        take_from_cart(facts, item, at_s, changed)


def _show_cart(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    """view_cart and the steps of the checkout show the whole cart: what they list replaces what we have."""
    lines = [(item, category_of(facts, item)) for item in event.items]
    fill_cart(facts, lines, event.value_micros, at_s, changed)
    raise_stage(facts, _STAGES[Kind(event.kind)], at_s, changed)


def _purchase(facts: Facts, event: Event, at_s: int, policy: ApplyPolicy, changed: set[str]) -> None:
    if is_counted(facts, event.order):
        if event.replaces:
            _correct(facts, event, at_s, changed)
        return
    value = event.value_micros
    if value is None:
        value = sum(item.price_micros * item.quantity for item in event.items) or facts.cart_micros
    items = event.items or tuple(Item(line.id, line.category, line.price_micros, line.quantity) for line in facts.cart)
    lines = {line.id: line for line in facts.cart}
    categories = [category_of(facts, item) for item in items]
    facts.purchases += 1
    facts.purchases_micros += value
    facts.first_purchase_s = min(facts.first_purchase_s or at_s, at_s)
    if at_s >= facts.last_purchase_s:
        facts.last_purchase_s, facts.last_purchase_micros = at_s, value
    remember_orders(facts, [*facts.orders, Order(event.order, at_s, value)], facts.older_orders)
    changed.update((
        "purchases", "purchases_micros", "first_purchase_s", "last_purchase_s", "last_purchase_micros", "orders",
        "older_orders",
    ))  # fmt: skip
    for item, category in zip(items, categories, strict=True):
        _buy(facts, item, category, lines.get(item.id), at_s, changed)
    _cool_down(facts, categories, at_s + policy.cooldown_s, at_s, changed)
    if at_s >= facts.cart_since_s:  # a till's purchase of last week does not end today's cart
        end_cart(facts, at_s, changed)


def _correct(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:
    """Replace the value of an order that was counted already; it stays one purchase, at its time.

    Only the newest orders are known whole (docs/events.md says how many); the value of an older one stays.
    """
    order = known_order(facts, event.order)
    if order is None or event.value_micros is None or at_s < order.corrected_s:
        return
    facts.purchases_micros += event.value_micros - order.value_micros
    if order.refunded:
        facts.purchases += 1
        changed.add("purchases")
    if order.at_s == facts.last_purchase_s:
        facts.last_purchase_micros = event.value_micros
    order.value_micros, order.refunded, order.corrected_s = event.value_micros, False, at_s
    changed.update(("orders", "purchases_micros", "last_purchase_micros"))


def _buy(facts: Facts, item: Item, category: str, line: CartLine | None, at_s: int, changed: set[str]) -> None:
    """Note a bought item; the traits and price of its cart line, `line`, are taken over where the event brings none."""
    if not item.id:
        return
    known = next((bought for bought in facts.bought if bought.id == item.id), None)
    if known is None:
        known = Bought(item.id, category, at_s, item.quantity)
        facts.bought = [*facts.bought, known][-MAX_BOUGHT:]
    else:
        known.quantity += item.quantity
        known.bought_s = max(known.bought_s, at_s)
        facts.bought.remove(known)
        facts.bought.append(known)
    if line is not None and line.traits is not None and known.bought_s == at_s:
        known.traits, known.price_micros = line.traits, line.price_micros
    changed.add("bought")


def _cool_down(facts: Facts, categories: Iterable[str], until_s: int, at_s: int, changed: set[str]) -> None:
    until = {cooldown.category: cooldown.until_s for cooldown in facts.cooldowns if cooldown.until_s > at_s}
    for category in categories:
        if category:
            until[category] = max(until.get(category, 0), until_s)
    newest = sorted(until.items(), key=lambda entry: entry[1])[-MAX_COOLDOWNS:]
    cooldowns = [Cooldown(category, moment) for category, moment in newest]
    if cooldowns != facts.cooldowns:
        facts.cooldowns = cooldowns
        changed.add("cooldowns")


def _refund(facts: Facts, event: Event, at_s: int, changed: set[str]) -> None:  # noqa: ARG001 handlers share a shape
    """Take back an order's value, never more than is left of it; one refunded whole no longer counts as a purchase."""
    order = known_order(facts, event.order)
    if order is None or order.value_micros == 0:
        return
    asked = order.value_micros if event.value_micros is None else event.value_micros
    amount = min(asked, order.value_micros)
    order.value_micros -= amount
    facts.purchases_micros -= amount
    facts.refunds += 1
    if order.value_micros == 0:
        facts.purchases -= 1
        order.refunded = True
        changed.add("purchases")
        _unbuy(facts, order, changed)
    changed.update(("orders", "purchases_micros", "refunds"))


def _unbuy(facts: Facts, refunded: Order, changed: set[str]) -> None:
    """Forget products that were bought last with an order that was refunded whole."""
    kept = [order for order in facts.orders if order.value_micros > 0]
    facts.bought = [bought for bought in facts.bought if facts.purchases > 0 and bought.bought_s != refunded.at_s]
    if facts.purchases <= 0:
        facts.first_purchase_s = facts.last_purchase_s = facts.last_purchase_micros = 0
        facts.cooldowns = []
    elif kept and facts.last_purchase_s == refunded.at_s:
        newest = max(kept, key=lambda order: order.at_s)
        facts.last_purchase_s, facts.last_purchase_micros = newest.at_s, newest.value_micros
    changed.update(("bought", "cooldowns", "first_purchase_s", "last_purchase_s", "last_purchase_micros"))


def _remember_kind(facts: Facts, kind: str, at_s: int, changed: set[str]) -> None:
    if at_s > facts.events.get(kind, 0):
        facts.events[kind] = at_s
        changed.add("events")
    if len(facts.events) > MAX_EVENT_KINDS:
        del facts.events[min(facts.events, key=facts.events.__getitem__)]


def _learn(facts: Facts, event: Event, changed: set[str]) -> None:
    """Attributes (None removes one; a full table takes no new name), place and person."""
    for name, value in event.attributes.items():
        if value is None:
            if facts.attributes.pop(name, None) is not None:
                changed.add("attributes")
        elif facts.attributes.get(name) != value and _has_room(facts, name):
            facts.attributes[name] = value
            changed.add("attributes")
    for name in ("country", "region", "city", "person"):
        value = getattr(event, name)
        if value and value != getattr(facts, name):
            setattr(facts, name, value)
            changed.add(name)
    if fresh := [digest for digest in event.known_as if digest not in facts.known_as]:
        facts.known_as = [*facts.known_as, *fresh][-MAX_KNOWN_AS:]
        changed.add("known_as")
    if event.lists:
        changed |= apply_lists(facts, event.lists)


def _has_room(facts: Facts, attribute: str) -> bool:
    return attribute in facts.attributes or len(facts.attributes) < MAX_ATTRIBUTES


_Handler = Callable[[Facts, Event, int, set[str]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    Kind.PAGE_VIEW: _page_view,
    Kind.VIEW_ITEM: _view_items,
    Kind.ADD_TO_WISHLIST: _like_items,
    Kind.SEARCH: _search,
    Kind.ADD_TO_CART: _add_to_cart,
    Kind.REMOVE_FROM_CART: _remove_from_cart,
    Kind.VIEW_CART: _show_cart,
    Kind.BEGIN_CHECKOUT: _show_cart,
    Kind.ADD_SHIPPING_INFO: _show_cart,
    Kind.ADD_PAYMENT_INFO: _show_cart,
    Kind.REFUND: _refund,
}
