"""What was not said is told from what was refused, and what cannot be read from both."""

from typing import Any

import pytest

from bidder.diagnosis.consent_words import consent_words
from bidder.request.consent import ConsentPolicy
from core.config import ConsentSettings
from tests.kit import gpp_strings
from tests.kit.openrtb import EXCHANGE, auction_of
from tests.kit.tc_strings import TcFields, tc_string

APPLIES = "GDPR applies"
LISTED = f"{APPLIES} (gpp_sid lists section 2)"
CAME = f"{APPLIES} (a consent string came with the request)"
POLICY = ConsentPolicy(ConsentSettings(vendor_id=7))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, ""),
        ({"regs": {"gdpr": 0}}, ""),
        ({"regs": {"gdpr": 1}, "user": {"consent": tc_string()}}, ""),
        ({"regs": {"gdpr": 1}}, "GDPR applies (gdpr is 1) and there is no consent string in the request"),
        (
            {"device": {"geo": {"country": "POL"}}},
            "GDPR applies (the country is inside) and there is no consent string in the request",
        ),
        (
            {"regs": {"gpp_sid": [2], "gpp": "DBAA"}},
            f"{LISTED} and there is no consent string in the GPP string, or it cannot be read",
        ),
        (
            {"user": {"consent": "garbage"}},
            f"{CAME} and the consent string cannot be read: it has 7 characters: a string has 36 to 16384",
        ),
        (
            {"user": {"consent": tc_string(TcFields(policy_version=3))}},
            f"{CAME} and the consent string is of policy 3, before 4",
        ),
        (
            {"user": {"consent": tc_string(TcFields(purpose_consents=(2, 3, 4)))}},
            f"{CAME} and the consent string does not permit purposes 1, 3, 4",
        ),
        ({"regs": {"coppa": 1}}, "the request is of a child (coppa)"),
        ({"device": {"lmt": 1}}, "the device limits tracking (lmt, dnt, atts or an empty advertising id)"),
        ({"regs": {"us_privacy": "1YYN"}}, "the user opted out (us_privacy, gpc), or us_privacy cannot be read"),
        (
            {"regs": {"gpp_sid": [7], "gpp": f"{gpp_strings.header([7])}~CVQpAAAAAABA.QA"}},
            "a GPP section that applies limits us, is missing or cannot be read",
        ),
    ],
)
def test_words(members: dict[str, Any], words: str) -> None:
    assert consent_words(auction_of(EXCHANGE, **members).request, POLICY) == words


def test_without_a_registration_that_is_what_is_said() -> None:
    request = auction_of(EXCHANGE, user={"consent": tc_string()}).request
    assert "not registered as a vendor" in consent_words(request, ConsentPolicy(ConsentSettings()))
