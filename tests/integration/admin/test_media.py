"""Uploads: over the API into the folder, out of it on the track port, and away with their creative."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from core.clock import ManualClock
from creatives.media.keeping import KEPT_UNUSED_S, MediaKeeper, names_in
from creatives.media.kinds import BadMediaError
from creatives.media.store import FolderStore
from creatives.media.web import media_routes
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api
from tests.kit.media import mp4, picture

Http = TestClient[web.Request, web.Application]


async def parts(data: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    """The data as it comes over the wire."""
    for at in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[at : at + size]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "media")


@pytest.fixture
async def http(store: FolderStore) -> AsyncIterator[Http]:
    app = web.Application()
    app.add_routes(media_routes(store))
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_an_upload_is_answered_with_its_address(api: Api, shop: Shop) -> None:
    data = picture()
    path = f"/v1/advertisers/{shop.advertiser['id']}/media"
    first = await shop.caller.call("POST", path, data=data)
    again = await shop.caller.call("POST", path, data=data)
    assert (first.status, again.status) == (201, 201)
    name = f"{hashlib.sha256(data).hexdigest()}.png"
    assert first.body == again.body == {
        "url": f"https://track.example/m/{name}", "mime": "image/png", "bytes": len(data), "width": 300, "height": 250
    }  # fmt: skip
    creative = {
        "advertiser_id": shop.advertiser["id"], "name": "picture", "width": 300, "height": 250,
        "image_url": first.body["url"], "landing_url": "https://shop.example/",
        "advertiser_domain": "shop.example",
    }  # fmt: skip
    assert (await shop.caller.made("/v1/creatives", creative))["image_url"] == first.body["url"]


async def test_a_bad_file_is_refused_with_what_to_do(api: Api, shop: Shop) -> None:
    path = f"/v1/advertisers/{shop.advertiser['id']}/media"
    answer = await shop.caller.call("POST", path, data=b"<svg/>", headers={"Content-Type": "image/png"})
    assert answer.status == 422
    (error,) = answer.body["errors"]
    assert (error["code"], error["hint"]) == ("svg", "export it as PNG")
    empty = await shop.caller.call("POST", path, data=b"")
    assert [error["code"] for error in empty.body["errors"]] == ["empty"]


async def test_only_who_trades_for_the_advertiser_may_upload(api: Api, shop: Shop) -> None:
    other = await make_shop(api, "other")
    reader = await api.caller("read", advertisers=(shop.advertiser["id"],))
    path = f"/v1/advertisers/{shop.advertiser['id']}/media"
    for caller, status in ((other.caller, 404), (reader, 403)):
        assert (await caller.call("POST", path, data=picture())).status == status


async def test_what_is_refused_leaves_nothing(store: FolderStore, tmp_path: Path) -> None:
    for data in (b"", b"<html>", picture()[:-30]):
        with pytest.raises(BadMediaError):
            await store.keep(parts(data))
    assert list((tmp_path / "media").iterdir()) == []


async def test_an_upload_that_is_cut_off_leaves_nothing(store: FolderStore, tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield picture()[:100]
        await asyncio.sleep(0)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.keep(cut())
    assert list((tmp_path / "media").iterdir()) == []


async def test_media_are_served_to_every_page_and_never_change(store: FolderStore, http: Http) -> None:
    data = picture("JPEG")
    media = await store.keep(parts(data))
    async with http.get(f"/m/{media.name}") as response:
        assert (response.status, await response.read()) == (200, data)
        assert response.content_type == "image/jpeg"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in response.headers
    async with http.head(f"/m/{media.name}") as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(len(data)))
    async with http.options(f"/m/{media.name}") as response:
        assert (response.status, response.headers["Access-Control-Allow-Headers"]) == (204, "Range")


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [("bytes=0-9", 206, 0, 10), ("bytes=50-", 206, 50, None), ("bytes=-5", 206, -5, None), ("bytes=99999-", 416, 0, 0)],
)
async def test_players_may_ask_for_a_part(
    store: FolderStore, http: Http, asked: str, status: int, start: int, end: int | None
) -> None:
    data = mp4()
    media = await store.keep(parts(data))
    async with http.get(f"/m/{media.name}", headers={"Range": asked}) as response:
        assert response.status == status
        if status == 206:
            assert await response.read() == data[start:end]
            assert response.headers["Content-Range"].startswith("bytes ")


async def test_no_cache_keeps_the_refusal_of_a_part(store: FolderStore, http: Http) -> None:
    media = await store.keep(parts(mp4()))
    for headers, status in (({"Range": "bytes=99999-"}, 416), ({"If-Match": '"other"'}, 412)):
        async with http.get(f"/m/{media.name}", headers=headers) as response:
            assert (response.status, response.headers["Cache-Control"]) == (status, "no-store")
            assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("asked", ["bytes=0-0,5-6", "seconds=0-3", "bytes=5-2", "bytes=", "x"])
async def test_a_range_that_is_not_understood_is_passed_over(store: FolderStore, http: Http, asked: str) -> None:
    media = await store.keep(parts(mp4()))
    for _ in range(2):  # over the same connection
        async with http.get(f"/m/{media.name}", headers={"Range": asked}) as response:
            assert (response.status, await response.read()) == (200, mp4())


@pytest.mark.parametrize(
    "name",
    ["x", "..%2f..%2fetc%2fpasswd", "a" * 64, "a" * 64 + ".html", "a" * 64 + ".png", ".part-abc", "A" * 64 + ".png"],
)
async def test_nothing_else_is_served(store: FolderStore, http: Http, name: str) -> None:
    await store.keep(parts(picture()))
    async with http.get(f"/m/{name}") as response:
        assert response.status == 404


async def test_media_go_a_day_after_the_last_creative_that_shows_them(
    api: Api, shop: Shop, store: FolderStore, clock: ManualClock
) -> None:
    kept, unused = await store.keep(parts(picture())), await store.keep(parts(picture(size=(1, 1))))
    document = {
        "advertiser_id": shop.advertiser["id"], "name": "picture", "width": 300, "height": 250,
        "image_url": f"https://track.example/m/{kept.name}", "landing_url": "https://shop.example/",
        "advertiser_domain": "shop.example",
    }  # fmt: skip
    creative = await shop.caller.made("/v1/creatives", document)

    async def texts() -> list[str]:
        catalogue = await api.store.catalogue(clock.now_ms())
        return [each.image_url for each in catalogue.creatives]

    keeper = MediaKeeper(store, texts, clock)
    assert await keeper.sweep() == 0
    clock.advance(KEPT_UNUSED_S)
    assert await keeper.sweep() == 1
    assert (store.find(kept.name) is not None, store.find(unused.name)) == (True, None)
    assert (await shop.caller.call("DELETE", f"/v1/creatives/{creative['id']}")).status in (200, 204)
    assert await keeper.sweep() == 0, "bids with it are out"
    clock.advance(KEPT_UNUSED_S)
    assert await keeper.sweep() == 1
    assert store.names() == []


async def test_media_that_are_uploaded_again_are_kept_for_another_day(store: FolderStore, clock: ManualClock) -> None:
    async def nothing() -> list[str]:
        return []

    keeper = MediaKeeper(store, nothing, clock)
    media = await store.keep(parts(picture()))
    await keeper.sweep()
    clock.advance(KEPT_UNUSED_S - 1)
    await store.keep(parts(picture()))
    clock.advance(1)
    assert await keeper.sweep() == 0
    assert store.find(media.name) is not None, "the creative that shows it is about to be made"
    clock.advance(KEPT_UNUSED_S)
    assert await keeper.sweep() == 1


def test_names_are_found_wherever_a_creative_has_them() -> None:
    name = "0" * 64 + ".png"
    assert names_in([f'{{"html":"<img src=\\"https://t.example/m/{name}?x\\">"}}', "nothing"]) == {name}
