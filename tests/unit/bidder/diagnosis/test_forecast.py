"""Forecasts of a few trials whose outcome can be counted by hand."""

from typing import Any

import numpy as np
import pytest

from bidder.diagnosis.forecast import Floats, Forecaster, ForecastRun
from bidder.diagnosis.trials import TRIAL
from bidder.diagnosis.win_curves import WinCurves
from core.model import AuctionType, Budget, Format, FrequencyCap, LineItem
from tests.kit.catalogues import line_item

HOUR_MS = 3_600_000
DAY_S = 86_400
PLN = 1_000_000


class EvenChance(WinCurves):
    """Every bid wins with the same chance and pays what it bids."""

    def __init__(self, chance: float) -> None:
        super().__init__([])
        self._chance = chance

    def win(self, _cell: object, bids: Floats, *_more: object) -> tuple[Floats, Floats]:
        return np.full(len(bids), self._chance), bids


def trial(person: int, hour: int, request: int, **members: object) -> tuple[Any, ...]:
    told = dict.fromkeys(TRIAL.names or (), 0) | {
        "at_ms": hour * HOUR_MS, "person": person, "request": request, "weight": 1.0, "line_item": 1,
        "value": 2.0 * PLN, "highest": 50.0 * PLN, "currency": b"PLN", "kind": int(AuctionType.FIRST_PRICE),
        "rate": 1.0, "format": b"banner",
    } | members  # fmt: skip
    return tuple(told[name] for name in TRIAL.names or ())


def foretold(item: LineItem, trials: list[tuple[Any, ...]], chance: float = 1.0, days: float = 1.0) -> ForecastRun:
    return Forecaster(np.array(trials, TRIAL), item, EvenChance(chance), {}, "UTC", days).run()


def capped(*caps: FrequencyCap, **members: object) -> LineItem:
    return line_item(1, 1, caps=caps, **members)


ONE_VIDEO = FrequencyCap(1, DAY_S, Format.VIDEO)


def video(person: int, hour: int, request: int, **members: object) -> tuple[Any, ...]:
    return trial(person, hour, request, value=20.0 * PLN, format=b"video", **members)


def test_a_cap_of_a_format_leaves_the_money_of_the_others() -> None:
    banners = [trial(1, hour, hour) for hour in range(10)]
    run = foretold(capped(ONE_VIDEO), [*banners, *(video(1, hour, 100 + hour) for hour in range(10))])
    assert run.impressions == pytest.approx(11)
    assert run.spend_micros == pytest.approx((10 * 2 + 20) * PLN / 1000)


def test_an_impression_of_several_formats_goes_to_the_next_when_the_cap_of_the_best_is_reached() -> None:
    both = [each(1, hour, hour) for hour in range(5) for each in (trial, video)]
    run = foretold(capped(ONE_VIDEO), both)
    assert run.impressions == pytest.approx(5)
    assert run.spend_micros == pytest.approx((4 * 2 + 20) * PLN / 1000)
    assert run.bids == pytest.approx(5)


def test_caps_take_nothing_from_people_who_hardly_ever_see_it() -> None:
    people = [trial(person, 1, person) for person in range(1, 1_001)]
    run = foretold(capped(FrequencyCap(1, DAY_S)), people, chance=0.05)
    assert run.impressions == pytest.approx(50)
    assert run.reach == pytest.approx(50)


def test_under_a_cap_of_one_as_many_people_are_reached_as_there_are_impressions() -> None:
    visits = [trial(person, hour, 100 * person + hour) for hour in range(4) for person in range(1, 11)]
    run = foretold(capped(FrequencyCap(1, DAY_S)), visits, chance=0.3)
    assert run.reach == pytest.approx(10 * (1 - 0.7**4), rel=0.05)
    assert run.reach <= run.impressions == pytest.approx(run.reach, rel=0.05)


def test_caps_look_back_over_midnight() -> None:
    daily = [trial(1, 24 * day + 12, day) for day in range(4)]
    run = foretold(capped(FrequencyCap(1, 3 * DAY_S)), daily, days=4.0)
    assert run.impressions == pytest.approx(2)
    assert run.reach == pytest.approx(1)


def test_what_the_budget_did_not_reach_counts_for_no_cap_of_the_next_day() -> None:
    item = capped(FrequencyCap(1, 3 * DAY_S), daily_budget=Budget(impressions=1))
    run = foretold(item, [trial(1, 8, 1), trial(2, 12, 2), trial(2, 32, 3)], days=2.0)
    assert run.impressions == pytest.approx(2)
    assert run.reach == pytest.approx(2)


def test_a_line_item_bids_once_on_an_impression_of_several_formats() -> None:
    slots = [each(1, 1, 1, place=place) for place in range(2) for each in (trial, video)]
    run = foretold(line_item(1, several_per_request=True), slots)
    assert (run.bids, run.impressions) == (2, 2)
