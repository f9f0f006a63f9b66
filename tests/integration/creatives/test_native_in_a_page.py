"""Our native ads as Prebid's universal creative renders them in Chromium."""

import json
from typing import Any

import pytest

from core.model import NativeAssets
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import NATIVE, catalogue, line_item, native_creative
from tests.kit.openrtb import native_imp, raw_request
from tests.kit.peers import ask_peer

pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow]

ASSETS = [
    {"id": 1, "required": 1, "title": {"len": 90}},
    {"id": 2, "required": 1, "img": {"type": 3, "w": 600, "h": 600}},
    {"id": 3, "img": {"type": 1, "wmin": 50, "hmin": 50}},
    {"id": 4, "data": {"type": 1}},
    {"id": 5, "data": {"type": 6}},
    {"id": 6, "data": {"type": 12}},
]
TRACKERS = [{"event": 1, "methods": [1]}]
HOSTILE = '<script>document.title="taken"</script>"\u2028'


def markup(native: NativeAssets, **request: object) -> str:
    """The markup of a bid."""
    bidder = TestBidder(catalogue(line_item(1), creatives=(native_creative(1, 1, native=native),)))
    imp = native_imp({"ver": "1.2", "assets": ASSETS, "eventtrackers": TRACKERS, **request})
    (bid,) = bids_of(bidder.answer(raw_request(imp=[{"id": "1", "native": imp, "secure": 1}], regs={"gdpr": 0})))
    return str(bid["adm"])


@pytest.fixture(scope="module")
def pages() -> list[dict[str, Any]]:
    """What was seen of an ad, and of one whose texts would break out if they could."""
    hostile = NativeAssets(titles=("Szpilki",), images=NATIVE.images, sponsored=HOSTILE, price="1 < 2 & 3")
    answers = ask_peer("native", "render.mjs", [markup(NATIVE), markup(hostile)])
    assert isinstance(answers, list)
    return answers


def test_all_assets_are_seen(pages: list[dict[str, Any]]) -> None:
    page = pages[0]
    assert page["text"] == {
        "title": NATIVE.titles[1],
        "brand": "Szpilka",
        "price": "219,00 zł",
        "cta": "Kup teraz",
    }
    assert {"https://cdn.example/square.jpg", "https://cdn.example/icon.png"} <= set(page["pictures"])
    assert page["faults"] == []


def test_the_impression_is_counted_once_and_a_click_lands(pages: list[dict[str, Any]]) -> None:
    page = pages[0]
    paths = [url.removeprefix("https://track.example").split("/")[:3] for url in page["trackers"]]
    assert paths == [["", "t", "imp"], ["", "t", "click"]]
    assert page["landed"] == ["https://shop1.example/"]


def test_assets_that_the_creative_lacks_stay_empty(pages: list[dict[str, Any]]) -> None:
    assert pages[1]["text"]["cta"] == ""


def test_the_answer_is_json_that_holds_every_text_as_it_is() -> None:
    hostile = NativeAssets(titles=("Szpilki",), images=NATIVE.images, sponsored=HOSTILE)
    told = {asset["id"]: asset for asset in json.loads(markup(hostile))["assets"]}
    assert told[4] == {"id": 4, "data": {"type": 1, "value": HOSTILE}}
