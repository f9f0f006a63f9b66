"""What VAST says, element by element; whether it is valid is asked of the IAB's schemas elsewhere."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import msgspec
import pytest

from core.spot import Companion, MediaFile, Spot
from creatives.formats import spots
from creatives.formats.vast import NAMESPACE, VERSIONS, clock_text, text
from creatives.macros import TOKEN
from tests.kit.spots import SOUND, TRACKER, VIDEO, audio_creative, player, video_creative

PROTOCOLS = list(VERSIONS)


def tree(markup: str) -> ElementTree.Element:
    """The document, its names without the namespace."""
    root = ElementTree.fromstring(markup)  # noqa: S314 - our own
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    return root


def video(spot: Spot = VIDEO, **offer: Any) -> ElementTree.Element:  # noqa: ANN401 - of every member its own type
    return tree(spots.render(video_creative(spot=spot), player(**offer), TRACKER).markup)


def names(parent: ElementTree.Element | None) -> list[str]:
    assert parent is not None
    return [child.tag for child in parent]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_version_is_the_one_that_the_player_reads(protocol: int) -> None:
    ad = spots.render(video_creative(), player(protocols=(protocol, 999)), TRACKER)
    assert tree(ad.markup).get("version") == VERSIONS[protocol].name
    assert ad.protocol == protocol


def test_of_several_versions_the_newest_is_taken_and_without_any_3_0() -> None:
    assert video(protocols=(2, 7, 3)).get("version") == "4.0"
    assert video(protocols=None).get("version") == "3.0"


@pytest.mark.parametrize("protocols", [(), (1,), (5, 6, 8), (9, 10), (16,)])
def test_a_player_that_reads_none_of_our_versions_gets_nothing(protocols: tuple[int, ...]) -> None:
    ad = spots.render(video_creative(), player(protocols=protocols), TRACKER)
    assert (ad.markup, spots.admits(ad, player(protocols=protocols))) == ("", False)


def test_sound_is_not_written_in_2_0() -> None:
    assert spots.render(audio_creative(), player("audio", protocols=(2,)), TRACKER).markup == ""
    assert spots.render(audio_creative(), player("audio", protocols=(2, 3)), TRACKER).protocol == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_linear_stands_before_the_universal_id_which_only_4_has(protocol: int) -> None:
    (creative, _companions) = video(protocols=(protocol,)).iter("Creative")
    assert names(creative) == (["Linear", "UniversalAdId"] if protocol >= 7 else ["Linear"])


def test_the_order_inside_of_linear_is_that_of_the_version() -> None:
    assert names(video(protocols=(3,)).find(".//Linear")) == ["Duration", "TrackingEvents", "VideoClicks", "MediaFiles"]
    assert names(video(protocols=(13,)).find(".//Linear")) == [
        "TrackingEvents", "Duration", "MediaFiles", "VideoClicks"
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_element_is_empty_and_nothing_has_space_around_it(protocol: int) -> None:
    bare = Spot(
        duration_ms=1_500, media=(MediaFile(url="\n https://cdn.example/a.mp4 ", mime="video/mp4", width=1, height=1),)
    )
    for spot in (VIDEO, bare):
        for element in video(spot, protocols=(protocol,)).iter():
            content = element.text or ""
            assert len(element) or content, f"<{element.tag}> is empty"
            assert content == content.strip()
            assert all(value for value in element.attrib.values()), element.attrib


def test_whoever_plays_it_reports_impression_quartiles_click_and_errors() -> None:
    root = video(protocols=(13,))
    tracked = {
        each.get("event"): each.text
        for each in root.iter("Tracking")
        if each.get("event") in ("start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
    }
    assert tracked == {
        event: f"https://track.example/t/quartile/{TOKEN}?e={told}"
        for event, told in (
            ("start", "start"), ("firstQuartile", "first"), ("midpoint", "mid"), ("thirdQuartile", "third"),
            ("complete", "complete"),
        )
    }  # fmt: skip
    assert (
        root.findtext(".//Impression")
        == f"https://track.example/t/imp/{TOKEN}?p=${{AUCTION_PRICE}}&c=${{AUCTION_CURRENCY}}"
    )
    assert root.findtext(".//Error") == f"https://track.example/t/error/{TOKEN}?e=[ERRORCODE]"
    assert root.findtext(".//Viewable") == f"https://track.example/t/view/{TOKEN}?e=viewable"
    click = f"https://track.example/t/click/{TOKEN}?to=https%3A%2F%2Fshop1.example%2F"
    assert [each.text for each in root.iter("ClickThrough")] == [click]
    assert {each.text for each in root.iter("CompanionClickThrough")} == {click}


def test_sound_says_that_it_is_sound_and_is_seen_by_nobody() -> None:
    root = tree(spots.render(audio_creative(), player("audio", protocols=(11,)), TRACKER).markup)
    (ad,) = root.iter("Ad")
    (file,) = root.iter("MediaFile")
    assert ad.get("adType") == "audio"
    assert (file.get("type"), file.get("width"), file.get("height")) == ("audio/mpeg", "0", "0")
    assert root.find(".//ViewableImpression") is None
    assert root.findtext(".//Duration") == "00:00:30.500"
    assert "adType" not in spots.render(audio_creative(), player("audio", protocols=(7,)), TRACKER).markup


@pytest.mark.parametrize(("milliseconds", "written"), [
    (1, "00:00:00.001"), (15_000, "00:00:15"), (59_999, "00:00:59.999"), (3_661_000, "01:01:01"),
])  # fmt: skip
def test_durations_are_written_as_times(milliseconds: int, written: str) -> None:
    assert clock_text(milliseconds) == written


def test_what_xml_cannot_have_is_left_out() -> None:
    assert text(" a\0b\x0b\ufffe<c>&\"'\ud800 ") == "ab&lt;c&gt;&amp;&quot;&#x27;"


def test_a_place_where_nobody_can_click_has_no_click() -> None:
    markup = spots.render(video_creative(), player(can_click=False, protocols=(13,)), TRACKER).markup
    assert "/t/click/" not in markup
    assert tree(markup).find(".//VideoClicks") is None


def test_markup_of_a_companion_counts_its_clicks() -> None:
    root = video(protocols=(13,))
    assert root.findtext(".//HTMLResource") == (
        f'<a href="https://track.example/t/click/{TOKEN}?to=https%3A%2F%2Fshop1.example%2F">Heels</a>'
    )


def test_a_title_without_visible_characters_becomes_the_id() -> None:
    ad = spots.render(video_creative(name=" \x00\x01 "), player(), TRACKER)
    assert tree(ad.markup).findtext(".//AdTitle") == "1"


def test_an_identity_that_nobody_registered_is_unknown() -> None:
    spot = msgspec.structs.replace(VIDEO, universal_ad_id="", universal_ad_registry="")
    found = video(spot, protocols=(7,)).find(".//UniversalAdId")
    assert found is not None
    assert (found.text, found.attrib) == ("unknown", {"idRegistry": "unknown", "idValue": "unknown"})


def test_a_page_beside_the_player_is_handed_where_clicks_are_counted() -> None:
    page = Companion(
        width=300, height=250, frame_url="https://x.example/a?c=${CLICK_URL_ENC}&b=${CACHEBUSTER}&s=${WIDTH}x${HEIGHT}"
    )
    (shown,) = video(msgspec.structs.replace(VIDEO, companions=(page,))).iter("IFrameResource")
    click = f"https%3A%2F%2Ftrack.example%2Ft%2Fclick%2F{TOKEN}%3Fto%3Dhttps%253A%252F%252Fshop1.example%252F"
    assert shown.text == f"https://x.example/a?c={click}&b={TOKEN}&s=300x250"


def test_a_companion_alone_does_not_make_an_empty_creative() -> None:
    spot = msgspec.structs.replace(
        VIDEO, companions=(Companion(width=1, height=1, image_url="https://x.example/a.png"),)
    )
    assert len(list(video(spot).iter("Creative"))) == 1
    assert SOUND.companions == ()
