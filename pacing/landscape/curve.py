"""What it takes to win at an exchange: the distribution of the price to beat, and how far to bid below the value.

At a first-price auction the winner pays the bid, so bidding the whole value of an impression wins everything and earns
nothing. With `F(b)` the chance that a bid `b` wins, the bid that earns most of a value `v` maximises `(v - b) F(b)`;
it is looked for among `RATIOS`, parts of the value. `F` is learnt from what became of earlier bids, and most of that is
censored: a win says only that the price was at most the bid, a loss that it was at least the bid. Wins alone would be a
wrong sample (docs/evidence.md, "First price"), so the estimate is the nonparametric one for such data (Turnbull's
self-consistent distribution, smoothed in each round as in Silverman's EMS), with a belief that fades as evidence comes.

Everything here is a pure function over arrays. Prices are CPM micros of the auction's currency; `bin` is a position on
a logarithmic grid from one grosz to 100,000 of it in steps of 6%, wide enough for any currency.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.money import GROSZ_CPM_MICROS

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

BINS: Final = 192
HIGHEST_GROSZES: Final = 100_000.0
_STEP: Final = math.log(HIGHEST_GROSZES) / BINS
BINS_PER_LOG: Final = 1.0 / _STEP
"""Bins for each e-fold of the price: `int(log(price in groszes) * BINS_PER_LOG)` is a price's bin, kept in the grid."""

STEPS: Final = 64
RATIOS: Final[Floats] = np.geomspace(1 / STEPS, 1.0, STEPS)
"""The parts of the value that may be bid, step 1 the least.

They lie 7% apart: where few impressions are worth a hundred times what they cost, small parts count most (against 32
even steps 0.5% more surplus on such a market, as much on campaign 2997).
"""

FULL_VALUE: Final = STEPS
"""The step at which nothing is shaded."""

# The shipped belief, before anything is known of an exchange: prices around 2.00 CPM, two thirds of them within a
# factor of 2.7. Typed in, not learnt. With it an impression worth 5.00 is bid at 44% of its value, one worth 1.00 at
# 63%.
BELIEF_MEDIAN_GROSZES: Final = 200.0
BELIEF_SIGMA: Final = 1.0

BELIEF_WEIGHT: Final = 20.0
"""How many observed prices the belief counts for: a hundred auctions outweigh it."""

# After so many rounds the estimate moves by less than a thousandth. From the worker's last estimate 5 are enough.
ROUNDS: Final = 60

# An uneven histogram must not look like thresholds to bid just above. One bin to each side is 6% of a price.
_KERNEL: Final = np.array((0.25, 0.5, 0.25))


class Evidence(NamedTuple):
    """What became of bids, each of shape (cells, BINS); counts may be fractions, as old ones fade.

    `exact` counts known prices by the price's bin. `won` and `lost` count bids by the bid's bin where only the outcome
    is known: a won bid was at least the price, a lost one at most.
    """

    exact: Floats
    won: Floats
    lost: Floats

    @property
    def weight(self) -> Floats:
        """Observations of each cell."""
        total: Floats = self.exact.sum(axis=1) + self.won.sum(axis=1) + self.lost.sum(axis=1)
        return total


def bins_of(cpm_micros: npt.ArrayLike) -> Integers:
    """The bins of prices or bids in CPM micros; what is below a grosz is in the first, above the grid in the last."""
    groszes = np.maximum(np.asarray(cpm_micros, np.float64) / GROSZ_CPM_MICROS, 1.0)
    return np.minimum(np.log(groszes) * BINS_PER_LOG, BINS - 1).astype(np.int64)


def bin_of(cpm_micros: int) -> int:
    """`bins_of` for one price: a fiftieth of the time."""
    if cpm_micros <= GROSZ_CPM_MICROS:
        return 0
    return min(int(math.log(cpm_micros / GROSZ_CPM_MICROS) * BINS_PER_LOG), BINS - 1)


def centres() -> Floats:
    """The CPM micros in the middle of each bin, on the logarithmic scale."""
    middles: Floats = np.exp((np.arange(BINS) + 0.5) * _STEP) * GROSZ_CPM_MICROS
    return middles


def belief() -> Floats:
    """The shipped distribution of prices over the bins; sums to 1."""
    edges = (np.arange(BINS + 1) * _STEP).astype(np.float64)
    return _log_normal(edges, math.log(BELIEF_MEDIAN_GROSZES), BELIEF_SIGMA)


