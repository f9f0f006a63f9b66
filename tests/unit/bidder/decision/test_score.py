"""Isolation and memory of the score stage; that prices follow the formula is tests/property/test_pricing.py."""

import msgspec
import numpy as np
import pytest

from bidder.decision.model_file import load_model
from bidder.decision.score import BoundModel, state_of_pairs
from bidder.targeting.index import compile_index
from core.model import Goal
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of, price_of, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

REQUEST = raw_request(regs={"gdpr": 0})


def test_a_pair_reaches_only_the_state_of_its_own_user_at_its_own_shop() -> None:
    index = compile_index(catalogue(line_item(1), line_item(2, advertiser=2)))
    profiles = profile_batch([Shopper(shops={2: ShopState(), 77: ShopState()}), Shopper(shops={1: ShopState()}), None])
    auctions, positions = [0, 0, 1, 1, 2, 2], np.array([0, 1, 0, 1, 0, 1])
    found = state_of_pairs([0, 1, 2], np.array([2, 2, 2]), positions, profiles, index)
    assert found is not None
    for auction, position, row in zip(auctions, positions, found, strict=True):
        if row:
            assert profiles.state_request[row - 1] == auction
            assert profiles.state_advertiser[row - 1] == index.lines.advertiser[position]
    assert [bool(row) for row in found] == [False, True, True, False, False, False]


def test_where_no_shop_knows_anybody_there_is_no_state() -> None:
    index = compile_index(catalogue(line_item(1)))
    assert state_of_pairs([0], np.array([1]), np.array([0]), profile_batch([None]), index) is None


@pytest.mark.parametrize("goal", [Goal.CPM, Goal.CPC, Goal.CPA])
def test_each_goal_bids_and_never_above_its_maximum(goal: Goal) -> None:
    bidder = TestBidder(catalogue(line_item(1, goal=goal, bid_micros=10**12, max_cpm_micros=1_239_999)))
    assert price_of(bidder.answer(REQUEST)) == 1.23


def test_a_cpm_line_item_bids_its_price_times_the_pace() -> None:
    bidder = TestBidder(catalogue(line_item(1, bid_micros=2_000_000)))
    assert price_of(bidder.answer(REQUEST)) == 2.0
    bidder.book.multiplier[:] = 0.333
    assert price_of(bidder.answer(REQUEST)) == 0.66


@pytest.mark.parametrize(("currency", "price"), [("PLN", 2.0), ("USD", 0.5), ("EUR", 0.46)])
def test_the_price_is_in_the_auction_s_currency_rounded_down(currency: str, price: float) -> None:
    response = TestBidder(catalogue(line_item(1))).answer({**REQUEST, "cur": [currency]})
    assert response is not None
    assert response["cur"] == currency
    assert price_of(response) == price


def test_an_advertiser_whose_currency_has_no_rate_does_not_bid() -> None:
    configured = catalogue(line_item(1), line_item(2, advertiser=2, bid_micros=9_000_000))
    shops = tuple(
        msgspec.structs.replace(shop, currency="XXX") if shop.id == 2 else shop for shop in configured.advertisers
    )
    bidder = TestBidder(msgspec.structs.replace(configured, advertisers=shops))
    (bid,) = bids_of(bidder.answer(REQUEST))
    assert bidder.claims(bid).line_item_id == 1
    only = TestBidder(msgspec.structs.replace(configured, advertisers=shops, line_items=configured.line_items[1:]))
    assert only.answer(REQUEST) is None


def test_impressions_of_the_last_day_lower_the_chance_of_a_click() -> None:
    bidder = TestBidder(catalogue(line_item(1, goal=Goal.CPC, bid_micros=5_000_000)))
    now_s = bidder.clock.now_ms() // 1000
    fresh = price_of(bidder.answer(REQUEST, Shopper()))
    seen = price_of(bidder.answer(REQUEST, Shopper(shown=((1, now_s - 60), (1, now_s - 90)))))
    long_ago = price_of(bidder.answer(REQUEST, Shopper(shown=((1, now_s - 90_000),))))
    assert seen < fresh == long_ago


def test_rows_of_slot_kinds_are_kept_when_the_table_grows() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    model = BoundModel(load_model(), bidder.snapshot.index)
    rows: dict[int, list[float]] = {}
    for width in range(1, 300):
        imp = {"id": "1", "banner": {"w": width, "h": 250, "pos": width % 5}}
        auction = bidder.screened(raw_request(imp=[imp], regs={"gdpr": 0}))
        kind = model.slot_kind(auction, auction.impressions[0], 60 * width)
        rows[kind] = model.slot_logits[kind].ravel().tolist()
        assert model.slot_kind(auction, auction.impressions[0], 60 * width) == kind
    assert len(rows) == 299
    assert all(model.slot_logits[kind].ravel().tolist() == row for kind, row in rows.items())


def test_kinds_of_impressions_that_are_forgotten_leave_no_price_behind() -> None:
    """Their numbers are given to other kinds, also while bids are remembered by them."""
    configured = catalogue(line_item(1, goal=Goal.CPC, bid_micros=300_000_000, max_cpm_micros=10**12))
    requests = [
        raw_request(regs={"gdpr": 0}, device={"devicetype": device}, id=f"r{device}-{position}",
                    imp=[{"id": "1", "banner": {"w": 300, "h": 250, "pos": position}}])
        for device in (1, 2, 4, 5) for position in (0, 1, 3)
    ]  # fmt: skip
    expected = [price_of(TestBidder(configured).answer(request)) for request in requests]
    assert len(set(expected)) > 3, "the kinds differ in price"
    bidder = TestBidder(configured)
    for number, request in enumerate((*requests, *requests)):
        assert price_of(bidder.answer(request)) == expected[number % len(requests)]
        if number % 2:
            bidder.snapshot.model.forget()
