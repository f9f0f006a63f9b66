"""What an uploaded file is, by its content alone: its name and what the sender calls it say nothing.

Pictures are decoded whole, so that what is kept is what browsers show; of videos and sounds the container is walked.
What can carry scripts (SVG, HTML) is refused, whatever it is called.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from core.errors import Fault, InputError

KIB: Final = 1024
# Exchanges refuse pictures far below this (usual are 150 to 600 KiB); advertisers upload what their camera made.
MAX_PICTURE_BYTES: Final = 5 * KIB * KIB
# Thirty seconds at 10 Mbit/s are 36 MiB.
MAX_SPOT_BYTES: Final = 64 * KIB * KIB
MAX_BYTES: Final = MAX_SPOT_BYTES

# A little more than a 4K screen; no ad is shown on more. Decoded, the largest picture takes 40 MB.
MAX_SIDE: Final = 4_096
MAX_PIXELS: Final = 10_000_000
# Of all frames of an animation together.
MAX_FRAME_PIXELS: Final = 100_000_000
MAX_FRAMES: Final = 500

HEAD_BYTES: Final = 4_096

_PICTURES: Final = {"PNG": ("image/png", "png"), "JPEG": ("image/jpeg", "jpg"), "GIF": ("image/gif", "gif"),
                    "WEBP": ("image/webp", "webp")}  # fmt: skip
_SIGNATURES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"....ftyp", re.DOTALL), "MP4"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "WEBM"),
    (re.compile(rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2\xfa]"), "MP3"),
    (re.compile(rb"OggS\0"), "OGG"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "WAV"),
)
_OTHERS: Final = (
    (re.compile(rb"BM....\0\0\0\0", re.DOTALL), "a BMP picture"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF picture"),
    (re.compile(rb"\0\0\x01\0"), "an icon"),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), "an AVI video"),
    (re.compile(rb"FLV\x01"), "a Flash video"),
    (re.compile(rb"[FC]WS"), "a Flash film"),
    (re.compile(rb"%PDF"), "a PDF document"),
    (re.compile(rb"PK\x03\x04"), "an archive"),
    (re.compile(rb"MZ|\x7fELF"), "a program"),
)
# Pictures in an MP4's container (ISO/IEC 23008-12, AVIF 1.2): stills have no `moov`, sequences have one.
_PICTURE_BRANDS: Final = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
)
_MARKUP: Final = re.compile(rb"^(?:\xef\xbb\xbf|\s)*<", re.DOTALL)
_SCHEMA: Final = re.compile(rb"<svg[\s>/]", re.IGNORECASE)

_ALLOWED: Final = "PNG, JPEG, GIF, WebP, MP4, WebM, MP3, M4A, Ogg or WAV"


class MediaKind(msgspec.Struct, frozen=True):
    """What a file is. Width and height are pixels, 0 where they are not known without decoding it."""

    mime: str
    suffix: str
    width: int = 0
    height: int = 0


class BadMediaError(InputError):
    """A file that is not kept."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__("the file is not valid", faults=[Fault("", code, message, hint)])
        self.code, self.reason, self.advice = code, message, hint


def is_picture(path: Path) -> bool:
    """Whether a file begins as a picture does: then looking at it means decoding it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return any(pattern.match(head) for pattern, name in _SIGNATURES if name in _PICTURES)


def inspect(path: Path) -> MediaKind | tuple[str, str, str]:
    """What a file is, or BadMediaError's arguments: a child process, which looks at pictures, passes plain values."""
    try:
        return kind_of(path)
    except BadMediaError as error:
        return error.code, error.reason, error.advice


