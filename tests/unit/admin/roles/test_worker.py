"""Which of an advertiser's conversions says how orders are credited."""

from admin.roles.worker import purchase_rule
from core.model import ConversionRule


def test_the_first_rule_about_purchases_of_the_advertiser_counts() -> None:
    rules = [
        ConversionRule(2, click_window_s=1),
        ConversionRule(1, event="sign_up", click_window_s=2),
        ConversionRule(1, click_window_s=3),
        ConversionRule(1, click_window_s=4),
    ]
    found = purchase_rule(rules, 1)
    assert found is not None
    assert found.click_window_s == 3
    assert purchase_rule(rules, 3) is None
