"""What a player of the protocol offers, as a spot is chosen by it; and what a bid says of one."""

from typing import Any

import pytest

from bidder.openrtb.codec import decode_request
from bidder.openrtb.formats import audio, video
from bidder.openrtb.formats.spots import UNBOUNDED_MS
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import Imp
from core.errors import Fault
from creatives.formats import spots
from creatives.formats.offer import DurationRange
from creatives.formats.spots import SpotOffer
from tests.kit.openrtb import body_of, raw_request
from tests.kit.spots import TRACKER, audio_creative, player, video_creative

VIDEO: dict[str, Any] = {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 7]}
AUDIO: dict[str, Any] = {"mimes": ["audio/mpeg"], "minduration": 5, "maxduration": 30, "protocols": [3, 11]}


def imp(**members: object) -> Imp:
    """An impression as the codec reads it."""
    return decode_request(body_of(raw_request(imp=[{"id": "1", **members}])), Tolerances()).imp[0]


def offer(**members: object) -> SpotOffer:
    found = video.read(imp(video=VIDEO | members))
    assert isinstance(found, SpotOffer), found
    return found


def lengths(**members: object) -> list[tuple[int, int]]:
    found = [shape for shape in offer(**members).shapes if isinstance(shape, DurationRange)]
    return [(shape.least_ms, shape.most_ms) for shape in found]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, [(5_000, 30_000)]),
        ({"minduration": None}, [(0, 30_000)]),
        ({"maxduration": None}, [(5_000, UNBOUNDED_MS)]),
        ({"maxduration": 0}, [(5_000, UNBOUNDED_MS)]),
        ({"minduration": -5, "maxduration": -1}, [(0, UNBOUNDED_MS)]),
        ({"maxextended": 10}, [(5_000, 40_000)]),
        ({"maxextended": 0}, [(5_000, 30_000)]),
        ({"maxextended": -1}, [(5_000, UNBOUNDED_MS)]),
        ({"rqddurs": [15, 30, 15, -1, 0]}, [(14_001, 15_000), (29_001, 30_000)]),
        ({"rqddurs": []}, [(5_000, 30_000)]),
        ({"rqddurs": ["15"]}, [(14_001, 15_000)]),
        ({"poddur": 20}, [(5_000, 20_000)]),
        ({"poddur": 20, "maxextended": 60}, [(5_000, 20_000)]),
        ({"poddur": 20, "maxextended": -1}, [(5_000, 20_000)]),
        ({"poddur": 20, "rqddurs": [15, 30]}, [(14_001, 15_000)]),
        ({"poddur": -1, "rqddurs": [15]}, [(14_001, 15_000)]),
        ({"minduration": "6", "maxduration": 30.0}, [(6_000, 30_000)]),
    ],
)
def test_lengths_that_a_player_has_room_for(members: dict[str, object], expected: list[tuple[int, int]]) -> None:
    assert lengths(**members) == expected


@pytest.mark.parametrize(
    ("members", "code", "pointer"),
    [
        ({"mimes": []}, "no_mimes", "/video/mimes"),
        ({"mimes": None}, "no_mimes", "/video/mimes"),
        ({"minduration": 31}, "durations", "/video/maxduration"),
        ({"protocols": [1, 4, 5, 6, 8]}, "no_protocol", "/video/protocols"),
        ({"protocols": []}, "no_protocol", "/video/protocols"),
        ({"linearity": 2}, "not_linear", "/video/linearity"),
    ],
)
def test_a_player_that_we_cannot_serve_says_why(members: dict[str, object], code: str, pointer: str) -> None:
    found = video.read(imp(video=VIDEO | members))
    assert isinstance(found, Fault)
    assert (found.code, found.pointer) == (code, pointer)


def test_an_impression_without_the_format_offers_nothing() -> None:
    assert video.read(imp(banner={"w": 300, "h": 250})) is None
    assert audio.read(imp(video=VIDEO)) is None


def test_all_that_a_player_says_is_in_the_offer() -> None:
    found = offer(
        w=640, h=360, pos=1, battr=[6], api=[7], skip=1, delivery=[2], minbitrate=300, maxbitrate=1_500,
        companionad=[{"w": 300, "h": 250}, {"format": [{"w": 728, "h": 90}, {"w": 300, "h": 250}]}],
        companiontype=[1, 2], boxingallowed=0, linearity=1,
    )  # fmt: skip
    assert found == player(
        shapes=(DurationRange("video", 5_000, 30_000),), placement=1, blocked_attributes=(6,), mimes=("video/mp4",),
        protocols=(2, 3, 7), skip=True, deliveries=(2,), least_kbps=300, most_kbps=1_500,
        companion_sizes=((300, 250), (728, 90)), companion_kinds=(1, 2), fills_frame=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("members", "expected"),
    [({}, None), ({"skip": 0}, False), ({"skip": True}, True), ({"skip": "1"}, True), ({"skip": "maybe"}, None)],
)
def test_whether_it_can_be_skipped_is_three_valued(members: dict[str, object], expected: bool | None) -> None:
    assert offer(**members).skip is expected


def test_the_protocol_of_older_requests_counts() -> None:
    members = {key: value for key, value in VIDEO.items() if key != "protocols"}
    found = video.read(imp(video=members | {"protocol": 2}))
    assert isinstance(found, SpotOffer)
    assert found.protocols == (2,)


@pytest.mark.parametrize("companions", [{"banner": [{"w": 300, "h": 250}]}, "300x250", [1, None], [{"w": "x"}]])
def test_companions_of_a_wrong_form_are_as_if_absent(companions: object) -> None:
    assert offer(companionad=companions).companion_sizes == ()


def test_sound_is_read_likewise() -> None:
    found = audio.read(imp(audio=AUDIO | {"battr": [1], "api": [7], "companionad": [{"w": 300, "h": 250}]}))
    assert isinstance(found, SpotOffer)
    assert found.shapes == (DurationRange("audio", 5_000, 30_000),)
    assert (found.protocols, found.blocked_attributes, found.frameworks) == ((3, 11), (1,), (7,))
    assert found.companion_sizes == ((300, 250),)
    for protocols in ([2], [9, 10]):
        refused = audio.read(imp(audio=AUDIO | {"protocols": protocols}))
        assert isinstance(refused, Fault)
        assert refused.pointer == "/audio/protocols"


def test_what_a_bid_says_of_a_spot() -> None:
    shown = spots.render(video_creative(attributes=(6,)), player(protocols=(13,)), TRACKER)
    assert video.write(shown) == {
        "mtype": 2, "dur": 15, "protocol": 13, "attr": (16, 6), "apis": (7,), "w": 640, "h": 360
    }  # fmt: skip
    heard = spots.render(audio_creative(), player("audio", protocols=(3,)), TRACKER)
    assert audio.write(heard) == {"mtype": 3, "dur": 31, "protocol": 3, "attr": (), "apis": ()}
