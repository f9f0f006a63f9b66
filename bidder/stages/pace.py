"""Whether a bid can be paid: against the leases that this process holds in memory, in integers, with no network."""

import numpy as np
from numpy.typing import NDArray

from bidder.stages.score import Scores
from pacing.leases import LeaseBook

MICROS_PER_CPM_MICRO = 1000


def costs(scores: Scores) -> NDArray[np.int64]:
    """Micros of the advertiser's currency that one impression at each pair's bid costs, rounded up."""
    if isinstance(scores.rate, float) and scores.rate == 1.0:
        return scores.cpm // MICROS_PER_CPM_MICRO  # exact: the bid lies on the grosz grid
    rate = np.where(scores.cpm > 0, scores.rate, 1.0)  # without an exchange rate there is no bid, and nothing to divide
    micros: NDArray[np.int64] = np.ceil(scores.cpm / (rate * MICROS_PER_CPM_MICRO)).astype(np.int64)
    return micros


def affordable(cost: NDArray[np.int64], positions: NDArray[np.int64], book: LeaseBook) -> NDArray[np.bool_]:
    """Whether each pair's lease holds its cost and an impression as the batch starts; `reserve` decides in the end."""
    enough: NDArray[np.bool_] = (book.remaining[positions] >= cost) & (book.impressions_left[positions] > 0)
    return enough
