"""Exact counts of why line items did not bid: nothing is sampled.

What happens to a pair that reached pricing is counted directly, one `numpy.add.at` a batch. What targeting excluded is
derived at harvest from the marginal counts of the dimensions: a set that n impressions were matched against excluded
each line item outside it n times. Several reasons may exclude a line item on one impression, and each is counted, which
is what somebody who wants to widen a campaign has to know.
"""

import numpy as np
from numpy.typing import NDArray

from bidder.bitmaps import to_flags
from bidder.index import Index
from bidder.live import LiveSets
from core.reasons import REASON_COUNT, NoBid

SEEN = REASON_COUNT
"""Column after the reasons: impressions that were matched at all."""
BIDS = REASON_COUNT + 1
"""Last column: bids that were sent."""
COLUMNS = REASON_COUNT + 2

Counts = NDArray[np.int64]


class FunnelCounts:
    """Counts by (position, column) of one snapshot."""

    __slots__ = ("_index", "_live", "_pairs")

    def __init__(self, index: Index, live: LiveSets) -> None:
        self._index = index
        self._live = live
        self._pairs: Counts = np.zeros((index.count, COLUMNS), dtype=np.int64)

    def count_pairs(self, positions: Counts, columns: Counts) -> None:
        """One more in (position, column) for each pair; a column is a reason's index or `BIDS`."""
        np.add.at(self._pairs, (positions, columns), 1)

    def count_blocked(self, position: int, reason: NoBid, impressions: int) -> None:
        """A cap or gap excluded the line item at `position` on some impressions."""
        self._pairs[position, reason.index] += impressions

    def harvest(self) -> Counts:
        """(positions, COLUMNS) counts since the last harvest."""
        counts, self._pairs = self._pairs, np.zeros_like(self._pairs)
        index = self._index
        dimensions = [
            *index.context.values(),
            *index.slot.values(),
            index.segments,
            index.excluded_segments,
            index.deals,
        ]
        excluded = [(d.reason, bits, hits) for d in dimensions for bits, hits in d.harvest().items()]
        of_live = self._live.harvest()
        excluded += [(reason, bits, hits) for (reason, bits), hits in of_live.items()]
        for reason, bits, hits in excluded:
            counts[~to_flags(bits, index.count), reason.index] += hits
        counts[:, SEEN] = sum(hits for (reason, _bits), hits in of_live.items() if reason is NoBid.INACTIVE)
        return counts
