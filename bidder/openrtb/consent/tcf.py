"""Reads all of a TC string, version 2 of IAB Europe's Transparency and Consent Framework.

A string comes from the page, so it is hostile input that decides about permission: every read is bounds-checked, and
what does not decode completely is refused. (The PyPI reader `iab-tcf` reads past the end as consent to everything.)
Whether a decoded string may be relied upon, and what it permits us, is the question of `permission`; that module also
has the short reader of the bid path, which tests hold against this one.

Layout: IAB "Consent string and vendor list formats v2", as of policies 4 (TCF 2.2) and 5 (2.3); docs/consent.md.
"""

import base64
import re
from collections.abc import Iterator

import msgspec

from core.errors import InputError

# Three segments that list 5,000 vendors each as ranges take 16,000 characters; today's vendor list has 1,200.
MAX_CHARS = 16_384
VERSION = 2

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

# The fixed part of the core segment alone is 213 bits; checked first, since the check costs least.
MIN_CHARS = 36

PURPOSES = 24
SPECIAL_FEATURES = 12

DISCLOSED_VENDORS, ALLOWED_VENDORS, PUBLISHER = 1, 2, 3  # segment types


class TcError(InputError):
    """A text that is not a complete TC string of version 2."""


class VendorSet:
    """Vendor ids, as the string has them: a bit field, or ranges."""

    __slots__ = ("bits", "ranges")

    def __init__(self, bits: str = "", ranges: tuple[tuple[int, int], ...] = ()) -> None:
        self.bits = bits  # "1" at place id - 1
        self.ranges = ranges  # first and last id, both included

    def __contains__(self, vendor_id: int) -> bool:
        if self.bits:
            return 0 < vendor_id <= len(self.bits) and self.bits[vendor_id - 1] == "1"
        return any(first <= vendor_id <= last for first, last in self.ranges)

    def __iter__(self) -> Iterator[int]:
        """The ids, ascending unless the string's ranges are not; a hostile string can name millions."""
        for place, bit in enumerate(self.bits, 1):
            if bit == "1":
                yield place
        for first, last in self.ranges:
            yield from range(first, last + 1)


class Restriction(msgspec.Struct, frozen=True):
    """A publisher restricts the basis of one purpose for some vendors."""

    purpose: int
    type: int
    vendors: VendorSet


