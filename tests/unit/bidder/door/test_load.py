"""The estimate by numbers: no clock, no event loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.door.load import BUSY_TURN, COST_SMOOTHING, FIRST_COST_S, MAX_COST_RATIO, WAITING_SHARE, Load, time_budget
from tests.kit.openrtb import EXCHANGE, request_of

BUDGET_S = 0.08


def test_the_budget_is_tmax_or_the_exchange_s_default_up_to_the_cap_less_the_way_back() -> None:
    margin = EXCHANGE.network_margin_ms
    assert time_budget(request_of(tmax=90), EXCHANGE, 100) == pytest.approx((90 - margin) / 1000)
    assert time_budget(request_of(tmax=900), EXCHANGE, 100) == pytest.approx((100 - margin) / 1000)
    for request in (None, request_of(), request_of(tmax=0), request_of(tmax=-5)):
        assert time_budget(request, EXCHANGE, 1_000) == pytest.approx((EXCHANGE.default_tmax_ms - margin) / 1000)
    assert time_budget(request_of(tmax=5), EXCHANGE, 100) < 0, "less than the way back takes"


def test_an_idle_process_takes_requests_and_one_with_a_long_queue_sheds_them() -> None:
    load = Load()
    load.begin_turn(10.0)
    assert not load.is_too_much(0, BUDGET_S, 10.0, 10.0)
    fitting = int(BUDGET_S * WAITING_SHARE / load.cost_s)
    assert not load.is_too_much(fitting - 1, BUDGET_S, 10.0, 10.0)
    assert load.is_too_much(fitting + 1, BUDGET_S, 10.0, 10.0)


def test_time_that_this_turn_has_taken_already_counts_as_waiting() -> None:
    load = Load()
    load.begin_turn(10.0)
    assert not load.is_too_much(0, BUDGET_S, 10.0, 10.0 + BUDGET_S * WAITING_SHARE * 0.9)
    assert load.is_too_much(0, BUDGET_S, 10.0, 10.0 + BUDGET_S * WAITING_SHARE * 1.1)


def test_a_sender_that_is_slow_uses_up_its_own_time_only() -> None:
    load = Load()
    load.begin_turn(10.0)
    assert load.is_too_much(0, BUDGET_S, 10.0 - 2 * BUDGET_S, 10.0)
    assert not load.is_too_much(0, BUDGET_S, 10.0 - BUDGET_S / 2, 10.0)


def test_a_turn_that_begins_right_after_work_may_have_kept_its_requests_waiting() -> None:
    load = Load()
    load.begin_turn(10.0)
    load.worked(10.06)
    load.begin_turn(10.0605)
    assert load.is_too_much(0, BUDGET_S, 10.0605, 10.0605), "read up to 60 ms after they came"
    load.worked(10.061)
    load.begin_turn(10.2)
    assert not load.is_too_much(0, BUDGET_S, 10.2, 10.2), "nobody had worked before: they are read as they come"


def test_turns_with_many_requests_say_that_the_process_is_busy() -> None:
    load = Load()

    def is_busy(now: float, requests: int) -> bool:
        load.begin_turn(now)
        for _ in range(requests):
            load.count()
        load.judge()
        return load.busy

    assert [is_busy(number, requests) for number, requests in enumerate((BUSY_TURN - 1, BUSY_TURN, 0))] == [
        False,
        True,
        False,
    ]


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 64))
def test_one_slow_batch_moves_the_estimate_by_a_bounded_step(costs: list[float], requests: int) -> None:
    load, before = Load(), FIRST_COST_S * 2 * 2.0
    for cost in costs:
        load.screened(cost, requests)
        load.priced(cost, requests)
        assert load.cost_s <= before * (1 + (MAX_COST_RATIO - 1) * COST_SMOOTHING) * (1 + 1e-9)
        assert load.cost_s >= before * (1 - COST_SMOOTHING) * (1 - 1e-9)
        before = load.cost_s


def test_the_estimate_follows_what_is_measured() -> None:
    load = Load()
    for _ in range(2_000):
        load.screened(0.000040 * 8, 8)
        load.priced(0.000010 * 8, 8)
    assert load.cost_s == pytest.approx(2 * 0.000050, rel=0.01)
