"""Banners of the demo's shops and of every kind, each in a sandboxed frame of a page, in Chromium."""

from typing import Any

import pytest

from admin.seed.ads import Look, creatives
from core.model import Creative
from creatives.formats.banner import FORMAT
from creatives.formats.offer import Offer
from creatives.macros import TOKEN, Tracker
from tests.kit.catalogues import creative
from tests.kit.peers import ask_peer

# Each banner is looked at for a second, and the first test waits for all of them.
pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow, pytest.mark.timeout(360)]

LOOK = Look(
    "Szpilka & Co", "Buty, które <lubią> tańczyć", "do -40%", "👠", "#fde8ef", "#c2185b", "szpilka.example", ("IAB18",)
)
LANDING = "https://shop1.example/"
IMAGE = creative(101, 1, html="", image_url="https://cdn.example/a.png", alt_text='"boots" <&>', privacy_url=LANDING)
FRAME = creative(102, 1, html="", frame_url="https://cdn.example/ad.html?click=${CLICK_URL_ENC}&n=${CACHEBUSTER}")
TAG = creative(
    103, 1, html='<script src="https://adserver.example/tag.js?click=${CLICK_URL_ENC}&amp;n=${CACHEBUSTER}"></script>'
)
APP = creative(
    104,
    1,
    html=(
        '<button id="app" type="button" data-to="${CLICK_URL}" style="width:300px;height:250px">buy</button><script>'
        'document.getElementById("app").addEventListener("click",function(){mraid.open(this.dataset.to)})</script>'
    ),
    apis=(5,),
)
SAFE = creative(
    105,
    1,
    html=(
        '<a href="${CLICK_URL}" target="_blank" style="display:block;width:300px;height:250px">buy</a>'
        "<script>$sf.ext.register(${WIDTH},${HEIGHT})</script>"
    ),
)
BROKEN = creative(106, 1, html="", image_url="https://broken.example/a.png", alt_text="boots")
OWN = tuple(each for each in creatives(1, 1, LOOK) if each.template is None)  # the others load a page of the tracker
ALL = (*OWN, IMAGE, FRAME, TAG, APP, SAFE, BROKEN)


@pytest.fixture(scope="module")
def pages() -> dict[int, dict[str, Any]]:
    """What was seen of each banner, by its id."""
    clicks = {APP.id: "app", BROKEN.id: "nowhere"}
    asked = [
        {"markup": markup_of(each), "width": each.width, "height": each.height, "click": clicks.get(each.id, "page")}
        for each in ALL
    ]
    answers = ask_peer("html", "show.mjs", asked, timeout_s=240)
    assert isinstance(answers, list)
    return dict(zip([each.id for each in ALL], answers, strict=True))


def markup_of(ad: Creative) -> str:
    offer = Offer("banner", ((ad.width, ad.height),))
    return FORMAT.render(ad, offer, Tracker("https://track.example")).markup.replace(TOKEN, "t" * 148)


@pytest.mark.parametrize("ad", [*OWN, IMAGE, FRAME, TAG, SAFE], ids=lambda ad: f"{ad.id}-{ad.width}x{ad.height}")
def test_a_banner_is_seen_whole_counted_once_and_left_by_one_click(ad: Creative, pages: dict[int, Any]) -> None:
    page = pages[ad.id]
    assert page["faults"] == []
    assert not page["overflows"]
    assert sorted(page["trackers"]) == ["click", "imp", "view"]
    assert page["landed"] == [ad.landing_url]


@pytest.mark.parametrize("ad", ALL, ids=lambda ad: f"{ad.id}-{ad.width}x{ad.height}")
def test_its_markup_is_valid(ad: Creative, pages: dict[int, Any]) -> None:
    assert pages[ad.id]["invalid"] == []


def test_an_app_is_asked_once_to_open_the_landing_page(pages: dict[int, Any]) -> None:
    page = pages[APP.id]
    assert (page["faults"], page["landed"]) == ([], [])
    (opened,) = page["opened"]
    assert opened.startswith("https://track.example/t/click/")


def test_a_safe_frame_is_told_the_size(pages: dict[int, Any]) -> None:
    assert pages[SAFE.id]["registered"] == [300, 250]


def test_a_picture_that_cannot_be_loaded_is_reported(pages: dict[int, Any]) -> None:
    assert "error" in pages[BROKEN.id]["trackers"]
