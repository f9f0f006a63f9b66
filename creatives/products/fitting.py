"""Fitting the tables to sessions and to the feed.

`following` are sequential rules: B counts 1/d towards A when it is seen d places after it. `together` is the number of
sessions with both, divided by a power of B's popularity, so that bestsellers do not follow everything. `bought` is the
same of baskets. Rows are probabilities that leave something for the unknown: a row of few observations sums to far less
than one. Old sessions count less. Methods and their quality: docs/choosing.md.
"""

from typing import Final

import numpy as np
import scipy.sparse as sp

from creatives.products.sessions import DAY_S, Floats, Ints, ShopSessions
from creatives.products.tables import NEIGHBOURS, Table, Tables, empty_table

# A session's weight halves each month: fashions change, and a month costs no accuracy (measured in docs/choosing.md).
HALF_LIFE_DAYS: Final = 30.0
MAX_LAG: Final = 10
# Power of a product's popularity that its co-occurrence is divided by: 1 is a conditional lift, 0 a plain count.
POPULARITY_POWER: Final = 0.3
# As many observations of something unknown are added to each row: one with a single observation keeps half its mass.
SHRINKAGE: Final = 1.0
# The same for baskets, more, since they are few: two that agree by chance are no rule.
BOUGHT_SHRINKAGE: Final = 4.0
# The pairs of a session's products grow with the square of their number: only so many from its end are paired.
PAIRS_OF: Final = 30

# The mean of a product's popularity to the power above, by which co-occurrences are divided: a shop's products have
# some ten sessions each.
POPULARITY_SCALE: Final = 0.5

Matrix = sp.csr_matrix[np.float32]


def fit_tables(views: ShopSessions, baskets: ShopSessions, products: int, content: Table | None = None) -> Tables:
    """Tables over products 0 to `products` - 1."""
    ages = _weights(views)
    following = _shrunk(_following(views, ages, products), SHRINKAGE)
    popularity = np.bincount(views.items, weights=ages[views.numbers()], minlength=products)
    together = _shrunk(_together(views, ages, products), SHRINKAGE * POPULARITY_SCALE)
    bought = _shrunk(_together(baskets, _weights(baskets), products), BOUGHT_SHRINKAGE)
    total = popularity.sum()
    share = popularity / total if total else np.full(products, 1 / max(1, products))
    return Tables(
        top_rows(following), top_rows(together), top_rows(bought), content or empty_table(products),
        share.astype(np.float32),
    )  # fmt: skip


def _empty(products: int) -> Matrix:
    return sp.csr_matrix(
        (np.empty(0, np.float32), (np.empty(0, np.int64), np.empty(0, np.int64))), shape=(products, products)
    )


def _weights(sessions: ShopSessions) -> Floats:
    """The weight of each session, by how much older it is than the newest."""
    if not sessions.count:
        return np.empty(0)
    age_days = (sessions.ended_s.max() - sessions.ended_s) / DAY_S
    return np.asarray(0.5 ** (age_days / HALF_LIFE_DAYS))


def _following(sessions: ShopSessions, ages: Floats, products: int) -> Matrix:
    items, numbers, positions = sessions.items, sessions.numbers(), sessions.positions()
    total = _empty(products)
    for lag in range(1, MAX_LAG + 1):
        at: Ints = np.flatnonzero(positions >= lag)
        if not len(at):
            break
        weights = (ages[numbers[at]] / lag).astype(np.float32)
        total = total + sp.csr_matrix((weights, (items[at - lag], items[at])), shape=total.shape)
    return total


def _together(sessions: ShopSessions, ages: Floats, products: int) -> Matrix:
    """Co-occurrence in sessions, each of which shares out its weight, divided by popularity; nothing with itself."""
    if not sessions.count:
        return _empty(products)
    from_end = np.repeat(sessions.starts[1:], np.diff(sessions.starts)) - np.arange(len(sessions.items))
    kept = from_end <= PAIRS_OF
    rows, columns = sessions.numbers()[kept], sessions.items[kept]
    seen = sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(sessions.count, products))
    seen.data[:] = 1
    sizes = np.maximum(np.diff(seen.indptr), 1)
    popularity = np.asarray(seen.T @ ages).ravel()
    pairs = (seen.T @ sp.diags((ages / np.sqrt(sizes)).astype(np.float32)) @ seen).tocsr()
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    scale = np.maximum(popularity, 1e-9) ** -POPULARITY_POWER
    divided: Matrix = (pairs @ sp.diags(scale.astype(np.float32))).tocsr()
    return divided


def _shrunk(matrix: Matrix, shrinkage: float) -> Matrix:
    """Rows as probabilities that sum to less than 1: `shrinkage` observations of something else are added."""
    sums = np.asarray(matrix.sum(axis=1)).ravel() + shrinkage
    return (sp.diags((1 / sums).astype(np.float32)) @ matrix).tocsr()


def top_rows(matrix: Matrix, longest: int = NEIGHBOURS) -> Table:
    """The `longest` strongest of each row; of equal ones the lower number comes first."""
    matrix.sort_indices()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr))
    kept = order[rank < longest]
    counts = np.minimum(np.diff(matrix.indptr), longest)
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return Table(starts, matrix.indices[kept].astype(np.int32), matrix.data[kept].astype(np.float32))
