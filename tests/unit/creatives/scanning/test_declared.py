from typing import Any

import msgspec
import pytest

from core.model import Creative, Picture
from core.spot import Companion, Verification
from creatives.scanning.declared import findings, is_same_site
from tests.kit.catalogues import NATIVE, creative, native_creative
from tests.kit.spots import FILES, VIDEO, video_creative


def codes(one: Creative) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in findings(one, "shop1.example")]


def banner(markup: str = "", **members: Any) -> Creative:  # noqa: ANN401 - a creative's
    return creative(1, 1, html=f'<a href="${{CLICK_URL}}">x</a>{markup}', **members)


def test_what_says_what_it_is_has_no_findings() -> None:
    for one in (banner(), native_creative(2, 1), video_creative()):
        assert codes(one) == []


@pytest.mark.parametrize(
    ("markup", "attribute", "code"),
    [
        ("<video autoplay src=x>", 6, "undeclared_video"),
        ("<VIDEO src=x controls>", 7, "undeclared_video"),
        ("<script>document.createElement( 'video')</script>", 6, "undeclared_video"),
        ("<script>new Audio('x').play()</script>", 1, "undeclared_audio"),
        ("<script>mraid.expand('x')</script>", 4, "undeclared_expansion"),
        ("<script>alert(1)</script>", 8, "undeclared_pop_up"),
    ],
)
def test_what_plays_expands_or_pops_up_is_declared(markup: str, attribute: int, code: str) -> None:
    apis = (3,) if "mraid" in markup else ()
    assert codes(banner(markup, apis=apis)) == [("/attributes", code)]
    assert codes(banner(markup, apis=apis, attributes=(attribute,))) == []


def test_markup_for_apps_says_so() -> None:
    assert codes(banner('<script src="mraid.js"></script>')) == [("/apis", "undeclared_api")]


@pytest.mark.parametrize(
    ("one", "pointer"),
    [
        (banner('<img src="http://cdn.example/a.png">'), "/html"),
        (banner('<script>load("http:\\/\\/cdn.example")</script>'), "/html"),
        (creative(1, 1, html="", image_url="http://cdn.example/a.png"), "/image_url"),
        (creative(1, 1, html="", frame_url="http://cdn.example/?c=${CLICK_URL_ENC}"), "/frame_url"),
    ],
)
def test_an_address_without_tls_is_pointed_at(one: Creative, pointer: str) -> None:
    assert codes(one) == [(pointer, "insecure")]


def test_so_is_one_among_assets_and_files() -> None:
    native = msgspec.structs.replace(NATIVE, icon=Picture("http://cdn.example/i.png", 9, 9))
    assert codes(native_creative(1, 1, native=native)) == [("/native/icon/url", "insecure")]
    file = msgspec.structs.replace(FILES[0], url="http://cdn.example/a.mp4")
    spot = msgspec.structs.replace(VIDEO, media=(FILES[1], file))
    assert codes(video_creative(spot=spot)) == [("/video/media/1/url", "insecure")]
    assert (
        codes(creative(1, 1, html="", image_url="http://127.0.0.1:8081/a.png")) == []
    )  # pages may load this machine's


def test_so_is_what_stands_beside_a_player_and_what_measures() -> None:
    beside = (
        Companion(width=300, height=250, image_url="http://cdn.example/a.png"),
        Companion(width=300, height=250, html='<video src="http://cdn.example/a.mp4"></video>'),
    )
    scripts = (Verification(vendor="a.example-omid", url="http://cdn.example/a.js"),)
    spot = msgspec.structs.replace(VIDEO, companions=beside, verifications=scripts)
    assert codes(video_creative(spot=spot)) == [
        ("/video/companions/0", "insecure"), ("/video/companions/1", "insecure"),
        ("/video/verifications/0", "insecure"), ("/attributes", "undeclared_video"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "domain", "same"),
    [
        ("shop1.example", "shop1.example", True),
        ("m.shop1.example", "www.shop1.example", True),
        ("shop.com.pl", "m.shop.com.pl", True),
        ("shop.com.pl", "other.com.pl", False),
        ("evil-shop1.example", "shop1.example", False),
        ("żółw.pl", "xn--w-uga1v8h.pl", True),
        ("XN--W-UGA1V8H.pl", "www.żółw.pl", True),
        ("żółw.pl", "zolw.pl", False),
    ],
)
def test_a_site_is_what_is_registered(host: str, domain: str, same: bool) -> None:
    assert is_same_site(host, domain) is same


def test_the_landing_page_belongs_to_the_advertised_domain() -> None:
    assert codes(banner(landing_url="https://other.example/")) == [("/landing_url", "other_domain")]
    assert codes(banner(landing_url="https://a.shop1.example/", advertiser_domain="")) == []
