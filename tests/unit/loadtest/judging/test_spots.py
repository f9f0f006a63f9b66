"""The exchange's judge of video and audio: a right bid passes, each wrong one is named."""

from typing import Any

import pytest

from creatives.formats import spots as own
from creatives.macros import TOKEN
from loadtest.exchange.markup import links_of
from loadtest.judging.spots import SpotBid, check_spot
from loadtest.traffic.facts import AUDIO, VIDEO, SpotFacts, facts_of
from tests.kit.spots import TRACKER, audio_creative, player, video_creative

Json = dict[str, Any]

PLAYER: Json = {
    "mimes": ["video/mp4", "video/webm"], "minduration": 5, "maxduration": 30, "protocols": [3, 13], "api": [7]
}  # fmt: skip


def facts(code: int = VIDEO, **player_members: Any) -> SpotFacts:  # noqa: ANN401 - of every member its own type
    name = "video" if code == VIDEO else "audio"
    members = PLAYER | player_members if code == VIDEO else {"mimes": ["audio/mpeg"], "maxduration": 60}
    return facts_of({"id": "r", "imp": [{"id": "1", name: members}]}).impressions["1"].spots[code]


def bid(**members: Any) -> SpotBid:  # noqa: ANN401 - of every member its own type
    ad = own.render(video_creative(), player(protocols=(13,)), TRACKER)
    told = {
        "adm": ad.markup.replace(TOKEN, "tok"), "dur": ad.seconds, "protocol": ad.protocol,
        "attr": list(ad.attributes), "apis": list(ad.frameworks),
    }  # fmt: skip
    return SpotBid(**(told | members))


def kinds(player_facts: SpotFacts, judged: SpotBid) -> list[str]:
    return sorted({violation.kind for violation in check_spot(player_facts, judged)})


@pytest.mark.parametrize("protocol", [2, 3, 7, 11, 13])
def test_a_right_video_passes(protocol: int) -> None:
    ad = own.render(video_creative(), player(protocols=(protocol,)), TRACKER)
    judged = bid(
        adm=ad.markup.replace(TOKEN, "tok"), protocol=protocol, attr=list(ad.attributes), apis=list(ad.frameworks)
    )
    assert kinds(facts(protocols=[protocol]), judged) == []


def test_a_right_sound_passes() -> None:
    ad = own.render(audio_creative(), player("audio", protocols=(11,)), TRACKER)
    judged = bid(adm=ad.markup, dur=31, protocol=11, attr=None, apis=None)
    assert kinds(facts(AUDIO), judged) == []
    assert kinds(facts(AUDIO, mimes=["audio/mp3"]), judged) == []  # as some call audio/mpeg


@pytest.mark.parametrize("mimes", [["audio/ogg", "video/*"], ["*/*"]])
def test_a_player_may_name_a_whole_kind_of_types(mimes: list[str]) -> None:
    assert kinds(facts(mimes=mimes), bid()) == []


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"protocols": [3]}, "vast-version"),
        ({"mimes": ["video/mp4"]}, "media-type"),
        ({"maxduration": 10}, "duration"),
        ({"minduration": 20}, "duration"),
        ({"rqddurs": [6, 30]}, "duration"),
        ({"battr": [16]}, "blocked-attribute"),
        ({"api": []}, "framework"),
    ],
)
def test_what_the_player_does_not_take_is_a_violation(asked: Json, kind: str) -> None:
    assert kinds(facts(**asked), bid()) == [kind]


def test_an_extended_spot_is_none() -> None:
    assert kinds(facts(maxduration=10, maxextended=5), bid()) == []
    assert kinds(facts(maxduration=10, maxextended=-1), bid()) == []


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("<VAST ", "<!DOCTYPE VAST><VAST ", "vast"),
        ("</VAST>", "", "vast"),
        ("Impression>", "Impresion>", "vast"),
        (">https://cdn.example/heels-720.mp4", "> https://cdn.example/heels-720.mp4", "vast"),
        ("<AdSystem>Grosz</AdSystem>", "<AdSystem/>", "vast"),
        ('event="midpoint"', 'event="mute"', "vast"),
        ('skipoffset="00:00:05"', "", "vast"),
        ("00:00:15", "15", "duration"),
        ("00:00:15", "00:00:25", "duration"),
        ('VAST version="4.2"', 'VAST version="4.1"', "vast-version"),
    ],
)
def test_what_is_wrong_in_the_document_is_a_violation(old: str, new: str, kind: str) -> None:
    markup = str(bid().adm)
    assert old in markup
    assert kinds(facts(), bid(adm=markup.replace(old, new))) == [kind]


def test_pixels_and_clicks_of_vast_are_found_without_their_escapes() -> None:
    links = links_of(str(bid().adm), lambda url: url.startswith("https://track.example/"))
    assert links.pixels == ("https://track.example/t/imp/tok?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}",)
    assert links.click == "https://track.example/t/click/tok?to=https%3A%2F%2Fshop1.example%2F"
    told = ("start", "first", "mid", "third", "complete")
    assert links.events == tuple(f"https://track.example/t/quartile/tok?e={event}" for event in told)
