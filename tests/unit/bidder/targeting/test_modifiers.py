"""Bid modifiers: what applies, what it comes to, and that nobody pays for what nobody uses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bidder.decision.price_memo import PriceMemo
from bidder.decision.pricing import Evaluation, price
from bidder.targeting.bitmaps import all_ones
from bidder.targeting.modifiers import LEAST, MOST
from core.model import BidModifier, BudgetShare, LineItem, Segment
from tests.kit.bidding import TestBidder, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

DOMAIN = BidModifier("domain", ("news.example", "sport.news.example"), 200)
POLAND = BidModifier("country", ("POL",), 150)
GERMANY = BidModifier("country", ("DEU",), 50)
FULL_SCREEN = BidModifier("interstitial", (1,), 300)


def priced(
    lines: Sequence[LineItem],
    request: dict[str, object],
    memo: PriceMemo | None = None,
    bidder: TestBidder | None = None,
) -> Evaluation:
    bidder = bidder or TestBidder(
        catalogue(*lines, segments=(Segment(id=10, advertiser_id=1, name="s", rule="visits > 1"),))
    )
    auction = bidder.screened(request)
    for impression in auction.impressions:
        impression.eligible = all_ones(bidder.snapshot.index.count)
    return price([auction], profile_batch([None]), bidder.snapshot, bidder.clock.now_ms(), memo)


def request_at(domain: str, *, full_screen: int = 0) -> dict[str, object]:
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, "instl": full_screen}
    place = {"site": {"domain": domain}, "device": {"geo": {"country": "POL"}}}
    return raw_request(imp=[imp], regs={"gdpr": 0}, **place)


def line(number: int, *modifiers: BidModifier, **members: Any) -> LineItem:  # noqa: ANN401 - those of a line item
    return line_item(number, bid_micros=1_000_000, max_cpm_micros=90_000_000, bid_modifiers=modifiers, **members)


@pytest.mark.parametrize(
    ("modifiers", "full_screen", "expected"),
    [
        ((), 1, 1.0),
        ((DOMAIN,), 0, 2.0),
        ((DOMAIN, POLAND), 0, 3.0),
        ((DOMAIN, POLAND, GERMANY), 0, 3.0),
        ((FULL_SCREEN,), 0, 1.0),
        ((FULL_SCREEN, DOMAIN), 1, 6.0),
        ((FULL_SCREEN, DOMAIN, BidModifier("country", ("POL",), 1_000)), 1, MOST),
        ((BidModifier("country", ("POL",), 10), BidModifier("environment", ("site",), 20)), 0, LEAST),
        ((BidModifier("radius", ("52.2,21.0,30",), 300),), 0, 1.0),
    ],
)
def test_what_applies_is_multiplied_and_bounded(
    modifiers: tuple[BidModifier, ...], full_screen: int, expected: float
) -> None:
    """The first modifier names a domain and one below it: both are true of the page, and it counts once."""
    plain, own = priced([line(1), line(2, *modifiers)], request_at("sport.news.example", full_screen=full_screen)).cpm
    assert own == round(plain * expected)


def test_the_highest_price_holds_whatever_modifiers_say() -> None:
    found = priced([line_item(1, bid_micros=1_000_000, max_cpm_micros=1_500_000, bid_modifiers=(DOMAIN,))],
                   request_at("news.example"))  # fmt: skip
    assert found.cpm.tolist() == [1_500_000]


def test_every_share_of_a_line_item_is_modified() -> None:
    shares = (BudgetShare(10, 20, bid_factor_percent=150),)
    plain = priced([line(1, budget_shares=shares)], request_at("news.example")).cpm
    own = priced([line(1, DOMAIN, budget_shares=shares)], request_at("news.example")).cpm
    assert own.tolist() == (2 * plain).tolist()
    assert len(own) == 2


def test_remembered_bids_are_those_without_modifiers() -> None:
    bidder = TestBidder(catalogue(line(1), line(2, DOMAIN)))
    memo = PriceMemo(bidder.snapshot.index.count)
    found = [
        priced((), request_at(domain), memo, bidder).cpm.tolist()
        for domain in ("other.example", "news.example", "other.example", "news.example")
    ]
    assert found[0] == found[2]
    assert found[1] == found[3] == [found[0][0], 2 * found[0][1]]


def test_the_bid_path_asks_nothing_where_nobody_has_modifiers() -> None:
    factors = TestBidder(catalogue(line(1))).snapshot.matcher.factors
    assert not factors
    assert TestBidder(catalogue(line(1), line(2, POLAND))).snapshot.matcher.factors


def test_what_is_remembered_may_be_forgotten() -> None:
    bidder = TestBidder(catalogue(line(1), line(2, DOMAIN)))
    before = priced((), request_at("news.example"), None, bidder).cpm
    assert bidder.snapshot.matcher.factors.nbytes > 0
    bidder.snapshot.matcher.factors.forget()
    assert bidder.snapshot.matcher.factors.nbytes == 0
    assert np.array_equal(priced((), request_at("news.example"), None, bidder).cpm, before)
