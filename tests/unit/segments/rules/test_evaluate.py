import pytest

from segments.facts.facts import CartLine, Facts, PathVisit
from segments.rules.errors import RuleError
from segments.rules.evaluate import evaluate

NOW = 1_790_000_000


@pytest.mark.parametrize(
    ("rule", "after_s", "member"),
    [
        ("cart.age in 1h..2h", 3_599, False),
        ("cart.age in 1h..2h", 3_600, True),
        ("cart.age in 1h..2h", 7_200, True),
        ("cart.age in 1h..2h", 7_201, False),
        ('visited "/p*" in 1h', 3_600, True),
        ('visited "/p*" in 1h', 3_601, False),
        ("last_visit < 1h ago", 3_599, True),
        ("last_visit < 1h ago", 3_600, False),
        ("last_visit > 1h ago", 3_600, False),
        ("last_visit in 1h ahead", -3_600, True),
        ("not nobody", 0, True),
    ],
)
def test_a_rule_means_what_it_says_at_each_second(rule: str, after_s: int, member: bool) -> None:
    facts = Facts(
        last_visit_s=NOW, paths=[PathVisit("/promo", NOW)], cart=[CartLine("x")], cart_changed_s=NOW, cart_idle_s=NOW
    )
    assert evaluate(rule, facts, (NOW + after_s) * 1000 + 500) is member


def test_a_rule_that_does_not_parse_is_an_error() -> None:
    with pytest.raises(RuleError):
        evaluate("score >", Facts(), 0)


def test_a_rule_that_was_not_checked_may_name_unknown_facts() -> None:
    with pytest.raises(LookupError, match="check the rule first"):
        evaluate("scoer > 1", Facts(), 0)
