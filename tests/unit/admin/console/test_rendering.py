"""What templates show of the values that they are given."""

from typing import Any

import msgspec

from admin.console.browser import Visitor
from admin.console.rendering import render
from admin.console.words import words_of
from admin.diagnosis.forecasting import Forecast, ForecastFigures, ForecastOrders, ForecastPoint
from admin.diagnosis.funnels import Funnel, window_of
from admin.diagnosis.recorded import RecordedExplanation, RecordedSummary
from admin.diagnosis.told import found
from bidder.diagnosis.explain import Explanation, ImpressionVerdicts, PriceBuildUp, Verdict

ENGLISH = Visitor(words_of("en"), None)


def test_a_recorded_bid_is_told_as_it_was_sent_beside_what_the_impression_is_worth() -> None:
    price = PriceBuildUp(
        click_rate=0.003, conversion_rate=0.02, cart_value="0", expected_value="0.011", pacing_multiplier=1.0,
        bid_factor=1.0, maximum_cpm="20", bid_cpm="11.09", floor_cpm="0.01", currency="PLN", sent_cpm="3.61",
        shading=0.3255,
    )  # fmt: skip
    verdicts = (Verdict(2, 0, "bid", (), price, 3),)
    explanation = Explanation("r", "bid", None, (), None, (ImpressionVerdicts("1", "banner", 2, verdicts),))
    told = RecordedExplanation(RecordedSummary("a", 0, "demo", 1.0, 4, "", ()), 4, explanation)
    item = {"id": 2, "name": "Carts"}
    shown = render("recorded.html", ENGLISH, item=item, problem=None, found=(), chosen="a", told=told)
    cells = shown.replace("\xa0", "").partition("<tbody>")[2].split("</td>")
    assert [cell.rpartition(">")[2] for cell in cells[:4]] == ["bid", "PLN11.09", "PLN3.61", "PLN0.01"]


def test_what_is_to_be_done_is_told_apart_from_what_was_found() -> None:
    findings = [found("exchanges.none_active"), found("last_hour.nothing_offered", 7)]
    item = {"id": 7, "name": "Carts", "advertiser_id": 3}
    shown = render("findings.html", ENGLISH, item=item, findings=findings, published=True)
    assert '</strong> \u2013 <em>add one, or resume one</em>: <a href="/exchanges/new">' in shown
    assert '</strong> \u2013 <a href="/exchanges">' in shown
    assert 'class="box problem"' in shown
    waiting = msgspec.structs.replace(findings[0], is_waiting=True)
    shown = render("findings.html", ENGLISH, item=item, findings=[waiting], published=True)
    assert 'class="box note"' in shown
    assert 'class="box problem"' not in shown


def test_rates_are_written_as_the_language_writes_numbers() -> None:
    polish = Visitor(words_of("pl"), None)
    values: dict[str, Any] = {
        "problem": None,
        "saved": False,
        "base": "PLN",
        "as_of": None,
        "may_write": False,
        "offered": [],
    }
    assert '<td class="number">0,0245</td>' in render("rates.html", polish, rates={"JPY": "0.0245"}, **values)


def test_a_forecast_of_nothing_says_that_there_is_not_enough_data() -> None:
    none = ForecastFigures(0, 0, 0, 0, "0", "0")
    forecast = Forecast("PLN", 1.0, 0, 0, 1.0, none, None, (ForecastPoint(1.0, 0, 0, "0"),), (), (),
                        ForecastOrders("", 0), 0, ())  # fmt: skip
    shown = render("forecast.html", ENGLISH, item={"id": 7, "name": "Carts"}, problem=None, forecast=forecast)
    assert "There is not enough data for a forecast" in shown
    assert "<table" not in shown


def test_clicks_that_do_not_count_are_told_below_the_funnel_with_a_link_to_why() -> None:
    window = window_of({"seen": 9, "bids": 9}, {"wins": 1, "impressions": 1, "invalid_clicks": 2})
    item = {"id": 7, "name": "Carts", "status": "active", "advertiser_id": 3}
    shown = render(
        "delivery.html", ENGLISH, item=item, funnel=Funnel(7, "PLN", "", window, window), states=[], steps=[]
    )
    link = "/reports?by=day&amp;by=invalid&amp;measure=invalid_clicks&amp;only=line_item&amp;values=7"
    assert shown.count(f'<a href="{link}">2</a>') == 2


def test_the_page_of_a_visitor_says_how_to_find_ones_own_cookie() -> None:
    assert "developer tools (F12)" in render("visitor.html", ENGLISH, user_id="", report=None, erased=None)
