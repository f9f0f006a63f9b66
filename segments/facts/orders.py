"""Which orders a profile has counted: the newest whole, since refunds need their value, older ones as a short digest.

A till's file is imported again, a confirmation page is opened again after months: an order must count once even if the
visitor has ordered a dozen times since. Digests cost four bytes each, and only buyers of more than MAX_ORDERS orders
have any.
"""

from typing import Final

from segments.facts.facts import MAX_ORDERS, Facts, Order

DIGEST_BYTES: Final = 4
# With those known whole, 132 orders are remembered: enough for an order a day over the default retention of 90 days.
# They take 480 bytes; the chance that a new order is taken for an old one stays below 1 in 30 million.
MAX_OLDER_ORDERS: Final = 120


def is_counted(facts: Facts, key: int) -> bool:
    """Whether the order with this `order_key` was counted; False for 0, which is no key."""
    if not key:
        return False
    return any(order.key == key for order in facts.orders) or _digest(key) in _digests(facts.older_orders)


def known_order(facts: Facts, key: int) -> Order | None:
    """The order itself, where it is one of the newest and so known whole."""
    return next((order for order in facts.orders if order.key == key), None) if key else None


def remember_orders(facts: Facts, orders: list[Order], older: bytes = b"") -> None:
    """Make `orders` (oldest first) and the digests `older` what the facts know."""
    overflow = [_digest(order.key) for order in orders[:-MAX_ORDERS] if order.key]
    digests = dict.fromkeys([*_digests(older), *overflow])
    facts.orders = orders[-MAX_ORDERS:]
    facts.older_orders = b"".join(list(digests)[-MAX_OLDER_ORDERS:])


def united_digests(left: bytes, right: bytes) -> bytes:
    """Digests of both sides, sorted: their age is not known, and both devices must get the same."""
    return b"".join(sorted({*_digests(left), *_digests(right)})) if left and right else left or right


def _digest(key: int) -> bytes:
    return (key & 0xFFFFFFFF).to_bytes(DIGEST_BYTES, "little")


def _digests(packed: bytes) -> list[bytes]:
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]
