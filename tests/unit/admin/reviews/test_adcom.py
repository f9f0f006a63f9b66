import json

import pytest

from admin.reviews.adcom import AdAudit, AdCollection, AuditedAd, ad_of, decision_of, read_ads
from admin.reviews.states import ReviewState
from core.errors import UnavailableError
from tests.kit.catalogues import creative, native_creative
from tests.kit.spots import audio_creative, video_creative


def test_a_banner_is_sent_with_its_markup_and_without_what_counts() -> None:
    ad = ad_of(creative(7, 1, attributes=(3,), language="pl"), "shop.example", "https://t.example/7.png")
    assert ad == {
        "id": "7-1", "adomain": ["shop1.example"], "iurl": "https://t.example/7.png", "cat": ["IAB22"], "cattax": 1,
        "lang": "pl", "attr": [3], "secure": 1,
        "display": {
            "w": 300, "h": 250, "ctype": 1, "mime": "text/html", "adm": '<a href="https://shop1.example/">buy</a>'
        },
    }  # fmt: skip


def test_a_picture_is_sent_as_one() -> None:
    ad = ad_of(creative(7, 1, html="", image_url="https://cdn.example/a.png", advertiser_domain=""), "a.example", "x")
    assert ad["adomain"] == ["a.example"]
    assert ad["display"]["banner"] == {
        "img": "https://cdn.example/a.png", "link": {"url": "https://shop1.example/"}
    }  # fmt: skip


def test_all_assets_of_a_native_ad_are_sent_with_their_types() -> None:
    native = ad_of(native_creative(7, 1), "a.example", "x")["display"]["native"]
    assert native["link"] == {"url": "https://shop1.example/"}
    shown = [{name: value for name, value in asset.items() if name != "id"} for asset in native["asset"]]
    assert {"title": {"text": "Szpilki"}} in shown
    assert {"image": {"url": "https://cdn.example/icon.png", "w": 100, "h": 100, "type": 1}} in shown
    assert {"data": {"value": "219,00 zł", "type": 6}} in shown
    assert [asset["id"] for asset in native["asset"]] == list(range(1, len(shown) + 1))


def test_a_spot_is_sent_with_its_files() -> None:
    video = ad_of(video_creative(), "a.example", "x")["video"]
    assert video["dur"] > 0
    assert {file["mime"] for file in video["ext"]["media"]} == set(video["mime"])
    assert "audio" in ad_of(audio_creative(), "a.example", "x")


@pytest.mark.parametrize(
    ("status", "feedback", "state", "reason"),
    [
        (1, None, ReviewState.PENDING, ""),
        (2, None, ReviewState.APPROVED, ""),
        (3, ["fine"], ReviewState.APPROVED, ""),
        (4, ["too loud", "no brand"], ReviewState.REJECTED, "too loud; no brand"),
        (4, "too loud", ReviewState.REJECTED, "too loud"),
        (4, None, ReviewState.REJECTED, "no reason was given"),
        (5, None, ReviewState.REJECTED, "it changed in a way that needs another submission"),
        (6, None, ReviewState.EXPIRED, ""),
        (501, None, ReviewState.PENDING, ""),
    ],
)
def test_every_status_is_read(status: int, feedback: list[str] | str | None, state: ReviewState, reason: str) -> None:
    found = decision_of(AuditedAd("7-1", AdAudit(status, feedback)))
    assert (found.reference, found.state, found.reason) == ("7-1", state, reason)


def test_an_answer_is_read_whatever_else_is_in_it() -> None:
    body = json.dumps({"count": 1, "more": 0, "nextPage": None, "ads": [{"id": 12, "audit": {"status": 3, "x": 1}}]})
    assert read_ads(body.encode()) == AdCollection([AuditedAd(12, AdAudit(3))])
    for broken in (b"", b"<html>", b'{"ads":[{}]}', b"\xff"):
        with pytest.raises(UnavailableError):
            read_ads(broken)
