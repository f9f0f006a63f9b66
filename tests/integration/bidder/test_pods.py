"""Pods: structured, dynamic and hybrid, floors by length, and advertisers kept apart."""

from typing import Any

import msgspec
import pytest

from core.model import Creative
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request
from tests.kit.spots import VIDEO, video_creative

PLAYER: dict[str, Any] = {"mimes": ["video/mp4"], "protocols": [3], "api": [7]}


def spot(number: int, advertiser: int, seconds: int, **members: object) -> Creative:
    made = msgspec.structs.replace(VIDEO, duration_ms=1_000 * seconds, skip_after_s=None)
    return video_creative(number, advertiser, made, **members)


def bidder(*offers: tuple[int, int, float], **more: object) -> TestBidder:
    """Line items of (advertiser, seconds, CPM), numbered from 1, each with a spot."""
    creatives = [spot(at, advertiser, seconds) for at, (advertiser, seconds, _cpm) in enumerate(offers, 1)]
    lines = [
        line_item(at, advertiser, creative_ids=(at,), bid_micros=round(cpm * 1e6), **more)
        for at, (advertiser, _seconds, cpm) in enumerate(offers, 1)
    ]
    return TestBidder(catalogue(*lines, advertisers=4, creatives=creatives))


def asked(bidding: TestBidder, *videos: dict[str, Any], **imp: Any) -> list[tuple[str, str, int]]:  # noqa: ANN401
    """(impression, creative, seconds) of the bids."""
    imps = [{"id": str(number), "video": PLAYER | video, **imp} for number, video in enumerate(videos, 1)]
    found = bids_of(bidding.answer(raw_request(imp=imps, regs={"gdpr": 0})))
    assert len({bid["id"] for bid in found}) == len(found)
    return sorted((str(bid["impid"]), str(bid["adid"]), int(str(bid["dur"]))) for bid in found)


def test_a_dynamic_pod_is_filled_by_what_brings_most_in_its_seconds() -> None:
    shops = bidder((1, 30, 5.0), (2, 15, 3.0), (3, 15, 3.5), (4, 20, 1.0))
    assert asked(shops, {"poddur": 30, "maxseq": 3}) == [("1", "2", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 30, "maxseq": 1}) == [("1", "1", 30)]
    assert asked(shops, {"poddur": 60, "maxseq": 6}) == [("1", "1", 30), ("1", "2", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 20, "maxseq": 2, "rqddurs": [15]}) == [("1", "3", 15)]
    assert asked(shops, {"poddur": 10, "maxseq": 2}) == []


def test_no_advertiser_and_no_ad_is_twice_in_a_pod_unless_that_is_wanted() -> None:
    shops = bidder((1, 15, 3.0), (1, 15, 2.0), (2, 15, 1.0))
    assert asked(shops, {"poddur": 60}) == [("1", "1", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 60, "poddedupe": [5]}) == [("1", "1", 15), ("1", "2", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 60, "poddedupe": [2]}) == [("1", "1", 15)], "all have the same category"


def test_impressions_of_a_structured_pod_have_lengths_of_their_own_and_are_kept_apart() -> None:
    shops = bidder((1, 30, 5.0), (1, 15, 4.0), (2, 15, 3.0))
    places = [{"podid": "pod", "rqddurs": [30]}, {"podid": "pod", "rqddurs": [15]}]
    assert asked(shops, *places) == [("1", "1", 30), ("2", "3", 15)]
    apart = [{"podid": "one", "rqddurs": [30]}, {"podid": "other", "rqddurs": [15]}]
    assert asked(shops, *apart) == [("1", "1", 30), ("2", "2", 15)]


def test_a_hybrid_pod_is_one_pod() -> None:
    shops = bidder((1, 30, 5.0), (2, 15, 4.0), (3, 15, 3.0))
    places: list[dict[str, Any]] = [{"podid": "pod", "rqddurs": [30]}, {"podid": "pod", "poddur": 30, "maxseq": 2}]
    assert asked(shops, *places) == [("1", "1", 30), ("2", "2", 15), ("2", "3", 15)]


@pytest.mark.parametrize(
    ("floors", "expected"),
    [
        ({"mincpmpersec": 0.2}, [("1", "2", 15)]),  # 30 s cost 6, 15 s cost 3
        ({"mincpmpersec": 0.15}, [("1", "1", 30)]),
        ({"mincpmpersec": 1.0}, []),
        (
            {"durfloors": [{"mindur": 1, "maxdur": 20, "bidfloor": 1.0}, {"mindur": 21, "bidfloor": 5.5}]},
            [("1", "2", 15)],
        ),
        ({"durfloors": [{"mindur": 1, "maxdur": 20, "bidfloor": 9.0}]}, [("1", "1", 30)]),
        ({"durfloors": [{"maxdur": 60, "bidfloor": 1.0}, {"mindur": 20, "bidfloor": 5.5}]}, [("1", "2", 15)]),
    ],
)
def test_a_floor_may_depend_on_the_length(floors: dict[str, Any], expected: list[tuple[str, str, int]]) -> None:
    shops = bidder((1, 30, 5.0), (2, 15, 4.0))
    assert asked(shops, floors, bidfloorcur="PLN") == expected


def test_a_floor_by_length_replaces_that_of_the_impression() -> None:
    shops = bidder((1, 30, 5.0))
    assert asked(shops, {"mincpmpersec": 0.1}, bidfloor=9.0, bidfloorcur="PLN") == [("1", "1", 30)]
    assert asked(shops, {}, bidfloor=9.0, bidfloorcur="PLN") == []


def test_a_floor_that_cannot_be_read_leaves_the_pod_out() -> None:
    assert asked(bidder((1, 30, 5.0)), {"mincpmpersec": 0.1}, bidfloorcur="XYZ") == []


def test_beside_other_formats_the_dearest_floor_counts_and_there_is_one_bid() -> None:
    shops, banner = bidder((1, 15, 4.0)), {"w": 300, "h": 250}
    floors = {"durfloors": [{"maxdur": 20, "bidfloor": 1.0}, {"mindur": 21, "bidfloor": 5.0}]}
    assert asked(shops, floors, bidfloorcur="PLN") == [("1", "1", 15)]
    assert asked(shops, floors, bidfloorcur="PLN", banner=banner) == []
    assert asked(bidder((1, 15, 6.0)), floors | {"poddur": 60}, bidfloorcur="PLN", banner=banner) == [("1", "1", 15)]


def test_a_screen_in_a_public_place_has_no_click() -> None:
    request = raw_request(imp=[{"id": "1", "video": PLAYER}], regs={"gdpr": 0})
    request = {key: value for key, value in request.items() if key not in ("site", "app")}
    (bid,) = bids_of(bidder((1, 15, 3.0)).answer(request | {"dooh": {"id": "d", "venuetype": ["101"]}}))
    assert "/t/click/" not in str(bid["adm"])
    assert "/t/imp/" in str(bid["adm"])
