"""docs/pricing.md works one price by hand; the bid path must come to the same grosz."""

import re

import pytest

from core.model import CartValue, Goal
from tests.kit.bidding import Shopper, ShopState, TestBidder, price_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.fixtures import REPOSITORY
from tests.kit.openrtb import raw_request

MILLION = 1_000_000
PAGE = (REPOSITORY / "docs" / "pricing.md").read_text(encoding="utf-8")


def bid(cart: int, most: int = 100) -> float:
    """The price of the page's example with a cart of so many PLN."""
    line = line_item(1, goal=Goal.CPA, bid_micros=30 * MILLION, max_cpm_micros=most * MILLION, cart=CartValue())
    bidder = TestBidder(catalogue(line))
    imp = {"id": "1", "banner": {"w": 300, "h": 250, "pos": 1}}
    device = {"devicetype": 2, "geo": {"country": "POL", "utcoffset": 120}}
    state = ShopState(
        cart_micros=cart * MILLION, cart_age_s=6 * 3_600.0, last_visit_age_s=6 * 3_600.0, visits=3, products_viewed=4
    )
    request = raw_request(imp=[imp], device=device, regs={"gdpr": 0}, cur=["PLN"])
    return price_of(bidder.answer(request, Shopper(shops={1: state})))


@pytest.mark.parametrize(
    ("cart", "most", "pattern"),
    [
        (500, 100, r"down to the grosz +=\s+([\d.]+) PLN CPM"),
        (0, 100, r"without a cart is bid ([\d.]+) PLN"),
        (1, 100, r"with a cart of 1 PLN ([\d.]+),"),
        (3_000, 100, r"with one at the cap or above ([\d.]+) PLN"),
        (10_000, 1_000, r"maximum;\s+([\d.]+) without it"),
    ],
)
def test_the_worked_price_is_the_bid(cart: int, most: int, pattern: str) -> None:
    (written,) = re.findall(pattern, PAGE)
    assert bid(cart, most) == float(written)
