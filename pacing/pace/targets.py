"""What the pacer tells about line items with a target: whether one is stopped, by which cost, at which bound.

One block for all of them, so that whoever reads it sees one moment and nothing of line items that have no target any
more. A block of another version is ignored.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

VERSION: Final = 1


class TargetState(msgspec.Struct, array_like=True, frozen=True):
    """One line item's target. Micros of the advertiser's currency. Append fields at the end, with a default."""

    stopped_ms: int  # unix ms since which it is stopped; 0: it is not
    drought_micros: int  # matured cost since the last conversion, or since a person resumed it
    patience_micros: int  # the drought that stops it; 0: the allowed cost of a conversion is unknown
    conversions: float  # of the last fortnight
    multiplier: float  # the highest that the target allows


class _TargetBlock(msgspec.Struct, array_like=True):
    version: int
    made_ms: int
    states: dict[int, TargetState]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_TargetBlock)


def encode_targets(states: Mapping[int, TargetState], made_ms: int) -> bytes:
    """Bytes of the states by line item."""
    return _encoder.encode(_TargetBlock(VERSION, made_ms, dict(states)))


def decode_targets(packed: bytes) -> dict[int, TargetState]:
    """States by line item; empty for bytes of another version."""
    try:
        block = _decoder.decode(packed)
    except msgspec.DecodeError:
        return {}
    return block.states if block.version == VERSION else {}
