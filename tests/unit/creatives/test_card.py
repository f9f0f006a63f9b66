"""The plain picture is a PNG of the size that was asked for."""

import struct
import zlib

import pytest

from creatives.card import MAX_PIXELS, card_png


@pytest.mark.parametrize(("width", "height"), [(300, 250), (1, 1), (1, 9), (9, 1), (2, 2), (728, 90), (970, 250)])
def test_it_is_a_png_of_its_size(width: int, height: int) -> None:
    picture = card_png(width, height)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, {}
    while at < len(picture):
        length, kind = struct.unpack(">I4s", picture[at : at + 8])
        data = picture[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", picture[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(kind + data)
        found[kind] = data
        at += 12 + length
    assert struct.unpack(">II", found[b"IHDR"][:8]) == (width, height)
    assert len(zlib.decompress(found[b"IDAT"])) == (width + 1) * height
    assert list(found) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 5), (MAX_PIXELS + 1, 1)])
def test_no_size_is_none(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="no size"):
        card_png(width, height)
