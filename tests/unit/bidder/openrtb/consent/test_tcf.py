"""The full reader of TC strings, against strings of other implementations and of our own writer."""

from pathlib import Path
from typing import Any

import pytest

from bidder.openrtb.consent.tcf import TcError, TcString, VendorSet, decode
from tests.kit.openrtb import corpus_lines
from tests.kit.tc_strings import TcFields, core_bits, tc_string, text_of_bits

SCALARS = {
    "created": "created", "lastUpdated": "updated", "cmpId": "cmp_id", "cmpVersion": "cmp_version",
    "consentScreen": "consent_screen", "consentLanguage": "consent_language",
    "vendorListVersion": "vendor_list_version", "policyVersion": "policy_version",
    "isServiceSpecific": "service_specific", "useNonStandardTexts": "non_standard_texts",
    "purposeOneTreatment": "purpose_one_treatment", "publisherCountryCode": "publisher_country",
}  # fmt: skip
SETS = {
    "specialFeatureOptins": "special_features", "purposeConsents": "purpose_consents",
    "purposeLegitimateInterests": "purpose_interests", "vendorConsents": "vendor_consents",
    "vendorLegitimateInterests": "vendor_interests", "vendorsDisclosed": "disclosed_vendors",
    "vendorsAllowed": "allowed_vendors", "publisherConsents": "publisher_consents",
    "publisherLegitimateInterests": "publisher_interests",
}  # fmt: skip


def as_vector(tc: TcString) -> dict[str, Any]:
    members: dict[str, Any] = {name: getattr(tc, ours) for name, ours in SCALARS.items()}
    members |= {name: sorted(set(getattr(tc, ours) or ())) for name, ours in SETS.items()}
    members["publisherRestrictions"] = [
        {"purposeId": restriction.purpose, "type": restriction.type, "vendors": sorted(set(restriction.vendors))}
        for restriction in tc.restrictions
    ]
    return members


def test_every_vector_decodes_to_what_other_readers_found(corpus: Path) -> None:
    vectors = list(corpus_lines(corpus / "consent" / "tc_vectors.jsonl"))
    assert len(vectors) == 98
    for vector in vectors:
        decoded = as_vector(decode(vector["tc"]))
        expected = {name: vector.get(name, []) for name in decoded}
        assert decoded == expected, vector["tc"]


def test_every_invalid_string_is_refused(corpus: Path) -> None:
    lines = list(corpus_lines(corpus / "consent" / "tc_invalid.jsonl"))
    assert len(lines) == 74
    for line in lines:
        with pytest.raises(TcError):
            decode(line["tc"])


def test_a_string_is_refused_at_every_length_short_of_its_last_bit() -> None:
    bits = core_bits(TcFields(as_ranges=True, restrictions=((2, 1, (7, 8)),)))
    for length in range(8, len(bits) // 8 * 8, 8):
        with pytest.raises(TcError):
            decode(text_of_bits(bits[:length]))
    assert decode(text_of_bits(bits)).restrictions[0].purpose == 2


def test_every_segment_is_refused_when_cut() -> None:
    fields = TcFields(allowed_vendors=(1, 90), publisher_purposes=((1,), (2,)), custom_purposes=9)
    core, *others = tc_string(fields).split(".")
    assert len(others) == 3
    for number, segment in enumerate(others):
        for length in range(len(segment) - 1):
            cut = [*others[:number], segment[:length], *others[number + 1 :]]
            with pytest.raises(TcError):
                decode(".".join([core, *cut]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "C",
        "not base64 " * 4,
        "D" + tc_string()[1:],
        tc_string() + ".",
        "." + tc_string(),
        tc_string() + "." + tc_string().split(".")[1],
        tc_string() + "." + text_of_bits("100" + "0" * 37),
        tc_string().replace(".", "="),
        "ż" + tc_string()[1:],
        tc_string() + "A" * 20_000,
    ],
    ids=[
        "empty", "one character", "other alphabet", "another version", "empty segment", "no core", "segment twice",
        "unknown segment", "padding inside", "not ascii", "far too long",
    ],
)  # fmt: skip
def test_what_is_not_a_string_is_refused(text: str) -> None:
    with pytest.raises(TcError):
        decode(text)


def test_a_range_that_ends_before_its_start_is_refused() -> None:
    bits = core_bits(TcFields(vendor_consents=(3, 4), as_ranges=True))
    backwards = format(4, "016b") + format(3, "016b")
    at = bits.index(format(3, "016b") + format(4, "016b"))
    with pytest.raises(TcError, match="before its start"):
        decode(text_of_bits(bits[:at] + backwards + bits[at + 32 :]))


def test_segments_are_found_in_any_order() -> None:
    fields = TcFields(disclosed_vendors=(7, 9), allowed_vendors=(8,), publisher_purposes=((1,), ()))
    expected = as_vector(decode(tc_string(fields)))
    fields.segment_order = (3, 2, 1)
    assert as_vector(decode(tc_string(fields))) == expected


def test_vendor_sets_answer_alike_in_both_forms() -> None:
    field, ranges = VendorSet(bits="0110001"), VendorSet(ranges=((2, 3), (7, 7)))
    assert list(field) == list(ranges) == [2, 3, 7]
    assert [vendor in field for vendor in range(-1, 10)] == [vendor in ranges for vendor in range(-1, 10)]
