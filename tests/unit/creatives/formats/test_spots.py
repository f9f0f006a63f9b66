"""Which file of a spot a player gets, what a bid says of it, and what whoever saves one is told."""

from typing import Any

import msgspec
import pytest

from core.model import Creative
from core.spot import Companion, DeliveryMethod, MediaFile, Spot, Verification
from creatives.formats import spots
from creatives.formats.spot_check import check
from creatives.formats.spots import SpotAd, SpotOffer, playable
from creatives.macros import TOKEN, Tracker
from tests.kit.spots import FILES, SOUND, TRACKER, VIDEO, audio_creative, player, video_creative

SMALL, LARGE, WEBM, STREAM = FILES


def render(spot: Spot = VIDEO, **offer: Any) -> SpotAd:  # noqa: ANN401 - of every member its own type
    return spots.render(video_creative(spot=spot), player(**offer), TRACKER)


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        ({"mimes": ("video/mp4",)}, [SMALL, LARGE]),
        ({"mimes": ("VIDEO/MP4",), "sizes": ((1920, 1080),)}, [LARGE, SMALL]),
        ({"mimes": ("video/webm", "video/mp4"), "sizes": ()}, [LARGE, WEBM, SMALL]),
        ({"mimes": ("video/ogg",)}, []),
        ({"mimes": ("video/*",), "most_kbps": 1_000}, [SMALL]),
        ({"mimes": ("video/mp4",), "most_kbps": 1_000}, [SMALL]),
        ({"mimes": ("video/mp4",), "least_kbps": 1_000}, [LARGE]),
        ({"mimes": ("video/mp4", "application/x-mpegURL"), "deliveries": (1,)}, [STREAM]),
        ({"mimes": ("video/mp4", "application/x-mpegURL"), "deliveries": (2,)}, [SMALL, LARGE]),
        ({"mimes": ("video/mp4",), "deliveries": (3,)}, [SMALL, LARGE]),
        ({"mimes": ("video/mp4",), "fills_frame": True}, [SMALL, LARGE]),
        ({"mimes": ("video/mp4",), "fills_frame": True, "sizes": ((640, 480),)}, []),
        ({"mimes": None, "most_kbps": 100}, [STREAM]),
    ],
)
def test_a_player_gets_the_files_that_it_can_play_the_best_first(
    offer: dict[str, Any], expected: list[MediaFile]
) -> None:
    assert playable(FILES, player(**offer)) == tuple(expected)


def test_a_long_list_of_files_is_cut() -> None:
    many = tuple(msgspec.structs.replace(SMALL, bitrate_kbps=100 * number) for number in range(1, 20))
    found = playable(many, player())
    assert [each.bitrate_kbps for each in found] == [1_900, 1_800, 1_700, 1_600, 1_500, 1_400]


@pytest.mark.parametrize(
    ("offer", "has_button"),
    [
        ({"skip": None}, True),
        ({"skip": True}, False),  # the player has a button of its own
        ({"skip": False}, False),  # the player forbids it
        ({"skip": None, "blocked_attributes": (16,)}, False),
        ({"skip": None, "can_click": False}, False),  # a screen in a public place: nobody can press it
        ({"skip": None, "protocols": (2,)}, False),  # 2.0 has no way to say it
    ],
)
def test_a_spot_that_can_be_skipped_says_so_only_where_its_own_button_shows(
    offer: dict[str, Any], has_button: bool
) -> None:
    ad = render(**offer)
    assert ("skipoffset" in ad.markup, 16 in ad.attributes) == (has_button, has_button)
    assert spots.admits(ad, player(**offer))


def test_scripts_that_measure_come_where_the_player_runs_them() -> None:
    measured, plain = render(frameworks=(7,)), render(frameworks=None)
    assert ("AdVerifications" in measured.markup, measured.frameworks) == (True, (7,))
    assert ("AdVerifications" in plain.markup, plain.frameworks) == (False, ())
    assert spots.admits(plain, player(frameworks=None))


def test_companions_are_those_of_an_offered_size_and_kind() -> None:
    def shown(**offer: Any) -> int:  # noqa: ANN401 - of every member its own type
        return render(**offer).markup.count("<Companion ")

    assert shown() == 3
    assert shown(companion_sizes=((300, 250),)) == 1
    assert shown(companion_kinds=(2, 3)) == 2
    assert shown(companion_sizes=()) == 0


def test_blocked_attributes_and_unknown_frameworks_keep_a_spot_out() -> None:
    creative = video_creative(attributes=(6,), apis=(8,))
    ad = spots.render(creative, player(), TRACKER)
    assert not spots.admits(ad, player())  # SIMID is not offered
    assert spots.admits(ad, player(frameworks=(7, 8)))
    assert not spots.admits(ad, player(frameworks=(7, 8), blocked_attributes=(6,)))


def test_what_changes_the_markup_is_the_variant() -> None:
    offers: list[SpotOffer] = [
        player(), player(protocols=(13,)), player(skip=True), player(mimes=("video/mp4",)), player(most_kbps=1_000),
        player(deliveries=(1,)), player(frameworks=None), player(companion_sizes=()), player(companion_kinds=(1,)),
        player(sizes=((1280, 720),)), player(fills_frame=True), player(can_click=False), player(least_kbps=900),
        player(blocked_attributes=(16,)),
    ]  # fmt: skip
    assert len({spots.variant(offer) for offer in offers}) == len(offers)
    # What does not change it shares the rendered ad.
    assert spots.variant(player(placement=1)) == spots.variant(player()) == spots.variant(player(protocols=(3, 2)))


