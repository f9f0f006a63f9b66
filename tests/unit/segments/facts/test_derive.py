"""Lifetime value, and what fades while nothing is heard of a visitor."""

import pytest

from segments.facts.apply import apply_event
from segments.facts.derive import (
    SERVICE_COST,
    engagement_at,
    engagement_changes,
    lifetime_changes,
    lifetime_margin_at,
    lifetime_value_at,
    score_at,
    score_changes,
)
from segments.facts.event import Event, Kind
from segments.facts.facts import DAY_S, YEAR_S, Facts, recency_class_at
from segments.rules.vocabulary import FACTS

PLN = 1_000_000
START_S = 1_700_000_000
HOUR_S = 3_600
TWO_MONTHS_S = YEAR_S // 6


def customer(*ages_s: int, value: int = 200) -> Facts:
    """Who bought for so many PLN at these moments after the start."""
    facts = Facts()
    for number, age_s in enumerate(ages_s, start=1):
        apply_event(facts, order(number, START_S + age_s, value))
    return facts


def order(number: int, at_s: int, value: int = 200, kind: str = Kind.PURCHASE) -> Event:
    return Event(kind, 1, "u", at_s * 1000, order=number, value_micros=value * PLN)


def worth(facts: Facts, after_s: int = 0) -> float:
    return lifetime_value_at(facts, facts.last_purchase_s + after_s) / PLN


def test_two_orders_an_hour_apart_do_not_promise_a_fortune() -> None:
    assert worth(customer(0, HOUR_S)) == 400
    assert worth(customer(0, 25 * HOUR_S)) <= 2_450
    assert worth(customer(*range(0, 40 * 60, 60))) == 8_000, "forty orders of an afternoon are one basket"


def test_twelve_monthly_orders_are_their_sum() -> None:
    assert worth(customer(*(month * YEAR_S // 12 for month in range(12)))) == pytest.approx(2_400, abs=50)


def test_an_order_each_two_months_is_six_a_year() -> None:
    assert worth(customer(*(number * TWO_MONTHS_S for number in range(6)))) == pytest.approx(1_200, abs=2)
    assert worth(customer(0, TWO_MONTHS_S)) == pytest.approx(1_200, abs=2)


@pytest.mark.parametrize("months", [1, 2, 6])
def test_who_is_gone_for_three_years_is_worth_little(months: int) -> None:
    facts = customer(*(number * months * YEAR_S // 12 for number in range(12)))
    assert worth(facts, 3 * YEAR_S) <= 250
    values = [worth(facts, days * DAY_S) for days in range(0, 3 * 365, 30)]
    assert values == sorted(values, reverse=True)


def test_what_serving_costs_is_taken_off() -> None:
    """Two hours a month at 50 PLN."""
    facts = customer(*(number * TWO_MONTHS_S for number in range(6)))
    at_s = facts.last_purchase_s
    assert lifetime_margin_at(facts, at_s) == lifetime_value_at(facts, at_s)
    facts.attributes[SERVICE_COST] = 100
    assert lifetime_margin_at(facts, at_s) == 0
    facts.attributes[SERVICE_COST] = 40
    assert lifetime_margin_at(facts, at_s) / PLN == pytest.approx(1_200 - 480, abs=2)
    for spelt in ("40", " 40.0 ", "40,00"):
        facts.attributes[SERVICE_COST] = spelt
        assert lifetime_margin_at(facts, at_s) / PLN == pytest.approx(1_200 - 480, abs=2)
    for huge in (1e308, "1e308", "inf"):
        facts.attributes[SERVICE_COST] = huge
        assert lifetime_margin_at(facts, at_s) == 0
    for nonsense in ("much", True, -5, "nan", "-5", ""):
        facts.attributes[SERVICE_COST] = nonsense
        assert lifetime_margin_at(facts, at_s) == lifetime_value_at(facts, at_s)


def test_rules_know_when_a_value_falls() -> None:
    facts = customer(0, TWO_MONTHS_S)
    for name, value, changes in (
        ("lifetime_value", lifetime_value_at, lifetime_changes),
        ("score", score_at, score_changes),
        ("engagement", engagement_at, engagement_changes),
    ):
        fact = FACTS[name]
        assert fact.changes is not None
        moments = list(fact.changes(facts))
        assert moments == sorted(moments) == changes(facts)
        for moment in moments:
            assert value(facts, moment - 1) >= value(facts, moment) == fact.value(facts, moment)
        assert value(facts, moments[-1]) == value(facts, moments[-1] + YEAR_S)


def test_score_and_engagement_fade_for_silent_visitors() -> None:
    facts = customer(0)
    apply_event(facts, Event(Kind.PAGE_VIEW, 1, "u", START_S * 1000, path="/"))
    assert score_at(facts, START_S + 7 * DAY_S) == pytest.approx(facts.score / 2, abs=0.001)
    assert score_at(facts, START_S + 28 * DAY_S) == pytest.approx(facts.score / 16, abs=0.001)
    assert facts.engagement > 0
    assert engagement_at(facts, START_S + 30 * DAY_S) == round(facts.engagement / 2)


def test_a_full_refund_leaves_nobody_who_bought() -> None:
    facts = customer(0)
    apply_event(facts, order(1, START_S + HOUR_S, kind=Kind.REFUND))
    assert recency_class_at(facts, START_S + HOUR_S) == 0
    assert facts.bought == []
    assert (facts.purchases, facts.last_purchase_s, facts.first_purchase_s) == (0, 0, 0)
    assert lifetime_value_at(facts, START_S + HOUR_S) == 0


def test_a_refund_of_the_last_order_leaves_the_one_before() -> None:
    facts = customer(0, 40 * DAY_S)
    apply_event(facts, order(2, START_S + 41 * DAY_S, kind=Kind.REFUND))
    assert facts.purchases == 1
    assert facts.last_purchase_s == START_S
    apply_event(facts, order(1, START_S + 42 * DAY_S, value=50, kind=Kind.REFUND))
    assert facts.purchases == 1
    assert recency_class_at(facts, START_S + 42 * DAY_S) == 2


def test_a_repeated_order_scores_once() -> None:
    once, twice = customer(0), customer(0)
    for _ in range(3):
        apply_event(twice, order(1, START_S))
    assert twice.score == once.score
    assert twice.purchases == 1
