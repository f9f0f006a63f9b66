"""The cart inside the facts: lines, value, stage, and the three ways it ends (purchase, emptying, 14 days).

The age that the bid path prices is measured from `cart_idle_s`, the visitor's last event while the cart had lines, so
a shopper who is still on the site never has an abandoned cart.
"""

from collections.abc import Sequence

from segments.facts.event import Item
from segments.facts.facts import CART_LIFETIME_S, MAX_CART_LINES, CartLine, CartStage, Facts

_STATE = ("cart", "cart_micros", "cart_stage", "cart_since_s", "cart_changed_s", "cart_idle_s")


def put_in_cart(
    facts: Facts, item: Item, category: str, value_micros: int | None, items: int, at_s: int, changed: set[str]
) -> None:
    """One added product. Without a price of its own, a lone item takes the event's value (`value_micros`)."""
    if at_s < facts.cart_ended_s or item.quantity == 0:
        return
    price = item.price_micros
    if not price and value_micros and items == 1:
        price = value_micros // item.quantity
    line = next((known for known in facts.cart if known.id == item.id), None)
    if line is None:
        if len(facts.cart) >= MAX_CART_LINES:
            return
        facts.cart.append(CartLine(item.id, category, price, item.quantity, at_s))
    else:
        line.quantity += item.quantity
        line.price_micros = price or line.price_micros
    _settle(facts, at_s, changed)


def take_from_cart(facts: Facts, item: Item, at_s: int, changed: set[str]) -> None:
    """Take pieces of a product out of the cart, all if the quantity is 0; the last product's removal ends the cart."""
    line = next((known for known in facts.cart if known.id == item.id), None)
    if line is None:
        return
    line.quantity -= item.quantity
    if line.quantity <= 0 or item.quantity == 0:
        facts.cart.remove(line)
    if facts.cart:
        _settle(facts, at_s, changed)
    else:
        end_cart(facts, at_s, changed)


def fill_cart(
    facts: Facts, lines: Sequence[tuple[Item, str]], value_micros: int | None, at_s: int, changed: set[str]
) -> None:
    """Replace the cart by the whole one that the shop shows: (item, category) lines and the total in micros.

    Without lines, a total of 0 empties the cart and another total corrects its value; a total without any known line
    becomes a line without a product.
    """
    if at_s < max(facts.cart_ended_s, facts.cart_changed_s):
        return
    if not lines and value_micros == 0:
        end_cart(facts, at_s, changed)
        return
    if lines:
        since = {line.id: line.since_s for line in facts.cart}
        traits = {line.id: line.traits for line in facts.cart}
        facts.cart = [
            CartLine(item.id, category, item.price_micros, item.quantity, since.get(item.id, at_s), traits.get(item.id))
            for item, category in lines[:MAX_CART_LINES]
            if item.quantity
        ]
        if not facts.cart:  # some shops show an empty cart as lines with quantity 0
            end_cart(facts, at_s, changed)
            return
    elif value_micros and not facts.cart:
        facts.cart = [CartLine("", "", value_micros, 1, at_s)]
    if facts.cart and (lines or value_micros is not None):
        _settle(facts, at_s, changed, value_micros)


def raise_stage(facts: Facts, stage: CartStage, at_s: int, changed: set[str]) -> None:
    """The cart got this far towards paying."""
    if facts.cart and stage > facts.cart_stage:
        facts.cart_stage = int(stage)
        facts.cart_changed_s = max(facts.cart_changed_s, at_s)
        changed.update(("cart_stage", "cart_changed_s"))


def end_cart(facts: Facts, at_s: int, changed: set[str]) -> None:
    """Empty the cart; `at_s` becomes its end even if we knew of no line, so that an older event cannot refill it."""
    if facts.cart or facts.cart_since_s:  # its last line may have gone already
        changed.update(_STATE)
    facts.cart = []
    facts.cart_micros = facts.cart_stage = facts.cart_since_s = facts.cart_changed_s = facts.cart_idle_s = 0
    if at_s > facts.cart_ended_s:
        facts.cart_ended_s = at_s
        changed.add("cart_ended_s")


def drop_stale_cart(facts: Facts, now_s: int, changed: set[str]) -> None:
    """End a cart that has not changed for CART_LIFETIME_S, as of that moment."""
    if facts.cart and now_s - facts.cart_changed_s >= CART_LIFETIME_S:
        end_cart(facts, facts.cart_changed_s + CART_LIFETIME_S, changed)


def _settle(facts: Facts, at_s: int, changed: set[str], value_micros: int | None = None) -> None:
    summed = sum(line.price_micros * line.quantity for line in facts.cart)
    facts.cart_micros = summed if value_micros is None else value_micros
    facts.cart_since_s = facts.cart_since_s or at_s
    facts.cart_changed_s = max(facts.cart_changed_s, at_s)
    facts.cart_idle_s = max(facts.cart_idle_s, at_s)
    facts.cart_stage = max(facts.cart_stage, int(CartStage.CART))
    changed.update(_STATE)
