"""The user-wide field `m` of `u:{uid}`: what holds for a person whatever shop asks. One byte of version and flags, then
the moment before which everything is erased, so that an event still in a stream cannot bring an erased profile back."""

import struct
from typing import Final

import msgspec

META_VERSION: Final = 1
_FLAG_OPTED_OUT: Final = 1
_packed = struct.Struct("<BBQ")


class Meta(msgspec.Struct, frozen=True):
    """`erased_ms`: events acknowledged at or before this moment (unix ms) must not be applied; 0 for never erased."""

    opted_out: bool = False
    erased_ms: int = 0


def pack_meta(meta: Meta) -> bytes:
    """Wire form, 10 bytes."""
    return _packed.pack(META_VERSION, _FLAG_OPTED_OUT if meta.opted_out else 0, meta.erased_ms)


def unpack_meta(value: bytes | None) -> Meta:
    """Meta of a stored field; none gives the default. An unreadable one counts as opted out: that harms no privacy."""
    if value is None:
        return Meta()
    if len(value) != _packed.size or value[0] != META_VERSION:
        return Meta(opted_out=True)
    _, flags, erased_ms = _packed.unpack(value)
    return Meta(opted_out=bool(flags & _FLAG_OPTED_OUT), erased_ms=erased_ms)


def is_opted_out(value: bytes) -> bool:
    """Whether a stored meta field forbids any use of the profile."""
    return len(value) != _packed.size or value[0] != META_VERSION or bool(value[1] & _FLAG_OPTED_OUT)
