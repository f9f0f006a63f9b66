"""The ring of impressions: what one user has seen, in field `i` of the user's hash (docs/profile-layout.md).

Records are pairs of little-endian u32, a number and unix seconds, the oldest first. The low 29 bits of the number are
the line item's id. The three above them are the format (`core.terms.FORMATS_BY_NUMBER`), but only where a cap by format
concerns the line item; they are 0 in all other records, and so in all that earlier releases wrote. Field `o`, the lost
bids of a moment ago, has the same records, without formats.
"""

import struct
from collections.abc import Iterable
from typing import Final

from core.terms import FORMATS_BY_NUMBER

RECORD_BYTES: Final = 8

RING_RECORDS: Final = 64
"""Bounds the bytes that each bid request reads for a user: 512. A user who saw more than 64 ads within the longest
window loses the oldest records first, so a cap of more than 64 impressions is not enforced."""

LOST_RECORDS: Final = 4
"""The most lost bids that are remembered. Four are shorter than a shop's field, so that a release that does not know
them passes them over."""

ANY_FORMAT: Final = 0
"""The number of a record that does not say its format."""

_RECORD = struct.Struct("<II")
_FORMAT_SHIFT: Final = 29
LINE_ITEM_BITS: Final = (1 << _FORMAT_SHIFT) - 1
"""Masks the line item of a record's number where `line_item_of` would be called for each record of a bid request."""


def record_number(line_item_id: int, format_number: int) -> int:
    """The number of a record. The line item's id has 29 bits at most (core.ids.MAX_LINE_ITEM_ID)."""
    return line_item_id | format_number << _FORMAT_SHIFT


def line_item_of(number: int) -> int:
    """The line item that a record's number names."""
    return number & LINE_ITEM_BITS


def format_of(number: int) -> int:
    """The number of the format that a record's number names; ANY_FORMAT for none, and for one of a later release."""
    found = number >> _FORMAT_SHIFT
    return found if found < len(FORMATS_BY_NUMBER) else ANY_FORMAT


def pack_record(number: int, at_s: int) -> bytes:
    """One record; a line item's id is the number of a record that does not say its format."""
    return _RECORD.pack(number, at_s)


def records(ring: bytes) -> Iterable[tuple[int, int]]:
    """The number and the moment (unix seconds) of each record; a ring that was cut short ends with a whole one."""
    return _RECORD.iter_unpack(ring[: len(ring) - len(ring) % RECORD_BYTES])


def recent_impressions(ring: bytes, since_s: int) -> dict[int, int]:
    """How many impressions of each line item the user saw after `since_s`."""
    counts: dict[int, int] = {}
    for number, shown_s in records(ring):
        if shown_s > since_s:
            line_item = number & LINE_ITEM_BITS
            counts[line_item] = counts.get(line_item, 0) + 1
    return counts


def shown_since(ring: bytes, number: int, since_s: int) -> int:
    """How many records of that number are of `since_s` or later."""
    return sum(1 for each, shown_s in records(ring) if each == number and shown_s >= since_s)
