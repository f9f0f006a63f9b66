"""Exact counts of why line items did not bid: nothing is sampled.

What happens to a pair that reached pricing is counted directly, one `numpy.add.at` a batch. What targeting excluded is
derived at harvest from the marginal counts of the dimensions: a set that n impressions were matched against excluded
each line item outside it n times. Several reasons may exclude a line item on one impression, and each is counted, which
is what somebody who wants to widen a campaign has to know.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bidder.targeting.bitmaps import to_flags
from bidder.targeting.dimensions import Dimension
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.index import Index
from core.reasons import REASON_COUNT, NoBid

SEEN = REASON_COUNT
"""Column after the reasons: impressions that were matched at all."""
BIDS = REASON_COUNT + 1
"""Last column: bids that were sent."""
COLUMNS = REASON_COUNT + 2

Counts = NDArray[np.int64]

Window = NDArray[np.int32]
"""Counts of the seconds between two writes of the funnel, (COLUMNS, positions): two such arrays stay in memory."""


def tally(counts: NDArray[np.integer], at: Counts) -> None:
    """Add one in `counts` for each time that its index is in `at`.

    With many indices for few counts, `bincount` costs a fifth of `add.at` (6 against 31 us for 5,700 pairs).
    """
    if len(counts) <= 2 * len(at):
        counts += np.bincount(at, minlength=len(counts))
    else:
        np.add.at(counts, at, counts.dtype.type(1))  # of another type the same takes forty times as long


class FunnelCounts:
    """Counts of one snapshot since the last write of the funnel."""

    __slots__ = ("_counts", "_dimensions", "_index", "_live", "_settle", "_spare")

    def __init__(
        self, index: Index, live: LiveSets, dimensions: Sequence[Dimension], settle: Callable[[], None]
    ) -> None:
        """`settle` passes on to the dimensions what the matcher has counted for several of them together."""
        self._index = index
        self._dimensions = dimensions
        self._live = live
        self._settle = settle
        self._counts: Window = np.zeros((COLUMNS, index.count), dtype=np.int32)
        self._spare: list[Window] = []

    def count_pairs(self, positions: Counts, columns: Counts) -> None:
        """Add one at (column, position) for each pair; a column is a reason's index or `BIDS`."""
        # One index instead of two: numpy has a fast path for it (8 against 130 us for 2,000 pairs).
        tally(self._counts.reshape(-1), columns * self._index.count + positions)

    def count_blocked(self, position: int, reason: NoBid, impressions: int) -> None:
        """Count `impressions` on which a cap or gap excluded the line item at `position`."""
        self._counts[reason.index, position] += impressions

    def take(self) -> "TakenCounts":
        """The counts since the last call, cheaply: `TakenCounts.fold` does the arithmetic."""
        counts = self._counts
        self._counts = self._spare.pop() if self._spare else np.zeros(counts.shape, dtype=np.int32)
        index = self._index
        self._settle()
        excluded = [(d.reason, bits, hits) for d in self._dimensions for bits, hits in d.harvest().items()]
        of_live = self._live.harvest()
        excluded += [(reason, bits, hits) for (reason, bits), hits in of_live.items()]
        seen = sum(hits for (reason, _bits), hits in of_live.items() if reason is NoBid.INACTIVE)
        return TakenCounts(index.lines.line_item, counts, excluded, seen, self._spare.append)


class TakenCounts:
    """Counts on their way out of the bid path."""

    __slots__ = ("_excluded", "_give_back", "counts", "line_items", "seen")

    def __init__(
        self,
        line_items: Counts,
        counts: Window,
        excluded: list[tuple[NoBid, int, int]],
        seen: int,
        give_back: Callable[[Window], None],
    ) -> None:
        self.line_items = line_items
        self.counts = counts
        self.seen = seen
        self._excluded = excluded
        self._give_back = give_back

    def fold(self) -> Iterator[None]:
        """Add the marginal counts, a step an answered set: 0.1 ms at 100,000 line items.

        A generator, so that the event loop can serve requests between two steps.
        """
        positions = self.counts.shape[1]
        if self.seen:
            self.counts[SEEN] += self.seen
        for reason, bits, hits in self._excluded:
            column = self.counts[reason.index]
            np.add(column, hits, out=column, where=~to_flags(bits, positions))
            yield

    def recycle(self) -> None:
        """Zero the array, which is not to be read again, and give it back to be counted in.

        Fresh memory for 100,000 line items would be cleared by the system page after page in the middle of a batch:
        measured at up to 0.15 s after each write of the funnel.
        """
        self.counts[self.counts.any(axis=1)] = 0
        self._give_back(self.counts)
