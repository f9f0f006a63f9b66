import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bidder.decision.afford import affordable, costs
from core.money import GROSZ_CPM_MICROS
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import catalogue, line_item


def test_at_par_an_impression_costs_a_thousandth() -> None:
    assert costs(np.array([2_000_000, 10_000, 0]), 1.0).tolist() == [2_000, 10, 0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.floats(1e-4, 1e4))
def test_what_is_reserved_covers_the_bid_in_any_currency(groszes: list[int], rate: float) -> None:
    cpm = [grosz * GROSZ_CPM_MICROS for grosz in groszes]
    for bid, cost in zip(cpm, costs(np.array(cpm, dtype=np.int64), rate).tolist(), strict=True):
        assert cost * 1000 * rate >= bid * (1 - 1e-12)
        assert (cost - 1) * 1000 * rate <= bid * (1 + 1e-12)


@pytest.mark.parametrize("rate", [0.0, np.zeros(2)])
def test_without_an_exchange_rate_there_is_nothing_to_reserve(rate: NDArray[np.float64] | float) -> None:
    assert costs(np.zeros(2, dtype=np.int64), rate).tolist() == [0, 0]


def test_a_bid_needs_its_price_and_an_impression_in_the_lease() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2), line_item(3)))
    bidder.book.remaining[:] = (100, 99, 100)
    bidder.book.impressions_left[:] = (1, 1, 0)
    cost, positions = np.array([100, 100, 100]), np.array([0, 1, 2])
    assert affordable(cost, positions, bidder.book).tolist() == [True, False, False]
