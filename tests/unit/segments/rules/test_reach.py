import pytest

from segments.facts.facts import CART_LIFETIME_S, DAY_S, LIFECYCLE_EXIT_S
from segments.rules.check import check
from segments.rules.reach import UNBOUNDED_S, reach_s


@pytest.mark.parametrize(
    ("rule", "least_s"),
    [
        ("likes.count > 1", 0),
        ("visited in 7d", 7 * DAY_S),
        ("not (likes.count > 1 and last_visit > 30d ago)", 30 * DAY_S),
        ("has cart", CART_LIFETIME_S),
        ("lifecycle = exit", LIFECYCLE_EXIT_S),
        ("purchased since cart", CART_LIFETIME_S),
        ("next_purchase in 1d ahead", UNBOUNDED_S),
    ],
)
def test_a_rule_reaches_at_least_as_far_as_its_durations(rule: str, least_s: int) -> None:
    assert least_s <= reach_s(check(rule, "PLN")) <= least_s + 2 * DAY_S
