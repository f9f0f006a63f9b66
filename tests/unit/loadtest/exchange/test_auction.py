import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import settle
from loadtest.exchange.auction import (
    GROSZ_MICROS,
    LOST_BELOW_DEAL_FLOOR,
    LOST_BELOW_FLOOR,
    LOST_TO_HIGHER_BID,
    Rules,
    clearing_price,
    hold,
)

GROSZES = st.integers(min_value=0, max_value=100_000).map(lambda groszes: groszes * GROSZ_MICROS)
PRICES = st.integers(min_value=0, max_value=10**9)


@given(bid=GROSZES, second=PRICES, floor=PRICES)
def test_both_implementations_of_the_clearing_rule_agree(bid: int, second: int, floor: int) -> None:
    assert clearing_price(bid, second, Rules(floor, first_price=False)) == settle(bid, second, floor)


@given(bid=GROSZES, competitor=GROSZES, floor=PRICES)
def test_a_winner_pays_between_floor_and_bid_and_above_the_runner_up(bid: int, competitor: int, floor: int) -> None:
    outcome = hold(bid, competitor, Rules(floor, first_price=False))
    if outcome.won:
        assert floor <= outcome.price <= bid
        assert outcome.price > competitor or bid == competitor + GROSZ_MICROS or competitor == 0
    else:
        assert bid < floor or competitor >= bid


def test_first_price_pays_the_bid() -> None:
    assert hold(3_000_000, 1_000_000, Rules(500_000, first_price=True)).price == 3_000_000


def test_second_price_adds_one_grosz_to_the_runner_up() -> None:
    assert hold(3_000_000, 1_000_000, Rules(500_000, first_price=False)).price == 1_010_000


def test_a_competitor_below_the_floor_does_not_count() -> None:
    assert hold(3_000_000, 1_000_000, Rules(2_000_000, first_price=False)).price == 2_010_000


def test_a_fixed_price_deal_costs_its_floor_whoever_else_bids() -> None:
    outcome = hold(2_000_000, 9_000_000, Rules(2_000_000, first_price=False, fixed_price=True), is_deal=True)
    assert (outcome.won, outcome.price) == (True, 2_000_000)


@pytest.mark.parametrize(
    ("bid", "competitor", "is_deal", "code"),
    [
        (900_000, 0, False, LOST_BELOW_FLOOR),
        (900_000, 0, True, LOST_BELOW_DEAL_FLOOR),
        (2_000_000, 2_000_000, False, LOST_TO_HIGHER_BID),
    ],
)
def test_a_loss_has_its_code(bid: int, competitor: int, is_deal: bool, code: int) -> None:
    outcome = hold(bid, competitor, Rules(1_000_000, first_price=False), is_deal=is_deal)
    assert (outcome.won, outcome.loss_code) == (False, code)
