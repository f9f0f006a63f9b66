"""Our VAST as @dailymotion/vast-client reads it, which is the parser of many players."""

from typing import Any

import pytest

from creatives.formats import spots
from creatives.formats.vast import VERSIONS
from creatives.macros import TOKEN
from tests.kit.peers import ask_peer
from tests.kit.spots import TRACKER, audio_creative, player, video_creative

T = "https://track.example/t"


@pytest.fixture(scope="module")
def read() -> dict[tuple[str, int], dict[str, Any]]:
    """What the parser found in each document: by kind and protocol."""
    wanted = [("video", each) for each in VERSIONS] + [("audio", each) for each in VERSIONS if each != 2]
    documents = [
        spots.render(
            video_creative(name="Heels <& boots>") if kind == "video" else audio_creative(),
            player(kind, protocols=(protocol,)),
            TRACKER,
        ).markup.replace(TOKEN, "TOK")
        for kind, protocol in wanted
    ]
    answers = ask_peer("vast", "read.mjs", documents)
    assert isinstance(answers, list)
    return dict(zip(wanted, answers, strict=True))


def ad(found: dict[str, Any]) -> dict[str, Any]:
    assert found["faults"] == []
    (one,) = found["ads"]
    return dict(one)


@pytest.mark.parametrize("protocol", VERSIONS)
def test_a_player_finds_all_of_a_video(read: dict[tuple[str, int], dict[str, Any]], protocol: int) -> None:
    answer = read["video", protocol]
    found = ad(answer)
    assert answer["version"] == VERSIONS[protocol].name
    assert found["title"] == "Heels <& boots>"
    assert found["duration"] == 15
    assert found["skipDelay"] in ((5,) if protocol != 2 else (None, -1))
    assert found["media"] == [
        ["https://cdn.example/360.mp4?v=1&q=2", "video/mp4", 640, 360, 800, "progressive"],
        ["https://cdn.example/heels-720.mp4", "video/mp4", 1280, 720, 2500, "progressive"],
        ["https://cdn.example/heels-720.webm", "video/webm", 1280, 720, 2000, "progressive"],
    ]
    assert [each[:2] for each in found["companions"]] == [["300", "250"], ["728", "90"], ["320", "50"]]
    assert {each[5] for each in found["companions"]} == {f"{T}/click/TOK?to=https%3A%2F%2Fshop1.example%2F"}
    (script,) = found["verifications"]
    assert (script["vendor"], script["resource"]) == ("meter.example-omid", "https://meter.example/omid.js")


@pytest.mark.parametrize("protocol", VERSIONS)
def test_a_player_reports_each_event_once(read: dict[tuple[str, int], dict[str, Any]], protocol: int) -> None:
    found = ad(read["video", protocol])
    assert found["called"][:-1] == [
        [url, macros]
        for url, macros in (
            (f"{T}/imp/TOK?p=${{AUCTION_PRICE}}&c=${{AUCTION_CURRENCY}}", found["called"][0][1]),
            *((f"{T}/quartile/TOK?e={event}", {}) for event in ("start", "first", "mid", "third", "complete")),
        )
    ]
    assert found["called"][-1] == [f"{T}/error/TOK?e=[ERRORCODE]", {"ERRORCODE": "405"}]
    assert found["clicked"] == f"{T}/click/TOK?to=https%3A%2F%2Fshop1.example%2F"


@pytest.mark.parametrize("protocol", [each for each in VERSIONS if each != 2])
def test_a_player_finds_all_of_a_sound(read: dict[tuple[str, int], dict[str, Any]], protocol: int) -> None:
    found = ad(read["audio", protocol])
    assert found["duration"] == 30.5
    assert [file[:2] for file in found["media"]] == [["https://cdn.example/heels.mp3", "audio/mpeg"]]
    assert found["adType"] == ("audio" if protocol >= 11 else None)
