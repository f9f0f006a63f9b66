"""Bytes of a feed as they come, unpacked: gzip and zip are told by their first bytes, whatever name or header says.

What is unpacked is bounded in bytes and in its ratio to what came in, and is never held whole.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from creatives.feeds.faults import FeedError

CHUNK_BYTES: Final = 64 * 1024
# A million products with long descriptions are 1.5 GB of XML.
MAX_BYTES: Final = 4 * 1024**3
# Unpacked bytes for a packed one. Deflate reaches 1,032; real feeds, whose rows resemble each other, reach 10, XML 50.
MAX_RATIO: Final = 200
# Below this the ratio does not matter, and a small feed of equal rows may have any.
RATIO_FROM_BYTES: Final = 64 * 1024**2
# feed.xml.gz sent with Content-Encoding: gzip is packed twice.
MAX_LAYERS: Final = 2

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_DESCRIPTOR: Final = b"PK\x07\x08"
_ZIP_HEADER: Final = struct.Struct("<4sHHHHHIIIHH")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8


class Unpacker:
    """Unpacks the chunks of one feed; `packed` and `unpacked` count bytes, `kind` is plain, gzip or zip."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self.packed = 0
        self.unpacked = 0
        self.kind = "plain"

    def chunks(self, source: Iterable[bytes]) -> Iterator[bytes]:
        """Unpacked chunks. Raises FeedError for what is damaged, cut short, encrypted or too large."""
        unpacked = self._count_packed(source)
        for _ in range(MAX_LAYERS):
            unpacked = self._unpacked(unpacked)
        for chunk in unpacked:
            self.unpacked += len(chunk)
            self._check()
            yield chunk

    def _unpacked(self, source: Iterator[bytes]) -> Iterator[bytes]:
        first = b""
        for chunk in source:
            first += chunk
            if len(first) >= _ZIP_HEADER.size:
                break
        if first.startswith(_GZIP):
            self.kind = "gzip"
            yield from self._gzip(first, source)
        elif first.startswith(_ZIP):
            self.kind = "zip"
            yield from self._zip(first, source)
        else:
            yield from _chain(first, source)

    def _count_packed(self, source: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in source:
            self.packed += len(chunk)
            yield chunk

    def _check(self) -> None:
        if self.unpacked > self._max_bytes:
            raise FeedError("too_large", f"the feed is larger than {self._max_bytes // 1024**2} MiB")
        if self.unpacked > RATIO_FROM_BYTES and self.unpacked > MAX_RATIO * self.packed:
            raise FeedError("inflates", f"the packed feed inflates to more than {MAX_RATIO} times its size")

    def _gzip(self, first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
        """All members of a gzip file, one after the other; zeros behind the last are padding."""
        inflate = zlib.decompressobj(31)
        data = first
        while True:
            if not data:
                data = next(rest, b"")
                if not data:
                    break
            if inflate.eof:
                data = data.lstrip(b"\0")
                if not data:
                    continue
                inflate = zlib.decompressobj(31)
            yield from _inflated(inflate, data)
            data = inflate.unused_data
        if not inflate.eof:
            raise FeedError("truncated", "the gzip file is cut short")

    def _zip(self, first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
        """The first file of an archive; folders and hidden files before it are passed over, further ones not read."""
        data = _Buffered(first, rest)
        while True:
            header = _ZIP_HEADER.unpack(data.take(_ZIP_HEADER.size))
            signature, flags, method, size, name_bytes, extra_bytes = (
                header[0], header[2], header[3], header[7], header[9], header[10],
            )  # fmt: skip
            if signature != _ZIP:
                raise FeedError("damaged", "the zip file has no file in it")
            name = data.take(name_bytes)
            data.take(extra_bytes)
            if flags & _ENCRYPTED:
                raise FeedError("encrypted", "the zip file is encrypted", hint="publish it without a password")
            content = _member(data, method, None if flags & _SIZES_FOLLOW else size)
            if not _is_passed_over(name):
                yield from content
                return
            for piece in content:
                self.unpacked += len(piece)
                self._check()
            if flags & _SIZES_FOLLOW:
                data.skip_descriptor()


class _Buffered:
    """Reads a given number of bytes at a time from chunks of any length."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._data = first
        self._rest = rest

    def take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._data += self._next()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def chunk(self) -> bytes:
        """What comes next, however long; b"" at the end."""
        data, self._data = self._data, b""
        return data or next(self._rest, b"")

    def pieces(self, count: int) -> Iterator[bytes]:
        while count:
            data = self.chunk()
            if not data:
                raise FeedError("truncated", "the zip file is cut short")
            yield data[:count]
            self._data = data[count:]
            count -= min(count, len(data))

    def give_back(self, data: bytes) -> None:
        """Bytes that were taken too many."""
        self._data = data + self._data

    def skip_descriptor(self) -> None:
        """Pass over the sum and sizes behind a file: 12 bytes, or 20 with long sizes, with or without a signature."""
        descriptor = self.take(28)
        start = 4 if descriptor.startswith(_DESCRIPTOR) else 0
        length = next((n for n in (start + 12, start + 20) if descriptor[n:].startswith(b"PK")), start + 12)
        self.give_back(descriptor[length:])

    def _next(self) -> bytes:
        data = next(self._rest, b"")
        if not data:
            raise FeedError("truncated", "the zip file is cut short")
        return data


def _is_passed_over(name: bytes) -> bool:
    """Folders, and what macOS puts beside a file: `.DS_Store`, `__MACOSX/._feed.xml`."""
    return name.endswith(b"/") or name.startswith(b"__MACOSX/") or name.rpartition(b"/")[2].startswith(b".")


def _member(data: _Buffered, method: int, size: int | None) -> Iterator[bytes]:
    """One file's content; `size` in packed bytes, None where it only follows the content."""
    if method == _DEFLATED:
        yield from _inflate_all(zlib.decompressobj(-15), data)
    elif method == _STORED and size is not None:
        yield from data.pieces(size)
    else:
        raise FeedError("damaged", f"the zip file is packed by method {method}", hint="use deflate or gzip")


def _inflate_all(inflate: "zlib._Decompress", data: _Buffered) -> Iterator[bytes]:
    while not inflate.eof:
        chunk = data.chunk()
        if not chunk:
            raise FeedError("truncated", "the zip file is cut short")
        yield from _inflated(inflate, chunk)
    data.give_back(inflate.unused_data)


def _inflated(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """What `data` inflates to, in chunks of bounded size."""
    try:
        while data and not inflate.eof:
            chunk = inflate.decompress(data, CHUNK_BYTES)
            if chunk:
                yield chunk
            data = inflate.unconsumed_tail
    except zlib.error as error:
        raise FeedError("damaged", f"the packed feed is damaged: {error}") from error


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
