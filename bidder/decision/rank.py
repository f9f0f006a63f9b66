"""The internal auction: which of our line items bids on each impression.

Highest bid first; equal bids are put in an order that a hash of auction and line item gives, so that the same request
always gets the same answer and no line item wins ties by its age.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.reasons import NoBid

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NO_PAIRS: Integers = np.zeros(0, dtype=np.int64)

# Multiplier of Fibonacci hashing (2^64 / golden ratio), then the finaliser's shift of splitmix64.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(31)

ELIGIBLE = -1
"""Verdict on a pair that may win; other verdicts are indices of `NoBid` reasons."""


def verdicts(cpm: Integers, floors: Integers, too_low: Flags, affordable: Flags) -> Integers:
    """One verdict a pair, first matching reason: value too low, under the floor, not covered by the lease."""
    verdict = np.where(affordable, ELIGIBLE, NoBid.NO_LEASE.index)
    np.putmask(verdict, cpm < floors, NoBid.FLOOR.index)
    np.putmask(verdict, too_low, NoBid.VALUE_TOO_LOW.index)
    return verdict


class Ties:
    """The order of equal bids, computed for the few pairs that need it: lowest key first.

    `seeds`, one a slot, are asked for with the first keys: most batches need none.
    """

    __slots__ = ("_line_item", "_positions", "_seeds", "_seeds_of_slots")

    def __init__(self, line_item: Integers, positions: Integers, seeds: Callable[[], Sequence[int]]) -> None:
        self._line_item = line_item
        self._positions = positions
        self._seeds_of_slots = seeds
        self._seeds: NDArray[np.uint64] | None = None

    def keys(self, pairs: Integers, slots: Integers) -> NDArray[np.uint64]:
        """Keys of some pairs, whose slots are `slots`."""
        if self._seeds is None:
            self._seeds = np.array(self._seeds_of_slots(), dtype=np.uint64)
        line_items = self._line_item[self._positions[pairs]].astype(np.uint64)
        mixed = (line_items + (self._seeds[slots] << np.uint64(32))) * _GOLDEN
        return (mixed ^ (mixed >> _SHIFT)) * _MIX


def winners(starts: Integers, slot_of_pair: Integers, cpm: Integers, eligible: Flags, ties: Ties) -> Integers:
    """The pair that wins each slot, in the slots' order; slots without an eligible pair have none.

    `starts` has the first pair of each slot; every slot has at least one, and eligible bids are above 0.
    """
    bids = np.where(eligible, cpm, 0)
    best = np.maximum.reduceat(bids, starts)
    won = int(np.count_nonzero(best))
    if not won:
        return _NO_PAIRS
    np.putmask(best, best == 0, -1)
    top: Integers = (bids == best.take(slot_of_pair)).nonzero()[0]
    if len(top) > won:
        slots = slot_of_pair.take(top)
        order = np.lexsort((ties.keys(top, slots), slots))
        top, slots = top[order], slots[order]
        # In ascending order like without ties: which impression a line item takes must not depend on the batch.
        leads = np.flatnonzero(np.diff(slots, prepend=-1))
        top = top[leads]
    return top


def ranking(start: int, end: int, slot: int, cpm: Integers, eligible: Flags, ties: Ties) -> Iterator[int]:
    """All eligible pairs of a slot, from `start` to `end`, best first. Only for slots whose winner cannot be used."""
    pairs = start + eligible[start:end].nonzero()[0]
    keys = ties.keys(pairs, np.full(len(pairs), slot))
    yield from pairs[np.lexsort((keys, -cpm[pairs]))].tolist()
