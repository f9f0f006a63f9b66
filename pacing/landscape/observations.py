"""What processes tell of bids at first price: counts by cell, kind and bin, in blocks that the worker adds up.

A *cell* is an exchange, a currency and a size of ad: what it takes to win differs between them. Trackers count what
notices say, bidders what they sent; a bid of which nothing was heard was lost, which many exchanges do not tell.
"""

import enum
from collections import deque
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pacing.landscape.curve import BINS, Evidence, Floats, bin_of

UNKNOWN: Final = -1
"""The bin of a price that was not told."""

SEVERAL_SIZES: Final = 0
"""The width and height of the cell that holds all sizes of an exchange."""


class LandscapeCell(NamedTuple):
    exchange_id: int
    currency: str
    width: int = SEVERAL_SIZES
    height: int = SEVERAL_SIZES


class ObservationKind(enum.IntEnum):
    """What is known of a bid's fate. Stored by number: append only."""

    WIN = 0
    BILL = 1
    LOSS = 2  # to a price: a higher bid or a floor
    VOID = 3  # for a reason that says nothing of prices
    SENT = 4


class Count(NamedTuple):
    """The number of bids in one bin with the same fate; `price` is a bin or UNKNOWN."""

    exchange_id: int
    currency: str
    width: int
    height: int
    kind: int
    bid: int
    price: int
    number: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Count]).decode


class Tally:
    """Collects one process's counts until they are taken. `lag` blocks are held back: outcomes come later."""

    def __init__(self, lag: int = 0) -> None:
        self._counts: dict[tuple[LandscapeCell, int, int, int], int] = {}
        self._held: deque[bytes] = deque()
        self._lag = lag

    def note(self, cell: LandscapeCell, kind: ObservationKind, bid_cpm: int, price_cpm: int | None = None) -> None:
        """Count a bid with its outcome; amounts are CPM micros of the cell's currency."""
        price = UNKNOWN if price_cpm is None else bin_of(price_cpm)
        self.add(cell, kind, bin_of(bid_cpm), price, 1)

    def add(self, cell: LandscapeCell, kind: ObservationKind, bid: int, price: int, number: int) -> None:
        """Count `number` bids of bins that are known."""
        key = (cell, int(kind), bid, price)
        self._counts[key] = self._counts.get(key, 0) + number

    def take(self) -> list[bytes]:
        """Blocks that are due, each once."""
        if self._counts:
            rows = [Count(*cell, kind, bid, price, number) for (cell, kind, bid, price), number in self._counts.items()]
            self._held.append(_encode(rows))
            self._counts = {}
        elif self._held:
            self._held.append(b"")
        due = []
        while len(self._held) > self._lag or (self._held and not self._held[0]):
            block = self._held.popleft()
            if block:
                due.append(block)
        return due


def decode_counts(block: bytes) -> list[Count]:
    """The counts of a block; none of one that this version does not understand, or whose numbers are out of range."""
    try:
        rows = _decode(block)
    except msgspec.DecodeError:
        return []
    return [
        row
        for row in rows
        if 0 <= row.kind < len(ObservationKind)
        and 0 <= row.bid < BINS
        and UNKNOWN <= row.price < BINS
        and row.number > 0
    ]


# Rows of a book. Wins, bills and losses have three each: all by the bid's bin, priced ones by the price's bin, and
# those without a price by the bid's.
_ROWS_A_KIND: Final = 3
_VOID_ROW: Final = 9
_SENT_ROW: Final = 10
ROWS: Final = 11


def new_book() -> Floats:
    """The counts of one cell, shape (ROWS, BINS)."""
    return np.zeros((ROWS, BINS))


def enter(book: Floats, count: Count) -> None:
    """Add a count to its cell's book."""
    if count.kind >= ObservationKind.VOID:
        book[_VOID_ROW if count.kind == ObservationKind.VOID else _SENT_ROW, count.bid] += count.number
        return
    first = _ROWS_A_KIND * count.kind
    book[first, count.bid] += count.number
    if count.price == UNKNOWN:
        book[first + 2, count.bid] += count.number
    else:
        book[first + 1, count.price] += count.number


def evidence_of(books: Floats) -> Evidence:
    """What the books of cells, shape (cells, ROWS, BINS), say of prices.

    A win may be known from its notice, its bill or both: the kind with more of them counts. Bids that were sent and
    never heard of count as lost.
    """
    wins, bills, losses = (books[:, first : first + _ROWS_A_KIND] for first in (0, 3, 6))
    more = (wins[:, 0].sum(axis=1) >= bills[:, 0].sum(axis=1))[:, None, None]
    won = np.where(more, wins, bills)
    heard = won[:, 0] + losses[:, 0] + books[:, _VOID_ROW]
    silent = np.maximum(books[:, _SENT_ROW] - heard, 0.0)
    return Evidence(won[:, 1] + losses[:, 1], won[:, 2], losses[:, 2] + silent)
