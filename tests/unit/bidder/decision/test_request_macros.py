"""What the request says of consent is filled into markup that asks for it, and into no other."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.decision.request_macros import MACRO, filled
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.openrtb import raw_request, request_of

ALL = b"${GDPR}|${GDPR_CONSENT_755}|${GPP_STRING_1}|${GPP_SID}|${US_PRIVACY}"


def values(**members: object) -> list[str]:
    (text,) = filled([ALL], request_of(**members))
    return text.decode().split("|")


def test_each_macro_has_its_value() -> None:
    regs = {"gdpr": 1, "gpp": "DBABMA~CP", "gpp_sid": [2, 7], "us_privacy": "1YNN"}
    assert values(regs=regs, user={"consent": "CPc7_-A.YA"}) == ["1", "CPc7_-A.YA", "DBABMA~CP", "2%2C7", "1YNN"]
    assert values(regs={"ext": {"gdpr": 0}}) == ["0", "", "", "", ""]
    assert values() == ["", "", "", "", ""]


@pytest.mark.parametrize("text", [b"${GDPR_CONSENT_}", b"${AUCTION_PRICE}", b"${GDPRX}", b"${GDPR_CONSENT_1234567}"])
def test_other_macros_stay(text: bytes) -> None:
    assert filled([text], request_of()) == [text]
    assert MACRO.search(text) is None


@given(st.text(max_size=40))
def test_a_value_has_only_characters_that_are_safe_everywhere(value: str) -> None:
    consent = values(user={"consent": value})[1]
    assert set(consent) <= set(string.ascii_letters + string.digits + "-_.~%")


def test_a_bid_has_them_filled_in_and_others_are_not_looked_at() -> None:
    markup = '<a href="${CLICK_URL}">x</a><img src="https://pixel.example/?gdpr=${GDPR}&c=${GDPR_CONSENT_9}">'
    asking = TestBidder(catalogue(line_item(1), creatives=(creative(1, 1, html=markup),)))
    request = raw_request(regs={"gdpr": 0}, user={"consent": 'C"</script>\\'})
    (bid,) = bids_of(asking.answer(request))
    assert 'src="https://pixel.example/?gdpr=0&c=C%22%3C%2Fscript%3E%5C"' in str(bid["adm"])
    assert "${" not in str(bid["adm"])
    named = raw_request(imp=[{"id": "${GDPR}", "banner": {"w": 300, "h": 250}}], regs={"gdpr": 0})
    assert [bid["impid"] for bid in bids_of(asking.answer(named))] == ["${GDPR}"]
    (plain,) = bids_of(TestBidder(catalogue(line_item(1))).answer(request))
    assert "${AUCTION_PRICE}" in json.dumps(plain)
