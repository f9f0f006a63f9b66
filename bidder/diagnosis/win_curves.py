"""What it takes to win, from what became of bids: a curve for each exchange, currency and size.

Bids that lost are half of what is known, and most are censored: a loss without the minimum to win says only that the
price was above the bid, a win at first price only that it was below, a win at the floor only that nobody was above it.
The estimate is the nonparametric one for such data (pacing.landscape.curve.fit), which is Kaplan and Meier's where only
losses are censored. Sizes lean on their exchange, exchanges on the shipped belief.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.model import AuctionType
from core.money import GROSZ_CPM_MICROS
from pacing.landscape.curve import BINS, Evidence, belief, bin_of, centres, fit, win_rates

Floats = NDArray[np.float64]

_FLOOR_CODES: Final = frozenset({"100", "101"})
"""Loss codes of bids below a floor or a deal's, which say nothing of other bidders (OpenRTB, loss reason codes)."""


class BidOutcome(NamedTuple):
    """Equal bids and what became of them. Prices are CPM micros; None where the exchange did not say."""

    exchange_id: int
    currency: str
    width: int
    height: int
    auction_type: int
    bid_cpm: int
    floor_cpm: int
    won: bool
    lost: bool
    loss_code: str
    price_cpm: int | None
    minimum_cpm: int | None
    bids: int  # that met the same


Cell = tuple[int, str, int, int]


class WinCurves:
    """Curves by cell. `weight` is how many bids they were learnt from."""

    def __init__(self, outcomes: Iterable[BidOutcome]) -> None:
        books: dict[Cell, list[Floats]] = {}
        self.weight = 0
        for outcome in outcomes:
            self.weight += outcome.bids
            whole: Cell = (outcome.exchange_id, outcome.currency, 0, 0)
            for cell in {whole, (outcome.exchange_id, outcome.currency, outcome.width, outcome.height)}:
                _enter(books.setdefault(cell, [np.zeros(BINS) for _ in range(3)]), outcome)
        wholes = [cell for cell in books if not (cell[2] or cell[3])]
        sizes = [cell for cell in books if cell[2] or cell[3]]
        self._shapes: dict[Cell, Floats] = {}
        self._fit(wholes, books, [belief()] * len(wholes))
        self._fit(sizes, books, [self._shapes[cell[0], cell[1], 0, 0] for cell in sizes])

    def _fit(self, cells: list[Cell], books: dict[Cell, list[Floats]], priors: list[Floats]) -> None:
        if cells:
            evidence = Evidence(*(np.stack([books[cell][at] for cell in cells]) for at in range(3)))
            self._shapes.update(zip(cells, fit(evidence, np.stack(priors)), strict=True))

    def shape(self, cell: Cell) -> Floats:
        """The distribution of the price to beat in a cell; of an unknown one, its exchange's or the shipped belief."""
        known = self._shapes.get(cell)
        known = self._shapes.get((cell[0], cell[1], 0, 0)) if known is None else known
        return belief() if known is None else known

    def win(
        self, cell: Cell, bids: Floats, floors: Floats, kind: int, rivals: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The chance that each bid wins, and the CPM that it costs where it does; a bid below its floor never wins.

        `rivals` are our own second bids where the exchange is settled by them (house clearing).
        """
        shape = self.shape(cell)
        chance = np.where(bids >= np.maximum(floors, GROSZ_CPM_MICROS), win_rates(shape[None, :], bids)[0], 0.0)
        if kind == AuctionType.FIXED_PRICE:
            return np.where(bids >= floors, 1.0, 0.0), floors
        if rivals is not None:
            return chance, np.minimum(bids, np.maximum(rivals, floors) + GROSZ_CPM_MICROS)
        if kind == AuctionType.FIRST_PRICE:
            return chance, bids
        at_floor = win_rates(shape[None, :], floors)[0]
        paid = at_floor * floors + _cost_up_to(shape, bids) - _cost_up_to(shape, floors)
        price = np.divide(paid, chance, out=np.zeros_like(bids), where=chance > 0) + GROSZ_CPM_MICROS
        return chance, np.minimum(np.maximum(price, floors), bids)


def _cost_up_to(shape: Floats, cpm: Floats) -> Floats:
    """The integral of the price over the distribution up to each price."""
    masses = np.concatenate(([0.0], np.cumsum(shape * centres())))
    rates = np.concatenate(([0.0], np.cumsum(shape)))
    reached = win_rates(shape[None, :], cpm)[0]
    cost: Floats = np.interp(reached, rates, masses)
    return cost


def _enter(book: list[Floats], outcome: BidOutcome) -> None:
    exact, won, lost = book
    if outcome.auction_type == AuctionType.FIXED_PRICE:
        return
    count, floor = outcome.bids, outcome.floor_cpm
    minimum = outcome.minimum_cpm
    if outcome.won:
        price = outcome.price_cpm if outcome.auction_type == AuctionType.SECOND_PRICE else minimum
        if price is None:
            won[bin_of(outcome.bid_cpm)] += count
        elif price > floor + 2 * GROSZ_CPM_MICROS:
            exact[bin_of(price - GROSZ_CPM_MICROS)] += count
        else:
            won[bin_of(max(floor, GROSZ_CPM_MICROS))] += count
        return
    if outcome.loss_code in _FLOOR_CODES:
        return
    if minimum:
        exact[bin_of(minimum - GROSZ_CPM_MICROS)] += count
    else:
        lost[bin_of(outcome.bid_cpm)] += count
