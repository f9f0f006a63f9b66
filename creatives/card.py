"""A plain picture of an ad's size, for exchanges that want an image of every creative.

It stands in for the picture of a creative (creatives.preview) that was not made yet or cannot be made: the same for all
creatives of a size.
"""

import functools
import struct
import zlib
from typing import Final

# Anybody may ask for a card, and making the largest takes 10 ms of a core; larger ads get the card of DEFAULT_SIZE.
MAX_PIXELS: Final = 1_024

DEFAULT_SIZE: Final = (300, 250)

SIGN_PIXELS: Final = 15
_SIGN: Final = (0x000, 0x000, 0x1C0, 0x1C0, 0x1C0, 0x000, 0x3C0, 0x1C0, 0x1C0, 0x1C0, 0x1C0, 0x1C0, 0x3E0, 0x000, 0x000)
"""The letter i: each number is a row, each bit of it a pixel."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PALETTE: Final = bytes((0xF2, 0xF2, 0xF0, 0x9A, 0x9A, 0x96))  # the ground, and the frame
_SIGN_PALETTE: Final = bytes((0xFF, 0xFF, 0xFF, 0x33, 0x33, 0x33))  # as the sign on a banner


@functools.lru_cache(maxsize=64)  # ads come in a few dozen sizes
def card_png(width: int, height: int) -> bytes:
    """A PNG with a frame. Raises ValueError for a size that no ad has."""
    if not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS):
        raise ValueError(f"{width}x{height} is no size of an ad")
    edge = b"\0" + b"\1" * width
    line = b"\0\1" + b"\0" * (width - 2) + b"\1" if width > 1 else edge
    rows = edge + line * (height - 2) + edge if height > 1 else edge
    return _png(width, height, _PALETTE, rows)


@functools.cache
def sign_png() -> bytes:
    """The sign above a video whose link says who advertises: the same sign as on banners, as a PNG."""
    rows = b"".join(b"\0" + bytes(row >> SIGN_PIXELS - 1 - at & 1 for at in range(SIGN_PIXELS)) for row in _SIGN)
    return _png(SIGN_PIXELS, SIGN_PIXELS, _SIGN_PALETTE, rows)


def _png(width: int, height: int, palette: bytes, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # eight bits of a palette
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(map(_chunk, chunks))


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, data = part
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
