"""What the worker tells bidders of the landscape: for each cell the step to bid at, by bin of the value."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from pacing.landscape.curve import BINS, STEPS

_VERSION: Final = "gls1"


class CellSteps(NamedTuple):
    """A cell (pacing.landscape.observations), how many observations stand behind it, and a byte for each bin."""

    exchange_id: int
    currency: str
    width: int
    height: int
    weight: float
    steps: bytes


class _CellBlock(msgspec.Struct, array_like=True):
    version: str
    made_ms: int
    cells: list[CellSteps]


_decode = msgspec.msgpack.Decoder(_CellBlock).decode


def encode_steps(made_ms: int, cells: Iterable[CellSteps]) -> bytes:
    return msgspec.msgpack.encode(_CellBlock(_VERSION, made_ms, list(cells)))


def decode_steps(packed: bytes) -> tuple[int, list[CellSteps]] | None:
    """When it was made, and the cells whose steps can be used; None for what is not a block of this version."""
    try:
        block = _decode(packed)
    except msgspec.DecodeError:
        return None
    if block.version != _VERSION:
        return None
    return block.made_ms, [cell for cell in block.cells if len(cell.steps) == BINS and _in_range(cell.steps)]


def _in_range(steps: bytes) -> bool:
    return min(steps) >= 1 and max(steps) <= STEPS
