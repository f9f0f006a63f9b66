"""A plain picture of an ad's size, for exchanges that want an image of every creative.

Where a creative names no sample image, `iurl` of its bids points here (OpenRTB 2.6 section 4.2.3): the same picture for
all creatives of a size, always by an absolute address.
"""

import functools
import struct
import zlib
from typing import Final

# Making the largest takes 10 ms of a core, and anybody may ask for it; larger ads have the usual picture.
MAX_PIXELS: Final = 1_024

DEFAULT_SIZE: Final = (300, 250)

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PALETTE: Final = bytes((0xF2, 0xF2, 0xF0, 0x9A, 0x9A, 0x96))  # the ground, and the frame


@functools.lru_cache(maxsize=64)  # ads come in a few dozen sizes
def card_png(width: int, height: int) -> bytes:
    """A PNG with a frame. Raises ValueError for a size that no ad has."""
    if not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS):
        raise ValueError(f"{width}x{height} is no size of an ad")
    edge = b"\0" + b"\1" * width
    line = b"\0\1" + b"\0" * (width - 2) + b"\1" if width > 1 else edge
    rows = edge + line * (height - 2) + edge if height > 1 else edge
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # eight bits of a palette
    chunks = ((b"IHDR", header), (b"PLTE", _PALETTE), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(map(_chunk, chunks))


def card_path(width: int, height: int) -> str:
    """Where the tracker serves it; ads without a size have a usual one."""
    shown = (width, height) if 0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS else DEFAULT_SIZE
    return "/card/{}x{}.png".format(*shown)


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, data = part
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
