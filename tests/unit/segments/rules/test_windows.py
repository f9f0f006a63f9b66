import pytest

from segments.facts.facts import (
    CART_LIFETIME_S,
    DAY_S,
    FOREVER_S,
    LIFECYCLE_EXIT_S,
    CartLine,
    Entry,
    Facts,
    Lifecycle,
    Order,
    PathVisit,
)
from segments.rules.check import check
from segments.rules.spans import ALWAYS, NEVER, Spans
from segments.rules.view import View
from segments.rules.windows import compiled

NOW = 1_790_000_000
HOUR = 3_600


def spans(rule: str, facts: Facts, now_s: int = NOW) -> Spans:
    return compiled(check(rule, "PLN"))(View(facts, now_s))


def cart(micros: int = 640_000_000) -> Facts:
    """A visitor who left a cart just now."""
    return Facts(
        cart=[CartLine("shoe", "shoes", micros)], cart_micros=micros, cart_stage=1, cart_since_s=NOW - HOUR,
        cart_changed_s=NOW, cart_idle_s=NOW,
    )  # fmt: skip


def test_an_abandoned_cart_begins_after_the_delay_and_ends_after_two_weeks() -> None:
    rule = "cart.value >= 500 PLN and cart.age in 1h..14d and not purchased since cart"
    assert spans(rule, cart()) == (NOW + HOUR, NOW + CART_LIFETIME_S)


def test_a_purchase_since_the_cart_ends_it() -> None:
    facts = cart()
    facts.orders = [Order(1, NOW)]
    assert spans("cart.age in 1h..14d and not purchased since cart", facts) == NEVER


def test_a_purchase_before_the_cart_does_not() -> None:
    facts = cart()
    facts.orders = [Order(1, NOW - 2 * HOUR)]
    assert spans("not purchased since cart", facts) == ALWAYS


def test_both_ends_of_a_range_of_ages_are_inside() -> None:
    facts = Facts(last_visit_s=NOW)
    assert spans("last_visit in 1d..7d", facts) == (NOW + DAY_S, NOW + 7 * DAY_S + 1)


def test_a_lapsed_visitor_enters_when_the_silence_is_long_enough() -> None:
    assert spans("last_visit > 30d ago", Facts(last_visit_s=NOW)) == (NOW + 30 * DAY_S + 1, FOREVER_S)


def test_what_lies_ahead_counts_until_it_has_come() -> None:
    facts = Facts(purchases=2, first_purchase_s=NOW - 30 * DAY_S, last_purchase_s=NOW)
    due = NOW + 30 * DAY_S
    assert spans("next_purchase in 7d ahead", facts) == (due - 7 * DAY_S, due + 1)
    assert spans("next_purchase in 7d ahead or next_purchase in 14d ago", facts) == (
        due - 7 * DAY_S,
        due + 14 * DAY_S + 1,
    )


def test_visits_in_a_period_come_and_go() -> None:
    facts = Facts(entries=[Entry(NOW), Entry(NOW + 3 * DAY_S)])
    rule = "count(visited in 7d) = 1"
    assert spans(rule, facts, NOW - 1) == (NOW, NOW + 3 * DAY_S, NOW + 7 * DAY_S + 1, NOW + 10 * DAY_S + 1)
    assert spans("count(visited in 7d) >= 2", facts) == (NOW + 3 * DAY_S, NOW + 7 * DAY_S + 1)
    assert spans("visited in 7d", facts) == (NOW, NOW + 10 * DAY_S + 1)


def test_a_page_pattern_selects_pages() -> None:
    facts = Facts(paths=[PathVisit("/promo/shoes", NOW), PathVisit("/", NOW + 5)])
    assert spans('visited "/promo/*" in 7d', facts) == (0, NOW + 7 * DAY_S + 1)
    assert spans('visited "/sale/*" in 7d', facts) == NEVER


def test_spending_adds_up_over_a_period() -> None:
    facts = Facts(orders=[Order(1, NOW, 300_000_000), Order(2, NOW + DAY_S, 300_000_000)])
    assert spans("total(bought in 30d) >= 500 PLN", facts) == (NOW + DAY_S, NOW + 30 * DAY_S + 1)
    assert spans("total(bought) >= 500 PLN", facts) == ALWAYS


def test_silence_alone_leads_to_exit() -> None:
    facts = Facts(lifecycle=Lifecycle.NURTURE, last_visit_s=NOW)
    assert spans("lifecycle = exit", facts) == (NOW + LIFECYCLE_EXIT_S, FOREVER_S)
    assert spans("lifecycle = nurture", facts) == (0, NOW + LIFECYCLE_EXIT_S)


def test_recency_classes_follow_each_other() -> None:
    facts = Facts(last_purchase_s=NOW)
    assert spans("recency_class in 3..4", facts) == (NOW + DAY_S, NOW + 30 * DAY_S)


@pytest.mark.parametrize(
    "rule", ["cart.value < 900 PLN", "cart.value != 1 PLN", 'source != "x"', "cart.age < 1h", "has cart"]
)
def test_a_fact_without_a_value_satisfies_no_comparison(rule: str) -> None:
    assert spans(rule, Facts()) == NEVER
    assert spans(f"not {rule}", Facts()) == ALWAYS


def test_a_shop_sends_attributes_of_any_type() -> None:
    facts = Facts(attributes={"tier": "Gold", "points": 7, "vip": True})
    assert spans('attribute.tier = "gold" and attribute.points in 5..10 and attribute.vip = true', facts) == ALWAYS
    assert spans('attribute.points = "7"', facts) == NEVER
    assert spans("attribute.vip = 1", facts) == NEVER


def test_counting_since_a_moment_that_never_was_counts_nothing() -> None:
    facts = Facts(orders=[Order(1, NOW)])
    assert spans("count(bought since cart) >= 1", facts) == NEVER
    assert spans("count(bought since cart) in 0..3", facts) == ALWAYS


def test_products_in_a_cart_vanish_with_it() -> None:
    facts = cart()
    assert spans('added category "shoes"', facts) == (0, NOW + CART_LIFETIME_S)
    assert spans('not added product "shoe"', facts) == (NOW + CART_LIFETIME_S, FOREVER_S)
