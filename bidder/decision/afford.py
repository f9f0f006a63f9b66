"""Whether a bid can be paid: against the leases that this process holds in memory, in integers, with no network."""

import numpy as np
from numpy.typing import NDArray

from pacing.budgets.leases import LeaseBook

MICROS_PER_CPM_MICRO = 1000


def costs(cpm: NDArray[np.int64], rate: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Micros of the advertiser's currency that one impression at each pair's bid costs, rounded up.

    `cpm` are CPM micros of the auction's currency, of which `rate` units make one unit of the advertiser's.
    """
    if isinstance(rate, float) and rate == 1.0:
        return cpm // MICROS_PER_CPM_MICRO  # exact: the bid lies on the grosz grid
    divisor = np.where(cpm > 0, rate, 1.0)  # without an exchange rate there is no bid, and nothing to divide
    micros: NDArray[np.int64] = np.ceil(cpm / (divisor * MICROS_PER_CPM_MICRO)).astype(np.int64)
    return micros


def costs_of_several(
    cpm: NDArray[np.int64], rate: NDArray[np.float64] | float, multiplier_milli: NDArray[np.int64]
) -> NDArray[np.int64]:
    """`costs` of impressions that count as several each: the price of one, times the multiplier in thousandths."""
    divisor = np.where(cpm > 0, rate, 1.0)
    # Below 2^53 at the highest CPM and multiplier, so nothing is lost before the division.
    micros: NDArray[np.int64] = np.ceil(cpm * multiplier_milli / (divisor * (1_000 * MICROS_PER_CPM_MICRO))).astype(
        np.int64
    )
    return micros


def affordable(cost: NDArray[np.int64], positions: NDArray[np.int64], book: LeaseBook) -> NDArray[np.bool_]:
    """Whether each pair's lease covers its cost and one impression as the batch starts; `reserve` has the last word."""
    enough: NDArray[np.bool_] = (book.remaining.take(positions) >= cost) & (book.impressions_left.take(positions) > 0)
    return enough
