"""Floors by the length of a spot: of the player, of the deal, and what cannot be read."""

from typing import Any

import msgspec
import pytest

from bidder.decision.lengths import UNREACHABLE, floors_by_length
from bidder.openrtb.types import Audio, Deal, DurationFloor
from core.model import Deal as OwnDeal
from core.model import Exchange
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import EXCHANGE, catalogue, line_item
from tests.kit.openrtb import raw_request
from tests.kit.spots import video_creative

PLAYER: dict[str, Any] = {
    "mimes": ["video/mp4"], "w": 1280, "h": 720, "protocols": [2, 3, 7], "maxduration": 30, "linearity": 1,
    "api": [7], "minduration": 5,
}  # fmt: skip
ON_DEAL = (OwnDeal(id=5, exchange_id=1, deal_id="D-7"),)


def bidder(*, first_price: bool = False, on_deal: bool = False) -> TestBidder:
    """One line item with a spot of 15 s that bids 1.50 a thousand, and no more."""
    exchange: Exchange = msgspec.structs.replace(EXCHANGE, first_price=first_price)
    line = line_item(1, creative_ids=(1,), max_cpm_micros=1_500_000, bid_micros=1_500_000)
    if on_deal:
        line = msgspec.structs.replace(line, targeting=msgspec.structs.replace(line.targeting, deals=(5,)))
    return TestBidder(catalogue(line, creatives=(video_creative(),), exchanges=(exchange,), deals=ON_DEAL))


def bids(desk: TestBidder, player: dict[str, Any] | None = None, **imp: object) -> list[dict[str, Any]]:
    offered = {"id": "1", "video": PLAYER | (player or {}), "bidfloorcur": "PLN", **imp}
    return bids_of(desk.answer(raw_request(imp=[offered], cur=["PLN"], regs={"gdpr": 0})))


@pytest.mark.parametrize(
    ("says", "is_bid_on"),
    [
        ({}, True),
        ({"mincpmpersec": 0.1}, True),
        ({"mincpmpersec": 0.11}, False),
        ({"durfloors": [{"mindur": 10, "maxdur": 15, "bidfloor": 1.5}]}, True),
        ({"durfloors": [{"mindur": 10, "maxdur": 15, "bidfloor": 1.51}]}, False),
        ({"durfloors": [{"mindur": 16, "bidfloor": 9}, {"maxdur": 14, "bidfloor": 9}]}, True),
        ({"durfloors": [{"bidfloor": 1}, {"mindur": 15, "bidfloor": 2}]}, False),
        ({"mincpmpersec": 0.01, "durfloors": [{"bidfloor": 9}]}, False),
        ({"mincpmpersec": "a lot"}, False),
        ({"mincpmpersec": -1}, True),
    ],
)
def test_a_spot_meets_the_floor_of_its_length(says: dict[str, Any], is_bid_on: bool) -> None:
    assert bool(bids(bidder(), says)) is is_bid_on


def test_on_a_deal_it_is_the_deal_s() -> None:
    deal = {"id": "D-7", "bidfloor": 0.5, "bidfloorcur": "PLN"}
    assert bids(bidder(on_deal=True), {"mincpmpersec": 9}, pmp={"deals": [deal]})
    assert not bids(bidder(on_deal=True), pmp={"deals": [deal | {"mincpmpersec": 0.11}]})
    assert not bids(bidder(on_deal=True), pmp={"deals": [deal | {"durfloors": [{"bidfloor": 2}]}]})


def test_no_bid_is_shaded_below_it() -> None:
    (bid,) = bids(bidder(first_price=True), {"mincpmpersec": 0.1})
    assert bid["price"] == 1.5


def test_an_unknown_currency_is_out_of_reach() -> None:
    desk = bidder()
    auction = desk.screened(raw_request(imp=[{"id": "1", "video": PLAYER}], cur=["PLN"], regs={"gdpr": 0}))
    (impression,) = auction.impressions
    fitting = desk.snapshot.showcase.showable(0, auction, impression)
    assert fitting
    deal = Deal(id="D", bidfloorcur="XXX", durfloors=(DurationFloor(bidfloor=0.01),))
    assert floors_by_length(impression, deal, fitting, "PLN", desk.snapshot.index.fx) == [UNREACHABLE]
    assert floors_by_length(impression, None, fitting, "PLN", desk.snapshot.index.fx) == [0]
    assert Audio().mincpmpersec is None
