"""Pictures come out in the very size, and what is none is refused before it is decoded."""

import io

import pytest
from PIL import Image

from creatives.pictures.scaling import MAX_BYTES, PictureError, scaled


def picture(width: int, height: int, form: str = "PNG", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), "red").save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [picture(100, 400), picture(400, 200, "JPEG"), picture(3, 3, "GIF", "P"), picture(9, 9, "WEBP")]
)
def test_a_picture_lies_whole_on_white_in_the_size_that_was_asked_for(data: bytes) -> None:
    shown = Image.open(io.BytesIO(scaled(data, 120, 80)))
    assert (shown.format, shown.size) == ("WEBP", (120, 80))
    middle, corner = shown.convert("RGB").getpixel((60, 40)), shown.convert("RGB").getpixel((0, 0))
    assert isinstance(middle, tuple)
    assert middle[0] > 200
    assert middle[1] < 80
    assert isinstance(corner, tuple)


def test_what_is_transparent_is_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(out, "PNG")
    assert Image.open(io.BytesIO(scaled(out.getvalue(), 10, 10))).convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def bomb() -> bytes:
    """A PNG of few bytes whose head says 40,001 x 1,000 pixels."""
    data = bytearray(picture(1, 1))
    data[16:24] = (40_001).to_bytes(4, "big") + (1_000).to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
        picture(50, 50)[:60], bomb(), picture(9, 9, "BMP"), picture(9, 9, "TIFF"), b"x" * (MAX_BYTES + 1), b"%PDF-1.4",
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError):
        scaled(data, 10, 10)
