"""Floors of a deal by the length of a spot, and what cannot be read of them."""

from typing import Any

import msgspec
import pytest

from bidder.decision.lengths import UNREACHABLE, floors_by_length
from bidder.openrtb.types import Deal, DurationFloor
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


def bidder(*, first_price: bool = False) -> TestBidder:
    """One line item on a deal, with a spot of 15 s, that bids 1.50 a thousand and no more."""
    exchange: Exchange = msgspec.structs.replace(EXCHANGE, first_price=first_price)
    line = line_item(1, creative_ids=(1,), max_cpm_micros=1_500_000, bid_micros=1_500_000)
    line = msgspec.structs.replace(line, targeting=msgspec.structs.replace(line.targeting, deals=(5,)))
    return TestBidder(catalogue(line, creatives=(video_creative(),), exchanges=(exchange,), deals=ON_DEAL))


def bids(desk: TestBidder, **imp: object) -> list[dict[str, Any]]:
    offered = {"id": "1", "video": PLAYER, "bidfloorcur": "PLN", **imp}
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
def test_a_spot_on_a_deal_meets_the_floor_of_its_length(says: dict[str, Any], is_bid_on: bool) -> None:
    deal = {"id": "D-7", "bidfloor": 0.5, "bidfloorcur": "PLN", **says}
    assert bool(bids(bidder(), pmp={"deals": [deal]})) is is_bid_on


def test_no_bid_on_it_is_shaded_below_that() -> None:
    deal = {"id": "D-7", "bidfloor": 0.5, "bidfloorcur": "PLN", "mincpmpersec": 0.1}
    (bid,) = bids(bidder(first_price=True), pmp={"deals": [deal]})
    assert bid["price"] == 1.5


def test_an_unknown_currency_is_out_of_reach() -> None:
    desk = bidder()
    deal = {"id": "D-7", "bidfloor": 0.5, "bidfloorcur": "PLN"}
    imp = {"id": "1", "video": PLAYER, "pmp": {"deals": [deal]}}
    auction = desk.screened(raw_request(imp=[imp], cur=["PLN"], regs={"gdpr": 0}))
    (impression,) = auction.impressions
    fitting = desk.snapshot.showcase.showable(0, auction, impression)
    assert fitting
    foreign = Deal(id="D", bidfloorcur="XXX", durfloors=(DurationFloor(bidfloor=0.01),))
    assert floors_by_length(foreign, fitting, "PLN", desk.snapshot.index.fx) == [UNREACHABLE]
    assert floors_by_length(Deal(id="D"), fitting, "PLN", desk.snapshot.index.fx) == [0]
