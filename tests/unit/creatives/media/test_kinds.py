"""What an upload is, by its content; and each bad file with its message."""

from pathlib import Path

import pytest

from creatives.media.kinds import (
    MAX_PICTURE_BYTES,
    MAX_SPOT_BYTES,
    BadMediaError,
    MediaKind,
    inspect,
    kind_of,
)
from tests.kit.media import box, large_png, mp4, picture, webm

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

GOOD: dict[str, tuple[bytes, MediaKind]] = {
    "a PNG": (picture(), MediaKind("image/png", "png", 300, 250)),
    "a JPEG": (picture("JPEG", (640, 360)), MediaKind("image/jpeg", "jpg", 640, 360)),
    "an animated GIF": (picture("GIF", frames=3), MediaKind("image/gif", "gif", 300, 250)),
    "a WebP": (picture("WEBP"), MediaKind("image/webp", "webp", 300, 250)),
    "a video": (mp4(), MediaKind("video/mp4", "mp4")),
    "a sound in MP4": (mp4(b"M4A "), MediaKind("audio/mp4", "m4a")),
    "a WebM": (webm(), MediaKind("video/webm", "webm")),
    "an MP3 with tags": (b"ID3\x03\0\0\0\0\0\x21" + b"\0" * 40, MediaKind("audio/mpeg", "mp3")),
    "a bare MP3": (b"\xff\xfb\x90\x64" + b"\0" * 40, MediaKind("audio/mpeg", "mp3")),
    "an Ogg": (b"OggS\0\2" + b"\0" * 40, MediaKind("audio/ogg", "ogg")),
    "a WAV": (b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40, MediaKind("audio/wav", "wav")),
}

BAD: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "empty", "the file is empty"),
    "an SVG": (SVG, "svg", "SVG is a document that can carry scripts, no picture"),
    "an SVG behind a mark and a comment": (
        b"\xef\xbb\xbf  <!-- heels --><SVG onload='x()'/>",
        "svg",
        "SVG is a document that can carry scripts, no picture",
    ),
    "a page": (b"\n <!doctype html><script>x()</script>", "markup", "this is markup (HTML or XML), no picture"),
    "text": (b"just words", "unknown", "this is no file of a known kind"),
    "a BMP": (picture("BMP"), "unsupported", "this is a BMP picture, which browsers or players do not all show"),
    "a PDF": (b"%PDF-1.7", "unsupported", "this is a PDF document, which browsers or players do not all show"),
    "a program": (b"\x7fELF\2\1\1", "unsupported", "this is a program, which browsers or players do not all show"),
    "an AVI": (
        b"RIFF\0\0\0\0AVI LIST",
        "unsupported",
        "this is an AVI video, which browsers or players do not all show",
    ),
    "half a PNG": (picture()[:-30], "damaged", "the PNG picture is damaged: "),
    "a PNG with a wrong byte": (picture()[:60] + b"\xff\xff" + picture()[62:], "damaged", "the PNG picture is damaged"),
    "half a JPEG": (picture("JPEG", (640, 360))[:-200], "damaged", "the JPEG picture is damaged: image file is trunc"),
    "an animation that ends within the head of a frame": (
        picture("GIF", frames=3)[:-460],
        "damaged",
        "the GIF picture is damaged: ",
    ),
    "a bomb of pixels": (large_png(30_000, 30_000), "too_many_pixels", "30000x30000 pixels are too many"),
    "a picture with too long a side": (picture(size=(5_000, 10)), "too_many_pixels", "5000x10 pixels are too many"),
    "an animation without end": (
        picture("GIF", (1_000, 1_000), frames=101),
        "too_many_frames",
        "101 frames of 1000x1000 are too many",
    ),
    "a picture of too many bytes": (
        picture() + b"\0" * MAX_PICTURE_BYTES,
        "too_large",
        "bytes are too many for a picture",
    ),
    "a video without an index": (
        box(b"ftyp", b"isom") + box(b"mdat", b"x"),
        "damaged",
        "the MP4 file has no index (moov): no player can play it",
    ),
    "half a video": (mp4()[:-10], "damaged", "the MP4 file ends before its content does"),
    "a video of broken boxes": (
        box(b"ftyp", b"isom") + b"\0\0\0\3moov",
        "damaged",
        "the MP4 file is damaged at byte 12",
    ),
    "a HEIC picture": (
        box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", b"\0" * 40) + box(b"mdat", b"x"),
        "unsupported",
        "this is an AVIF or HEIC picture, which browsers or players",
    ),
    "a film of QuickTime": (mp4(b"qt  "), "unsupported", "this is a QuickTime film, which browsers or players do not"),
    "an AVIF with frames": (
        mp4(b"avis"),
        "unsupported",
        "this is an AVIF or HEIC picture, which browsers or players",
    ),
    "a PNG of which only the head came": (
        b"\x89PNG\r\n\x1a\n" + b"\0" * 20,
        "damaged",
        "the PNG picture is damaged: its head cannot be read",
    ),
    "a Matroska": (webm(b"matr"), "unsupported", "this is a Matroska video, which browsers do not play"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_file_is_what_its_content_says(case: str, tmp_path: Path) -> None:
    data, expected = GOOD[case]
    path = tmp_path / "page.html"  # the name says nothing
    path.write_bytes(data)
    assert kind_of(path) == expected
    assert inspect(path) == expected


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    data, code, message = BAD[case]
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(BadMediaError) as caught:
        kind_of(path)
    (fault,) = caught.value.faults
    assert fault.code == code
    assert message in fault.message
    assert fault.hint
    assert inspect(path) == (fault.code, fault.message, fault.hint)


def test_a_video_of_too_many_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(mp4())
    with path.open("ab") as file:
        file.truncate(MAX_SPOT_BYTES + 1)
    with pytest.raises(BadMediaError, match="not valid") as caught:
        kind_of(path)
    assert caught.value.code == "too_large"
