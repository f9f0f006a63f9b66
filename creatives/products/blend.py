"""What is likely next in a session: a blend of the tables whose weights are learned from the shop's own sessions.

The next product is taken to come from one of these: a rule from one of the last products (`following`, `together`), a
return to one of them, or the bestsellers. How often each is right differs between shops (in some a third of views are
returns), so the shares are estimated by expectation maximisation on the newest sessions, with tables made without them.
Which products were seen stays a candidate: leaving them out costs a third of the hits (docs/choosing.md).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from creatives.products.sessions import Floats, Ints, Sessions
from creatives.products.tables import Table, Tables, fit_tables

# Last products whose rules are asked, and last different products that may be returned to.
RULES_OF: Final = 5
RETURNS_TO: Final = 6
SHARES: Final = 2 * RULES_OF + RETURNS_TO + 1
POPULAR: Final = SHARES - 1
# Sessions so far of 1, 2, 3, and 4 or more products have shares of their own.
LENGTHS: Final = 4
# Examples to learn the shares from; more do not move them.
MAX_EXAMPLES: Final = 20_000
MIN_EXAMPLES: Final = 200
NEWEST_PERCENT: Final = 15
ROUNDS: Final = 30
# A source that is right once in ten thousand times costs as much as the others.
NEGLIGIBLE: Final = 1e-4

# What was measured over public logs, for a shop whose own sessions are too few: half rules, a fifth returns.
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
    """The last different products, the newest first."""
    return list(dict.fromkeys(reversed(seen)))[:RETURNS_TO]


def fit_blend(views: Sessions, baskets: Sessions, products: int) -> Blend:
    """Tables of all sessions, with shares learned on the newest ones."""
    first = views.count - max(1, views.count * NEWEST_PERCENT // 100)
    shares = default_shares()
    if first > 0:
        examples = _examples(fit_tables(views.part(0, first), baskets.part(0, 0), products), views, first)
        shares = _learn(examples)
    return Blend(fit_tables(views, baskets, products), shares)


def default_shares() -> Shares:
    """Shares of a shop that has too few sessions."""
    return np.tile(np.asarray(DEFAULT_SHARES), (LENGTHS, 1))


def _examples(tables: Tables, views: Sessions, first: int) -> tuple[Floats, Ints]:
    """Probability of the product that came next by each source, and the length class of the session before it."""
    rows: list[Floats] = []
    lengths: list[int] = []
    for number in range(first, views.count):
        session = views.session(number).tolist()
        for at in range(1, len(session)):
            rows.append(_probabilities(tables, session[:at], session[at]))
            lengths.append(min(at, LENGTHS) - 1)
        if len(rows) >= MAX_EXAMPLES:
            break
    return np.asarray(rows).reshape(-1, SHARES), np.asarray(lengths, dtype=np.int64)


def _probabilities(tables: Tables, seen: list[int], target: int) -> Floats:
    row = np.zeros(SHARES)
    for lag, product in enumerate(seen[: -RULES_OF - 1 : -1]):
        row[lag] = _weight(tables.following, product, target)
        row[RULES_OF + lag] = _weight(tables.together, product, target)
    again = returns(seen)
    if target in again:
        row[2 * RULES_OF + again.index(target)] = 1
    row[POPULAR] = tables.popularity[target]
    return row


def _weight(table: Table, product: int, target: int) -> float:
    numbers, weights = table.row(product)
    at = np.flatnonzero(numbers == target)
    return float(weights[at[0]]) if len(at) else 0.0


def _learn(examples: tuple[Floats, Ints]) -> Shares:
    """Shares by length, each from those over all lengths; few examples stay near the default."""
    rows, lengths = examples
    if len(rows) < MIN_EXAMPLES:
        return default_shares()
    overall = _maximise(rows, np.asarray(DEFAULT_SHARES) + 1e-3)
    shares = np.tile(overall, (LENGTHS, 1))
    for length in range(LENGTHS):
        part = rows[lengths == length]
        if len(part) >= MIN_EXAMPLES:
            shares[length] = _maximise(part, overall + 1e-3)
    return shares


def _maximise(rows: Floats, start: Floats) -> Floats:
    """Expectation maximisation of a mixture's shares, whose components are given."""
    shares = start / start.sum()
    for _ in range(ROUNDS):
        parts = rows * shares
        whole = parts.sum(axis=1, keepdims=True)
        known = whole[:, 0] > 0
        if not known.any():
            return shares
        shares = (parts[known] / whole[known]).sum(axis=0)
        shares /= shares.sum()
    return shares
