"""What is likely next in a session: a blend of the tables whose weights are learned from the shop's own sessions.

The next product is taken to come from one of these: a rule from one of the last products (`following`, `together`), a
return to one of them, or the bestsellers. How often each is right differs between shops (in some a third of views are
returns), so the shares are learned (learning.py). What was seen stays a candidate: leaving it out costs a third of the
hits (docs/choosing.md).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from creatives.products.tables import Tables

# How many of the last products are looked up in the tables, and to how many of the last different ones people return.
RULES_OF: Final = 5
RETURNS_TO: Final = 6
SHARES: Final = 2 * RULES_OF + RETURNS_TO + 1
POPULAR: Final = SHARES - 1
# Sessions so far of 1, 2, 3, and 4 or more products have shares of their own.
LENGTHS: Final = 4
# A source with a smaller share is skipped: it costs as much as the others and is right once in ten thousand times.
NEGLIGIBLE: Final = 1e-4

# For a shop whose own sessions are too few: measured over public logs. 0.42 for what follows a product, 0.21 for
# what is seen with it, 0.27 for returns, 0.1 for popularity.
DEFAULT_SHARES: Final = (
    0.25, 0.08, 0.05, 0.03, 0.01, 0.1, 0.05, 0.03, 0.02, 0.01, 0.18, 0.05, 0.02, 0.01, 0.01, 0.0, 0.1,
)  # fmt: skip

Shares = npt.NDArray[np.float64]


class Ranking(msgspec.Struct, frozen=True):
    """Product numbers and their scores, the best first."""

    numbers: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


class Blend(msgspec.Struct, frozen=True):
    """Tables, and the shares of their sources by length of the session so far: an array (LENGTHS, SHARES)."""

    tables: Tables
    shares: Shares

    def rank(self, seen: Sequence[int], count: int) -> Ranking:
        """The likeliest next products after `seen` (oldest first); equal ones in the order of their numbers."""
        if not seen:
            return Ranking(np.empty(0, dtype=np.int64), np.empty(0))
        shares = self.shares[min(len(seen), LENGTHS) - 1].tolist()
        numbers: list[npt.NDArray[np.int32]] = []
        weights: list[npt.NDArray[np.float32]] = []
        following, together = self.tables.following, self.tables.together
        for lag, product in enumerate(seen[: -RULES_OF - 1 : -1]):
            for table, share in ((following, shares[lag]), (together, shares[RULES_OF + lag])):
                low, high = table.starts[product], table.starts[product + 1]
                if share > NEGLIGIBLE and high > low:
                    numbers.append(table.numbers[low:high])
                    weights.append(table.weights[low:high] * np.float32(share))
        again = returns(seen)
        numbers.append(np.asarray(again, dtype=np.int32))
        weights.append(np.asarray(shares[2 * RULES_OF : 2 * RULES_OF + len(again)], dtype=np.float32))
        return self._best(np.concatenate(numbers), np.concatenate(weights), count, shares[POPULAR])

    def _best(
        self, numbers: npt.NDArray[np.int32], weights: npt.NDArray[np.float32], count: int, popular: float
    ) -> Ranking:
        order = np.argsort(numbers, kind="stable")
        numbers, weights = numbers[order], weights[order]
        first = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
        found = numbers[first].astype(np.int64)
        scores = np.add.reduceat(weights, first, dtype=np.float64) + popular * self.tables.popularity[found]
        best = np.argsort(-scores, kind="stable")[:count]
        return Ranking(found[best], scores[best])


def returns(seen: Sequence[int]) -> list[int]:
    """The last RETURNS_TO different products, the newest first."""
    return list(dict.fromkeys(reversed(seen)))[:RETURNS_TO]


def default_shares() -> Shares:
    """Shares of a shop that has too few sessions."""
    return np.tile(np.asarray(DEFAULT_SHARES), (LENGTHS, 1))
