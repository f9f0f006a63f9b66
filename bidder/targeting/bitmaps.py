"""Sets of line items as Python integers: bit p is the line item at position p of the index.

An AND of two such integers costs 30 ns at 1,000 line items and about 1 us at 100,000, with no call into another library
per operation; numpy arrays of the same sets cost 0.5 us before the first bit.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bidder.targeting.memory import Memo

Positions = NDArray[np.int64]

# Memory of an array beside its elements, and of its entry in a table.
ARRAY_BYTES = 200


class Bits:
    """A set of line items, and how many impressions have been matched against it since the last harvest."""

    __slots__ = ("bits", "hits")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.hits = 0


def all_ones(count: int) -> int:
    """The set of every position below `count`."""
    return (1 << count) - 1


def from_positions(positions: Iterable[int], count: int) -> int:
    """The set of the given positions, each below `count`."""
    flags = np.zeros(count, dtype=np.bool_)
    flags[np.fromiter(positions, dtype=np.int64)] = True
    return from_flags(flags)


def from_flags(flags: NDArray[np.bool_]) -> int:
    """The set of the positions at which `flags` is true."""
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def to_flags(bits: int, count: int) -> NDArray[np.bool_]:
    """The inverse of `from_flags`: a boolean array of length `count`."""
    packed = np.frombuffer(bits.to_bytes((count + 7) // 8, "little"), dtype=np.uint8)
    return np.unpackbits(packed, bitorder="little")[:count].astype(np.bool_)


def row_bits(count: int) -> int:
    """Bits of one row in `unpack_rows`: a power of two, so that rows are told apart by shifting, and whole words."""
    return max(64, 1 << (count - 1).bit_length())


def unpack_rows(rows: Sequence[int], count: int) -> tuple[Positions, Positions]:
    """Row numbers and positions of all set bits of several sets, ordered by row, then by position.

    Only non-zero words are unpacked: at 100,000 line items with 300 of them eligible that is 40 times less work.
    """
    width = row_bits(count)
    packed = np.frombuffer(b"".join([bits.to_bytes(width >> 3, "little") for bits in rows]), dtype="<u8")
    words = packed.nonzero()[0]
    in_word = np.unpackbits(packed[words].view(np.uint8), bitorder="little").view(np.bool_)
    set_bits = in_word.nonzero()[0]
    flat = (words << 6)[set_bits >> 6] + (set_bits & 63)
    return flat >> (width.bit_length() - 1), flat & (width - 1)


class UnpackedRows(Memo):
    """Remembers the positions of the sets seen last: requests that differ only in what nobody targets share one.

    A known set costs 0.1 us; an unknown one costs its share of `unpack_rows`, about 3 us.
    """

    __slots__ = ("_count", "_known")

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._known: dict[int, Positions] = {}

    def forget(self) -> None:
        """See `Memo`."""
        self._known.clear()
        self.nbytes = 0

    def positions(self, rows: Sequence[int]) -> list[Positions]:
        """The positions of each set, ascending; the arrays are shared and must not be written to."""
        known = self._known
        found = [known.get(bits) for bits in rows]  # once each: hashing a set of 100,000 takes 3 us
        missing = list({bits for bits, positions in zip(rows, found, strict=True) if positions is None})
        if not missing:
            return [positions for positions in found if positions is not None]
        learnt = dict(zip(missing, self._unpacked(missing), strict=True))
        self.take(sum(ARRAY_BYTES + positions.nbytes + self._count // 8 for positions in learnt.values()))
        known.update(learnt)
        return [learnt[bits] if positions is None else positions for bits, positions in zip(rows, found, strict=True)]

    def _unpacked(self, rows: Sequence[int]) -> list[Positions]:
        row, position = unpack_rows(rows, self._count)
        ends = row.searchsorted(np.arange(len(rows) + 1)).tolist()
        return [position[start:end].copy() for start, end in itertools.pairwise(ends)]
