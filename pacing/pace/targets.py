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

    stopped_ms: int  # since when; 0: it is not stopped
    drought_micros: int  # matured cost since the last conversion, or since somebody resumed it
    patience_micros: int  # the drought that stops it; 0: nobody knows what a conversion may cost
    conversions: float  # of the last fortnight
    multiplier: float  # the highest that the target allows


class _Block(msgspec.Struct, array_like=True):
    version: int
    made_ms: int
    states: dict[int, TargetState]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Block)


def encode_targets(states: Mapping[int, TargetState], made_ms: int) -> bytes:
    """By line item."""
    return _encoder.encode(_Block(VERSION, made_ms, dict(states)))


def decode_targets(packed: bytes) -> dict[int, TargetState]:
    """By line item; nothing of a block that is not of this version."""
    try:
        block = _decoder.decode(packed)
    except msgspec.DecodeError:
        return {}
    return block.states if block.version == VERSION else {}
