"""`/i/`: pictures of feeds from a real server, and from nowhere else."""

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from core.network import outgoing
from core.telemetry.metrics import Telemetry
from creatives.pictures.fetching import PictureProxy
from creatives.pictures.keeping import PictureFolder
from creatives.pictures.scaling import MAX_BYTES, ScaleInChild
from creatives.pictures.web import WantedPicture, picture_routes
from pacing.notices.tokens import TokenSigner

SIGNER = TokenSigner({1: b"k" * 32})


def png(width: int = 100, height: int = 400) -> bytes:
    out = io.BytesIO()
    Image.new("L" if width > 1_000 else "RGB", (width, height), "teal" if width <= 1_000 else 128).save(out, "PNG")
    return out.getvalue()


class ShopServer:
    """A shop's pictures, and how often they were asked for."""

    def __init__(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.asked = 0
        self.target = ""
        app = web.Application()
        app.router.add_get("/{name}", self.answer)
        self.server = TestServer(app, host=host, port=port)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        await asyncio.sleep(0.05)
        match request.match_info["name"]:
            case "good.png":
                # Each picture by a connection of its own, so that its name is resolved anew.
                return web.Response(body=png(), content_type="text/plain", headers={"Connection": "close"})
            case "svg.png":
                return web.Response(body=b"<svg xmlns='http://www.w3.org/2000/svg'/>", content_type="image/png")
            case "scripted.svg":
                body = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
                return web.Response(body=body, content_type="image/svg+xml")
            case "huge.png":
                return web.Response(body=png() + b"\0" * MAX_BYTES, content_type="image/png")
            case "endless.png":  # whose length nobody says
                answer = web.StreamResponse(headers={"Content-Type": "image/png"})
                await answer.prepare(request)
                with contextlib.suppress(ConnectionError):
                    while True:
                        await answer.write(png() + b"\0" * 1_048_576)
                return answer
            case "camera.png":  # 41 megapixels in some 50 KiB
                return web.Response(body=png(6_410, 6_400), content_type="image/png")
            case "inward.png":
                raise web.HTTPFound(self.target)
            case "around.png":
                raise web.HTTPFound("/inward.png")
            case _:
                raise web.HTTPNotFound


async def tracker(folder: Path, *, private: bool) -> tuple[TestClient[web.Request, web.Application], PictureProxy]:
    scale = ScaleInChild()
    clock = asyncio.get_running_loop().time
    proxy = PictureProxy(PictureFolder(folder), scale, lambda: clock() + 1e9, Telemetry(), allow_private=private)

    def read(token: str) -> WantedPicture | None:
        signed = SIGNER.read_picture(token)
        return None if signed is None else WantedPicture(*signed)

    app = web.Application()
    app.add_routes(picture_routes(proxy, read))

    async def end(_app: web.Application) -> None:
        await proxy.close()
        await scale.close()

    app.on_cleanup.append(end)
    client = TestClient(TestServer(app))
    await client.start_server()
    return client, proxy


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[ShopServer]:
    server = ShopServer()
    await server.server.start_server()
    yield server
    await server.server.close()


async def test_a_picture_is_fetched_once_scaled_and_kept(shop: ShopServer, tmp_path: Path) -> None:
    client, _proxy = await tracker(tmp_path, private=True)
    path = "/i/" + SIGNER.sign_picture(120, 90, str(shop.server.make_url("/good.png")))
    answers = await asyncio.gather(*(client.get(path) for _ in range(5)))
    for answer in answers:
        assert answer.status == 200
        assert answer.content_type == "image/webp"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert Image.open(io.BytesIO(await answer.read())).size == (120, 90)
    assert (await client.get(path)).status == 200
    assert shop.asked == 1
    await client.close()


async def test_what_is_no_picture_or_too_large_is_refused_and_not_asked_for_again(
    shop: ShopServer, tmp_path: Path
) -> None:
    client, _proxy = await tracker(tmp_path, private=True)
    for name in ("svg.png", "scripted.svg", "huge.png", "endless.png", "camera.png", "missing.png"):
        before = shop.asked
        path = "/i/" + SIGNER.sign_picture(120, 90, str(shop.server.make_url(f"/{name}")))
        assert [(await client.get(path)).status for _ in range(2)] == [404, 404]
        assert shop.asked == before + 1
    await client.close()


async def test_private_addresses_are_not_reached(shop: ShopServer, tmp_path: Path) -> None:
    client, _proxy = await tracker(tmp_path, private=False)
    for url in (
        str(shop.server.make_url("/good.png")),
        "http://169.254.169.254/a.png",
        "http://[::1]/a",
        "file:///etc/passwd",
    ):
        assert (await client.get("/i/" + SIGNER.sign_picture(120, 90, url))).status == 404
    assert shop.asked == 0
    await client.close()


PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"


class Rebinding(AbstractResolver):
    """Names that lead somewhere else each time: what they lead to, in order."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0)
            for each in addresses
        ]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def two_networks(
    monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]
) -> AsyncIterator[tuple[ShopServer, ShopServer]]:
    """A server of the public internet, which PUBLIC stands for here, and one inside; both at the same port."""
    inside = ShopServer(PRIVATE)
    await inside.server.start_server()
    outside = ShopServer(PUBLIC, inside.server.port)
    outside.target = str(inside.server.make_url("/good.png"))
    await outside.server.start_server()
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == PUBLIC)
    monkeypatch.setattr(outgoing, "ThreadedResolver", lambda: Rebinding(*answers or ((PUBLIC,),)))
    yield inside, outside
    await inside.server.close()
    await outside.server.close()


async def fetched(folder: Path, *urls: str) -> list[int]:
    """The statuses of the pictures at these addresses, asked for one after the other."""
    client, _proxy = await tracker(folder, private=False)
    statuses = [(await client.get("/i/" + SIGNER.sign_picture(120, 90, url))).status for url in urls]
    await client.close()
    return statuses


async def test_a_redirect_into_a_private_network_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with two_networks(monkeypatch) as (inside, outside):
        at = f"http://{PUBLIC}:{outside.server.port}"
        assert await fetched(tmp_path, f"{at}/good.png", f"{at}/inward.png", f"{at}/around.png") == [200, 404, 404]
        assert (inside.asked, outside.asked >= 3) == (0, True)


@pytest.mark.parametrize("second", [(PRIVATE,), (PUBLIC, PRIVATE), (PRIVATE, PUBLIC)])
async def test_a_name_that_leads_inward_the_second_time_is_not_followed(
    second: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with two_networks(monkeypatch, (PUBLIC,), second) as (inside, outside):
        at = f"http://shop.example:{outside.server.port}"
        assert await fetched(tmp_path, f"{at}/good.png", f"{at}/good.png?2") == [200, 404]
        assert (inside.asked, outside.asked) == (0, 1)


async def test_only_what_was_signed_is_fetched(shop: ShopServer, tmp_path: Path) -> None:
    client, _proxy = await tracker(tmp_path, private=True)
    good = SIGNER.sign_picture(120, 90, str(shop.server.make_url("/good.png")))
    other = TokenSigner({1: b"x" * 32}).sign_picture(120, 90, str(shop.server.make_url("/good.png")))
    for token in (other, "a", good[:-4], good[:20] + "A" + good[21:], "%00"):
        assert (await client.get(f"/i/{token}")).status == 403
    assert shop.asked == 0
    await client.close()
