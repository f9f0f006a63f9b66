"""Stream ids as 16 bytes that compare like the ids do: what profiles remember of the last event applied to them."""

import struct
from typing import Final

_pair = struct.Struct(">QQ")

START: Final = bytes(16)
"""Before every entry."""


def pack_id(text: bytes) -> bytes:
    """16 bytes of an id as Redis writes it (`1700000000000-5`)."""
    milliseconds, _, sequence = text.partition(b"-")
    return _pair.pack(int(milliseconds), int(sequence))


def revised(packed: bytes) -> bytes:
    """The same id of the last event with a larger revision: for a profile that is rewritten without an event.

    The revision, 4 bytes behind the id, changes the stored value, so that a process that read the profile before has
    its write refused; the value still sorts between this entry and the next.
    """
    entry = packed[: _pair.size] or START
    revision = int.from_bytes(packed[_pair.size :], "big") + 1
    return entry + (revision % 2**32).to_bytes(4, "big")


def unpack_id(packed: bytes) -> tuple[int, int]:
    """(unix ms when it was acknowledged, sequence)."""
    milliseconds, sequence = _pair.unpack(packed)
    return milliseconds, sequence


def text_of(packed: bytes) -> str:
    """The id as Redis writes it."""
    return "{}-{}".format(*_pair.unpack(packed))


def after(packed: bytes) -> str:
    """The smallest id behind this one: the lower bound of what is still to be read or kept."""
    milliseconds, sequence = _pair.unpack(packed)
    return f"{milliseconds}-{sequence + 1}"
