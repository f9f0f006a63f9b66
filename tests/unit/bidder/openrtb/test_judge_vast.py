"""Each rule for spots is broken once in a bid that was right."""

from typing import Any

import msgspec
import pytest

from bidder.openrtb.formats import audio, video
from bidder.openrtb.judge import AnswerTerms, faults_of_answer, faults_of_bid
from core.spot import DeliveryMethod, MediaFile
from creatives.formats import spots
from creatives.macros import TOKEN
from tests.kit.openrtb import FX, request_of
from tests.kit.spots import SOUND, TRACKER, audio_creative, player, video_creative

Json = dict[str, Any]

TERMS = AnswerTerms("PLN", frozenset({"grosz"}), "${AUCTION_PRICE}")
VIDEO: Json = {
    "mimes": ["video/mp4", "video/webm"], "minduration": 5, "maxduration": 30, "protocols": [3, 13], "api": [7],
    "maxbitrate": 4_000,
}  # fmt: skip
AUDIO: Json = {"mimes": ["audio/mpeg"], "maxduration": 60}


def bid_of(kind: str, **members: object) -> Json:
    if kind == "video":
        ad = spots.render(video_creative(), player(protocols=(13,)), TRACKER)
        written = video.write(ad)
    else:
        ad = spots.render(audio_creative(), player("audio", protocols=(13,)), TRACKER)
        written = audio.write(ad)
    adm = ad.markup.replace(TOKEN, "tok")
    return {"id": "1", "impid": "1", "price": 2.0, "adm": adm, "adomain": [], **written, **members}


def kinds(bid: Json, **imp: Json) -> list[str]:
    request = request_of(id="r", cur=["PLN"], imp=[{"id": "1", "secure": 1, **imp}])
    return sorted({fault.kind for fault in faults_of_bid(request, bid, "grosz", "PLN", TERMS, FX)})


def test_a_right_bid_has_no_fault() -> None:
    assert kinds(bid_of("video"), video=VIDEO) == []
    assert kinds(bid_of("audio"), audio=AUDIO) == []
    assert kinds(bid_of("video"), video=VIDEO, audio=AUDIO, banner={"w": 1, "h": 1}) == []


@pytest.mark.parametrize(
    ("offered", "kind"),
    [
        ({"protocols": [3]}, "protocol"),
        ({"maxduration": 14}, "duration"),
        ({"minduration": 16}, "duration"),
        ({"rqddurs": [30]}, "duration"),
        ({"mimes": ["video/ogg"]}, "mime"),
        ({"maxbitrate": 1_000}, "bitrate"),
        ({"minbitrate": 1_000}, "bitrate"),
        ({"battr": [16]}, "blocked_attribute"),
        ({"api": [1]}, "framework"),
    ],
)
def test_what_the_player_did_not_ask_for_is_named(offered: Json, kind: str) -> None:
    assert kinds(bid_of("video"), video=VIDEO | offered) == [kind]


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"dur": 14}, "duration"),
        ({"dur": None}, "duration"),
        ({"protocol": 3}, "vast"),
        ({"attr": ()}, "vast"),
        ({"adm": "<VAST"}, "vast"),
        ({"adm": "<!DOCTYPE VAST><VAST>${AUCTION_PRICE}</VAST>"}, "vast"),
        ({"mtype": 3}, "format"),
    ],
)
def test_what_the_bid_says_and_its_markup_does_not_is_named(members: Json, kind: str) -> None:
    assert kind in kinds(bid_of("video", **members), video=VIDEO)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("<Duration>00:00:15</Duration>", "<Duration>15</Duration>", "duration"),
        ("<AdSystem>Grosz</AdSystem>", "<AdSystem> </AdSystem>", "vast"),
        ("InLine>", "Wrapper>", "vast"),
        ("https://cdn.example/heels-720.mp4", "http://cdn.example/heels-720.mp4", "secure"),
    ],
)
def test_what_is_wrong_in_the_markup_is_named(old: str, new: str, kind: str) -> None:
    bid = bid_of("video")
    assert old in bid["adm"]
    assert kinds(bid | {"adm": bid["adm"].replace(old, new)}, video=VIDEO) == [kind]


def test_an_extended_length_is_allowed() -> None:
    assert kinds(bid_of("video"), video=VIDEO | {"maxduration": 10, "maxextended": 5}) == []
    assert kinds(bid_of("video"), video=VIDEO | {"maxduration": 10, "maxextended": -1}) == []
    assert kinds(bid_of("video"), video=VIDEO | {"maxduration": 10, "maxextended": 4}) == ["duration"]


