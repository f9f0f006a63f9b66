"""Segment files: what a process appends to, and what a reader makes of one that ended in the middle of a write.

A file is a head and frames. A frame is `length, checksum, kind, rows` (little-endian 32-bit numbers) and a payload: a
MessagePack list of rows of one kind, zstandard but for batches of bids. The head is a frame of kind 0, whose payload is
JSON: the version of the format, who writes, and for each kind the names of its columns. A file may end anywhere; what
follows the last whole frame is a torn tail and is left out.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import zstandard

from core.errors import InputError
from journal import bid_batches, first_bid_batches
from journal.bid_batches import BidBatch
from journal.rows import ANSWER, BID, FORMAT_VERSION, KINDS

# Level 1 takes 0.25 us a row; the next levels save a tenth of the bytes at twice the cost. Bids are not compressed
# here, which costs a third of all else that the journal costs the bid path (docs/decisions/0024).
_LEVEL: Final = 1
# No frame of ours is nearly as long: a larger length is a torn or damaged head, and must not be allocated.
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_HEAD: Final = 0
_WORD: Final = 8
_FRAME = struct.Struct("<IIII")

Row = Sequence[object]

_to_msgpack = msgspec.msgpack.Encoder().encode
_from_msgpack = msgspec.msgpack.Decoder(list[list[object]]).decode


class SegmentHead(msgspec.Struct, frozen=True):
    """The head of a segment file."""

    version: int
    process: str
    opened_ms: int
    kinds: Mapping[str, Sequence[str]]  # columns in their order
    numbers: Mapping[int, str]  # of the kinds, as frames name them


class SegmentFrame(NamedTuple):
    """Rows of one kind, as they were appended together."""

    kind: str
    columns: Sequence[str]
    rows: list[list[object]]


class LaterVersionError(InputError):
    """The segment was written by a later release, which reads it."""

    def __init__(self, head: SegmentHead) -> None:
        super().__init__(
            f"the journal's segment is of version {head.version}, and this release reads up to {FORMAT_VERSION}",
            hint="let the release that wrote it turn it into Parquet, or upgrade",
        )
        self.opened_ms = head.opened_ms


class Codec:
    """Makes and reads frames; keeps zstandard's contexts, which are slow to make."""

    __slots__ = ("_compress", "_decompress")

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def head(self, process: str, now_ms: int) -> bytes:
        """The first frame of a file."""
        kinds: dict[str, Sequence[str]] = {kind.name: kind.names for kind in KINDS.values()}
        numbers = {kind.number: kind.name for kind in KINDS.values()}
        kinds[bid_batches.NAME] = BidBatch._fields
        numbers[bid_batches.NUMBER] = bid_batches.NAME
        head = SegmentHead(FORMAT_VERSION, process, now_ms, kinds, numbers)
        return _framed(_HEAD, 0, msgspec.json.encode(head))

    def frame(self, number: int, rows: Sequence[Row]) -> bytes:
        """Rows of the kind `number` as one frame; see `bids_frame` for batches of bids."""
        return _framed(number, len(rows), self._compress(_to_msgpack(rows)))

    def bids_frame(self, batches: Sequence[BidBatch], count: int) -> bytes:
        """Batches of `count` bids in all as one frame."""
        return _framed(bid_batches.NUMBER, count, _to_msgpack(batches))

    def frames(self, data: bytes | memoryview) -> Iterator[SegmentFrame]:
        """The whole frames of a file; ends at a torn tail. Raises InputError for a file that is none of ours.

        One of them is LaterVersionError, for a file of a later release.
        """
        at = 0
        head: SegmentHead | None = None
        while (found := _next_frame(data, at)) is not None:
            number, payload, at = found
            if head is None:
                head = _read_head(number, payload)
                continue
            kind = head.numbers.get(number)
            if kind is None:
                continue
            if kind == bid_batches.NAME:
                yield from _bids_and_answers(map(bid_batches.read, _from_msgpack(payload)))
                continue
            rows = _from_msgpack(self._decompress(payload))
            if kind == first_bid_batches.NAME:
                yield from _bids_and_answers(map(first_bid_batches.read, rows))
            else:
                yield SegmentFrame(kind, head.kinds[kind], rows)


def _bids_and_answers(batches: Iterable[BidBatch]) -> Iterator[SegmentFrame]:
    """The rows that batches stand for."""
    kept = list(batches)
    yield SegmentFrame(BID.name, BID.names, [list(row) for each in kept for row in bid_batches.rows_of(each)])
    yield SegmentFrame(ANSWER.name, ANSWER.names, [list(row) for each in kept for row in bid_batches.answers_of(each)])


def whole_bytes(data: bytes | memoryview) -> int:
    """How many bytes of a file are whole frames; a torn frame may follow."""
    at = 0
    while (found := _next_frame(data, at)) is not None:
        at = found[2]
    return at


def rows_in(data: bytes | memoryview) -> int:
    """How many rows the whole frames of a file say that they hold."""
    at = rows = 0
    while (found := _next_frame(data, at)) is not None:
        rows += _FRAME.unpack_from(data, at)[3]
        at = found[2]
    return rows


def _framed(number: int, rows: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), _checksum(number, rows, payload), number, rows) + payload


def _checksum(number: int, rows: int, payload: bytes) -> int:
    """CRC-32 of the payload; of batches of bids that of the sum of their words, and of the bytes that are left.

    The sum takes the bid path a thirtieth of what the CRC takes. It sees what a disk does (a torn write, a page of
    zeros, a flipped bit), and not whole words that change places.
    """
    seed = number << 16 ^ rows
    if number != bid_batches.NUMBER or len(payload) < _WORD:
        return zlib.crc32(payload, seed)
    words = len(payload) // _WORD
    total = int(np.frombuffer(payload, "<u8", words).sum())
    return zlib.crc32(total.to_bytes(_WORD, "little") + payload[words * _WORD :], seed)


def _next_frame(data: bytes | memoryview, at: int) -> tuple[int, bytes, int] | None:
    """Kind, payload and end of the frame at `at`; None where there is no whole frame."""
    start = at + _FRAME.size
    if start > len(data):
        return None
    length, checksum, number, rows = _FRAME.unpack_from(data, at)
    end = start + length
    if length > MAX_FRAME_BYTES or end > len(data):
        return None
    payload = bytes(data[start:end])
    return (number, payload, end) if _checksum(number, rows, payload) == checksum else None


def _read_head(number: int, payload: bytes) -> SegmentHead:
    if number != _HEAD:
        raise InputError("the file is no segment of the journal: it does not begin with a head")
    try:
        head = msgspec.json.decode(payload, type=SegmentHead)
    except msgspec.DecodeError as error:
        raise InputError(f"the head of the journal's segment cannot be read: {error}") from error
    if head.version > FORMAT_VERSION:
        raise LaterVersionError(head)
    return head