def kind_of(path: Path) -> MediaKind:
    """What a file is. Raises BadMediaError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        name = next((name for pattern, name in _SIGNATURES if pattern.match(head)), "")
        if not name:
            raise _refused(head)
        most = MAX_PICTURE_BYTES if name in _PICTURES else MAX_SPOT_BYTES
        if size > most:
            hint = f"at most {most // KIB} KiB"
            raise BadMediaError("too_large", f"{size} bytes are too many for {_noun(name)}", hint)
        if name in _PICTURES:
            return _picture(path, name)
        if name == "MP4":
            return _mp4(file, size)
        if name == "WEBM":
            return _webm(head)
        return {
            "MP3": MediaKind("audio/mpeg", "mp3"),
            "OGG": MediaKind("audio/ogg", "ogg"),
            "WAV": MediaKind("audio/wav", "wav"),
        }[name]


def _noun(name: str) -> str:
    return "a picture" if name in _PICTURES else "a video or sound"


def _refused(head: bytes) -> BadMediaError:
    """Why a file that is none of ours is refused."""
    if not head:
        return BadMediaError("empty", "the file is empty", "send the file as the body of the request")
    if _SCHEMA.search(head):
        return BadMediaError("svg", "SVG is a document that can carry scripts, no picture", "export it as PNG")
    if _MARKUP.match(head):
        return BadMediaError("markup", "this is markup (HTML or XML), no picture", "use the creative's html for it")
    known = next((name for pattern, name in _OTHERS if pattern.match(head)), "")
    if known:
        return BadMediaError("unsupported", f"this is {known}, which browsers or players do not all show", _ALLOWED)
    return BadMediaError("unknown", "this is no file of a known kind", _ALLOWED)


def _picture(path: Path, name: str) -> MediaKind:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        message = "pictures cannot be looked at: Pillow is not installed"
        raise BadMediaError("no_pillow", message, "pip install 'grosz[media]'") from None
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own bound is a warning; ours is looked at before anything is decoded
    try:
        with Image.open(path, formats=[name]) as image:
            width, height, frames = image.width, image.height, getattr(image, "n_frames", 1)
            _check_pixels(width, height, frames)
            for frame in range(frames):
                image.seek(frame)
                image.load()
    except BadMediaError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, struct.error) as error:
        # Pillow's own words name the file as it lies on this machine.
        reason = "its head cannot be read" if isinstance(error, UnidentifiedImageError) else str(error)[:200]
        message = f"the {name} picture is damaged: {reason}"
        raise BadMediaError("damaged", message, "save it anew and send all of it") from None
    mime, suffix = _PICTURES[name]
    return MediaKind(mime, suffix, width, height)


def _check_pixels(width: int, height: int, frames: int) -> None:
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        hint = f"at most {MAX_SIDE} a side and {MAX_PIXELS} in all"
        raise BadMediaError("too_many_pixels", f"{width}x{height} pixels are too many", hint)
    if frames > MAX_FRAMES or frames * width * height > MAX_FRAME_PIXELS:
        hint = f"at most {MAX_FRAMES} frames and {MAX_FRAME_PIXELS} pixels of all together"
        raise BadMediaError("too_many_frames", f"{frames} frames of {width}x{height} are too many", hint)


def _mp4(file: BinaryIO, size: int) -> MediaKind:
    """An MP4, of whose boxes the index (`moov`) and the content are there whole (ISO/IEC 14496-12 section 4.2)."""
    found: dict[bytes, int] = {}
    brand = b""
    for name, at, length in _boxes(file, size):
        found.setdefault(name, at)
        if name == b"ftyp":
            file.seek(at + 8)
            brand = file.read(4)
            if brand in _PICTURE_BRANDS:
                message = "this is an AVIF or HEIC picture, which browsers or players do not all show"
                raise BadMediaError("unsupported", message, _ALLOWED)
            if brand == b"qt  ":
                message = "this is a QuickTime film, which browsers or players do not all show"
                raise BadMediaError("unsupported", message, "save it as MP4")
        if at + length > size:
            raise BadMediaError("damaged", "the MP4 file ends before its content does", "send all of it")
    if b"moov" not in found:
        raise BadMediaError("damaged", "the MP4 file has no index (moov): no player can play it", "save it anew")
    if brand in (b"M4A ", b"M4B "):
        return MediaKind("audio/mp4", "m4a")
    return MediaKind("video/mp4", "mp4")


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of each top-level box."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        elif length == 0:  # to the end of the file
            length = size - at
        if length < 8:
            raise BadMediaError("damaged", f"the MP4 file is damaged at byte {at}", "save it anew")
        yield name, at, length
        at += length


def _webm(head: bytes) -> MediaKind:
    """A WebM: Matroska whose head says so (RFC 9559 section 5.1.1)."""
    if b"webm" not in head[:64]:
        raise BadMediaError("unsupported", "this is a Matroska video, which browsers do not play", "save it as WebM")
    return MediaKind("video/webm", "webm")
