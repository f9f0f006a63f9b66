"""Creatives against a server that serves them well, heavily, in circles, as something else, or not at all."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.model import NativeAssets, Picture
from core.spot import Companion, MediaFile, Spot
from creatives.scanning.loaded import MAX_BANNER_BYTES, CreativeScanner, ScanReport
from tests.kit.catalogues import creative, native_creative
from tests.kit.media import picture
from tests.kit.spots import video_creative

TRACK = "https://track.example"


async def _hop(request: web.Request) -> web.Response:
    left = int(request.match_info["left"])
    raise web.HTTPFound(f"/hop/{left - 1}" if left else "/fine.png")


async def _file(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    bodies = {
        "fine.png": (picture(), "image/png"), "heavy.png": (b"x" * MAX_BANNER_BYTES * 2, "image/png"),
        "page.png": (b"<html>", "text/html"), "landing": (b"<html>", "text/html"), "a.mp4": (b"x" * 99, "video/mp4"),
    }  # fmt: skip
    if name not in bodies:
        raise web.HTTPNotFound
    body, mime = bodies[name]
    return web.Response(body=body, content_type=mime)


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Its address, on loopback: pages may load from there without TLS."""
    app = web.Application()
    app.add_routes([web.get("/hop/{left}", _hop), web.get("/{name}", _file)])
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def scanned(site: str, image: str, landing: str = "landing", privacy: str = "landing") -> ScanReport:
    ad = creative(
        7, 1, html="", image_url=f"{site}/{image}", landing_url=f"{site}/{landing}", advertiser_domain="127.0.0.1",
        privacy_url=f"{site}/{privacy}" if privacy else "",
    )  # fmt: skip
    return await CreativeScanner(TRACK, allow_private=True).scan(ad, "")


def codes(report: ScanReport) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in report.findings]


async def test_a_creative_that_is_as_it_says_has_no_findings(site: str) -> None:
    report = await scanned(site, "fine.png")
    assert codes(report) == []
    assert report.bytes == len(picture())
    assert [(file.pointer, file.status, file.mime) for file in report.files] == [
        ("/image_url", 200, "image/png"), ("/landing_url", 200, "text/html")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("heavy.png", [("", "weight")]),
        ("page.png", [("/image_url", "other_type")]),
        ("gone.png", [("/image_url", "broken")]),
        ("hop/2", []),
        ("hop/4", [("/image_url", "redirects")]),
        ("hop/50", [("/image_url", "broken"), ("/image_url", "redirects")]),
    ],
)
async def test_each_fault_of_a_file_is_found(site: str, image: str, expected: list[tuple[str, str]]) -> None:
    assert codes(await scanned(site, image)) == expected


async def test_what_the_markup_names_is_loaded_and_weighed(site: str) -> None:
    async def found(markup: str) -> tuple[list[tuple[str, str]], list[str]]:
        ad = creative(
            7, 1, html=f'<a href="${{CLICK_URL}}">x</a>{markup}', landing_url=f"{site}/landing",
            advertiser_domain="127.0.0.1", privacy_url=f"{site}/landing",
        )  # fmt: skip
        report = await CreativeScanner(TRACK, allow_private=True).scan(ad, "")
        return codes(report), [file.url for file in report.files if file.pointer == "/html"]

    fine = f"{site}/fine.png"
    assert await found(f'<img src="{fine}?w=${{WIDTH}}">') == ([], [f"{fine}?w=300"])
    assert await found(f"<img src={fine}><div style=\"background:url('{fine}')\"></div>") == ([], [fine])
    assert await found(f'<img\nsrc="{site}/heavy.png"><a href="{site}/gone">x</a>') == (
        [("", "weight")],
        [f"{site}/heavy.png"],
    )
    assert (await found(f"<video poster='{site}/gone.png' src='{site}/hop/4'>"))[0] == [
        ("/attributes", "undeclared_video"), ("/html", "broken"), ("/html", "redirects"),
    ]  # fmt: skip
    assert (await found('<script src="//gone.invalid/x.js"></script>'))[1] == ["https://gone.invalid/x.js"]


async def test_the_page_behind_the_sign_is_there(site: str) -> None:
    assert codes(await scanned(site, "fine.png", privacy="")) == [("/privacy_url", "no_privacy_page")]
    assert codes(await scanned(site, "fine.png", privacy="gone")) == [("/privacy_url", "broken")]


async def test_a_click_ends_at_the_advertised_domain(site: str) -> None:
    there = site.replace("127.0.0.1", "localhost")
    ad = creative(
        7,
        1,
        html="",
        image_url=f"{site}/fine.png",
        landing_url=f"{there}/hop/1",
        advertiser_domain="localhost",
        privacy_url=f"{site}/landing",
    )
    assert codes(await CreativeScanner(TRACK, allow_private=True).scan(ad, "")) == []
    other = creative(
        7, 1, html="", image_url=f"{site}/fine.png", landing_url=f"{site}/hop/1", advertiser_domain="shop.example"
    )
    found = await CreativeScanner(TRACK, allow_private=True).scan(other, "")
    assert ("/landing_url", "other_domain") in codes(found)


async def test_files_of_a_spot_are_what_is_declared(site: str) -> None:
    media = (MediaFile(url=f"{site}/a.mp4", mime="video/webm", width=640, height=360),)
    ad = video_creative(spot=Spot(duration_ms=1_000, media=media), landing_url=f"{site}/landing",
                        advertiser_domain="127.0.0.1", privacy_url=f"{site}/landing")  # fmt: skip
    assert codes(await CreativeScanner(TRACK, allow_private=True).scan(ad, "")) == [
        ("/video/media/0/url", "other_type")
    ]


async def test_small_pictures_and_what_stands_beside_a_player_are_loaded_too(site: str) -> None:
    pages: dict[str, Any] = {
        "landing_url": f"{site}/landing",
        "advertiser_domain": "127.0.0.1",
        "privacy_url": f"{site}/landing",
    }
    media = (MediaFile(url=f"{site}/a.mp4", mime="video/mp4", width=640, height=360),)
    beside = (Companion(width=300, height=250, image_url=f"{site}/gone.png"),)
    video = video_creative(spot=Spot(duration_ms=1_000, media=media, companions=beside), **pages)
    assets = NativeAssets(titles=("Heels",), icon=Picture(f"{site}/gone.png", 80, 80))
    native = native_creative(8, 1, native=assets, **pages)
    for ad, pointer in ((video, "/video/companions/0"), (native, "/native/icon/url")):
        assert codes(await CreativeScanner(TRACK, allow_private=True).scan(ad, "")) == [(pointer, "broken")]


async def test_nothing_inside_our_network_is_called(site: str) -> None:
    ad = creative(7, 1, html="", image_url=f"{site}/fine.png", landing_url="http://10.0.0.1/")
    report = await CreativeScanner(TRACK).scan(ad, "")
    assert {file.status for file in report.files} == {0}
    assert all("private" in file.problem for file in report.files)
