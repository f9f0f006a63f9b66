"""What is accepted; what is refused is recorded in tests/golden/rules (test_errors.py)."""

import pytest

from segments.rules import conditions
from segments.rules.check import check
from segments.rules.errors import RuleError
from tests.kit.fixtures import REPOSITORY

ACCEPTED = [
    "cart.value >= 500 PLN and cart.age in 1h..14d and not purchased since cart",
    "purchases.count > 3",
    'visited "/promo/*" in 7d',
    'visited page ("/a", "/b*") in 1d..7d ago',
    'source = "facebook" and entries.phrase contains "szpilki"',
    'entries.campaign like ("spring*", "summer*")',
    "lifecycle = exit",
    'lifecycle in (sales, "retention")',
    "score >= 100",
    "score in (1, 2, 3)",
    'attribute.loyalty_tier = "gold" or attribute.vip = true or attribute.birthday_month in 3..5',
    "last_visit > 30d ago and first_visit.age > 30d",
    "last_visit in 7d",
    "next_purchase in 7d ahead or next_purchase < 7d ago",
    "count(visited in 7d) in 2..4 and count(bought in 30d) != 1",
    "total(bought since first_visit) >= 1000.50 PLN",
    "cart.stage >= shipping and cart.stage in form..payment",
    "time_on_site > 10m and purchases.cycle in 20d..40d",
    "has cart and has attribute.loyalty_tier and not has city",
    'did "sign_up" in 1d and did "custom_*"',
    "EVERYONE AND NOT Nobody",
    'country not in ("POL", "CZE") and city != "kraków"',
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_sound_rule_is_accepted(text: str) -> None:
    assert isinstance(check(text, "PLN"), conditions.Condition)


def test_amounts_are_in_the_currency_of_the_advertiser() -> None:
    assert isinstance(check("cart.value > 5 EUR", "EUR"), conditions.Test)
    with pytest.raises(RuleError, match="amounts are in EUR, not in PLN"):
        check("cart.value > 5 PLN", "EUR")


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("> 1h", 3_601, None), (">= 1h", 3_600, None), ("< 1h", 0, 3_599), ("<= 1h", 0, 3_600), ("in 1h", 0, 3_600),
        ("in 1h..2h", 3_600, 7_200),
    ],
)  # fmt: skip
def test_a_comparison_of_ages_becomes_the_seconds_that_satisfy_it(written: str, low: int, high: int | None) -> None:
    condition = check(f"cart.age {written}", "PLN")
    assert isinstance(condition, conditions.Distance)
    assert (condition.low, condition.high, condition.ahead) == (low, high, False)


def test_a_rule_reads_only_the_fields_behind_its_names() -> None:
    read = conditions.reads(check('likes.count > 1 and not (viewed category "a" or bought since cart)', "PLN"))
    assert read == {"likes", "products", "orders", "cart", "cart_since_s", "cart_changed_s"}


def test_a_rule_about_everyone_reads_nothing() -> None:
    assert conditions.reads(check("everyone", "PLN")) == frozenset()


def test_the_examples_of_the_documentation_are_rules() -> None:
    blocks = (REPOSITORY / "docs/segments.md").read_text().split("\n```\n")
    examples = [*blocks[1].splitlines(), *blocks[3].splitlines()]
    assert len(examples) == 11
    for example in examples:
        assert isinstance(check(example, "PLN"), conditions.Condition)
