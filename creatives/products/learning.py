"""Learning the shares of a blend's sources: expectation maximisation over the newest sessions by the others' tables."""

from typing import Final

import numpy as np

from creatives.products.blend import (
    DEFAULT_SHARES,
    LENGTHS,
    POPULAR,
    RULES_OF,
    SHARES,
    Blend,
    Shares,
    default_shares,
    returns,
)
from creatives.products.fitting import fit_tables
from creatives.products.sessions import Floats, Ints, ShopSessions
from creatives.products.tables import Table, Tables

# So many examples are enough to learn the shares from: more do not change them.
MAX_EXAMPLES: Final = 20_000
MIN_EXAMPLES: Final = 200
NEWEST_PERCENT: Final = 15
ROUNDS: Final = 30


def fit_blend(views: ShopSessions, baskets: ShopSessions, products: int, content: Table | None = None) -> Blend:
    """Tables of all sessions, with shares learned on the newest ones."""
    first = views.count - max(1, views.count * NEWEST_PERCENT // 100)
    shares = default_shares()
    if first > 0:
        examples = _examples(fit_tables(views.part(0, first), baskets.part(0, 0), products), views, first)
        shares = _learn(examples)
    return Blend(fit_tables(views, baskets, products, content), shares)


def _examples(tables: Tables, views: ShopSessions, first: int) -> tuple[Floats, Ints]:
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
    """Shares by length of session, each learned from those of all lengths; with few examples it keeps these."""
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
    shares: Shares = start / start.sum()
    for _ in range(ROUNDS):
        parts = rows * shares
        whole = parts.sum(axis=1, keepdims=True)
        known = whole[:, 0] > 0
        if not known.any():
            return shares
        means: Shares = (parts[known] / whole[known]).mean(axis=0)
        shares = means / means.sum()
    return shares