class TcString(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded string. Times are deciseconds since 1970; sets of purposes and features hold their numbers."""

    created: int
    updated: int
    cmp_id: int
    cmp_version: int
    consent_screen: int
    consent_language: str
    vendor_list_version: int
    policy_version: int
    service_specific: bool
    non_standard_texts: bool
    special_features: frozenset[int]
    purpose_consents: frozenset[int]
    purpose_interests: frozenset[int]
    purpose_one_treatment: bool
    publisher_country: str
    vendor_consents: VendorSet
    vendor_interests: VendorSet
    restrictions: tuple[Restriction, ...]
    disclosed_vendors: VendorSet | None = None
    allowed_vendors: VendorSet | None = None
    publisher_consents: frozenset[int] | None = None
    publisher_interests: frozenset[int] | None = None


def segment_bits(segment: str) -> str:
    """The bits of a segment as text of 0 and 1, whole bytes only. Raises TcError for what is not base64.

    Text, since slicing it is flat, where shifting an integer of ten thousand bits costs its whole length each time.
    """
    if not _SEGMENT.fullmatch(segment):
        raise TcError("has a segment with characters that are not web-safe base64")
    if len(segment) % 4 == 1:
        raise TcError("has a segment of a length that base64 cannot have")
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return bin(int.from_bytes(b"\x01" + decoded, "big"))[3:]  # behind the 1 that keeps leading zeros


class _Bits:
    """Reads fields off the front of one segment."""

    __slots__ = ("at", "text")

    def __init__(self, segment: str) -> None:
        self.text = segment_bits(segment)
        self.at = 0

    def take(self, width: int) -> str:
        end = self.at + width
        if end > len(self.text):
            raise TcError(f"ends at bit {len(self.text)}, inside the field at bits {self.at} to {end}")
        field = self.text[self.at : end]
        self.at = end
        return field

    def number(self, width: int) -> int:
        return int(self.take(width), 2)

    def flag(self) -> bool:
        return self.take(1) == "1"

    def numbers(self, width: int) -> frozenset[int]:
        return frozenset([place for place, bit in enumerate(self.take(width), 1) if bit == "1"])

    def letters(self) -> str:
        return chr(65 + self.number(6)) + chr(65 + self.number(6))

    def ranges(self) -> VendorSet:
        pairs = []
        for _ in range(self.number(12)):
            is_range = self.flag()
            first = self.number(16)
            last = self.number(16) if is_range else first
            if last < first:
                raise TcError(f"has a range of vendors that ends at {last}, before its start at {first}")
            pairs.append((first, last))
        return VendorSet(ranges=tuple(pairs))

    def vendors(self) -> VendorSet:
        highest = self.number(16)
        return self.ranges() if self.flag() else VendorSet(bits=self.take(highest))


def decode(text: str) -> TcString:
    """Decode all of a string. Raises TcError for anything but a complete string of version 2."""
    core, *others = split_segments(text)
    return _decode_core(_Bits(core), _decode_others(others))


def split_segments(text: str) -> list[str]:
    """The segments of a string, the core first. Raises TcError for a length that no string has."""
    if not MIN_CHARS <= len(text) <= MAX_CHARS:
        raise TcError(f"has {len(text)} characters: a string has {MIN_CHARS} to {MAX_CHARS}")
    return text.split(".")


class _Others(msgspec.Struct):
    disclosed_vendors: VendorSet | None = None
    allowed_vendors: VendorSet | None = None
    publisher_consents: frozenset[int] | None = None
    publisher_interests: frozenset[int] | None = None


def _decode_others(segments: list[str]) -> _Others:
    others = _Others()
    seen = set()
    for segment in segments:
        bits = _Bits(segment)
        kind = bits.number(3)
        if kind in seen:
            raise TcError(f"has two segments of type {kind}")
        seen.add(kind)
        if kind == DISCLOSED_VENDORS:
            others.disclosed_vendors = bits.vendors()
        elif kind == ALLOWED_VENDORS:
            others.allowed_vendors = bits.vendors()
        elif kind == PUBLISHER:
            others.publisher_consents = bits.numbers(PURPOSES)
            others.publisher_interests = bits.numbers(PURPOSES)
            bits.take(2 * bits.number(6))  # consents and interests for custom purposes, which are the publisher's alone
        else:
            raise TcError(f"has a segment of type {kind}, which no version knows")
    return others


def _decode_core(bits: _Bits, others: _Others) -> TcString:
    version = bits.number(6)
    if version != VERSION:
        raise TcError(f"is of version {version}: only version {VERSION} is read")
    return TcString(
        created=bits.number(36),
        updated=bits.number(36),
        cmp_id=bits.number(12),
        cmp_version=bits.number(12),
        consent_screen=bits.number(6),
        consent_language=bits.letters(),
        vendor_list_version=bits.number(12),
        policy_version=bits.number(6),
        service_specific=bits.flag(),
        non_standard_texts=bits.flag(),
        special_features=bits.numbers(SPECIAL_FEATURES),
        purpose_consents=bits.numbers(PURPOSES),
        purpose_interests=bits.numbers(PURPOSES),
        purpose_one_treatment=bits.flag(),
        publisher_country=bits.letters(),
        vendor_consents=bits.vendors(),
        vendor_interests=bits.vendors(),
        restrictions=tuple(
            [Restriction(bits.number(6), bits.number(2), bits.ranges()) for _ in range(bits.number(12))]
        ),
        disclosed_vendors=others.disclosed_vendors,
        allowed_vendors=others.allowed_vendors,
        publisher_consents=others.publisher_consents,
        publisher_interests=others.publisher_interests,
    )
