"""Weeks of line items with a target cost (tests.kit.target_days), and the block that tells about them."""

import pytest

from pacing.pace.targets import TargetState, decode_targets, encode_targets
from tests.kit.target_days import Course, TargetMarket, course

RUNS = 20


def pooled(over: float, per_day: float) -> tuple[float, list[Course]]:
    """Cost of a conversion as a part of the target over all runs, from day 8 on."""
    market = TargetMarket(over, per_day)
    courses = [course(market, seed, step_s=14_400) for seed in range(RUNS)]
    cost, expected = sum(one.cost for one in courses), sum(one.expected for one in courses)
    return cost / expected / 10_000_000, courses


@pytest.mark.parametrize("over", [1.5, 3.0])
@pytest.mark.parametrize("per_day", [2.0, 20.0])
def test_a_target_that_can_be_reached_is_held_from_day_8_on(over: float, per_day: float) -> None:
    of_target, courses = pooled(over, per_day)
    assert of_target <= 1.10
    assert sum(one.volume for one in courses) / RUNS >= 0.85  # and not by bidding on nothing


def test_a_line_item_that_meets_its_target_keeps_its_volume() -> None:
    _, courses = pooled(0.7, 10.0)
    assert sum(one.volume for one in courses) / RUNS >= 0.97


@pytest.mark.parametrize(("per_day", "is_stopped"), [(5.0, False), (50.0, True), (500.0, True)])
def test_a_line_item_without_a_conversion_spends_at_most_ten_targets_of_matured_cost(
    per_day: float, is_stopped: bool
) -> None:
    one = course(TargetMarket(0.0, per_day), 1, step_s=600)
    assert one.was_stopped is is_stopped  # the slow one is held back so far that it does not get there in a month
    assert one.drought <= 10.0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("per_day", [2.0, 10.0, 50.0])
def test_a_line_item_on_target_is_stopped_in_at_most_one_of_a_hundred_runs(per_day: float) -> None:
    market = TargetMarket(1.0, per_day)
    assert sum(course(market, seed, step_s=14_400).was_stopped for seed in range(1_000)) <= 10


def test_the_block_of_states_comes_back_and_another_version_is_none() -> None:
    states = {7: TargetState(1, 2, 3, 4.5, 0.5), 8: TargetState(0, 0, 0, 0.0, 1.0)}
    packed = encode_targets(states, 99)
    assert decode_targets(packed) == states
    assert decode_targets(b"rubbish") == {}
    assert decode_targets(packed[:1] + b"\x09" + packed[2:]) == {}
