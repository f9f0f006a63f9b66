"""Packed feeds are unpacked in bounded pieces, and bombs are refused."""

import gzip
import io
import zipfile
import zlib

import pytest

from creatives.feeds.faults import FeedError
from creatives.feeds.unpacking import CHUNK_BYTES, RATIO_FROM_BYTES, Unpacker
from tests.kit.feeds import zipped


def unpacked(data: bytes, *, piece: int = 1_000, max_bytes: int = 2**30) -> bytes:
    unpacker = Unpacker(max_bytes)
    return b"".join(unpacker.chunks(data[at : at + piece] for at in range(0, len(data), piece)))


@pytest.mark.parametrize("piece", [1, 7, 1_000, 10**6])
def test_gzip_zip_and_plain_come_out_alike(piece: int) -> None:
    text = b"".join(b"%d,title\n" % number for number in range(3_000))
    assert unpacked(text, piece=piece) == text
    assert unpacked(gzip.compress(text), piece=piece) == text
    assert unpacked(gzip.compress(text[:9]) + gzip.compress(text[9:]) + b"\0" * 20, piece=piece) == text
    assert unpacked(zipped(text), piece=piece) == text
    assert unpacked(gzip.compress(zipped(text)), piece=piece) == text


def test_a_stored_zip_entry_ends_at_its_size() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", b"id\n1\n")
        archive.writestr("b.csv", b"other")
    assert unpacked(packed.getvalue(), piece=3) == b"id\n1\n"


class _Stream(io.BytesIO):
    """What cannot be written again at an earlier place: sizes of a file follow it then, as macOS writes them."""

    def tell(self) -> int:
        raise OSError


@pytest.mark.parametrize("piece", [1, 13, 10**6])
@pytest.mark.parametrize("long_sizes", [False, True])
def test_what_macos_puts_beside_a_feed_is_passed_over(piece: int, long_sizes: bool) -> None:
    for packed in (io.BytesIO(), _Stream()):
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("export")
            for name in ("export/.DS_Store", "__MACOSX/export/._.DS_Store", "export/feed.csv", "__MACOSX/._feed.csv"):
                with archive.open(name, "w", force_zip64=long_sizes) as file:
                    file.write(b"id\n1\n" if name == "export/feed.csv" else bytes(range(200)) * 9)
        assert unpacked(packed.getvalue(), piece=piece) == b"id\n1\n"


def test_an_encrypted_archive_says_so() -> None:
    data = bytearray(zipped(b"id\n1\n"))
    at = data.index(b"export/feed.csv") - 30
    data[at + 6] |= 1
    with pytest.raises(FeedError) as refused:
        unpacked(bytes(data))
    assert refused.value.code == "encrypted"


@pytest.mark.parametrize("cut", [10, 30, 200])
def test_what_is_cut_short_is_told(cut: int) -> None:
    text = bytes(range(256)) * 40
    for packed in (gzip.compress(text), zipped(text)[:300]):
        with pytest.raises(FeedError) as refused:
            unpacked(packed[:cut])
        assert refused.value.code == "truncated"


def test_a_bomb_is_refused_before_it_has_grown() -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeeze.compress(b"\0" * 2**20) for _ in range(512)) + squeeze.flush()
    chunks = Unpacker().chunks(bomb[at : at + 1_000] for at in range(0, len(bomb), 1_000))
    sizes: list[int] = []
    with pytest.raises(FeedError) as refused:
        sizes.extend(map(len, chunks))
    assert refused.value.code == "inflates"
    assert max(sizes) <= CHUNK_BYTES
    assert sum(sizes) <= RATIO_FROM_BYTES


def test_a_feed_above_the_limit_is_refused() -> None:
    with pytest.raises(FeedError) as refused:
        unpacked(b"x" * 5_000, max_bytes=4_000)
    assert refused.value.code == "too_large"


def test_damaged_gzip_is_told() -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 40))
    packed[30] ^= 0xFF
    with pytest.raises(FeedError) as refused:
        unpacked(bytes(packed))
    assert refused.value.code in ("damaged", "truncated")
