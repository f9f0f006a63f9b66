"""The bid path's side of the landscape: which part of its value a bid at first price should be, without any waiting."""

import bisect
from typing import Final

from core.money import GROSZ_CPM_MICROS
from pacing.landscape.curve import BINS, HIGHEST_GROSZES, RATIOS, belief, best_steps, bin_of
from pacing.landscape.messages import CellSteps
from pacing.landscape.observations import UNKNOWN, LandscapeCell, ObservationKind, Tally
from pacing.ledger.rows import NOT_SHADED

# Blocks of sent bids are told this many writes (of five seconds) later: a bid whose bill is on its way is not lost.
SENT_LAG: Final = 12

_GRID: Final = int(HIGHEST_GROSZES)

# The part of the value by step; step 0 does not exist.
_PARTS: Final = (0.0, *RATIOS.tolist())


def _places() -> bytes:
    """The bin of each price below _GRID groszes: an index costs the bid path a fifth of a logarithm."""
    prices = range(_GRID)
    firsts = [bisect.bisect_left(prices, place, key=lambda groszes: bin_of(groszes * GROSZ_CPM_MICROS))
              for place in range(BINS)]  # fmt: skip
    ends = (*firsts[1:], _GRID)
    return b"".join(
        bytes((place,)) * (end - first) for place, (first, end) in enumerate(zip(firsts, ends, strict=True))
    )


_PLACES: Final = _places()

# Values lie on the grosz grid, so only a few hundred occur; the bound only stops a leak. Some 150 bytes each.
MAX_KNOWN: Final = 10_000


class ShadedBid:
    """The bid for one value, and how often it was sent since the worker was last told."""

    __slots__ = ("bid_cpm", "cost", "currency", "sent", "shading", "whole_cost")

    def __init__(self, value_cpm: int, bid_cpm: int, currency: str) -> None:
        self.bid_cpm = bid_cpm
        self.currency = currency
        self.shading = bid_cpm * NOT_SHADED // value_cpm
        """The bid as a part of the value, in ten-thousandths."""
        self.sent = 0
        # What the bid costs where the value would cost `whole_cost`: of the last bid, since most bids of a value have
        # the same, and dividing such numbers is a third of all that shading costs.
        self.whole_cost = self.cost = 0


class ShadingCell:
    """The steps of one exchange, currency and size of ad, and what was bid by them."""

    __slots__ = ("_currency", "_steps", "known", "sent")

    def __init__(self, currency: str, steps: bytes) -> None:
        self._currency = currency
        self._steps = steps
        self.known: dict[int, ShadedBid] = {}
        """Bids by their value, both CPM micros. Always the same dictionary, so that it can be held."""
        self.sent = [0] * BINS

    def replace(self, steps: bytes) -> None:
        """Bid by these steps from now on."""
        self._steps = steps
        self._forget()

    def _forget(self) -> None:
        for each in self.known.values():
            self.sent[_bin(each.bid_cpm // GROSZ_CPM_MICROS)] += each.sent
        self.known.clear()

    def bid(self, value_cpm: int) -> ShadedBid:
        """The bid for a value on the grosz grid, where no floor asks for more."""
        found = self.known.get(value_cpm)
        if found is None:
            if len(self.known) >= MAX_KNOWN:
                self._forget()
            groszes = value_cpm // GROSZ_CPM_MICROS
            # There is nothing below a grosz to bid.
            part = _PARTS[self._steps[_bin(groszes)]] if groszes > 1 else 1.0
            bid_cpm = (int(groszes * part) or 1) * GROSZ_CPM_MICROS
            found = self.known[value_cpm] = ShadedBid(value_cpm, bid_cpm, self._currency)
        return found

    def bid_at_least(self, value_cpm: int, least_cpm: float, *, counts: bool = True) -> int:
        """The bid for a value, both CPM micros on the grosz grid; not below `least_cpm`, which the value meets.

        A bid that `counts` goes out and is told to the worker.
        """
        bid_cpm = self.bid(value_cpm).bid_cpm
        if bid_cpm < least_cpm:
            bid_cpm = min(-(-int(least_cpm) // GROSZ_CPM_MICROS) * GROSZ_CPM_MICROS, value_cpm)
        if counts:
            self.sent[_bin(bid_cpm // GROSZ_CPM_MICROS)] += 1
        return bid_cpm

    def take_sent(self) -> list[int]:
        """How many bids went out by bin, each told once."""
        for each in self.known.values():
            if each.sent:
                self.sent[_bin(each.bid_cpm // GROSZ_CPM_MICROS)] += each.sent
                each.sent = 0
        sent, self.sent = self.sent, [0] * BINS
        return sent


def _bin(groszes: int) -> int:
    return _PLACES[groszes] if groszes < _GRID else BINS - 1


class Shading:
    """The steps of each cell, and counts of what was bid by them. One thread: the event loop's.

    A cell stays the same object for good, so that the bid path may hold it and need not look it up.
    """

    __slots__ = ("_believed", "_cells", "_steps", "_tally")

    def __init__(self) -> None:
        self._believed = best_steps(belief()[None, :])[0].tobytes()
        self._steps: dict[LandscapeCell, bytes] = {}
        self._cells: dict[LandscapeCell, ShadingCell] = {}
        self._tally = Tally(SENT_LAG)

    def replace(self, cells: list[CellSteps]) -> None:
        """Bid by these steps from now on."""
        self._steps = {LandscapeCell(each.exchange_id, each.currency, each.width, each.height): each.steps
                       for each in cells}  # fmt: skip
        for place, cell in self._cells.items():
            cell.replace(self._steps_of(place))

    def cell(self, exchange_id: int, currency: str, width: int, height: int) -> ShadingCell:
        """The cell of an exchange, a currency and a size of ad."""
        place = LandscapeCell(exchange_id, currency, width, height)
        cell = self._cells.get(place)
        if cell is None:
            cell = self._cells[place] = ShadingCell(currency, self._steps_of(place))
        return cell

    def steps_of(self, exchange_id: int, currency: str) -> tuple[tuple[int, str, int, int, bytes], ...]:
        """The steps of each size of one exchange and currency: width, height and a byte for each bin of the value."""
        return tuple(
            (*cell, steps) for cell, steps in self._steps.items() if cell[0] == exchange_id and cell[1] == currency
        )

    def _steps_of(self, place: LandscapeCell) -> bytes:
        """The cell's own steps, otherwise those of its exchange, otherwise the shipped ones."""
        whole = LandscapeCell(place.exchange_id, place.currency)
        return self._steps.get(place) or self._steps.get(whole) or self._believed

    def take_sent(self) -> list[bytes]:
        """Blocks of what was sent that are due, each once."""
        for place, cell in self._cells.items():
            for number, bids in enumerate(cell.take_sent()):
                if bids:
                    self._tally.add(place, ObservationKind.SENT, number, UNKNOWN, bids)
        return self._tally.take()
