from bidder.openrtb.consent.tcf import decode
from loadtest.traffic.consent import ALL_PURPOSES, HIGHEST_VENDOR, consent_string

NOW_MS = 1_790_000_000_000


def test_the_bidders_own_decoder_reads_what_was_written() -> None:
    tc = decode(consent_string(ALL_PURPOSES, HIGHEST_VENDOR, NOW_MS))
    assert (tc.policy_version, tc.service_specific) == (5, True)
    assert tc.purpose_consents == frozenset(ALL_PURPOSES)
    assert all(vendor in tc.vendor_consents for vendor in (1, 755, HIGHEST_VENDOR))
    assert HIGHEST_VENDOR + 1 not in tc.vendor_consents


def test_a_refusal_names_no_purpose_and_no_vendor() -> None:
    tc = decode(consent_string((), 0, NOW_MS))
    assert tc.purpose_consents == frozenset()
    assert 1 not in tc.vendor_consents
