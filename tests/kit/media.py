"""Files as advertisers upload them: good ones, and such as are refused."""

import io
import struct
import zlib

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 250), frames: int = 1) -> bytes:
    """A picture of a format of Pillow."""
    images = [Image.new("RGB", size, (200, 30 + 40 * number % 200, 60)) for number in range(frames)]
    written = io.BytesIO()
    if frames > 1:
        images[0].save(written, kind, save_all=True, append_images=images[1:])
    else:
        images[0].save(written, kind)
    return written.getvalue()


def box(name: bytes, content: bytes = b"") -> bytes:
    """A box of MP4."""
    return struct.pack(">I4s", 8 + len(content), name) + content


def mp4(brand: bytes = b"isom") -> bytes:
    """The least that is an MP4 file: its kind, its index, its content."""
    return box(b"ftyp", brand + b"\0\0\2\0" + brand) + box(b"moov", box(b"mvhd", b"\0" * 100)) + box(b"mdat", b"x" * 64)


def webm(kind: bytes = b"webm") -> bytes:
    """The head of a WebM file."""
    return b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x84" + kind + b"\0" * 64


def large_png(width: int, height: int) -> bytes:
    """A PNG that only says how large it is."""
    head = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    good = picture()
    return good[:8] + head + struct.pack(">I", zlib.crc32(head[4:])) + good[33:]