@pytest.mark.parametrize(
    "spot",
    [
        msgspec.structs.replace(SOUND, media=(MediaFile(url="http://cdn.example/a.mp3", mime="audio/mpeg"),)),
        msgspec.structs.replace(
            SOUND, companions=(Companion(width=300, height=250, html='<img src="http:\\/\\/cdn.example/a.png">'),)
        ),
        msgspec.structs.replace(
            SOUND, companions=(Companion(width=300, height=250, html='<img src="http&colon;//cdn.example/a.png">'),)
        ),
        msgspec.structs.replace(SOUND, verifications=(Verification(vendor="a", url="http://meter.example/a.js"),)),
    ],
)
def test_a_spot_that_loads_http_is_not_secure(spot: Spot) -> None:
    assert not spots.render(audio_creative(spot=spot), player("audio"), TRACKER).secure
    assert spots.render(audio_creative(), player("audio"), TRACKER).secure
    assert not spots.render(audio_creative(), player("audio"), Tracker("http://track.example")).secure


def replaced(**members: object) -> Creative:
    return video_creative(spot=msgspec.structs.replace(VIDEO, **members))


FILE = SMALL
BAD: dict[str, tuple[Creative, list[tuple[str, str]]]] = {
    "no spot": (msgspec.structs.replace(video_creative(), video=None), [("/video", "required")]),
    "no file": (replaced(media=()), [("/video/media", "required")]),
    "too many files": (replaced(media=(FILE,) * 21), [("/video/media", "too_many")]),
    "no length": (replaced(duration_ms=0, skip_after_s=None), [("/video/duration_ms", "out_of_range")]),
    "seconds for milliseconds": (replaced(duration_ms=900_000), [("/video/duration_ms", "out_of_range")]),
    "skip after its end": (replaced(skip_after_s=15), [("/video/skip_after_s", "out_of_range")]),
    "an address without a scheme": (
        replaced(media=(msgspec.structs.replace(FILE, url="cdn.example/a.mp4"),)), [("/video/media/0/url", "not_a_url")]
    ),
    "an address with a space": (
        replaced(media=(msgspec.structs.replace(FILE, url="https://cdn.example/a b.mp4"),)),
        [("/video/media/0/url", "not_a_url")],
    ),
    "an address that is too long": (
        replaced(media=(msgspec.structs.replace(FILE, url="https://cdn.example/" + "a" * 2_000),)),
        [("/video/media/0/url", "too_long")],
    ),
    "sound in a video": (
        replaced(media=(msgspec.structs.replace(FILE, mime="audio/mpeg"),)), [("/video/media/0/mime", "wrong_type")]
    ),
    "a script that is called a stream": (
        replaced(media=(msgspec.structs.replace(STREAM, mime="application/javascript"),)),
        [("/video/media/0/mime", "wrong_type")],
    ),
    "a playlist that is no stream": (
        replaced(media=(msgspec.structs.replace(STREAM, delivery=DeliveryMethod.PROGRESSIVE),)),
        [("/video/media/0/mime", "wrong_type")],
    ),
    "no size": (replaced(media=(msgspec.structs.replace(FILE, width=0),)), [("/video/media/0/width", "no_size")]),
    "an empty companion": (
        replaced(companions=(Companion(width=300, height=250),)), [("/video/companions/0", "exactly_one")]
    ),
    "a companion without a size": (
        replaced(companions=(Companion(width=0, height=250, html="x"),)), [("/video/companions/0/width", "no_size")]
    ),
    "a long companion": (
        replaced(companions=(Companion(width=1, height=1, html="x" * 5_001),)),
        [("/video/companions/0/html", "too_long")],
    ),
    "a script of nobody": (
        replaced(verifications=(Verification(vendor=" ", url="https://meter.example/a.js"),)),
        [("/video/verifications/0/vendor", "required")],
    ),
    "half an identity": (replaced(universal_ad_registry=""), [("/video/universal_ad_id", "both_or_none")]),
    "our placeholder": (
        replaced(media=(msgspec.structs.replace(FILE, url=f"https://cdn.example/{TOKEN}"),)), [("/video", "reserved")]
    ),
    "no landing page": (video_creative(landing_url="shop.example"), [("/landing_url", "not_a_url")]),
    "a landing page nowhere": (video_creative(landing_url="https:///sale"), [("/landing_url", "not_a_url")]),
    "a long landing page": (
        video_creative(landing_url="https://shop.example/" + "%" * 700), [("/landing_url", "too_long")]
    ),
    "an invisible name": (video_creative(name=" \x00"), [("/name", "empty")]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_served_is_refused_with_its_place(case: str) -> None:
    creative, expected = BAD[case]
    assert [(fault.pointer, fault.code) for fault in check(creative)] == expected


def test_what_can_be_served_is_not_refused() -> None:
    assert check(video_creative()) == []
    assert check(audio_creative()) == []
