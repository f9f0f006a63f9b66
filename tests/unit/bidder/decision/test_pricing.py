"""Deals decide floors and fixed prices; that prices and verdicts are right is in tests/property."""

from typing import Any

import pytest

from bidder.decision.pricing import dearest_deal, price
from core.model import AuctionType, Clearing, Deal, Exchange, Targeting
from tests.kit.bidding import TestBidder, bids_of, price_of, profile_batch
from tests.kit.catalogues import EXCHANGE, catalogue, line_item
from tests.kit.openrtb import raw_request

DEALS = (Deal(id=1, exchange_id=1, deal_id="gold"), Deal(id=2, exchange_id=1, deal_id="silver"))


def bidder(
    *, bid_micros: int = 2_000_000, deals: tuple[int, ...] = (1, 2), exchange: Exchange = EXCHANGE
) -> TestBidder:
    line = line_item(1, bid_micros=bid_micros, targeting=Targeting(deals=deals))
    return TestBidder(catalogue(line, deals=DEALS, exchanges=(exchange,)))


def request(*deals: dict[str, Any], floor: float = 9.0) -> dict[str, Any]:
    offered = [{"bidfloorcur": "PLN", **deal} for deal in deals]
    imp = {
        "id": "1",
        "banner": {"w": 300, "h": 250},
        "bidfloor": floor,
        "bidfloorcur": "PLN",
        "pmp": {"deals": offered},
    }
    return raw_request(imp=[imp], regs={"gdpr": 0})


@pytest.mark.parametrize(
    ("deals", "price_and_deal"),
    [
        ([{"id": "gold", "bidfloor": 1.5}], (2.0, "gold")),  # the deal's floor and not the impression's
        ([{"id": "gold", "bidfloor": 2.5}], (0.0, None)),
        ([{"id": "gold", "bidfloor": 1.5, "at": 3}], (1.5, "gold")),
        ([{"id": "gold", "bidfloor": 1.501, "at": 3}], (1.501, "gold")),  # exactly, also between two groszes
        ([{"id": "gold", "bidfloor": 1.999, "at": 3}], (1.999, "gold")),
        ([{"id": "gold", "bidfloor": 2.001, "at": 3}], (0.0, None)),
        ([{"id": "gold", "bidfloor": 1.0}, {"id": "silver", "bidfloor": 1.8}], (2.0, "silver")),
        ([{"id": "gold", "bidfloor": 1.0}, {"id": "silver", "bidfloor": 1.8, "at": 3}], (1.8, "silver")),
        ([{"id": "gold", "bidfloor": 1.0, "at": 3}, {"id": "silver", "bidfloor": 1.8}], (2.0, "silver")),
        ([{"id": "gold", "bidfloor": 1.0}, {"id": "silver", "bidfloor": 2.8, "at": 3}], (2.0, "gold")),
        ([{"id": "gold"}], (2.0, "gold")),
    ],
)
def test_the_bid_and_the_deal_it_names_fit_each_other(
    deals: list[dict[str, Any]], price_and_deal: tuple[float, str | None]
) -> None:
    response = bidder().answer(request(*deals))
    found = bids_of(response)
    assert (price_of(response), found[0].get("dealid") if found else None) == price_and_deal


@pytest.mark.parametrize(
    ("falls_back", "deal", "floor", "named"),
    [
        (None, {}, 9.0, "gold"),
        (False, {}, 9.0, "gold"),
        (True, {}, 9.0, None),
        (True, {}, 2.0, "gold"),
        (True, {"bidfloor": 1.0}, 9.0, "gold"),
        (True, {"bidfloor": 0}, 9.0, "gold"),
        (True, {"bidfloor": 2.5}, 1.0, None),
    ],
)
def test_a_deal_without_a_floor_has_the_impression_s_where_the_exchange_says_so(
    falls_back: bool | None, deal: dict[str, Any], floor: float, named: str | None
) -> None:
    exchange = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN", deal_floor_else_impression=falls_back)
    asked = request({"id": "gold", **deal}, floor=floor)
    asked["imp"][0]["pmp"]["private_auction"] = 1
    found = bids_of(bidder(exchange=exchange).answer(asked))
    assert (found[0]["dealid"] if found else None) == named


def test_house_clearing_of_a_deal_settles_above_the_deal_s_floor() -> None:
    house = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN", clearing=Clearing.HOUSE)
    made = bidder(exchange=house)
    (bid,) = bids_of(made.answer(request({"id": "gold", "bidfloor": 1.0}, {"id": "silver", "bidfloor": 1.8})))
    assert made.claims(bid).floor_cpm == 1_800_000


