"""Bids on video and audio, from the request to the markup."""

from typing import Any

import pytest

from core.model import Creative, Exchange
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.openrtb import raw_request
from tests.kit.spots import SOUND, VIDEO, audio_creative, video_creative

PLAYER: dict[str, Any] = {
    "mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [3, 7, 13], "w": 640, "h": 360
}  # fmt: skip
RADIO: dict[str, Any] = {"mimes": ["audio/mpeg"], "maxduration": 60, "protocols": [11]}


def bidder(*creatives: Creative) -> TestBidder:
    return TestBidder(catalogue(line_item(1, creative_ids=tuple(each.id for each in creatives)), creatives=creatives))


def bids(asked: TestBidder, **imp: object) -> list[dict[str, Any]]:
    return bids_of(asked.answer(raw_request(imp=[{"id": "1", **imp}], regs={"gdpr": 0})))


def test_a_video_is_bid_where_a_player_is_offered() -> None:
    (bid,) = bids(bidder(creative(1, 1), video_creative(2)), video=PLAYER)
    assert (bid["mtype"], bid["dur"], bid["protocol"], bid["w"], bid["h"], bid["crid"]) == (2, 15, 13, 640, 360, "2-1")
    assert bid["attr"] == [16]
    assert "apis" not in bid
    assert bid["adm"].startswith('<?xml version="1.0" encoding="UTF-8"?><VAST version="4.2"')
    assert "@TOKEN@" not in bid["adm"]


def test_an_exchange_that_takes_one_attribute_hears_of_the_button() -> None:
    exchange = Exchange(id=1, key="demo", default_currency="USD", seat="1", dialect="pubmatic")
    ads = (video_creative(1, attributes=(1,)),)
    asked = TestBidder(catalogue(line_item(1), creatives=ads, exchanges=(exchange,)))
    (bid,) = bids(asked, video=PLAYER)
    assert "skipoffset" in bid["adm"]
    assert bid["attr"] == [16]


def test_a_sound_is_bid_where_a_radio_is_offered() -> None:
    (bid,) = bids(bidder(audio_creative(2)), audio=RADIO)
    assert (bid["mtype"], bid["dur"], bid["protocol"]) == (3, 31, 11)
    assert "w" not in bid


@pytest.mark.parametrize(
    "video",
    [
        {"maxduration": 14}, {"minduration": 16}, {"rqddurs": [6, 30]}, {"mimes": ["video/ogg"]}, {"maxbitrate": 100},
        {"protocols": [1]}, {"linearity": 2}, {"delivery": [1]}, {"boxingallowed": 0, "w": 400, "h": 400},
    ],
)  # fmt: skip
def test_it_is_not_bid_where_it_does_not_fit(video: dict[str, object]) -> None:
    asked = bidder(video_creative(2))
    assert bids(asked, video=PLAYER | video) == []
    assert len(bids(asked, video=PLAYER)) == 1


def test_offers_that_differ_are_not_mixed_up() -> None:
    asked = bidder(video_creative(2))
    for protocols, skip in (([3], None), ([13], 0), ([7], 1), ([3], None), ([2], None)):
        (bid,) = bids(asked, video=PLAYER | {"protocols": protocols, "skip": skip})
        assert bid["protocol"] == protocols[0]
        assert ("skipoffset" in bid["adm"]) == (skip is None and protocols != [2])


def test_a_secure_page_gets_no_video_over_http() -> None:
    files = tuple(file for file in VIDEO.media if file.mime == "video/mp4")
    spot = type(VIDEO)(duration_ms=15_000, media=(*files, type(files[0])(
        url="http://cdn.example/a.mp4", mime="video/mp4", width=320, height=180
    )))  # fmt: skip
    asked = bidder(video_creative(2, spot=spot))
    assert bids(asked, video=PLAYER, secure=1) == []
    assert len(bids(asked, video=PLAYER, secure=0)) == 1


def test_an_impression_that_cannot_be_played_is_explained() -> None:
    auction = bidder(video_creative(2)).screened(raw_request(imp=[{"id": "1", "video": {}}], regs={"gdpr": 0}))
    assert [(fault.pointer, fault.code) for fault in auction.faults] == [("/imp/0/video/mimes", "no_mimes")]


def test_a_line_item_with_all_formats_fills_each() -> None:
    asked = bidder(creative(1, 1), video_creative(2), audio_creative(3))
    found = [bids(asked, **imp) for imp in ({"banner": {"w": 300, "h": 250}}, {"video": PLAYER}, {"audio": RADIO})]
    assert [bid["mtype"] for (bid,) in found] == [1, 2, 3]
    assert SOUND.seconds == 31
