"""Facts that follow from other facts: score, engagement, lifecycle, classes, lifetime value.

They are computed at event time. What fades with silence (score, engagement, lifetime value) is a function of facts and
a moment, in steps, so that a rule over it knows beforehand when it will change its mind.
"""

import itertools
import math
from typing import Final

from core.money import MICROS_PER_UNIT
from segments.facts.event import Kind
from segments.facts.facts import (
    DAY_S,
    FREQUENCY_BOUNDS,
    MONETARY_BOUNDS_MICROS,
    YEAR_S,
    Facts,
    Lifecycle,
)

DEFINITIONS_VERSION: Final = 2
"""Version of what facts mean: another number starts a pass over all stored windows (segments.worker.reindex), whose
progress the doctor shows. 2: lifetime value by baskets, fading; score and engagement fade with silence."""

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

# Half of an interest is gone after a week: a third of the effect of retargeting falls on its first day
# (docs/evidence.md, "Carts").
SCORE_HALF_LIFE_S: Final = 7 * DAY_S

# A rhythm is taken to span a month at least: two orders a day apart do not promise an order every day.
LEAST_RHYTHM_S: Final = 30 * DAY_S

# A value fades in steps, since rules must know beforehand at which moments it changes.
STEPS_A_HALVING: Final = 4
MAX_STEPS: Final = 40
SCORE_DAYS: Final = 28
ENGAGEMENT_STEP_S: Final = 10 * DAY_S
ENGAGEMENT_STEPS: Final = 18

SERVICE_COST: Final = "service_cost"
"""The attribute in which a shop says what serving a customer costs in a month, in units of its currency."""

# No customer costs more; beyond it, micros of a year would leave the range of a float.
MOST_SERVICE_COST: Final = 1e9

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
    _set(facts, "lifetime_value_micros", lifetime_value_at(facts, last_sign_s(facts)), changed)


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


def baskets(facts: Facts) -> int:
    """Purchases, where orders within 24 hours of each other count as one: a forgotten item is no second visit."""
    if facts.purchases < 2:
        return max(facts.purchases, 0)
    times = sorted(order.at_s for order in facts.orders if order.value_micros > 0)
    close = sum(later - earlier < DAY_S for earlier, later in itertools.pairwise(times))
    return max(1, min(facts.purchases - close, 1 + (facts.last_purchase_s - facts.first_purchase_s) // DAY_S))


def basket_cycle_s(facts: Facts) -> int:
    """Mean time between two baskets; 0 before the second. Over a month at least: less shows no rhythm."""
    count = baskets(facts)
    if count < 2:
        return 0
    return max(facts.last_purchase_s - facts.first_purchase_s, LEAST_RHYTHM_S) // (count - 1)


def lifetime_value_at(facts: Facts, at_s: int) -> int:
    """A year's worth of the visitor in micros: average basket times baskets a year at the visitor's rhythm.

    200 PLN every two months is 1,200 PLN. One basket is worth itself. After two cycles without a
    purchase (a year after a single basket) the value halves for each further two (each further year).
    """
    if facts.purchases <= 0:
        return 0
    cycle_s = basket_cycle_s(facts)
    whole = facts.purchases_micros
    if cycle_s:
        whole = facts.purchases_micros // baskets(facts) * YEAR_S // cycle_s
    return int(max(0, whole) * 0.5 ** (_missed_steps(facts, at_s) / STEPS_A_HALVING))


def lifetime_margin_at(facts: Facts, at_s: int) -> int:
    """Lifetime value less what serving the customer costs in a year, as the shop tells (SERVICE_COST); not below 0."""
    return max(0, lifetime_value_at(facts, at_s) - round(12 * _service_cost(facts) * MICROS_PER_UNIT))


def _service_cost(facts: Facts) -> float:
    """Units a month; a shop's template may write the number as a text, `"100"` or `"99,50"`."""
    cost = facts.attributes.get(SERVICE_COST, 0)
    if isinstance(cost, str):
        try:
            cost = float(cost.replace(",", "."))
        except ValueError:
            return 0
    return 0 if isinstance(cost, bool) or not cost > 0 else min(cost, MOST_SERVICE_COST)  # NaN is not above 0


def lifetime_changes(facts: Facts) -> list[int]:
    """The moments (unix seconds) at which the lifetime value falls by a step if nothing is bought."""
    if facts.purchases <= 0:
        return []
    pause_s = _pause_s(facts)
    first = facts.last_purchase_s + pause_s
    return [first + step * pause_s // STEPS_A_HALVING for step in range(1, MAX_STEPS + 1)]


def _pause_s(facts: Facts) -> int:
    """Seconds without a purchase after which the value begins to fade, and within which it then halves."""
    return 2 * basket_cycle_s(facts) or YEAR_S


def _missed_steps(facts: Facts, at_s: int) -> int:
    pause_s = _pause_s(facts)
    late_s = at_s - facts.last_purchase_s - pause_s
    return min(MAX_STEPS, max(0, late_s * STEPS_A_HALVING // pause_s))


def score_at(facts: Facts, at_s: int) -> float:
    """The score after a silence: halved by every 7 days, in steps of a day."""
    days = min(_silence_s(facts, at_s) // DAY_S, SCORE_DAYS)
    return round(facts.score * math.exp2(-days * DAY_S / SCORE_HALF_LIFE_S), 3)


def score_changes(facts: Facts) -> list[int]:
    return [last_sign_s(facts) + day * DAY_S for day in range(1, SCORE_DAYS + 1)] if last_sign_s(facts) else []


def engagement_at(facts: Facts, at_s: int) -> int:
    """The engagement after a silence: halved by every 30 days, in steps of ten days."""
    steps = min(_silence_s(facts, at_s) // ENGAGEMENT_STEP_S, ENGAGEMENT_STEPS)
    return round(facts.engagement * math.exp2(-steps / 3))


def engagement_changes(facts: Facts) -> list[int]:
    steps = range(1, ENGAGEMENT_STEPS + 1)
    return [last_sign_s(facts) + step * ENGAGEMENT_STEP_S for step in steps] if last_sign_s(facts) else []


def _silence_s(facts: Facts, at_s: int) -> int:
    """Seconds since the last sign of the visitor; 0 where there was none."""
    sign_s = last_sign_s(facts)
    return max(0, at_s - sign_s) if sign_s else 0


def last_sign_s(facts: Facts) -> int:
    """When the visitor was last heard of: their last visit or purchase, in unix seconds."""
    return max(facts.last_visit_s, facts.last_purchase_s)


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
