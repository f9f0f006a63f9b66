"""The doctor's judgement of prices in notices."""

import pytest

from admin.diagnosis.findings import Severity
from admin.diagnosis.prices import check_prices
from core.model import Exchange, UnreadablePrice

EXCHANGE = Exchange(id=1, key="ssp")


def metrics(**forms: int) -> str:
    lines = [f'grosz_notice_prices_total{{exchange="ssp",form="{form}"}} {count}.0' for form, count in forms.items()]
    return "\n".join(["# HELP grosz_notice_prices_total prices", *lines, 'grosz_notices_total{event="win"} 3.0'])


@pytest.mark.parametrize(
    ("forms", "severity"),
    [
        ({"number": 990, "malformed": 10}, Severity.OK),
        ({"number": 989, "malformed": 11}, Severity.NOTE),
        ({"converted": 500, "above_bid": 480, "macro": 20}, Severity.NOTE),
        ({"macro": 20}, Severity.NOTE),
        ({"undecryptable": 5, "encrypted": 95}, Severity.NOTE),
        ({"number": 20}, Severity.OK),
    ],
)
def test_more_than_one_in_a_hundred_unreadable_prices_are_a_finding(forms: dict[str, int], severity: Severity) -> None:
    (finding,) = check_prices(metrics(**forms), (EXCHANGE,))
    assert finding.severity is severity


def test_the_finding_says_what_stands_there_what_it_costs_and_what_to_look_at() -> None:
    (finding,) = check_prices(metrics(number=80, macro=15, malformed=5), (EXCHANGE,))
    assert finding.text == (
        "ssp: 20 % of 100 prices in notices are unreadable (15 macro, 5 malformed), and each charges the bid"
    )
    assert "price_macro" in finding.advice
    by_house = Exchange(id=1, key="ssp", unreadable_price=UnreadablePrice.HOUSE)
    (finding,) = check_prices(metrics(number=80, macro=20), (by_house,))
    assert finding.text.endswith("each charges what the house rule says")


@pytest.mark.parametrize("text", [None, "", metrics(macro=19), metrics(absent=500, house=500, audit=500)])
def test_nothing_is_said_of_a_few_notices_or_of_such_without_a_promised_price(text: str | None) -> None:
    assert list(check_prices(text, (EXCHANGE,))) == []
