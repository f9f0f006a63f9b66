"""The internal auction: which of our line items bids on each impression.

Highest bid first; equal bids are put in an order that a hash of auction and line item gives, so that the same request
always gets the same answer and no line item wins ties by its age.
"""

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.reasons import NoBid

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Multiplier of Fibonacci hashing (2^64 / golden ratio), then the finaliser's shift of splitmix64.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(31)

ELIGIBLE = -1
"""Verdict on a pair that may win; other verdicts are indices of `NoBid` reasons."""


def verdicts(cpm: Integers, floors: Integers, min_cpm: NDArray[np.float64], affordable: Flags) -> Integers:
    """One verdict a pair, first matching reason: value too low, under the floor, not covered by the lease."""
    verdict = np.full(len(cpm), ELIGIBLE, dtype=np.int64)
    verdict[~affordable] = NoBid.NO_LEASE.index
    verdict[cpm < floors] = NoBid.FLOOR.index
    verdict[(cpm < min_cpm) | (cpm <= 0)] = NoBid.VALUE_TOO_LOW.index
    return verdict


def seed_of(auction_id: str) -> int:
    """The auction's part of the tie-break hash: stable between processes and versions."""
    return zlib.crc32(auction_id.encode("utf-8", "surrogatepass"))


def tie_keys(line_items: Integers, seeds: Integers) -> NDArray[np.uint64]:
    """Order of equal bids: lowest first."""
    mixed = (line_items.astype(np.uint64) + (seeds.astype(np.uint64) << np.uint64(32))) * _GOLDEN
    return (mixed ^ (mixed >> _SHIFT)) * _MIX


def winners(slot_of_pair: Integers, cpm: Integers, eligible: Flags, ties: NDArray[np.uint64]) -> dict[int, int]:
    """Slot -> pair that wins it. `slot_of_pair` is ascending; slots without an eligible pair are missing."""
    pairs = np.flatnonzero(eligible)
    if not len(pairs):
        return {}
    slots = slot_of_pair[pairs]
    starts = np.flatnonzero(np.concatenate(([True], slots[1:] != slots[:-1])))
    best = np.maximum.reduceat(cpm[pairs], starts)
    lengths = np.diff(np.append(starts, len(pairs)))
    top = pairs[cpm[pairs] == np.repeat(best, lengths)]
    if len(top) > len(starts):
        top = top[np.lexsort((ties[top], slot_of_pair[top]))]
        slots = slot_of_pair[top]
        top = top[np.concatenate(([True], slots[1:] != slots[:-1]))]
    return dict(zip(slot_of_pair[top].tolist(), top.tolist(), strict=True))


def ranking(
    slot: int, slot_of_pair: Integers, cpm: Integers, eligible: Flags, ties: NDArray[np.uint64]
) -> Iterator[int]:
    """All eligible pairs of a slot, best first. Only for the slots whose winner could not be used."""
    start, end = np.searchsorted(slot_of_pair, (slot, slot + 1))
    pairs = start + np.flatnonzero(eligible[start:end])
    yield from pairs[np.lexsort((ties[pairs], -cpm[pairs]))].tolist()


def second_price(
    winner: int, slot: int, slot_of_pair: Integers, cpm: Integers, eligible: Flags, line_items: Integers
) -> int:
    """The highest bid of another line item on the slot (CPM micros), 0 if there is none."""
    start, end = np.searchsorted(slot_of_pair, (slot, slot + 1))
    others = eligible[start:end] & (line_items[start:end] != line_items[winner])
    return int(cpm[start:end][others].max(initial=0))
