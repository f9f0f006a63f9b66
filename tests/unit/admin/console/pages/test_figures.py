"""Charts of a line item's day."""

import datetime
import zoneinfo

import msgspec
import pytest

from admin.access.principal import command_line
from admin.console.browser import Visitor
from admin.console.charts import Cell
from admin.console.pages.figures import delivery_charts, orders_of
from admin.console.words import words_of
from admin.diagnosis.funnels import Hour
from core.model import Budget, Pacing
from tests.kit.catalogues import catalogue, line_item

WARSAW = zoneinfo.ZoneInfo("Europe/Warsaw")
NOON = datetime.datetime(2026, 11, 29, 12, 30, tzinfo=WARSAW)
MIDNIGHT_S = round(NOON.replace(hour=0, minute=0).timestamp())


def hours() -> list[Hour]:
    """A złoty in every hour of the last day."""
    now = round(NOON.timestamp()) // 3_600
    return [Hour(hour * 3_600, 10, 1, 1_000_000) for hour in range(now - 23, now + 1)]


@pytest.mark.parametrize("pacing", [Pacing.EVEN, Pacing.ASAP])
def test_what_was_spent_since_midnight_stands_against_the_plan(pacing: Pacing) -> None:
    shop = msgspec.structs.replace(catalogue().advertisers[0], timezone="Europe/Warsaw", currency="PLN")
    one = line_item(1, pacing=pacing, daily_budget=Budget(micros=24_000_000))
    visitor = Visitor(words_of("en", "Europe/Warsaw"), command_line())
    spent, shown = delivery_charts(one, shop, hours(), round(NOON.timestamp() * 1000), visitor)
    assert spent.moments == [MIDNIGHT_S, *(MIDNIGHT_S + hour * 3_600 for hour in range(1, 13)), round(NOON.timestamp())]
    assert spent.lines[0].values == [float(amount) for amount in range(14)]
    assert len(shown.moments) == 24
    assert (spent.title, spent.zone) == ("Spent today (Europe/Warsaw)", "Europe/Warsaw")
    assert (
        visitor.words.step(spent.moments[0], spent.step, spent.zone).replace("\u202f", " ") == "Nov 29, 2026, 12:00 AM"
    )
    abroad = Visitor(words_of("en", "America/New_York"), command_line())
    elsewhere, _ = delivery_charts(one, shop, hours(), round(NOON.timestamp() * 1000), abroad)
    assert (elsewhere.moments, elsewhere.zone) == (spent.moments, "America/New_York"), "the day is the advertiser's"
    if pacing is Pacing.ASAP:
        assert len(spent.lines) == 1
        return
    plan = [value or 0 for value in spent.lines[1].values]
    assert plan[0] == 0
    assert plan == sorted(plan)
    assert 5 < plan[-1] < 15  # half of a usual day's traffic


def test_orders_of_a_day_are_told_with_what_each_cost() -> None:
    rows: list[dict[str, Cell]] = [{"conversions": 2, "revenue": "150.00"}, {"conversions": 1, "revenue": None}]
    found = orders_of(rows, hours(), "PLN")
    assert (found.conversions, found.revenue["amount"]) == (3, "150.00")
    assert found.cost == {"amount": "8.00", "currency": "PLN"}
    assert orders_of([], hours(), "PLN").cost is None
    assert orders_of(rows, [Hour(0, 0, 0, 0)], "PLN").cost is None, "an order days after the last impression"
