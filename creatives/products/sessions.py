"""What shoppers looked at and bought, as the arrays that tables are made of.

An interaction is one product at one moment by one visitor (a hash, of no use outside of its advertiser). A session is a
visitor's views without a pause of half an hour; a basket is what one visitor bought at one moment.
"""

import enum
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# As segments.facts.facts.VISIT_GAP_S: shops compare our sessions with those of their analytics.
SESSION_GAP_S: Final = 1_800
# A crawler's session of thousands of products says nothing; the last products say most in any case.
MAX_SESSION: Final = 60
DAY_S: Final = 86_400


class ProductTouch(enum.IntEnum):
    """What a visitor did with a product."""

    VIEW = 0
    CART = 1
    BUY = 2


class Interaction(msgspec.Struct, array_like=True, frozen=True):
    """One product touched at one moment (unix seconds)."""

    visitor: int  # 64-bit hash of the user id, salted by the advertiser
    at_s: int
    touch: int
    product_id: str
    category: str = ""


class ShopSessions(msgspec.Struct, frozen=True):
    """Sessions one after the other: product numbers, where each session begins, when it ended (unix seconds)."""

    items: Ints
    starts: Ints  # one more than there are sessions: the last is the number of items
    ended_s: Floats

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    def session(self, number: int) -> Ints:
        return self.items[self.starts[number] : self.starts[number + 1]]

    def numbers(self) -> Ints:
        """The session of each item."""
        return np.repeat(np.arange(self.count), np.diff(self.starts))

    def positions(self) -> Ints:
        """The place of each item in its session, from 0."""
        return np.arange(len(self.items)) - np.repeat(self.starts[:-1], np.diff(self.starts))

    def part(self, first: int, last: int) -> "ShopSessions":
        """Sessions from `first` up to `last`."""
        low, high = self.starts[first], self.starts[last]
        return ShopSessions(self.items[low:high], self.starts[first : last + 1] - low, self.ended_s[first:last])


def make_sessions(sequences: Iterable[Sequence[int]], ended_s: Iterable[float]) -> ShopSessions:
    """Sessions from lists of product numbers, sorted by their end; of a long one the last MAX_SESSION are kept."""
    pairs = sorted(zip(ended_s, sequences, strict=True), key=lambda pair: pair[0])
    kept = [np.asarray(sequence[-MAX_SESSION:], dtype=np.int64) for _, sequence in pairs if len(sequence)]
    lengths = np.fromiter((len(sequence) for sequence in kept), dtype=np.int64, count=len(kept))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    items = np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
    ends = np.asarray([end for end, sequence in pairs if len(sequence)], dtype=np.float64)
    return ShopSessions(items, starts, ends)


class NumberedSessions(msgspec.Struct, frozen=True):
    """Interactions by visitor and time, their products numbered from 0."""

    ids: list[str]
    categories: list[str]  # of each product, as told last; '' where nobody told
    visitors: npt.NDArray[np.uint64]
    at_s: Ints
    touches: npt.NDArray[np.int8]
    items: Ints


def number_products(interactions: Iterable[Interaction]) -> NumberedSessions:
    """Sorted by visitor and time; the same product touched in the same way at the same moment counts once."""
    numbers: dict[str, int] = {}
    categories: dict[int, str] = {}
    columns: list[tuple[int, int, int, int]] = []
    for one in interactions:
        number = numbers.setdefault(one.product_id, len(numbers))
        if one.category:
            categories[number] = one.category
        columns.append((one.visitor, one.at_s, one.touch, number))
    visitors = np.fromiter((row[0] for row in columns), dtype=np.uint64, count=len(columns))
    rest = np.array([row[1:] for row in columns], dtype=np.int64).reshape(-1, 3)
    order = np.lexsort((rest[:, 1], rest[:, 0], visitors))
    visitors, rest = visitors[order], rest[order]
    if len(rest):
        same = (visitors[1:] == visitors[:-1]) & (rest[1:] == rest[:-1]).all(axis=1)
        fresh = np.concatenate(([True], ~same))
        visitors, rest = visitors[fresh], rest[fresh]
    return NumberedSessions(
        list(numbers), [categories.get(number, "") for number in range(len(numbers))],
        visitors, rest[:, 0], rest[:, 1].astype(np.int8), rest[:, 2],
    )  # fmt: skip


def views_of(numbered: NumberedSessions) -> ShopSessions:
    """Sessions of everything looked at or put in a cart; a product seen twice in a row counts once."""
    chosen = numbered.touches != ProductTouch.BUY
    visitors, at_s, items = numbered.visitors[chosen], numbered.at_s[chosen], numbered.items[chosen]
    if not len(items):
        return make_sessions([], [])
    new = np.concatenate(([True], (visitors[1:] != visitors[:-1]) | (np.diff(at_s) > SESSION_GAP_S)))
    stays = np.concatenate(([True], (items[1:] != items[:-1]) | new[1:]))
    session = (np.cumsum(new) - 1)[stays]
    items, at_s = items[stays], at_s[stays]
    bounds = np.flatnonzero(np.concatenate(([True], np.diff(session) != 0, [True])))
    parts = [items[low:high] for low, high in itertools.pairwise(bounds)]
    return make_sessions(parts, [float(at_s[high - 1]) for high in bounds[1:]])


def baskets_of(numbered: NumberedSessions, window_s: int = 90 * DAY_S) -> ShopSessions:
    """Sessions of purchases: each is made within `window_s` of the one before, so together or one after the other."""
    chosen = numbered.touches == ProductTouch.BUY
    visitors, at_s, items = numbered.visitors[chosen], numbered.at_s[chosen], numbered.items[chosen]
    if not len(items):
        return make_sessions([], [])
    new = np.concatenate(([True], (visitors[1:] != visitors[:-1]) | (np.diff(at_s) > window_s)))
    bounds = np.append(np.flatnonzero(new), len(items))
    parts = [items[low:high] for low, high in itertools.pairwise(bounds)]
    return make_sessions(parts, [float(at_s[high - 1]) for high in bounds[1:]])
