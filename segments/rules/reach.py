"""How long after the visitor's last event a rule may still change its mind.

A profile's field is void when the advertiser's retention ends, and windows are cut there. For a rule whose reach is
shorter, a window that touches that end would have lasted for ever, so it can be carried over to a later end without
evaluating the rule again (ruleset.py). A rule with a longer reach is evaluated at every event.
"""

from typing import Final

from segments.facts.derive import ENGAGEMENT_STEP_S, ENGAGEMENT_STEPS, SCORE_DAYS
from segments.facts.facts import CART_LIFETIME_S, DAY_S, LIFECYCLE_EXIT_S, RECENCY_BOUNDS_S, YEAR_S
from segments.rules import conditions
from segments.rules.conditions import Condition
from segments.rules.vocabulary import LIST_PREFIX, Fact

# Room for clocks that differ: they do so by far less than a day. Cool-downs may be set to a year at most.
_SLACK_S: Final = DAY_S
UNBOUNDED_S: Final = 2**32
_OWN_CHANGES_S: Final = {
    "lifecycle": LIFECYCLE_EXIT_S,
    "recency_class": max(RECENCY_BOUNDS_S),
    "cart.value": YEAR_S,  # the longest cool-down
    "score": SCORE_DAYS * DAY_S,
    "engagement": ENGAGEMENT_STEPS * ENGAGEMENT_STEP_S,
    "lifetime_value": UNBOUNDED_S,  # it fades at the visitor's own rhythm
    "lifetime_margin": UNBOUNDED_S,
    "products.reduced": UNBOUNDED_S,  # a sale may end in a year
}


def reach_s(condition: Condition) -> int:
    """Seconds from the visitor's last event or purchase until the rule's last possible change, at most."""
    return _reach(condition) + _SLACK_S


def _reach(condition: Condition) -> int:
    match condition:
        case conditions.AllOf(parts=parts) | conditions.AnyOf(parts=parts):
            return max(map(_reach, parts))
        case conditions.Opposite(part=part):
            return _reach(part)
        case conditions.Fixed():
            return 0
        case conditions.Test(fact=fact) | conditions.Known(fact=fact):
            return _fact_reach(fact)
        case conditions.Distance(fact=fact, low=low, high=high):
            if fact.name.startswith("next_purchase"):
                return UNBOUNDED_S  # lies in the future by as much as the visitor's own rhythm
            return max(low, high or 0, _fact_reach(fact)) + 1
        case conditions.Occurrences(low=low, high=high, since=since, source=source):
            own = CART_LIFETIME_S if source.ends is not None else 0
            return max(low, high or 0, own, _fact_reach(since) if since else 0) + 1


def _fact_reach(fact: Fact) -> int:
    if fact.changes is None:
        return 0
    if fact.name.startswith(LIST_PREFIX):
        return UNBOUNDED_S  # a shop says for how long it lists its customers
    return _OWN_CHANGES_S.get(fact.name, CART_LIFETIME_S)
