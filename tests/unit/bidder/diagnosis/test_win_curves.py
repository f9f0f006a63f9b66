"""Curves learnt from what notices say find the market that made them, however little of it they say."""

import numpy as np
import pytest

from bidder.diagnosis.win_curves import BidOutcome, WinCurves
from core.model import AuctionType
from core.money import GROSZ_CPM_MICROS

FLOOR = 500_000
CELL = (1, "PLN", 300, 250)


def market(count: int = 6_000) -> np.ndarray:
    """The best competitor of each auction, CPM micros on the grosz grid."""
    chance = np.random.default_rng(7)
    groszes = np.maximum(np.floor(160 * np.exp(0.6 * chance.standard_normal(count))), 1)
    prices: np.ndarray = groszes * GROSZ_CPM_MICROS
    return prices


def outcomes(kind: AuctionType, minimum_told: float, silent: float) -> list[BidOutcome]:
    """Bids of many heights; a part of the losses with the minimum to win, a part never told at all."""
    chance = np.random.default_rng(8)
    found = []
    for price in market().tolist():
        bid = round(float(np.exp(chance.normal(np.log(1.6), 0.5))) * 100) * GROSZ_CPM_MICROS
        if bid < FLOOR:
            continue
        won = bid > max(price, 0)
        paid = min(bid, max(int(price), FLOOR) + GROSZ_CPM_MICROS) if kind is AuctionType.SECOND_PRICE else bid
        told = chance.random() < minimum_told
        heard = won or chance.random() >= silent
        found.append(
            BidOutcome(
                1, "PLN", 300, 250, int(kind), bid, FLOOR, won, heard and not won, "102" if heard and not won else "",
                paid if won else None, int(price) + GROSZ_CPM_MICROS if told and heard and not won else None, 1,
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize("kind", [AuctionType.SECOND_PRICE, AuctionType.FIRST_PRICE])
@pytest.mark.parametrize(("minimum_told", "silent"), [(1.0, 0.0), (0.5, 0.3), (0.0, 1.0)])
def test_the_market_is_found_again(kind: AuctionType, minimum_told: float, silent: float) -> None:
    curves, prices = WinCurves(outcomes(kind, minimum_told, silent)), market()
    bids = np.array([0.8, 1.2, 1.6, 2.4, 3.2]) * 1e6
    chance, paid = curves.win(CELL, bids, np.full(5, FLOOR), int(kind))
    real = np.array([(prices < bid).mean() for bid in bids])
    assert np.abs(chance - real).max() < 0.045
    if kind is AuctionType.SECOND_PRICE:
        second = [
            np.minimum(np.maximum(prices[prices < bid], FLOOR) + GROSZ_CPM_MICROS, bid).mean() for bid in bids.tolist()
        ]
        assert np.abs(paid / np.array(second) - 1).max() < 0.04
    else:
        assert (paid == bids).all()


def test_a_bid_below_its_floor_never_wins_and_a_fixed_price_is_paid() -> None:
    curves = WinCurves([])
    bids, floors = np.array([1e6, 1e6]), np.array([2e6, 0.5e6])
    chance, _paid = curves.win(CELL, bids, floors, int(AuctionType.SECOND_PRICE))
    assert chance[0] == 0.0 < chance[1]
    chance, paid = curves.win(CELL, bids, floors, int(AuctionType.FIXED_PRICE))
    assert chance.tolist() == [0.0, 1.0]
    assert paid[1] == 0.5e6


def test_a_house_is_paid_our_own_second_bid() -> None:
    rivals = np.array([0.9e6, 0.0])
    _chance, paid = WinCurves([]).win(CELL, np.full(2, 2e6), np.full(2, FLOOR), int(AuctionType.SECOND_PRICE), rivals)
    assert paid.tolist() == [910_000, FLOOR + GROSZ_CPM_MICROS]


def test_losses_below_a_floor_say_nothing_of_others() -> None:
    lost = BidOutcome(1, "PLN", 300, 250, 2, 2_000_000, 3_000_000, False, True, "100", None, None, 10_000)
    bids = np.array([1e6, 3e6])
    told, untold = (WinCurves(each).win(CELL, bids, np.zeros(2), 2)[0] for each in ([lost], []))
    assert np.allclose(told, untold, atol=0.01)


def test_a_size_that_is_seldom_seen_leans_on_its_exchange() -> None:
    curves = WinCurves(outcomes(AuctionType.SECOND_PRICE, 1.0, 0.0))
    known, other, elsewhere = (
        curves.win(cell, np.array([1.6e6]), np.zeros(1), 2)[0][0] for cell in (CELL, (1, "PLN", 1, 1), (9, "PLN", 1, 1))
    )
    assert other == pytest.approx(known, abs=0.01)
    assert abs(elsewhere - known) > 0.02
