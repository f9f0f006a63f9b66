"""Facts that follow from other facts: score, engagement, lifecycle, classes, lifetime value.

They are computed at event time and stand still until the next event, so a rule over them has no window of its own.
"""

import math
from typing import Final

from segments.facts.event import Kind
from segments.facts.facts import (
    DAY_S,
    FREQUENCY_BOUNDS,
    MONETARY_BOUNDS_MICROS,
    YEAR_S,
    Facts,
    Lifecycle,
)

POINTS: Final = {
    Kind.PAGE_VIEW: 1,
    Kind.VIEW_ITEM: 3,
    Kind.VIEW_ITEM_LIST: 1,
    Kind.SEARCH: 2,
    Kind.ADD_TO_CART: 15,
    Kind.VIEW_CART: 3,
    Kind.BEGIN_CHECKOUT: 20,
    Kind.ADD_SHIPPING_INFO: 5,
    Kind.ADD_PAYMENT_INFO: 5,
    Kind.PURCHASE: 50,
    Kind.ADD_TO_WISHLIST: 10,
    Kind.SIGN_UP: 20,
    Kind.LOGIN: 5,
}
"""Points that an event adds to the score; others add none. Roughly the ratio of each step's odds of a purchase."""

_POINTS_BY_NAME: Final[dict[str, int]] = {str(kind): points for kind, points in POINTS.items()}

# Half of an interest is gone after a week: a third of the effect of retargeting falls on its first day (science 1e).
SCORE_HALF_LIFE_S: Final = 7 * DAY_S

_LOOK: Final = frozenset((Kind.VIEW_ITEM, Kind.SEARCH, Kind.ADD_TO_WISHLIST, Kind.VIEW_ITEM_LIST))


def derive(facts: Facts, kind: str, elapsed_s: int, changed: set[str]) -> None:
    """Recompute all derived facts after an event of `kind`; `elapsed_s` is the silence before it in seconds."""
    score = facts.score * math.exp2(-elapsed_s / SCORE_HALF_LIFE_S) + _POINTS_BY_NAME.get(kind, 0)
    _set(facts, "score", round(score, 3), changed)
    _settle(facts, kind, changed)


def settle_derived(facts: Facts) -> None:
    """Recompute what follows from other facts, after they were merged; the score is left as it is."""
    _settle(facts, "", set())


def _settle(facts: Facts, kind: str, changed: set[str]) -> None:
    _set(facts, "engagement", engagement(facts), changed)
    _set(facts, "lifecycle", int(_lifecycle(facts, kind)), changed)
    _set(facts, "frequency_class", _class_of(facts.purchases, FREQUENCY_BOUNDS), changed)
    monetary = _class_of(facts.purchases_micros, MONETARY_BOUNDS_MICROS) if facts.purchases else 0
    _set(facts, "monetary_class", monetary, changed)
    _set(facts, "lifetime_value_micros", lifetime_value_micros(facts), changed)


def engagement(facts: Facts) -> int:
    """0 to 100: how deeply the visitor uses the shop; each of four parts saturates at 25.

    Visits (10), pages a visit (8), minutes on site (30), products viewed (20), each as its share of the number in
    brackets, by square root so that the first steps count most.
    """
    if not facts.visits:
        return 0
    shares = (
        facts.visits / 10,
        facts.pages / facts.visits / 8,
        facts.seconds_on_site / 1_800,
        len(facts.products) / 20,
    )
    return round(sum(25 * math.sqrt(min(1.0, share)) for share in shares))


def lifetime_value_micros(facts: Facts) -> int:
    """A year's worth of the visitor: average basket times purchases a year at his rhythm.

    200 PLN every two months is 1,200 PLN. One purchase is worth itself; a rhythm is never taken to be faster than
    daily, so that two orders of one afternoon do not promise a fortune.
    """
    cycle_s = max(facts.cycle_s, DAY_S) if facts.purchases >= 2 else 0
    if not cycle_s:
        return max(0, facts.purchases_micros)
    return facts.average_basket_micros * YEAR_S // cycle_s


def _lifecycle(facts: Facts, kind: str) -> Lifecycle:
    """Stages only go forward, but for SALES and RETENTION: a cart after a purchase is a new sale until it is bought."""
    if facts.cart:
        return Lifecycle.SALES
    if facts.purchases > 0:
        return Lifecycle.RETENTION
    if facts.lifecycle == Lifecycle.SALES:
        return Lifecycle.SALES
    if kind in _LOOK or facts.products or facts.visits > 1:
        return Lifecycle.NURTURE
    return Lifecycle.ACQUISITION


def _class_of(number: int, bounds: tuple[int, ...]) -> int:
    """5 down to 1 by descending lower bounds; 0 for a number that is not positive."""
    if number <= 0:
        return 0
    return next((5 - index for index, bound in enumerate(bounds) if number >= bound), 1)


def _set(facts: Facts, name: str, value: float, changed: set[str]) -> None:
    if getattr(facts, name) != value:
        setattr(facts, name, value)
        changed.add(name)
