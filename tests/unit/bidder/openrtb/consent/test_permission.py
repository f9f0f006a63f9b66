"""What a TC string permits one vendor."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bidder.openrtb.consent.permission import Vendor, permits, read_view, view
from bidder.openrtb.consent.tcf import TcError, decode
from tests.kit.openrtb import corpus_lines
from tests.kit.tc_strings import TcFields, tc_string

US = Vendor(id=7, consent_purposes=frozenset({1, 2, 3, 4, 7}))
FLEXIBLE = Vendor(
    id=7,
    consent_purposes=frozenset({1, 3, 4}),
    interest_purposes=frozenset({2, 7}),
    flexible_purposes=frozenset({2, 7}),
)  # fmt: skip


def permitted(fields: TcFields, vendor: Vendor = US, *, interest_allowed: bool = True) -> list[int]:
    tc = read_view(tc_string(fields), vendor.id)
    return [p for p in range(1, 25) if permits(tc, vendor, p, interest_allowed=interest_allowed)]


def test_the_short_reader_sees_what_the_full_one_sees(corpus: Path) -> None:
    for vector in corpus_lines(corpus / "consent" / "tc_vectors.jsonl"):
        full = decode(vector["tc"])
        for vendor_id in (0, 1, 2, 32, 272, 755, 1001, 65_535):
            assert read_view(vector["tc"], vendor_id) == view(full, vendor_id), vector["tc"]


def test_the_short_reader_refuses_every_invalid_string(corpus: Path) -> None:
    for line in corpus_lines(corpus / "consent" / "tc_invalid.jsonl"):
        with pytest.raises(TcError):
            read_view(line["tc"], 1001)


# The words of each scenario as purposes; a scenario is about vendor 1001 unless its words name another.
SCENARIOS = {
    "full-consent": [1, 2, 3, 4, 7, 9, 10],
    "no-consent": [],
    "vendor-not-consented": [],
    "no-purpose1": [2, 3, 4, 7, 9, 10],
    "purpose1treatment-no-p1": [2, 3, 4, 7, 9, 10],
    "basic-ads-only": [1, 2, 7],
    "p4-missing": [1, 2, 3, 7],
    "li-2-7": [1, 2, 3, 4, 7, 9, 10],
    "li-objected-vendor": [1, 3, 4],
    "restr0-p4": [1, 2, 3, 7, 9, 10],
    "restr0-p2": [1, 3, 4, 7, 9, 10],
    "restr1-p2-flex-li": [1, 2, 3, 4, 7, 9, 10],
    "restr1-p2-flex-li-noconsent": [1, 3, 4, 7, 9, 10],
    "restr2-p2-flex-consent": [1, 2, 3, 4, 7, 9, 10],
    "not-disclosed": [1, 2, 3, 4, 7, 9, 10],  # consent stands; whether it is relied upon is the policy's choice
    "tcf22-no-disclosed-segment": [1, 2, 3, 4, 7, 9, 10],
    "precise-geo-optin": [1, 2, 3, 4, 7, 9, 10],
}


def test_scenarios_permit_what_they_say(corpus: Path) -> None:
    data: dict[str, Any] = json.loads((corpus / "consent" / "tc_scenarios.json").read_text(encoding="utf-8"))
    assert [scenario["name"] for scenario in data["scenarios"]] == list(SCENARIOS)
    for scenario in data["scenarios"]:
        named = re.search(r"for (100\d)", scenario["expect"])
        entry = data["gvl"][named[1] if named else "1001"]
        vendor = Vendor(
            id=entry["id"],
            consent_purposes=frozenset(entry["purposes"]),
            interest_purposes=frozenset(entry["legIntPurposes"]),
            flexible_purposes=frozenset(entry["flexiblePurposes"]),
        )
        tc = read_view(scenario["tc"], vendor.id)
        found = [p for p in range(1, 11) if permits(tc, vendor, p, interest_allowed=tc.disclosed is True)]
        assert found == SCENARIOS[scenario["name"]], scenario["name"]


def test_consent_needs_the_purpose_and_the_vendor() -> None:
    assert permitted(TcFields()) == [1, 2, 3, 4, 7]
    assert permitted(TcFields(purpose_consents=(1, 4))) == [1, 4]
    assert permitted(TcFields(vendor_consents=(6, 8))) == []


def test_a_purpose_we_did_not_register_is_never_permitted() -> None:
    assert 10 not in permitted(TcFields(purpose_consents=tuple(range(1, 25))))


def test_legitimate_interest_needs_its_own_bits_and_disclosure() -> None:
    fields = TcFields(purpose_consents=(1, 3, 4), purpose_interests=(2, 7), vendor_interests=(7,))
    assert permitted(fields, FLEXIBLE) == [1, 2, 3, 4, 7]
    assert permitted(fields, FLEXIBLE, interest_allowed=False) == [1, 3, 4]
    assert permitted(TcFields(purpose_interests=(2, 7)), FLEXIBLE) == [1, 3, 4]


def test_purposes_of_consent_alone_cannot_rest_on_interest() -> None:
    greedy = Vendor(id=7, consent_purposes=frozenset(), interest_purposes=frozenset(range(1, 11)))
    fields = TcFields(purpose_interests=tuple(range(1, 11)), vendor_interests=(7,))
    assert permitted(fields, greedy) == [2, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("vendor", "restrictions", "purpose_2"),
    [
        (US, ((2, 0, (7,)),), False),
        (US, ((2, 0, (6, 8)),), True),
        (US, ((2, 1, (7,)),), True),
        (US, ((2, 2, (7,)),), False),
        (US, ((2, 3, (7,)),), False),
        (FLEXIBLE, ((2, 1, (7,)),), True),
        (FLEXIBLE, ((2, 2, (7,)),), True),
        (FLEXIBLE, ((2, 1, (7,)), (2, 2, (7,))), False),
        (FLEXIBLE, ((2, 1, (7,)), (2, 0, (5, 6, 7))), False),
    ],
    ids=[
        "not allowed", "of other vendors", "consent, which it is anyway", "interest, and not flexible",
        "undefined type", "consent by flexibility", "interest, which it is anyway", "two that exclude each other",
        "any prohibition wins",
    ],
)  # fmt: skip
def test_publisher_restrictions(
    vendor: Vendor, restrictions: tuple[tuple[int, int, tuple[int, ...]], ...], purpose_2: bool
) -> None:
    fields = TcFields(purpose_interests=(2,), vendor_interests=(7,), restrictions=restrictions)
    assert (2 in permitted(fields, vendor)) is purpose_2


def test_purpose_1_is_never_flexible() -> None:
    vendor = Vendor(id=7, consent_purposes=frozenset({1}), flexible_purposes=frozenset({1}))
    fields = TcFields(purpose_interests=(1,), vendor_interests=(7,), restrictions=((1, 2, (7,)),))
    assert permitted(fields, vendor) == []


def test_disclosure_is_unknown_without_its_segment() -> None:
    assert read_view(tc_string(TcFields(disclosed_vendors=None)), 7).disclosed is None
    assert read_view(tc_string(TcFields(disclosed_vendors=(6, 8), as_ranges=True)), 7).disclosed is False
    assert read_view(tc_string(TcFields(disclosed_vendors=(5, 6, 7), as_ranges=True)), 7).disclosed is True
