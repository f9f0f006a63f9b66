"""Made-up visits and purchases, for recommendation tests."""

from creatives.products.sessions import Interaction, ProductTouch

DAY_S = 86_400


def visits(*sessions: str, start_s: int = 1_790_000_000, gap_s: int = 7_200, visitor: int = 1) -> list[Interaction]:
    """Sessions of products named by letters, `ABC` one after the other; each of another visitor."""
    found = []
    for number, session in enumerate(sessions):
        at_s = start_s + number * gap_s
        found += [
            Interaction(visitor + number, at_s + 60 * place, ProductTouch.VIEW, product)
            for place, product in enumerate(session)
        ]
    return found


def baskets(*orders: str, start_s: int = 1_790_000_000, visitor: int = 10_000) -> list[Interaction]:
    """Purchases of products named by letters, each order of another visitor."""
    return [
        Interaction(visitor + number, start_s + number, ProductTouch.BUY, product)
        for number, order in enumerate(orders)
        for product in order
    ]