@pytest.mark.parametrize(("domains", "invited"), [(["shop1.example"], True), (["WWW.Shop1.example"], True),
                                                  (["other.example"], False), ([], True)])  # fmt: skip
def test_a_deal_may_be_for_some_advertisers_only(domains: list[str], invited: bool) -> None:
    response = bidder().answer(request({"id": "gold", "bidfloor": 1.0, "wadomain": domains}))
    assert bool(bids_of(response)) == invited


@pytest.mark.parametrize(
    ("gold", "silver", "named"),
    [
        ([], ["other.example"], "gold"),
        (["shop1.example"], ["other.example"], "gold"),
        (["other.example"], [], "silver"),
        (["other.example"], ["shop1.example", "x.example"], "silver"),
        ([], [], "silver"),
        (["other.example"], ["other.example"], None),
    ],
)
def test_a_dearer_deal_that_is_for_others_hides_none_that_is_for_us(
    gold: list[str], silver: list[str], named: str | None
) -> None:
    cheap = {"id": "gold", "bidfloor": 1.0, "wadomain": gold}
    found = bids_of(bidder().answer(request(cheap, {"id": "silver", "bidfloor": 1.8, "wadomain": silver})))
    assert (found[0]["dealid"] if found else None) == named


def test_of_the_deals_that_a_bid_reaches_the_dearest_counts() -> None:
    deals = {"a": (1_000_000, 0), "b": (1_505_000, 0), "c": (1_505_000, 3)}
    assert dearest_deal(deals, ["a", "b", "c"], 1_510_000) == "b"
    assert dearest_deal(deals, ["a", "b"], 1_500_000) == "a"
    assert dearest_deal(deals, ["c"], 1_500_000) is None


def test_pairs_lie_in_the_order_of_slots_and_positions() -> None:
    made = TestBidder(catalogue(line_item(1), line_item(2, advertiser=2), line_item(3)))
    imps = [{"id": str(n), "banner": {"w": 300, "h": 250}} for n in range(3)]
    auctions = [made.screened(raw_request(id=f"r{n}", imp=imps, regs={"gdpr": 0})) for n in range(2)]
    auctions[0].impressions[1].eligible = 0
    found = price(auctions, profile_batch([None, None]), made.snapshot, made.clock.now_ms())
    assert [slot.number for slot in found.slots] == [0, 0, 1, 1, 1]
    assert [found.pair_range(number) for number in range(5)] == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 15)]
    assert found.positions.tolist() == [0, 1, 2] * 5


@pytest.mark.parametrize(
    ("deal", "bid"),
    [
        ({"bidfloor": 5.0, "guar": 1}, (5.0, "gold")),  # worth 2.00, and promised
        ({"bidfloor": 2.555, "guar": 1, "at": 3}, (2.555, "gold")),
        ({"bidfloor": 5.0}, (0.0, None)),
        ({"bidfloor": 1.0, "guar": 1}, (2.0, "gold")),
        ({"bidfloor": 8.01, "guar": 1}, (0.0, None)),  # above the line item's maximum
    ],
)
def test_a_guaranteed_deal_is_bid_on_at_its_price_up_to_the_maximum(
    deal: dict[str, Any], bid: tuple[float, str | None]
) -> None:
    line = line_item(1, max_cpm_micros=8_000_000, targeting=Targeting(deals=(1, 2)))
    made = TestBidder(catalogue(line, deals=DEALS))
    response = made.answer(request({"id": "gold", **deal}))
    found = bids_of(response)
    assert (price_of(response), found[0].get("dealid") if found else None) == bid


def test_a_deal_without_a_type_has_the_fixed_price_of_the_request() -> None:
    made = bidder()
    (bid,) = bids_of(made.answer(request({"id": "gold", "bidfloor": 1.555}) | {"at": 3}))
    claims = made.claims(bid)
    assert (bid["price"], claims.bid_cpm, claims.auction_type) == (1.555, 1_560_000, AuctionType.FIXED_PRICE)
    (bid,) = bids_of(made.answer(request({"id": "gold", "bidfloor": 1.555, "at": 1}) | {"at": 3}))
    assert made.claims(bid).auction_type is AuctionType.FIRST_PRICE


def test_a_fixed_price_is_reserved_on_the_grid_and_bid_to_the_micro() -> None:
    made = bidder()
    (bid,) = bids_of(made.answer(request({"id": "gold", "bidfloor": 1.555, "at": 3})))
    claims = made.claims(bid)
    assert (bid["price"], claims.bid_cpm, claims.reserved_micros) == (1.555, 1_560_000, 1_560)
    assert claims.auction_type is AuctionType.FIXED_PRICE