@pytest.mark.parametrize(
    ("asked", "second", "expected"),
    [
        ({"poddur": 30, "maxseq": 2}, {}, []),
        ({"poddur": 29}, {}, ["pod"]),
        ({"poddur": 60, "maxseq": 1}, {}, ["pod"]),
        ({"poddur": -1}, {}, []),
        ({"poddur": 60, "maxseq": -1}, {}, []),
        ({"poddur": 60}, {"crid": "1"}, ["pod"]),
        ({"poddur": 60}, {"adomain": ["a.example"]}, ["pod"]),
        ({"poddur": 60, "poddedupe": [5]}, {"adomain": ["a.example"]}, []),
        ({"poddur": 60, "slotinpod": 2}, {"slotinpod": -1}, []),
        ({"poddur": 60, "slotinpod": 2}, {"slotinpod": 1}, ["pod_place"]),
    ],
)
def test_bids_of_a_pod_fit_into_it_together(asked: Json, second: Json, expected: list[str]) -> None:
    request = request_of(id="r", cur=["PLN"], imp=[{"id": "1", "video": VIDEO | asked}])
    bids = [
        bid_of("video", id="1", crid="1", adomain=["a.example"], slotinpod=1),
        bid_of("video", **({"id": "2", "crid": "2", "adomain": ["b.example"]} | second)),
    ]
    answer = {"id": "r", "cur": "PLN", "seatbid": [{"seat": "grosz", "bid": bids}]}
    assert [fault.kind for fault in faults_of_answer(request, answer, TERMS)] == expected


@pytest.mark.parametrize(
    ("asked", "place", "expected"),
    [
        ({"poddur": 60, "slotinpod": 2}, 1, []),
        ({"poddur": 60, "slotinpod": 2}, 2, []),
        ({"poddur": 60, "slotinpod": 1}, 1, []),
        ({"poddur": 60, "slotinpod": 1}, -1, ["pod_place"]),
        ({"poddur": 60, "slotinpod": 0}, 0, ["pod_place"]),
        ({"poddur": 60}, 1, ["pod_place"]),
        ({"podid": "p", "slotinpod": 1}, 1, ["pod_place"]),
    ],
)
def test_a_place_is_named_of_a_dynamic_pod_alone_and_of_those_that_it_guarantees(
    asked: Json, place: int, expected: list[str]
) -> None:
    assert kinds(bid_of("video", slotinpod=place), video=VIDEO | asked) == expected


def test_bids_of_a_sound_are_no_ads_of_the_video_pod_beside_it() -> None:
    request = request_of(id="r", cur=["PLN"], imp=[{"id": "1", "video": VIDEO | {"poddur": 5}, "audio": {}}])
    bids = [bid_of("audio", id=each, crid=each, adomain=[f"{each}.example"]) for each in "ab"]
    answer = {"id": "r", "cur": "PLN", "seatbid": [{"seat": "grosz", "bid": bids}]}
    assert [fault.kind for fault in faults_of_answer(request, answer, TERMS)] == []


def test_a_floor_by_the_second_is_judged_by_the_length() -> None:
    assert kinds(bid_of("video"), video=VIDEO | {"mincpmpersec": 0.01}) == []
    assert kinds(bid_of("video"), video=VIDEO | {"mincpmpersec": 0.1}) == ["floor"]  # 15 s cost 1.50 USD
    assert kinds(bid_of("video"), video=VIDEO | {"durfloors": [{"maxdur": 15, "bidfloor": 1.0}]}) == ["floor"]


@pytest.mark.parametrize("protocol", [3, 7, 11, 13])
def test_a_sound_is_known_by_its_markup_where_the_bid_does_not_say_what_it_is(protocol: int) -> None:
    playlist = MediaFile(
        url="https://cdn.example/a.m3u8", mime="application/x-mpegURL", delivery=DeliveryMethod.STREAMING
    )
    offered = {**AUDIO, "mimes": ["audio/mpeg", playlist.mime], "protocols": [protocol]}
    asked = player("audio", protocols=(protocol,), mimes=tuple(offered["mimes"]))
    for file in (SOUND.media[0], playlist):
        ad = spots.render(audio_creative(spot=msgspec.structs.replace(SOUND, media=(file,))), asked, TRACKER)
        sent = {**bid_of("audio"), **audio.write(ad), "adm": ad.markup.replace(TOKEN, "tok")}
        del sent["mtype"]
        assert kinds(sent, audio=offered) == []
        assert kinds(sent, audio=offered, video=VIDEO) == []
