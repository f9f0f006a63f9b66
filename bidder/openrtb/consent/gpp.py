"""Reads a GPP string: which sections it has, and of each section of the United States whether it limits us.

A string comes from the page, so it is hostile input that decides about permission: every read is bounds-checked, and
what cannot be read, is of a version that no specification knows, or has a value that none defines, limits. What
permits, permits: a state's section without an opt-out, a signal for a child or a service provider's mode leaves
retargeting as it is. The TC string of section 2 is handed on as it is; section 5, Canada's, is read here.

Layouts: IAB Tech Lab, Global Privacy Platform, sections 2, 5 to 27 (2026-07).
"""

import binascii
import re
from typing import Final, NamedTuple

import msgspec

from bidder.openrtb.consent.permission import in_optimised_range
from bidder.openrtb.consent.tcf import PURPOSES, TcError
from bidder.openrtb.enums import GppSection
from core.errors import InputError

# A string with a TC string in it may be as long as one.
MAX_CHARS: Final = 20_000
# There are 26 sections; a header may name a few that are not known yet.
MAX_SECTIONS: Final = 64

_TEXT = re.compile(r"[A-Za-z0-9_-]+")
_STANDARD = str.maketrans("-_", "+/")
_US_PRIVACY = re.compile(r"1[YN-][YN-][YN-]", re.IGNORECASE)
_SALE_OPT_OUT = 2  # place of the answer in a US privacy string

_HEADER_TYPE, _HEADER_VERSION = "000011", "000001"
_GPC_SUB_SECTION = 1


class GppError(InputError):
    """A text that is not a whole GPP string."""


class _Layout(NamedTuple):
    """A section's core: its `version`, `length` in bits, and its fields of two bits as masks of their lower bits."""

    version: int
    length: int
    fields: int
    refused_by_one: int  # opt-outs, known children without consent, a service provider's mode
    refused_by_two: int  # the mode of later layouts, which has the service provider as its second value


def _layout(
    version: int,
    length: int,
    opt_outs: tuple[int, ...],
    children: tuple[int, ...],
    provider: int,
    *,
    is_mode: bool = False,
) -> _Layout:
    """A section's layout, from the places of its fields' first bits."""

    def mask(places: tuple[int, ...]) -> int:
        return sum(1 << length - 2 - place for place in places)

    by_one = (*opt_outs, *children) if is_mode else (*opt_outs, *children, provider)
    return _Layout(version, length, mask(tuple(range(6, length, 2))), mask(by_one), mask((provider,)) if is_mode else 0)


def _pairs(first: int, count: int) -> tuple[int, ...]:
    return tuple(range(first, first + 2 * count, 2))


def _state(opt_outs: tuple[int, ...], sensitive: int, children: int, after: int) -> _Layout:
    """A state's layout: opt-outs, `sensitive`, known children, `after` fields, then MSPA covered, option, provider."""
    child = opt_outs[-1] + 2 + 2 * sensitive
    covered = child + 2 * children + 2 * after
    return _layout(1, covered + 6, opt_outs, _pairs(child, children), covered + 4)


_US_NATIONAL: Final = {
    1: _layout(1, 60, (18, 20, 22), _pairs(48, 2), 58),
    2: _layout(2, 70, (18, 20, 22), _pairs(56, 3), 68),
}
_STATES: Final = {
    8: _state((12, 14), 9, 2, 1),
    9: _state((12, 14), 8, 1, 0),
    10: _state((12, 14), 7, 1, 0),
    11: _state((14, 16), 8, 1, 0),
    12: _state((12, 14), 8, 3, 0),
    13: _state((12, 14), 8, 3, 1),
    14: _state((12, 14), 8, 3, 1),
    15: _state((12, 14), 11, 3, 1),
    16: _state((12, 14), 8, 1, 1),
    17: _state((12, 14), 9, 5, 1),
    18: _state((14, 16), 8, 1, 0),
    19: _state((12, 14), 8, 1, 1),
    20: _state((12, 14), 8, 3, 1),
    21: _state((12, 14), 10, 5, 1),
    22: _state((12, 14), 8, 1, 1),
    23: _state((12, 14), 8, 1, 1),
    24: _layout(1, 22, (16, 18), (), 8, is_mode=True),
    25: _layout(1, 24, (16, 18), (20,), 8, is_mode=True),
    26: _layout(1, 24, (16, 18), (20,), 8, is_mode=True),
    27: _layout(1, 24, (16, 18), (20,), 8, is_mode=True),
}

_CANADA_FIXED_BITS: Final = 200
_CANADA_EXPRESS: Final = 152


class GppString(msgspec.Struct, frozen=True):
    """What a string says. `sections` are the ids that it has; `limiting` those of the United States and Canada that
    keep the user's data out, for what they say or because they cannot be read."""

    tc_string: str | None
    sections: frozenset[int]
    limiting: frozenset[int]


