"""A bid that breaks a rule does not leave: it is counted, logged without its user, and its money is given back."""

import json
import logging
from typing import Any

import pytest

from bidder.decision.pipeline import respond
from bidder.door.checking import AnswerCheck
from bidder.door.metrics import BidMetrics
from bidder.request.auction import Auction
from core.telemetry.metrics import Telemetry
from tests.kit.bidding import TestBidder, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import USER_ID, raw_request

BANNER = {"w": 300, "h": 250}


class Checked:
    """A bidder with an answer to a request of two impressions, that a check is about to see."""

    def __init__(self, share: float = 1.0) -> None:
        self.bidder = TestBidder(catalogue(line_item(1, several_per_request=True)))
        self.telemetry = Telemetry()
        self.check = AnswerCheck(self.bidder.signer, self.bidder.clock, BidMetrics(self.telemetry), share)

    def answered(self) -> tuple[Auction, bytes]:
        imps = [{"id": name, "banner": BANNER, "bidfloor": 0.1, "bidfloorcur": "PLN"} for name in ("1", "2")]
        user, device = {"id": "secret-user", "buyeruid": USER_ID}, {"ifa": "secret-ifa", "ip": "10.1.2.3"}
        auction = self.bidder.screened(raw_request(imp=imps, user=user, device=device, regs={"gdpr": 0}))
        now_ms = self.bidder.clock.now_ms()
        found = respond([auction], profile_batch([None]), self.bidder.snapshot, self.bidder.signer, now_ms)
        return auction, found[0]

    def passed(self, auction: Auction, response: bytes) -> Any:  # noqa: ANN401 - JSON
        kept = self.check.passed(auction, response, self.bidder.snapshot)
        return None if kept is None else json.loads(kept)

    def count(self, family: str) -> float:
        return sum(sample.value for each in self.telemetry.families() if each.name == family for sample in each.samples)


def test_a_right_answer_leaves_as_it_came() -> None:
    made = Checked()
    auction, response = made.answered()
    assert made.check.passed(auction, response, made.bidder.snapshot) is response
    assert (made.count("grosz_checked_answers_total"), made.count("grosz_bid_violations_total")) == (1, 0)


def test_a_wrong_bid_is_withheld_its_neighbour_sent_and_its_money_given_back(caplog: pytest.LogCaptureFixture) -> None:
    made = Checked()
    auction, response = made.answered()
    book = made.bidder.book
    reserved, impressions = int(book.reserved()[0]), int(book.reserved_impressions()[0])
    assert impressions == 2
    broken = response.replace(b'"w":300', b'"w":301', 1)
    with caplog.at_level(logging.ERROR):
        kept = made.passed(auction, broken)
    assert [bid["id"] for seat in kept["seatbid"] for bid in seat["bid"]] == ["2"]
    assert (int(book.reserved()[0]), int(book.reserved_impressions()[0])) == (reserved // 2, 1)
    assert made.count("grosz_bid_violations_total") == 1
    assert "size: 301x250 is not offered" in caplog.text
    assert "secret" not in caplog.text
    assert "10.1.2.3" not in caplog.text
    assert auction.request.user is not None, "the request itself stays as it is"


def test_an_answer_that_is_wrong_as_a_whole_is_withheld_wholly() -> None:
    made = Checked()
    auction, response = made.answered()
    assert made.passed(auction, response.replace(b'"id":"r1"', b'"id":"r2"', 1)) is None
    assert int(made.bidder.book.reserved()[0]) == 0


def test_what_a_bid_knows_of_its_user_must_be_permitted() -> None:
    made = Checked()
    auction, _response = made.answered()
    now_ms = made.bidder.clock.now_ms()
    known = profile_batch([None])
    known.user_ids = [USER_ID]
    found = respond([auction], known, made.bidder.snapshot, made.bidder.signer, now_ms)
    assert made.check.passed(auction, found[0], made.bidder.snapshot) is found[0]
    auction.consent = None
    assert made.passed(auction, found[0]) is None
    assert made.count("grosz_bid_violations_total") == 2


def test_a_forged_token_is_a_fault_too() -> None:
    made = Checked()
    auction, response = made.answered()
    token = response.split(b"/n/win/")[1].split(b"?")[0]
    forged = token[:-1] + (b"A" if token[-1:] != b"A" else b"B")
    kept = made.passed(auction, response.replace(token, forged, 1))
    assert [bid["id"] for bid in kept["seatbid"][0]["bid"]] == ["2"]
    assert made.count("grosz_bid_violations_total") == 1


@pytest.mark.parametrize(("share", "checked"), [(0.0, 0), (0.01, 2), (0.25, 50), (1.0, 200)])
def test_a_share_of_the_answers_is_checked_evenly(share: float, checked: int) -> None:
    made = Checked(share)
    auction, response = made.answered()
    for _ in range(200):
        made.check.passed(auction, response, made.bidder.snapshot)
    assert made.count("grosz_checked_answers_total") == checked
