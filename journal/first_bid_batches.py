"""Batches of bids as segment files of version 1 have them, made into those of today: files may wait for an upgrade."""

import array
import math
from collections.abc import Sequence
from typing import Any, Final

from journal.bid_batches import BidBatch, floats

NAME: Final = "bid_batch"

_BYTES: Final = 8
# Columns of what is known of a user: floats, and what are integers now (the cart's micros and stage).
_FACTS: Final = (0, 1, 2, 3, 5)
_CARTS: Final = (4, 6)


def read(batch: Sequence[Any]) -> BidBatch:
    """A batch from a segment file of version 1.

    Prices were columns for all bids, with NaN for the expected value where the bid was the same for everybody; what is
    known of users were seven columns of floats.
    """
    (bid_ms, auctions, bids, floors, values, clicks, conversions, expected, carts, multipliers, frequencies, known,
     states, *rest) = batch  # fmt: skip
    model_version, arm = [*rest, 0, 0][:2]
    priced = [number for number, value in enumerate(floats(expected)) if not math.isnan(value)]
    prices = [_taken(floats(column), priced) for column in (clicks, conversions, expected, carts)]
    count, of_users = len(known) // _BYTES, floats(states)
    columns = [of_users[at * count : (at + 1) * count] for at in range(len(of_users) // max(count, 1))]
    facts = [columns[at][row] for row in range(count) for at in _FACTS]
    integers = [array.array("q", map(int, columns[at])).tobytes() for at in _CARTS] if count else ()
    return BidBatch(
        bid_ms, auctions, bids, floors, values, clicks + conversions, array.array("q", priced).tobytes(), prices,
        multipliers, frequencies, known, array.array("d", facts).tobytes(), integers, model_version, arm,
    )  # fmt: skip


def _taken(column: Sequence[float], numbers: Sequence[int]) -> bytes:
    """Some values of a column, packed; nothing of an empty one."""
    return array.array("d", [column[number] for number in numbers] if column else []).tobytes()
