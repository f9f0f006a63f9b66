"""What worker and bidders tell each other about pacing: two packed arrays in Redis, one each way.

Down: the multiplier of each pool. Up: what a bidder process has scored and reserved, as totals since its start, so that
a report that is lost or read twice changes nothing. A block of another version is ignored, which is what a rolling
upgrade needs.
"""

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pacing.budgets.pools import pool_number

MULTIPLIER: Final = np.dtype([("line_item", "<u4"), ("share", "<u4"), ("multiplier", "<f8")])
DEMAND: Final = np.dtype(
    [
        ("line_item", "<u4"),
        ("share", "<u4"),
        ("scored", "<i8"),  # auctions in which the pool was priced
        ("reserved", "<i8"),  # micros of all bids, at their full price
        ("reserved_impressions", "<i8"),
    ]
)

_HEAD = struct.Struct("<4sqq")
_MULTIPLIERS_MAGIC = b"gpm1"
_DEMAND_MAGIC = b"gpd1"

Records = npt.NDArray[np.void]


class Multipliers(NamedTuple):
    made_ms: int
    records: Records  # dtype MULTIPLIER


class Demand(NamedTuple):
    made_ms: int
    auctions: int  # requests answered since the process started, whatever came of them
    records: Records  # dtype DEMAND


def encode_multipliers(block: Multipliers) -> bytes:
    return _HEAD.pack(_MULTIPLIERS_MAGIC, block.made_ms, 0) + block.records.tobytes()


def decode_multipliers(packed: bytes) -> Multipliers | None:
    """None for anything that is not a block of this version."""
    found = _decode(packed, _MULTIPLIERS_MAGIC, MULTIPLIER)
    return None if found is None else Multipliers(found[0], found[2])


def encode_demand(block: Demand) -> bytes:
    return _HEAD.pack(_DEMAND_MAGIC, block.made_ms, block.auctions) + block.records.tobytes()


def decode_demand(packed: bytes) -> Demand | None:
    """None for anything that is not a block of this version."""
    found = _decode(packed, _DEMAND_MAGIC, DEMAND)
    return None if found is None else Demand(*found)


def pool_numbers(records: Records) -> npt.NDArray[np.int64]:
    """A number for each record that identifies its pool, for sorting and searching."""
    return pool_number(records["line_item"], records["share"])


def _decode(packed: bytes, magic: bytes, dtype: "np.dtype[np.void]") -> tuple[int, int, Records] | None:
    if len(packed) < _HEAD.size or (len(packed) - _HEAD.size) % dtype.itemsize:
        return None
    found, made_ms, number = _HEAD.unpack_from(packed)
    if found != magic:
        return None
    return made_ms, number, np.frombuffer(packed, dtype, offset=_HEAD.size)
