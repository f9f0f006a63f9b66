"""Consent at the door of the profile store."""

import pytest

from segments.events.consent import GRANTED, REFUSED, ConsentFlags, EventConsentPolicy, Sections
from segments.events.privacy import Signals


def read_sections(gpp: str, sections: tuple[int, ...]) -> Sections:
    """`us-ok`, `us-out`, or `tc=...`; everything else cannot be read."""
    if gpp.startswith("tc="):
        return Sections(limited=False, tc_string=gpp[3:])
    return Sections(limited=gpp != "us-ok" and bool(gpp or sections != (2,)))


POLICY = EventConsentPolicy(lambda text: GRANTED if text == "yes" else REFUSED, read_sections)


@pytest.mark.parametrize(
    ("signals", "vouched", "expected"),
    [
        (Signals(), False, REFUSED),
        (Signals(), True, GRANTED),
        (Signals(gdpr=False), False, GRANTED),
        (Signals(gdpr=False, consent="no"), False, GRANTED),
        (Signals(gdpr=True), True, REFUSED),
        (Signals(gdpr=True, consent="yes"), False, GRANTED),
        (Signals(consent="no"), True, REFUSED),
        (Signals(gdpr=False, consent="yes", refusal="ad_storage"), True, REFUSED),
        (Signals(gdpr=False, gpp="us-ok"), False, GRANTED),
        (Signals(gdpr=False, gpp="us-out"), False, REFUSED),
        (Signals(gdpr=False, gpp="garbage"), True, REFUSED),
        (Signals(gdpr=False, sections=(7,)), True, REFUSED),  # what applies is not there
        (Signals(gpp="us-ok"), False, REFUSED),  # an American permission is no European one
        (Signals(gpp="us-ok", sections=(7,)), False, GRANTED),  # gpp_sid says that it is the law that applies
        (Signals(gpp="us-ok", sections=(7,), gdpr=True), False, REFUSED),
        (Signals(gpp="us-ok", sections=(7,), consent="no"), False, REFUSED),
        (Signals(gpp="us-ok", sections=(2, 7)), False, REFUSED),
        (Signals(gpp="tc=yes"), False, GRANTED),
        (Signals(gpp="tc=no", consent="yes"), False, REFUSED),
        (Signals(gpp="tc=no", consent="yes", gdpr=False, sections=(2,)), False, REFUSED),
        (Signals(consent="yes", sections=(2,)), False, REFUSED),
    ],
)
def test_flags(signals: Signals, vouched: bool, expected: ConsentFlags) -> None:
    assert POLICY.flags(signals, vouched=vouched) == expected


def test_a_deployment_outside_the_regulation_may_say_so() -> None:
    assert EventConsentPolicy(lambda _: REFUSED, gdpr_by_default=False).flags(Signals()) == GRANTED


def test_where_nobody_reads_gpp_strings_they_refuse() -> None:
    assert EventConsentPolicy(lambda _: GRANTED).flags(Signals(gdpr=False, gpp="DBABLA~CVQqAAAAAACA.QA")) == REFUSED