def read_gpp(text: str, vendor_id: int, purposes: frozenset[int]) -> GppString:
    """What a string says to a vendor who needs these purposes. Raises GppError for what is not a whole string."""
    if len(text) > MAX_CHARS:
        raise GppError(f"has {len(text)} characters, {MAX_CHARS} at most")
    header, *bodies = text.split("~")
    ids = _section_ids(header)
    if len(ids) != len(bodies):
        raise GppError(f"names {len(ids)} sections and has {len(bodies)}")
    limiting = set()
    tc_string = None
    for section, body in zip(ids, bodies, strict=True):
        if section == GppSection.TCF_EU:
            tc_string = body
        elif section == GppSection.TCF_CANADA:
            if not _canada_permits(body, vendor_id, purposes):
                limiting.add(section)
        elif section >= GppSection.US_PRIVACY and not _section_permits(section, body):
            limiting.add(section)
    return GppString(tc_string, frozenset(ids), frozenset(limiting))


def _section_permits(section: int, body: str) -> bool:
    if section == GppSection.US_PRIVACY:
        return us_privacy_permits(body)
    core, *others = body.split(".")
    try:
        return _core_permits(section, core) and _sub_sections_permit(others)
    except GppError:
        return False


def us_privacy_permits(text: str) -> bool:
    """Whether a US privacy string can be read and says that nobody opted out of the sale."""
    return _US_PRIVACY.fullmatch(text) is not None and text[_SALE_OPT_OUT] not in "Yy"


def _core_permits(section: int, core: str) -> bool:
    number, length = _number(core)
    version = number >> length - 6
    layout = _US_NATIONAL.get(version) if section == GppSection.US_NATIONAL else _STATES.get(section)
    if layout is None or version != layout.version or length < layout.length:
        return False
    number >>= length - layout.length
    low, high = number & layout.fields, number >> 1 & layout.fields
    return not (low & high or low & layout.refused_by_one or high & layout.refused_by_two)


def _sub_sections_permit(segments: list[str]) -> bool:
    """Whether no sub-section asks for Global Privacy Control. Encoders also write an empty one (`AAA`)."""
    seen = set()
    for segment in segments:
        number, length = _number(segment)
        kind = number >> length - 2
        if kind in seen:
            raise GppError(f"has two sub-sections of type {kind}")
        seen.add(kind)
        if kind == _GPC_SUB_SECTION:
            if number >> length - 3 & 1:
                return False
        elif number:
            raise GppError(f"has a sub-section of type {kind}, which no version knows")
    return True


def _canada_permits(body: str, vendor_id: int, purposes: frozenset[int]) -> bool:
    """Whether a TCF string of Canada (version 1) gives the vendor express consent for all of its purposes.

    Implied consent would do for some purposes by the law; which ones is not ours to guess.
    """
    try:
        bits = _bits(body.partition(".")[0])
        if bits[:6] != "000001" or len(bits) < _CANADA_FIXED_BITS:
            return False
        express = bits[_CANADA_EXPRESS : _CANADA_EXPRESS + PURPOSES]
        named, _ = in_optimised_range(bits, _CANADA_FIXED_BITS, vendor_id)
    except (GppError, TcError):
        return False
    return bool(vendor_id) and named and all(express[purpose - 1] == "1" for purpose in purposes)


def _bits(text: str) -> str:
    """The bits of a base64 text, as text of 0 and 1."""
    number, length = _number(text)
    return f"{number:0{length}b}"


def _number(text: str) -> tuple[int, int]:
    """The number that a base64 text stands for, six bits a character, and how many bits it has.

    Raises GppError for characters that are not web-safe base64, and for no text at all.
    """
    if not _TEXT.fullmatch(text):
        raise GppError("has a section that is not web-safe base64")
    filled = -len(text) % 4
    decoded = binascii.a2b_base64(text.translate(_STANDARD) + "A" * filled)
    return int.from_bytes(decoded, "big") >> 6 * filled, 6 * len(text)


def _section_ids(header: str) -> list[int]:
    """The ids that a header names, ascending: type 3, version 1, then ranges of Fibonacci-coded distances."""
    bits = _bits(header)
    if bits[:6] != _HEADER_TYPE or bits[6:12] != _HEADER_VERSION:
        raise GppError("is not a GPP string of version 1")
    if len(bits) < 24:
        raise GppError("ends inside its header")
    ids: list[int] = []
    at, last = 24, 0
    for _ in range(int(bits[12:24], 2)):
        is_range = bits[at : at + 1] == "1"
        distance, at = _fibonacci(bits, at + 1)
        first = last + distance
        last = first
        if is_range:
            distance, at = _fibonacci(bits, at)
            last = first + distance
        if last - first + 1 + len(ids) > MAX_SECTIONS:
            raise GppError(f"names more than {MAX_SECTIONS} sections")
        ids.extend(range(first, last + 1))
    if "1" in bits[at:]:
        raise GppError("has more in its header than it says")
    if not ids:
        raise GppError("has no section")
    return ids


# Numbers above the eighth term are beyond any section's id.
_FIBONACCI: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)


def _fibonacci(bits: str, at: int) -> tuple[int, int]:
    """A number in Fibonacci coding, which ends with two ones, and where it ends."""
    end = bits.find("11", at)
    if end < 0 or end - at >= len(_FIBONACCI):
        raise GppError("ends inside a number of its header")
    total = sum(term for term, bit in zip(_FIBONACCI, bits[at : end + 1], strict=False) if bit == "1")
    return total, end + 2
