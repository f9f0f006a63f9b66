"""Writes TC strings, to hold the readers against: written from the specification, without code of the readers."""

import base64
from dataclasses import dataclass, field

Vendors = tuple[int, ...]


@dataclass(kw_only=True)
class TcFields:
    """The fields of a string; by default it permits vendor 7 what a retargeting bidder asks for."""

    created: int = 17_800_000_000  # deciseconds: May 2026
    updated: int = 17_800_000_000
    cmp_id: int = 300
    cmp_version: int = 1
    consent_screen: int = 1
    consent_language: str = "PL"
    vendor_list_version: int = 150
    policy_version: int = 5
    service_specific: bool = True
    non_standard_texts: bool = False
    special_features: Vendors = ()
    purpose_consents: Vendors = (1, 2, 3, 4, 7)
    purpose_interests: Vendors = ()
    purpose_one_treatment: bool = False
    publisher_country: str = "PL"
    vendor_consents: Vendors = (7,)
    vendor_interests: Vendors = ()
    restrictions: tuple[tuple[int, int, Vendors], ...] = ()  # (purpose, type, vendors)
    disclosed_vendors: Vendors | None = (7,)
    allowed_vendors: Vendors | None = None
    publisher_purposes: tuple[Vendors, Vendors] | None = None
    custom_purposes: int = 0
    as_ranges: bool = False
    segment_order: tuple[int, ...] = field(default=(1, 2, 3))


class _Writer:
    def __init__(self) -> None:
        self.bits = ""

    def number(self, value: int, width: int) -> None:
        self.bits += format(value, f"0{width}b")

    def letters(self, text: str) -> None:
        for letter in text:
            self.number(ord(letter) - ord("A"), 6)

    def numbers(self, numbers: Vendors, width: int) -> None:
        bits = ["0"] * width
        for number in numbers:
            bits[number - 1] = "1"
        self.bits += "".join(bits)

    def ranges(self, vendors: Vendors) -> None:
        spans: list[list[int]] = []
        for vendor in sorted(vendors):
            if spans and spans[-1][1] == vendor - 1:
                spans[-1][1] = vendor
            else:
                spans.append([vendor, vendor])
        self.number(len(spans), 12)
        for first, last in spans:
            self.number(first != last, 1)
            self.number(first, 16)
            if first != last:
                self.number(last, 16)

    def vendors(self, vendors: Vendors, *, as_ranges: bool) -> None:
        highest = max(vendors, default=0)
        self.number(highest, 16)
        self.number(as_ranges, 1)
        if as_ranges:
            self.ranges(vendors)
        else:
            self.numbers(vendors, highest)

    def text(self) -> str:
        padded = self.bits + "0" * (-len(self.bits) % 8)
        octets = bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))
        return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def core_bits(fields: TcFields) -> str:
    """The bits of the core segment, without padding."""
    bits = _Writer()
    bits.number(2, 6)
    bits.number(fields.created, 36)
    bits.number(fields.updated, 36)
    bits.number(fields.cmp_id, 12)
    bits.number(fields.cmp_version, 12)
    bits.number(fields.consent_screen, 6)
    bits.letters(fields.consent_language)
    bits.number(fields.vendor_list_version, 12)
    bits.number(fields.policy_version, 6)
    bits.number(fields.service_specific, 1)
    bits.number(fields.non_standard_texts, 1)
    bits.numbers(fields.special_features, 12)
    bits.numbers(fields.purpose_consents, 24)
    bits.numbers(fields.purpose_interests, 24)
    bits.number(fields.purpose_one_treatment, 1)
    bits.letters(fields.publisher_country)
    bits.vendors(fields.vendor_consents, as_ranges=fields.as_ranges)
    bits.vendors(fields.vendor_interests, as_ranges=fields.as_ranges)
    bits.number(len(fields.restrictions), 12)
    for purpose, kind, vendors in fields.restrictions:
        bits.number(purpose, 6)
        bits.number(kind, 2)
        bits.ranges(vendors)
    return bits.bits


def text_of_bits(bits: str) -> str:
    """Bits as one segment."""
    writer = _Writer()
    writer.bits = bits
    return writer.text()


def _other_segment(fields: TcFields, kind: int) -> str | None:
    bits = _Writer()
    bits.number(kind, 3)
    if kind == 3:
        if fields.publisher_purposes is None:
            return None
        consents, interests = fields.publisher_purposes
        bits.numbers(consents, 24)
        bits.numbers(interests, 24)
        bits.number(fields.custom_purposes, 6)
        bits.bits += "10" * fields.custom_purposes
        return bits.text()
    vendors = fields.disclosed_vendors if kind == 1 else fields.allowed_vendors
    if vendors is None:
        return None
    bits.vendors(vendors, as_ranges=fields.as_ranges)
    return bits.text()


def tc_string(fields: TcFields | None = None) -> str:
    """The whole string."""
    fields = fields or TcFields()
    segments = [_other_segment(fields, kind) for kind in fields.segment_order]
    return ".".join([text_of_bits(core_bits(fields)), *(segment for segment in segments if segment is not None)])
