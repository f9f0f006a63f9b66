"""A visitor's facts as the chooser of products takes them."""

from collections.abc import Sequence

from creatives.products.choosing import Seen, Shopper
from segments.facts.facts import Facts, has_cart_at


def shopper_of(facts: Facts, now_s: int) -> Shopper:
    """What the shop knows of a visitor at `now_s`."""
    cart = facts.cart if has_cart_at(facts, now_s) else []
    lines = sorted(cart, key=lambda line: (-line.price_micros * line.quantity, line.id))
    prices = {product.id: product.price_micros for product in facts.products}
    return Shopper(
        seen=tuple(
            Seen(product.id, product.seen_s, product.price_micros, product.category)
            for product in sorted(facts.products, key=lambda product: product.seen_s)
        ),
        visit_start_s=facts.visit_start_s,
        cart=tuple(line.id for line in lines),
        bought=tuple(
            Seen(bought.id, bought.bought_s, prices.get(bought.id, 0), bought.category)
            for bought in sorted(facts.bought, key=lambda bought: bought.bought_s)
        ),
        cycle_s=facts.cycle_s,
        cooling=frozenset(cooldown.category for cooldown in facts.cooldowns if cooldown.until_s > now_s),
    )


def visitor_of(products: Sequence[str], now_s: int) -> Shopper:
    """A visitor who has just looked at these products, in this order."""
    first_s = now_s - 60 * len(products)
    return Shopper(
        seen=tuple(Seen(product_id, first_s + 60 * place) for place, product_id in enumerate(products)),
        visit_start_s=first_s,
    )