def observe(price_cpm: npt.ArrayLike, bid_cpm: npt.ArrayLike | None = None, *, first_price: bool = True) -> Evidence:
    """Evidence of one cell from arrays of prices to beat, in CPM micros.

    Without bids every price is known. With them, a bid wins where it is at least the price: at first price (the bill
    says only the bid) the price of a win stays unknown, at second price it is the bill's; a loss tells the price.
    """
    price = np.asarray(price_cpm, np.float64)
    known = np.ones(len(price), np.bool_)
    won = np.zeros((1, BINS))
    if bid_cpm is not None and first_price:
        bid = np.asarray(bid_cpm, np.float64)
        known = bid < price
        won[0] = np.bincount(bins_of(bid[~known]), minlength=BINS)
    exact = np.bincount(bins_of(price[known]), minlength=BINS).astype(np.float64)[None, :]
    return Evidence(exact, won, np.zeros((1, BINS)))


def fit(evidence: Evidence, prior: Floats, *, start: Floats | None = None, rounds: int = ROUNDS) -> Floats:
    """The distribution of the price to beat of each cell: shape (cells, BINS), rows sum to 1.

    `prior` (BINS, or a row a cell; sums to 1) counts for BELIEF_WEIGHT observations. `start` is an earlier result, from
    which fewer `rounds` are enough.
    """
    believed = BELIEF_WEIGHT * np.broadcast_to(prior, evidence.exact.shape)
    fixed = believed + _smoothed(evidence.exact)
    shape = believed / BELIEF_WEIGHT if start is None else start
    shape = 0.999 * shape + 0.001 / BINS  # mass that has become zero would stay zero
    for _ in range(rounds):
        below = np.cumsum(shape, axis=1)
        above = 1.0 - below + shape
        # A win at bin k spreads over the bins up to k as the present estimate does, so bin j gets its share from all
        # wins at or above it; a loss the other way round.
        from_wins = _reversed_sums(evidence.won / np.maximum(below, 1e-12))
        from_losses = np.cumsum(evidence.lost / np.maximum(above, 1e-12), axis=1)
        mass = fixed + _smoothed(shape * (from_wins + from_losses))
        shape = mass / mass.sum(axis=1, keepdims=True)
    return shape


def win_rates(shape: Floats, bid_cpm: Floats) -> Floats:
    """The chance that each bid wins, shape (cells, bids); within a bin prices lie evenly by their logarithm."""
    cumulative = np.concatenate([np.zeros((len(shape), 1)), np.cumsum(shape, axis=1)], axis=1)
    place = np.clip(np.log(np.maximum(bid_cpm / GROSZ_CPM_MICROS, 1.0)) * BINS_PER_LOG, 0.0, BINS)
    whole = np.minimum(place.astype(np.int64), BINS - 1)
    low, high = cumulative[:, whole], cumulative[:, whole + 1]
    rates: Floats = low + (high - low) * (place - whole)
    return rates


def best_steps(shape: Floats) -> Bytes:
    """For each cell and bin of the value the step of RATIOS that earns most: shape (cells, BINS), from 1 to STEPS."""
    values = centres()
    bids = np.outer(values, RATIOS)
    rates = win_rates(shape, bids.ravel()).reshape(len(shape), BINS, STEPS)
    surplus = rates * (1.0 - RATIOS)
    # Of equal ones the highest: where nothing is known to be earned, winning costs nothing either.
    best = STEPS - 1 - surplus[:, :, ::-1].argmax(axis=2)
    steps: Bytes = (best + 1).astype(np.uint8)
    return steps


def shaded(value_cpm: npt.ArrayLike, steps: Bytes) -> Integers:
    """Bids for values in CPM micros by one cell's steps, on the grosz grid: what the bidder does, for whole arrays."""
    value = np.asarray(value_cpm, np.float64)
    ratio = RATIOS[steps[bins_of(value)].astype(np.int64) - 1]
    groszes = (value * ratio / GROSZ_CPM_MICROS + 1e-6).astype(np.int64)
    return groszes * GROSZ_CPM_MICROS


def _log_normal(edges: Floats, mean: float, sigma: float) -> Floats:
    cumulative = np.array([0.5 * (1.0 + math.erf((edge - mean) / (sigma * math.sqrt(2.0)))) for edge in edges.tolist()])
    cumulative[0], cumulative[-1] = 0.0, 1.0
    return np.diff(cumulative)


def _smoothed(counts: Floats) -> Floats:
    """Each bin's count spread to its neighbours; at the ends it stays inside."""
    padded = np.concatenate([counts[:, :1], counts, counts[:, -1:]], axis=1)
    smooth: Floats = _KERNEL[0] * padded[:, :-2] + _KERNEL[1] * padded[:, 1:-1] + _KERNEL[2] * padded[:, 2:]
    return smooth


def _reversed_sums(values: Floats) -> Floats:
    """For each bin the sum of it and all above."""
    sums: Floats = np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
    return sums
