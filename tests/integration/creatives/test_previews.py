"""Pictures of creatives: asked for, made by a real Chromium through the gate, kept, served; what the gate refuses."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from core.model import Creative
from core.telemetry.metrics import Telemetry
from creatives.preview.browser import PreviewBrowser, find_program, own_address
from creatives.preview.gate import WayOut
from creatives.preview.loop import PreviewLoop
from creatives.preview.page import preview_name, preview_path
from creatives.preview.store import PreviewStore
from creatives.preview.web import preview_routes
from tests.kit.catalogues import creative, native_creative

RED = creative(1, 1, html='<a href="${CLICK_URL}" style="display:block;width:300px;height:250px;background:#f00"></a>')
# It looks for what only we can reach: another service of this machine, and who we are.
SPY = '<a href="${CLICK_URL}">x</a><script>document.body.style.background="#0f0";fetch("PLACE")</script>'


class Site:
    """The tracker with these creatives, and what runs beside it."""

    def __init__(self, url: str, store: PreviewStore, creatives: list[Creative]) -> None:
        self.url, self.store, self.creatives = url, store, creatives
        self.telemetry = Telemetry()

    def loop(self, program: str | None) -> PreviewLoop:
        browser = PreviewBrowser(program, own_address(self.url)) if program else None
        return PreviewLoop(self.store, self._all, browser, self.url, self.telemetry)

    async def _all(self) -> Sequence[Creative]:
        await asyncio.sleep(0)
        return self.creatives

    async def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status, dict(answer.headers), await answer.read()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store, creatives = PreviewStore(tmp_path / "previews"), [RED, native_creative(2, 1)]
    app = web.Application()
    app.add_routes(preview_routes(store, lambda number: next((one for one in creatives if one.id == number), None)))
    server = TestServer(app)
    await server.start_server()
    yield Site(str(server.make_url("")).rstrip("/"), store, creatives)
    await server.close()


def colour(picture: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(picture)) as image:
        found = image.convert("RGB").getpixel((150, 125))
    assert isinstance(found, tuple)
    return tuple(int(part) for part in found)


@pytest.mark.needs_package("chromium")
@pytest.mark.parametrize("size", [(728, 90), (320, 100), (320, 50)])
async def test_a_low_banner_is_pictured_down_to_its_last_line(tmp_path: Path, size: tuple[int, int]) -> None:
    page = tmp_path / "ad.html"
    page.write_text(
        "<style>body{margin:0;overflow:hidden;background:#fff}div{height:100px;background:#f00}</style><div>"
    )
    program = find_program()
    assert program is not None
    picture = None
    for _ in range(2):  # a Chromium that hangs on a busy machine is ended after a minute, and the loop asks anew
        picture = picture or await PreviewBrowser(program, ("", 0)).picture(page.as_uri(), size)
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == size
        assert image.convert("RGB").getpixel((size[0] // 2, size[1] - 2)) == (255, 0, 0)


async def test_a_card_stands_in_until_the_picture_was_asked_for(site: Site) -> None:
    status, headers, body = await site.get(preview_path(RED))
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=60")
    with Image.open(io.BytesIO(body)) as image:
        assert image.size == (300, 250)
    assert site.store.wanted() == [preview_name(RED)]
    await site.loop(None).step()  # no browser on this machine
    assert site.store.wanted() == []


async def test_only_who_knows_a_creative_finds_its_page(site: Site) -> None:
    name = preview_name(RED)
    assert (await site.get(f"/preview/{name}"))[0] == 200
    for wrong in (f"1-1-{'0' * 24}", name.replace("1-1", "1-2"), "1", "x", f"9{name}"):
        assert (await site.get(f"/preview/{wrong}"))[0] == 404
        assert (await site.get(f"/preview/{wrong}.png"))[0] == 404
    _status, headers, body = await site.get(f"/preview/{name}/ad")
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert b"background:#f00" in body


async def test_pictures_of_old_versions_go(site: Site) -> None:
    site.store.want(preview_name(RED))
    site.store.keep(preview_name(RED), b"png")
    site.creatives.pop(0)
    assert site.store.tidy({preview_name(each) for each in site.creatives}) == 1
    assert site.store.find(preview_name(RED)) is None


@pytest.mark.needs_package("chromium")
@pytest.mark.slow
@pytest.mark.timeout(150)  # Chromium gives way to everybody else
async def test_each_picture_is_made_once_and_never_changes(site: Site) -> None:
    loop = site.loop(find_program())
    await site.get(preview_path(RED))
    await loop.step()
    status, headers, body = await site.get(preview_path(RED))
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (
        200, "image/png", "public, max-age=31536000, immutable"
    )  # fmt: skip
    assert colour(body) == (255, 0, 0)
    assert site.store.wanted() == []


@pytest.mark.needs_package("chromium")
@pytest.mark.slow
@pytest.mark.timeout(150)  # Chromium gives way to everybody else
async def test_an_ad_reaches_nothing_of_ours_while_it_is_rendered(site: Site) -> None:
    called: list[str] = []

    async def secret(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response(text=json.dumps({"secret": 1}), headers={"Access-Control-Allow-Origin": "*"})

    inside = web.Application()
    inside.add_routes([web.get("/{path:.*}", secret)])
    server = TestServer(inside)
    await server.start_server()
    spy = creative(3, 1, html=SPY.replace("PLACE", str(server.make_url("/keys"))))
    site.creatives.append(spy)
    site.store.want(preview_name(spy))
    await site.loop(find_program()).step()
    path = site.store.find(preview_name(spy))
    assert path is not None
    assert colour(path.read_bytes()) == (0, 255, 0)
    assert called == []
    await server.close()


@pytest.mark.parametrize(
    ("target", "status"),
    [("127.0.0.1:{port}", 403), ("localhost:443", 0), ("10.0.0.1:443", 0), ("[::1]:443", 0), ("169.254.169.254:80", 0)],
)
async def test_the_gate_leads_nowhere_inside(site: Site, target: str, status: int) -> None:
    async with WayOut(("track.example", 443)) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        port = own_address(site.url)[1]
        writer.write(f"CONNECT {target.format(port=port)} HTTP/1.1\r\n\r\n".encode())
        answer = await reader.read(64)
        assert answer.startswith(f"HTTP/1.1 {status}".encode()) if status else answer == b""
        writer.close()


async def test_the_gate_leads_to_our_tracker(site: Site) -> None:
    async with WayOut(own_address(site.url)) as gate, aiohttp.ClientSession() as session:
        url = f"{site.url}/preview/{preview_name(RED)}"
        async with session.get(url, proxy=f"http://127.0.0.1:{gate.port}") as answer:
            assert (answer.status, "iframe" in await answer.text()) == (200, True)
