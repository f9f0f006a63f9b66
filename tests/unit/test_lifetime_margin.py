"""What a customer earns once serving them is paid decides rules, the share of a budget, and the bid."""

import numpy as np
import pytest

from core.model import BudgetShare, Segment
from segments.facts.derive import SERVICE_COST
from segments.facts.facts import Facts, Order
from segments.facts.layout import pack_hot
from segments.profiles.reading import ProfileBatch, decode
from segments.rules.check import check
from segments.rules.view import View
from segments.rules.windows import compiled
from tests.kit.bidding import NOW_MS, Shopper, TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

NOW_S = NOW_MS // 1000
MONTH_S = 2_629_800
PLN = 1_000_000
WORTHY = 5
RULE = compiled(check("lifetime_margin >= 500 PLN", "PLN"))


def customer(service_cost: float) -> Facts:
    """Six orders of 200 PLN, one each two months: 1,200 PLN a year before what serving costs."""
    orders = [Order(number, NOW_S - 2 * MONTH_S * (5 - number), 200 * PLN) for number in range(6)]
    facts = Facts(
        orders=orders, purchases=6, purchases_micros=1_200 * PLN, first_purchase_s=orders[0].at_s,
        last_purchase_s=NOW_S,
    )  # fmt: skip
    facts.attributes[SERVICE_COST] = service_cost
    return facts


@pytest.mark.parametrize(("service_cost", "share", "price"), [(0, 1, 6.0), (40, 1, 6.0), (100, 0, 2.0)])
def test_a_share_and_its_bid_are_for_customers_who_earn_what_they_cost(
    service_cost: float, share: int, price: float
) -> None:
    facts = customer(service_cost)
    spans = RULE(View(facts, NOW_S))
    windows = [(WORTHY, enter, leave) for enter, leave in zip(spans[::2], spans[1::2], strict=True)]
    batch = ProfileBatch(["u"])
    decode(batch, [0], [[b"1", pack_hot(facts, windows, NOW_S, NOW_S + MONTH_S)]], NOW_MS)
    known = np.frombuffer(batch.segments[0] or b"", "<u4")
    part = BudgetShare(segment_id=WORTHY, percent=40, bid_factor_percent=300)
    segment = Segment(id=WORTHY, advertiser_id=1, name="worthy", rule="lifetime_margin >= 500 PLN")
    bidder = TestBidder(catalogue(line_item(1, budget_shares=(part,)), segments=(segment,)))
    (bid,) = bids_of(bidder.answer(raw_request(regs={"gdpr": 0}, cur=["PLN"]), Shopper(segments=tuple(known.tolist()))))
    assert (bidder.claims(bid).share, bid["price"]) == (share, price)
