"""Plays that count as several impressions: reservations cover every bill, and a bill is the exact cost to a micro."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bidder.decision.afford import costs, costs_of_several
from core.money import GROSZ_CPM_MICROS
from pacing.notices.charges import charge_micros, multiplier_of
from pacing.notices.claims import NO_MULTIPLIER, Claims

BIDS = st.integers(1, 100_000).map(lambda groszes: groszes * GROSZ_CPM_MICROS)
MULTIPLIERS = st.integers(1, 10_000_000)
RATES = st.sampled_from([1.0, 0.25, 3.64, 4.27, 0.0245])


def cost(cpm: int, milli: int, rate: float = 1.0) -> Fraction:
    """Micros of the advertiser's currency, exactly."""
    return Fraction(cpm) * milli / (Fraction(rate) * 1_000_000)


@given(cpm=BIDS, milli=MULTIPLIERS, rate=RATES)
def test_what_is_reserved_is_the_cost_of_all_of_them_rounded_up(cpm: int, milli: int, rate: float) -> None:
    (reserved,) = costs_of_several(np.array([cpm]), rate, np.array([milli])).tolist()
    assert 0 <= reserved - cost(cpm, milli, rate) < 1 + Fraction(1, 1_000)


@given(cpm=BIDS, rate=RATES)
def test_one_impression_costs_what_it_always_did(cpm: int, rate: float) -> None:
    one = costs_of_several(np.array([cpm]), rate, np.array([NO_MULTIPLIER]))
    assert abs(one - costs(np.array([cpm]), rate)).max() <= 1
    if rate == 1.0:
        assert (one == costs(np.array([cpm]), rate)).all()


@given(cpm=BIDS, price=st.floats(0, 1), milli=MULTIPLIERS, told=st.none() | st.floats(-1, 20_000))
def test_a_bill_is_the_price_of_those_that_there_were_and_never_above_the_reservation(
    cpm: int, price: float, milli: int, told: float | None
) -> None:
    (reserved,) = costs_of_several(np.array([cpm]), 1.0, np.array([milli])).tolist()
    bid = Claims(
        share=0, line_item_id=1, advertiser_id=1, campaign_id=1, creative_id=1, exchange_id=1, lease_id=1,
        reserved_micros=reserved, bid_cpm=cpm, second_cpm=0, floor_cpm=0, currency="PLN", issued_s=0,
        multiplier_milli=milli,
    )  # fmt: skip
    counted = multiplier_of(None if told is None else repr(told), bid)
    assert 1 <= counted <= milli
    if milli != NO_MULTIPLIER and told is not None and 0.001 < told < milli / NO_MULTIPLIER:
        assert abs(counted - told * NO_MULTIPLIER) <= 1
    price_cpm = int(cpm * price)
    charge = charge_micros(bid, price_cpm, counted)
    assert 0 <= charge <= reserved
    assert abs(charge - cost(price_cpm, counted)) <= Fraction(3, 2)
