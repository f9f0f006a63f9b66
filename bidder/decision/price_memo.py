"""Bids for users whom the line items' shops do not know: the same for everybody, so each is computed once.

Such a bid depends on the kind of impression, the line item, its pacing multiplier and the currency alone. It is kept by
(kind, position) until a multiplier changes, which is once a second. A look-up costs two passes over the pairs of a
batch where pricing them costs about thirty (2.4 against 8 us a request at 120 pairs).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

Compute = Callable[[Integers], Integers]
"""Bids of the pairs with the given numbers, in CPM micros; never negative."""

# Rows: as many kinds as are worth remembering in one second of traffic, and at 100,000 line items as many as fit into
# 64 MB. Memory is used from a row's first use on.
MAX_ROWS = 2_048
MAX_BYTES = 64 * 1024 * 1024

_UNKNOWN = -1


class PriceMemo:
    """Bids by (kind, position) of one index. Kinds without a row of their own share row 0, which remembers nothing."""

    __slots__ = ("_bids", "_multiplier", "_rows", "_width")

    def __init__(self, positions: int, most_rows: int = MAX_ROWS) -> None:
        self._width = max(positions, 1)
        rows = max(2, min(most_rows, MAX_BYTES // (8 * self._width)))
        self._bids: Integers = np.empty((rows, self._width), dtype=np.int64)
        self._bids[0] = _UNKNOWN
        self._rows: dict[object, int] = {}
        self._multiplier: Floats = np.zeros(0)

    @property
    def nbytes(self) -> int:
        """Bytes when every row is used."""
        return self._bids.nbytes

    def bids(
        self, kinds: Sequence[object], lengths: Integers, positions: Integers, multiplier: Floats, compute: Compute
    ) -> Integers:
        """Bid of each pair: `kinds` and `lengths` (pairs) are by slot, `positions` by pair. The array is the caller's.

        `multiplier` is the pacing multiplier by position; a change of it forgets all bids. `compute` makes those that
        are not remembered.
        """
        if not np.array_equal(multiplier, self._multiplier):
            self._rows.clear()
            self._multiplier = multiplier.copy()
        known = self._rows
        rows = [known.get(kind) or self._add(kind) for kind in kinds]
        cells = (np.array(rows, dtype=np.int64) * self._width).repeat(lengths)
        cells += positions
        flat = self._bids.reshape(-1)
        bids: Integers = flat.take(cells)
        if bids.min() < 0:
            missing = (bids < 0).nonzero()[0]
            bids[missing] = flat[cells[missing]] = compute(missing)
            if 0 in rows:
                self._bids[0] = _UNKNOWN
        return bids

    def _add(self, kind: object) -> int:
        """An empty row for a new kind; row 0 when there is no room."""
        row = len(self._rows) + 1
        if row >= len(self._bids):
            return 0
        # Here and not where bids are forgotten: 0.2 ms a kind at 100,000 line items instead of 20 ms at once.
        self._bids[row] = _UNKNOWN
        self._rows[kind] = row
        return row
