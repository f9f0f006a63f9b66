"""Screens in public places (OpenRTB 2.6, `dooh`): pictures and videos by venue, without a click, paid by the viewer."""

from typing import Any

import msgspec
import pytest

from core.model import Creative, Targeting
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import EXCHANGE, catalogue, creative, line_item, native_creative
from tests.kit.openrtb import raw_request
from tests.kit.spots import VIDEO, video_creative

SCREEN = (1920, 1080)
PICTURE = creative(1, 1, SCREEN, html="", image_url="https://cdn.example/heels.png?v=1", alt_text="Heels")
MARKUP = creative(1, 1, SCREEN)
SPOT = video_creative(1, 1, msgspec.structs.replace(VIDEO, duration_ms=15_000, skip_after_s=None))
ASSETS = native_creative(1, 1)
PLACE: dict[str, Any] = {"w": 1920, "h": 1080}
PLAYER: dict[str, Any] = {**PLACE, "mimes": ["video/mp4"], "protocols": [3], "api": [7]}


def bids(ad: Creative, venue: str = "transit.airports", places: str = "dooh", **imp: Any) -> list[dict[str, object]]:  # noqa: ANN401
    """What is bid on a screen at an airport, or on what else `places` names."""
    line = line_item(1, 1, creative_ids=(1,), bid_micros=5_000_000, targeting=Targeting(venues=(venue,)))
    if places != "dooh":
        line = line_item(1, 1, creative_ids=(1,), bid_micros=5_000_000)
    bidding = TestBidder(catalogue(line, creatives=[ad], exchanges=(EXCHANGE,)))
    request = raw_request(imp=[{"id": "1", **imp}], regs={"gdpr": 0})
    if places == "dooh":
        request = {key: value for key, value in request.items() if key not in ("site", "app")}
        request["dooh"] = {"id": "d", "venuetype": ["transit.airports.gates"], "venuetypetax": 1}
    return bids_of(bidding.answer(request))


@pytest.mark.parametrize("mimes", [None, ["image/png", "image/jpeg"]])
def test_a_picture_is_shown_without_a_click_a_script_or_a_sign(mimes: list[str] | None) -> None:
    (bid,) = bids(PICTURE, banner={**PLACE, "mimes": mimes})
    markup = str(bid["adm"])
    assert markup.startswith('<img data-ad src="https://cdn.example/heels.png?v=1" width="1920" height="1080"')
    assert "/t/imp/" in markup
    for part in ("/t/click/", "<a ", "<script", "shop1.example"):
        assert part not in markup


def test_a_video_is_shown_without_a_click() -> None:
    (bid,) = bids(SPOT, video=PLAYER)
    assert "/t/click/" not in str(bid["adm"])
    assert "/t/imp/" in str(bid["adm"])


def test_what_is_no_picture_or_of_another_type_is_not_shown_there() -> None:
    assert bids(MARKUP, banner=PLACE) == []
    assert bids(PICTURE, banner={**PLACE, "mimes": ["image/jpeg"]}) == []
    assert bids(ASSETS, native={"request": '{"assets":[{"id":1,"title":{"len":90}}]}'}) == []
    assert len(bids(MARKUP, places="site", banner=PLACE)) == 1, "a page takes it"


def test_only_screens_of_a_targeted_venue_are_bid_on() -> None:
    assert bids(PICTURE, venue="retail.malls", banner=PLACE) == []
    assert len(bids(PICTURE, venue="transit", banner=PLACE)) == 1
